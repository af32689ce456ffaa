"""Cells that show something else than means, made into means for the restorers, which know nothing else.

A sample is worth less than a mean: the cell's mean is that of the samples around its middle under a Gaussian. An
extreme lies off the mean by as much as it does in the cells of known pixels around the area, as the values along its
border show, and by more where neighbouring cells' values lie on the mean's side: there goes an edge. A mean of light
lies off as around the area. The constants are least squares over 120 photos of the training archives (cells of 5 to 32
pixels), where what is left of the extremes' distance to the means is 0.41 of it (root mean square).

What is restored of these means is then moved to a picture whose cells show what they do (`deepix.mosaic.project`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import MEAN, Array, Mosaic, Rounding, cell_values, known, project, shown, white
from deepix.mosaic.boxes import grown

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SAMPLE_SIGMA = 0.6
"""Standard deviation, in cells, of the Gaussian around a cell's middle under which samples are averaged."""
RISE, AROUND, ACROSS = 1.45, 0.45, 0.45
"""Of an extreme's distance to the mean: the weights of the neighbouring cells' mean difference on the mean's side, of
the distance around the area, and of that between known means and the values across the border."""
USUAL = 18 / 255
"""Distance of an extreme to the mean, of white, where no pixels around are known."""
LEAST_SHARE = 0.25
"""Share of a cell's pixels that must be known for the cell to count."""


def as_means(pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> tuple[Array, list[Mosaic]]:
    """Return a picture as restorers see it: all cells show means, estimated ones where they show something else.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers of their type's whole range, or floats of 0 … 255; not changed. Where all
        mosaics are of means it is returned as it is
    mosaics : in it
    rounding : how integer cells came about

    Returns
    -------
    The picture, of the same shape and type, and the mosaics, of means
    """
    if all(m.cell_value.is_mean for m in mosaics):
        return pixelated, list(mosaics)
    result, scene = pixelated.copy(), known(mosaics, pixelated.shape)
    for m in mosaics:
        if not m.cell_value.is_mean:
            means = estimated_means(pixelated, m, scene).clip(0, white(pixelated.dtype))
            means = means if result.dtype.kind == "f" else np.floor(means + (rounding == "nearest") / 2)
            values = m.cells.spread(means.reshape(*m.cells.counts.shape, *pixelated.shape[2:]))
            result[m.box][m.area] = values[m.area].astype(result.dtype)
    return result, [m.showing(MEAN) for m in mosaics]


def as_shown(restored: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Return what was restored of `as_means`, moved to what the mosaics' cells show.

    Where it is not sure that they show means, it is moved nearer to the mosaic instead, by as much: what is restored of
    samples taken for means is often farther from the truth than the mosaic, at three quarters of the way hardly ever.

    Parameters
    ----------
    restored : float (H, W) or (H, W, C), in the unit of `pixelated`; changed
    pixelated, mosaics, rounding : as of `as_means`
    """
    for m in mosaics:
        box = m.box
        if not m.cell_value.is_mean:
            here = m.moved(-m.x, -m.y)
            projected = project(restored[box], pixelated[box], [here], rounding)
            restored[box][m.area] = projected[m.area]
        elif m.cell_value.confidence < 1:
            flat = m.cells.spread(cell_values(pixelated, m, rounding)).astype(restored.dtype)
            nearer = flat + np.array(m.cell_value.confidence, restored.dtype) * (restored[box] - flat)
            restored[box][m.area] = nearer[m.area]
    return restored


def estimated_means(pixelated: Array, m: Mosaic, scene: Bools) -> Floats:
    """Return the estimated means (rows, columns, channels) of the cells of a mosaic that shows something else.

    Parameters
    ----------
    pixelated : as of `as_means`
    m : in it
    scene : bool (H, W), where pixels are known
    """
    seen = Neighbours.of(pixelated.reshape(*pixelated.shape[:2], -1), m, scene)
    kind, ours = m.cell_value.kind, seen.values[1:-1, 1:-1]
    if kind == "sample":
        return _smoothed(seen, m.cell_value.at)
    sign = -1.0 if kind == "max" else 1.0
    away = sign * _mean(seen.around - seen.values, (0, 1))
    if kind == "linear":
        return ours + np.nan_to_num(away)
    rises = [sign * (there - ours) for step, there in seen.beside(seen.values) if sum(map(abs, step)) == 1]
    rise = RISE * _mean(np.maximum(rises, 0), 0)
    # known means across the border are those of the cells inside, more or less
    across = np.stack([sign * (there - ours) for step, there in seen.beside(seen.around) if sum(map(abs, step)) == 1])
    border = across - np.where(np.isfinite(across), rise, np.nan)
    away = np.where(np.isfinite(away), away, USUAL * white(pixelated.dtype))
    beyond = _mean(border, (0, 1, 2))
    beyond = np.where(np.isfinite(beyond), beyond, away)
    return ours + sign * np.maximum(np.nan_to_num(rise) + AROUND * away + ACROSS * beyond, 0)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A mosaic's cells and those around it; arrays are (rows + 2, columns + 2, channels), not a number where none is.

    Attributes
    ----------
    values : what the mosaic's cells show, and what those around it would
    around : the means of the cells around it
    """

    values: Floats
    around: Floats

    @classmethod
    def of(cls, pixels: Array, m: Mosaic, scene: Bools) -> Neighbours:
        """Return the cells of a mosaic in a picture (H, W, C) of which the pixels of the scene are known."""
        ours = cell_values(pixels, m)
        ours[m.cells.counts == 0] = np.nan
        rows, columns, channels = ours.shape
        values = np.full((rows + 2, columns + 2, channels), np.nan)
        around = values.copy()
        box = grown(m.box, math.ceil(max(m.grid.width, m.grid.height)), scene.shape)
        if scene[box].any():
            outer = Mosaic.from_mask(scene[box], m.grid, x=box[1].start, y=box[0].start).showing(m.cell_value)
            enough = outer.cells.counts >= LEAST_SHARE * m.grid.width * m.grid.height
            view = pixels[outer.box].astype(np.float64)
            down = int(outer.grid.rows(outer.y, outer.y + 1)[0] - m.grid.rows(m.y, m.y + 1)[0]) + 1
            across = int(outer.grid.columns(outer.x, outer.x + 1)[0] - m.grid.columns(m.x, m.x + 1)[0]) + 1
            level = white(pixels.dtype) / 255
            for plane, cells in ((around, outer.cells.mean(view)), (values, level * shown(view / level, outer))):
                there = np.where(enough[..., None], cells, np.nan)
                top, left = max(-down, 0), max(-across, 0)
                part = there[top : rows + 2 - down, left : columns + 2 - across]
                plane[down + top :, across + left :][: part.shape[0], : part.shape[1]] = part
        inner = m.cells.counts > 0
        values[1:-1, 1:-1][inner], around[1:-1, 1:-1][inner] = ours[inner], np.nan
        return cls(values, around)

    def beside(self, plane: Floats) -> Iterator[tuple[tuple[int, int], Floats]]:
        """Yield the nine steps down and across, and what a plane holds there for each of the mosaic's cells."""
        rows, columns = plane.shape[0] - 2, plane.shape[1] - 2
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                yield (down, across), plane[1 + down :, 1 + across :][:rows, :columns]


def _smoothed(seen: Neighbours, at: tuple[float, float]) -> Floats:
    """Return the mean of the samples, and of known means, around each cell's middle."""
    total = weights = np.zeros(())
    for plane, place in ((np.where(np.isfinite(seen.around), np.nan, seen.values), at), (seen.around, (0.5, 0.5))):
        for (down, across), values in seen.beside(plane):
            square = (down + place[1] - 0.5) ** 2 + (across + place[0] - 0.5) ** 2
            weight = math.exp(-square / (2 * SAMPLE_SIGMA**2)) * np.isfinite(values)
            total = total + weight * np.nan_to_num(values)
            weights = weights + weight
    return np.asarray(total / np.maximum(weights, 1e-12))


def _mean(values: Floats, axes: int | tuple[int, ...]) -> Floats:
    """Return the mean of what is a number; not a number where nothing is."""
    there = np.isfinite(values)
    number = there.sum(axis=axes)
    return np.where(number > 0, np.where(there, values, 0).sum(axis=axes) / np.maximum(number, 1), np.nan)
