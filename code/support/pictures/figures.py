"""Figures from plain numbers. They need matplotlib, but no display, and do not use matplotlib's global state."""

from support.start import UserError
from utils import tile_raster_images

import numpy as np

# Colours that colour-blind readers can tell apart: M. Okabe and K. Ito, Color Universal Design, 2008.
COLOURS = BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
WIDTH = 7.5  # inches
DPI = 150
WHOLE = {"axis": "x", "integer": True, "steps": [1, 2, 5, 10], "nbins": 10}  # ticks at whole numbers only
MOST_CLASSES = 100  # in a picture
MOST_COUNTED_CLASSES = 20  # with more classes, the cells are too small for their counts
MOST_BESIDE = 3  # panels
MOST_WRONG = 72  # images


def new_figure(height, title, framed=True, **options):
    """A figure without a window, and its axes, which have ticks if they are framed.

    `options` are those of matplotlib's `subplots`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib, which draws the pictures, is not installed (pip install matplotlib)") from error
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(squeeze=False, **options).ravel()
    for each in axes:
        each.spines[["top", "right"] if framed else slice(None)].set_visible(False)
        if not framed:
            each.set(xticks=[], yticks=[])
    return figure, axes


def mark_size(values):
    """The size of the mark at each value of a curve. Without marks, the line of a few values could be overlooked."""
    return 3 if len(values) <= 50 else 0


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
        Whether the lowest tenth of the values in the first panel, such as those of the first epochs, may lie below it.
    options
        Those of `new_figure`.
    """
    n_rows, together = -(-len(panels) // columns), len(panels) == 1 and len(panels[0][2]) > 1
    height = 3.6 + together if n_rows == 1 else 1 + 2 * n_rows
    figure, axes = new_figure(height, title, nrows=n_rows, ncols=columns, sharex=n_rows > 1, **options)
    places, named = {}, {""}
    for number, (each, (panel_title, ylabel, series)) in enumerate(zip(axes, panels)):
        for name, (x, y) in series.items():
            x, y = np.asarray(x), np.asarray(y, float)
            if y.ndim == 2:
                each.fill_between(x, *y.T, color=BLUE, alpha=0.2, linewidth=0, label=name)
                continue
            shown = y > 0 if log else slice(None)
            colour = COLOURS[places.setdefault(name or number, len(places)) % len(COLOURS)]
            each.plot(x[shown], y[shown], color=colour, label=name, marker="o", markersize=mark_size(x))
        if series.keys() - named:
            each.legend(frameon=False)
            named |= series.keys()
        each.set_title(panel_title, fontsize="medium")
        if number % columns == 0 or ylabel != panels[number - 1][1]:
            each.set_ylabel(ylabel)
        if log:
            each.set_yscale("log")
        if number + columns >= len(panels):
            each.locator_params(**WHOLE)
            each.set_xlabel(xlabel)
    for each in axes[len(panels) :]:
        each.set_visible(False)
    if clip:
        values = [value for _, y in panels[0][2].values() for value in y]
        axes[0].set_ylim(bottom=sorted(values)[len(values) // 10] - 1)
    return figure


def errors_figure(curve):
    """Validation and test error by epoch, and below them the epochs that the patience allows.

    `curve` is a list of dict. At least one has a validation error. If an epoch had several validations, its line holds
    the last one only. Then the minibatches an epoch are not known, and the epochs that patience allows are left out.
    """
    validations = [line for line in curve if "validation_error" in line]
    best = min(validations, key=lambda line: line["validation_error"])
    n_minibatches, *others = {line["iteration"] / line["epoch"] for line in validations}
    told = [line for line in validations if "patience" in line and not others]
    title = "Validation and test error" + ", and early stopping" * bool(told)
    height, ratios = (5.5, [2, 1]) if told else (4, [1])
    figure, (above, *below) = new_figure(height, title, nrows=len(ratios), sharex=True, height_ratios=ratios)

    for field, label, look in (
        ("validation_error", "validation error", {"color": BLUE, "marker": "o"}),
        ("test_error", "test error of each new best model", {"color": ORANGE, "marker": "s", "linestyle": "--"}),
    ):
        points = [(line["epoch"], 100 * line[field]) for line in validations if field in line]
        x, y = zip(*points) if points else ((), ())
        above.plot(x, y, linewidth=1.2, label=label, markersize=mark_size(x), **look)
    found = [
        f"{name} {100 * best[f'{name}_error']:.2f} %" for name in ("validation", "test") if f"{name}_error" in best
    ]
    label = ", ".join([f"best: epoch {best['epoch']}", *found])
    star = {"color": "black", "marker": "*", "markersize": 11, "linestyle": "none", "zorder": 3}
    above.plot(best["epoch"], 100 * best["validation_error"], label=label, **star)
    logarithmic_percent(above)
    above.set_ylabel("images classified wrongly (%)")
    above.legend(frameon=False)

    for axes in below:
        epochs, allowed = zip(*((line["epoch"], line["patience"] / n_minibatches) for line in told))
        look = {"where": "post", "color": GREEN, "linewidth": 1.5, "marker": "o", "markersize": mark_size(epochs)}
        axes.step(epochs, allowed, label="horizon: epochs that patience allows", **look)
        look = {"color": "0.5", "linewidth": 1, "linestyle": ":"}
        axes.plot([0, epochs[-1]], [0, epochs[-1]], label="epochs trained", **look)
        axes.set(ylabel="patience (epochs)", ylim=(0, None))
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=2)
    for axes in (above, *below):
        axes.axvline(best["epoch"], color="0.8", linewidth=1, zorder=0)
    axes.locator_params(**WHOLE)
    axes.set(xlim=(0, None), xlabel="epoch" + " (several validations in each, the last is shown)" * bool(others))
    return figure


def logarithmic_percent(axes):
    """Make the y axis logarithmic, with plain numbers at its ticks. If no value is above 0, change nothing."""
    if positive := [value for line in axes.get_lines() for value in line.get_ydata() if value > 0]:
        low, high = min(positive), max(positive)
        axes.set(yscale="log", ylim=(0.93 * low, 1.07 * high))
        axes.locator_params("y", subs=[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] if high < 8 * low else [1, 2, 5])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", color="0.92")


def histograms_figure(values, title, xlabel, ylabel, **marks):
    """How often values occur. `values` is {name: array}; each of the `marks`, a number, is a vertical line."""
    figure, (axes,) = new_figure(3.8, title)
    bins = np.linspace(0, max(each.max() for each in values.values()), 50)
    for (name, each), colour in zip(values.items(), COLOURS):
        axes.hist(each, bins, color=colour, alpha=0.7, label=name)
    for name, place in marks.items():
        axes.axvline(place, color="black", linewidth=1, linestyle=":", label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False)
    return figure


def scatter_figure(points, labels, title, xlabel, ylabel):
    """Points of a plane, (n, 2), in the colours of their labels, (n,) of int."""
    figure, (axes,) = new_figure(6.6, title)
    dots = axes.scatter(*points.T, c=labels, cmap="tab10" if labels.max() < 10 else "viridis", s=3, linewidths=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    figure.colorbar(dots, ax=axes, shrink=0.7, label="label")
    return figure


def images_figure(panels, image_shape, title, columns=10, beside=False, stretched=False):
    """Images as tiles, from left to right, then from top to bottom.

    Parameters
    ----------
    panels : list of (name, images) or (name, images, note)
        The images are (n, height * width), with values in 0..1, and are shown black on white. The note stands below.
    columns : int
        Tiles in a row.
    beside : bool
        Whether the panels lie beside each other. Their names stand above them then, or else on their left.
    stretched : bool
        Whether each image is shown from its own lowest value, black, to its own highest, white.
    """
    most = max(len(images) for _, images, *_ in panels)
    columns, n_columns = min(columns, most), min(MOST_BESIDE, len(panels)) if beside else 1
    tile_shape, n_rows = (-(-most // columns), columns), -(-len(panels) // n_columns)
    tiles = [tile_raster_images(images, image_shape, tile_shape, (1, 1), stretched) for _, images, *_ in panels]
    height = n_rows * tiles[0].shape[0] / (n_columns * tiles[0].shape[1])  # where the width is 1
    figure, axes = new_figure(0.9 + 7.2 * height, title, framed=False, nrows=n_rows, ncols=n_columns)
    for each, (name, _, *note), pixels in zip(axes, panels, tiles):
        each.imshow(pixels if stretched else 255 - pixels, cmap="gray", vmin=0, vmax=255)
        each.set_xlabel("".join(note))
        if beside:
            each.set_title(name, fontsize="medium")
        else:
            each.set_ylabel(name, rotation=0, horizontalalignment="right", verticalalignment="center")
    return figure


def labelled_figure(images, words, image_shape, title, columns, width=WIDTH, **look):
    """Images, (n, height * width), each below its word. `look` are options of matplotlib's `imshow`."""
    rows, cell_height = max(1, -(-len(images) // columns)), 1.28  # where its width is 1
    # No panel for each image: their layout would take seconds.
    figure, (axes,) = new_figure(1 + width * cell_height * rows / columns, title, framed=False)
    half_height, half_width = (0.43 * side / max(image_shape) for side in image_shape)
    for cell, (image, word) in enumerate(zip(images, words)):
        row, column = divmod(cell, columns)
        x, y = column + 0.5, row * cell_height + 0.71  # the middle of the image; y grows downwards
        box = x - half_width, x + half_width, y + half_height, y - half_height
        axes.imshow(image.reshape(image_shape), extent=box, **look)
        axes.text(x, y - 0.46, word, ha="center", va="bottom")
    axes.set(xlim=(0, columns), ylim=(rows * cell_height, 0))
    return figure


def weights_figure(W, image_shape):
    """The weights W, (n_in, n_out), of each class as an image. All images have one scale."""
    images, largest = W.T[:MOST_CLASSES], float(np.abs(W).max()) or 1.0
    words = [f"class {label}" for label in range(len(images))]
    title = "Weights of each class: orange speaks for it, purple against it"
    look = {"width": 6, "cmap": "PuOr_r", "vmin": -largest, "vmax": largest}
    figure = labelled_figure(images, words, image_shape, title, min(5, len(images)), **look)
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, shrink=0.8, label="weight (one a pixel)")
    return figure


def wrong_figure(images, labels, predicted, image_shape):
    """The first test images that are classified wrongly, each with its label and the prediction.

    `images` is (n, height * width); `labels` and `predicted` are (n,) of int.
    """
    wrong = np.flatnonzero(labels != predicted)
    shown = wrong[:MOST_WRONG]
    more = f", the first {len(shown)} of them" if len(wrong) > len(shown) else ""
    title = f"{len(wrong):,} of {len(labels):,} test images are classified wrongly{more}\nlabel → predicted class"
    words = [f"{labels[place]} → {predicted[place]}" for place in shown]
    return labelled_figure(images[shown], words, image_shape, title, 12, cmap="gray_r", interpolation="nearest")


def confusion_figure(labels, predicted, n_classes):
    """The number of images with each label, a row, and each prediction, a column. Wrong predictions have a colour."""
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (labels, predicted), 1)
    wrong = counts - np.diag(np.diag(counts))
    share = f"{wrong.sum():,} of {len(labels):,} test images wrong ({100 * wrong.sum() / len(labels):.2f} %)"
    figure, (axes,) = new_figure(6.8, f"Confusion matrix: {share}")
    image = axes.imshow(np.ma.masked_equal(wrong, 0), cmap="YlOrBr", vmin=0, vmax=1.3 * max(1, wrong.max()))
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
    return figure
