"""Areas of any shape with intact tiles: rectangles of them, grown to what is flat in a region of the locator's map.

`intact_tiles` finds rectangles only. Where the map shows a larger region around some of them, the grid of the largest
tells which pixels equal their neighbours in the same cell: these are the area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.candidates import INTACT, Candidate
from deepix.finder.fast_filters import dilated, filled
from deepix.finder.geometry import lies_in, same_grid, size
from deepix.mosaic import Mosaic

Array = NDArray[Any]

AROUND = 5
"""Pixels by which the locator may be wrong about where an area ends."""
FEW = 4
"""The least number of connected pixels equal to their neighbours that may be of tiles: in a photo they are fewer."""
EQUAL = 0.6
"""The least share of an area as the map shows it that intact tiles cover."""


def grown(pixels: Array, regions: Sequence[Candidate], tiles: Sequence[Candidate]) -> list[Candidate]:
    """Return the areas that intact tiles grow to in the regions that the map outlines around them.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16
    regions : candidates whose areas are outlined by the map
    tiles : rectangles of intact tiles, which do not overlap
    """
    result = []
    for region in regions:
        inner = [c.mosaic for c in tiles if lies_in(c.mosaic, region.mosaic)]
        if not inner:
            continue
        largest = max(inner, key=size)
        shape = _flat_area(pixels, region.mosaic, largest)
        if shape is not None:
            beyond = _stepped(pixels, shape, [m for m in inner if same_grid(m, largest)])
            score = INTACT * region.score
            result.append(Candidate(shape, region.log_ratio, score, intact=True, region=region, beyond=beyond))
    return result


def _stepped(pixels: NDArray[Any], m: Mosaic, inner: Sequence[Mosaic]) -> float:
    """Return the share of neighbours across a mosaic's lines that differ, where others do not cover it.

    Flat surroundings of a mosaic look like more of its tiles, but for that.
    """
    box = pixels[m.box].reshape(m.height, m.width, -1)
    beyond = m.area.copy()
    for other in inner:
        moved = other.moved(-m.x, -m.y)
        rows, columns = (slice(max(v.start, 0), max(v.stop, 0)) for v in moved.box)
        beyond[rows, columns] = False
    differ = count = 0
    for axis, index in ((0, m.cells.row_index), (1, m.cells.column_index)):
        line = np.diff(index) != 0
        first, second = slice(None, -1), slice(1, None)
        before = (first,) if axis == 0 else (slice(None), first)
        after = (second,) if axis == 0 else (slice(None), second)
        pairs = m.area[before] & m.area[after] & (beyond[before] | beyond[after])
        pairs &= line[:, None] if axis == 0 else line
        steps = np.any(box[before] != box[after], axis=2)
        differ += int(np.count_nonzero(steps & pairs))
        count += int(np.count_nonzero(pairs))
    return differ / max(count, 1)


def _flat_area(pixels: NDArray[Any], m: Mosaic, like: Mosaic) -> Mosaic | None:
    """Return the area around another one, on its grid, in which pixels equal their neighbours in the same cell."""
    height, width = pixels.shape[:2]
    top, left = max(m.y - AROUND, 0), max(m.x - AROUND, 0)
    box = slice(top, min(m.y + m.height + AROUND, height)), slice(left, min(m.x + m.width + AROUND, width))
    here = pixels[box].reshape(box[0].stop - top, box[1].stop - left, -1)
    flat = np.ones(here.shape[:2], bool)
    for axis, cells in ((0, like.grid.rows(top, box[0].stop)), (1, like.grid.columns(left, box[1].stop))):
        equal = np.all(np.diff(here, axis=axis) == 0, axis=2)
        same = np.diff(cells) == 0
        equal &= same[:, None] if axis == 0 else same
        before, after = np.zeros_like(flat), np.zeros_like(flat)
        if axis == 0:
            before[1:], after[:-1] = equal, equal
        else:
            before[:, 1:], after[:, :-1] = equal, equal
        flat &= before | after
    seen = np.zeros_like(flat)
    seen[m.y - top : m.y - top + m.height, m.x - left : m.x - left + m.width] = m.area
    flat &= dilated(seen, AROUND)
    labels, number = ndimage.label(flat)
    sizes = np.bincount(labels[seen], minlength=number + 1)
    sizes[0] = 0
    # single equal neighbours in a photo are small
    shape = filled(np.isin(labels, np.flatnonzero(sizes >= FEW)))
    if np.count_nonzero(shape & seen) < EQUAL * np.count_nonzero(seen):
        return None
    whole = np.zeros((height, width), bool)
    whole[box] = shape
    return Mosaic.from_mask(whole, like.grid, like.confidence)
