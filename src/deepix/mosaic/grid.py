"""Where the cells of a mosaic lie."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepix.errors import DeepixError

LARGEST_CELL = 1 << 14
"""Pixels to a cell's width or height at most: no picture is known that was pixelated as coarsely."""
FARTHEST = 1 << 31
"""Pixels between the picture's top left corner and a grid's origin at most, so that cells can be counted."""


class GridError(DeepixError, ValueError):
    """Cells of an impossible size or place."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where cells lie: one cell's left and top edge, and the cells' width and height, in pixels of the picture.

    Sizes and origin may be fractional. A pixel belongs to the cell that holds its centre; if the grid is `blended`
    (a pixelated picture that was resized afterwards), to each cell by the share of the pixel's square in it.

    Raises
    ------
    GridError : cells are not between 1 and `LARGEST_CELL` pixels wide and high, or the origin is farther than
        `FARTHEST` pixels away; it is a `DeepixError` and a ValueError
    """

    x: float
    y: float
    width: float
    height: float
    blended: bool = False

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.height >= 1):
            raise GridError(f"cells must be at least 1 pixel wide and high, not {self.width} x {self.height}")
        if max(self.width, self.height) > LARGEST_CELL:
            raise GridError(
                f"cells must be at most {LARGEST_CELL} pixels wide and high, not {self.width} x {self.height}"
            )
        if not (math.isfinite(self.x) and math.isfinite(self.y) and max(abs(self.x), abs(self.y)) <= FARTHEST):
            raise GridError(f"the cells' origin must lie within {FARTHEST} pixels, not at {self.x},{self.y}")

    def columns(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the cell column of each pixel column in start … stop − 1, counted from the origin's."""
        return cell_index(start, stop, self.x, self.width)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the cell row of each pixel row in start … stop − 1, counted from the origin's."""
        return cell_index(start, stop, self.y, self.height)

    def moved(self, dx: float, dy: float) -> Grid:
        """Return the grid moved by (dx, dy) pixels."""
        return replace(self, x=self.x + dx, y=self.y + dy)


def cell_index(start: int, stop: int, origin: float, size: float) -> NDArray[np.int64]:
    """Return the cell (a column or row) of each pixel in start … stop − 1, for cells of one size from an origin on."""
    index: NDArray[np.int64] = np.floor((np.arange(start, stop) + 0.5 - origin) / size).astype(np.int64)
    return index
