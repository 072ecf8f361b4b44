import json

import pytest

import support.__main__ as tool
import support.data
import support.mnist
from support import ROOT
from support.errors import UserError
from support.results import PUBLISHED, results_table


def record(folder, lesson, dataset="MNIST", settings=None, **result):
    folder.mkdir()
    (folder / "settings.json").write_text(
        json.dumps({"lesson": lesson, "dataset": {"name": dataset}, "settings": {"seed": 7, **(settings or {})}})
    )
    (folder / "result.json").write_text(json.dumps({"seconds": {"pretraining": 60, "training": 36}, **result}))


def test_a_finished_run_is_a_line_beside_the_published_figures(tmp_path):
    record(tmp_path / "SdA", "SdA", validation_error=0.0138, test_error=0.0142, epochs=36)
    (tmp_path / "mlp").mkdir()  # which has not finished
    header, rule, *lines = results_table(tmp_path)
    assert lines == ["| SdA | MNIST | 1.39 | 1.38 | 1.30 | 1.42 | 1029 | 1.6 | 36 | 7 |"]
    assert header.count("|") == rule.count("|") == lines[0].count("|")


def test_published_figures_stand_beside_the_published_recipe_on_mnist_only(tmp_path):
    record(tmp_path / "SdA", "SdA", dataset="digits", validation_error=0.01, test_error=0.01, epochs=36)
    record(tmp_path / "SdA-no-pretraining", "SdA", validation_error=0.01, test_error=0.01, epochs=36)
    for line in results_table(tmp_path)[2:]:
        assert not any(f"| {figure} |" in line for figure in PUBLISHED["SdA"])


def test_runs_that_differ_in_their_seeds_are_summed_up(tmp_path):
    """Test errors 1.2, 1.4 and 1.6 %: mean 1.4, sample standard deviation 0.2; so too the epochs 30, 40 and 50."""
    figures = {"SdA": (0.012, 30), "SdA-seed-1": (0.014, 40), "SdA-seed-2": (0.016, 50)}
    for seed, (name, (error, epochs)) in enumerate(figures.items()):
        record(tmp_path / name, "SdA", settings={"seed": seed}, validation_error=0.013, test_error=error, epochs=epochs)
    record(tmp_path / "SdA-wide", "SdA", settings={"width": 9}, validation_error=0.5, test_error=0.5, epochs=1)
    record(tmp_path / "SdA-digits", "SdA", dataset="digits", validation_error=0.5, test_error=0.5, epochs=1)
    last = results_table(tmp_path)[-1]
    expected = "1.39 | 1.30 ± 0.00 | 1.30 | 1.40 ± 0.20 | 1029 | 1.6 ± 0.0 | 40 ± 10 | – |"
    assert last == f"| SdA, 3 seeds | MNIST | {expected}"


def test_a_lesson_without_labels_has_no_errors(tmp_path):
    record(tmp_path / "dA", "dA")
    assert results_table(tmp_path)[2] == "| dA | MNIST | – | – | – | – | – | 1.6 | – | 7 |"


def test_readme_shows_the_table_of_the_records():
    assert "\n".join(results_table()) in (ROOT / "README.md").read_text()


def test_readme_shows_the_benchmark_that_is_recorded():
    table = (ROOT / "data" / "results" / "benchmark" / "table.md").read_text()
    assert table.strip() in (ROOT / "README.md").read_text()


def test_make_run_falls_back_to_the_embedded_digits_with_a_notice(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(support.data, "DATA", tmp_path)
    monkeypatch.setattr(support.mnist, "MIRRORS", ["http://127.0.0.1:1/"])  # where nothing answers
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
