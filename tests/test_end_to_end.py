"""The commands as a person types them, on the embedded digits."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import logistic_sgd
import mlp
from lessons import FLAGS, REWRITING_FLAGS
from support.start import ROOT

import pytensor
import pytest

WITHOUT_EXTRAS = """
import sys
sys.modules.update(PIL=None, matplotlib=None, tqdm=None)
import dA
dA.test_dA(training_epochs=1, dataset=sys.argv[1], output_folder="run")
"""


def run(*arguments, cwd):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module", params=["100 100", pytest.param("1000 1000 1000", marks=pytest.mark.slow)])
def quick(tmp_path_factory, request):
    """`python code/SdA.py --quick --dataset digits`, with these layers, elsewhere, and where its files are."""
    folder = tmp_path_factory.mktemp("quick")
    arguments = "--quick --dataset digits --output-folder run --hidden-layers-sizes".split() + request.param.split()
    return run(ROOT / "code" / "SdA.py", *arguments, cwd=folder), folder / "run"


def test_quick_shows_all_phases_and_leaves_its_records(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout + done.stderr) & set("\r\x1b\x08")
    for phase in ("pre-training the model", "Pre-training layer 1, epoch 0", "finetunning", "Optimization complete"):
        assert phase in done.stdout
    assert "the embedded digits" in done.stdout
    assert "these figures are for digits: only MNIST's compare with the published ones" in done.stdout
    names = {path.name for path in folder.iterdir()} - {".lock"}
    pictures = "costs", "errors", "filters", "filters_layer_0", "reconstructions", "confusion", "wrong"
    files = {"checkpoint.npz", "settings.json", "curve.jsonl", "result.json", "model.npz", "pretrained.npz"}
    assert names == files | {f"{name}_digits.png" for name in pictures}
    settings = json.loads((folder / "settings.json").read_text())
    assert (
        settings["floatX"] == "float32" and settings["dataset"]["name"] == "digits" and set(settings["files"]) == names
    )
    predicted = run(ROOT / "code" / "SdA.py", "--predict", "run/model.npz", cwd=folder.parent)
    test_error = json.loads((folder / "result.json").read_text())["test_error"]
    assert f"test error {100 * test_error:f} % of 10000 images" in predicted.stdout, predicted.stderr


@pytest.mark.slow
@pytest.mark.parametrize("quick", ["1000 1000 1000"], indirect=True)
def test_the_lessons_rank_on_the_embedded_digits_as_on_mnist(quick, tmp_path):
    _, folder = quick
    sda = json.loads((folder / "result.json").read_text())["test_error"]
    logistic = logistic_sgd.sgd_optimization_mnist(
        dataset="digits", n_epochs=74, output_folder=tmp_path / "1"
    ).test_error
    perceptron = mlp.test_mlp(dataset="digits", n_epochs=4, learning_rate=0.1, output_folder=tmp_path / "2").test_error
    assert 0.05 < logistic < 0.10  # 7.5 % on MNIST
    assert perceptron < logistic / 2
    assert sda < logistic / 2


def test_a_run_with_and_without_rewrites_gives_the_same_curve(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", f"floatX=float64,{REWRITING_FLAGS}")  # compiled: see test_parity
    schedule = "--pretraining-epochs 1 --training-epochs 2 --hidden-layers-sizes 12 11 --batch-size 1".split()
    sets = pickle.loads(Path(small_dataset).read_bytes())
    (tmp_path / "smaller.pkl").write_bytes(pickle.dumps(tuple((x[:20], y[:20]) for x, y in sets)))
    curves = []
    for names in (["none"], ["all"]):
        done = run(
            ROOT / "code" / "SdA.py", "--dataset", "smaller.pkl", *schedule, "--output-folder", "run",
            "--rewrites", *names, "--fresh", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
        curves.append([{name: value for name, value in line.items() if name != "seconds"} for line in lines])
        settings = json.loads((tmp_path / "run" / "settings.json").read_text())
        assert bool(settings["parts"][0]["rewrites"]) == (names == ["all"]) and settings["floatX"] == "float64"
    for plain, rewritten in zip(*curves, strict=True):
        assert rewritten == pytest.approx(plain, rel=1e-9)


def test_without_the_extras_a_lesson_trains_all_the_same(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", FLAGS)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "code"))
    done = run("-c", WITHOUT_EXTRAS, small_dataset, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pictures are left out: matplotlib, which draws the pictures, is not installed" in done.stderr
    assert (tmp_path / "run" / "model_corruption_30.npz").exists()


def test_compiling_leaves_no_files_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = "import support, pytensor, pytensor.tensor as pt; x = pt.vector(); pytensor.function([x], pt.exp(x).sum())"
    done = run("-c", script, cwd=ROOT / "code")
    assert done.returncode == 0, done.stderr
    if hasattr(pytensor.config, "generated_src_dir"):  # with PyTensor 3.0 they stay there
        assert not list(tmp_path.iterdir())
