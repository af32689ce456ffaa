"""From a region of the locator's maps to a mosaic: its grid, its area, and how sure both are.

1. *Region.* It ends where flat surroundings begin (`surroundings`), whatever the map shows of these.
2. *Grid* (`grid_lines`), in whole pixels or not: a resized picture has no mosaic in whole pixels, so that the regions
   of one picture decide together; where that leaves doubts, both are tried, and the evidence decides (`placement`).
   Lines that look resized may be those of several mosaics of the same cells: then some part of the region has clear
   ones, and each mosaic is looked for by itself.
3. *Area* (`placement`). What an area leaves of its region may be another mosaic: it is a region of its own.
4. *Confidence* (`confidence`): a logistic regression of what was measured on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from deepix import threads
from deepix.finder import areas, confidence, layers, shifted_grids
from deepix.finder.areas import Area
from deepix.finder.geometry import covered as covered_by
from deepix.finder.geometry import whole_pixels, without
from deepix.finder.grid_box import GridBox
from deepix.finder.grid_lines import GridFit, fit
from deepix.finder.jpeg_noise import SIDE, saved_quality
from deepix.finder.jpeg_noise import USUAL as USUAL_QUALITY
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.map_regions import Region, covers, cut, enlarged, outer_parts, parts_of, regions, without_mosaics
from deepix.finder.placement import Placed, Window, best, covered
from deepix.finder.square_cells import coarser
from deepix.finder.surroundings import without_surroundings
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

MARGIN = 16
"""Pixels around a region that are looked at, besides 1.5 cells."""
FAINT = 0.03
"""The least contrast of a region's grid lines (`GridFit.confidence`); below it the region is none, but where a grid
is its own for sure."""
UNPROMISING = -6.0
"""The log-odds of `confidence.promise` below which no area is looked for. In training photos 332 regions of mosaics had
-4.4 or more, 60 of 81 others less than -6."""
PROMISING = -2.5
"""The log-odds of `confidence.promise` from which on an area is always looked for."""
OTHER_FILES = 65
"""The JPEG quality that leaves about the noise which WebP and video leave in tiles: tried where the usual one explains
nothing of an area."""
SPENT = 100_000
"""Pixels of regions less than `PROMISING`, in one picture, in which areas are looked for, best first: bounds time."""
POOLED = 3.0
"""The most that another region of the picture speaks for or against whole pixels, as log-odds."""
FUSED = 3.0
"""The log-odds against whole pixels from which on a region's lines may be those of several mosaics together."""
RESIZED = 1.0
"""The log-odds against whole pixels that a picture's other regions give, from which on it was resized for sure."""
CLEARER = 9.0
"""The log-odds of whole pixels that the lines of a part of it have then."""
CUTS = 2
"""How often, at most, what an area leaves of its region is cut off and looked at as a region of its own."""
CERTAIN = 400.0
"""Evidence, in nats, of an area that is certainly a mosaic: in training photos false areas like their regions had 40 at
most."""
DRAWN = 0.4
"""The largest share of an area that may have been drawn over."""
SEEN = 100.0
"""Evidence, in nats, of what may lie over a mosaic: whether it does, its pixels tell."""
OWN = 0.8
"""The confidence, at least, of a rectangle whose grid is its own for sure, whatever its outline in the map and its
lines are like."""
NEARLY = 0.5
"""Pixels by which the lines of a grid move, at most, over a whole area, that is one in whole pixels or nearly."""
LEAST = 0.05
"""The least confidence of one of which this is asked."""
LIKELY = 0.25
"""The least confidence of a mosaic in the rest of a region for which the region is cut."""
SAME_SIZE = 0.03
"""Relative difference of the cells' sizes up to which two mosaics may lie on one grid."""
SAME_PLACE = 0.15
"""Distance between their lines, in cells and beyond half a pixel, up to which two mosaics may lie on one grid."""


class Rest(NamedTuple):
    """What a mosaic's grid does not explain of its area, bool (H, W) of a window; the window's evidence and place."""

    part: Mask
    likelihood: LikelihoodMaps
    left: int
    top: int


class Located(NamedTuple):
    """A mosaic with what speaks for it: evidence in nats, without the map's, and what the confidence was made of.

    `resembles` tells whether its area covers most of its region, `rest` what its grid does not explain of its area,
    `foreign` what of its box was drawn over it, `own` whether its grid is its own for sure (`shifted_grids`).
    """

    log_ratio: float
    mosaic: Mosaic
    measured: NDArray[np.float64]
    resembles: bool
    rest: Rest | None = None
    foreign: Mask | None = None
    own: bool = False


def located(
    luminance: NDArray[np.float32],
    maps: Any,
    stride: int,
    quality: int | None = None,
    known: Sequence[Mosaic] = (),
    intact: Sequence[Mosaic] = (),
) -> list[Located]:
    """Return the mosaics of a picture's regions; they may overlap a little.

    Parameters
    ----------
    luminance : float32 (H, W), 0 … 255
    maps : `locator.Maps`
    stride : of the maps
    quality : that the file was saved with; None: `jpeg_noise.saved_quality`
    known : mosaics of which one is sure; regions that one of them covers are left out
    intact : rectangles of intact tiles, which tell by themselves how far they go on in the regions that they lie in
    """
    height, width = luminance.shape
    found = [r for r in regions(maps, stride, (height, width)) if not any(covers(m, r) for m in known)]
    found = [r if _has(r, intact) else without_surroundings(r, luminance, maps, stride) for r in found]
    if not found:
        return []
    saved = saved_quality(luminance) if quality is None else quality

    search = _Search(luminance, maps, stride, saved)
    with threads.pool(len(found)) as pool:
        fits = list(pool.map(search.lines, found))
        pooled = np.clip([f.log_odds for f in fits], -POOLED, POOLED)
        # what may be no mosaic at all has less to say
        promises = np.array([confidence.promise(*one) for one in zip(found, fits, strict=True)])
        pooled *= special.expit(promises)
        others = pooled.sum() - pooled
        order = np.argsort(-promises, kind="stable")
        spent = np.cumsum([found[i].inside.size * (promises[i] < PROMISING) for i in order])
        looked = [(found[i], fits[i], float(others[i]), CUTS) for i in sorted(order[spent <= SPENT])]
        return [_sharp(one) for ones in pool.map(lambda given: search.mosaics(*given), looked) for one in ones]


def _has(region: Region, mosaics: Sequence[Mosaic]) -> bool:
    """Whether some mosaics lie in a region."""
    return bool((region.inside & covered_by(mosaics, region.inside.shape, region.x, region.y)).any())


def _sharp(one: Located) -> Located:
    """Return a mosaic whose grid is not said to be blended: here that means that pixels near lines do not count."""
    return one._replace(mosaic=replace(one.mosaic, grid=replace(one.mosaic.grid, blended=False)))


@dataclass(frozen=True, eq=False)
class _Search:
    """The search in the regions of one picture."""

    luminance: NDArray[np.float32]
    maps: Any
    stride: int
    quality: int

    def lines(self, region: Region) -> GridFit:
        """Return the lines of a region's grid."""
        h, w = region.inside.shape
        here = self.luminance[region.y : region.y + h, region.x : region.x + w]
        return fit(here, region.inside, region.cell)

    def one(self, region: Region, lines: GridFit, others: float) -> Located:
        """Return the mosaic of a region."""
        given = self.luminance, self.maps.pixelated, self.stride
        found = _mosaic(*given, self.quality, region, lines, others)
        if found.log_ratio >= 0 or self.quality != USUAL_QUALITY:
            return found
        again = _mosaic(*given, OTHER_FILES, region, lines, others)
        return again if again.log_ratio > 0 else found

    def mosaics(self, region: Region, lines: GridFit, others: float, cuts: int) -> list[Located]:
        """Return the mosaics of a region, of which parts may be cut off, each a region of its own."""
        faint = lines.confidence < FAINT
        if confidence.promise(region, lines) < (PROMISING if faint else UNPROMISING):
            return []
        one = self.one(region, lines, others)
        if faint and not one.own:
            return []
        if not cuts:
            return [one]
        first, more = self.parts(region, one, others, cuts)
        if first:
            # what is certain by its evidence need not answer for what the map shows around it
            certain = one.log_ratio >= CERTAIN and first[0].mosaic.confidence > one.mosaic.confidence
            if more or certain or not one.resembles:
                return _settled(first, more)
        return self.apart(region, one, lines, others, cuts) or self.layered(region, one, others)

    def parts(
        self, region: Region, one: Located, others: float, cuts: int, clear: bool = False
    ) -> tuple[list[Located], list[Located]]:
        """Return the mosaics of the part of a region that one covers, and those on other grids in what it leaves.

        `clear`: if that one's lines are clear, it stays where what is found anew explains less.
        """
        parts = cut(self.maps, self.stride, region, one.mosaic)
        (first, *rest) = [self.mosaics(part, self.lines(part), others, cuts - 1) for part in parts] or [[]]
        if not first:
            return [], []
        if clear and one.log_ratio > sum(f.log_ratio for f in first):
            first = [_outlined_as(first[0], one)]
        return first, [
            f for fs in rest for f in fs if f.mosaic.confidence >= LIKELY and not any(_same_grid(f, g) for g in first)
        ]

    def apart(self, region: Region, one: Located, lines: GridFit, others: float, cuts: int) -> list[Located]:
        """Return a region's mosaics where it holds several of about the same cells, whose lines look like resized ones.

        None if it does not: no outer part of it has clearer lines, or what is found in the parts explains less.
        """
        if lines.log_odds > -FUSED or others < -RESIZED:
            return []
        ways = [(part, self.lines(part)) for part in outer_parts(self.maps, self.stride, region)]
        for part, clear in sorted(ways, key=lambda way: -way[1].log_odds):
            if clear.log_odds < CLEARER:
                break
            first, more = self.parts(region, self.one(part, clear, others), others, cuts, True)
            found = _settled(first, more) if first and more else []
            if sum(f.log_ratio for f in found) > one.log_ratio:
                return found
        return []

    def layered(self, region: Region, one: Located, others: float) -> list[Located]:
        """Return a region's mosaic and those that lie over it."""
        if one.rest is None or one.mosaic.confidence < LIKELY or not one.rest.part.any():
            return [one]
        rest, later = one.rest, []
        for part in parts_of(self.maps, self.stride, region, rest.part, rest.left, rest.top):
            ways = [replace(part, cell=cell) for cell in layers.cells(self.luminance, part)]
            most = max((self.one(way, self.lines(way), others) for way in ways), key=lambda found: found.log_ratio)
            later.append(most._replace(mosaic=coarser(self.luminance, most.mosaic)))
        over = _over(one, later)
        if not over:
            return [_drawn_over(one)]
        left = without_mosaics(region, [other.mosaic for other in over])
        if left is None:
            return [one, *over]
        left = replace(left, cell=(one.mosaic.grid.width, one.mosaic.grid.height))
        again = _outlined_as(one, self.one(left, self.lines(left), others))
        return [max((_beneath(way, over) for way in (one, again)), key=lambda way: way.log_ratio), *over]


def _settled(first: list[Located], more: list[Located]) -> list[Located]:
    """Return the mosaics of a region's parts; of what two may have in common, each has what it explains better."""
    over = {id(other): _over(first[0], [other]) for other in more}
    upper = [found for ones in over.values() for found in ones]
    if not upper:
        return first + more
    return [_beneath(first[0], upper), *first[1:], *upper, *(other for other in more if not over[id(other)])]


def _over(one: Located, later: Sequence[Located]) -> list[Located]:
    """Return those of some mosaics that lie over another one: they explain its pixels better, on another grid.

    Each has the rectangle in which it does, or its own mask.
    """
    if one.rest is None:
        return []
    rest, result = one.rest, []
    m = one.mosaic.moved(-rest.left, -rest.top)
    for other in later:
        if other.log_ratio < SEEN or _same_grid(other, one):
            continue
        grid = other.mosaic.grid.moved(-rest.left, -rest.top)
        found = layers.over(rest.likelihood, m, grid, other.mosaic.moved(-rest.left, -rest.top))
        if found is not None:
            better = _outlined_as(None, other._replace(mosaic=found.moved(rest.left, rest.top)))
            result += [better] if better.mosaic.confidence >= LIKELY else []
    return result


def _drawn_over(one: Located) -> Located:
    """Return a mosaic with what its cells do not explain as foreign, which then counts little against it."""
    if one.rest is None:
        return one
    rest, m = one.rest, one.mosaic.moved(-one.rest.left, -one.rest.top)
    foreign = layers.drawn_over(rest.likelihood, m, rest.part)
    value = layers.evidence(rest.likelihood, m, foreign)
    if not 0 < np.count_nonzero(foreign) <= DRAWN * np.count_nonzero(m.area) or value <= one.log_ratio:
        return one
    return one._replace(log_ratio=value, foreign=foreign[m.box])


def _beneath(one: Located, over: Sequence[Located]) -> Located:
    """Return a mosaic without those that lie over it, with the evidence for what is left."""
    left = without(one.mosaic, [other.mosaic for other in over], layers.LARGEST)
    if left is None or one.rest is None:
        return one._replace(log_ratio=-np.inf)
    rest = one.rest
    return one._replace(mosaic=left, log_ratio=layers.evidence(rest.likelihood, left.moved(-rest.left, -rest.top)))


def _outlined_as(other: Located | None, one: Located) -> Located:
    """Return a mosaic with the confidence that it has with another one's outline, or if none is known."""
    measured = confidence.with_outline(one.measured, other.measured if other else None)
    m = replace(one.mosaic, confidence=confidence.probability(measured))
    return one._replace(mosaic=m, measured=measured, resembles=other.resembles if other else True)


def _same_grid(a: Located, b: Located) -> bool:
    """Whether two mosaics may lie on one grid."""
    g, h = a.mosaic.grid, b.mosaic.grid
    exact = whole_pixels(a.mosaic) and whole_pixels(b.mosaic)
    return all(
        abs(size / other - 1) <= SAME_SIZE
        and abs((off + size / 2) % size - size / 2) <= (0.0 if exact else SAME_PLACE * size + 0.5)
        for size, other, off in ((g.width, h.width, g.x - h.x), (g.height, h.height, g.y - h.y))
    )


def _mosaic(
    luminance: NDArray[np.float32],
    probability: NDArray[np.float32],
    stride: int,
    quality: int,
    region: Region,
    lines: GridFit,
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
    window = Window(LikelihoodMaps.of(here, quality), np.where(inside, p, np.minimum(p, 0.5)), inside)
    lines = lines.moved(region.x - left, region.y - top)
    found = best(window, lines, others)
    x, y, w, h = found.area.box
    mask = None if found.area.mask is None else np.ascontiguousarray(found.area.mask)
    m = Mosaic(x, y, w, h, found.grid, mask).moved(int(left), int(top))
    measured = _measured(found, inside, region)
    # pixels near lines of fractional grids, which do not count, would speak like the others
    share = float(areas.counting(found.grid, inside.shape)[covered(found.area, inside.shape)].mean())
    sure = confidence.probability(measured)
    own = (lines.confidence < FAINT or LEAST <= sure < OWN) and _is_own(window.likelihood, found)
    sure = max(sure, OWN) if own else sure
    rest = None
    if sure >= LIKELY:
        its = covered(found.area, inside.shape)
        likelihood = areas.with_noise(window.likelihood, found.grid, its)
        rest = Rest(layers.unexplained(likelihood, found.grid, its), likelihood, int(left), int(top))
    return Located(
        found.own / max(share, 0.05), replace(m, confidence=sure), measured, found.resembles, rest, None, own
    )


def _is_own(likelihood: LikelihoodMaps, found: Placed) -> bool:
    """Whether a rectangle about as large as its region has a grid in whole pixels, or nearly, that is its own."""
    (x, y, w, h), g = found.area.box, found.grid
    whole = Grid(round(g.x), round(g.y), round(g.width), round(g.height))
    off = abs(whole.width - g.width) * w / g.width, abs(whole.height - g.height) * h / g.height
    if found.area.mask is not None or not found.resembles or found.own < CERTAIN or max(off) > NEARLY:
        return False
    noisy = areas.with_noise(likelihood, whole, covered(found.area, likelihood.gain.shape))
    return shifted_grids.is_own(noisy, GridBox.of(Mosaic(x, y, w, h, whole)))


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
    return confidence.features(
        region, placed.lines, area.log_ratio / pixels, off, placed.resembles, (grid.width, grid.height)
    )
