"""Figures from plain numbers. They need matplotlib, but no display, and do not use matplotlib's global state."""

from support.start import UserError
from utils import tile_raster_images

import numpy as np

# Colours that colour-blind readers can tell apart: M. Okabe and K. Ito, Color Universal Design, 2008.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
COLOURS = [BLUE, ORANGE, GREEN, PURPLE, SKY]
WIDTH = 7.5  # inches
DPI = 150
MOST_CLASSES = 100  # in a picture
MOST_COUNTED_CLASSES = 20  # with more classes, the cells are too small for their counts
MOST_FILTERS = 100  # in a picture
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


def curves_figure(panels, title, xlabel="epoch", columns=1, log=False, clip=False, **options):
    """Curves in one or more panels.

    Parameters
    ----------
    panels : list of (title, y label, {name: (x, y)})
        A curve has the same colour in all panels that have its name. If y is (n, 2), the curve is a band from the first
        value to the second. Without a name it has no legend.
    columns : int
        Columns of panels.
    log : bool
        Whether the y axes are logarithmic. Values that are not positive are left out then.
    clip : bool
        Whether the lowest fifth of the values in the first panel, such as those of the first epochs, may lie below it.
    options
        Those of `new_figure`.
    """
    n_rows, together = -(-len(panels) // columns), len(panels) == 1 and len(panels[0][2]) > 1
    height = 3.6 + together if n_rows == 1 else 1 + 2 * n_rows
    figure, axes = new_figure(height, nrows=n_rows, ncols=columns, sharex=n_rows > 1, **options)
    lines, named = {}, set()
    for number, (each, (panel_title, ylabel, series)) in enumerate(zip(axes, panels)):
        for name, (x, y) in series.items():
            x, y = np.asarray(x), np.asarray(y, float)
            if y.ndim == 2:
                each.fill_between(x, *y.T, color=COLOURS[0], alpha=0.2, linewidth=0, label=name)
                continue
            colour = COLOURS[lines.setdefault(name or (number, name), len(lines)) % len(COLOURS)]
            shown = y > 0 if log else slice(None)
            each.plot(x[shown], y[shown], color=colour, label=name, **markers(x))
        if any(series.keys() - named):
            each.legend(frameon=False)
            named |= series.keys()
        each.set_title(panel_title, fontsize="medium")
        if number % columns == 0 or ylabel != panels[number - 1][1]:
            each.set_ylabel(ylabel)
        if log:
            each.set_yscale("log")
        if number + columns >= len(panels):
            whole_numbers(each.xaxis)
            each.set_xlabel(xlabel)
    for each in axes[len(panels) :]:
        each.set_visible(False)
    if clip:
        lowest = sorted(value for _, values in panels[0][2].values() for value in values)
        axes[0].set_ylim(bottom=lowest[len(lowest) // 10] - 1)
    figure.suptitle(title)
    return figure


def histograms_figure(values, title, xlabel, ylabel, **marks):
    """How often values occur. `values` is {name: array}; each of the `marks`, a number, is a vertical line."""
    figure, (axes,) = new_figure(3.8)
    bins = np.linspace(0, max(each.max() for each in values.values()), 50)
    for (name, each), colour in zip(values.items(), COLOURS):
        axes.hist(each, bins, color=colour, alpha=0.7, label=name)
    for name, place in marks.items():
        axes.axvline(place, color="black", linewidth=1, linestyle=":", label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False)
    figure.suptitle(title)
    return figure


def scatter_figure(points, labels, title, xlabel, ylabel):
    """Points of a plane, (n, 2), in the colours of their labels, (n,) of int."""
    figure, (axes,) = new_figure(6.6)
    dots = axes.scatter(*points.T, c=labels, cmap="tab10" if labels.max() < 10 else "viridis", s=3, linewidths=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    figure.colorbar(dots, ax=axes, shrink=0.7, label="label")
    figure.suptitle(title)
    return figure


def images_figure(images, image_shape, columns, title):
    """Images, (n, height * width) with values in 0..1, black on white, from left to right, then from top to bottom."""
    tile_shape = -(-len(images) // columns), columns
    tiles = 255 - tile_raster_images(images, image_shape, tile_shape, (1, 1), scale_rows_to_unit_interval=False)
    figure, (axes,) = new_figure(0.8 + 7 * tiles.shape[0] / tiles.shape[1])
    axes.imshow(tiles, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    without_ticks(axes)
    figure.suptitle(title)
    return figure


def horizon(validations):
    """The epochs that patience allows after each validation, from the lines of a curve with a validation error.

    If an epoch had several validations, its line holds only the last one. Then the minibatches an epoch cannot be
    known, and None is returned.
    """
    n_train_batches = validations[0]["iteration"] // validations[0]["epoch"]
    if any(line["epoch"] * n_train_batches != line["iteration"] or "patience" not in line for line in validations):
        return None
    return [line["patience"] / n_train_batches for line in validations]


def errors_figure(curve):
    """Validation and test error by epoch, and below them the epochs that the patience allows.

    `curve` is a list of dict. At least one has a validation error.
    """
    validations = [line for line in curve if "validation_error" in line]
    epochs = [line["epoch"] for line in validations]
    best = min(validations, key=lambda line: line["validation_error"])
    allowed = horizon(validations)
    ratios = [2, 1] if allowed else [1]
    figure, panels = new_figure(5.5 if allowed else 4, nrows=len(ratios), sharex=True, height_ratios=ratios)
    axes, shown = panels[0], []
    for field, label, mark, look in (
        ("validation_error", "validation error", "o", {"color": BLUE}),
        ("test_error", "test error of each new best model", "s", {"color": ORANGE, "linestyle": "--"}),
    ):
        points = [(line["epoch"], 100 * line[field]) for line in validations if field in line]
        axes.plot(*(zip(*points) if points else ((), ())), linewidth=1.2, label=label, **look, **markers(points, mark))
        shown += [error for _, error in points]
    label = f"best: epoch {best['epoch']}, validation {100 * best['validation_error']:.2f} %"
    label += f", test {100 * best['test_error']:.2f} %" if "test_error" in best else ""
    star = {"color": "black", "marker": "*", "markersize": 11, "linestyle": "none", "zorder": 3}
    axes.plot(best["epoch"], 100 * best["validation_error"], label=label, **star)
    logarithmic_percent(axes, shown)
    axes.set_ylabel("images classified wrongly (%)")
    axes.legend(frameon=False)
    figure.suptitle("Validation and test error" + (", and early stopping" if allowed else ""))
    if allowed:
        look = {"where": "post", "color": GREEN, "linewidth": 1.5, **markers(epochs)}
        panels[1].step(epochs, allowed, label="horizon: epochs that patience allows", **look)
        panels[1].plot(
            [0, epochs[-1]], [0, epochs[-1]], color="0.5", linewidth=1, linestyle=":", label="epochs trained"
        )
        panels[1].set(ylabel="patience (epochs)", ylim=(0, None))
        panels[1].legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=2)
    for each in panels:
        each.axvline(best["epoch"], color="0.8", linewidth=1, zorder=0)
    whole_numbers(panels[-1].xaxis)
    words = "epoch" if allowed else "epoch (several validations in each, the last is shown)"
    panels[-1].set(xlim=(0, None), xlabel=words)
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


def filters_figure(weights, image_shape, title):
    """The first hundred columns of one or more matrices as images, side by side.

    `weights` is {name: array (n_in, n)}, with names such as "after pre-training".
    """
    most = min(MOST_FILTERS, max(W.shape[1] for W in weights.values()))
    columns = min(10, most)
    rows = -(-most // columns)
    figure, panels = new_figure(WIDTH / len(weights) * rows / columns + 0.9, ncols=len(weights))
    height, width = image_shape
    for axes, (name, W) in zip(panels, weights.items()):
        axes.imshow(tile_raster_images(W.T, image_shape, (rows, columns), (1, 1)), cmap="gray")
        without_ticks(axes)
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel(f"{min(most, W.shape[1])} of {W.shape[1]:,}, {height} × {width} pixels each")
    figure.suptitle(f"{title}: black is the lowest weight of each, white the highest")
    return figure


def without_ticks(axes):
    axes.set(xticks=[], yticks=[])
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
            if row == column or counts[row, column]:
                colour = "0.45" if row == column else "black"
                axes.text(column, row, f"{counts[row, column]:,}", color=colour, ha="center", va="center")
        axes.set(xticks=range(n_classes), yticks=range(n_classes))
    else:
        figure.colorbar(image, label="images classified wrongly")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted class (numbers and colours: test images)", ylabel="label")
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
