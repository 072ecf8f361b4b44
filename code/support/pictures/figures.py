"""Figures from plain numbers. They need matplotlib, but no display, and do not use matplotlib's global state."""

from support.errors import UserError
from utils import tile_raster_images

import numpy as np

# Colours that colour-blind readers can tell apart: M. Okabe and K. Ito, Color Universal Design, 2008.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
COLOURS = [BLUE, ORANGE, GREEN, PURPLE, SKY]
WIDTH = 7.5  # inches
DPI = 150
MOST_CLASSES = 100  # in a picture
MOST_COUNTED_CLASSES = 20  # with more classes, the cells are too small for their counts
N_FILTERS = 10, 10  # rows and columns of images
N_WRONG = 6, 12  # rows and columns of images
N_RECONSTRUCTED = 10


def new_figure(height, **options):
    """A figure without a window, and its axes. `options` are those of matplotlib's `subplots`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib, which draws the pictures, is not installed (pip install matplotlib)") from error
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(squeeze=False, **options).ravel()
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def whole_numbers(axis):
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def markers(values, marker="o"):
    """Options of a line: a mark for each value if there are few of them, as the line could be overlooked."""
    return {"marker": marker, "markersize": 3} if len(values) <= 50 else {}


def costs_figure(series, together=False):
    """The mean cost of each epoch.

    `series` is {name: (epochs, costs)}, with names such as "layer 0". If they are `together`, they share their axes.
    Otherwise each has its own axes, because the costs may differ in size.
    """
    n_panels = 1 if together else len(series)
    n_columns = min(3, n_panels)
    n_rows = -(-n_panels // n_columns)
    figure, panels = new_figure(
        1.2 + 2.4 * n_rows + (together and 1), nrows=n_rows, ncols=n_columns, sharex=not together
    )
    for place, (name, (epochs, costs)) in enumerate(series.items()):
        axes = panels[0 if together else place]
        axes.plot(epochs, costs, color=COLOURS[place % len(COLOURS)], label=name, **markers(epochs))
        if not together:
            axes.set_title(name, fontsize="medium")
    for axes in panels[n_panels:]:
        axes.set_visible(False)
    for axes in panels[:n_panels]:
        whole_numbers(axes.xaxis)
        axes.set_xlabel("epoch")
    for axes in panels[:n_panels:n_columns]:
        axes.set_ylabel("cost (nats an image)")
    if together:
        panels[0].legend(frameon=False)
    figure.suptitle("Cost of reconstruction, mean of each epoch")
    return figure


def horizon(validations):
    """The minibatches an epoch, and a list of the patience, in minibatches, after each validation.

    `validations` are the lines of a curve with a validation error. If an epoch had several validations, its line holds
    only the last one. Then the minibatches an epoch cannot be known, and None is returned.
    """
    n_train_batches = validations[0]["iteration"] // validations[0]["epoch"]
    whole_epochs = [line["epoch"] * n_train_batches for line in validations]
    if whole_epochs != [line["iteration"] for line in validations] or not all(
        "patience" in line for line in validations
    ):
        return None
    return n_train_batches, [line["patience"] for line in validations]


def errors_figure(curve):
    """Validation and test error by epoch, and below them the epochs that the patience allows.

    `curve` is a list of dict. At least one has a validation error.
    """
    validations = [line for line in curve if "validation_error" in line]
    tested = [line for line in validations if "test_error" in line]
    best = min(validations, key=lambda line: line["validation_error"])
    epochs = [line["epoch"] for line in validations]
    known = horizon(validations)

    ratios = [2, 1] if known else [1]
    figure, panels = new_figure(5.5 if known else 4, nrows=len(ratios), sharex=True, height_ratios=ratios)
    axes = panels[0]
    errors = [100 * line["validation_error"] for line in validations]
    axes.plot(epochs, errors, color=BLUE, linewidth=1.2, label="validation error", **markers(epochs))
    axes.plot(
        [line["epoch"] for line in tested], [100 * line["test_error"] for line in tested],
        color=ORANGE, linewidth=1.2, linestyle="--", label="test error of each new best model", **markers(tested, "s"),
    )  # fmt: skip
    label = f"best: epoch {best['epoch']}, validation {100 * best['validation_error']:.2f} %"
    if "test_error" in best:
        label += f", test {100 * best['test_error']:.2f} %"
    axes.plot(
        best["epoch"], 100 * best["validation_error"],
        color="black", marker="*", markersize=11, linestyle="none", label=label, zorder=3,
    )  # fmt: skip
    logarithmic_percent(axes, [*errors, *(100 * line["test_error"] for line in tested)])
    axes.set_ylabel("images classified wrongly (%)")
    axes.legend(frameon=False)
    figure.suptitle("Validation and test error, and early stopping" if known else "Validation and test error")

    if known:
        n_train_batches, patience = known
        below = panels[1]
        below.step(
            epochs, [value / n_train_batches for value in patience], where="post", color=GREEN, linewidth=1.5,
            label="horizon: epochs that patience allows", **markers(epochs),
        )  # fmt: skip
        below.plot([0, epochs[-1]], [0, epochs[-1]], color="0.5", linewidth=1, linestyle=":", label="epochs trained")
        below.set_ylabel("patience (epochs)")
        below.set_ylim(bottom=0)
        below.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=2)
    for each in panels:
        each.axvline(best["epoch"], color="0.8", linewidth=1, zorder=0)
    whole_numbers(panels[-1].xaxis)
    panels[-1].set_xlim(left=0)
    panels[-1].set_xlabel("epoch" if known else "epoch (several validations in each, the last is shown)")
    return figure


def logarithmic_percent(axes, values):
    """Make the y axis logarithmic, with plain numbers at its ticks. If no value is above 0, change nothing."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    positive = [value for value in values if value > 0]
    if not positive:
        return
    axes.set_yscale("log")
    steps = [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] if max(positive) < 8 * min(positive) else [1, 2, 5]
    low, high = min(positive) * 0.93, max(positive) * 1.07
    ticks = [step * 10.0**power for power in range(-4, 3) for step in steps]
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", color="0.92")


def filters_figure(weights, image_shape):
    """The first hundred filters of one or more layers, side by side.

    `weights` is {name: array (n_in, n_hidden)}, with names such as "after pre-training".
    """
    figure, panels = new_figure(WIDTH / len(weights) + 0.9, ncols=len(weights))
    height, width = image_shape
    for axes, (name, W) in zip(panels, weights.items()):
        tiles = tile_raster_images(W.T, image_shape, N_FILTERS, (1, 1))
        axes.imshow(tiles, cmap="gray", interpolation="antialiased")
        without_ticks(axes)
        axes.set_title(name, fontsize="medium")
        shown = min(N_FILTERS[0] * N_FILTERS[1], W.shape[1])
        axes.set_xlabel(f"{shown} of {W.shape[1]:,} filters, {height} × {width} pixels each")
    figure.suptitle("Filters of the first layer: black is the lowest weight of each, white the highest")
    return figure


def without_ticks(axes):
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def weights_figure(W, image_shape):
    """The weights W, (n_in, n_out), of each class as an image. All images have one scale."""
    n_classes = min(W.shape[1], MOST_CLASSES)
    n_columns = min(5, n_classes)
    n_rows = -(-n_classes // n_columns)
    figure, panels = new_figure(0.8 + 1.5 * n_rows, nrows=n_rows, ncols=n_columns)
    largest = float(np.abs(W).max()) or 1.0
    for label, axes in enumerate(panels):
        without_ticks(axes)
        if label < n_classes:
            image = axes.imshow(W[:, label].reshape(image_shape), cmap="PuOr_r", vmin=-largest, vmax=largest)
            axes.set_title(f"class {label}", fontsize="medium")
    figure.colorbar(image, ax=list(panels), shrink=0.8, label="weight (one a pixel)")
    figure.suptitle("Weights of each class: orange speaks for it, purple against it")
    return figure


def reconstructions_figure(rows, image_shape):
    """Images of the test set and their reconstructions, in rows.

    `rows` is a list of (name, images); the images are (n, height * width), with values in 0..1.
    """
    figure, panels = new_figure(0.9 + 0.75 * len(rows), nrows=len(rows))
    height, width = image_shape
    for axes, (name, images) in zip(panels, rows):
        tiles = tile_raster_images(images, image_shape, (1, len(images)), (1, 1), False, output_pixel_vals=False)
        axes.imshow(tiles, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        without_ticks(axes)
        axes.set_ylabel(name, rotation=0, horizontalalignment="right", verticalalignment="center")
    panels[-1].set_xlabel(f"the first {len(images)} test images, {height} × {width} pixels each")
    figure.suptitle("Test images and their reconstructions")
    return figure


def confusion(labels, predicted, n_classes):
    """The number of images with each label and each prediction: (n_classes, n_classes) of int, a row for each label."""
    counts = np.bincount(labels.astype(np.int64) * n_classes + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def confusion_figure(counts):
    """The confusion matrix, from the counts that `confusion` returns. Wrong predictions have a colour."""
    wrong = counts - np.diag(np.diag(counts))
    n_classes, largest = len(counts), max(1, int(wrong.max()))
    figure, (axes,) = new_figure(6.8)
    image = axes.imshow(np.ma.masked_equal(wrong, 0), cmap="YlOrBr", vmin=0, vmax=1.3 * largest)
    if n_classes <= MOST_COUNTED_CLASSES:
        for row, column in np.ndindex(*counts.shape):
            if row == column:
                axes.text(column, row, f"{counts[row, column]:,}", color="0.45", ha="center", va="center")
            elif counts[row, column]:
                axes.text(column, row, f"{counts[row, column]:,}", color="black", ha="center", va="center")
        axes.set_xticks(range(n_classes))
        axes.set_yticks(range(n_classes))
    else:
        figure.colorbar(image, label="images classified wrongly")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class (numbers and colours: test images)")
    axes.set_ylabel("label")
    n_images = int(counts.sum())
    figure.suptitle(
        f"Confusion matrix: {wrong.sum():,} of {n_images:,} test images wrong ({100 * wrong.sum() / n_images:.2f} %)"
    )
    return figure


def fitted(image_shape, x, y, size):
    """The `extent` of an image around x, y whose longer side is `size`, on axes whose y grows downwards."""
    height, width = (0.5 * size * side / max(image_shape) for side in image_shape)
    return x - width, x + width, y + height, y - height


def wrong_figure(images, labels, predicted, image_shape):
    """The first test images that are classified wrongly, each with its label and the prediction.

    `images` is (n, height * width); `labels` and `predicted` are (n,) of int.
    """
    wrong = np.flatnonzero(labels != predicted)
    n_rows, n_columns = N_WRONG
    shown = wrong[: n_rows * n_columns]
    n_rows = max(1, -(-len(shown) // n_columns))
    figure, (axes,) = new_figure(1 + 0.8 * n_rows)  # not a panel for each image: their layout would take seconds
    without_ticks(axes)
    cell_height = 1.28  # where its width is 1
    for cell, place in enumerate(shown):
        row, column = divmod(cell, n_columns)
        x, top = column + 0.5, row * cell_height
        box = fitted(image_shape, x, top + 0.71, 0.86)
        axes.imshow(images[place].reshape(image_shape), cmap="gray_r", interpolation="nearest", extent=box)
        axes.text(x, top + 0.25, f"{labels[place]} → {predicted[place]}", ha="center", va="bottom")
    axes.set(xlim=(0, n_columns), ylim=(n_rows * cell_height, 0))
    title = f"{len(wrong):,} of {len(labels):,} test images are classified wrongly"
    if len(wrong) > len(shown):
        title += f", the first {len(shown)} of them"
    figure.suptitle(f"{title}\nlabel → predicted class")
    return figure
