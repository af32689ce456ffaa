"""Flat surroundings of a mosaic, which the locator's map takes for more of it, told from its cells.

Flat pixels fit every grid: beside a mosaic on a white page, a black border or a smooth sky the map fades over some
dozens of pixels instead of ending at the area's border. What goes on without a step into places where the map shows
nothing is no evidence of cells: a region ends where the last places of its own are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.map_regions import LEAST, LOW, Region, part_of

Array = NDArray[Any]
Mask = NDArray[np.bool_]

FLAT = 4.0
"""Levels from the darkest to the brightest pixel of a flat place and those right beside it, at most."""
REACH = 2.0
"""How far around a region flat places are followed, in cells."""
NEAREST = 32
"""Pixels around a region that are looked at, at least."""
OUTSIDE = 0.25
"""How large the part outside of flat surroundings is, at least, in units of their part within the region."""
OWN = 0.2
"""The least share of a region's places that are its own; of what has fewer, nothing is said."""
FEW = 0.25
"""The share of the usual number of a region's own places in its rows, or columns, below which a row is none of its."""
BAND = 3
"""The least number of rows or columns of places that are left out on one side."""
FADING = 0.9
"""The mean of the map over what is left out, at most: within mosaics it is higher up to their ends."""


def without_surroundings(region: Region, luminance: NDArray[np.float32], maps: Any, stride: int) -> Region:
    """Return a region without the sides on which flat surroundings go on into it.

    Parameters
    ----------
    region : of the maps
    luminance : of the picture, float32 (H, W)
    maps : `locator.Maps`, of one place for `stride` pixels each way
    """
    h, w = region.inside.shape
    margin = max(int(REACH * max(region.cell)), NEAREST)
    top, left = (max(v - margin, 0) // stride for v in (region.y, region.x))
    window = luminance[top * stride : region.y + h + margin, left * stride : region.x + w + margin]
    flat = _flat(window, stride)
    pixelated = maps.pixelated[top : top + flat.shape[0], left : left + flat.shape[1]]
    ours = np.zeros((flat.shape[0] * stride, flat.shape[1] * stride), np.float32)
    y, x = region.y - top * stride, region.x - left * stride
    ours[y : y + h, x : x + w] = region.inside
    there = ours.reshape(flat.shape[0], stride, -1, stride).mean(axis=(1, 3)) > 0.5
    own = there & ~_going_on(flat, pixelated < LOW)
    if np.count_nonzero(own) < max(LEAST, OWN * np.count_nonzero(there)):
        return region
    kept = np.ones(there.shape, bool)
    for lines in (kept, own, there, pixelated), (kept.T, own.T, there.T, pixelated.T):
        _leave_out(*lines)
    if kept.all():
        return region
    inside = region.inside & kept.repeat(stride, axis=0).repeat(stride, axis=1)[y : y + h, x : x + w]
    return part_of(maps, stride, region, inside) or region


def _flat(window: Array, stride: int) -> Mask:
    """Return which places of a window are flat, with the pixels right beside them."""
    rows, columns = (-(-n // stride) for n in window.shape)
    around = [(1, n * stride - side + 1) for n, side in zip((rows, columns), window.shape, strict=True)]
    padded = np.pad(window, around, mode="edge")
    ends = []
    for extreme in (np.maximum, np.minimum):
        a = extreme.reduce([padded[i : i + rows * stride : stride] for i in range(stride + 2)])
        ends.append(extreme.reduce([a[:, i : i + columns * stride : stride] for i in range(stride + 2)]))
    return np.asarray(ends[0] - ends[1] <= FLAT)


def _going_on(flat: Mask, outside: Mask) -> Mask:
    """Return the connected parts of flat places of which enough lies outside."""
    labels, number = ndimage.label(flat)
    there, within = (np.bincount(labels[part], minlength=number + 1) for part in (outside, ~outside))
    long = there >= np.maximum(LEAST, OUTSIDE * within)
    long[0] = False
    return np.asarray(long[labels])


def _leave_out(kept: Mask, own: Mask, there: Mask, pixelated: Array) -> None:
    """Leave the first and the last rows out of what is kept, where the map fades over places that are not its own."""
    counts = own.sum(axis=1)
    its = np.flatnonzero(counts >= FEW * np.quantile(counts[counts > 0], 0.8))
    all_rows = np.flatnonzero(there.any(axis=1))
    for rows in slice(all_rows[0], its[0]), slice(its[-1] + 1, all_rows[-1] + 1):
        if rows.stop - rows.start >= BAND and pixelated[rows][there[rows]].mean() < FADING:
            kept[rows] = False
