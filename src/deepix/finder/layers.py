"""What a mosaic's grid does not explain of its area: a later mosaic there, on another grid.

A region of the locator's map may hold two mosaics, one over a part of the other, or side by side. One grid then fits
most of it, and where the other one's cells are, its own are not flat.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder import areas
from deepix.finder.fast_filters import dilated, filled, opened
from deepix.finder.geometry import covered
from deepix.finder.grid import SMALLEST, comb
from deepix.finder.grid_lines import FLOOR, profile
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.map_regions import Region
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

FLAT = -0.25
"""The least mean evidence of the pixels of a cell that is explained, in nats."""
GAPS = 5
"""Cells along a square in which those that are not explained are one part: larger cells than the grid's leave some
whole."""
FEW = 3
"""The least number of cells that are not explained in such a part."""
BETTER = 0.2
"""How much better, in nats for each pixel, a mosaic explains what it lies over than the one beneath."""
ENOUGH = 150.0
"""The same of all its pixels."""
FAR = 4.0
"""How far a pixel is from its cell's colour that is not the cell's, in standard deviations of the noise."""
SPREAD = 4
"""Pixels around cells that are not explained in which others may be drawn over."""
MOST = 96
"""The largest cells, in pixels, that are looked for by their steps."""
LARGEST = 0.9
"""The largest share of an area that may be another mosaic's."""


def unexplained(likelihood: LikelihoodMaps, grid: Grid, area: Mask) -> Mask:
    """Return the part of an area, of whole cells, that its grid does not explain: bool (H, W); none if it is too large.

    Parameters
    ----------
    likelihood : of a window, for tiles as noisy as the area's
    grid : in pixels of the window
    area : bool (H, W), the mosaic's in the window
    """
    evidence, row, column = areas.pixel_evidence(likelihood, grid, area)
    starts = [np.flatnonzero(np.diff(index, prepend=-1)) for index in (row, column)]

    def cells(a: Array) -> Array:
        return np.asarray(np.add.reduceat(np.add.reduceat(a, starts[0], axis=0), starts[1], axis=1))

    number = cells(area.astype(np.float32))
    mean = cells(np.clip(evidence, -areas.CLIP, areas.CLIP) * area) / np.maximum(number, 1)
    bad = (mean < FLAT) & (number > 0)
    if np.count_nonzero(bad) < FEW:
        return np.zeros_like(area)
    padded = np.pad(bad, GAPS)
    joined = ndimage.binary_closing(padded, np.ones((GAPS, GAPS), bool))[GAPS:-GAPS, GAPS:-GAPS]
    labels, _ = ndimage.label(joined)
    counts = np.bincount(labels[bad], minlength=int(labels.max()) + 1)
    counts[0] = 0
    part = np.isin(labels, np.flatnonzero(counts >= FEW))
    found = filled(part)[row][:, column] & area
    return found if np.count_nonzero(found) <= LARGEST * np.count_nonzero(area) else np.zeros_like(area)


def cells(luminance: NDArray[np.float32], region: Region) -> list[tuple[float, float]]:
    """Return about how large the cells of a region may be: as the map has it, and as the steps in it alone tell.

    The map may see the cells of another mosaic there.
    """
    h, w = region.inside.shape
    here = luminance[region.y : region.y + h, region.x : region.x + w]
    inside = region.inside[: here.shape[0], : here.shape[1]]
    axes = [profile(here, inside), profile(np.ascontiguousarray(here.T), np.ascontiguousarray(inside.T))]
    sizes = range(SMALLEST, max(min(MOST, min(here.shape) // 2), SMALLEST) + 1)
    ratios = [[comb(total, count, FLOOR, range(s, s + 1))[2] for s in sizes] for total, count in axes]
    square = sizes[int(np.argmax(np.sum(ratios, axis=0)))]
    return [region.cell, (float(square), float(square))]


def over(likelihood: LikelihoodMaps, m: Mosaic, grid: Grid, about: Mosaic) -> Mosaic | None:
    """Return the rectangle in which another grid explains a window better than a mosaic's does; None if none does.

    Parameters
    ----------
    likelihood : of the window, for tiles as noisy as the mosaic's
    m : the mosaic, in pixels of the window
    grid : the other one, which lies over it
    about : where that was found
    """
    area = covered([m], likelihood.gain.shape)
    box = _box(about, area.shape)
    if min(box[2:]) <= 0:  # it lies elsewhere
        return None
    own = np.where(area, areas.pixel_evidence(likelihood, m.grid, area)[0].clip(-areas.CLIP), 0)
    found = areas.rectangle(replace(likelihood, gain=likelihood.gain - own), grid, box)
    if found.log_ratio <= 0:
        return None
    x, y, w, h = (int(v) for v in found.box)
    part = np.zeros_like(area)
    part[y : y + h, x : x + w] = True
    if not (part & area).any():
        return None
    gain = areas.pixel_evidence(likelihood, grid, part)[0][part].clip(-areas.CLIP) - own[part]
    if float(gain.mean()) < BETTER or float(gain.sum(dtype=np.float64)) < ENOUGH:
        return None
    return Mosaic(x, y, w, h, grid, confidence=about.confidence)


def _box(m: Mosaic, shape: tuple[int, ...]) -> areas.Box:
    """Return the part of a mosaic's box that lies in a window."""
    x0, y0 = max(m.x, 0), max(m.y, 0)
    return x0, y0, min(m.x + m.width, shape[1]) - x0, min(m.y + m.height, shape[0]) - y0


def drawn_over(likelihood: LikelihoodMaps, m: Mosaic, part: Mask) -> Mask:
    """Return the pixels of a part of a mosaic that are not of their cells' colour: bool (H, W) of a window.

    A cell's colour is the median of its pixels: what hides less than half of it does not change that.
    """
    area = covered([m], part.shape)
    labels = m.cells.row_index[:, None] * m.cells.counts.shape[1] + m.cells.column_index
    cell = labels[m.area]
    values = likelihood.luminance[area]
    order = np.lexsort((values, cell))
    first = np.flatnonzero(np.diff(cell[order], prepend=-1))
    number = np.diff(first, append=len(cell))
    median = values[order][first + number // 2]
    off = np.zeros(part.shape, bool)
    off[area] = np.abs(values - np.repeat(median, number)[np.argsort(order)]) > FAR * np.sqrt(likelihood.variance[area])
    return dilated(opened(off & dilated(part, SPREAD), 2), 1) & area


def evidence(likelihood: LikelihoodMaps, m: Mosaic, without: Mask | None = None) -> float:
    """Return the evidence for a mosaic of any shape in a window, in nats: without its outline's, and some pixels."""
    area = covered([m], likelihood.gain.shape)
    if without is not None:
        area &= ~without
    share = float(areas.counting(m.grid, area.shape)[area].mean())
    values = areas.pixel_evidence(likelihood, m.grid, area)[0][area]
    return float(values.sum(dtype=np.float64)) / max(share, 0.05)
