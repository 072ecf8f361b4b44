"""The embedded digits: the same bytes everywhere, laid out as MNIST's are."""

from support.data import DIGITS_SHA256, checksum, digits
from support.data.digits import make_digits

import numpy as np
import pytest


@pytest.fixture(scope="module")
def sets():
    return make_digits()


@pytest.fixture(scope="module")
def images(sets):
    """All images, (70000, 28, 28)."""
    return np.concatenate([x for x, _ in sets]).reshape(-1, 28, 28)


def test_the_bytes_are_the_same_on_every_machine(sets):
    assert [(x.shape, y.shape) for x, y in sets] == [((n, 784), (n,)) for n in (50_000, 10_000, 10_000)]
    assert checksum(sets) == DIGITS_SHA256


def test_short_sets_begin_the_long_ones_however_the_work_is_cut(sets, monkeypatch):
    monkeypatch.setattr(digits, "CHUNK", 7)
    (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = make_digits((300, 20, 1))
    x, y = np.concatenate([train_x, valid_x, test_x]), np.concatenate([train_y, valid_y, test_y])
    assert (len(train_x), len(valid_x), len(test_x)) == (300, 20, 1)
    np.testing.assert_array_equal(x, sets[0][0][:321])
    np.testing.assert_array_equal(y, sets[0][1][:321])
    assert [len(y) for _, y in make_digits((3, 0, 1))] == [3, 0, 1]  # most skeletons are not drawn at all


def test_ink_stays_in_a_box_of_twenty_pixels_and_spans_most_of_it(images):
    # Rows, then columns: from the first with ink to the last.
    spans = [28 - ink.argmax(axis=1) - ink[:, ::-1].argmax(axis=1) for ink in (images.any(axis=2), images.any(axis=1))]
    assert np.max(spans) <= 20
    assert np.maximum(*spans).min() >= 17  # the longer side is fitted to 18 to 20, edges included


def test_centre_of_mass_is_the_middle_to_the_pixel(images):
    mass = images.sum(axis=(1, 2), dtype=np.int64)
    middle = 2 * np.arange(28) + 1  # in half pixels; the field's is at 28
    for axis in (1, 2):
        off = images.sum(axis=axis, dtype=np.int64) @ middle - 28 * mass  # in half pixels, times the mass
        assert (np.abs(off) <= mass).all()  # half a pixel
        assert abs((off / mass).mean()) < 0.02  # and rounded to the nearest, neither up nor down


def test_classes_are_about_equally_frequent_and_in_random_order(sets):
    for _, y in sets:
        n = len(y)
        # A class's count is binomial, of standard deviation sqrt(n * 0.1 * 0.9): four of them.
        assert np.abs(np.bincount(y, minlength=10) - n / 10).max() < 4 * np.sqrt(0.09 * n)
        # So is the count of neighbours that are alike.
        assert abs((y[1:] == y[:-1]).sum() - n / 10) < 4 * np.sqrt(0.09 * n)


def test_every_skeleton_is_drawn_as_its_digit_with_its_share():
    for digit in range(10):
        drawn = [digits.SKELETONS[k] for k in digits.KINDS[digit]]
        assert {d for d, _, _ in drawn} == {digit}
        assert len(drawn) == 6
    assert set(digits.KINDS.ravel()) == set(range(len(digits.SKELETONS)))
