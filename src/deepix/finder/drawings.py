"""Cells that were drawn, not averaged: chequerboards, pixel art, blocks with a texture.

In a pixelated photo the means of four cells around a corner hardly ever come again elsewhere, and how they differ
crosswise, the mixed difference, has no order. What was drawn of squares repeats itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic

Array = NDArray[Any]

ALTERNATING = 0.7
"""The least share of neighbouring cells that differ in kind, along each axis of a chequerboard."""
UNIFORM = 0.1
"""The largest share of the cells' variance that is left within the two kinds of a chequerboard."""
SIGNS = 40
"""The least number of corners whose mixed differences tell a chequerboard."""
ORDERED = 0.9
"""The least mean of the mixed differences with a chequerboard's signs, in units of their absolute mean's, each limited
to their median: of a hundred textures with 30 corners one has 0.7."""
PERIODS = (4, 8, 16, 32)
"""Cells after which textures come again."""
REPEATED = 0.4
"""The least correlation of mixed differences with those a period away: in mosaics of photos it is 0.2 at most."""
TEXTURE = 200
"""The least number of corners that tell a texture."""
PATTERNS = 60
"""The least number of corners whose coming again tells a drawing."""
AGAIN = 0.35
"""The least share of corners, of four cells that are not all alike, that come again elsewhere."""
LEVELS = 2.0
"""Levels of luminance that are taken for the same."""


def is_drawn(plane: NDArray[np.float32], m: Mosaic) -> bool:
    """Whether a mosaic's cells were drawn.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    m : a mosaic in it
    """
    means, there = m.cells.mean(plane[m.box]), m.cells.counts > 0
    if min(means.shape) < 2:
        return False
    if _is_chequerboard(means, there):
        return True
    corners = there[1:, 1:] & there[1:, :-1] & there[:-1, 1:] & there[:-1, :-1]
    saddle = np.where(corners, np.diff(np.diff(means, axis=0), axis=1), 0)
    return (
        (np.count_nonzero(corners) >= SIGNS and _alternates(saddle, corners))
        or _repeats(saddle, corners)
        or _comes_again(means, corners)
    )


def is_chequerboard(plane: NDArray[np.float32], m: Mosaic) -> bool:
    """Whether cells are of two kinds, dark and bright, that alternate in both directions.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    m : a mosaic in it
    """
    return _is_chequerboard(m.cells.mean(plane[m.box]), m.cells.counts > 0)


def _is_chequerboard(means: Array, there: Array) -> bool:
    low, high = np.quantile(means[there], (0.1, 0.9))
    if low == high:
        return False
    bright = means > (low + high) / 2
    left = np.where(bright, means - means[bright & there].mean(), means - means[~bright & there].mean())
    if left[there].var() > UNIFORM * means[there].var():
        return False
    changes = (np.diff(bright, axis=axis) for axis in (0, 1))
    pairs = (there[1:] & there[:-1], there[:, 1:] & there[:, :-1])
    return all(float(c[p].mean()) > ALTERNATING for c, p in zip(changes, pairs, strict=True) if p.any())


def _alternates(saddle: Array, corners: Array) -> bool:
    """Whether mixed differences change their sign from each corner to the next, as a chequerboard's do."""
    signs = 1 - 2 * (np.add.outer(*(np.arange(n) for n in saddle.shape)) % 2)
    most = float(np.median(np.abs(saddle[corners])))
    limited = np.clip(saddle[corners], -most, most)  # one strong edge is no order
    return bool(abs(float((signs[corners] * limited).sum())) > ORDERED * float(np.abs(limited).sum()) > 0)


def _repeats(saddle: Array, corners: Array) -> bool:
    """Whether a texture comes again after a number of cells, along rows or columns."""
    for period in PERIODS:
        for first, second in (
            ((slice(None), slice(period, None)), (slice(None), slice(None, -period))),
            ((slice(period, None), slice(None)), (slice(None, -period), slice(None))),
        ):
            a, b = saddle[first], saddle[second]
            if np.count_nonzero(corners[first] & corners[second]) < TEXTURE:
                continue
            power = float(np.sqrt((a**2).sum() * (b**2).sum()))
            if power > 0 and float((a * b).sum()) > REPEATED * power:
                return True
    return False


def _comes_again(means: Array, corners: Array) -> bool:
    """Whether the four cells around corners come again elsewhere, which are of more than one colour."""
    rounded = np.rint(means / LEVELS).astype(np.int64)
    four = (rounded[1:, 1:], rounded[1:, :-1], rounded[:-1, 1:], rounded[:-1, :-1])
    uneven = corners & (np.ptp(np.stack(four), axis=0) > 2)
    if np.count_nonzero(uneven) < PATTERNS:
        return False
    code = sum(v[uneven] << (9 * k) for k, v in enumerate(four))
    _, number = np.unique(code, return_counts=True)
    return bool(number[number > 1].sum() >= AGAIN * number.sum())
