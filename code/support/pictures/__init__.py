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
from support.inputs import value_of
from support.pictures import figures
from support.runs.models import PretrainedStack, SavedModel, outputs_for
from support.runs.records import RecordedRun, claim
from support.start import UserError
from utils import tile_raster_images

KEYWORD = "Description"  # of the caption in a PNG's text
MOST_FILTERS = 100  # in a picture
N_RECONSTRUCTED = 10


def described(caption):
    """A caption in the form in which Pillow puts it into a PNG."""
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt(KEYWORD, caption)
    return text


def caption_of(path):
    """The caption in a PNG that this package wrote, or "". Neither matplotlib nor Pillow is needed."""
    # A chunk is the length of its contents, its type, the contents; a caption follows its keyword and five zeros.
    before, head, after = path.read_bytes().partition(b"iTXt" + KEYWORD.encode() + bytes(5))
    length = int.from_bytes(before[-4:]) - len(head) + 4
    return after[:length].decode(errors="replace")


def save_tiles(path, images, image_shape, caption, scale=False):
    """Write a hundred images, a row of the array each, as a PNG of their pixels alone, and its caption.

    Probabilities are shown black on white. With `scale` the values of each image are stretched from black to white.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise UserError("Pillow, which writes the picture, is not installed (pip install Pillow)") from error
    pixels = tile_raster_images(images, image_shape, (10, 10), (1, 1), scale_rows_to_unit_interval=scale)
    with replacing(path) as file:
        Image.fromarray(pixels if scale else 255 - pixels).save(file, format="png", pnginfo=described(caption))


def save_samples(saved, data, images, seed, caption):
    """Write the first hundred images that a `SavedModel` has made into a picture beside it, and return its path.

    `data` are those that the model was trained on, and `seed` is that of the draws, which the file's name tells.
    """
    path = saved.path.with_name(f"{saved.path.stem}_samples_{seed}.png")
    save_tiles(path, images, data.image_shape, caption)
    say(f"picture: {path}")
    return path


class Pictures(RecordedRun):
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
        without any of the entries are the stage None. The names are used in the line below a picture.

    The `caption` of a picture is a sentence for the reader of a page that shows it. The picture's file holds it. A
    UserError says what is missing or damaged: the run, one of its files, its data, a model, or matplotlib.
    """

    def __init__(self, folder, driver, datasets=None, stages={None: "training"}):
        figures.new_figure(1, "")  # if matplotlib is missing, this says so first
        super().__init__(folder, driver)
        self.stages, self.loaded = stages, datasets
        if not self.is_finished:
            say(f"the run in {folder} is not finished: the pictures show the epochs so far")

    @property
    def datasets(self):
        """The data that the run was trained on, as their checksum proves."""
        self.loaded = self.loaded or load_data(self.settings["dataset"])
        if self.loaded.sha256 != self.sha256:
            trained_on = f"what the run in {self.folder} was trained on"
            raise UserError(f"{self.loaded.source} is not {trained_on}: its contents have another checksum")
        return self.loaded

    @property
    def test_set(self):
        """The images, (n, n_in), and the labels, (n,)."""
        return list(map(value_of, self.datasets[2]))

    def models(self, load, files={"model": "model"}):
        """{name: model} of the models that the run has saved. For a file that is missing, a line is printed.

        `load` makes a model from a `SavedModel`, for the name "pretrained" from a `PretrainedStack`. `files` is
        {name: the file's name, without its ending}.
        """
        models = {}
        for name, file in files.items():
            path = self.folder / f"{file}.npz"
            if path.exists():
                saved = (PretrainedStack if file == "pretrained" else SavedModel)(path, self.lesson)
                models[name] = load(saved)
                saved.fitting(self.datasets)
            else:
                say(f"{path} is missing: the pictures that need it are left out")
        return models

    def values(self, entry):
        """The different values of an entry of the curve's lines, such as "corruption", in their order."""
        return list(dict.fromkeys(line[entry] for line in self.curve if entry in line))

    def series(self, *fields, factor=1, **place):
        """(epochs, values): a field of the curve's lines at a place, such as layer=0. Several fields make rows."""
        lines = [line for line in self.curve if place.items() <= line.items() and line.keys() >= {*fields}]
        rows = [[factor * line[field] for field in fields] for line in lines]
        return [line["epoch"] for line in lines], rows if len(fields) > 1 else [row[0] for row in rows]

    def series_by(self, entry, field, label):
        """{label(value): series of a field} for each value of an entry."""
        return {label(value): self.series(field, **{entry: value}) for value in self.values(entry)}

    def origin(self):
        """The line below each picture: the data, the run, its seed and its epochs."""
        data = "the embedded digits, not MNIST" if self.dataset == "digits" else self.dataset
        parts = [f"data: {data}", f"run: {self.folder.resolve().name}"]
        parts += [f"seed {self.settings['seed']}"] if "seed" in self.settings else []
        stage_of = [next((entry for entry in self.stages if entry in line), None) for line in self.curve]
        for entry, name in self.stages.items():
            epochs = Counter(line.get(entry) for line, stage in zip(self.curve, stage_of) if stage == entry)
            if number := max(epochs.values(), default=0):
                parts.append(f"{number} epoch{'s' * (number != 1)} of {name}")
        return " ".join(" · ".join(parts + ["not finished"] * (not self.is_finished)).split())

    def claim(self, name):
        """The path of a picture, which is noted as a file of the run."""
        return claim(self.folder, self.record, f"{name}{'_digits' * (self.dataset == 'digits')}.png")

    def save(self, figure, name, caption):
        """Write a figure to the run's folder, with the run's origin below it. It replaces an earlier one."""
        origin = textwrap.fill(self.origin(), 110)
        figure.text(0.01, 0, origin, fontsize="small", color="0.35", parse_math=False, va="bottom", in_layout=False)
        margin = 0.17 * (origin.count("\n") + 1) / figure.get_figheight()
        figure.get_layout_engine().set(rect=(0, margin, 1, 1 - margin))
        path = self.claim(name)
        with replacing(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as: the font lacks a letter of the file's name
            figure.savefig(file, format="png", dpi=figures.DPI, pil_kwargs={"pnginfo": described(caption)})
        say(f"picture: {path}")

    def draw_curves(self, name, title, panels, caption, **options):
        """Draw curves by epoch. The parameters are those of `curves_figure`. Panels without an epoch are left out."""
        if panels := [panel for panel in panels if any(len(x) for x, _ in panel[2].values())]:
            self.save(figures.curves_figure(panels, title, **options), name, caption)

    def draw_errors(self):
        """Draw validation and test error by epoch, if the curve has them."""
        if self.series("validation_error")[0]:
            caption = "Errors by epoch: the star marks the model that is kept; training ends at the horizon."
            self.save(figures.errors_figure(self.curve), "errors", caption)

    def draw_images(self, name, title, images, caption, **options):
        """Draw images, an array or panels of them. The options are those of `images_figure`."""
        if panels := images if isinstance(images, list) else [("", images)]:
            self.save(figures.images_figure(panels, self.datasets.image_shape, title, **options), name, caption)

    def draw_filters(self, weights, caption, name="filters", title="Filters of the first layer"):
        """Draw the first hundred columns of matrices. `weights` is {name: array or shared matrix, (n_in, n)}."""
        panels = []
        for each, W in weights.items():
            images, note = value_of(W).T, "{} of {:,}, {} × {} pixels each"
            shown = images[:MOST_FILTERS]
            panels.append((each, shown, note.format(len(shown), len(images), *self.datasets.image_shape)))
        title += ": black is the lowest weight of each, white the highest"
        self.draw_images(name, title, panels, caption, beside=True, stretched=True)

    def save_filters(self, W, name, caption):
        """Write the first hundred filters of a layer, without axes or words. `W` is a shared matrix."""
        save_tiles(self.claim(name), value_of(W).T, self.datasets.image_shape, caption, scale=True)

    def draw_weights(self, W):
        """Draw the weights of each class. `W` is a shared matrix."""
        caption = "Weights of each class, one a pixel: ink on orange speaks for the class, on purple against it."
        self.save(figures.weights_figure(value_of(W), self.datasets.image_shape), "weights", caption)

    def draw_scatter(self, name, title, points, caption):
        """Draw the codes of the test images, (n, 2), in the colours of their labels."""
        figure = figures.scatter_figure(points, self.test_set[1], title, "first entry", "second entry")
        self.save(figure, name, caption)

    def draw_histograms(self, name, title, values, xlabel, ylabel, caption, **marks):
        """Draw how often values occur. The parameters are those of `histograms_figure`."""
        if values:
            self.save(figures.histograms_figure(values, title, xlabel, ylabel, **marks), name, caption)

    def of_test_images(self, x, outputs, n=N_RECONSTRUCTED):
        """[(name, value)] of symbolic `outputs`, {name: variable}, of the first n test images. They depend on x."""
        return list(zip(outputs, evaluate(outputs.values(), {x: self.test_set[0][:n]})))

    def draw_reconstructions(self, rows, caption):
        """Draw the first test images, and below them the `rows`, a list of (name, images)."""
        if rows:
            inputs, (*others, last) = self.test_set[0][:N_RECONSTRUCTED], rows
            note = "the first {} test images, {} × {} pixels each".format(len(inputs), *self.datasets.image_shape)
            rows = [("input", inputs), *others, (*last, note)]
            self.draw_images("reconstructions", "Test images and their reconstructions", rows, caption)

    def draw_predictions(self, x, y_pred):
        """Draw the confusion matrix and the images that are classified wrongly. `x` and `y_pred` are symbolic."""
        (images, labels), n_out = self.test_set, self.datasets.n_out
        [predicted] = outputs_for(x, [y_pred], images)
        if predicted.max() >= n_out:
            raise UserError(f"the model in {self.folder} tells more classes apart than {self.datasets.name} has")
        if n_out <= figures.MOST_CLASSES:
            caption = "Test images by class (row) and predicted class (column): darker cells are more frequent errors."
            self.save(figures.confusion_figure(labels, predicted, n_out), "confusion", caption)
        caption = "Test images that are classified wrongly, each below its class and the class that is predicted."
        self.save(figures.wrong_figure(images, labels, predicted, self.datasets.image_shape), "wrong", caption)
