"""From the lines of a region's grid to its area: in whole pixels or not, sharp or blurred, as the evidence decides.

Cells may become whole numbers of pixels by resizing: the evidence decides over whether their lines are blurred, too.
A rectangle in whole pixels goes the way of all proposals, through `noisy_tiles.follow`, with the map added to the
evidence; if that does not end near the region, and with all other grids and shapes, `areas` finds the rectangle or the
mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepix.finder import areas, noisy_tiles
from deepix.finder.areas import Area
from deepix.finder.fast_filters import dilated
from deepix.finder.grid_box import GridBox
from deepix.finder.grid_lines import SHARP, GridFit, fit
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.square_cells import as_lined
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

RECTANGULAR = 0.86
"""The least share of its box that a region fills which may be a rectangle's."""
COVERS = 0.7
"""The least share of a region that its area covers."""
STAYS = 0.8
"""The least share of an area that lies in its region or at most `areas.UNSURE` pixels beyond."""
NEAR = 0.3
"""Difference between the cell that `noisy_tiles.follow` found and the one that the grid's lines gave (a natural
logarithm), in one direction at least, up to which it is the same mosaic."""
LARGER = 1.5
"""The largest cell that is followed, in units of the one that the grid's lines gave."""
OTHER_LINES = 0.25
"""Pixels by which cells differ, more than that, from those of the lines that were not these cells'."""
SIMPLER = 0.9
"""The least share of a mask's evidence with which a rectangle, which has fewer parameters, is preferred to it."""
CLEAR = 6.0
"""The log-odds of whole pixels, for or against, from which on only one kind of grid is tried."""
LITTLE = 20.0
"""What evidence is at least taken for, in nats, when that of both kinds of grid is compared."""
RATIO = 4.0
"""The log-odds of whole pixels for each unit of the logarithm of the evidence with them, divided by that without."""
USUAL = 0.25
"""The logarithm of that ratio at which it says nothing: in mosaics of whole pixels it usually is more."""
EXPLAINED = 0.25
"""Evidence, in nats for each pixel, of an area whose blurred lines are none of resizing."""
NOT_EXPLAINED = 0.1
"""Nats for each pixel by which sharp lines, if they explain nothing, are worse than blurred ones at least."""


@dataclass(frozen=True, eq=False)
class Window:
    """What is known of a region and what is around it: the evidence, the map and the region itself, (H, W)."""

    likelihood: LikelihoodMaps
    probability: Array
    inside: Mask


class Placed(NamedTuple):
    """An area with its grid, lines and evidence, in a window; `own` is that without the map's."""

    area: Area
    grid: Grid
    lines: GridFit
    own: float
    resembles: bool


def best(window: Window, lines: GridFit, others: float) -> Placed:
    """Return the area and the grid of a window's region that the lines, other regions and the evidence speak for."""
    log_odds = lines.log_odds + others
    if log_odds < -CLEAR:
        return _placed(window, lines, False)
    whole = _placed(window, lines, True)
    if log_odds <= CLEAR:
        other = _placed(window, lines, False)
        ratio = np.log(max(whole.own, LITTLE) / max(other.own, LITTLE))
        if other.lines.log_odds + others + RATIO * (ratio - USUAL) <= 0:
            return other
    if lines.sharpness >= SHARP or whole.own >= EXPLAINED * whole.area.box[2] * whole.area.box[3]:
        return whole
    blurred = _placed(window, lines, True, blended=True)
    same = (blurred.grid.width, blurred.grid.height) == (whole.grid.width, whole.grid.height)
    # files blur lines as well, and leave their own marks: then a rectangle is right that is one by all pixels
    plain = blurred.area.mask is None or whole.area.mask is not None
    better = blurred.own > np.exp(USUAL) * max(whole.own, LITTLE)
    if whole.own < 0:  # sharp lines explain nothing here, whatever cells have been made of blurred ones
        far = _density(blurred, window) - _density(whole, window) > NOT_EXPLAINED
        return blurred if plain and (far or (same and better)) else whole
    return blurred if same and plain and better else whole


def _density(placed: Placed, window: Window) -> float:
    """Return the evidence for each pixel of an area that counts, in nats, without the map's."""
    counts = areas.counting(placed.grid, window.inside.shape)
    return placed.own / max(float(counts[covered(placed.area, window.inside.shape)].sum()), 1.0)


def _placed(window: Window, lines: GridFit, whole: bool, blended: bool = False) -> Placed:
    """Return the area and the grid of a window's region, in whole pixels or not; `blended`: near lines none count."""
    inside = window.inside
    grid = replace(lines.grid(whole), blended=blended)
    plain = areas.with_noise(window.likelihood, grid, inside)
    likelihood = areas.with_map(plain, window.probability, grid)
    ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    outer = int(xs[0]), int(ys[0]), int(xs[-1] + 1 - xs[0]), int(ys[-1] + 1 - ys[0])
    rectangular = np.count_nonzero(inside) / (outer[2] * outer[3]) >= RECTANGULAR
    area: Area | None = None
    fitted = _followed(likelihood, grid, outer, inside) if rectangular and whole and not blended else None
    if fitted is not None:
        area = Area(fitted[1].box, None, fitted[0])
        found = Mosaic(*fitted[1].box, Grid(*fitted[1].origin, *fitted[1].cell))
        grid = as_lined(window.likelihood.luminance, found, grid).grid
        if abs(grid.width - lines.across.size) > OTHER_LINES or abs(grid.height - lines.down.size) > OTHER_LINES:
            lines = fit(window.likelihood.luminance, covered(area, inside.shape), (grid.width, grid.height))
    else:
        area = _shaped(likelihood, grid, outer, inside)
        if area is not None:  # now that the area is known better, so are its lines
            its = covered(area, inside.shape)
            lines = fit(window.likelihood.luminance, its, (grid.width, grid.height))
            x, y, w, h = area.box
            if area.mask is None:
                lines = GridFit(lines.across.with_ends(x, x + w), lines.down.with_ends(y, y + h))
            grid = replace(lines.grid(whole), blended=blended)
            area = _shaped(likelihood, grid, area.box, its) or area
    resembles = area is not None and _resembles(area, inside)
    if area is None:
        part = inside[outer[1] : outer[1] + outer[3], outer[0] : outer[0] + outer[2]]
        area = Area(outer, None if rectangular else part, 0.0)
    x, y, w, h = (int(v) for v in area.box)
    area, grid = replace(area, box=(x, y, w, h)), _plain(grid)
    of_map = (likelihood.gain - plain.gain) * areas.counting(grid, inside.shape)
    own = area.log_ratio - float(of_map[covered(area, inside.shape)].sum(dtype=np.float64))
    return Placed(area, grid, lines, own, resembles)


def _shaped(likelihood: LikelihoodMaps, grid: Grid, box: areas.Box, inside: Mask) -> Area | None:
    """Return the rectangle or the mask in a region that has most evidence; None if neither has any."""
    options = [areas.rectangle(likelihood, grid, box), areas.mask(likelihood, grid, inside)]
    staying = [a for a in options if a is not None and a.log_ratio > 0 and _shares(a, inside)[1] >= STAYS]
    if any(_resembles(a, inside) for a in staying):
        staying = [a for a in staying if _resembles(a, inside)]
    if not staying:
        return None
    simple, best = staying[0], max(staying, key=lambda a: a.log_ratio)
    return simple if simple.log_ratio >= SIMPLER * best.log_ratio else best


def _shares(area: Area, inside: Mask) -> tuple[float, float]:
    """Return the share of a region that an area covers, and that of the area which lies at most a few pixels beyond."""
    x, y, w, h = area.box
    own = w * h if area.mask is None else np.count_nonzero(area.mask)
    if w <= 0 or h <= 0 or not own:
        return 0.0, 0.0
    box = slice(y, y + h), slice(x, x + w)
    around = dilated(inside, areas.UNSURE)
    shape = np.ones((h, w), bool) if area.mask is None else area.mask
    covered, near = (np.count_nonzero(a[box] & shape) for a in (inside, around))
    return covered / np.count_nonzero(inside), near / own


def _resembles(area: Area, inside: Mask) -> bool:
    """Whether an area covers most of a region, and does not go on far beyond it."""
    covers, stays = _shares(area, inside)
    return covers >= COVERS and stays >= STAYS


def covered(area: Area, shape: tuple[int, ...]) -> Mask:
    """Return the area as a mask of its window."""
    x, y, w, h = area.box
    result = np.zeros(shape, bool)
    result[y : y + h, x : x + w] = True if area.mask is None else area.mask
    return result


def _plain(g: Grid) -> Grid:
    """Return a grid in Python's own numbers, whatever types it has."""
    return Grid(float(g.x), float(g.y), float(g.width), float(g.height), g.blended)


def _followed(likelihood: LikelihoodMaps, grid: Grid, outer: areas.Box, inside: Mask) -> tuple[float, GridBox] | None:
    """Return where `noisy_tiles.follow` ends, if that is a mosaic like the one that it began with."""
    cell = max(3, int(grid.width)), max(3, int(grid.height))
    result = noisy_tiles.follow(likelihood, GridBox(outer, cell, (int(grid.x), int(grid.y))), int(LARGER * max(cell)))
    result = _doubled(likelihood, *result) if result else None
    if result is None:
        return None
    fitted = result[1]
    if all(abs(np.log(a / b)) > NEAR for a, b in zip(fitted.cell, cell, strict=True)):
        return None
    if not _resembles(Area(fitted.box, None, 0.0), inside):
        return None
    box, origin = (tuple(int(v) for v in values) for values in (fitted.box, fitted.origin))
    return float(result[0]), GridBox(box, fitted.cell, origin)  # type: ignore[arg-type]


def _doubled(likelihood: LikelihoodMaps, value: float, fitted: GridBox) -> tuple[float, GridBox]:
    """Return the seed with cells twice as wide or high, if that has more evidence: a map may be wrong by that much."""
    best = value, fitted
    (width, height), (x, y) = fitted.cell, fitted.origin
    for cell, origins in (
        ((2 * width, height), ((x, y), (x + width, y))),
        ((width, 2 * height), ((x, y), (x, y + height))),
    ):
        if fitted.box[2] >= 2 * cell[0] and fitted.box[3] >= 2 * cell[1]:
            for origin in origins:
                candidate = GridBox(fitted.box, cell, origin)
                best = max(best, (likelihood.log_ratio(candidate), candidate), key=lambda b: b[0])
    return best
