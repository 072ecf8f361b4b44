"""Pictures show what the records and the models say."""

import json
import shutil
import sys

import dA
import logistic_sgd
import SdA
from graphs import interpreting
from lessons import short_schedules
from support import pictures
from support.command import command
from support.pictures import figures as drawing
from support.runs.models import SavedModel, save_model
from support.start import ROOT
from utils import tile_raster_images

import numpy as np
import pytensor
import pytest

figures = pytest.importorskip("matplotlib.figure")

LESSONS = {  # {driver: (its module, the pictures of a run beside the plain filters)}
    logistic_sgd.sgd_optimization_mnist: (logistic_sgd, "errors weights confusion wrong"),
    dA.test_dA: (dA, "costs filters reconstructions"),
    SdA.test_SdA: (SdA, "costs errors filters reconstructions confusion wrong"),
}
ORIGINS = {
    "logistic_sgd": "2 epochs of training",
    "dA": "seed 123 · 2 epochs of training",
    "SdA": "seed 89677 · 1 epoch of pre-training a layer · 2 epochs of fine-tuning",
}


@pytest.fixture(scope="module")
def runs(small_dataset, tmp_path_factory):
    """The folders of a small run of each lesson."""
    folder = tmp_path_factory.mktemp("runs")
    with interpreting():
        for driver, (module, _) in LESSONS.items():
            lesson = module.__name__
            driver(dataset=small_dataset, output_folder=folder / lesson, **short_schedules()[lesson])
    return folder


@pytest.fixture
def drawn(monkeypatch, interpreted):
    """The figures that are saved, by the names of their files."""
    saved = {}

    def save(figure, file, **options):
        saved[file.name.split(".")[1]] = figure
        file.write(b"drawn")

    monkeypatch.setattr(figures.Figure, "savefig", save)
    return saved


@pytest.mark.parametrize("module, expected", LESSONS.values())
def test_a_run_ends_with_its_pictures_each_with_title_labels_origin_and_caption(module, expected, runs, drawn):
    folder = runs / module.__name__
    paths = {path.stem: path for path in folder.glob("*.png")}
    assert all(pictures.caption_of(path).endswith(".") for path in paths.values())
    assert {name for name in paths if not name.startswith("filters_")} == {*expected.split()}
    module.plot(folder)
    assert set(drawn) == {*expected.split()}
    for name, figure in drawn.items():
        assert figure.get_suptitle()
        (origin,) = [text.get_text() for text in figure.texts if text.get_text().startswith("data: ")]
        assert origin == f"data: small.pkl · run: {folder.name} · {ORIGINS[folder.name]}"
        assert name in ("wrong", "weights") or any(axes.get_xlabel() for axes in figure.axes)
    if "confusion" in drawn:  # the pictures of the best model agree with its test error
        error = json.loads((folder / "result.json").read_text())["test_error"]
        assert drawn["confusion"].get_suptitle().endswith(f"({100 * error:.2f} %)")
        assert drawn["wrong"].get_suptitle().startswith(f"{100 * error:.0f} of 100 test images")


def test_the_costs_are_those_of_the_curve(runs, drawn):
    SdA.plot(runs / "SdA")
    panels = drawn["costs"].axes
    assert [axes.get_title() for axes in panels] == ["layer 0", "layer 1"]
    assert panels[0].get_ylabel() == "cost (nats an image)" and panels[0].get_xlabel() == "epoch"
    curve = [json.loads(line) for line in (runs / "SdA" / "curve.jsonl").read_text().splitlines()]
    for layer, axes in enumerate(panels):
        (line,) = axes.get_lines()
        expected = [(each["epoch"], each["cost"]) for each in curve if each.get("layer") == layer]
        assert list(zip(*line.get_data())) == expected
    dA.plot(runs / "dA")  # costs of one kind share their axes
    (axes,) = drawn["costs"].axes
    assert [line.get_label() for line in axes.get_lines()] == ["0 % corruption", "30 % corruption"]


def test_a_curve_has_one_colour_in_all_panels_and_pairs_make_a_band():
    x, y = [1, 2, 3], [0.5, -1, 2]
    panels = [("one", "nats", {"a": (x, y), "b": (x, y)}), ("two", "bits", {"b": (x, y), "all": (x, [[0, 1]] * 3)})]
    one, two = drawing.curves_figure(panels, "title", columns=2).axes
    (_, b), (also_b,) = one.get_lines(), two.get_lines()
    assert b.get_color() == also_b.get_color() == drawing.ORANGE
    (band,) = two.collections
    assert band.get_paths()[0].get_extents().bounds == (1, 0, 2, 1)
    assert [text.get_text() for text in two.get_legend().get_texts()] == ["b", "all"] and two.get_ylabel() == "bits"
    assert drawing.curves_figure(2 * panels[:1], "title", columns=2).axes[1].get_legend() is None  # it has no new names
    (axes,) = drawing.curves_figure(panels[:1], "title", log=True).axes
    assert axes.get_yscale() == "log" and axes.get_lines()[0].get_xydata().tolist() == [[1, 0.5], [3, 2]]
    (axes,) = drawing.curves_figure([("", "", {"": (range(20), [-500, -300, *range(18)])})], "title", clip=True).axes
    assert axes.get_ylim()[0] == -1  # the tenth of the values that lies lowest is cut off: 20 // 10 are below 0


def test_the_errors_are_those_of_the_curve_with_the_horizon_of_the_rule():
    # Patience is 4 minibatches of 2 an epoch. The validations' iterations are 2, 4, 6, 8. Epoch 1: 50 %, patience
    # max(4, 2 * 1) = 4. Epoch 2: 40 %, max(4, 6) = 6. Epoch 3: worse. Epoch 4: 39.9 %, a new best, but by less than
    # half a percent of 40 %, so that patience stays. In epochs of 2 minibatches: 2, 3, 3, 3.
    errors = [0.5, 0.4, 0.45, 0.399]
    curve = [
        {"epoch": i, "cost": 1, "iteration": 2 * i, "validation_error": error, "patience": patience}
        for i, (error, patience) in enumerate(zip(errors, [4, 6, 6, 6]), 1)
    ]
    for i in 0, 1, 3:
        curve[i]["test_error"] = errors[i] + 0.01
    figure = drawing.errors_figure([{"layer": 0, "epoch": 0, "cost": 9}, *curve])
    above, below = figure.axes
    validation, test, best, _ = above.get_lines()
    np.testing.assert_allclose(validation.get_xydata(), [[1, 50], [2, 40], [3, 45], [4, 39.9]])
    np.testing.assert_allclose(test.get_xydata(), [[1, 51], [2, 41], [4, 40.9]])
    assert list(best.get_xdata()) == [4] and best.get_label() == "best: epoch 4, validation 39.90 %, test 40.90 %"
    assert "(%)" in above.get_ylabel() and below.get_ylabel() == "patience (epochs)"
    assert list(below.get_lines()[0].get_ydata()) == [2, 3, 3, 3]
    (axes,) = drawing.errors_figure([{**curve[0], "iteration": 1}, *curve[1:]]).axes  # or several in the first epoch
    assert "several validations" in axes.get_xlabel()
    for line in curve:
        del line["patience"]
    (axes,) = drawing.errors_figure(curve).axes
    assert axes.get_xlabel() == "epoch"


def test_the_confusion_matrix_counts_labels_in_rows():
    labels, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 2])
    figure = drawing.confusion_figure(labels, predicted, 3)
    (axes,) = figure.axes
    assert figure.get_suptitle() == "Confusion matrix: 3 of 6 test images wrong (50.00 %)"
    assert axes.get_ylabel() == "label" and axes.get_xlabel().startswith("predicted class")
    shown = {(*map(int, text.get_position()[::-1]),): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "1", (0, 1): "1", (1, 1): "1", (2, 0): "2", (2, 2): "1"}
    np.testing.assert_array_equal(axes.get_images()[0].get_array().filled(0), [[0, 1, 0], [0, 0, 0], [2, 0, 0]])


def check_images(axes, words, images):
    """Each image of the axes lies below its word."""
    assert [text.get_text() for text in axes.texts] == words
    for shown, text, image in zip(axes.get_images(), axes.texts, images, strict=True):
        np.testing.assert_array_equal(shown.get_array(), image)
        left, right, below, above = shown.get_extent()
        assert left < text.get_position()[0] < right and text.get_position()[1] < above < below


def test_wrong_images_have_their_label_and_their_prediction():
    images = np.arange(16.0).reshape(4, 4)
    figure = drawing.wrong_figure(images, np.array([3, 1, 2, 7]), np.array([3, 5, 2, 9]), (2, 2))
    assert figure.get_suptitle() == "2 of 4 test images are classified wrongly\nlabel → predicted class"
    check_images(figure.axes[0], ["1 → 5", "7 → 9"], images.reshape(4, 2, 2)[[1, 3]])


def test_weights_are_a_columns_image_each(runs, drawn):
    logistic_sgd.plot(runs / "logistic_sgd")
    W = SavedModel(runs / "logistic_sgd" / "model.npz", "logistic_sgd").arrays[0]
    check_images(drawn["weights"].axes[0], [f"class {label}" for label in range(10)], W.T.reshape(10, 7, 7))


def test_reconstructions_are_the_lessons_own(runs, drawn):
    dA.plot(runs / "dA")
    panels = drawn["reconstructions"].axes
    names = [axes.get_ylabel() for axes in panels]
    assert names == ["input", "0 % set to zero", "… reconstructed", "30 % set to zero", "… reconstructed"]
    assert [axes.get_xlabel() for axes in panels] == 4 * [""] + ["the first 10 test images, 7 × 7 pixels each"]
    clean, same, _, corrupted, rebuilt = (255 - np.asarray(axes.get_images()[0].get_array()) for axes in panels)
    np.testing.assert_array_equal(clean, same)
    ink = clean > 0
    assert 0.15 < np.mean(corrupted[ink] == 0) < 0.45 and not corrupted[~ink].any()  # 30 % of some 300 pixels
    assert (rebuilt != corrupted).any()


@pytest.fixture
def copy(runs, tmp_path):
    """A copy of the SdA's run."""
    pictures_and_lock = shutil.ignore_patterns("*.png", ".lock")
    return shutil.copytree(runs / "SdA", tmp_path, ignore=pictures_and_lock, dirs_exist_ok=True)


def test_filters_are_those_before_and_after_finetuning(copy, drawn):
    saved = SavedModel(copy / "model.npz", "SdA")
    saved.arrays[0] = -saved.arrays[0]  # a fine-tuning that can be told from none in grey levels
    save_model(copy / "model.npz", [pytensor.shared(array, name="W") for array in saved.arrays], saved.about)
    SdA.plot(copy)
    before, after = drawn["filters"].axes
    assert (before.get_title(), after.get_title()) == ("after pre-training", "after fine-tuning")
    for axes, name in (before, "pretrained"), (after, "model"):
        W = SavedModel(copy / f"{name}.npz", "SdA").arrays[0]
        tiles = tile_raster_images(W.T, (7, 7), (1, 9), (1, 1))
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), tiles)
        assert axes.get_xlabel() == "9 of 9, 7 × 7 pixels each"


def test_many_panels_of_images_lie_in_rows():
    panels = [(f"epoch {number}", np.eye(4)) for number in range(5)]
    *shown, empty = drawing.images_figure(panels, (2, 2), "title", columns=3, beside=True).axes
    assert [axes.get_title() for axes in shown] == [name for name, _ in panels] and not empty.get_images()
    assert shown[0].get_images()[0].get_array().shape == (5, 8)  # two rows of tiles, three columns, a pixel between


def plot(folder):
    return command(SdA.test_SdA, {}, ["--plot", str(folder)], predict=SdA.predict, plot=SdA.plot)


def test_an_unfinished_run_shows_what_is_there_and_says_so(copy, drawn, capsys):
    for name in "result.json", "model.npz", "pretrained.npz":
        (copy / name).unlink()
    assert plot(copy) == 0
    assert set(drawn) == {"costs", "errors"}
    out = capsys.readouterr().out
    assert f"the run in {copy} is not finished" in out
    assert f"{copy / 'pretrained.npz'} is missing: the pictures that need it are left out" in out
    assert drawn["errors"].texts[-1].get_text().endswith("not finished")


@pytest.mark.parametrize("module, expected", LESSONS.values())
def test_the_recorded_runs_can_be_drawn(module, expected, tmp_path, drawn):
    for path in (ROOT / "data" / "results" / module.__name__).glob("*.json*"):
        shutil.copy(path, tmp_path)
    module.plot(tmp_path)
    assert set(drawn) == {"costs", "errors"} & {*expected.split()}


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def save_shapes(folder, n_in, n_out):
    """A model of these shapes in place of the run's, that always predicts the last class."""
    about = SavedModel(folder / "model.npz", "SdA").about
    values = [np.zeros((n_in, 5)), np.zeros(5), np.zeros((5, n_out)), np.arange(n_out, dtype=float)]
    save_model(folder / "model.npz", [pytensor.shared(value, name="W") for value in values], about)


OTHER_DATA = {"name": "small.pkl", "sha256": "0"}


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda run: (run / "curve.jsonl").unlink(), "is not the folder of a run: it has no curve.jsonl"),
        (lambda run: (run / "settings.json").write_bytes(b"\xff"), "settings.json is damaged"),
        (lambda run: (run / "curve.jsonl").write_text('{"epoch": 1, "cost": NaN}\n'), "curve.jsonl is damaged"),
        (lambda run: (run / "model.npz").write_bytes(b"PK"), "needed is a model saved by this project"),
        (lambda run: save_shapes(run, 9, 10), "takes 9 inputs, but small.pkl has 49"),
        (lambda run: save_shapes(run, 49, 12), "tells more classes apart than small.pkl"),
        (lambda run: change(run / "settings.json", lesson="mlp"), "holds a run of the lesson 'mlp', not of 'SdA'"),
        (lambda run: change(run / "settings.json", dataset=OTHER_DATA), "its contents have another checksum"),
        (lambda run: sys.modules.update({"matplotlib.figure": None}), "matplotlib, which draws the pictures, is not"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_status_2(spoil, complaint, copy, drawn, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", figures)  # what a case puts there is taken back
    spoil(copy)
    assert plot(copy) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1


def test_plot_goes_alone(tmp_path, capsys):
    assert command(SdA.test_SdA, {}, ["--plot", str(tmp_path), "--quick"], plot=SdA.plot) == 2
    assert "--plot goes alone" in capsys.readouterr().err


def test_a_picture_is_a_png_of_its_size_and_names_are_shown_as_they_are(copy):
    """A formula's signs in the name of a data set are no formula."""
    change(copy / "settings.json", dataset={"name": "$\\oops{$.pkl", "sha256": "0"})
    figure, _ = drawing.new_figure(2, "title")
    pictures.Pictures(copy, SdA.test_SdA).save(figure, "small", "Wᵀ, in a sentence.")
    assert pictures.caption_of(copy / "small.png") == "Wᵀ, in a sentence."
    header = (copy / "small.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20]) == drawing.WIDTH * drawing.DPI
    assert "data: $\\oops{$.pkl" in figure.texts[-1].get_text()
    change(copy / "settings.json", dataset={"name": "digits", "sha256": "0"})
    digits = pictures.Pictures(copy, SdA.test_SdA)
    assert digits.claim("small").name == "small_digits.png"
    assert digits.origin().startswith("data: the embedded digits, not MNIST · run: ")


@pytest.mark.parametrize("before, after", [(b"", b""), (b"1234", b""), (b"1234", b"\xff")])
def test_of_a_damaged_picture_the_caption_is_missing_or_damaged(before, after, tmp_path):
    (tmp_path / "damaged.png").write_bytes(before + b"iTXtDescription" + bytes(5) + after)
    assert pictures.caption_of(tmp_path / "damaged.png") in ("", "\N{REPLACEMENT CHARACTER}")


def test_pictures_are_not_written_through_links(runs, tmp_path, interpreted):
    shutil.copytree(runs / "dA", tmp_path / "run", ignore=shutil.ignore_patterns("*.png"))
    for name in "costs", "filters_corruption_0":
        (tmp_path / "run" / f"{name}.png").symlink_to(tmp_path / "outside")
    dA.plot(tmp_path / "run")
    assert not (tmp_path / "outside").exists()
