"""The challenge without its masks: the one rectangle of each picture, found in the picture itself.

Of all rectangles and cell sizes that the rules allow, the one with the largest log-likelihood ratio to "a photo":
pixels of one cell are equal, which a photo's neighbours seldom are; neighbours across grid lines and across the
rectangle's border differ more often and by more. Ratios are sums over pairs of neighbours, hence differences of
running sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.challenge.protocol import AREA, CELL, Bytes
from deepix.challenge.restorers import Progress
from deepix.mosaic import Mosaic

Array = NDArray[Any]

STEPS = np.array([0, 1, 2, 3, 5, 9, 17, 33])
"""The differences, in levels, from which on each entry of the following applies."""
ACROSS_LINES = np.array([-0.952, -0.703, -0.476, -0.412, -0.190, 0.110, 0.379, 0.672])
ACROSS_BORDER = np.array([-1.197, -0.879, -0.632, -0.477, -0.295, 0.026, 0.357, 0.879])
"""Log-likelihood ratios of a difference across a grid line, and across the border, to one in a photo.

Like `EQUAL`, measured on 400 pictures of Tiny ImageNet and of full-size photos, for training, with random mosaics.
"""
EQUAL = 2.316
"""The log-likelihood ratio of two equal neighbours in one cell."""
LONG = 0.3
"""… in a row of more equal pixels than a cell is wide: bars and blown-out skies have such."""
UNEQUAL = -40.0
"""… and of two that differ, which the rules do not allow."""
MANY = 250
"""Upper left corners from which on those are left out that nothing sets apart from what is left of and above them."""


def find_mosaic(pixelated: Bytes) -> Mosaic:
    """Return the likeliest mosaic of a picture.

    Parameters
    ----------
    pixelated : uint8 (H, W), with one rectangle of square cells by the challenge's rules

    Returns
    -------
    the rectangle; of cell sizes that make the same cells the greatest, as `infer_mosaic`
    """
    height, width = pixelated.shape
    values = pixelated.astype(np.int64)
    across, down = np.abs(np.diff(values, axis=1)), np.abs(np.diff(values, axis=0)).T
    y, x = _corners(across, down.T)
    if not len(x):  # no cell at all: the smallest rectangle in the corner changes least
        return Mosaic.rectangle(0, 0, AREA[0], AREA[0], CELL[1])
    sides = np.arange(AREA[0], AREA[1] + 1)
    w, h = sides[None, None, :], sides[None, :, None]
    columns, rows = x[:, None, None], y[:, None, None]
    right, below = columns + w, rows + h
    outside = (right > width) | (below > height)
    right, below = np.minimum(right, width), np.minimum(below, height)
    value = _inside(across, columns, rows, right, below) + _inside(down, rows, columns, below, right)
    value[outside] = -np.inf
    best = (-np.inf, 0, 0, 0, 0)
    for cell in range(CELL[1], CELL[0] - 1, -1):
        total = value + _lines(across, columns, rows, w, below, cell) + _lines(down, rows, columns, h, right, cell)
        k = int(total.argmax())
        if total.flat[k] > best[0]:
            i, j, n = (int(v) for v in np.unravel_index(k, total.shape))
            best = (float(total.flat[k]), i, int(sides[j]), int(sides[n]), cell)
    _, corner, tall, wide, cell = best
    return Mosaic.rectangle(int(x[corner]), int(y[corner]), wide, tall, cell)


def find_mosaics(pixelated: Sequence[Bytes] | Bytes, progress: Progress | None = None) -> list[Mosaic]:
    """Return the likeliest mosaic of each picture, (N, H, W); `progress` is called with 1 after each."""
    result = []
    for picture in pixelated:
        result.append(find_mosaic(picture))
        if progress:
            progress(1)
    return result


def agreement(found: Sequence[Mosaic], true: Sequence[Mosaic]) -> tuple[float, float]:
    """Return the mean intersection over union of rectangles with the true ones, and the share with the same cells.

    Raises
    ------
    ValueError : the numbers differ
    """
    overlaps, same = [], []
    for a, b in zip(found, true, strict=True):
        width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
        height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
        common = max(width, 0) * max(height, 0)
        overlaps.append(common / (a.width * a.height + b.width * b.height - common))
        box = (a.x, a.y, a.width, a.height) == (b.x, b.y, b.width, b.height)
        same.append(box and np.array_equal(a.labels(), b.labels()))
    return float(np.mean(overlaps)), float(np.mean(same))


def _corners(across: Array, down: Array) -> tuple[Array, Array]:
    """Return y and x of the pixels that may be a rectangle's upper left one: the smallest cell there is flat."""
    n = CELL[0]
    same_across = np.lib.stride_tricks.sliding_window_view(across == 0, (n, n - 1)).all(axis=(2, 3))
    same_down = np.lib.stride_tricks.sliding_window_view(down == 0, (n - 1, n)).all(axis=(2, 3))
    flat = np.asarray(same_across & same_down)
    if np.count_nonzero(flat) > MANY:
        set_apart = flat.copy()
        left = np.asarray(np.lib.stride_tricks.sliding_window_view(across != 0, (n, 1)).any(axis=(2, 3)))
        above = np.asarray(np.lib.stride_tricks.sliding_window_view(down != 0, (1, n)).any(axis=(2, 3)))
        set_apart[:, 1:] &= left[:, : flat.shape[1] - 1]
        set_apart[1:] &= above[: flat.shape[0] - 1]
        flat = set_apart if set_apart.any() else flat
    y, x = np.nonzero(flat)
    return y, x


def _table(steps: Array, ratios: Array) -> Array:
    result: Array = ratios[np.searchsorted(STEPS, steps, side="right") - 1]
    return result


def _flat(steps: Array) -> Array:
    """Return the ratio of each pair, were it in one cell."""
    equal = steps == 0
    # where each run of equal pairs begins and ends, hence its length
    index = np.arange(steps.shape[1])
    before = np.maximum.accumulate(np.where(equal, -1, index), axis=1)
    after = np.minimum.accumulate(np.where(equal, steps.shape[1], index)[:, ::-1], axis=1)[:, ::-1]
    return np.where(equal, np.where(after - before - 1 >= CELL[1], LONG, EQUAL), UNEQUAL)


def _inside(steps: Array, x: Array, y: Array, right: Array, below: Array) -> Array:
    """Return the sum over the pairs in each rectangle, as if all were of one cell, and across its left and right side.

    `steps` (rows, columns − 1) are those into the next column.
    """
    flat = np.pad(np.cumsum(np.cumsum(_flat(steps), axis=0), axis=1), ((1, 0), (1, 0)))
    total = flat[below, right - 1] - flat[y, right - 1] - flat[below, x] + flat[y, x]
    border = np.pad(np.cumsum(_table(steps, ACROSS_BORDER), axis=0), ((1, 0), (1, 1)))  # 0 at the picture's edges
    total = total + (border[below, x] - border[y, x]) + (border[below, right] - border[y, right])
    return np.asarray(total)


def _lines(steps: Array, x: Array, y: Array, w: Array, below: Array, cell: int) -> Array:
    """Return what pairs across the lines add: every `cell` columns from x on."""
    gain = np.pad(np.cumsum(_table(steps, ACROSS_LINES) - _flat(steps), axis=0), ((1, 0), (cell, 0)))
    for column in range(cell, gain.shape[1]):
        gain[:, column] += gain[:, column - cell]
    # column i of `gain` is the sum over the pairs i − cell, i − 2 cell …
    first, last = x + cell - 1, x + cell - 1 + (w - 1) // cell * cell
    last = np.minimum(last, gain.shape[1] - 1)
    return np.asarray(gain[below, last] - gain[y, last] - gain[below, first] + gain[y, first])
