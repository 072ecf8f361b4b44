import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import support.__main__ as tool
import support.data
import support.data.mnist
from support.environment import ROOT
from support.errors import UserError
from support.files.pages import place
from support.rewrites import NAMES
from support.runs import recipes as table_of_recipes
from support.runs import results
from support.runs.recipes import RECIPES, RESULTS, read_recipes
from support.runs.results import (
    README,
    front_table,
    reproduce,
    results_table,
    write_front,
    write_page,
)

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


def part(epochs=0, rewrites=NAMES, processor="Abacus"):
    return {
        "epochs": epochs,
        "rewrites": rewrites,
        "machine": {"processor": processor, "cores": 4, "system": "Desk", "threads": "1"},
        "versions": dict.fromkeys(("python", "pytensor", "numpy", "scipy", "numba"), "9.9"),
    }


def record(folder, lesson, dataset="MNIST", settings=None, rewrites=NAMES, parts=None, **result):
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "lesson": lesson,
                "dataset": {"name": dataset, "sha256": "0"},
                "settings": {"dataset": dataset, "seed": 7, **(settings or {})},
                "floatX": "float32",
                "parts": parts or [part(rewrites=rewrites)],
                "files": ["settings.json", "result.json"],
            }
        )
    )
    (folder / "result.json").write_text(json.dumps({"seconds": {"pretraining": 60, "training": 36}, **result}))


def table_of(folder):
    """The table's lines below its head, without the notes."""
    lines = results_table(folder)
    return lines[2 : lines.index("")]


def test_a_finished_run_is_a_line_beside_the_published_figures(tmp_path):
    record(tmp_path / "SdA", "SdA", validation_error=0.0138, test_error=0.0142, epochs=36)
    (tmp_path / "mlp").mkdir()  # which has not finished
    assert table_of(tmp_path) == ["| SdA | MNIST | 1.39 | 1.38 | 1.30 | 1.42 ▲ | 1029 | 1.6 | 36 | 7 |"]
    header, rule, line, *notes = results_table(tmp_path)
    assert header.count("|") == rule.count("|") == line.count("|")
    assert "▲ above the published figure." in notes


def test_a_run_of_seconds_takes_some_time_all_the_same(tmp_path):
    for name, seconds in ("mlp", 2.4), ("SdA", 3.1):
        record(tmp_path / name, name, seconds={"training": seconds}, validation_error=0.5, test_error=0.5, epochs=1)
    assert ["| < 0.1 |" in line for line in table_of(tmp_path)] == [True, False]


def test_an_error_is_marked_where_it_shows_to_be_above_the_published_one(tmp_path):
    record(tmp_path / "mlp", "mlp", validation_error=0.01694, test_error=0.01656, epochs=1000)
    assert "| 1.69 | 1.69 | 1.65 | 1.66 ▲ |" in table_of(tmp_path)[0]


def test_the_machine_is_told_once_for_all_runs_that_it_made(tmp_path):
    made_with = {"mlp": [], "SdA": NAMES, "SdA-seed-1": NAMES, "SdA-seed-2": ["gone", *NAMES[2:]]}
    for name, rewrites in made_with.items():
        record(tmp_path / name, name[:3], rewrites=rewrites, validation_error=0.5, test_error=0.5, epochs=1)
    told = ", 1 thread of Abacus, 4 cores, Desk; Python 9.9, PyTensor 9.9, NumPy 9.9"
    assert [line.split(told)[0] for line in results_table(tmp_path) if told in line] == [
        "mlp: float32, without the graph rewrites",
        "SdA, SdA-seed-1: float32, with the graph rewrites",
        f"SdA-seed-2: float32, with the graph rewrites but {NAMES[0]}, {NAMES[1]}",
    ]


def test_published_figures_stand_beside_the_published_recipe_on_mnist_only(tmp_path):
    record(tmp_path / "SdA", "SdA", dataset="digits", validation_error=0.01, test_error=0.01, epochs=36)
    record(tmp_path / "SdA-no-pretraining", "SdA", validation_error=0.01, test_error=0.01, epochs=36)
    for line in table_of(tmp_path):
        assert not any(f"| {figure} |" in line for figure in ("1.39", "1.30", "1029"))


def test_runs_that_differ_in_their_seeds_are_summed_up(tmp_path):
    """Test errors 1.2, 1.4 and 1.6 %: mean 1.4, sample standard deviation 0.2; so too the epochs 30, 40 and 50."""
    figures = {"SdA": (0.012, 30), "SdA-seed-1": (0.014, 40), "SdA-seed-2": (0.016, 50)}
    for seed, (name, (error, epochs)) in enumerate(figures.items()):
        settings = {"seed": seed, "option": None} if seed else {"seed": seed}  # the first is from before there was one
        record(tmp_path / name, "SdA", settings=settings, validation_error=0.013, test_error=error, epochs=epochs)
    record(tmp_path / "SdA-wide", "SdA", settings={"width": 9}, validation_error=0.5, test_error=0.5, epochs=1)
    record(tmp_path / "SdA-digits", "SdA", dataset="digits", validation_error=0.5, test_error=0.5, epochs=1)
    for seed, name in enumerate(["SdA-no-pretraining", "SdA-no-pretraining-seed-1"]):
        settings = {"seed": seed, "pretraining_epochs": 0}
        record(tmp_path / name, "SdA", settings=settings, validation_error=0.02, test_error=0.03, epochs=20 + seed)
    assert table_of(tmp_path)[-2:] == [
        "| SdA, 3 seeds | MNIST | 1.39 | 1.30 ± 0.00 | 1.30 | 1.40 ± 0.20 ▲ | 1029 | 1.6 ± 0.0 | 40 ± 10 | – |",
        "| SdA-no-pretraining, 2 seeds | MNIST | – | 2.00 ± 0.00 | – | 3.00 ± 0.00 | – | 1.6 ± 0.0 | 20 ± 1 | – |",
    ]


def test_the_published_pair_is_judged_as_a_draw_from_the_spread(tmp_path):
    """Test errors 1.2, 1.4 and 1.6 %: 1.30 is 0.1 / (0.2 sqrt(4/3)) = 0.433 deviations away, of which Student's t with
    2 degrees of freedom has 1 - t / sqrt(2 + t^2) = 0.71 on both sides together."""
    for seed, error in enumerate((0.012, 0.014, 0.016)):
        name = f"SdA-seed-{seed}" if seed else "SdA"
        record(tmp_path / name, "SdA", settings={"seed": seed}, validation_error=0.0139, test_error=error, epochs=1)
    (note,) = (line for line in results_table(tmp_path) if "degrees of freedom" in line)
    assert note.startswith("SdA, test error: if the published 1.30 %") and "probability 0.71" in note


def test_reproduce_runs_what_has_no_record_and_writes_the_page(tmp_path, monkeypatch):
    commands = []

    def run(command):
        commands.append([*map(str, command)])
        lesson = Path(command[1]).stem
        record(Path(command[-1]), lesson, validation_error=0.0139, test_error=0.013, epochs=36)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    record(tmp_path / "mlp", "mlp", validation_error=0.0169, test_error=0.0165, epochs=1000)
    (tmp_path / "mlp" / "filters.png").touch()
    page = reproduce(tmp_path).read_text(encoding="utf-8")
    assert {Path(command[-1]).name for command in commands} == read_recipes().keys() - {"mlp"}
    ((python, script, *options),) = [each for each in commands if each[-1].endswith("SdA-no-pretraining")]
    assert python == sys.executable and Path(script) == ROOT / "code" / "SdA.py"
    assert options == ["--pretraining-epochs", "0", "--output-folder", str(tmp_path / "SdA-no-pretraining")]
    assert "\n".join(results_table(tmp_path)) in page and "![mlp: filters](mlp/filters.png)" in page


def test_reproduce_writes_readme_where_the_folder_is_that_of_the_records_alone(tmp_path, monkeypatch):
    """With a record of each recipe, so that there is nothing to run."""
    (tmp_path / "README.md").write_text(place("lessons"), encoding="utf-8")
    monkeypatch.setattr(results, "README", tmp_path / "README.md")
    for name, recipe in read_recipes().items():
        record(tmp_path / "runs" / name, recipe.lesson, validation_error=0.0139, test_error=0.013, epochs=36)
    reproduce(tmp_path / "runs")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == place("lessons")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "runs")
    reproduce(tmp_path / "runs")
    assert "| [Multilayer perceptron](code/mlp.py) |" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_run_in_a_folder_named_after_another_lesson_is_not_the_published_recipe(tmp_path):
    record(tmp_path / "mlp", "SdA", validation_error=0.0169, test_error=0.0165, epochs=36)
    assert table_of(tmp_path) == ["| mlp | MNIST | – | 1.69 | – | 1.65 | – | 1.6 | 36 | 7 |"]


def test_reproduce_stops_where_a_run_fails_and_writes_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command: subprocess.CompletedProcess(command, 143))
    with pytest.raises(UserError, match="logistic_sgd ended with status 143"):
        reproduce(tmp_path)
    assert not list(tmp_path.iterdir())


def emptied(page):
    """A page whose generated parts are empty."""
    return re.sub(r"(?ms)^(<!-- (\w+): .*? -->\n).*?(<!-- end of \2 -->)$", r"\1\3", page)


def test_the_recorded_page_is_that_of_the_records(tmp_path):
    recorded = (RESULTS / "README.md").read_text(encoding="utf-8")
    shutil.copytree(RESULTS, tmp_path / "results")
    assert "| SdA |" in recorded and "| SdA |" not in emptied(recorded)
    (tmp_path / "results" / "README.md").write_text(emptied(recorded), encoding="utf-8")
    assert write_page(tmp_path / "results").read_text(encoding="utf-8") == recorded


def test_readme_shows_the_lessons_with_the_figures_of_the_records(tmp_path):
    recorded = README.read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(emptied(recorded), encoding="utf-8")
    assert "(code/SdA.py) |" in recorded and "(code/SdA.py) |" not in emptied(recorded)
    assert write_front(tmp_path / "README.md").read_text(encoding="utf-8") == recorded


def test_the_front_table_has_a_line_for_each_lesson_and_means_of_the_seeds(tmp_path):
    """Test errors 1.2, 1.4 and 1.6 %: mean 1.4, above the published 1.30."""
    record(tmp_path / "mlp", "mlp", validation_error=0.0168, test_error=0.0165, epochs=1000)
    for seed, (name, error) in enumerate({"SdA": 0.012, "SdA-seed-1": 0.014, "SdA-seed-2": 0.016}.items()):
        record(tmp_path / name, "SdA", settings={"seed": seed}, validation_error=0.013, test_error=error, epochs=1)
    record(tmp_path / "SdA-wide", "SdA", settings={"width": 9}, validation_error=0.5, test_error=0.5, epochs=1)
    _, _, *lines = front_table(tmp_path)
    both = "validation error %, test error %"
    assert lines[:4] == [
        f"| [Logistic regression](code/logistic_sgd.py) | {both} | 7.50, 7.49 | –, – |",  # which has no record here
        f"| [Multilayer perceptron](code/mlp.py) | {both} | 1.69, 1.65 | 1.68, 1.65 |",
        "| [Denoising autoencoder](code/dA.py) | – | – | – |",
        f"| [Stacked denoising autoencoder](code/SdA.py) | {both} | 1.39, 1.30 | 1.30, 1.40 ▲, means of 3 seeds |",
    ]
    assert "▲ above the published figure." in lines


def test_a_lesson_is_added_by_its_rows_alone(tmp_path):
    """Bounds -101.04 and -99 nats: mean -100.02, which is -100.0 at one digit and so not below the published one."""
    (tmp_path / "recipes.toml").write_text(RECIPES.read_text(encoding="utf-8") + ADDED, encoding="utf-8")
    recipes = read_recipes(tmp_path / "recipes.toml")
    record(tmp_path / "mlp", "mlp", validation_error=0.0168, test_error=0.0165, epochs=1000)
    record(tmp_path / "own", "own", bound=-101.04, test_error=0.25, epochs=3)
    record(tmp_path / "own-seed-1", "own", settings={"seed": 1}, bound=-99, test_error=0.35, epochs=5)
    lines = results_table(tmp_path, recipes)
    start = lines.index("") + 1  # a table of its own: its figures are others
    assert lines[start : start + 5] == [
        "| run | data | bound nats, published | reproduced | test error %, published | reproduced "
        "| minutes, published | reproduced | epochs | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| own | MNIST | -100.0 | -101.0 ▼ | – | 25.0 | 4 | 1.6 | 3 | 7 |",
        "| own-seed-1 | MNIST | – | -99.0 | – | 35.0 | – | 1.6 | 5 | 1 |",
        "| own, 2 seeds | MNIST | -100.0 | -100.0 ± 1.4 | – | 30.0 ± 7.1 | 4 | 1.6 ± 0.0 | 4 ± 1 | – |",
    ]
    assert "▼ below the published figure." in lines
    assert "The bound is one of the test images." in lines
    assert "Published minutes: mlp on Intel Core i7-2600K, 3.40 GHz; own on a slide rule." in lines
    link, figures = "[A lesson of one's own](code/own.py)", "bound nats, test error %"
    line = f"| {link} | {figures} | -100.0, – | -100.0, 30.0, means of 2 seeds |"
    assert line in front_table(tmp_path, recipes)


def test_a_lesson_that_no_row_names_is_shown_without_figures(tmp_path):
    record(tmp_path / "mine", "mine", validation_error=0.5)
    record(tmp_path / "mlp", "mlp", validation_error=0.0168, test_error=0.0165, epochs=1000)
    record(tmp_path / "mine-again", "yours")
    record(tmp_path / "mine-too", "mine")
    assert table_of(tmp_path)[1:] == [
        f"| {name} | MNIST | – | – | – | – | – | 1.6 | – | 7 |" for name in ("mine", "mine-too", "mine-again")
    ]


def test_the_front_table_shows_what_there_is_of_a_record_on_mnist(tmp_path):
    record(tmp_path / "mlp", "mlp", test_error=0.0165)
    record(tmp_path / "SdA", "SdA", dataset="digits", validation_error=0.01, test_error=0.01, epochs=36)
    _, _, _, perceptron, _, stack, *_ = front_table(tmp_path)
    assert perceptron.endswith("| 1.69, 1.65 | –, 1.65 |") and stack.endswith("| 1.39, 1.30 | –, – |")


@pytest.mark.parametrize(
    "change, complaint",
    [
        (('lesson = "mlp"', ""), "its content.run.1 lacks 'lesson'"),
        (('name = "dA"', 'name = "mlp"'), "two rows are named 'mlp'"),
        (('lesson = "dA"', 'lesson = "../dA"'), "its content.run.2.lesson is wrong: ../dA"),
        (("published = 1.65", 'published = "1.65"'), "its content.run.1.figures.1.published is wrong: 1.65"),
        (("published = 1.65", "publshed = 1.65"), "row 2 has a field 'publshed', which nothing reads"),
        (('options = ["--seed", "1"]', 'option = ["--seed", "1"]'), "row 5 has a field 'option', which nothing reads"),
        (("digits = 2", "digits = -2"), "its content.run.0.figures.0.digits is wrong: -2"),
        (("digits = 2", "digits = 2, digits = 3"), "Duplicate inline table key"),
        (("[[run]]", "[[run"), "Expected ']]'"),
        (("[97.34]", "[" * 100_000), ""),
        (("97.34", "9" * 5000), ""),
    ],
)
def test_a_fault_in_the_table_of_recipes_is_told_in_one_line(tmp_path, monkeypatch, change, complaint):
    text = RECIPES.read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "recipes.toml").write_text(text.replace(*change, 1), encoding="utf-8")
    monkeypatch.setattr(table_of_recipes, "RECIPES", tmp_path / "recipes.toml")
    with pytest.raises(UserError, match="recipes.toml is wrong: ") as refusal:
        results_table(tmp_path)
    assert complaint in str(refusal.value) and str(refusal.value).isprintable()


def test_a_missing_table_of_recipes_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="recipes.toml cannot be read: No such file"):
        read_recipes(tmp_path / "recipes.toml")


def test_a_run_that_was_continued_elsewhere_tells_of_both_machines(tmp_path):
    parts = [part(), part(epochs=12, rewrites=[], processor="Slide rule")]
    record(tmp_path / "mlp", "mlp", parts=parts, validation_error=0.0168, test_error=0.0165, epochs=20)
    (note,) = (line for line in results_table(tmp_path) if line.startswith("mlp: float32"))
    one, other = note.split("; from its epoch 13 on, counted over all phases, ")
    assert one.startswith("mlp: float32, with the graph rewrites, 1 thread of Abacus, 4 cores")
    assert other.startswith("without the graph rewrites, 1 thread of Slide rule, 4 cores")


STOPPED_EARLY = [name for name, recipe in read_recipes().items() if recipe.lesson in ("logistic_sgd", "mlp", "SdA")]


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


def test_a_lesson_without_labels_has_no_errors(tmp_path):
    record(tmp_path / "dA", "dA")
    assert table_of(tmp_path)[0] == "| dA | MNIST | – | – | – | – | – | 1.6 | – | 7 |"


@pytest.mark.parametrize("name", ["settings.json", "result.json"])
@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"lesson": "x"}', '{"seconds": {"a": "1"}}', "[" * 100_000, "9" * 5000]
)
def test_a_damaged_record_is_told_in_one_line(tmp_path, name, content):
    record(tmp_path / "SdA", "SdA", validation_error=0.0138, test_error=0.0142, epochs=36)
    (tmp_path / "SdA" / name).write_text(content)
    with pytest.raises(UserError, match=f"{name} is damaged .*make the run again, or remove its folder") as refusal:
        results_table(tmp_path)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("parts", [[], {}, [{"epochs": 0}], [part(epochs=-1)], [{**part(), "rewrites": "all"}]])
def test_a_record_with_damaged_parts_is_told_in_one_line(tmp_path, parts):
    record(tmp_path / "mlp", "mlp", validation_error=0.0168, test_error=0.0165, epochs=20)
    settings = json.loads((tmp_path / "mlp" / "settings.json").read_text())
    (tmp_path / "mlp" / "settings.json").write_text(json.dumps(settings | {"parts": parts}))
    with pytest.raises(UserError, match="settings.json is damaged .*parts.*: make the run again"):
        results_table(tmp_path)


def test_runs_without_epochs_are_not_summed_up(tmp_path):
    for name in "SdA", "SdA-seed-1":
        record(tmp_path / name, "SdA", validation_error=0.013, test_error=0.013)
    assert len(table_of(tmp_path)) == 2


def test_readme_shows_the_table_of_the_records():
    assert "\n".join(results_table()) in (RESULTS / "README.md").read_text(encoding="utf-8")
    assert "\n".join(front_table()) in README.read_text(encoding="utf-8")


def test_make_run_falls_back_to_the_embedded_digits_with_a_notice(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(support.data, "DATA", tmp_path)
    monkeypatch.setattr(support.data.mnist, "MIRRORS", ["http://127.0.0.1:1/"])  # where nothing answers
    monkeypatch.chdir(tmp_path)
    tool.main(["dataset"])
    captured = capsys.readouterr()
    assert captured.out == "digits\n" and tool.NOTICE in captured.err

    (tmp_path / "train-images-idx3-ubyte.gz").write_text("damaged")
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    with pytest.raises(UserError, match="MNIST_DIR"):  # somebody who has the files does not want others instead
        tool.main(["dataset"])


@pytest.mark.mnist
def test_make_run_uses_mnist_where_it_is(capsys):
    tool.main(["dataset"])
    assert capsys.readouterr().out == "mnist\n"
