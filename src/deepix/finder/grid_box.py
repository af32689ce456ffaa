"""A box with a grid: what a proposal, and a fit, of a mosaic is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Grid, Mosaic
from deepix.mosaic.grid import cell_index

Box = tuple[int, int, int, int]
"""x, y, width, height"""


@dataclass(frozen=True)
class GridBox:
    """A box with the grid of its cells: the cells' width and height and one cell's upper left corner.

    Whole numbers, but for tiles that were cut unevenly (`uneven_tiles`).
    """

    box: Box
    cell: tuple[int, int]
    origin: tuple[int, int]

    @property
    def even(self) -> bool:
        """Whether all cells are as large."""
        return all(float(v).is_integer() for v in (*self.cell, *self.origin))

    def lines(self, axis: int, start: int, stop: int) -> NDArray[np.int64]:
        """Return the pixels of start … stop − 1 along an axis (0: x) with which a cell begins."""
        index = cell_index(start - 1, stop, self.origin[axis], self.cell[axis])
        return start + np.flatnonzero(np.diff(index))

    @classmethod
    def of(cls, m: Mosaic) -> GridBox:
        """Return a mosaic's box with its grid, in whole pixels."""
        g = m.grid
        return cls((m.x, m.y, m.width, m.height), (int(g.width), int(g.height)), (int(g.x), int(g.y)))

    @property
    def mosaic(self) -> Mosaic:
        """The same as a mosaic."""
        return Mosaic(*self.box, Grid(*self.origin, *self.cell))

    def same_grid(self, other: GridBox) -> bool:
        """Whether both grids have all their lines in common."""
        return self.cell == other.cell and all(
            (a - b) % size == 0 for a, b, size in zip(self.origin, other.origin, self.cell, strict=True)
        )


def inside_one(inner: GridBox, others: Sequence[GridBox]) -> bool:
    """Whether a box lies in one of the others, on the same grid."""
    x, y, w, h = inner.box
    return any(
        a <= x and b <= y and x + w <= a + c and y + h <= b + d and inner.same_grid(other)
        for other in others
        for a, b, c, d in (other.box,)
    )


def shared(a: Box, b: Box) -> int:
    """Return how many pixels two boxes have in common."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
