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
from support.settings import parameters
from support.start import ROOT, UserError

import pytest

DRIVERS = [logistic_sgd.sgd_optimization_mnist, mlp.test_mlp, dA.test_dA, SdA.test_SdA]


def recording(driver):
    """A function with the driver's signature and docstring that records its arguments."""
    calls = []

    def record(*args, **kwargs):
        calls.append(inspect.signature(driver).bind(*args, **kwargs).arguments)

    record.__signature__ = inspect.signature(driver)
    record.__doc__ = driver.__doc__
    return record, calls


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_argument_is_documented_and_an_option_with_its_default(driver, capsys):
    with pytest.raises(SystemExit) as done:
        build_parser(driver, {}, {}).parse_args(["--help"])
    assert done.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    documented = parameters(driver)
    assert list(documented) == list(inspect.signature(driver).parameters)
    for name, parameter in inspect.signature(driver).parameters.items():
        kind, description, default = documented[name].type, documented[name].description, parameter.default
        metavar = {bool: "", str: "PATH"}.get(kind, kind.__name__.upper())
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        ending = "" if default is None or kind is bool else f" (default: {shown})"
        assert f"--{name.replace('_', '-')} {metavar}" in text and f"{description}{ending}" in text


def test_the_drivers_signatures_are_the_published_ones():
    def first(driver, n):
        return {name: p.default for name, p in list(inspect.signature(driver).parameters.items())[:n]}

    mnist = "mnist.pkl.gz"
    assert first(DRIVERS[0], 4) == {"learning_rate": 0.13, "n_epochs": 1000, "dataset": mnist, "batch_size": 600}
    assert first(DRIVERS[1], 7) == {
        "learning_rate": 0.01, "L1_reg": 0.0, "L2_reg": 0.0001, "n_epochs": 1000, "dataset": mnist, "batch_size": 20,
        "n_hidden": 500,
    }  # fmt: skip
    assert first(DRIVERS[2], 5) == {
        "learning_rate": 0.1, "training_epochs": 15, "dataset": mnist, "batch_size": 20, "output_folder": None,
    }  # fmt: skip
    assert first(DRIVERS[3], 6) == {
        "finetune_lr": 0.1, "pretraining_epochs": 15, "pretrain_lr": 0.001, "training_epochs": 1000, "dataset": mnist,
        "batch_size": 1,
    }  # fmt: skip
    seeds = [inspect.signature(driver).parameters["seed"].default for driver in DRIVERS[1:]]
    assert seeds == [1234, 123, 89677]


def test_options_become_arguments_of_their_type():
    driver, calls = recording(SdA.test_SdA)
    assert command(driver, quick={"batch_size": 20}, argv=[]) == 0
    argv = "--batch-size 20 --hidden-layers-sizes 1000 500 --corruption-levels .1 .2 --dataset digits".split()
    command(driver, quick={}, argv=argv)
    assert calls == [
        {},
        {"batch_size": 20, "hidden_layers_sizes": [1000, 500], "corruption_levels": [0.1, 0.2], "dataset": "digits"},
    ]


def test_quick_changes_the_schedule_and_the_folder_but_no_explicit_option():
    driver, calls = recording(SdA.test_SdA)
    command(driver, quick={"batch_size": 20, "training_epochs": 2}, argv=["--quick", "--training-epochs", "5"])
    folder = ROOT / "runs" / "test_command-quick"  # this file stands in for the lesson's
    assert calls == [{"batch_size": 20, "training_epochs": 5, "output_folder": str(folder)}]


def test_predict_goes_with_the_dataset_alone(capsys):
    driver, calls = recording(SdA.test_SdA)
    predicted = []

    def predict(model, dataset=None):
        """Show."""
        predicted.append((model, dataset))

    assert command(driver, {}, ["--predict", "m.npz", "--dataset", "digits"], predict=predict) == 0
    assert command(driver, {}, ["--predict", "m.npz"], predict=predict) == 0
    assert command(driver, {}, ["--predict", "m.npz", "--batch-size", "3"], predict=predict) == 2
    assert predicted == [("m.npz", "digits"), ("m.npz", None)] and not calls
    assert "--predict goes with --dataset only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, complaint",
    [
        (["--batch-size", "0"], "batch_size must be a whole number of at least 1, not 0"),
        (["--batch-size", "101"], "batch_size must be at most 100, the size of the smallest set, not 101"),
        (["--batch-size", "1.5"], "argument --batch-size: invalid int value: '1.5'"),
        (["--pretrain-lr", "nan"], "pretrain_lr must be a number of at least 0, not nan"),
        (["--corruption-levels", "0.1"], "corruption_levels must number the 3 hidden layers, not 1"),
        (["--hidden-layers-sizes"], "argument --hidden-layers-sizes: expected at least one argument"),
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


def raising(error):
    """A driver that raises this error."""

    def driver(seed=0):
        """Fail.

        Parameters
        ----------
        seed : int, at least 0
            Unused.
        """
        raise error

    return driver


def test_an_interrupt_gets_one_line_and_status_130(capsys):
    assert command(raising(KeyboardInterrupt()), {}, argv=[]) == 130
    assert capsys.readouterr().err == "test_command.py: interrupted\n"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "curve.jsonl"), MemoryError("no 8 TiB")])
def test_the_systems_complaints_get_one_line_and_status_2(error, capsys):
    assert command(raising(error), {}, argv=[]) == 2
    assert capsys.readouterr().err == f"test_command.py: error: {error}\n"


def test_other_errors_are_not_hidden():
    with pytest.raises(ValueError, match="a bug"):
        command(raising(ValueError("a bug")), {}, argv=[])
    assert issubclass(UserError, ValueError)  # what a notebook expects


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
