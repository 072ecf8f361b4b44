"""Pictures show what the records and the models say."""

import json
import sys

import dA
import logistic_sgd
import mlp
import SdA
from graphs import interpreting
from support import pictures
from support.command import command
from support.pictures import figures as drawing
from support.runs.models import SavedModel, save_model
from support.start import ROOT

import numpy as np
import pytensor
import pytest

figures = pytest.importorskip("matplotlib.figure")

LESSONS = {  # {lesson: its module, its driver, a short schedule, its pictures beside the plain filters}
    "logistic_sgd": (logistic_sgd, "sgd_optimization_mnist", {"n_epochs": 2}, "errors weights confusion wrong"),
    "mlp": (mlp, "test_mlp", {"n_epochs": 2, "n_hidden": 4}, "errors filters confusion wrong"),
    "dA": (dA, "test_dA", {"training_epochs": 2, "n_hidden": 4}, "costs filters reconstructions"),
    "SdA": (
        SdA,
        "test_SdA",
        {"pretraining_epochs": 2, "training_epochs": 2, "hidden_layers_sizes": [5, 4]},
        "costs errors filters reconstructions confusion wrong",
    ),
}
RESULTS = ROOT / "data" / "results"


@pytest.fixture(scope="module")
def runs(small_dataset, tmp_path_factory):
    """The folders of a small run of each lesson."""
    folder = tmp_path_factory.mktemp("runs")
    with interpreting():
        for lesson, (module, driver, schedule, _) in LESSONS.items():
            getattr(module, driver)(dataset=small_dataset, batch_size=20, output_folder=folder / lesson, **schedule)
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


def curve_of(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("before, after", [(b"", b""), (b"1234", b""), (b"1234", b"\xff")])
def test_of_a_damaged_picture_the_caption_is_missing_or_damaged(before, after, tmp_path):
    (tmp_path / "damaged.png").write_bytes(before + b"iTXtDescription" + bytes(5) + after)
    assert pictures.caption_of(tmp_path / "damaged.png") in ("", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_run_ends_with_its_pictures_each_with_title_labels_and_caption(lesson, runs, drawn):
    module, _, _, expected = LESSONS[lesson]
    names = {path.stem for path in (runs / lesson).glob("*.png")}
    assert {name for name in names if not name.startswith("filters_")} == {*expected.split()}
    assert all(pictures.caption_of(path).endswith(".") for path in (runs / lesson).glob("*.png"))
    module.plot(runs / lesson)
    assert set(drawn) == {*expected.split()}
    for name, figure in drawn.items():
        assert figure.get_suptitle()
        (origin,) = [text.get_text() for text in figure.texts if text.get_text().startswith("data: ")]
        assert origin.startswith(f"data: small.pkl · run: {lesson}")
        assert "2 epochs of " in origin and ("seed " in origin) == (lesson != "logistic_sgd")
        assert name in ("wrong", "weights") or any(axes.get_xlabel() for axes in figure.axes)
    if "confusion" in drawn:  # the pictures of the best model agree with its test error
        error = json.loads((runs / lesson / "result.json").read_text())["test_error"]
        assert drawn["confusion"].get_suptitle().endswith(f"({100 * error:.2f} %)")
        assert drawn["wrong"].get_suptitle().startswith(f"{100 * error:.0f} of 100 test images")


def test_the_costs_are_those_of_the_curve(runs, drawn):
    SdA.plot(runs / "SdA")
    panels = drawn["costs"].axes
    assert [axes.get_title() for axes in panels] == ["layer 0", "layer 1"]
    assert panels[0].get_ylabel() == "cost (nats an image)" and panels[0].get_xlabel() == "epoch"
    for layer, axes in enumerate(panels):
        (line,) = axes.get_lines()
        expected = [(each["epoch"], each["cost"]) for each in curve_of(runs / "SdA") if each.get("layer") == layer]
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
    # Patience is 4 minibatches of 2 an epoch. The validations' iterations are 1, 3, 5, 7. Epoch 1: 50 %, patience
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
    assert list(validation.get_xdata()) == [1, 2, 3, 4]
    np.testing.assert_allclose(validation.get_ydata(), [50, 40, 45, 39.9])
    assert list(test.get_xdata()) == [1, 2, 4]
    np.testing.assert_allclose(test.get_ydata(), [51, 41, 40.9])
    assert list(best.get_xdata()) == [4] and best.get_label() == "best: epoch 4, validation 39.90 %, test 40.90 %"
    assert "(%)" in above.get_ylabel() and below.get_ylabel() == "patience (epochs)"
    assert list(below.get_lines()[0].get_ydata()) == [2, 3, 3, 3]


def test_the_horizon_is_left_out_where_the_curve_does_not_tell_it():
    line = {"epoch": 1, "cost": 1, "iteration": 4, "validation_error": 0.5}
    assert drawing.horizon([line]) is None  # without the patience
    curve = [{**line, "patience": 8, "epoch": i, "iteration": iteration} for i, iteration in ((1, 4), (3, 12), (1, 8))]
    (axes,) = drawing.errors_figure(curve).axes
    assert "several validations" in axes.get_xlabel()


def test_the_confusion_matrix_counts_labels_in_rows():
    labels, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 2])
    counts = drawing.confusion(labels, predicted, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]
    figure = drawing.confusion_figure(counts)
    (axes,) = figure.axes
    assert figure.get_suptitle() == "Confusion matrix: 3 of 6 test images wrong (50.00 %)"
    assert axes.get_ylabel() == "label" and axes.get_xlabel().startswith("predicted class")
    shown = {(*map(int, text.get_position()[::-1]),): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "1", (0, 1): "1", (1, 1): "1", (2, 0): "2", (2, 2): "1"}


def test_wrong_images_have_their_label_and_their_prediction():
    images = np.arange(16.0).reshape(4, 4)
    figure = drawing.wrong_figure(images, np.array([3, 1, 2, 7]), np.array([3, 5, 2, 9]), (2, 2))
    assert figure.get_suptitle() == "2 of 4 test images are classified wrongly\nlabel → predicted class"
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1 → 5", "7 → 9"]
    for image, text, place in zip(axes.get_images(), axes.texts, (1, 3), strict=True):
        np.testing.assert_array_equal(image.get_array(), images[place].reshape(2, 2))
        left, right, below, above = image.get_extent()
        assert left < text.get_position()[0] < right and text.get_position()[1] < above < below


def test_reconstructions_are_the_lessons_own(runs, drawn):
    dA.plot(runs / "dA")
    names = [axes.get_ylabel() for axes in drawn["reconstructions"].axes]
    assert names == ["input", "0 % set to zero", "… reconstructed", "30 % set to zero", "… reconstructed"]
    clean, same, _, corrupted, rebuilt = (
        np.asarray(axes.get_images()[0].get_array()) for axes in drawn["reconstructions"].axes
    )
    np.testing.assert_array_equal(clean, same)
    ink = clean > 0
    assert 0.15 < np.mean(corrupted[ink] == 0) < 0.45 and not corrupted[~ink].any()  # 30 % of some 300 pixels
    assert (rebuilt != corrupted).any()


def test_weights_are_a_columns_image_each(runs, drawn):
    logistic_sgd.plot(runs / "logistic_sgd")
    W = SavedModel(runs / "logistic_sgd" / "model.npz", "logistic_sgd").arrays[0]
    panels = drawn["weights"].axes[:10]
    assert [axes.get_title() for axes in panels] == [f"class {label}" for label in range(10)]
    for label, axes in enumerate(panels):
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), W[:, label].reshape(7, 7))


@pytest.fixture
def copy(runs, tmp_path):
    """A copy of the SdA's run."""
    for path in (runs / "SdA").iterdir():
        if path.suffix in (".json", ".jsonl", ".npz"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_filters_are_those_before_and_after_finetuning(copy, drawn):
    saved = SavedModel(copy / "model.npz", "SdA")
    saved.arrays[0] = -saved.arrays[0]  # a fine-tuning that can be told from none in grey levels
    save_model(copy / "model.npz", [pytensor.shared(array, name="W") for array in saved.arrays], saved.about)
    SdA.plot(copy)
    before, after = drawn["filters"].axes
    assert (before.get_title(), after.get_title()) == ("after pre-training", "after fine-tuning")
    for axes, name in (before, "pretrained"), (after, "model"):
        W = SavedModel(copy / f"{name}.npz", "SdA").arrays[0]
        tiles = drawing.tile_raster_images(W.T, (7, 7), (1, 5), (1, 1))
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), tiles)


def plot(folder):
    return command(SdA.test_SdA, {}, ["--plot", str(folder)], predict=SdA.predict, plot=SdA.plot)


def test_an_unfinished_run_shows_what_is_there_and_says_so(copy, drawn, capsys):
    for name in "result.json", "model.npz", "pretrained.npz":
        (copy / name).unlink()
    assert plot(copy) == 0
    assert set(drawn) == {"costs", "errors"}
    out = capsys.readouterr().out
    assert f"the run in {copy} is not finished" in out
    assert "pretrained.npz and model.npz are not in" in out and out.count("left out") == 1
    assert drawn["errors"].texts[-1].get_text().endswith("not finished")


def test_the_recorded_runs_can_be_drawn(copy, drawn):
    for path in copy.glob("*.npz"):
        path.unlink()
    for lesson, (module, _, _, expected) in LESSONS.items():
        for name in "settings.json", "curve.jsonl", "result.json":
            (copy / name).write_bytes((RESULTS / lesson / name).read_bytes())
        drawn.clear()
        module.plot(copy)
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
        (lambda run: save_shapes(run, 9, 10), "does not fit the 49 inputs of small.pkl"),
        (lambda run: save_shapes(run, 49, 12), "tells more classes apart than small.pkl"),
        (lambda run: change(run / "settings.json", lesson="mlp"), "holds a run of the lesson 'mlp', not of 'SdA'"),
        (lambda run: change(run / "settings.json", dataset=OTHER_DATA), "its contents have another checksum"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_status_2(spoil, complaint, copy, drawn, capsys):
    spoil(copy)
    assert plot(copy) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1


def test_without_matplotlib_plot_ends_with_one_line(copy, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert plot(copy) == 2
    assert "matplotlib, which draws the pictures, is not installed" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1


def test_plot_goes_alone(copy, capsys):
    assert command(SdA.test_SdA, {}, ["--plot", str(copy), "--quick"], plot=SdA.plot) == 2
    assert "--plot goes alone" in capsys.readouterr().err


def test_pictures_of_the_embedded_digits_say_so(copy, drawn):
    change(copy / "settings.json", dataset={"name": "digits", "sha256": "0"})
    for path in copy.glob("*.npz"):
        path.unlink()
    SdA.plot(copy)
    assert "data: the embedded digits, not MNIST · run: " in drawn["errors_digits"].texts[-1].get_text()


def test_a_picture_is_a_png_of_its_size_and_names_are_shown_as_they_are(copy):
    """A formula's signs in the name of a data set are no formula."""
    change(copy / "settings.json", dataset={"name": "$\\oops{$.pkl", "sha256": "0"})
    figure = drawing.confusion_figure(np.eye(3, dtype=int))
    pictures.Pictures(copy, SdA.test_SdA).save(figure, "small", "Wᵀ, in a sentence.")
    assert pictures.caption_of(copy / "small.png") == "Wᵀ, in a sentence."
    header = (copy / "small.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20]) == drawing.WIDTH * drawing.DPI
    assert "data: $\\oops{$.pkl" in figure.texts[-1].get_text()


def test_pictures_are_not_written_through_links(small_dataset, tmp_path, interpreted):
    outside, run = tmp_path / "outside", tmp_path / "run"
    run.mkdir()
    for name in "costs", "filters_corruption_0":
        (run / f"{name}.png").symlink_to(outside)
    schedule = {"batch_size": 20, "training_epochs": 1, "n_hidden": 4, "corruption_levels": [0]}
    dA.test_dA(dataset=small_dataset, output_folder=run, **schedule)
    assert not outside.exists()


def test_pictures_that_fail_cost_a_run_nothing(small_dataset, tmp_path, monkeypatch, capsys, interpreted):
    def fail(*arguments):
        raise RuntimeError("no paper\nleft")

    monkeypatch.setattr(logistic_sgd, "plot", fail)
    arguments = ["--dataset", small_dataset, "--batch-size", "20", "--n-epochs", "1", "--output-folder", str(tmp_path)]
    assert command(logistic_sgd.sgd_optimization_mnist, {}, argv=arguments) == 0
    assert "pictures are left out: no paper left\n" in capsys.readouterr().err
    assert (tmp_path / "result.json").exists()
