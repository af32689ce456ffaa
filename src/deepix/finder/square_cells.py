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
MOST_COARSER = 4
"""The same of a cell that is square already."""
OFF = 0.04
"""How far, relatively, a cell's longer side may be from a multiple of its shorter one."""
FLOOR = 0.4
"""What a step between two cells is at least taken for, in levels: what rounding and a good file leave."""
ENOUGH = 12.0
"""Evidence, in nats, from which on only some of the lines are borders: of equal lines the best dozen ways to
choose some have 5 by chance."""
LINED = 2.0
"""The same where an area's steps have shown the larger cells already."""
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
    found = _borders(m.cells.mean(plane[m.box]), m.cells.counts > 0, axis, parts)
    if found is None:
        return m
    if axis == 1:
        line = _line(m.x, m.grid.x, width, found)
        return replace(m, grid=Grid(line, m.grid.y, _multiple(width, parts, height), height, m.grid.blended))
    line = _line(m.y, m.grid.y, height, found)
    return replace(m, grid=Grid(m.grid.x, line, width, _multiple(height, parts, width), m.grid.blended))


def coarser(plane: NDArray[np.float32], m: Mosaic) -> Mosaic:
    """Return a mosaic with cells twice, three times … as large if only every so many lines are borders; else itself.

    As `squared`; in both directions, and by the same number.
    """
    g, means, there = m.grid, m.cells.mean(plane[m.box]), m.cells.counts > 0
    for parts in range(MOST_COARSER, 1, -1):
        column, row = (_borders(means, there, axis, parts) for axis in (1, 0))
        if column is not None and row is not None:
            x, y = _line(m.x, g.x, g.width, column), _line(m.y, g.y, g.height, row)
            return replace(m, grid=replace(g, x=x, y=y, width=parts * g.width, height=parts * g.height))
    return m


def as_lined(plane: NDArray[np.float32], m: Mosaic, grid: Grid) -> Mosaic:
    """Return a mosaic with a grid's cells in the direction in which its own are parts of these; else itself.

    As `squared`, but what the cells are parts of is known from elsewhere: the lines that the steps in an area show.
    """
    g = m.grid
    for axis, own, other in ((1, g.width, grid.width), (0, g.height, grid.height)):
        parts = round(other / own)
        if not 2 <= parts <= MOST_PARTS or abs(other / own / parts - 1) > OFF:
            continue
        found = _borders(m.cells.mean(plane[m.box]), m.cells.counts > 0, axis, parts, LINED)
        if found is None:
            continue
        if axis == 1:
            g = replace(g, x=_line(m.x, g.x, own, found), width=parts * own)
        else:
            g = replace(g, y=_line(m.y, g.y, own, found), height=parts * own)
    return replace(m, grid=g)


def _line(start: int, origin: float, size: float, number: int) -> float:
    """Return where a line lies, counted from the first inside an area: the end of the first, maybe cut, cell."""
    return float(origin + (np.floor((start + 0.5 - origin) / size) + 1 + number) * size)


def _multiple(size: float, parts: int, other: float) -> float:
    """Return the size of a cell of so many parts: the other side's where whole pixels, or nearly the same, say so."""
    return other if parts * size != other and abs(parts * size - other) < 0.02 * other else parts * size


def _borders(means: Array, there: Array, axis: int, parts: int, enough: float = ENOUGH) -> int | None:
    """Return the first of the lines across an axis that are borders, every so many; None if all are alike.

    `means` are the cells', `there` says which of them have pixels.
    """
    steps = np.abs(np.diff(means, axis=axis))
    index = np.arange(steps.shape[axis])
    pairs = there[1:] & there[:-1] if axis == 0 else there[:, 1:] & there[:, :-1]
    total = (steps * pairs).sum(axis=1 - axis, dtype=np.float64)
    number = pairs.sum(axis=1 - axis, dtype=np.float64)
    best: tuple[float, int | None] = (enough, None)
    for phase in range(min(parts, len(index))):
        on = index % parts == phase
        if not number[on].sum() or not number[~on].sum():
            continue
        within, across = (total[v].sum() / number[v].sum() for v in (~on, on))
        gain = lines_ratio(total, number, FLOOR, on)
        if gain > best[0] and within <= SMALLER * across:
            best = gain, phase
    return best[1]
