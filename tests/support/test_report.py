"""The tables and pages of published and reproduced figures. Where a test writes no recipes, they are the project's."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import support.__main__ as tool
import support.data
import support.data.mnist
from support import report
from support.pictures import caption_of
from support.report import comparison, place, refresh, reproduce, write_page
from support.report.recipes import RECIPES, RESULTS, Lesson, read_recipes
from support.report.tables import front_table, results_table
from support.rewrites import NAMES
from support.start import ROOT, UserError

import pytest

ADDED = """
[[run]]
name = "own"
lesson = "own"
title = "A lesson of one's own"
figures = [
    { field = "bound", name = "bound", unit = "nats", digits = 1, lower_is_better = false, published = -100 },
    { field = "test_error", name = "test error", unit = "%", digits = 1, lower_is_better = true },
]
published_minutes = [1.5, 2]
published_on = "a slide rule"
note = "The bound is one of the test images."

[[run]]
name = "own-seed-1"
lesson = "own"
options = ["--seed", "1"]
"""


def part(rewrites=NAMES, processor="Abacus"):
    return {
        "epochs": 0,
        "rewrites": rewrites,
        "machine": {"processor": processor, "cores": 4, "system": "Desk", "threads": "1"},
        "versions": dict.fromkeys(("python", "pytensor", "numpy", "scipy", "numba"), "9.9"),
    }


def record(folder, lesson, dataset="MNIST", settings=None, parts=None, **result):
    """A finished run. If no result is given, the errors are some of the usual size."""
    result = result or {"validation_error": 0.0139, "test_error": 0.013, "epochs": 36}
    folder.mkdir(parents=True)
    about = {
        "lesson": lesson,
        "dataset": {"name": dataset, "sha256": "0"},
        "settings": {"dataset": dataset, "seed": 7, **(settings or {})},
        "floatX": "float32",
        "parts": parts or [part()],
        "files": ["settings.json", "result.json"],
    }
    (folder / "settings.json").write_text(json.dumps(about))
    (folder / "result.json").write_text(json.dumps({"seconds": {"pretraining": 60, "training": 36}, **result}))


def rows_of(folder):
    """The rows of runs in the tables."""
    return [line for line in results_table(folder) if re.match(r"\| (?!run )", line)]


def test_a_finished_run_is_a_row_beside_the_published_figures(tmp_path):
    """If it is one of the published recipe on MNIST."""
    record(tmp_path / "SdA", "SdA", validation_error=0.0138, test_error=0.0142, epochs=36)
    record(tmp_path / "mlp", "mlp", validation_error=0.01694, test_error=0.01656, seconds={"training": 2.4}, epochs=9)
    (tmp_path / "dA").mkdir()  # which has not finished
    record(tmp_path / "SdA-no-pretraining", "SdA", settings={"option": 1}, test_error=0.01)
    record(tmp_path / "logistic_sgd", "SdA", settings={"option": 2})  # named after another lesson
    record(tmp_path / "mine", "../mine", validation_error=0.5)  # a lesson that no row names
    assert rows_of(tmp_path) == [
        "| mlp | MNIST | 1.69 | 1.69 | 1.65 | 1.66 ▲ | 97 | < 0.1 | 9 | 7 |",
        "| logistic_sgd | MNIST | – | 1.39 | – | 1.30 | – | 1.6 | 36 | 7 |",
        "| SdA | MNIST | 1.39 | 1.38 | 1.30 | 1.42 ▲ | 1029 | 1.6 | 36 | 7 |",
        "| SdA-no-pretraining | MNIST | – | – | – | 1.00 | – | 1.6 | – | 7 |",
        "| mine | MNIST | – | 1.6 | – | 7 |",
    ]
    header, rule, line, *notes = results_table(tmp_path)
    assert header.count("|") == rule.count("|") == line.count("|")
    assert "▲ above the published figure." in notes
    assert "Published minutes: on Intel Core i7-2600K, 3.40 GHz." in notes


def test_published_figures_do_not_stand_beside_digits(tmp_path):
    record(tmp_path / "SdA", "SdA", dataset="digits", validation_error=0.01, test_error=0.01, epochs=36)
    assert rows_of(tmp_path) == ["| SdA | digits | – | 1.00 | – | 1.00 | – | 1.6 | 36 | 7 |"]
    assert front_table(tmp_path)[5].endswith("| 1.39, 1.30 | –, – |")


def test_each_record_tells_with_what_it_was_made(tmp_path):
    made_with = {"SdA-wide": [part([])], "SdA": None, "SdA-seed-1": [part(), part()], "SdA-seed-2": [part(NAMES[1:])]}
    made_with["SdA-seed-3"] = [part(), part(processor="Slide rule")]
    for name, parts in made_with.items():
        record(tmp_path / name, name[:3], parts=parts)
    machine = ", 1 thread of {}, 4 cores, Desk; Python 9.9, PyTensor 9.9, NumPy 9.9, SciPy 9.9, Numba 9.9"
    abacus, rule = machine.format("Abacus"), machine.format("Slide rule")
    assert results_table(tmp_path)[-7::2] == [
        f"SdA, SdA-seed-1: float32, with the graph rewrites{abacus}.",
        f"SdA-seed-2: float32, with the graph rewrites but {NAMES[0]}{abacus}.",
        f"SdA-seed-3: float32, with the graph rewrites{abacus}; later with the graph rewrites{rule}.",
        f"SdA-wide: float32, without the graph rewrites{abacus}.",
    ]


def test_runs_that_differ_in_their_seeds_are_summed_up(tmp_path):
    """Test errors 1.2, 1.4 and 1.6 %: mean 1.4, sample standard deviation 0.2; so too the epochs 30, 40 and 50."""
    figures = {"SdA": (0.012, 30), "SdA-seed-1": (0.014, 40), "SdA-seed-2": (0.016, 50)}
    for seed, (name, (error, epochs)) in enumerate(figures.items()):
        settings = {"seed": seed, "option": None} if seed else {"seed": seed}  # the first is from before there was one
        record(tmp_path / name, "SdA", settings=settings, validation_error=0.013, test_error=error, epochs=epochs)
    record(tmp_path / "SdA-wide", "SdA", settings={"width": 9})
    record(tmp_path / "SdA-digits", "SdA", dataset="digits")
    for seed, further in enumerate([{"test_error": 0.03}, {}]):  # a mean of some of the runs would mislead
        settings, name = {"seed": seed, "pretraining_epochs": 0}, "SdA-no-pretraining" + "-seed-1" * seed
        record(tmp_path / name, "SdA", settings=settings, validation_error=0.02, epochs=20 + seed, **further)
    record(tmp_path / "mlp", "mlp", validation_error=0.0168, test_error=0.0165, epochs=1000)
    assert rows_of(tmp_path)[-2:] == [
        "| SdA, 3 seeds | MNIST | 1.39 | 1.30 ± 0.00 | 1.30 | 1.40 ± 0.20 ▲ | 1029 | 1.6 ± 0.0 | 40 ± 10 | – |",
        "| SdA-no-pretraining, 2 seeds | MNIST | – | 2.00 ± 0.00 | – | – | – | 1.6 ± 0.0 | 20 ± 1 | – |",
    ]
    _, _, *lines = front_table(tmp_path)
    both = "validation error %, test error %"
    assert lines[:4] == [
        f"| [Logistic regression](code/logistic_sgd.py) | {both} | 7.50, 7.49 | –, – |",  # which has no record here
        f"| [Multilayer perceptron](code/mlp.py) | {both} | 1.69, 1.65 | 1.68, 1.65 |",
        "| [Denoising autoencoder](code/dA.py) | – | – | – |",
        f"| [Stacked denoising autoencoder](code/SdA.py) | {both} | 1.39, 1.30 | 1.30, 1.40 ▲, means of 3 seeds |",
    ]
    assert "▲ above the published figure." in lines


def test_reproduce_runs_what_has_no_record_and_writes_the_pages(tmp_path, monkeypatch):
    """The table in README is written only if the folder is that of the records."""
    commands, runs, readme = {}, tmp_path / "runs", tmp_path / "README.md"

    def run(command):
        folder = Path(command[-1])
        commands[folder.name] = command
        record(folder, Path(command[1]).stem)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(report, "README", readme)
    readme.write_text(place("lessons"), encoding="utf-8")
    record(runs / "mlp", "mlp", validation_error=0.0169, test_error=0.0165, epochs=1000)
    page = reproduce(runs).read_text(encoding="utf-8")
    assert commands.keys() == {name for lesson in read_recipes().values() for name in lesson.runs} - {"mlp"}
    script, folder = ROOT / "code" / "SdA.py", runs / "SdA-no-pretraining"
    options = ["--pretraining-epochs", "0", "--output-folder", str(folder)]
    assert commands[folder.name] == [sys.executable, str(script), *options]
    assert "\n".join(results_table(runs)) in page and readme.read_text(encoding="utf-8") == place("lessons")
    monkeypatch.setattr(report, "RESULTS", runs)
    commands.clear()
    reproduce(runs)
    assert not commands and "| [Multilayer perceptron](code/mlp.py) |" in readme.read_text(encoding="utf-8")


def test_a_figure_is_shown_once_with_its_caption_and_links_to_those_of_other_runs(tmp_path):
    for name in "pca", "pca-10", "pca-seed-1":
        record(tmp_path / name, "pca")
        (tmp_path / name / "costs.png").touch()
    (tmp_path / "pca" / "my_own.png").touch()
    caption = b"iTXtDescription" + bytes(5) + b"A [1] * 2."
    (tmp_path / "pca" / "costs.png").write_bytes((len(caption) - 4).to_bytes(4) + caption)
    assert write_page(tmp_path).read_text(encoding="utf-8").splitlines()[-9:-1] == [
        "### Linear autoencoder",
        "",
        "![pca: costs](pca/costs.png)<br>",
        r"A \[1\] \* 2. Other runs: [pca-seed-1](pca-seed-1/costs.png), [pca-10](pca-10/costs.png).",
        "",
        "![pca: my own](pca/my_own.png)<br>",
        "pca: my own.",
        "",
    ]


def test_reproduce_stops_where_a_run_fails_and_writes_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command: subprocess.CompletedProcess(command, 143))
    with pytest.raises(UserError, match="logistic_sgd ended with status 143"):
        reproduce(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_recorded_pages_are_those_of_the_records(tmp_path, monkeypatch):
    shutil.copytree(RESULTS, tmp_path / "results")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    monkeypatch.setattr(report.subprocess, "run", lambda command: pytest.fail(f"there is no record of {command}"))
    pages = {tmp_path / "results" / "README.md": RESULTS / "README.md", tmp_path / "README.md": ROOT / "README.md"}
    for page, recorded in pages.items():
        emptied = re.sub(r"(?ms)^(<!-- (\w+): .*? -->\n).*?(<!-- end of \2 -->)$", r"\1\3", recorded.read_text("utf-8"))
        assert "SdA" in recorded.read_text("utf-8") and len(emptied) < len(recorded.read_text("utf-8"))
        page.write_text(emptied, encoding="utf-8")
    reproduce(tmp_path / "results")
    for page, recorded in pages.items():
        assert page.read_text(encoding="utf-8") == recorded.read_text(encoding="utf-8")


def test_a_lesson_is_added_by_its_rows_alone(tmp_path):
    """Bounds -101.04 and -99 nats: mean -100.02, which is -100.0 at one digit and so not below the published one."""
    (tmp_path / "recipes.toml").write_text(RECIPES.read_text(encoding="utf-8") + ADDED, encoding="utf-8")
    recipes = read_recipes(tmp_path / "recipes.toml")
    record(tmp_path / "own", "own", bound=-101.04, test_error=0.25, epochs=3)
    record(tmp_path / "own-seed-1", "own", settings={"seed": 1}, bound=-99, test_error=0.35, epochs=5)
    lines = results_table(tmp_path, recipes)
    assert lines[:5] == [
        "| run | data | bound nats, published | reproduced | test error %, published | reproduced "
        "| minutes, published | reproduced | epochs | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| own | MNIST | -100.0 | -101.0 ▼ | – | 25.0 | 4 | 1.6 | 3 | 7 |",
        "| own-seed-1 | MNIST | – | -99.0 | – | 35.0 | – | 1.6 | 5 | 1 |",
        "| own, 2 seeds | MNIST | -100.0 | -100.0 ± 1.4 | – | 30.0 ± 7.1 | 4 | 1.6 ± 0.0 | 4 ± 1 | – |",
    ]
    assert "▼ below the published figure." in lines
    assert "The bound is one of the test images." in lines
    assert "Published minutes: on a slide rule." in lines
    link, figures = "[A lesson of one's own](code/own.py)", "bound nats, test error %"
    line = f"| {link} | {figures} | -100.0, – | -100.0, 30.0, means of 2 seeds |"
    assert line in front_table(tmp_path, recipes)


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        ('lesson = "mlp"', "", "row 2: add_row() missing 1 required positional argument: 'lesson'"),
        ('name = "dA"', 'name = "mlp"', "row 3: another row is named 'mlp', too"),
        ("[97.34]", '["97.34"]', "row 2: unsupported operand"),
        ('lesson = "dA"', 'lesson = "../dA"', "row 3: '../dA' is not the name of a file"),
        ('name = "dA"', 'name = "../dA"', "row 3: '../dA' is not the name of a file"),
        ("published = 1.65", 'published = "1.65"', "row 2: Unknown format code 'f'"),
        ("published = 1.65", "publshed = 1.65", "row 2: Figure.__init__() got an unexpected keyword argument 'publsh"),
        ('options = ["--seed", "1"]', "options = [1]", "row 5: sequence item 0: expected str instance, int found"),
        ('options = ["--seed", "1"]', 'note = "mine"', "row 5: only the first row of SdA has figures, title"),
        ("digits = 2", "digits = -2", "row 1: Format specifier missing precision"),
        ("[[run]]", "[[run", "Expected ']]'"),
        ("[97.34]", "[" * 100_000, "its form is different"),
        ("97.34", "9" * 5000, ""),
    ],
)
def test_a_fault_in_the_table_of_recipes_is_told_in_one_line(tmp_path, old, new, complaint):
    text = RECIPES.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "recipes.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match="recipes.toml is damaged") as refusal:
        read_recipes(tmp_path / "recipes.toml")
    assert complaint in str(refusal.value) and str(refusal.value).isprintable()


STOPPED_EARLY = [name for lesson in ("logistic_sgd", "mlp", "SdA") for name in read_recipes()[lesson].runs]


@pytest.mark.parametrize("name", STOPPED_EARLY)
def test_the_recorded_curves_hold_the_patience(name):
    """The rule, played again: at a validation at iteration i that is below 0.995 times the best, max(patience, 2 i)."""
    settings = json.loads((RESULTS / name / "settings.json").read_text())
    minibatches = 50_000 // settings["settings"]["batch_size"]
    patience = {"logistic_sgd": 5_000, "mlp": 10_000, "SdA": 10 * minibatches}[settings["lesson"]]
    best, ended = 1.0, False
    for line in map(json.loads, (RESULTS / name / "curve.jsonl").read_text().splitlines()):
        assert not ended
        ended = "layer" not in line and line["epoch"] * minibatches > patience
        is_cut = ended and "validation_error" not in line  # the last epoch of a newer record tells the patience, too
        assert is_cut or ("patience" in line) == ("validation_error" in line)
        if "validation_error" in line:
            if line["validation_error"] < 0.995 * best:
                patience = max(patience, 2 * (line["iteration"] - 1))
            best = min(best, line["validation_error"])
        assert line.get("patience", patience) == patience
    assert ended or line["epoch"] == settings["settings"].get("n_epochs")


@pytest.mark.parametrize("name", ["settings.json", "result.json"])
def test_a_damaged_record_is_told_in_one_line(tmp_path, name):
    record(tmp_path / "SdA", "SdA", validation_error=0.0138, test_error=0.0142, epochs=36)
    (tmp_path / "SdA" / name).write_text('{"seconds": {"a": "1"}, "parts": []}')
    with pytest.raises(UserError, match=f"{name} is damaged .*make the run again, or remove its folder") as refusal:
        results_table(tmp_path)
    assert str(refusal.value).isprintable()


def test_only_what_is_between_the_marks_of_a_page_changes(tmp_path):
    """A backslash in the text or in a line is not taken for a part of a pattern. Without the marks nothing changes."""
    page = tmp_path / "page.md"
    page.write_text(f"Before \\1\n{place('a')}between \\g<0>, ä\n{place('b')}after", encoding="utf-8")
    for lines in ["old"], ["new \\1"]:
        refresh(page, {"b": ["B"], "a": lines}, "")
    begin_a, end_a, begin_b, end_b = (place("a") + place("b")).splitlines()
    a, b = [begin_a, "", "new \\1", "", end_a], [begin_b, "", "B", "", end_b]
    assert page.read_text(encoding="utf-8").split("\n") == ["Before \\1", *a, "between \\g<0>, ä", *b, "after"]
    with pytest.raises(UserError, match="has no place for its table: move the page away") as refusal:
        refresh(page, {"a": ["newer"], "table": ["new"]}, "")
    assert "newer" not in page.read_text(encoding="utf-8") and "\n" not in str(refusal.value)


def test_seeds_of_a_recipe_share_a_colour_and_other_options_have_another(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    errors = {"a": [0.5, 0.25], "a-seed-1": [0.4, 0.3], "a-less": [0.6], "b": [0.5], "b-seed-1": []}
    for name, values in errors.items():
        lines = [{"epoch": 0, "cost": 1.0}]  # of pre-training
        lines += [{**lines[0], "epoch": i, "iteration": i, "validation_error": x} for i, x in enumerate(values, 1)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "curve.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    options = {"a-seed-1": ["--seed", "1"], "a-less": ["--seed", "2", "--epochs", "0"], "b-seed-1": ["--seed", "1"]}
    runs = {name: options.get(name, []) for name in [*errors, "a-missing"]}
    lessons = {x: Lesson(x, runs={name: each for name, each in runs.items() if name[0] == x}) for x in "ab"}
    monkeypatch.setattr(comparison, "read_recipes", lambda: lessons)
    drawn, draw = {}, comparison.comparison_figure
    monkeypatch.setattr(comparison, "comparison_figure", lambda *what: drawn.setdefault(what[0], draw(*what)))
    comparison.draw_comparisons(tmp_path)
    # One run of b has a curve: there is nothing to compare.
    assert [(path.name, caption_of(path)) for path in tmp_path.glob("*.png")] == [("a.png", comparison.CAPTION)]
    one, other, less = drawn["a"].axes[0].get_lines()
    points = [line.get_xydata().tolist() for line in (one, other, less)]
    assert points == [[[1, 50], [2, 25]], [[1, 40], [2, 30]], [[1, 60]]]
    assert one.get_color() == other.get_color() != less.get_color()
    labels = [text.get_text() for text in drawn["a"].axes[0].get_legend().get_texts()]
    assert labels == ["the published recipe, 2 seeds", "--epochs 0, 1 seed"]


def test_make_run_falls_back_to_the_embedded_digits_with_a_notice(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(support.data, "DATA", tmp_path)
    monkeypatch.setattr(support.data.mnist, "MIRRORS", ["http://127.0.0.1:1/"])  # where nothing answers
    monkeypatch.chdir(tmp_path)
    assert tool.main(["dataset"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "digits\n" and tool.NOTICE in captured.err

    (tmp_path / "train-images-idx3-ubyte.gz").write_text("damaged")
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    assert tool.main(["dataset"]) == 2  # somebody who has the files does not want others instead
    assert re.match("error: .*MNIST_DIR", capsys.readouterr().err)

    monkeypatch.setattr(tool, "fetch_mnist", lambda: "here")
    monkeypatch.setattr(tool, "write_pages", lambda: "index.html")
    assert tool.main(["dataset"]) == tool.main(["pages"]) == 0
    assert capsys.readouterr().out == "mnist\nthe pages begin with index.html\n"
