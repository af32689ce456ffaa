"""From the locator's maps to regions: connected parts of a picture that seem to be pixelated with cells of one size.

Connected parts of the map of what is pixelated, cut apart where the map of borders says so or cells differ in size, as
far out as the map is above `LOW`. A region has no grid yet: `region_mosaics` finds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.fast_filters import dilated, opened
from deepix.finder.geometry import covered, overlapping
from deepix.mosaic import Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

HIGH = 0.5
"""Probability of being pixelated that at least one place of a region has."""
LOW = 0.3
"""Probability of being pixelated above which neighbouring places belong to a region."""
BETWEEN = 0.5
"""Probability of a border above which regions are cut apart."""
APART = 0.35
"""Difference of the cells' sizes (their natural logarithms) above which neighbouring places are not in one region."""
LEAST = 6
"""The least number of places of a region."""
SPARE = 4
"""Pixels around an area that still belong to it when it is cut off its region: an error of the maps' outline."""
THIN = 10
"""The least width and height, in pixels, of what remains of a region when an area is cut off it."""
OUTER = 1 / 3
"""The share of a region's width or height that is an outer part of it."""
COVERED = 0.9
"""The least share of a region that a mosaic covers which explains the region."""


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a picture that seems to be pixelated.

    Attributes
    ----------
    x, y : of the box's upper left corner, in pixels
    inside : bool (height, width)
    cell : about the cells' width and height, in pixels
    probability : mean of the map over the region
    """

    x: int
    y: int
    inside: Mask
    cell: tuple[float, float]
    probability: float


def enlarged(values: Array, stride: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map at the picture's size, (H, W), interpolated between the middles of its places."""
    coordinates = [
        np.clip((np.arange(side) + 0.5) / stride - 0.5, 0, number - 1)
        for side, number in zip(shape, values.shape, strict=True)
    ]
    result = values.astype(np.float32)
    for axis, at in enumerate(coordinates):
        first = np.minimum(at.astype(np.int64), result.shape[axis] - 1)
        after = np.minimum(first + 1, result.shape[axis] - 1)
        share = (at - first).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        result = result.take(first, axis) * (1 - share) + result.take(after, axis) * share
    return result


def regions(maps: Any, stride: int, shape: tuple[int, int]) -> list[Region]:
    """Return the regions of a picture's maps.

    Parameters
    ----------
    maps : `locator.Maps`, or what has the same attributes
    stride : pixels of the picture to one place of the maps
    shape : the picture's height and width
    """
    p = maps.pixelated
    wide, high = np.log(np.maximum(maps.width, 1)), np.log(np.maximum(maps.height, 1))
    labels, _ = ndimage.label(p > LOW)
    result: list[Region] = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        whole = labels[box] == label
        if not (p[box][whole] > HIGH).any() or np.count_nonzero(whole) < LEAST:
            continue
        for part in _parts(p[box], maps.border[box], wide[box], high[box], whole):
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            inner = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            part = part[inner]
            top, left = int(box[0].start + rows[0]), int(box[1].start + columns[0])
            here = slice(top, top + part.shape[0]), slice(left, left + part.shape[1])
            core = part & (p[here] > HIGH)
            if np.count_nonzero(core) < LEAST:
                continue
            size = (part.shape[0] * stride, part.shape[1] * stride)
            # where the map, falling off beyond the outline, is nearer to what it is within (in small areas less than 1)
            within = float(np.quantile(p[here][core], 0.9))
            soft = enlarged(np.where(part, p[here], 0), stride, size)
            y, x = int(top) * stride, int(left) * stride
            inside = (soft > min(HIGH, max(within / 2, LOW)))[: shape[0] - y, : shape[1] - x]
            if not inside.any():
                continue
            weights = p[here][core]
            cell = tuple(float(np.exp(np.average(v[here][core], weights=weights))) for v in (wide, high))
            result.append(Region(x, y, inside, (cell[0], cell[1]), float(p[here][core].mean())))
    return result


def _parts(p: Array, border: Array, wide: Array, high: Array, whole: Mask) -> list[Mask]:
    """Return the parts of a connected region that borders, or different cells, set apart."""
    sizes = [ndimage.median_filter(v, 3, mode="nearest") for v in (wide, high)]
    steps = np.zeros(p.shape, np.float32)
    for v in sizes:
        for axis in (0, 1):
            d = np.abs(np.diff(v, axis=axis, append=v.take([-1], axis)))
            np.maximum(steps, d, out=steps)
    inner = whole & (border < BETWEEN) & (steps < APART)
    cores, number = ndimage.label(inner)
    counts = np.bincount(cores.ravel(), minlength=number + 1)
    counts[0] = 0
    large = np.flatnonzero(counts >= LEAST)
    if len(large) < 2:
        return [whole]
    kept = np.isin(cores, large)
    nearest = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
    assigned = cores[tuple(nearest)]
    parts = []
    for label in large:
        part = whole & (assigned == label)
        pieces, count = ndimage.label(part)
        if count > 1:
            part = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
        parts.append(part)
    return parts


def cut(maps: Any, stride: int, region: Region, m: Mosaic) -> list[Region]:
    """Return the part of a region that a mosaic covers, and what it leaves, if that is large enough to be another."""
    h, w = region.inside.shape
    there = covered([m], (h + 2 * SPARE, w + 2 * SPARE), region.x - SPARE, region.y - SPARE)
    near = dilated(there, SPARE)[SPARE:-SPARE, SPARE:-SPARE]
    rest = opened(region.inside & ~near, THIN)
    labels, number = ndimage.label(rest)
    masks = [labels == k for k in range(1, number + 1)]
    found = [r for r in (part_of(maps, stride, region, part) for part in masks) if r is not None]
    first = part_of(maps, stride, region, region.inside & near)
    return [first, *found] if first is not None and found else []


def parts_of(maps: Any, stride: int, region: Region, part: Mask, left: int, top: int) -> list[Region]:
    """Return the connected pieces of a part of a region as regions of their own, if they are large enough.

    `part` is of a window of the picture that begins at (left, top).
    """
    h, w = region.inside.shape
    inside = np.zeros((h, w), bool)
    y, x = region.y - top, region.x - left
    here = part[y : y + h, x : x + w]
    inside[: here.shape[0], : here.shape[1]] = here
    labels, number = ndimage.label(opened(inside, THIN))
    found = (part_of(maps, stride, region, labels == k) for k in range(1, number + 1))
    return [r for r in found if r is not None]


def outer_parts(maps: Any, stride: int, region: Region) -> list[Region]:
    """Return the outer parts of a region, on all four sides, each `OUTER` of its width or height."""
    result = []
    for axis, length in enumerate(region.inside.shape):
        depth = round(OUTER * length)
        for side in slice(depth), slice(length - depth, None):
            part = np.zeros_like(region.inside)
            box = (side, slice(None)) if axis == 0 else (slice(None), side)
            part[box] = region.inside[box]
            result.append(part_of(maps, stride, region, part))
    return [r for r in result if r is not None]


def without_mosaics(region: Region, mosaics: Sequence[Mosaic]) -> Region | None:
    """Return a region without what some mosaics cover; None if too little of it is left."""
    inside = region.inside & ~covered(mosaics, region.inside.shape, region.x, region.y)
    return replace(region, inside=inside) if np.count_nonzero(inside) >= THIN**2 else None


def part_of(maps: Any, stride: int, whole: Region, part: Mask) -> Region | None:
    """Return a part of a region as one of its own; None if it is too small."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if np.count_nonzero(part) < LEAST * stride**2:
        return None
    y, x = int(rows[0]) // stride * stride, int(columns[0]) // stride * stride
    inside = part[y : rows[-1] + 1, x : columns[-1] + 1]
    padded = np.pad(inside, ((0, -inside.shape[0] % stride), (0, -inside.shape[1] % stride)))
    share = padded.reshape(padded.shape[0] // stride, stride, -1, stride).mean(axis=(1, 3))
    top, left = (whole.y + y) // stride, (whole.x + x) // stride
    here = slice(top, top + share.shape[0]), slice(left, left + share.shape[1])
    weights = np.where(share > 0.5, maps.pixelated[here], 0)
    if not weights.any():
        return None
    cell = [
        float(np.exp(np.average(np.log(np.maximum(v[here], 1)), weights=weights))) for v in (maps.width, maps.height)
    ]
    return Region(whole.x + x, whole.y + y, inside, (cell[0], cell[1]), float(maps.pixelated[here][share > 0.5].mean()))


def covers(m: Mosaic, region: Region) -> bool:
    """Whether a mosaic covers a region, but for an outline that the network may be wrong about."""
    height, width = region.inside.shape
    theirs = Mosaic(region.x, region.y, width, height, m.grid, region.inside)
    return bool(overlapping(theirs, m) >= COVERED * np.count_nonzero(region.inside))
