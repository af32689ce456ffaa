"""The cells of a mosaic whose pixels each lie in one cell, as linear operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Cells:
    """The cells of one mosaic (grid ∩ area) as the operators A and A† on the area's bounding box.

    Arrays of the box are (height, width) or (height, width, C); arrays of cells are (rows, columns) or
    (rows, columns, C). A cell that the area leaves empty has count 0 and mean 0.
    """

    def __init__(self, rows: NDArray[np.int64], columns: NDArray[np.int64], mask: NDArray[np.bool_] | None):
        self._row_starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
        self._column_starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
        self.row_index = rows - rows[0]
        self.column_index = columns - columns[0]
        self.mask = mask
        self.counts: NDArray[np.int64]
        if mask is None:
            heights, widths = (
                np.diff(self._row_starts, append=len(rows)),
                np.diff(self._column_starts, append=len(columns)),
            )
            self.counts = heights[:, None] * widths
        else:
            self.counts = self._reduce(mask, np.dtype(np.int64))

    def _reduce(self, values: Array, dtype: np.dtype[Any], how: np.ufunc = np.add) -> Array:
        by_row = how.reduceat(values, self._row_starts, axis=0, dtype=dtype)
        by_cell: Array = how.reduceat(by_row, self._column_starts, axis=1, dtype=dtype)
        return by_cell

    def sum(self, values: Array) -> Array:
        """Return each cell's sum: int64 (exact) for integers, else float64."""
        dtype = np.dtype(np.float64 if values.dtype.kind == "f" else np.int64)
        if self.mask is not None:
            values = np.where(as_channels(self.mask, values), values, np.zeros((), values.dtype))
        return self._reduce(values, dtype)

    def mean(self, values: Array) -> NDArray[np.float64]:
        """Return A x: each cell's mean, float64."""
        total = self.sum(values)
        return np.asarray(total / as_channels(np.maximum(self.counts, 1), total), np.float64)

    def least(self, values: Array) -> Array:
        """Return each cell's least value, in the type of the values; that type's greatest one where a cell is empty."""
        if self.mask is not None:
            top = np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max
            values = np.where(as_channels(self.mask, values), values, np.array(top, values.dtype))
        return self._reduce(values, values.dtype, np.minimum)

    def spread(self, cell_values: Array) -> Array:
        """Return A† y: each cell's value in all its pixels (the box's pixels outside the area get one too)."""
        pixels: Array = cell_values.take(self.row_index, axis=0).take(self.column_index, axis=1)
        return pixels

    def paint(self, cell_values: Array) -> Array:
        """Return the mosaic one sees of cells with these values; it differs from A† y in `BlendedCells` only."""
        return self.spread(cell_values)

    def fit(self, pixels: Array) -> NDArray[np.float64]:
        """Return y: the values of the cells whose mosaic is nearest to these pixels, float64."""
        return self.mean(pixels)


def as_channels(plane: Array, like: Array) -> Array:
    """Give a (H, W) array a channel axis if `like` has one."""
    return plane[..., None] if like.ndim == 3 else plane
