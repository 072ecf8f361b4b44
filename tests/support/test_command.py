import inspect
import sys
from types import ModuleType, SimpleNamespace

import dA
import logistic_sgd
import mlp
import SdA
from support.command import build_parser, command
from support.console import progress
from support.runs.clock import COMPILES, PASSES, Compiling
from support.runs.interruption import Interrupted
from support.settings import parameters
from support.start import ROOT, UserError

import pytest

MNIST = "mnist.pkl.gz"
PUBLISHED = {  # the drivers, with the arguments that the original has and their defaults
    logistic_sgd.sgd_optimization_mnist: {
        "learning_rate": 0.13, "n_epochs": 1000, "dataset": MNIST, "batch_size": 600,
    },
    mlp.test_mlp: {
        "learning_rate": 0.01, "L1_reg": 0.0, "L2_reg": 0.0001, "n_epochs": 1000, "dataset": MNIST, "batch_size": 20,
        "n_hidden": 500, "seed": 1234,
    },
    dA.test_dA: {
        "learning_rate": 0.1, "training_epochs": 15, "dataset": MNIST, "batch_size": 20, "output_folder": None,
        "seed": 123,
    },
    SdA.test_SdA: {
        "finetune_lr": 0.1, "pretraining_epochs": 15, "pretrain_lr": 0.001, "training_epochs": 1000, "dataset": MNIST,
        "batch_size": 1, "seed": 89677,
    },
}  # fmt: skip


@pytest.mark.parametrize("driver", PUBLISHED)
def test_a_signature_is_the_published_one_and_each_argument_an_option_with_its_default(driver, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "9999")  # or else a line may be broken at a hyphen
    defaults = {name: each.default for name, each in inspect.signature(driver).parameters.items()}
    by_position = [name for name in PUBLISHED[driver] if name != "seed"]
    assert list(defaults)[: len(by_position)] == by_position and PUBLISHED[driver].items() <= defaults.items()
    with pytest.raises(SystemExit):
        build_parser(driver, {}, {}).parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, parameter in parameters(driver).items():
        metavar = {bool: "", str: "PATH"}.get(parameter.type, parameter.type.__name__.upper())
        shown = " ".join(map(str, defaults[name])) if isinstance(defaults[name], list) else defaults[name]
        ending = "" if shown is None or parameter.type is bool else f" (default: {shown})"
        assert f"--{name.replace('_', '-')} {metavar}" in text and f"{parameter.description}{ending}" in text


@pytest.fixture
def recording():
    """A function with the signature and the docstring of a driver, and the list of its arguments at each call."""
    calls = []

    def record(**arguments):
        calls.append(arguments)

    record.__signature__, record.__doc__ = inspect.signature(SdA.test_SdA), SdA.test_SdA.__doc__
    return record, calls


def test_options_become_arguments_of_their_type_and_quick_changes_those_that_are_not_given(recording):
    driver, calls = recording
    argv = "--batch-size 20 --hidden-layers-sizes 1000 500 --corruption-levels .1 .2 --dataset digits".split()
    for given in [], argv, ["--quick", "--training-epochs", "5"]:
        assert command(driver, {"batch_size": 10, "training_epochs": 2}, given) == 0
    folder = str(ROOT / "runs" / "test_command-quick")  # this file stands in for the lesson's
    assert calls == [
        {},
        {"batch_size": 20, "hidden_layers_sizes": [1000, 500], "corruption_levels": [0.1, 0.2], "dataset": "digits"},
        {"batch_size": 10, "training_epochs": 5, "output_folder": folder},
    ]


def test_predict_goes_with_the_dataset_alone(recording, capsys):
    driver, calls = recording
    predicted = []

    def predict(model, dataset=None):
        """Show."""
        predicted.append((model, dataset))

    argv = ["--predict", "m.npz", "--dataset", "digits"]
    for status, given in (0, argv), (0, argv[:2]), (2, [*argv[:2], "--batch-size", "3"]):
        assert command(driver, {}, given, predict=predict) == status
    assert predicted == [("m.npz", "digits"), ("m.npz", None)] and not calls
    assert "--predict goes with --dataset only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, complaint",
    [
        (["--batch-size", "0"], "batch_size must be a whole number of at least 1, not 0"),
        (["--batch-size", "101"], "batch_size must be at most 100, the size of the smallest set, not 101"),
        (["--batch-size", "1.5"], "argument --batch-size: invalid int value: '1.5'"),
        (["--corruption-levels", "0.1"], "corruption_levels must number the 3 hidden layers, not 1"),
        (["--dataset", "cifar"], "dataset 'cifar' does not exist: give mnist"),
        (["--learning-rate", "1"], "unrecognized arguments: --learning-rate 1"),
        (["--predict", "missing.npz"], "missing.npz cannot be read: No such file or directory"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(argv, complaint, small_dataset, tmp_path, capsys):
    base = ["--dataset", small_dataset] if "--dataset" not in argv else []
    folder = ["--output-folder", str(tmp_path)] if "--predict" not in argv else []
    assert command(SdA.test_SdA, {}, [*base, *folder, *argv], predict=SdA.predict) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"SdA.py: error: {complaint}")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error, status, told",
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(15, "epoch 2"), 143, "stopped (epoch 2): the same command goes on from there"),
        (OSError(28, "No space left on device", "x"), 2, "error: [Errno 28] No space left on device: 'x'"),
        (MemoryError("no 8 TiB"), 2, "error: no 8 TiB"),
        (ValueError("a bug"), None, ""),  # is not hidden
    ],
)
def test_an_interrupt_and_the_systems_complaints_get_one_line(error, status, told, capsys):
    def driver():
        """Fail."""
        raise error

    try:
        assert command(driver, {}, argv=[]) == status
        assert capsys.readouterr().err == f"test_command.py: {told}\n"
    except ValueError:
        assert status is None and issubclass(UserError, ValueError)  # what a notebook expects


def test_there_is_a_bar_on_a_terminal_alone(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert list(progress(range(3), "epoch 1")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress(range(3), "epoch 1")) == [0, 1, 2]
    assert "epoch 1" in capsys.readouterr().err


def test_a_notebook_has_its_own_bar_where_ipywidgets_is(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    notebook = ModuleType("IPython")
    notebook.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert list(progress(range(3), "epoch 1")) == [0, 1, 2]
    assert "epoch 1" in capsys.readouterr().err  # in plain text
    monkeypatch.setitem(sys.modules, "ipywidgets", ModuleType("ipywidgets"))
    bar = ModuleType("tqdm.notebook")
    bar.tqdm = lambda iterable, desc, **named: [desc, *iterable]
    monkeypatch.setitem(sys.modules, "tqdm.notebook", bar)
    assert progress(range(3), "epoch 1") == ["epoch 1", 0, 1, 2]


def test_a_terminal_shows_that_machine_code_is_compiled(monkeypatch, capsys):
    for is_terminal in False, True:
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal, raising=False)
        compiling, whole, part = Compiling(), SimpleNamespace(kind=COMPILES), SimpleNamespace(kind=PASSES)
        compiling.on_start(whole)
        compiling.started -= 3
        compiling.on_start(whole)  # a function that the first one calls
        compiling.on_start(part)
        for each in part, whole, whole:
            compiling.on_end(each)
        err = capsys.readouterr().err
        assert ("compiling machine code, which is kept for the next run: 3 s" in err) == is_terminal
        assert not err.strip() or err.rsplit("\r", 2)[-2].strip() == ""  # the line is cleared
        assert 3 <= compiling.seconds < 4
