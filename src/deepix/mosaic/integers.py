"""How means become integers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.cells import Array, Cells, as_channels

Rounding = Literal["nearest", "truncate"]
"""How a cell's mean became an integer: to the nearest (halves up) or cut off, as the challenge does."""


def white(dtype: np.dtype[Any]) -> float:
    """Return the value of white: the largest one of an integer type, 255 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 255.0


def rounded_means(box: Array, cells: Cells, rounding: Rounding) -> Array:
    """Return the means of cells that share no pixels, in the type of the box; those of integers exactly."""
    if box.dtype.kind == "f":
        return cells.mean(box).astype(box.dtype)
    total = cells.sum(box)
    counts = as_channels(np.maximum(cells.counts, 1), total)
    values: Array = (2 * total + counts) // (2 * counts) if rounding == "nearest" else total // counts
    return values.astype(box.dtype)


def in_type(values: NDArray[np.float64], dtype: np.dtype[Any], rounding: Rounding) -> Array:
    """Return values in a picture's type; those within 1e-6 below an integer may be it but for rounding errors."""
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        values = np.floor(values + (0.5 if rounding == "nearest" else 0.0) + 1e-6).clip(limits.min, limits.max)
    return values.astype(dtype)
