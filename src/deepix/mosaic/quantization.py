"""From an estimate to integers that pixelate to the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.blended import BlendedCells
from deepix.mosaic.cells import Array
from deepix.mosaic.integers import Rounding, rounded_means
from deepix.mosaic.projection import cell_values, project_bounded
from deepix.mosaic.shown import held
from deepix.mosaic.types import Mosaic, check, paste


def quantize(estimate: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Return the estimate as a picture of integers that pixelates to the input, exactly.

    The estimate is projected within the range of the input's type and rounded; where a cell's rounded sum would
    pixelate to another value, the pixels that were rounded furthest in the wrong direction move by one.
    For an intact input `pixelate(quantize(…), mosaics, rounding)` is the input; for a lossy one each cell's
    mean is within ½ of the mean of the input's. In blended grids pixels are just rounded, which leaves each cell's
    mean within ½ of `cell_values`, but for cells that no picture attains: near both ends of the range side by side.
    Samples, minima and maxima are exact too; cells that show means of light agree to 1 level.

    Parameters
    ----------
    estimate : float (H, W) or (H, W, C), in the unit of `pixelated`
    pixelated : same shape, integers
    mosaics : areas must not overlap
    rounding : how the input's cells came about

    Returns
    -------
    The type and shape of `pixelated`

    Raises
    ------
    ValueError : as `project`, or `pixelated` is not of integers
    """
    if pixelated.dtype.kind not in "iu":
        raise ValueError(f"the input must be of integers, not {pixelated.dtype}")
    if estimate.shape != pixelated.shape:
        raise ValueError(f"the estimate's shape {estimate.shape} is not the input's {pixelated.shape}")
    check(mosaics, pixelated.shape)
    highest = int(np.iinfo(pixelated.dtype).max)
    result = pixelated.copy()
    for m in mosaics:
        box = estimate[m.box].astype(np.float64)
        if not m.cell_value.is_mean:
            paste(result, m, _quantize_shown(box, pixelated, m, rounding))
            continue
        box = project_bounded(box, cell_values(pixelated, m, rounding), m.cells, 0, highest)
        if isinstance(m.cells, BlendedCells):
            paste(result, m, np.rint(box).astype(pixelated.dtype))
            continue
        planes = box.reshape(m.height, m.width, -1)
        observed = pixelated[m.box].reshape(planes.shape)
        rounded = np.stack(
            [_round_cells(planes[..., c], observed[..., c], m, rounding) for c in range(planes.shape[2])],
            axis=2,
        )
        paste(result, m, rounded.reshape(box.shape).astype(pixelated.dtype))
    return result


def _quantize_shown(box: NDArray[np.float64], pixelated: Array, m: Mosaic, rounding: Rounding) -> Array:
    """Return the integers of a box whose cells show something else than means."""
    highest = float(np.iinfo(pixelated.dtype).max)
    if m.cell_value.kind == "linear":
        y = cell_values(pixelated, m, rounding)
    else:
        # what is one of the pixels is a whole number, and the order of numbers outlives rounding
        y = rounded_means(pixelated[m.box], m.cells, "nearest").astype(np.float64)
        box = np.rint(box)
    return np.rint(held(box, y, m, 0, highest, highest)).astype(pixelated.dtype)


def _round_cells(plane: Array, observed: Array, m: Mosaic, rounding: Rounding) -> NDArray[np.int64]:
    cells = m.cells
    total = cells.sum(observed)
    below = cells.counts // 2 if rounding == "nearest" else np.zeros_like(cells.counts)
    least = total - below  # the sums that pixelate to the input: least … least + count − 1
    most = least + cells.counts - 1
    rounded = np.rint(plane).astype(np.int64)
    sums = cells.sum(rounded)
    missing = np.where(sums < least, least - sums, np.where(sums > most, most - sums, 0))
    missing[cells.counts == 0] = 0
    if not missing.any():
        return rounded
    labels = m.labels()
    wanted = missing.ravel()
    flat = np.flatnonzero((labels >= 0) & (wanted[labels] != 0))
    label = labels.ravel()[flat]
    sign = np.sign(wanted[label])
    order = np.lexsort((-sign * (plane.ravel()[flat] - rounded.ravel()[flat]), label))
    flat, label, sign = flat[order], label[order], sign[order]
    rank = np.arange(len(label)) - np.searchsorted(label, label)
    moved = rank < np.abs(wanted[label])
    rounded.ravel()[flat[moved]] += sign[moved]
    return rounded
