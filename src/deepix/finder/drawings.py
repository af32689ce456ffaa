"""Cells that were drawn, not averaged: chequerboards, pixel art, blocks with a texture.

In a pixelated photo the means of four cells around a corner hardly ever come again elsewhere, and how they differ
crosswise, the mixed difference, has no order. What was drawn of squares repeats itself, goes on around the cells in the
same few colours, or has two of them only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.geometry import whole_pixels
from deepix.finder.grid import SMALLEST
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import grown, within

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
AROUND = 64
"""Pixels around cells, or four cells if that is more, in which a drawing goes on."""
COLOURS = 32
"""The largest number of colours there, told by their luminance, of a drawing: a photo has hundreds."""
SAMPLED = 5
"""Every so many columns and rows are looked at first, which hold too many colours of most photos."""
SQUARE = 0.98
"""The least share of steps there that lie where squares meet."""
EDGES = 12.0
"""The least length of such steps beyond the cells, in squares' sides."""
STRIP = 5
"""The most cells across a strip of a drawing in uneven light."""
SHARED = 8
"""The least number of cells to a colour where there is nothing beyond them."""
TWO = 0.03
"""The largest share of the cells' variance that is left within two kinds where they are those of a printed code."""
APART = 60.0
"""The least difference of these kinds, in levels."""
STRIPED = 20.0
"""The same where they alternate along an axis."""
OFTEN = 0.2
"""The least share of neighbouring cells that differ in kind, along each axis of such a code."""
CODE = 24
"""The least number of cells that tell one."""
OF_BOTH = 0.5
"""The least share of the pixels around fewer cells that are of their two colours where they are a part of one."""


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
    if _is_chequerboard(means, there) or _is_code(means, there) or _is_part_of_code(plane, m, means, there):
        return True
    if _goes_on(plane, m):
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
    kinds = _kinds(means, there)
    if kinds is None or kinds[1] > UNIFORM:
        return False
    return all(share > ALTERNATING for share in _changes(kinds[0], there))


def _is_code(means: Array, there: Array) -> bool:
    """Whether cells have two colours and nothing between, and change often: the modules of a QR code, or stripes."""
    kinds = _kinds(means, there) if np.count_nonzero(there) >= CODE else None
    if kinds is None or kinds[1] > TWO:
        return False
    changes = _changes(kinds[0], there)
    striped = max(changes) > ALTERNATING and kinds[2] >= STRIPED
    return striped or (min(changes) >= OFTEN and kinds[2] >= APART)


def _is_part_of_code(plane: NDArray[np.float32], m: Mosaic, means: Array, there: Array) -> bool:
    """Whether cells have two colours far apart, and most around them is of these: uneven modules of a code."""
    kinds = _kinds(means, there)
    if kinds is None or kinds[1] > TWO or kinds[2] < APART or min(_changes(kinds[0], there)) < OFTEN:
        return False
    box = grown(m.box, int(max(m.grid.width, m.grid.height)), plane.shape)
    beyond = np.ones(plane[box].shape, bool)
    beyond[within(m.box, box)] = False
    around = plane[box][beyond]
    alike = [np.abs(around - means[there & kind].mean()) <= LEVELS for kind in (kinds[0], ~kinds[0])]
    return bool(around.size and float((alike[0] | alike[1]).mean()) >= OF_BOTH and min(one.any() for one in alike))


def _kinds(means: Array, there: Array) -> tuple[NDArray[np.bool_], float, float] | None:
    """Return which cells are bright, the share of variance within dark and bright ones, and how far these are apart."""
    low, high = np.quantile(means[there], (0.1, 0.9))
    if low == high:
        return None
    bright = means > (low + high) / 2
    centres = means[~bright & there].mean(), means[bright & there].mean()
    left = means - np.where(bright, centres[1], centres[0])
    return bright, float(left[there].var() / means[there].var()), float(centres[1] - centres[0])


def _changes(bright: NDArray[np.bool_], there: Array) -> list[float]:
    """Return the shares of neighbouring cells that differ in kind, of both axes; without those that have none."""
    changes = (np.diff(bright, axis=axis) for axis in (0, 1))
    pairs = (there[1:] & there[:-1], there[:, 1:] & there[:, :-1])
    return [float(c[p].mean()) for c, p in zip(changes, pairs, strict=True) if p.any()]


def _goes_on(plane: NDArray[np.float32], m: Mosaic) -> bool:
    """Whether what is around cells was drawn of squares as they are, in few colours.

    Nearly all steps in a lossless drawing lie where its squares meet; cells may be some of these side by side. Where
    nothing is around, as in a whole picture, there must be many cells to each colour. Light that falls unevenly on a
    drawing makes many colours of few, but steps of a level or two; only strips of it can then be taken for cells.
    """
    if not whole_pixels(m):
        return False
    box = grown(m.box, max(AROUND, int(4 * max(m.grid.width, m.grid.height))), plane.shape)
    p = plane[box]
    many = len(np.unique(p[::SAMPLED, ::SAMPLED])) > COLOURS
    colours = 0 if many else len(np.unique(p))
    shaded = many or colours > COLOURS
    if shaded and min(m.cells.counts.shape) > STRIP:
        return False
    beyond = np.ones(p.shape, bool)
    beyond[within(m.box, box)] = False
    edges = [
        _edges(p, beyond, axis, int(size), int(origin) - box[axis].start, LEVELS if shaded else 0)
        for axis, size, origin in ((1, m.grid.width, m.grid.x), (0, m.grid.height, m.grid.y))
    ]
    if shaded:  # across a strip there are too few cells to tell their lines
        return max(edge or 0 for edge in edges) >= 2 * EDGES
    if any(edge is None for edge in edges):
        return False
    if min(edge for edge in edges if edge is not None) >= EDGES:
        return True
    return bool(p.shape == plane.shape and m.cells.counts.size >= SHARED * colours)


def _edges(p: Array, beyond: NDArray[np.bool_], axis: int, size: int, origin: int, least: float = 0) -> float | None:
    """Return how long the steps beyond the cells are along an axis, in sides of the largest squares that meet there.

    None if there are no such squares, whose sides are a whole part of the cells'. Steps have more than `least` levels.
    """
    steps = np.abs(np.diff(p, axis=axis)) > least
    total = steps.sum(axis=1 - axis)
    if least:
        total[np.flatnonzero(total)[[0, -1]] if total.any() else []] = 0  # where the drawing itself ends
    for side in (size // parts for parts in range(1, size // SMALLEST + 1) if size % parts == 0):
        on = (np.arange(1, p.shape[axis]) - origin) % side == 0
        if total[on].sum() >= SQUARE * max(int(total.sum()), 1):
            outer = np.delete(beyond, 0, axis=axis) & np.delete(beyond, -1, axis=axis)
            return float(np.count_nonzero(steps & outer) / side)
    return None


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
