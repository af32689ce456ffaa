"""From a network's maps to mosaics: regions, the grid of each, the area of each, and how sure all that is.

1. *Regions* (`regions`). Connected parts of the map of what is pixelated, cut apart where the map of borders says so
   or cells differ in size, as far out as the map is above `LOW`.
2. *Grids* (`lines`), in whole pixels or not: a resized picture has no mosaic in whole pixels, so that the regions of
   one picture decide together; where that leaves doubts, both are tried, and the evidence decides.
3. *Areas.* A rectangle in whole pixels goes the way of all seeds, through `lossy.follow`, with the map added to the
   evidence; if that does not end near the region, and with all other grids and shapes, `areas` finds the rectangle or
   the mask. What an area leaves of its region may be another mosaic, and is looked at as a region of its own.
4. *Confidence* (`sure`): a logistic regression of what was measured on the way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from deepix.finder import areas, lossy
from deepix.finder.areas import Area
from deepix.finder.evidence import Evidence
from deepix.finder.lines import Fit, fit
from deepix.finder.noise import SIDE, saved_quality
from deepix.finder.seeds import Seed
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

HIGH, LOW = 0.5, 0.3
"""A region holds a place where the map is above the first, and all places around it where it is above the second."""
BETWEEN = 0.5
"""Where the map of borders is above this, regions are cut apart."""
APART = 0.35
"""Neighbouring places whose cells' sizes differ by more than this (their logarithms) are not in one region."""
LEAST = 6
"""The least number of places of a region."""
MARGIN = 16
"""Pixels around a region that are looked at, besides 1.5 cells."""
FAINT = 0.03
"""The least confidence in a region's lines; without any it is nothing."""
UNPROMISING = -6.0
"""Log-odds of `_promise` below which no area is looked for: in training photos 332 regions of mosaics had −4.4 or more,
60 of 81 others less than −6."""
PROMISING, SPENT = -2.5, 100_000
"""Log-odds from which on areas are always looked for; pixels of the others' boxes up to which they are, best first."""
POOLED = 3.0
"""The most that another region of the picture speaks for or against whole pixels, as log-odds."""
RECTANGULAR = 0.86
"""The share of its box that a rectangle's region fills at least, to be followed as one."""
COVERS, STAYS = 0.7, 0.8
"""The share of a region that its area covers at least, and that of the area which lies at most a few pixels beyond."""
NEAR = 0.3
"""By how much a cell that `lossy.follow` found may differ from the one that was looked for, at most (a logarithm)."""
LARGER = 1.5
"""How often the cell that was looked for fits into the largest cell that is followed."""
SIMPLER = 0.9
"""The share of a mask's evidence with which a rectangle, which is much simpler, is preferred to it."""
CLEAR = 6.0
"""Log-odds of whole pixels, or against them, from which on the other is not tried."""
LITTLE, RATIO, USUAL = 20.0, 4.0, 0.25
"""Evidence that is hardly any, in nats; and the log-odds of whole pixels for each unit of the logarithm of the ratio of
the evidence with them to that without, which is usually that much larger in mosaics of whole pixels."""
CUTS = 2
"""How often what an area leaves of its region is cut off and looked at as a region of its own."""
SPARE, THIN = 4, 10
"""Pixels around an area that still belong to it then, and what the rest is at least wide and high."""
CERTAIN = 400.0
"""Evidence, in nats, of an area that is one: in training photos false ones like their regions had 40 at most."""
LIKELY = 0.25
"""The least confidence of a mosaic that a region is cut for."""
SAME_SIZE, SAME_PLACE = 0.03, 0.15
"""By how much sizes and origins (these by half a pixel more) of two grids that may be one differ, in cells."""
FARTHEST, SHARPEST = 10.0, 0.6
"""The largest values of two measurements: pixels between outlines, and sharpness, which tells no more from there on."""
COVERED = 0.9
"""The share of a region that a mosaic covers at least which explains it."""


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


class Located(NamedTuple):
    """A mosaic with what speaks for it: evidence in nats, without the map's, and what the confidence was made of.

    `resembles` tells whether its area covers most of its region.
    """

    evidence: float
    mosaic: Mosaic
    measured: NDArray[np.float64]
    resembles: bool


def located(
    luminance: NDArray[np.float32],
    maps: Any,
    stride: int,
    quality: int | None = None,
    threads: int | None = None,
    known: Sequence[Mosaic] = (),
) -> list[Located]:
    """Return the mosaics of a picture's regions; they may overlap a little.

    Parameters
    ----------
    luminance : float32 (H, W), 0 … 255
    maps : `locator.Maps`
    stride : of the maps
    quality : that the file was saved with; None: `noise.saved_quality`
    threads : that work side by side; None: as many as there are cores
    known : mosaics of which one is sure; regions that one of them covers are left out
    """
    height, width = luminance.shape
    found = [r for r in regions(maps, stride, (height, width)) if not any(_covers(m, r) for m in known)]
    if not found:
        return []
    saved = saved_quality(luminance) if quality is None else quality

    def lines_of(region: Region) -> Fit:
        h, w = region.inside.shape
        return fit(luminance[region.y : region.y + h, region.x : region.x + w], region.inside, region.cell)

    def mosaics_of(region: Region, lines: Fit, others: float, cuts: int) -> list[Located]:
        if lines.confidence < FAINT or _promise(region, lines) < UNPROMISING:
            return []
        one = _mosaic(luminance, maps.pixelated, stride, saved, region, lines, others)
        parts = _cut(maps, stride, region, one.mosaic) if cuts else []
        (first, *rest) = [mosaics_of(part, lines_of(part), others, cuts - 1) for part in parts] or [[]]
        if not first:
            return [one]
        more = [f for fs in rest for f in fs if f.mosaic.confidence >= LIKELY and not _same_grid(f, first[0])]
        # what is certain by its evidence need not answer for what the map shows around it
        certain = one.evidence >= CERTAIN and first[0].mosaic.confidence > one.mosaic.confidence
        return first + more if more or certain or not one.resembles else [one]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        fits = list(pool.map(lines_of, found))
        pooled = np.clip([f.odds for f in fits], -POOLED, POOLED)
        # what may be no mosaic at all has less to say
        promises = np.array([_promise(*one) for one in zip(found, fits, strict=True)])
        pooled *= special.expit(promises)
        others = pooled.sum() - pooled
        order = np.argsort(-promises, kind="stable")
        spent = np.cumsum([found[i].inside.size * (promises[i] < PROMISING) for i in order])
        looked = [(found[i], fits[i], float(others[i]), CUTS) for i in sorted(order[spent <= SPENT])]
        return [one for ones in pool.map(lambda given: mosaics_of(*given), looked) for one in ones]


def _same_grid(a: Located, b: Located) -> bool:
    """Whether two mosaics may lie on one grid."""
    g, h = a.mosaic.grid, b.mosaic.grid
    return all(
        abs(size / other - 1) <= SAME_SIZE and abs((off + size / 2) % size - size / 2) <= SAME_PLACE * size + 0.5
        for size, other, off in ((g.width, h.width, g.x - h.x), (g.height, h.height, g.y - h.y))
    )


def _cut(maps: Any, stride: int, region: Region, m: Mosaic) -> list[Region]:
    """Return the part of a region that a mosaic covers, and what it leaves, if that is large enough to be another."""
    h, w = region.inside.shape
    y, x = m.y - region.y + SPARE, m.x - region.x + SPARE
    covered = np.zeros((h + 2 * SPARE, w + 2 * SPARE), bool)
    rows, columns = (slice(max(v, 0), max(v + n, 0)) for v, n in ((y, m.height), (x, m.width)))
    part = m.area[rows.start - y :, columns.start - x :]
    covered[rows, columns] = part[: covered.shape[0] - rows.start, : covered.shape[1] - columns.start]
    near = areas.dilated(covered, SPARE)[SPARE:-SPARE, SPARE:-SPARE]
    rest = areas.opened(region.inside & ~near, THIN)
    labels, number = ndimage.label(rest)
    masks = [labels == k for k in range(1, number + 1)]
    found = [r for r in (_region(maps, stride, region, part) for part in masks) if r is not None]
    first = _region(maps, stride, region, region.inside & near)
    return [first, *found] if first is not None and found else []


def _region(maps: Any, stride: int, whole: Region, part: Mask) -> Region | None:
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


def _covers(m: Mosaic, region: Region) -> bool:
    """Whether a mosaic covers a region, but for an outline that the network may be wrong about."""
    height, width = region.inside.shape
    theirs = Mosaic(region.x, region.y, width, height, m.grid, region.inside)
    return bool(overlapping(theirs, m) >= COVERED * np.count_nonzero(region.inside))


def _mosaic(
    luminance: NDArray[np.float32],
    probability: NDArray[np.float32],
    stride: int,
    quality: int,
    region: Region,
    lines: Fit,
    others: float,
) -> Located:
    """Return the mosaic of a region; `others` are the log-odds of whole pixels that the other regions give."""
    h, w = region.inside.shape
    margin = int(1.5 * max(lines.across.size, lines.down.size)) + MARGIN
    # windows begin where the blocks of a JPEG file do
    step = SIDE * stride // np.gcd(SIDE, stride)
    top, left = (max(v - margin, 0) // step * step for v in (region.y, region.x))
    box = slice(top, region.y + h + margin), slice(left, region.x + w + margin)
    here = luminance[box]
    inside = np.zeros(here.shape, bool)
    inside[region.y - top : region.y - top + h, region.x - left : region.x - left + w] = region.inside
    places = tuple(
        slice(s.start // stride, -(-min(s.stop, n) // stride)) for s, n in zip(box, luminance.shape, strict=True)
    )
    p = enlarged(probability[places], stride, here.shape)
    # what is another region's is not this one's
    window = Window(Evidence.of(here, quality), np.where(inside, p, np.minimum(p, 0.5)), inside)
    lines = lines.moved(region.x - left, region.y - top)
    odds = lines.odds + others
    if abs(odds) > CLEAR:
        best = _placed(window, lines, odds > 0)
    else:
        whole, other = _placed(window, lines, True), _placed(window, lines, False)
        ratio = np.log(max(whole.own, LITTLE) / max(other.own, LITTLE))
        best = whole if other.lines.odds + others + RATIO * (ratio - USUAL) > 0 else other
    x, y, w, h = best.area.box
    mask = None if best.area.mask is None else np.ascontiguousarray(best.area.mask)
    m = Mosaic(x, y, w, h, best.grid, mask).moved(int(left), int(top))
    measured = _measured(best, inside, region)
    # pixels near lines of fractional grids, which do not count, would speak like the others
    share = float(areas.counting(best.grid, inside.shape)[_covered(best.area, inside.shape)].mean())
    return Located(best.own / max(share, 0.05), replace(m, confidence=sure(measured)), measured, best.resembles)


@dataclass(frozen=True, eq=False)
class Window:
    """What is known of a region and what is around it: the evidence, the map and the region itself, (H, W)."""

    evidence: Evidence
    probability: Array
    inside: Mask


class Placed(NamedTuple):
    """An area with its grid, lines and evidence, in a window; `own` is that without the map's."""

    area: Area
    grid: Grid
    lines: Fit
    own: float
    resembles: bool


def _placed(window: Window, lines: Fit, whole: bool) -> Placed:
    """Return the area and the grid of a window's region, in whole pixels or not."""
    inside = window.inside
    grid = lines.grid(whole)
    plain = areas.with_noise(window.evidence, grid, inside)
    evidence = areas.with_map(plain, window.probability, grid)
    ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    outer = int(xs[0]), int(ys[0]), int(xs[-1] + 1 - xs[0]), int(ys[-1] + 1 - ys[0])
    rectangular = np.count_nonzero(inside) / (outer[2] * outer[3]) >= RECTANGULAR
    area: Area | None = None
    seed = _followed(evidence, grid, outer, inside) if rectangular and whole else None
    if seed is not None:
        area, grid = Area(seed[1].box, None, seed[0]), _grid(*seed[1].origin, *seed[1].cell)
    else:
        area = _shaped(evidence, grid, outer, inside)
        if area is not None:  # now that the area is known better, so are its lines
            covered = _covered(area, inside.shape)
            lines = fit(window.evidence.luminance, covered, (grid.width, grid.height))
            x, y, w, h = area.box
            if area.mask is None:
                lines = Fit(lines.across.with_ends(x, x + w), lines.down.with_ends(y, y + h))
            grid = lines.grid(whole)
            area = _shaped(evidence, grid, area.box, covered) or area
    resembles = area is not None and _resembles(area, inside)
    if area is None:
        part = inside[outer[1] : outer[1] + outer[3], outer[0] : outer[0] + outer[2]]
        area = Area(outer, None if rectangular else part, 0.0)
    x, y, w, h = (int(v) for v in area.box)
    area, grid = replace(area, box=(x, y, w, h)), _grid(grid.x, grid.y, grid.width, grid.height)
    of_map = (evidence.gain - plain.gain) * areas.counting(grid, inside.shape)
    own = area.evidence - float(of_map[_covered(area, inside.shape)].sum(dtype=np.float64))
    return Placed(area, grid, lines, own, resembles)


def _shaped(evidence: Evidence, grid: Grid, box: areas.Box, inside: Mask) -> Area | None:
    """Return the rectangle or the mask in a region that has most evidence; None if neither has any."""
    options = [areas.rectangle(evidence, grid, box), areas.mask(evidence, grid, inside)]
    staying = [a for a in options if a is not None and a.evidence > 0 and _shares(a, inside)[1] >= STAYS]
    if any(_resembles(a, inside) for a in staying):
        staying = [a for a in staying if _resembles(a, inside)]
    if not staying:
        return None
    simple, best = staying[0], max(staying, key=lambda a: a.evidence)
    return simple if simple.evidence >= SIMPLER * best.evidence else best


def _shares(area: Area, inside: Mask) -> tuple[float, float]:
    """Return the share of a region that an area covers, and that of the area which lies at most a few pixels beyond."""
    x, y, w, h = area.box
    own = w * h if area.mask is None else np.count_nonzero(area.mask)
    if w <= 0 or h <= 0 or not own:
        return 0.0, 0.0
    box = slice(y, y + h), slice(x, x + w)
    around = areas.dilated(inside, areas.UNSURE)
    shape = np.ones((h, w), bool) if area.mask is None else area.mask
    covered, near = (np.count_nonzero(a[box] & shape) for a in (inside, around))
    return covered / np.count_nonzero(inside), near / own


def _resembles(area: Area, inside: Mask) -> bool:
    """Whether an area covers most of a region, and does not go on far beyond it."""
    covers, stays = _shares(area, inside)
    return covers >= COVERS and stays >= STAYS


def _covered(area: Area, shape: tuple[int, ...]) -> Mask:
    """Return the area as a mask of its window."""
    x, y, w, h = area.box
    result = np.zeros(shape, bool)
    result[y : y + h, x : x + w] = True if area.mask is None else area.mask
    return result


def _grid(x: float, y: float, width: float, height: float) -> Grid:
    """Return the grid in Python's own numbers, whatever types these have."""
    return Grid(float(x), float(y), float(width), float(height))


def _followed(evidence: Evidence, grid: Grid, outer: areas.Box, inside: Mask) -> tuple[float, Seed] | None:
    """Return where `lossy.follow` ends, if that is a mosaic like the one that it began with."""
    cell = max(3, int(grid.width)), max(3, int(grid.height))
    result = lossy.follow(evidence, Seed(outer, cell, (int(grid.x), int(grid.y))), int(LARGER * max(cell)))
    result = _doubled(evidence, *result) if result else None
    if result is None:
        return None
    seed = result[1]
    if all(abs(np.log(a / b)) > NEAR for a, b in zip(seed.cell, cell, strict=True)):
        return None
    if not _resembles(Area(seed.box, None, 0.0), inside):
        return None
    box, origin = (tuple(int(v) for v in values) for values in (seed.box, seed.origin))
    return float(result[0]), Seed(box, seed.cell, origin)  # type: ignore[arg-type]


def _doubled(evidence: Evidence, value: float, seed: Seed) -> tuple[float, Seed]:
    """Return the seed with cells twice as wide or high, if that has more evidence: a map may be wrong by that much."""
    best = value, seed
    (width, height), (x, y) = seed.cell, seed.origin
    for cell, origins in (
        ((2 * width, height), ((x, y), (x + width, y))),
        ((width, 2 * height), ((x, y), (x, y + height))),
    ):
        if seed.box[2] >= 2 * cell[0] and seed.box[3] >= 2 * cell[1]:
            for origin in origins:
                candidate = Seed(seed.box, cell, origin)
                best = max(best, (evidence.value(candidate), candidate), key=lambda b: b[0])
    return best


def _likeness(area: Area, inside: Mask) -> float:
    """Return the intersection over union of an area with a region."""
    x, y, w, h = area.box
    part = inside[y : y + h, x : x + w]
    if part.size == 0:
        return 0.0
    own = part.size if area.mask is None else np.count_nonzero(area.mask)
    common = int(np.count_nonzero(part if area.mask is None else part & area.mask))
    return common / max(int(own) + int(np.count_nonzero(inside)) - common, 1)


def _measured(placed: Placed, inside: Mask, region: Region) -> NDArray[np.float64]:
    """Return what tells a mosaic with the right area and grid from others, the first of it 1."""
    area, grid = placed.area, placed.grid
    w, h = area.box[2:]
    pixels = w * h if area.mask is None else int(np.count_nonzero(area.mask))
    # about how far the area's outline is from the region's, in pixels
    off = (1 - _likeness(area, inside)) * pixels / (2 * (w + h))
    return _features(region, placed.lines, area.evidence / pixels, off, placed.resembles, (grid.width, grid.height))


def _features(
    region: Region, lines: Fit, evidence: float, off: float, resembles: bool, cell: tuple[float, float]
) -> NDArray[np.float64]:
    """Return what `sure` weighs: of a region, its lines, its area's evidence for each pixel and outline, and cells."""
    error = min(max(lines.across.error, lines.down.error), 10.0) / min(cell)
    return np.array(
        [
            1.0,
            special.logit(np.clip(region.probability, 0.01, 0.999)),
            np.clip(evidence, -1, 3),
            min(off, FARTHEST),
            max(-4.0, np.log(error + 1e-3)),
            float(resembles),
            0.5 * np.log(cell[0] * cell[1]),
            # joints between bricks go as far up as down again
            np.clip((lines.across.sharpness + lines.down.sharpness) / 2, 0, SHARPEST),
        ]
    )


def _promise(region: Region, lines: Fit) -> float:
    """Return the log-odds of `sure` that a region's map and lines promise, if its area fits it and has no evidence."""
    return float(_features(region, lines, 0.0, 0.0, True, region.cell) @ WEIGHTS)


WEIGHTS = np.array([-14.966, 1.222, 2.446, -0.998, -1.006, 1.962, -0.167, 12.227])
"""Of what is measured: a logistic regression, printed by `benchmarks/confidence.py`."""


def sure(measured: NDArray[np.float64]) -> float:
    """Return how sure one can be of a mosaic with its area and its grid: 0 … 1."""
    return float(special.expit(measured @ WEIGHTS))


def overlapping(a: Mosaic, b: Mosaic) -> int:
    """Return how many pixels two areas have in common."""
    y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
    x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    if x0 >= x1 or y0 >= y1:
        return 0
    ours = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
    theirs = b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
    return int(np.count_nonzero(ours & theirs))


def without(m: Mosaic, others: Sequence[Mosaic], most: float) -> Mosaic | None:
    """Return a mosaic without what others cover; None if that is more than this share of it."""
    common = sum(overlapping(m, other) for other in others)
    if not common:
        return m
    if common > most * np.count_nonzero(m.area):
        return None
    area = m.area.copy()
    for other in others:
        y0, y1 = max(m.y, other.y), min(m.y + m.height, other.y + other.height)
        x0, x1 = max(m.x, other.x), min(m.x + m.width, other.x + other.width)
        if y0 < y1 and x0 < x1:
            theirs = other.area[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
            area[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] &= ~theirs
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    left = np.ascontiguousarray(area[box])
    return replace(m, x=m.x + box[1].start, y=m.y + box[0].start, width=left.shape[1], height=left.shape[0], mask=left)
