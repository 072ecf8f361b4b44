"""Pictures of a run, made from the files in its folder: costs, errors, filters, reconstructions, wrong predictions.

The lessons give the networks. `support.pictures.figures` draws plain numbers.
"""

import textwrap
import warnings
from collections import Counter

from support.console import say
from support.data import load_data
from support.errors import UserError
from support.files import replacing
from support.graphs.execution import evaluate
from support.pictures import figures
from support.runs.models import predict_test_set
from support.runs.records import RecordedRun, claim, picture_name


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
        are not those of the run.
    """

    def __init__(self, folder, driver, datasets=None, stages={None: "training"}):
        figures.new_figure(1)  # if matplotlib is missing, this says so first
        self.run = RecordedRun(folder, driver)
        self.stages = stages
        self.loaded = datasets
        if not self.run.is_finished:
            say(f"the run in {folder} is not finished: the pictures show the epochs so far")

    @property
    def datasets(self):
        """The data that the run was trained on, as their checksum proves."""
        if self.loaded is None:
            self.loaded = load_data(self.run.settings["dataset"])
        if self.loaded.sha256 != self.run.sha256:
            raise UserError(
                f"{self.loaded.source} is not what the run in {self.run.folder} was trained on: its contents have "
                "another checksum"
            )
        return self.loaded

    def values(self, stage):
        """The different values of an entry of the curve's lines, such as "corruption", in their order."""
        return list(dict.fromkeys(line[stage] for line in self.run.curve if stage in line))

    def models(self, kinds):
        """The models that the run has saved. For a file that is missing, a line is printed and None is returned.

        `kinds` is {name: class}: the name of a file without its ending, and SavedModel or PretrainedStack. A UserError
        says that a model cannot be used, or does not fit the data.
        """
        paths = [self.run.folder / f"{name}.npz" for name in kinds]
        if missing := [path.name for path in paths if not path.exists()]:
            there_is = " and ".join(missing) + (" is" if len(missing) == 1 else " are")
            say(f"{there_is} not in {self.run.folder}: the pictures that need more are left out")
        models = [kind(path, self.run.lesson) if path.exists() else None for kind, path in zip(kinds.values(), paths)]
        for model in filter(None, models):
            if not model.arrays or model.arrays[0].shape[:1] != (self.datasets.n_in,):
                raise UserError(f"{model.path} does not fit the {self.datasets.n_in} inputs of {self.datasets.name}")
        return models

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

    def save(self, figure, name):
        """Write a figure with its caption to the run's folder. It replaces an earlier one."""
        caption = textwrap.fill(" ".join(self.caption().split()), 110)
        figure.text(0.01, 0, caption, fontsize="small", color="0.35", parse_math=False, va="bottom", in_layout=False)
        n_lines = caption.count("\n") + 1
        margin = 0.17 * n_lines / figure.get_figheight()
        figure.get_layout_engine().set(rect=(0, margin, 1, 1 - margin))
        path = self.run.folder / picture_name(name, self.run.dataset)
        try:
            claim(self.run.folder, self.run.record, path.name)
            with replacing(path) as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as: the font lacks a letter of the file's name
                figure.savefig(file, format="png", dpi=figures.DPI)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        say(f"picture: {path}")

    def draw_costs(self, stage, label, together=False):
        """Draw the cost by epoch for the lines of the curve that have an entry `stage`, such as "layer".

        `label` makes a name from the value of the entry.
        """
        series = {}
        for line in self.run.curve:
            if stage in line:
                epochs, costs = series.setdefault(label(line[stage]), ([], []))
                epochs.append(line["epoch"])
                costs.append(line["cost"])
        if series:
            self.save(figures.costs_figure(series, together), "costs")

    def draw_errors(self):
        """Draw validation and test error by epoch, if the curve has them."""
        if any("validation_error" in line for line in self.run.curve):
            self.save(figures.errors_figure(self.run.curve), "errors")

    def draw_filters(self, weights):
        """Draw the filters of layers. `weights` is {name: shared matrix}."""
        values = {name: W.get_value(borrow=True) for name, W in weights.items()}
        if values:
            self.save(figures.filters_figure(values, self.datasets.image_shape), "filters")

    def draw_weights(self, W):
        """Draw the weights of each class. `W` is a shared matrix."""
        self.save(figures.weights_figure(W.get_value(borrow=True), self.datasets.image_shape), "weights")

    def of_test_images(self, x, *outputs):
        """The values of symbolic matrices that depend on x, for the first test images: each (n, n_in)."""
        return evaluate(outputs, {x: self.test_set[0][: figures.N_RECONSTRUCTED]})

    def draw_reconstructions(self, rows):
        """Draw the first test images, and below them the `rows` of `reconstructions_figure`."""
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

    @property
    def test_set(self):
        return [data.get_value(borrow=True) for data in self.datasets[2]]
