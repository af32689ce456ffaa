"""Cells that show something else than plain means: what they show of a picture, and the pictures that would show it.

    sample    x = y at one pixel of the cell
    min       x ≥ y all over the cell, and x = y somewhere; max is the min of −x
    linear    mean of light(x) = light(y), light being sRGB's decoding

`held` moves an estimate to such a picture. For samples, and for the inequalities alone, that is the nearest one: the
truth lies in a convex set, so that the squared error cannot grow. That a minimum is attained asks for the least change
of one pixel more, and means of light are reached by one shift for each cell, as plain means within bounds are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.cells import Array, as_channels
from deepix.mosaic.integers import Rounding, in_type, rounded_means, white
from deepix.mosaic.types import Mosaic

Bools = NDArray[np.bool_]
LIGHT_STEPS = 60
"""Most steps of `_with_light`: every other one halves the bracket at least."""


def shown(box: Array, m: Mosaic, rounding: Rounding = "nearest") -> Array:
    """Return what each cell of a mosaic whose pixels each lie in one cell shows of a picture.

    Parameters
    ----------
    box : (height, width) or (height, width, C), the mosaic's box of the picture; of floats, 255 is white to "linear"
    m : whose cells share no pixels
    rounding : how means, also those of light, become integers

    Returns
    -------
    (rows, columns[, C]) of the cells, in the type of the box; of any value where the area leaves a cell empty
    """
    kind = m.cell_value.kind
    if kind == "mean":
        return rounded_means(box, m.cells, rounding)
    if kind == "sample":
        at = sampled(m)
        values = np.where(as_channels(at, box), box, np.zeros((), box.dtype))
        counts = as_channels(np.maximum(m.cells.sum(at), 1), box)  # all of them 1
        return np.asarray(m.cells.sum(values) / counts).astype(box.dtype)
    if kind == "min":
        return m.cells.least(box)
    if kind == "max":
        return _turned(m.cells.least(_turned(box)))
    level = white(box.dtype)
    return in_type(level * encoded(m.cells.mean(light(box / level))), box.dtype, rounding)


def held(box: Array, y: Array, m: Mosaic, low: float, high: float, level: float) -> Array:
    """Return the picture near to an estimate whose cells show y, between two bounds.

    Parameters
    ----------
    box : float (height, width[, C]), the estimate in the mosaic's box
    y : (rows, columns[, C]), the cells' values, of "linear" between the bounds
    m : its cells show something else than means
    low, high : the bounds; infinite ones are none
    level : the value of white

    Returns
    -------
    The type of `box`
    """
    kind = m.cell_value.kind
    values = m.cells.spread(y).astype(box.dtype)
    if kind == "linear":
        return _with_light(box, y, m, max(low, 0.0), min(high, level), level)
    box = np.clip(box, low, high)
    if kind == "sample":
        return np.where(as_channels(sampled(m), box), values, box)
    if kind == "min":
        return _with_least(box, values, m)
    return np.negative(_with_least(-box, -values, m))


def sampled(m: Mosaic) -> Bools:
    """Return bool (height, width) of a mosaic's box: True at the pixel of each cell that a sample is taken at.

    It is the pixel at the place that the mosaic's `cell_value` says, or the one nearest to it that the area holds.
    """
    squares: list[NDArray[np.float64]] = []
    lines: list[Bools] = []
    grid = m.grid
    for start, length, origin, size, place in (
        (m.y, m.height, grid.y, grid.height, m.cell_value.at[1]),
        (m.x, m.width, grid.x, grid.width, m.cell_value.at[0]),
    ):
        pixels = np.arange(start, start + length)
        cell = np.floor((pixels + 0.5 - origin) / size)
        squares.append((pixels - np.floor(origin + (cell + place) * size + 1e-6)) ** 2)
        lines.append(_least_of_each(squares[-1], cell))
    if m.cells.mask is None:  # the same row in all cells of a row of them, and so the columns
        return lines[0][:, None] & lines[1]
    distance = squares[0][:, None] + squares[1]
    return _first((distance == m.cells.spread(m.cells.least(distance))) & m.area, m)


def _least_of_each(values: NDArray[np.float64], cell: NDArray[np.float64]) -> Bools:
    """Return bool (n,): True at the first of the least values of each run of pixels of one cell."""
    result = np.zeros(len(values), bool)
    order = np.lexsort((values, cell))
    result[order[np.flatnonzero(np.diff(cell[order], prepend=np.nan))]] = True
    return result


def light(encoded_values: Array) -> NDArray[np.float64]:
    """Return the light of sRGB values of 0 … 1, also 0 … 1 (IEC 61966-2-1)."""
    x = np.asarray(encoded_values, np.float64)
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0) + 0.055) / 1.055) ** 2.4)


def encoded(light_values: Array) -> NDArray[np.float64]:
    """Invert `light`."""
    x = np.asarray(light_values, np.float64)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055)


def _turned(values: Array) -> Array:
    """Return values in the opposite order: −x of floats, the range's other end of integers."""
    result: Array = -values if values.dtype.kind == "f" else np.invert(values)
    return result


def _first(at: Bools, m: Mosaic) -> Bools:
    """Return the mask with the first one only of each cell's pixels."""
    pixels = np.flatnonzero(at)
    _, first = np.unique(m.labels().ravel()[pixels], return_index=True)
    result = np.zeros(at.size, bool)
    result[pixels[first]] = True
    return result.reshape(at.shape)


def _with_least(box: Array, values: Array, m: Mosaic) -> Array:
    """Return the box raised to the cells' values, where nothing comes down to them with the least pixel lowered."""
    planes = np.maximum(box, values).reshape(m.height, m.width, -1)
    least = m.cells.spread(m.cells.least(planes))
    lowest = (planes == least) & m.area[..., None]
    first = np.stack([_first(lowest[..., c], m) for c in range(planes.shape[2])], axis=2)
    return np.where(first.reshape(box.shape), values, planes.reshape(box.shape))


def _with_light(box: Array, y: Array, m: Mosaic, low: float, high: float, level: float) -> Array:
    """Return clip(z + s_k) with the shift s_k that gives cell k its mean of light: by Newton steps and halving."""
    cells = m.cells
    target = light(np.clip(y, low, high) / level)
    lowest, highest = np.full(y.shape, low - box.max()), np.full(y.shape, high - box.min())
    shift = np.zeros(y.shape)
    empty = as_channels(cells.counts == 0, y)
    for step in range(LIGHT_STEPS):
        moved = box + cells.spread(shift)
        clipped = np.clip(moved, low, high)
        error = np.where(empty, 0, target - cells.mean(light(clipped / level)))
        if np.abs(error).max() <= 1e-9:
            break
        lowest = np.where(error > 0, shift, lowest)
        highest = np.where(error < 0, shift, highest)
        # the slope of the light at the mean stands for the mean slope; halving every other time makes up for that
        slope = _slope(cells.mean(clipped) / level) / level
        newton = shift + error / np.maximum(slope * cells.mean((moved == clipped).astype(np.float64)), 1e-9)
        inside = (newton > lowest) & (newton < highest)
        shift = np.where(inside & (step % 2 == 0), newton, (lowest + highest) / 2)
    result: Array = clipped.astype(box.dtype)
    return result


def _slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the derivative of `light`."""
    return np.where(values <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((np.maximum(values, 0) + 0.055) / 1.055) ** 1.4)
