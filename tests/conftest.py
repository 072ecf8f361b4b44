"""MNIST for the tests that are marked with it; where it is not to be had, they are skipped, loudly."""

import pytest

import support.mnist
from support.data import DATA, fetch_mnist
from support.errors import UserError


def pytest_collection_modifyitems(config, items):
    needing = [item for item in items if "mnist" in item.keywords]
    if not needing:
        return
    try:
        fetch_mnist()
    except UserError as error:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=f"needs MNIST: {error}"))
