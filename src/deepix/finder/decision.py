"""The decision over all candidates of a picture: which of those that compete for a place are reported.

A candidate arrives with its evidence, its confidence and what the locator's map says of it. Four comparisons follow:

1. *Alone* (`is_credible`). What a candidate must have for itself: enough confidence for its evidence, a map that does
   not contradict it, no chequerboard's cells.
2. *Intact tiles against the outlined area around them* (`_instead_of_tiles`). Rectangles of intact tiles hold their
   place, unless they are pieces of an area that was resized, or of one of another shape.
3. *Nearly intact rectangles against the outlined area around them* (`_pieces_of`). The area holds its place, unless
   rectangles that cover enough of it have more evidence together.
4. *Whatever still overlaps* (`suppressed`). Non-maximum suppression by score.

All comparisons are by `Candidate.score`: evidence in nats, weighed with the confidence in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.candidates import INTACT, Candidate
from deepix.finder.drawings import is_drawn
from deepix.finder.file_blocks import are_blocks
from deepix.finder.geometry import is_coarser, lies_in, overlapping, same_grid, size, whole_pixels, without
from deepix.finder.hidden_parts import rejoined
from deepix.finder.joined_pieces import joined
from deepix.finder.overlays import with_overlays
from deepix.finder.square_cells import squared
from deepix.finder.thresholds import MAP_NOTHING, MAP_PIXELATED, REPORTED, SURE, WEAK_EVIDENCE
from deepix.mosaic import Mosaic

UNSEEN = 0.985
"""The least confidence of a nearly intact mosaic, too small or too coarse for the locator, of which its map shows
nothing."""
DOUBTFUL = 0.8
"""The least confidence of a nearly intact mosaic of which the map shows something, but not enough."""
BESIDE = ((0, 0), (-4, 0), (4, 0), (0, -4), (0, 4))
"""Moves, in pixels (x, y), after which a mosaic overlaps with one that it is beside of."""
SAME_CELL = 1.0
"""Pixels by which the cells of intact tiles differ, less than that, from those of a resized area of which they are
pieces."""
ALL = 0.95
"""The least share of an area that rectangles of intact tiles cover which are no pieces of it."""
SHIFTED = 2.0
"""The largest shift, in pixels, of pieces of one area on cells of the same size."""
OTHER_GRIDS = 0.2
"""The largest share of an area in which intact tiles lie on another grid than the largest of them."""
SLIVERS = 0.1
"""The share of a sure area that intact tiles cover, below which they may be left there by accident."""
LARGER = 1.3
"""The least size of an area that intact tiles grow to, in units of theirs, to take their place."""
PIECES = 0.5
"""The share of an area that intact tiles on its grid cover, below which they are pieces of it that resizing left so."""
STEPPED = 0.5
"""The least share of neighbours across grid lines that differ where an area goes on beyond the tiles it grew from."""
COVERED_WHOLE = 0.45
"""The least share of an area of cells in whole pixels that nearly intact rectangles cover, to take its place."""
COVERED_RESIZED = 0.75
"""The same share of an area that seems to have been resized: its uneven cells are even here and there."""
ALONE = 0.85
"""The least share that one rectangle and an area surely resized cover of one another, for the one to take the place of
the other without far more evidence."""
FAR_MORE = 2.0
"""How many times the evidence is far more."""
LEFT = 0.5
"""The least share of a rectangle of intact tiles that rectangles of coarser cells leave of it: otherwise its grid has
the lines of several mosaics."""
HIDDEN = 0.1
"""The largest share of what two rectangles of intact tiles have in common that is the hidden one's own."""
FRAME = 3
"""The number of rows or columns of cells, at most, for which lines of a frame around a mosaic may be taken."""
TRIMMED = 0.2
"""The largest share of its area that a mosaic loses to better ones which it overlaps with, and still is reported."""


def decide(
    candidates: Sequence[Candidate], plane: NDArray[np.float32], pixels: NDArray[Any] | None = None
) -> list[Mosaic]:
    """Return the mosaics of a picture: disjoint, sorted by y, then x.

    Parameters
    ----------
    candidates : all of the picture, with what the map says of them
    plane : its luminance, (H, W)
    pixels : the picture itself, in whose colours frames and captions are looked for; None: they are in its luminance
    """
    whole = [replace(c, mosaic=squared(plane, c.mosaic)) for c in rejoined(plane, prevailing(candidates))]
    drawn = [c.mosaic for c in whole if is_drawn(plane, c.mosaic)]
    kept = [c for c in whole if not any(c.mosaic is m or _is_drawn_as(c.mosaic, m) for m in drawn)]
    kept = [c for c in kept if not _are_blocks(plane, c, kept)]
    return with_overlays(joined(plane, suppressed(kept, TRIMMED)), plane if pixels is None else pixels)


def _is_drawn_as(m: Mosaic, drawn: Mosaic) -> bool:
    """Whether a mosaic's coarser cells are of squares that were drawn: not of the lines of a frame beside it."""
    strip = min(drawn.cells.counts.shape) <= FRAME
    return is_coarser(m, drawn) and not (strip and not overlapping(m, drawn))


def _are_blocks(plane: NDArray[np.float32], c: Candidate, found: Sequence[Candidate]) -> bool:
    """Whether a mosaic's cells are a file's blocks, as what is around it shows, but for mosaics as sure as itself."""
    others = [o.mosaic for o in found if not same_grid(o.mosaic, c.mosaic) and 2 * o.log_ratio > c.log_ratio]
    return are_blocks(plane, c.mosaic, others)


def decide_without_map(candidates: Sequence[Candidate]) -> list[Mosaic]:
    """Return the mosaics of a picture that the locator has not been asked about."""
    return [c.mosaic for c in suppressed(candidates)]


def prevailing(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that hold their place against others of another kind there; they may overlap a little."""
    shapes = {c.region: c for c in candidates if c.region is not None}
    intact, areas = standing_tiles(candidates), []
    standing = list(intact)
    for area in (c for c in candidates if c.outlined and is_credible(c)):
        inner = [c for c in intact if lies_in(c.mosaic, area.mosaic)]
        if not inner:
            areas.append(area)
            continue
        better = _instead_of_tiles(area, inner, shapes.get(area), intact)
        if better is not None:
            replaced = [c for c in standing if c in inner]
            score = max(INTACT * area.score, sum(c.score for c in replaced))
            standing = [c for c in standing if c not in replaced] + [replace(better, score=score)]
    noisy = [c for c in candidates if not c.intact and not c.outlined]
    resized = _was_resized(standing, areas, noisy)
    unbroken = []
    for area in areas:
        pieces = _pieces_of(area, noisy)
        standing += pieces or [area]
        unbroken += [] if pieces else [area]
    return standing + [
        c for c in noisy if not resized and c not in standing and not _beside(c, unbroken) and is_credible(c)
    ]


def standing_tiles(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the rectangles of intact tiles that are credible, and the best where they overlap with one another."""
    tiles = _carved([c for c in candidates if c.intact and c.region is None])
    return [c for c in suppressed(tiles) if is_credible(c)]


def _carved(tiles: Sequence[Candidate]) -> list[Candidate]:
    """Return rectangles of intact tiles without what is others': what they hide, and what coarser cells explain.

    A finer grid explains larger cells as well whose lines are some of its own, but not why it has no steps between
    these.
    """
    result = []
    for c in tiles:
        m, others = c.mosaic, [o for o in tiles if o is not c and is_credible(o)]
        left = without(m, [o.mosaic for o in others if is_coarser(o.mosaic, m)], 1 - LEFT)
        if left is None:
            continue
        if c.foreign is not None:
            own = ~c.foreign
            over = [o.mosaic for o in others if not same_grid(o.mosaic, m) and not is_coarser(o.mosaic, m)]
            over = [o for o in over if _common(own, m, o) <= HIDDEN * overlapping(m, o)]
            left = without(left, over, 1.0) or left
        result.append(c if left is m else c.with_mosaic(left))
    return result


def _common(part: NDArray[np.bool_], m: Mosaic, other: Mosaic) -> int:
    """Return how many pixels of a part of a mosaic's box another one covers."""
    return overlapping(replace(m, mask=part), other) if part.any() else 0


def is_credible(c: Candidate) -> bool:
    """Whether a candidate has what it needs for itself, whatever else there is.

    Intact tiles need a map that does not contradict them; an area that the map outlines enough confidence, less with
    more evidence; nearly intact tiles anywhere else the more confidence, the less the map shows there.
    """
    if c.intact:
        return not c.contradicted
    if c.outlined:
        return c.mosaic.confidence >= (REPORTED if c.log_ratio >= WEAK_EVIDENCE else SURE)
    if c.map_mean is None or c.map_mean > MAP_PIXELATED:
        return True
    if c.on_jpeg_blocks or c.contradicted:
        return False
    return c.mosaic.confidence >= (UNSEEN if c.map_mean < MAP_NOTHING else DOUBTFUL)


def _instead_of_tiles(
    area: Candidate, inner: Sequence[Candidate], shape: Candidate | None, intact: Sequence[Candidate]
) -> Candidate | None:
    """Return what takes the place of intact tiles in an area that the map outlines; None if they hold it.

    That is the area itself if it was resized, so that the tiles are pieces of uneven cells, or a few that stayed even;
    or the shape that the largest rectangle of them grows to, without what other `intact` ones have of it, if it is
    clearly larger and goes on in steps: flat surroundings do not.
    """
    largest = max(inner, key=lambda c: size(c.mosaic)).mosaic
    others = [c.mosaic for c in inner if not same_grid(c.mosaic, largest)]
    pieces = others and not whole_pixels(area.mosaic) and all(_about_same_cell(c.mosaic, area.mosaic) for c in inner)
    if pieces and not _of_their_own([c.mosaic for c in inner], area.mosaic):
        return area
    if _are_slivers(area, inner):
        return area
    if sum(size(m) for m in others) > OTHER_GRIDS * size(area.mosaic):
        return None
    alike = sum(size(c.mosaic) for c in inner if same_grid(c.mosaic, largest))
    # either all tiles of a mosaic are intact, or resizing has left a few so
    if shape is None and same_grid(largest, area.mosaic) and area.mosaic.confidence >= SURE:
        return area if alike < PIECES * size(area.mosaic) else None
    if shape is None or shape.beyond < STEPPED:
        return None
    beside = [c.mosaic for c in intact if not same_grid(c.mosaic, largest)]
    left = without(shape.mosaic, beside, 1.0)
    # an area of any shape that was found without the map, not only what others leave of one, need only be smaller
    whole = replace(largest, mask=None)
    rectangle = largest.mask is None or any(overlapping(whole, other) for other in beside)
    if left is None or size(left) <= (LARGER if rectangle else 1.0) * alike:
        return None
    return shape.with_mosaic(left)


def _are_slivers(area: Candidate, inner: Sequence[Candidate]) -> bool:
    """Whether intact tiles are what a change of colours has left, by accident, of an area with more evidence.

    Tiles of a mosaic that nothing was done to are all intact.
    """
    small = sum(size(c.mosaic) for c in inner) < SLIVERS * size(area.mosaic)
    more = area.log_ratio > sum(c.log_ratio for c in inner)
    return small and more and area.mosaic.confidence >= SURE


def _of_their_own(tiles: Sequence[Mosaic], area: Mosaic) -> bool:
    """Whether rectangles of intact tiles are mosaics of their own, not pieces of an area of uneven cells.

    They cover all of it, or some lie on the same cells farther shifted than a piece is that begins after a cell of
    another size.
    """
    return sum(size(m) for m in tiles) >= ALL * size(area) or _lie_apart(tiles)


def _lie_apart(tiles: Sequence[Mosaic]) -> bool:
    """Whether some rectangles' cells are of one size, but farther shifted than those of one resized mosaic."""
    for k, m in enumerate(tiles):
        for other in tiles[k + 1 :]:
            g, h = m.grid, other.grid
            shifts = [((a - b + s / 2) % s) - s / 2 for a, b, s in ((g.x, h.x, g.width), (g.y, h.y, g.height))]
            if (g.width, g.height) == (h.width, h.height) and max(abs(shift) for shift in shifts) > SHIFTED:
                return True
    return False


def _about_same_cell(a: Mosaic, b: Mosaic) -> bool:
    """Whether the cells of two mosaics differ by less than `SAME_CELL` in width and height."""
    return max(abs(a.grid.width - b.grid.width), abs(a.grid.height - b.grid.height)) < SAME_CELL


def _was_resized(standing: Sequence[Candidate], areas: Sequence[Candidate], noisy: Sequence[Candidate]) -> bool:
    """Whether there is more evidence for mosaics of fractional cells, of which one is sure, than for others."""
    fractional = sum(c.score for c in (*standing, *areas) if c.mosaic.confidence >= SURE and not whole_pixels(c.mosaic))
    return fractional > sum(c.score for c in (*noisy, *areas) if whole_pixels(c.mosaic))


def _pieces_of(area: Candidate, noisy: Sequence[Candidate]) -> list[Candidate]:
    """Return the nearly intact rectangles that take the place of an area which the map outlines; none if it stays.

    They have more evidence, and cover enough of it. Of an area that was resized, whose uneven cells are even here and
    there, only a rectangle of about its size takes the place, or several if one of them has far more evidence or they
    lie on grids that cannot be pieces of one.
    """
    m, number = area.mosaic, size(area.mosaic)
    parts = [(overlapping(c.mosaic, m), size(c.mosaic), c) for c in noisy]
    parts = [part for part in parts if 2 * part[0] > min(part[1], number)]
    best = max((c.score for _, _, c in parts), default=0.0)
    resized = not whole_pixels(m) and m.confidence >= SURE and best < FAR_MORE * area.score
    if resized and not _lie_apart([c.mosaic for _, _, c in parts]):
        parts = [part for part in parts if part[0] >= ALONE * max(part[1], number)]
    covered = COVERED_WHOLE if whole_pixels(m) else COVERED_RESIZED
    pieces = [c for _, _, c in parts]
    alone = any(part[0] >= ALONE * number for part in parts)
    if whole_pixels(m) and not alone and all(_on_lines(c, m) for c in pieces):
        return []  # what hides a part of it has cut it into these
    enough = sum(common for common, _, _ in parts) >= covered * number
    return pieces if enough and sum(c.score for c in pieces) > area.score else []


def _on_lines(c: Candidate, m: Mosaic) -> bool:
    """Whether the lines of a candidate's grid within its box are those of a mosaic's grid."""
    g, h, one = c.mosaic.grid, m.grid, c.mosaic
    axes = (
        (one.x, one.width, (g.x, g.width), (h.x, h.width)),
        (one.y, one.height, (g.y, g.height), (h.y, h.height)),
    )
    for start, length, *grids in axes:
        at = np.arange(start + 1, start + length)
        ours, theirs = (at[(at - origin) % cell == 0] for origin, cell in grids)
        if not np.array_equal(ours, theirs):
            return False
    return True


def _beside(c: Candidate, areas: Sequence[Candidate]) -> bool:
    """Whether a candidate overlaps with areas that hold their place, or lies beside one."""
    return any(overlapping(c.mosaic.moved(*by), area.mosaic) for area in areas for by in BESIDE)


def suppressed(candidates: Sequence[Candidate], overlap: float = 0.0) -> list[Candidate]:
    """Return the candidates, those with the best score first, as far as they do not overlap; sorted by y, then x.

    Of what overlaps with better ones by at most this share of its area, the rest remains.
    """
    found: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: -c.score):
        left = without(c.mosaic, [f.mosaic for f in found], overlap)
        if left is not None:
            found.append(c if left is c.mosaic else c.with_mosaic(left))
    return sorted(found, key=lambda c: (c.mosaic.y, c.mosaic.x))
