"""The embedded digits: handwriting drawn by arithmetic, for a machine that has neither MNIST nor a network.

A digit is drawn from a skeleton: the control polygons of its pen strokes. For every image the points of the polygons
are moved a little. The curve that they control is bent, slanted, stretched and turned, and fitted to a box of 20x20
pixels. A round, anti-aliased pen goes along it. Then the box is placed in the field of 28x28 so that its centre of mass
is in the middle, as in MNIST.

One seed gives the same bytes on every machine and with every version of NumPy. So this file uses no operation whose
last bit may differ. The random numbers come from `RandomState.random_sample`, which NumPy has frozen. Floating point
numbers meet only the elementwise operations that IEEE 754 rounds exactly: + - * / sqrt, comparisons, min and max.
Sums are sums of integers, or have a fixed order. There is no sine, no power and no matrix product: the two numbers
that make a rotation, cosine and sine, are computed by + - * / from the tangent of half the angle.
"""

import numpy as np

SEED = 2010  # another seed makes another data set
FIELD = 28  # pixels, the side of an image
BOX = 20  # pixels, the side of the square that holds the ink
SAMPLES = 96  # points of a skeleton at which the pen is set down
CHUNK = 256  # images drawn at once: the arrays of the inner loop then fit into a core's cache

# The skeletons: (digit, how many sixths of its images, strokes). A stroke is the control polygon of a quadratic
# B-spline: points "x,y" in a square of side 20, y downwards. The curve runs from the first point to the last and
# touches each inner edge in its middle. A star marks a corner: the curve goes through this point. A bar lifts the pen.
SKELETONS = [
    (0, 3, "11,0 3,-1 2,20 17,22 17,0 9,0"),  # begun at the top
    (0, 2, "14,3 10,-2 1,2 4,24 17,20 18,1 10,1"),  # begun on the right, the ends crossing
    (0, 1, "12,5 16,1 6,-3 0,12 8,23 18,18 17,0 10,0 8,4"),  # the ends curled inwards
    (1, 4, "10,0 10,7 10,13 10,20"),  # a bare stroke
    (1, 1, "6,5 10,0* 10,10 10,20"),  # with a serif
    (1, 1, "6,4 10,0* 10,10 10,20 | 5,20 10,20 15,20"),  # with a serif and a base
    (2, 2, "4,5 5,-1 17,-2 17,8 9,15 3,20* 10,20 17,19"),  # angular foot
    (2, 2, "4,5 5,-2 17,-2 16,8 9,17 3,23 1,15 8,15 12,21 19,18"),  # looped foot
    (2, 2, "3,2 9,-1 18,-1 15,10 8,15 4,20* 9,17 17,21"),  # waved foot
    (3, 3, "4,3 8,-2 18,-1 17,9 8,9* 18,7 20,20 9,23 3,17"),  # two bows
    (3, 1, "4,0* 16,0* 9,8* 19,6 19,22 8,22 3,17"),  # flat head
    (3, 2, "4,2 11,-2 19,1 14,9 8,11 7,8 14,7 20,14 13,23 3,18"),  # a loop in the middle
    (4, 2, "5,0 4,6 4,11* 10,11 17,10 | 14,2 14,10 13,20"),  # open, two strokes
    (4, 1, "13,20 13,10 13,0* 8,7 3,13* 10,13 18,13"),  # closed, one stroke
    (4, 3, "5,1 2,12 11,13 16,6 16,0* 15,10 14,20"),  # open and round, one stroke
    (5, 2, "6,1 6,5 5,9* 10,5 19,8 18,20 10,23 3,18 | 6,1 11,1 17,0"),  # the flag a stroke of its own
    (5, 2, "17,0 11,1 7,1* 5,9* 11,6 20,9 16,22 8,22 3,18"),  # one stroke
    (5, 2, "17,1 8,-2 2,5 7,9 18,9 18,18 10,23 3,18"),  # rounded
    (6, 3, "13,0 6,3 1,13 3,24 17,22 17,9 8,8 4,16"),  # bent stem
    (6, 2, "11,0 6,8 1,20 8,23 17,20 15,10 8,11 5,17"),  # straight stem
    (6, 1, "15,1 7,-1 1,8 2,23 16,23 17,10 9,10 6,14 8,17"),  # curled in
    (7, 2, "2,2 10,1 18,1* 12,10 9,20"),  # plain
    (7, 2, "2,2 10,1 18,1* 12,10 9,20 | 7,11 11,11 16,10"),  # with a bar
    (7, 2, "3,4 3,-1 10,3 17,1* 13,7 10,13 10,20"),  # with a serif, curved
    (8, 3, "15,3 10,-2 1,0 5,8 10,10 19,13 17,23 4,23 3,13 10,10 17,7 17,0 13,0"),  # one stroke
    (8, 2, "10,9 3,9 3,-1 17,-1 17,9 10,9 | 10,9 1,9 2,21 18,21 19,9 10,9"),  # two rings
    (8, 1, "16,1 4,20* 3,24 18,21 14,12 6,9 2,0 10,-2 17,0"),  # the ends meeting at the top right
    (9, 3, "15,4 13,-2 2,-1 2,11 13,12 15,3* 15,11 14,20"),  # straight leg
    (9, 2, "15,4 12,-2 1,0 3,11 13,11 15,3* 18,15 12,23 5,20"),  # curved leg
    (9, 1, "14,7 4,13 1,2 14,-4 17,3 15,10 11,20"),  # one sweep
]


def _spline(strokes):
    """A skeleton as control points, (points, 2), -1..1 in the box, and for each sample of its curve three of them.

    The three are given by their indices, (3, SAMPLES), and by their weights, (3, SAMPLES, 1).
    """
    control, triples = [], []
    for stroke in strokes.split("|"):
        path = []
        for word in stroke.split():
            path += [len(control)] * (1 + word.endswith("*"))
            control.append([int(c) for c in word.rstrip("*").split(",")])
        path = [path[0], *path, path[-1]]
        triples += zip(path, path[1:], path[2:])
    control = (np.array(control) - BOX / 2) / (BOX / 2)

    # Each triple (a, b, c) controls the parabola from the middle of ab to the middle of bc. It is computed at 32
    # points. Of the points of all parabolas, SAMPLES are kept that lie equally far apart along the skeleton.
    t = (np.arange(32) + 0.5) / 32
    index = np.repeat(np.array(triples).T, t.size, axis=1)  # (3, triples * 32)
    basis = np.stack([(1 - t) * (1 - t) / 2, 0.5 + t * (1 - t), t * t / 2])
    weight = np.tile(basis, len(triples))[..., None]
    slope = np.tile(np.stack([t - 1, 1 - 2 * t, t]), len(triples))[..., None]
    dx, dy = _blend(control, index, slope).T
    way = np.cumsum((np.sqrt(dx * dx + dy * dy) * 1e6).astype(np.int64))  # integers: exact in any order
    pick = np.searchsorted(way, way[-1] * (2 * np.arange(SAMPLES) + 1) // (2 * SAMPLES))
    return control, index[:, pick], weight[:, pick]


def _blend(control, index, weight):
    """The points of a curve. Each is a weighted sum of three control points, added in a fixed order."""
    (a, b, c), (u, v, w) = index, weight
    return u * control[a] + v * control[b] + w * control[c]


SPLINES = [_spline(strokes) for _, _, strokes in SKELETONS]
KINDS = np.array(  # (10, 6): six splines for each digit; one is repeated as its share says
    [[k for k, (d, share, _) in enumerate(SKELETONS) if d == digit for _ in range(share)] for digit in range(10)]
)
RAMP = (2 * np.arange(SAMPLES)[:, None] + 1) / SAMPLES - 1  # from -1 to 1 along a skeleton
TRAITS = 12  # random numbers for the whole image: slant, turn, ...
COLUMNS = 2 + 2 * (TRAITS + 2 * max(len(control) for control, _, _ in SPLINES))  # random numbers for an image


def _draw(spline, u):
    """Draw a skeleton n times, (BOX, BOX, n) uint8, by random numbers from 0 to 1, (COLUMNS - 2, n) float64."""
    control, index, weight = spline
    u = u[0::2] + u[1::2] - 1  # triangular in (-1, 1): small values are more frequent
    slant, turn, aspect, arch, sway, swell, sink, wobble, size, pen, press, ink = u[:TRAITS]
    shake = u[TRAITS : TRAITS + 2 * len(control)].reshape(2, len(control), -1) * (0.19 + 0.1 * wobble)
    x = _blend(control[:, :1] + shake[0], index, weight)  # (SAMPLES, n)
    y = _blend(control[:, 1:] + shake[1], index, weight)

    x = x * (0.95 + 0.4 * aspect) * (1 + 0.35 * swell * y)  # wider at the head or at the foot
    x = x + 0.3 * arch * y * y  # an upright bends
    y = y + 0.3 * sink * (1 - y * y) + 0.25 * sway * x * x  # the waist moves, a level line bends
    x = x - (0.2 + 0.65 * slant) * y
    t = 0.18 * turn  # tangent of half the angle
    x, y = (x * (1 - t * t) - y * 2 * t) / (1 + t * t), (y * (1 - t * t) + x * 2 * t) / (1 + t * t)

    left, right, top, bottom = x.min(axis=0), x.max(axis=0), y.min(axis=0), y.max(axis=0)
    side = np.maximum(right - left, bottom - top)
    flat = np.minimum(1.25 * (bottom - top) / side, 1)  # a low, wide digit gets a finer pen: its gaps stay open
    radius = (1.4 + 0.5 * pen + 0.3 * aspect) * flat * (1 + 0.3 * press * RAMP)  # pixels, (SAMPLES, n)
    widest = radius.max(axis=0)
    scale = (BOX - 1 + size - 2 * widest) / side
    x = ((x - (left + right) / 2) * scale + BOX / 2).astype(np.float32)
    y = ((y - (top + bottom) / 2) * scale + BOX / 2).astype(np.float32)
    square = (radius * radius).astype(np.float32)

    # There is ink at a pixel if its squared distance to a sample of the curve is below the squared radius of the pen.
    centre = np.arange(BOX, dtype=np.float32)[:, None] + np.float32(0.5)
    depth = np.full((BOX, BOX, x.shape[1]), -np.inf, np.float32)
    disc = np.empty_like(depth)
    for px, py, rr in zip(x, y, square):
        dx, dy = centre - px, centre - py
        np.subtract((rr - dy * dy)[:, None], dx * dx, out=disc)
        np.maximum(depth, disc, out=depth)
    # Near the edge, r^2 - d^2 is about 2 r (r - d). Divided by 2 r, it gives the one grey pixel of the edge.
    grey = depth / (2 * widest).astype(np.float32) + np.float32(0.5)
    full = (255 * (1 - 0.1 * np.maximum(ink, 0))).astype(np.float32)
    return (np.minimum(np.maximum(grey, 0), 1) * full).astype(np.uint8)


def _centre(box):
    """Place boxes, (BOX, BOX, n), with their centre of mass in the middle of fields, (n, FIELD * FIELD) uint8."""
    n = box.shape[2]
    mass = box.sum(axis=(0, 1), dtype=np.int64)
    place = 2 * np.arange(BOX)[:, None] + 1  # the middle of each pixel, in half pixels
    rows, columns = box.sum(axis=1, dtype=np.int64), box.sum(axis=0, dtype=np.int64)
    # FIELD / 2 less the centre of mass, to the nearest integer.
    top, left = (((FIELD + 1) * mass - (place * ink).sum(axis=0)) // (2 * mass) for ink in (rows, columns))
    image, row, column = np.ogrid[:n, :BOX, :BOX]
    field = np.zeros((n, FIELD, FIELD), np.uint8)
    field[image, row + top[:, None, None], column + left[:, None, None]] = box.transpose(2, 0, 1)
    return field.reshape(n, FIELD * FIELD)


def make_digits(sizes=(50_000, 10_000, 10_000)):
    """Draw the embedded digits: as many as `sizes` says for the training, the validation and the test set.

    An image depends only on its place in the sequence of all images. So shorter sets are the beginning of longer ones.

    Returns
    -------
    ((train_x, train_y), (valid_x, valid_y), (test_x, test_y))
        x : (n, 784) uint8, row by row, 0 for the background and 255 for full ink; y : (n,) uint8.
    """
    n = sum(sizes)
    u = np.random.RandomState(SEED).random_sample((n, COLUMNS))
    x, y = np.empty((n, FIELD * FIELD), np.uint8), (10 * u[:, 0]).astype(np.uint8)
    kind = KINDS[y, (KINDS.shape[1] * u[:, 1]).astype(int)]
    for k, spline in enumerate(SPLINES):
        of_kind = np.flatnonzero(kind == k)
        for some in np.split(of_kind, range(CHUNK, len(of_kind), CHUNK)):
            x[some] = _centre(_draw(spline, u[some, 2:].T))
    cuts = np.cumsum(sizes)[:-1]
    return tuple(zip(np.split(x, cuts), np.split(y, cuts)))
