"""Intact tiles that are partly hidden: by letters or lines drawn over a mosaic, or by a later mosaic.

A rectangle of intact tiles ends at the first pixel that is drawn over it. Here its grid is followed beyond: where most
of a cell's pixels still have one colour, those that do not are foreign, and say nothing; nor do the pixels of
rectangles on other grids. So the pieces beside an overlay are found to be one mosaic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder import uneven_tiles
from deepix.finder.candidates import Candidate
from deepix.finder.cell_colours import codes, most_frequent
from deepix.finder.fast_filters import dilated, filled, opened
from deepix.finder.geometry import covered, is_coarser
from deepix.finder.grid import Steps
from deepix.finder.grid_box import GridBox, shared
from deepix.finder.intact_judgement import judge
from deepix.finder.tile_growth import grow, steps_within, support, trim_flat
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Mask = NDArray[np.bool_]

GRIDS = 6
"""Grids, at most, of one picture that are followed beyond their rectangles."""
CERTAIN = 60.0
"""The least evidence, in nats, of a rectangle that is followed, and of one whose pixels are left to it."""
REACH = 6
"""Cells around rectangles of one grid in which more of them is looked for; and half of their own extent."""
ALIKE = 0.4
"""The least share of a cell's pixels that are of its colour."""
FEW = 4
"""The least number of such pixels."""
BORDERS = 2
"""The least number of a cell's four neighbours that are of another colour: a page's background is none."""
BESIDE = 2
"""How many cells away others are looked at, of a cell that is hidden wholly."""
MOSTLY = 0.4
"""The least share of these that are hidden partly or not at all: two mosaics beside one another are not one."""
LARGER = 1.04
"""The least size of what is found, in units of the rectangle that it began with."""
UNEXPLAINED = 0.002
"""The largest share of a rectangle's pixels that are steps between the lines of a grid which explains it."""
HARDLY_EXPLAINED = 0.04
"""The same share of one with less evidence than the grid's own rectangles: pieces of two mosaics, say."""
WHOLE = 0.3
"""The least share of cells of one colour among those that are found beyond it."""
CORNERS = 2
"""The least number of an area's corners that are hidden where it is round, not drawn over."""
LITTLE = 0.04
"""The share of an area, beside other mosaics, that may be hidden by anything."""
MIDST = 0.9
"""The least share of what was drawn over a mosaic that lies in its midst if it is of many colours."""
WIDE = 12
"""Pixels along a square that fits into what is wider than letters or lines."""
ONE_COLOUR = 0.08
"""The least share of what was drawn over a mosaic that is of one colour, the edges of letters being of others."""
MOST = 2.0
"""The largest size of an area of any shape, in the same units."""
ROUNDER = 1.1
"""Its least size: of a rectangle's surroundings a few pixels may be alike by chance."""
ROUND = 3
"""Pixels along squares that fit into such an area."""
OWN = 0.4
"""The least share of a mosaic that is not hidden."""


def candidates(pixels: Array, across: Steps, down: Steps, found: Sequence[tuple[float, GridBox]]) -> list[Candidate]:
    """Return the rectangles that partly hidden tiles fill, larger than those of intact ones that they go on from.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16
    across, down : their steps
    found : the rectangles of intact tiles, with their evidence
    """
    result = []
    sure = sorted((f for f in found if f[0] >= CERTAIN), key=lambda f: -f[0])
    groups: list[list[GridBox]] = []
    for _, area in sure:
        same = next((group for group in groups if group[0].same_grid(area)), None)
        if same is None:
            groups.append([area])
        else:
            same.append(area)
    for group in groups[:GRIDS]:
        most = max(value for value, area in sure if area.same_grid(group[0]))
        others = [area for value, area in sure if _is_other(area, group, across, down, value < most)]
        one = _followed(pixels, across, down, group, others)
        if one is not None:
            result.append(one)
    return result


def _followed(
    pixels: Array, across: Steps, down: Steps, group: Sequence[GridBox], others: Sequence[GridBox]
) -> Candidate | None:
    """Return what rectangles on one grid grow to across what hides them; None if that is nothing more."""
    box = _around(group, across.shape)
    hidden, own = tiles_around(pixels[box], group[0], (box[1].start, box[0].start))
    ignored = np.zeros(across.shape, bool)
    ignored[box] = hidden | _strokes(pixels[box], hidden)
    ignored &= ~covered([area.mosaic for area in group], across.shape)
    ignored |= covered([other.mosaic for other in others], across.shape)
    found = _rectangle(pixels, across, down, group[0], others, ignored) if ignored.any() else None
    if found is not None or any(_beside(other, group[0]) for other in others):
        return found
    return _shape(pixels, across, down, group, own, box)


def _strokes(pixels: Array, hidden: Mask) -> Mask:
    """Return the letters or lines that hide some pixels as far as they go, with their soft edges: bool (H, W).

    They are of the most frequent colour there, and narrow: what is beside a mosaic in its cells' colours is not.
    """
    planes = pixels.reshape(*hidden.shape, -1)
    seen = planes[hidden]
    _, first, number = np.unique(codes(seen), return_index=True, return_counts=True)
    if not number.size or number.max() < ONE_COLOUR * number.sum():
        return np.zeros_like(hidden)
    colour = seen[first[number.argmax()]]
    drawn = np.logical_and.reduce([planes[..., c] == value for c, value in enumerate(colour)])
    labels, count = ndimage.label(drawn, np.ones((3, 3), bool))
    touching, wide = np.zeros(count + 1, bool), np.zeros(count + 1, bool)
    touching[labels[drawn & hidden]] = True
    wide[labels[opened(drawn, WIDE)]] = True
    return dilated((touching & ~wide)[labels] & drawn, 1)


def _rectangle(
    pixels: Array, across: Steps, down: Steps, seed: GridBox, others: Sequence[GridBox], ignored: Mask
) -> Candidate | None:
    """Return the rectangle that a seed grows to if some pixels say nothing; None if it is not more, or not hidden."""
    fit = grow(across, down, seed, ignored)
    if fit is None:
        return None
    fit = trim_flat(across, down, fit)
    fit = fit if fit.even else uneven_tiles.natural(fit)
    x, y, w, h = fit.box
    foreign = ignored[y : y + h, x : x + w]
    known = ~covered([other.mosaic for other in others], (seed.box[3], seed.box[2]), *seed.box[:2])
    if np.count_nonzero(~foreign) < max(LARGER * np.count_nonzero(known), OWN * w * h):
        return None
    areas = [seed, *others]
    if _whole(across, down, fit, areas) < WHOLE or not _drawn(pixels[y : y + h, x : x + w], foreign, fit, areas):
        return None
    log_ratio = support(across, down, fit, ignored)
    confidence = judge(pixels, fit, log_ratio)
    if confidence <= 0.5:
        return None
    m = Mosaic(*fit.box, Grid(*fit.origin, *fit.cell), confidence=confidence)
    return Candidate.of_intact_tiles(log_ratio, m, foreign.copy() if foreign.any() else None)


def _beside(one: GridBox, other: GridBox) -> bool:
    """Whether two rectangles meet, or nearly so: less than a cell lies between them."""
    (x, y, w, h), (width, height) = other.box, other.cell
    return shared(one.box, (x - int(width), y - int(height), w + 2 * int(width), h + 2 * int(height))) > 0


def _shape(
    pixels: Array, across: Steps, down: Steps, group: Sequence[GridBox], own: Mask, box: tuple[slice, slice]
) -> Candidate | None:
    """Return the area of any shape that tiles around a rectangle make with it; None if that is hardly more."""
    seed = group[0]
    start = covered([seed.mosaic], own.shape, box[1].start, box[0].start)
    labels, _ = ndimage.label(opened(own | start, ROUND))
    number = int(np.bincount(labels[start]).argmax())
    if not number:
        return None
    shape = filled((labels == number) | start)
    share = np.count_nonzero(shape) / np.count_nonzero(start)
    if not ROUNDER <= share <= MOST:
        return None
    log_ratio = support(across, down, seed)
    confidence = judge(pixels, seed, log_ratio)
    grid = Grid(*seed.origin, *seed.cell)
    m = Mosaic.from_mask(shape, grid, confidence, x=box[1].start, y=box[0].start)
    return Candidate.of_intact_tiles(log_ratio * share, m)


def _whole(across: Steps, down: Steps, fit: GridBox, known: Sequence[GridBox]) -> float:
    """Return the share of an area's cells, beyond what is known of it, that are of one colour."""
    x, y, w, h = fit.box
    m = fit.mosaic
    stepped = across[m.box] > 0, down[m.box] > 0
    stepped[0][:, np.append(0, fit.lines(0, x + 1, x + w) - x)] = False
    stepped[1][np.append(0, fit.lines(1, y + 1, y + h) - y)] = False
    beyond = np.ones((h, w))
    for a, b, c, d in (area.box for area in known):
        beyond[max(b - y, 0) : max(b + d - y, 0), max(a - x, 0) : max(a + c - x, 0)] = 0
    cells = m.cells.mean(beyond) > 0.5
    even = m.cells.mean((stepped[0] | stepped[1]).astype(np.float64)) == 0
    return float(even[cells].mean()) if cells.any() else 0.0


def _drawn(pixels: Array, foreign: Mask, fit: GridBox, known: Sequence[GridBox]) -> bool:
    """Whether what hides tiles in an area was drawn, in a few colours: a photo beside a round mosaic has many."""
    left = foreign & ~covered([other.mosaic for other in known], foreign.shape, *fit.box[:2])
    few = np.count_nonzero(left) <= LITTLE * left.size
    if not left.any() or (few and (len(known) > 1 or _is_enclosed(left))):
        return True
    (height, width), (w, h) = left.shape, (int(side) for side in fit.cell)
    corners = (left[:h, :w], left[:h, -w:], left[-h:, :w], left[-h:, -w:])
    if height >= 2 * h and width >= 2 * w and sum(float(corner.mean()) > 0.5 for corner in corners) >= CORNERS:
        return False
    _, number = np.unique(codes(pixels[left].reshape(np.count_nonzero(left), -1)), return_counts=True)
    return bool(number.max() >= ONE_COLOUR * number.sum())


def _is_enclosed(hidden: Mask) -> bool:
    """Whether what hides tiles of an area lies in its midst: what is beside a mosaic of another shape does not."""
    down, across = (side // 8 for side in hidden.shape)
    middle = hidden[down : hidden.shape[0] - down, across : hidden.shape[1] - across]
    return bool(np.count_nonzero(middle) >= MIDST * np.count_nonzero(hidden))


def _is_other(area: GridBox, group: Sequence[GridBox], across: Steps, down: Steps, weaker: bool) -> bool:
    """Whether a rectangle is a mosaic of its own beside or over those of a group on one grid.

    It is if its cells are coarser, or the group's grid does not explain its pixels: there are steps between its lines,
    more than a few if the rectangle has less evidence. Finer cells around the group's are those of several mosaics.
    """
    one = group[0]
    if area.same_grid(one) or is_coarser(one.mosaic, area.mosaic):
        return False
    if is_coarser(area.mosaic, one.mosaic):
        return True
    most = (HARDLY_EXPLAINED if weaker else UNEXPLAINED) * area.box[2] * area.box[3]
    return steps_within(across, down, replace(one, box=area.box)) > most


def _around(group: Sequence[GridBox], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the part of a picture in which more of some rectangles' grid is looked for."""
    x0, y0 = (min(area.box[k] for area in group) for k in (0, 1))
    x1, y1 = (max(area.box[k] + area.box[k + 2] for area in group) for k in (0, 1))
    beyond = [int(max(REACH * size, side / 2)) for size, side in zip(group[0].cell, (x1 - x0, y1 - y0), strict=True)]
    return (
        slice(max(y0 - beyond[1], 0), min(y1 + beyond[1], shape[0])),
        slice(max(x0 - beyond[0], 0), min(x1 + beyond[0], shape[1])),
    )


def tiles_around(pixels: Array, area: GridBox, start: tuple[int, int]) -> tuple[Mask, Mask]:
    """Return which pixels are of another colour than most of their cell, and which are of the same: two bool (H, W).

    Only in cells of which enough is of one colour, and that of another one than most neighbours'; with the first, all
    pixels of the others between these.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), a part of a picture
    area : whose grid it is, in pixels of the picture
    start : x, y of the part in the picture
    """
    height, width = pixels.shape[:2]
    grid = Grid(*area.origin, *area.cell)
    rows = grid.rows(start[1], start[1] + height)
    columns = grid.columns(start[0], start[0] + width)
    rows, columns = rows - rows[0], columns - columns[0]
    shape = int(rows[-1]) + 1, int(columns[-1]) + 1
    values = codes(pixels.reshape(height, width, -1))
    cell = (rows[:, None] * shape[1] + columns).ravel()
    colour, number = (a.reshape(shape) for a in most_frequent(cell, values.ravel(), shape[0] * shape[1]))
    size = np.bincount(rows)[:, None] * np.bincount(columns)
    padded = np.pad(colour, 1, constant_values=-1)
    different = [
        colour != padded[1 + dy : 1 + dy + shape[0], 1 + dx : 1 + dx + shape[1]]
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]
    alive = (number >= np.maximum(ALIKE * size, FEW)) & (np.sum(different, axis=0) >= BORDERS)
    between = ~alive & (ndimage.uniform_filter(alive.astype(np.float32), 2 * BESIDE + 1, mode="constant") >= MOSTLY)
    spread = np.ix_(rows, columns)
    same = values == colour[spread]
    return np.asarray((alive[spread] & ~same) | between[spread]), np.asarray(alive[spread] & same)
