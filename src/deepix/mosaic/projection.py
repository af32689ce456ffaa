"""Pixelating, and the projection onto the pictures that would have given the input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.blended import BlendedCells
from deepix.mosaic.cells import Array, Cells
from deepix.mosaic.integers import Rounding, in_type, white
from deepix.mosaic.shown import held, shown
from deepix.mosaic.types import Mosaic, check, paste


def pixelate(image: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Replace every cell of the mosaics by what it shows, its mean if `Mosaic.cell_value` says nothing else.

    Pixels that straddle cells of blended grids become a mixture of them.

    Parameters
    ----------
    image : (H, W) or (H, W, C), any integer or float type; not changed
    mosaics : areas must not overlap
    rounding : how means become integers, for integer pictures

    Returns
    -------
    A new array of the image's shape and type; pixels outside the mosaics are the image's own.

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two overlap

    Examples
    --------
    >>> pixelate(np.array([[1, 2, 9]], np.uint8), [Mosaic.rectangle(0, 0, 2, 1, cell=2)])
    array([[2, 2, 9]], dtype=uint8)
    """
    check(mosaics, image.shape)
    result = image.copy()
    for m in mosaics:
        if isinstance(m.cells, BlendedCells):
            paste(result, m, in_type(m.cells.paint(m.cells.mean(image[m.box])), image.dtype, rounding))
        else:
            paste(result, m, m.cells.paint(shown(image[m.box], m, rounding)))
    return result


def cell_values(pixelated: Array, m: Mosaic, rounding: Rounding = "nearest") -> NDArray[np.float64]:
    """Return y: what the input says of each cell's true mean, or of what else it shows.

    It is the mean of the cell's pixels (all equal in an intact mosaic, so that a lossy file's noise averages
    out), or the fit to them where cells share pixels; integers that were cut off get ½ added, the middle of what they
    may have been.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers or floats of any unit; not changed
    m : in it
    rounding : how integer cells came about

    Returns
    -------
    float64 (rows, columns[, C]) of the cells, in the input's unit; 0 (or ½) where the area leaves a cell empty
    """
    values = m.cells.fit(pixelated[m.box])
    cut_off = rounding == "truncate" and pixelated.dtype.kind != "f" and m.cell_value.kind in ("mean", "linear")
    return values + 0.5 if cut_off else values


def project(
    estimate: Array,
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    rounding: Rounding = "nearest",
    bounds: tuple[float, float] | None = None,
) -> Array:
    """Move an estimate to the nearest picture that agrees with the input.

    Outside the mosaics the input's own pixels are returned; inside, each cell is shifted so that its
    mean (in which a pixel counts by its share, where cells share pixels) is what `pixelated` says. This is the
    orthogonal projection onto the pictures that would have given `pixelated`, so it never increases the squared error
    to the truth. With `bounds`, it is the projection onto those of them that also keep within the bounds. Cells that
    show something else than means are moved to a picture that would show it, see `deepix.mosaic.shown`.

    Parameters
    ----------
    estimate : float (H, W) or (H, W, C), in the unit of `pixelated`
    pixelated : same shape, integers or floats; what was observed
    mosaics : areas must not overlap
    rounding : how integer cells came about: the true mean of a cell cut off to y is y + ½
    bounds : (lowest, highest) value of a pixel; without, values may leave the range that pictures have

    Returns
    -------
    The type and shape of `estimate`

    Raises
    ------
    ValueError : shapes differ, a mosaic lies outside the picture, or two overlap

    Examples
    --------
    >>> m = [Mosaic.rectangle(0, 0, 2, 1, cell=2)]
    >>> project(np.array([[4.0, 2.0, 7.0]]), np.array([[5.0, 5.0, 9.0]]), m)
    array([[6., 4., 9.]])
    """
    if estimate.shape != pixelated.shape:
        raise ValueError(f"the estimate's shape {estimate.shape} is not the input's {pixelated.shape}")
    if estimate.dtype.kind != "f":
        raise ValueError(f"the estimate must be of a float type, not {estimate.dtype}")
    check(mosaics, pixelated.shape)
    result = pixelated.astype(estimate.dtype)
    for m in mosaics:
        y = cell_values(pixelated, m, rounding)
        if not m.cell_value.is_mean:
            low, high = bounds or (-np.inf, np.inf)
            values = held(estimate[m.box], y, m, low, high, white(pixelated.dtype))
        elif bounds is None:
            values = project_box(estimate[m.box], y, m.cells)
        else:
            values = project_bounded(estimate[m.box], y, m.cells, *bounds)
        paste(result, m, values)
    return result


def project_box(box: Array, y: NDArray[np.float64], cells: Cells) -> Array:
    """Return z + A†(y − A z) for one mosaic's bounding box z, in the type of z; for loops that project often."""
    projected: Array = box + cells.spread((y - cells.mean(box)).astype(box.dtype))
    return projected


def project_bounded(box: Array, y: NDArray[np.float64], cells: Cells, low: float, high: float) -> Array:
    """Project onto {A z = y} ∩ [low, high]: clip(z + s_k) with the shift s_k that gives cell k its mean.

    The Karush–Kuhn–Tucker conditions give that form; the mean is monotone and piecewise linear in s_k, so that
    Newton's method, kept inside a bracket by bisection, ends.
    """
    if isinstance(cells, BlendedCells):
        return _project_blended(box, np.clip(y, low, high), cells, low, high)
    target = np.clip(y, low, high)
    target[cells.counts == 0] = 0
    lowest = np.full_like(y, low - box.max())
    highest = np.full_like(y, high - box.min())
    shift = np.clip(y - cells.mean(box), lowest, highest)
    tolerance = 1e-7 * (high - low)
    for _ in range(100):
        moved = box + cells.spread(shift)
        clipped = np.clip(moved, low, high)
        error = target - cells.mean(clipped)
        error[cells.counts == 0] = 0
        if np.abs(error).max() <= tolerance:
            break
        lowest = np.where(error > 0, shift, lowest)
        highest = np.where(error < 0, shift, highest)
        free = cells.mean((moved == clipped).astype(np.float64))
        newton = shift + error / np.maximum(free, 1e-9)
        shift = np.where((newton > lowest) & (newton < highest), newton, (lowest + highest) / 2)
    result: Array = clipped.astype(box.dtype)
    return result


BOUNDED_STEPS = 50
"""Steps of `_project_blended` after which cells may be as far from their values as `NEARLY`. On photos at 0.73 and 1.31
times their size 50 leave single cells up to 0.2 levels from them (not counting those that no picture attains)."""
NEARLY = 1 / 1024
"""Share of the range, a quarter of a level of 255, that cells may be from their values then: rounding pixels moves them
by half a level at most, and numbers less than 1 apart are rounded to ones at most 1 apart, as is promised."""
LEAST_PROGRESS = 0.98
"""Share of the largest error that must not be left after as many further steps: else no picture attains the values."""


def _project_blended(box: Array, y: NDArray[np.float64], cells: BlendedCells, low: float, high: float) -> Array:
    """Project onto {A z = y} ∩ [low, high] where cells share pixels: clip(z + A†s) with the s that gives the means y.

    Steps s += y − A clip(z + A†s) climb the dual problem along its gradient in the metric of AAᵀ; they are exact where
    nothing is clipped and never too long. Nesterov's momentum, begun anew when it points downhill (O'Donoghue and
    Candès, 2015), speeds them up. Cells beside each other may have values, near both ends of the range, that no picture
    within it has: then the result is within the bounds and near to the values.
    """
    at = previous = box.astype(np.float64)
    age, least, before = 0, np.inf, np.inf
    for number in itertools.count(1):
        clipped = np.clip(at, low, high)
        error = y - cells.mean(clipped)
        error[cells.counts == 0] = 0
        left = float(np.abs(error).max())
        least = min(least, left)
        if left <= (1e-6 if number < BOUNDED_STEPS else NEARLY) * (high - low):
            break
        if number % BOUNDED_STEPS == 0:
            if least > LEAST_PROGRESS * before:
                break
            before = least
        step = cells.spread(error)
        moved = at + step
        age = age + 1 if np.vdot(step, moved - previous) > 0 else 0
        at = moved + age / (age + 3) * (moved - previous)
        previous = moved
    return clipped.astype(box.dtype)
