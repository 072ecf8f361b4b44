"""Rows of a matrix as a picture of tiles. The lessons show their filters in this form."""

import numpy as np


def scale_to_unit_interval(ndar, eps=1e-8):
    """Shift and scale an array's values to the interval from 0 to 1.

    `eps` keeps a constant array from dividing by zero; because of it the largest value comes out just below 1.
    """
    shifted = ndar - ndar.min()
    return shifted / (shifted.max() + eps)


def tile_raster_images(
    X, img_shape, tile_shape, tile_spacing=(0, 0), scale_rows_to_unit_interval=True, output_pixel_vals=True
):
    """Lay the rows of a matrix out as the tiles of one picture, from left to right, then from top to bottom.

    Parameters
    ----------
    X : array, (n, height * width), or a tuple of four such arrays or None
        Each row an image, flattened. A tuple gives the red, green, blue and alpha channels; None is a channel of
        zeros, for alpha an opaque one.
    img_shape : (int, int)
        Height and width of an image.
    tile_shape : (int, int)
        Rows and columns of tiles. Images beyond them are left out; tiles without an image stay black.
    tile_spacing : (int, int)
        Pixels between the tiles.
    scale_rows_to_unit_interval : bool
        Whether to stretch each image's values to 0..1 first.
    output_pixel_vals : bool
        Whether to return bytes, the values multiplied by 255, or else the values in X's type.

    Returns
    -------
    array, (height, width) of the picture, or (height, width, 4) for a tuple
    """
    img_shape, tile_shape, tile_spacing = np.array(img_shape), np.array(tile_shape), np.array(tile_spacing)
    pitch = img_shape + tile_spacing
    height, width = tile_shape * pitch - tile_spacing

    if isinstance(X, tuple):
        if len(X) != 4:
            raise ValueError(f"X must be one array, or four for red, green, blue and alpha, not {len(X)}")
        dtype = np.uint8 if output_pixel_vals else next(channel.dtype for channel in X if channel is not None)
        picture = np.zeros((height, width, 4), dtype=dtype)
        picture[..., 3] = 255 if output_pixel_vals else 1
        for i, channel in enumerate(X):
            if channel is not None:
                picture[..., i] = tile_raster_images(
                    channel, img_shape, tile_shape, tile_spacing, scale_rows_to_unit_interval, output_pixel_vals
                )
        return picture

    picture = np.zeros((height, width), dtype=np.uint8 if output_pixel_vals else X.dtype)
    for image, (row, column) in zip(X, np.ndindex(*tile_shape)):
        if scale_rows_to_unit_interval:
            image = scale_to_unit_interval(image)
        top, left = pitch * (row, column)
        tile = picture[top : top + img_shape[0], left : left + img_shape[1]]
        tile[:] = image.reshape(img_shape) * (255 if output_pixel_vals else 1)
    return picture
