"""Cells that are parts of square ones: a grid of which only every second, third … line in one direction is a border.

Files soften the borders between cells and leave steps inside them, so that cells of 30 x 30 may be explained well, or
even better, by 6 x 30; nothing in the tiles' flatness tells them apart. The steps across the lines do: those of the
square grid are borders between parts of a photo, those between them only what a file has left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.grid import lines_ratio
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]

MOST_PARTS = 12
"""The largest number of parts of a square cell that are told from cells."""
OFF = 0.04
"""How far, relatively, a cell's longer side may be from a multiple of its shorter one."""
FLOOR = 0.4
"""What a step between two cells is at least taken for, in levels: what rounding and a good file leave."""
ENOUGH = 12.0
"""Evidence, in nats, from which on only some of the lines are borders: of equal lines the best dozen ways to
choose some have 5 by chance."""
SMALLER = 0.6
"""The largest mean step across the other lines, in units of that across the borders."""


def squared(plane: NDArray[np.float32], m: Mosaic) -> Mosaic:
    """Return a mosaic with square cells if its own are parts of such; else itself.

    Parameters
    ----------
    plane : the picture's luminance, (H, W)
    m : a mosaic in it
    """
    width, height = m.grid.width, m.grid.height
    parts = round(max(width, height) / min(width, height))
    if not 2 <= parts <= MOST_PARTS or abs(max(width, height) / min(width, height) / parts - 1) > OFF:
        return m
    axis = 1 if width < height else 0
    found = _borders(m, plane, axis, parts)
    if found is None:
        return m
    first, start, size, origin = found, (m.x, m.y)[1 - axis], (width, height)[1 - axis], (m.grid.x, m.grid.y)[1 - axis]
    # lines are counted from the first inside the area, which is the end of the first, maybe cut, cell
    line = origin + (np.floor((start + 0.5 - origin) / size) + 1 + first) * size
    if axis == 1:
        return replace(m, grid=Grid(float(line), m.grid.y, _multiple(width, parts, height), height, m.grid.blended))
    return replace(m, grid=Grid(m.grid.x, float(line), width, _multiple(height, parts, width), m.grid.blended))


def _multiple(size: float, parts: int, other: float) -> float:
    """Return the size of a cell of so many parts: the other side's where whole pixels, or nearly the same, say so."""
    return other if parts * size != other and abs(parts * size - other) < 0.02 * other else parts * size


def _borders(m: Mosaic, plane: NDArray[np.float32], axis: int, parts: int) -> int | None:
    """Return the first of the lines across an axis that are borders, every so many; None if all are alike."""
    means, counts = m.cells.mean(plane[m.box]), m.cells.counts
    there = counts > 0
    steps = np.abs(np.diff(means, axis=axis))
    index = np.arange(steps.shape[axis])
    pairs = there[1:] & there[:-1] if axis == 0 else there[:, 1:] & there[:, :-1]
    total = (steps * pairs).sum(axis=1 - axis, dtype=np.float64)
    number = pairs.sum(axis=1 - axis, dtype=np.float64)
    best: tuple[float, int | None] = (ENOUGH, None)
    for phase in range(min(parts, len(index))):
        on = index % parts == phase
        if not number[on].sum() or not number[~on].sum():
            continue
        within, across = (total[v].sum() / number[v].sum() for v in (~on, on))
        gain = lines_ratio(total, number, FLOOR, on)
        if gain > best[0] and within <= SMALLER * across:
            best = gain, phase
    return best[1]
