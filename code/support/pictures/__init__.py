"""Pictures of a run, made from the files in its folder: curves, filters, reconstructions, wrong predictions.

The lessons give the networks. `support.pictures.figures` draws plain numbers.
"""

import textwrap
import warnings
from collections import Counter

from support.console import say
from support.data import load_data
from support.files import replacing
from support.graphs.execution import evaluate
from support.pictures import figures
from support.runs.models import PretrainedStack, SavedModel, predict_test_set
from support.runs.records import RecordedRun, claim, picture_name
from support.start import UserError
from utils import tile_raster_images


def save_tiles(path, images, image_shape, scale=False):
    """Write a hundred images, a row of the array each, as a PNG of their pixels alone.

    Probabilities are shown black on white. With `scale` the values of each image are stretched from black to white.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise UserError("Pillow, which writes the picture, is not installed (pip install Pillow)") from error
    pixels = tile_raster_images(images, image_shape, (10, 10), (1, 1), scale_rows_to_unit_interval=scale)
    with replacing(path) as file:
        Image.fromarray(pixels if scale else 255 - pixels).save(file, format="png")


class Pictures:
    """The pictures of a run. Each is written to the run's folder.

    Parameters
    ----------
    folder : path-like
    driver : function
        The run must be one of this driver's lesson.
    datasets : support.data.Datasets, optional
        The data of the run, if they are loaded already.
    stages : dict
        {entry: name}. A stage is the epochs whose lines of the curve have this entry, such as "layer". The epochs
        without any of the entries are the stage None. The names are used in the caption.

    Raises
    ------
    UserError
        The folder holds no run of the lesson, a file is damaged, or matplotlib is missing. Methods raise it if the data
        are not those of the run, or if a model does not fit them.
    """

    def __init__(self, folder, driver, datasets=None, stages={None: "training"}):
        figures.new_figure(1)  # if matplotlib is missing, this says so first
        self.run = RecordedRun(folder, driver)
        self.settings = self.run.settings
        self.stages = stages
        self.loaded = datasets
        if not self.run.is_finished:
            say(f"the run in {folder} is not finished: the pictures show the epochs so far")

    @property
    def datasets(self):
        """The data that the run was trained on, as their checksum proves."""
        if self.loaded is None:
            self.loaded = load_data(self.settings["dataset"])
        if self.loaded.sha256 != self.run.sha256:
            raise UserError(
                f"{self.loaded.source} is not what the run in {self.run.folder} was trained on: its contents have "
                "another checksum"
            )
        return self.loaded

    @property
    def test_set(self):
        """The images, (n, n_in), and the labels, (n,)."""
        return [data.get_value(borrow=True) for data in self.datasets[2]]

    def models(self, load, names=("model",)):
        """{name: model} of the models that the run has saved. For files that are missing, a line is printed.

        `load` makes a model from a `SavedModel`, for the name "pretrained" from a `PretrainedStack`. `names` are those
        of the files, without their ending, or {name: the file's name}.
        """
        files = names if isinstance(names, dict) else dict(zip(names, names))
        paths = {name: self.run.folder / f"{file}.npz" for name, file in files.items()}
        if missing := [path.name for path in paths.values() if not path.exists()]:
            there_is = " and ".join(missing) + (" is" if len(missing) == 1 else " are")
            say(f"{there_is} not in {self.run.folder}: the pictures that need more are left out")
        kinds = {"pretrained": PretrainedStack}
        saved = {
            name: kinds.get(files[name], SavedModel)(path, self.run.lesson)
            for name, path in paths.items()
            if path.exists()
        }
        for each in saved.values():
            if each.arrays[0].shape[:1] != (self.datasets.n_in,):
                raise UserError(f"{each.path} does not fit the {self.datasets.n_in} inputs of {self.datasets.name}")
        return {name: load(each) for name, each in saved.items()}

    def values(self, entry):
        """The different values of an entry of the curve's lines, such as "corruption", in their order."""
        return list(dict.fromkeys(line[entry] for line in self.run.curve if entry in line))

    def series(self, *fields, factor=1, **place):
        """(epochs, values): a field of the curve's lines at a place, such as layer=0. Several fields make rows."""
        lines = [line for line in self.run.curve if place.items() <= line.items() and line.keys() >= {*fields}]
        rows = [[factor * line[field] for field in fields] for line in lines]
        return [line["epoch"] for line in lines], rows if len(fields) > 1 else [row[0] for row in rows]

    def series_by(self, entry, field, label):
        """{label(value): series of a field} for each value of an entry."""
        return {label(value): self.series(field, **{entry: value}) for value in self.values(entry)}

    def caption(self):
        """A line below each picture: the data, the run, its seed and its epochs."""
        run = self.run
        data = "the embedded digits, not MNIST" if run.dataset == "digits" else run.dataset
        parts = [f"data: {data}", f"run: {run.folder.resolve().name}"]
        if "seed" in run.settings:
            parts.append(f"seed {run.settings['seed']}")
        marks = [mark for mark in self.stages if mark is not None]
        for mark, name in self.stages.items():
            lines = [line for line in run.curve if (mark in line if mark else not any(map(line.__contains__, marks)))]
            if lines:
                number = max(Counter(line.get(mark) for line in lines).values())
                parts.append(f"{number} epoch{'s' * (number != 1)} of {name}")
        if not run.is_finished:
            parts.append("not finished")
        return " · ".join(parts)

    def claim(self, name):
        """The path of a picture, which is noted as a file of the run."""
        return claim(self.run.folder, self.run.record, picture_name(name, self.run.dataset))

    def save(self, figure, name):
        """Write a figure with its caption to the run's folder. It replaces an earlier one."""
        caption = textwrap.fill(" ".join(self.caption().split()), 110)
        figure.text(0.01, 0, caption, fontsize="small", color="0.35", parse_math=False, va="bottom", in_layout=False)
        margin = 0.17 * (caption.count("\n") + 1) / figure.get_figheight()
        figure.get_layout_engine().set(rect=(0, margin, 1, 1 - margin))
        path = self.claim(name)
        with replacing(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as: the font lacks a letter of the file's name
            figure.savefig(file, format="png", dpi=figures.DPI)
        say(f"picture: {path}")

    def draw_curves(self, name, title, panels, **options):
        """Draw curves by epoch. The parameters are those of `curves_figure`. Panels without an epoch are left out."""
        panels = [panel for panel in panels if any(len(x) for x, _ in panel[2].values())]
        if panels:
            self.save(figures.curves_figure(panels, title, **options), name)

    def draw_errors(self):
        """Draw validation and test error by epoch, if the curve has them."""
        if any("validation_error" in line for line in self.run.curve):
            self.save(figures.errors_figure(self.run.curve), "errors")

    def draw_filters(self, weights, name="filters", title="Filters of the first layer"):
        """Draw the columns of matrices. `weights` is {name: array or shared matrix}."""
        values = {each: W.get_value(borrow=True) if hasattr(W, "get_value") else W for each, W in weights.items()}
        if values:
            self.save(figures.filters_figure(values, self.datasets.image_shape, title), name)

    def save_filters(self, W, name):
        """Write the first hundred filters of a layer, without axes or words. `W` is a shared matrix."""
        save_tiles(self.claim(name), W.get_value(borrow=True).T, self.datasets.image_shape, scale=True)

    def draw_weights(self, W):
        """Draw the weights of each class. `W` is a shared matrix."""
        self.save(figures.weights_figure(W.get_value(borrow=True), self.datasets.image_shape), "weights")

    def draw_images(self, name, title, images, columns):
        """Draw images, (n, n_in) with values in 0..1, in so many columns."""
        self.save(figures.images_figure(images, self.datasets.image_shape, columns, title), name)

    def draw_scatter(self, name, title, points):
        """Draw the codes of the test images, (n, 2), in the colours of their labels."""
        self.save(figures.scatter_figure(points, self.test_set[1], title, "first entry", "second entry"), name)

    def draw_histograms(self, name, title, values, xlabel, ylabel, **marks):
        """Draw how often values occur. The parameters are those of `histograms_figure`."""
        if values:
            self.save(figures.histograms_figure(values, title, xlabel, ylabel, **marks), name)

    def of_test_images(self, x, outputs, n=figures.N_RECONSTRUCTED):
        """[(name, value)] of symbolic `outputs`, {name: variable}, of the first n test images. They depend on x."""
        return list(zip(outputs, evaluate(outputs.values(), {x: self.test_set[0][:n]})))

    def draw_reconstructions(self, rows):
        """Draw the first test images, and below them the `rows`, a list of (name, images)."""
        if rows:
            rows = [("input", self.test_set[0][: figures.N_RECONSTRUCTED]), *rows]
            self.save(figures.reconstructions_figure(rows, self.datasets.image_shape), "reconstructions")

    def draw_predictions(self, x, y_pred):
        """Draw the confusion matrix and the images that are classified wrongly. `x` and `y_pred` are symbolic."""
        predicted = predict_test_set(x, y_pred, self.datasets)
        images, labels = self.test_set
        if predicted.max() >= self.datasets.n_out:
            raise UserError(f"the model in {self.run.folder} tells more classes apart than {self.datasets.name} has")
        if self.datasets.n_out <= figures.MOST_CLASSES:
            self.save(figures.confusion_figure(figures.confusion(labels, predicted, self.datasets.n_out)), "confusion")
        self.save(figures.wrong_figure(images, labels, predicted, self.datasets.image_shape), "wrong")
