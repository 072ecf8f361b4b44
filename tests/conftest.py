"""MNIST for the tests that are marked with it, and a small data set for the others."""

import pickle

from graphs import interpreting, kernel_mode
from support.data import fetch_mnist
from support.data.digits import make_digits
from support.start import UnavailableError

import numpy as np
import pytensor
import pytest

# The files that take longest. Each core runs whole files, which share fixtures and compiled kernels, these first.
FIRST = "test_end_to_end.py", "test_updates.py", "test_parity.py", "test_exercises.py", "test_decoder.py"
missing_mnist = None
pytensor.config.cxx = ""  # or else PyTensor compiles by a C++ compiler what it folds or interprets, a second each time


def pytest_addoption(parser):
    group = parser.getgroup("rewrites", "how much the tests of support/rewrites try")
    group.addoption("--graphs", type=int, default=40, help="random graphs that are interpreted (default: %(default)s)")
    group.addoption("--compiled-graphs", type=int, default=6, help="with machine code (default: %(default)s)")
    group.addoption("--all-sizes", action="store_true", help="all odd sizes of each lesson, not two")
    group.addoption("--graph-seed", type=int, default=0, help="of the random graphs (default: %(default)s)")


@pytest.hookimpl(trylast=True)  # after what is not to run has been left out
def pytest_collection_modifyitems(items):
    """Long files first. Without MNIST, skip the tests that need it; a MNIST_DIR that is set and wrong is an error."""
    global missing_mnist
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
    needing = [item for item in items if "mnist" in item.keywords]
    if not needing:
        return
    try:
        fetch_mnist()
    except UnavailableError as error:
        missing_mnist = f"{len(needing)} TESTS THAT NEED MNIST WERE SKIPPED: {error}"
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="needs MNIST"))


def pytest_terminal_summary(terminalreporter):
    if missing_mnist:
        terminalreporter.section("MNIST", red=True, bold=True)
        terminalreporter.write_line(missing_mnist, red=True, bold=True)


@pytest.fixture
def interpreted():
    """PyTensor's graphs, run node by node by NumPy: nothing to compile for tests of a few numbers."""
    with interpreting():
        yield


@pytest.fixture
def kernels():
    """Graphs are run node by node, too, but this project's operations by their machine code, compiled once for all."""
    with pytensor.config.change_flags(mode=kernel_mode()):
        yield


@pytest.fixture
def float64():
    with pytensor.config.change_flags(floatX="float64"):
        yield


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory):
    """The path of a pickle with 300 / 100 / 100 embedded digits of 7 x 7 pixels."""
    path = tmp_path_factory.mktemp("data") / "small.pkl"
    sets = []
    for x, y in make_digits((300, 100, 100)):
        x = x.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).astype(np.uint8)
        sets.append((x.reshape(-1, 49), y.astype(np.int64)))
    path.write_bytes(pickle.dumps(tuple(sets)))
    return str(path)
