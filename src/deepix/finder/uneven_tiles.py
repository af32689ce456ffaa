"""Tiles that a program cut unevenly: of n or n + 1 pixels, as a size that is no whole number asks for.

Programs scale a part down to a whole number of cells and up again, or cut at round(i · width / n): neighbouring tiles
differ by a pixel. Their borders tell the grid: `Grid` gives a pixel to the cell that holds its centre, so that line k
lies between the pixels L − 1 and L just if origin + k · size lies in (L − ½, L + ½]. Which origins and sizes do that
for all lines is a polygon; of these the one is taken whose ends are the area's, as the programs' are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.fast_filters import connected
from deepix.finder.grid_box import GridBox
from deepix.finder.jpeg_noise import SIDE

Array = NDArray[Any]

LEAST = 4
"""The least number of tiles that tell an uneven grid."""
LIMIT = 40
"""Proposals, at most, of one picture."""
CUTS = (0.0, 0.5 - 1e-6, 1e-3 - 0.5)
"""Where a grid's origin lies, from an area's first pixel on, whose lines are at k · size rounded to the nearest pixel
(Pillow), up (OpenCV's nearest neighbour) or down."""
NO_ACCIDENT = 8
"""The least size of cells, in pixels, of which hardly ever one pixel is left beyond the last whole one, and alike."""
SELDOM = 5.3
"""The natural logarithm of how seldom even cells are cut as uneven ones would be, at least, to be taken for these."""
SHORT = 1e-6
"""How far inside its bounds a line is kept, in pixels."""


def proposals(tiles: NDArray[np.int64]) -> list[GridBox]:
    """Return clusters of tiles that continue each other, of sizes that differ by a pixel, on one grid; largest first.

    Parameters
    ----------
    tiles : (n, 4) of x, y, width, height: `intact_tiles.exact_tiles`
    """
    if len(tiles) < LEAST:
        return []
    pairs = [_neighbours(tiles, axis) for axis in (0, 1)]
    a, b = np.concatenate(pairs, axis=1)
    label = connected(a, b, len(tiles))
    number = np.bincount(label, minlength=len(tiles))
    pixels = np.bincount(label, tiles[:, 2] * tiles[:, 3], minlength=len(tiles))
    uneven = [_ranges(label, tiles[:, k], len(tiles)) == 1 for k in (2, 3)]
    chosen = np.flatnonzero((number >= LEAST) & (uneven[0] | uneven[1]))
    chosen = chosen[np.argsort(-pixels[chosen], kind="stable")][:LIMIT]
    found = (_proposal(tiles[label == k]) for k in chosen)
    return [one for one in found if one is not None]


def _neighbours(tiles: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Return the pairs of tiles of which one continues the other along an axis (0: x), its size alike: (2, pairs)."""
    at, size = tiles[:, axis], tiles[:, axis + 2]
    across, thickness = tiles[:, 1 - axis], tiles[:, 3 - axis]
    code = (((across << 8) | thickness) << 24) | at
    order = np.argsort(code)
    wanted = code + size
    place = np.minimum(np.searchsorted(code[order], wanted), len(code) - 1)
    hit = np.flatnonzero(code[order][place] == wanted)
    other = order[place[hit]]
    alike = np.abs(size[hit] - size[other]) <= 1
    return np.stack([hit[alike], other[alike]])


def _ranges(label: NDArray[np.int64], values: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return the largest less the least value of each label's."""
    low, high = np.full(number, 1 << 30), np.zeros(number, np.int64)
    np.minimum.at(low, label, values)
    np.maximum.at(high, label, values)
    return np.asarray(high - low, np.int64)


def _proposal(tiles: NDArray[np.int64]) -> GridBox | None:
    """Return the box and the grid of a cluster of tiles; None where whole numbers explain it, or no grid does."""
    left, top = (int(v) for v in tiles[:, :2].min(axis=0))
    right, bottom = (int(v) for v in (tiles[:, :2] + tiles[:, 2:]).max(axis=0))
    lines = [_lines(tiles[:, k], tiles[:, k + 2]) for k in (0, 1)]
    across, down = (fitted(at) for at in lines)
    if across is None or down is None:
        return None
    # what resizing has left of tiles ends anywhere between lines
    whole = all(np.isin([tiles[:, k], tiles[:, k] + tiles[:, k + 2]], lines[k]).all() for k in (0, 1))
    # a program does the same along both axes
    if whole and (across[2] != down[2] or _are_short(lines, (across[1], down[1]))):
        across, down = (_whole_number(at, one) for at, one in zip(lines, (across, down), strict=True))
    if not (across[2] or down[2]):
        return None
    (x, width, _), (y, height, _) = across, down
    box = left, top, right - left, bottom - top
    return GridBox(box, (width, height), (x, y))  # type: ignore[arg-type]  # the only ones that are fractions


def _lines(start: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where some tile ends and another one begins, with the first and the last end."""
    both = np.intersect1d(start, start + size)
    return np.unique(np.concatenate([both, [start.min(), (start + size).max()]]))


def fitted(lines: NDArray[np.int64]) -> tuple[float, float, bool] | None:
    """Return origin and size of a grid that has these lines, and whether it is uneven; None if there is none.

    Parameters
    ----------
    lines : (n,) pixels that begin a cell, and the one after the last cell; some of the grid's lines may be missing
    """
    gaps = np.diff(lines)
    size = float(np.median(gaps))
    single = np.where(gaps < 1.5 * size, gaps, 0)  # where no line is missing
    inner = single[1:-1][single[1:-1] > 0]
    ends = min(single[0], single[-1]) if len(gaps) > 3 else max(single[0], single[-1])
    # the first and the last cell may be cut; they cannot be larger than the others, but one for pixels like it beyond
    if not len(inner) or (np.ptp(inner) == 0 and ends <= inner[0] and not _is_natural(lines, inner[0])):
        on = lines[1] if len(lines) > 2 else lines[0]
        return float(on), float(inner[0] if len(inner) else single.max()), False
    for some in (lines, lines[1:], lines[:-1], lines[1:-1]):
        result = _through(some, size)
        if result is not None:
            return *result, True
    return None


def _is_natural(lines: NDArray[np.int64], inner: int) -> bool:
    """Whether lines with equal cells between the first and the last are those of a whole number of uneven cells.

    One of both is larger: of even cells it is so only where a cut pixel beyond is like it, which is no accident if
    cells have many.
    """
    first, *_, last = np.diff(lines)
    number = np.concatenate([[0], np.cumsum(np.maximum(np.rint(np.diff(lines) / inner), 1))])
    size = float(lines[-1] - lines[0]) / number[-1]
    larger = max(first, last) == inner + 1 and inner >= NO_ACCIDENT
    return bool(larger and any(_has(lines, number, lines[0] + off, size) for off in CUTS))


def _whole_number(lines: NDArray[np.int64], one: tuple[float, float, bool]) -> tuple[float, float, bool]:
    """Return the grid that cuts an axis into a whole number of uneven cells, where that has these lines; else `one`."""
    number = np.concatenate([[0], np.cumsum(np.maximum(np.rint(np.diff(lines) / one[1]), 1))])
    size = float(lines[-1] - lines[0]) / number[-1]
    if one[2] or size.is_integer():
        return one
    return next(((float(lines[0] + off), size, True) for off in CUTS if _has(lines, number, lines[0] + off, size)), one)


def _are_short(lines: Sequence[NDArray[np.int64]], sizes: tuple[float, float]) -> bool:
    """Whether the first and the last of otherwise even cells lack a pixel more often than cuts anywhere would have it.

    Of cells of n pixels one in n is cut so. Rectangles drawn over cells that are a file's blocks often are.
    """
    if all(at[1] % SIDE == 0 == size % SIDE for at, size in zip(lines, sizes, strict=True)):
        return False
    lacking = [size - np.diff(at)[[0, -1]] for at, size in zip(lines, sizes, strict=True)]
    if any(not np.isin(ends, (0, 1)).all() or not ends.any() for ends in lacking):  # along both axes
        return False
    return bool(sum(ends.sum() * np.log(size) for ends, size in zip(lacking, sizes, strict=True)) >= SELDOM)


def natural(area: GridBox) -> GridBox:
    """Return an area with the grid that cuts it into a whole number of cells, where that has the same lines inside."""
    for axis in (0, 1):
        start, side = area.box[axis], area.box[axis + 2]
        size = side / max(round(side / area.cell[axis]), 1)
        lines = area.lines(axis, start + 1, start + side)
        ways = [(start + off, size) for off in CUTS]
        found = _through(np.array([start, *lines, start + side]), size)
        for line, size in [*ways, *([] if found is None else [found])]:
            cell = (size, area.cell[1]) if axis == 0 else (area.cell[0], size)
            origin = (line, area.origin[1]) if axis == 0 else (area.origin[0], line)
            other = replace(area, cell=cell, origin=origin)  # type: ignore[arg-type]
            if np.array_equal(lines, other.lines(axis, start + 1, start + side)):
                area = other
                break
    return area


def _through(lines: NDArray[np.int64], about: float) -> tuple[float, float] | None:
    """Return origin and size of a grid that has all these lines, where any does."""
    if len(lines) < 3:
        return None
    number = np.concatenate([[0], np.cumsum(np.maximum(np.rint(np.diff(lines) / about), 1))])
    natural = float(lines[-1] - lines[0]) / number[-1]
    for off in CUTS:
        if _has(lines, number, lines[0] + off, natural):
            return float(lines[0] + off), natural
    apart = number[None, :] - number[:, None]
    distance = (lines[None, :] - lines[:, None]).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(apart > 0, (distance - 1) / apart, -np.inf).max()
        high = np.where(apart > 0, (distance + 1) / apart, np.inf).min()
    # halves may be rounded either way (to the even number): then only sizes beside the natural one do
    near = natural * (1 + np.array([-1e-4, 1e-4, -1e-3, 1e-3]))
    for size in (*near[(near > low) & (near < high)], *np.linspace(low, high, 9)[1:-1]):
        least = float((lines - 0.5 - number * size).max())
        most = float((lines + 0.5 - number * size).min())
        if most - least > 2 * SHORT and _has(lines, number, (least + most) / 2, float(size)):
            return (least + most) / 2, float(size)
    return None


def _has(lines: NDArray[np.int64], number: NDArray[np.float64], origin: float, size: float) -> bool:
    """Whether a grid's cells begin at these pixels: the cell numbers are given."""
    place = origin + number * size
    return bool(size >= 1 and np.all(np.ceil(place - 0.5 - SHORT / 10) == lines))
