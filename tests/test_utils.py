from utils import scale_to_unit_interval, tile_raster_images

import numpy as np
import pytest


def test_values_are_shifted_and_scaled():
    np.testing.assert_allclose(scale_to_unit_interval(np.array([-1.0, 0, 3])), [0, 0.25, 1], rtol=1e-8)
    assert not scale_to_unit_interval(np.full(3, 7.0)).any()  # and no division by zero


def test_tiles_go_from_left_to_right_then_down_with_spacing_between():
    X = np.arange(1, 9).reshape(4, 2)  # four images of 1 x 2
    picture = tile_raster_images(X, (1, 2), (2, 2), (1, 1), scale_rows_to_unit_interval=False, output_pixel_vals=False)
    np.testing.assert_array_equal(picture, [[1, 2, 0, 3, 4], [0, 0, 0, 0, 0], [5, 6, 0, 7, 8]])
    assert picture.dtype == X.dtype


def test_images_beyond_the_tiles_are_left_out_and_tiles_without_one_stay_black():
    X = np.arange(1, 4).reshape(3, 1)
    options = {"scale_rows_to_unit_interval": False, "output_pixel_vals": False}
    np.testing.assert_array_equal(tile_raster_images(X, (1, 1), (1, 2), **options), [[1, 2]])
    np.testing.assert_array_equal(tile_raster_images(X, (1, 1), (2, 2), **options), [[1, 2], [3, 0]])


def test_each_row_is_scaled_for_itself_to_bytes():
    picture = tile_raster_images(np.array([[0.0, 10], [3, 2]]), (1, 2), (1, 2))
    assert picture.dtype == np.uint8
    # eps keeps the largest value just below 1, and 255 times it is cut to 254.
    np.testing.assert_array_equal(picture, [[0, 254, 254, 0]])


def test_four_channels_make_a_colour_picture_with_an_opaque_default():
    ones = np.ones((1, 1))
    picture = tile_raster_images((ones, None, 0 * ones, None), (1, 1), (1, 1), scale_rows_to_unit_interval=False)
    np.testing.assert_array_equal(picture, [[[255, 0, 0, 255]]])
    with pytest.raises(ValueError, match="four"):
        tile_raster_images((ones, ones), (1, 1), (1, 1))
