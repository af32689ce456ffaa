"""How mosaics lie to one another, and masks to mosaics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def overlapping(a: Mosaic, b: Mosaic) -> int:
    """Return how many pixels two areas have in common."""
    y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
    x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    if x0 >= x1 or y0 >= y1:
        return 0
    ours = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
    theirs = b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
    return int(np.count_nonzero(ours & theirs))


def size(m: Mosaic) -> int:
    """Return how many pixels an area has."""
    return int(m.area.sum())


def covered(mosaics: Sequence[Mosaic], shape: tuple[int, ...], left: int = 0, top: int = 0) -> Mask:
    """Return what mosaics cover of a window, (H, W), that begins at (left, top); they may go beyond it."""
    result = np.zeros(shape[:2], bool)
    for m in mosaics:
        y, x = m.y - top, m.x - left
        here = result[max(y, 0) : max(y + m.height, 0), max(x, 0) : max(x + m.width, 0)]
        here |= m.area[max(-y, 0) :, max(-x, 0) :][: here.shape[0], : here.shape[1]]
    return result


def lies_in(inner: Mosaic, outer: Mosaic) -> bool:
    """Whether more than half of an area lies in another one."""
    return 2 * overlapping(inner, outer) > size(inner)


def without(m: Mosaic, others: Sequence[Mosaic], most: float) -> Mosaic | None:
    """Return a mosaic without what others cover; None if that is more than this share of it, or all."""
    common = sum(overlapping(m, other) for other in others)
    if not common:
        return m
    if common > most * np.count_nonzero(m.area):
        return None
    area = m.area.copy()
    for other in others:
        y0, y1 = max(m.y, other.y), min(m.y + m.height, other.y + other.height)
        x0, x1 = max(m.x, other.x), min(m.x + m.width, other.x + other.width)
        if y0 < y1 and x0 < x1:
            theirs = other.area[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
            area[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] &= ~theirs
    if not area.any():
        return None
    box = bounds(area)
    left = np.ascontiguousarray(area[box])
    return replace(m, x=m.x + box[1].start, y=m.y + box[0].start, width=left.shape[1], height=left.shape[0], mask=left)


def bounds(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and the columns of a mask, (H, W), from the first to the last that hold any of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def whole_pixels(m: Mosaic) -> bool:
    """Whether a mosaic's cells are of whole pixels: nothing was resized after it was made."""
    return all(float(v).is_integer() for v in (m.grid.x, m.grid.y, m.grid.width, m.grid.height))


def same_grid(a: Mosaic, b: Mosaic) -> bool:
    """Whether two grids have all their lines in common."""
    g, h = a.grid, b.grid
    sides = ((g.x - h.x, g.width), (g.y - h.y, g.height))
    return (g.width, g.height) == (h.width, h.height) and all(off % side == 0 for off, side in sides)


def is_coarser(a: Mosaic, b: Mosaic) -> bool:
    """Whether the lines of one grid in whole pixels are some of another's, and not all."""
    g, h = a.grid, b.grid
    if not (whole_pixels(a) and whole_pixels(b)) or (g.width, g.height) == (h.width, h.height):
        return False
    sides = ((g.x - h.x, g.width, h.width), (g.y - h.y, g.height, h.height))
    return all(off % own == 0 == size % own for off, size, own in sides)
