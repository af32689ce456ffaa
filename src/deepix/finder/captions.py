"""Captions over and beside a mosaic: letters drawn over its cells, and labels, rectangles of one colour with letters.

Where files are lossless a cell's own pixels are exactly of one colour, and what is drawn over it is of the drawing's
colour or, at soft edges, a mixture of both. In lossy files the same holds within what these leave of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.fast_filters import dilated, eroded, filled, largest
from deepix.finder.geometry import bounds
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

REACH = 72
"""Pixels around an area in which labels are looked for, that touch it or nearly do."""
NEAR = 3
"""Pixels between an area, as it was found, and a label, at most."""
COLOURS = 8
"""The most frequent colours along the border of an area, or over its cells, that are looked at."""
FREQUENT = 24
"""The least number of pixels of such a colour."""
LABEL = 12, 16
"""The least height and width of a label, in pixels."""
WRITTEN = 0.02, 0.6
"""The least and the largest share of a label that letters cover."""
LEAST = round((1 - WRITTEN[1]) * LABEL[0] * LABEL[1])
"""The least number of a label's pixels of its colour."""
EDGED = 0.85
"""The least share of a label's outline that is of its colour; of each side half of that."""
INTACT = 0.5
"""The least share of cells, among those that have neighbours, whose pixels are nearly all exactly of one colour where a
file is lossless."""
OWN = 0.2
"""The least share of a cell's pixels that are of its colour."""
FEW = 4
"""The least number of such pixels."""
CORE = 0.75
"""The share of a drawing's colour in a mixture from which on it is that of letters, not of their edges."""
CORES = 0.15
"""The least share of such pixels."""
FLAT = 0.98
"""The least share of pixels beside an area that are of their cells' colours where it goes on."""
SEEN = 0.3
"""The least share of these that nothing was drawn over."""
LIGHT = 12.0
"""The least difference in luminance, in levels, of half of a drawing's pixels to the cells beneath in a lossy file."""
MOSTLY = 0.7
"""The least share of an area's pixels that are of their cells' colours: otherwise these are not told."""
FILLED = 0.6
"""The share of a cell's pixels that are of a colour from which on it is the cell's own."""
FILLING = 0.25
"""The largest share of the pixels of a drawing's colour that fill cells, in a lossy file."""
EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Tolerance:
    """How far pixels are, in levels of any channel, from what they are taken for.

    Attributes
    ----------
    same : from the colour of a cell, or of a drawing
    mixed : from a mixture of both
    least : number of pixels, at least, of what covers cells in one place
    spread : pixels around it that a file smears it over
    explained : the least share of what covers cells in one place that is a mixture of their colour and the drawing's;
        where letters hide most of small cells, these are taken for other colours
    contrast : the least difference, in levels, of a drawing to the cells beneath
    """

    same: float
    mixed: float
    least: int
    spread: int
    explained: float
    contrast: float


EXACT, LOSSY = Tolerance(0, 3, 1, 0, 0.5, 24), Tolerance(16, 24, 12, 1, 0.85, 40)


@dataclass(frozen=True, eq=False)
class View:
    """A window of a picture around a mosaic.

    Attributes
    ----------
    pixels : float32 (H, W, C), levels 0 … 255
    m : the mosaic, in pixels of the window
    tolerance : what the file leaves of one colour
    """

    pixels: Floats
    m: Mosaic
    tolerance: Tolerance

    @classmethod
    def of(cls, pixels: Array, m: Mosaic, box: Box, tolerance: Tolerance) -> View:
        """Return the view of a part of a picture, (H, W) or (H, W, C), uint8, uint16 or float32 in levels of 255."""
        return cls(_levels(pixels[box]), m.moved(-box[1].start, -box[0].start), tolerance)

    @cached_property
    def area(self) -> Mask:
        """The mosaic's area: bool (H, W)."""
        result = np.zeros(self.pixels.shape[:2], bool)
        result[self.m.box] = self.m.area
        return result

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """One number for each colour: (H, W)."""
        return codes(self.pixels)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The number of the grid's cell that each pixel of the window lies in: (H, W)."""
        height, width = self.pixels.shape[:2]
        return _labels_of(self.m, (slice(0, height), slice(0, width)))

    @cached_property
    def exact(self) -> Cells:
        """The cells of the mosaic's area as a lossless file shows them."""
        return Cells.of(self, self.area, EXACT)

    @cached_property
    def planes(self) -> list[Floats]:
        """The channels, each by itself: (H, W)."""
        return [np.ascontiguousarray(self.pixels[..., c]) for c in range(self.pixels.shape[2])]

    def is_of(self, colour: Floats) -> Mask:
        """Return which pixels are of a colour: bool (H, W)."""
        if self.tolerance is EXACT:  # numbers of colours are compared faster than colours
            result = self.codes == codes(colour[None, None])
            result[result] = (self.pixels[result] == colour).all(axis=1)
            return np.asarray(result)
        first, *more = (np.abs(plane - level) for plane, level in zip(self.planes, colour, strict=True))
        result = first <= self.tolerance.same
        for off in more:
            result &= off <= self.tolerance.same
        return np.asarray(result)

    def frequent(self, where: Mask, least: int = FREQUENT) -> Iterator[Floats]:
        """Yield the most frequent colours in a part of the window, (C,)."""
        if not where.any():
            return
        pixels = self.pixels[where]
        if self.tolerance is EXACT:
            code = self.codes[where]
            colours, number = np.unique(code, return_counts=True)
        else:
            code, number = _coarse(pixels, self.tolerance.same)
            colours = np.arange(len(number))
        for k in np.argsort(-number, kind="stable")[:COLOURS]:
            if number[k] < least:
                break
            its = code == colours[k]
            yield pixels[np.argmax(its)] if self.tolerance is EXACT else np.median(pixels[its], axis=0)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a grid, by their numbers: the colours of what can be seen of them.

    Attributes
    ----------
    colour : float32 (cells, C)
    own : (cells,), the pixels of this colour; number : all that were looked at
    """

    colour: Floats
    own: NDArray[np.int64]
    number: NDArray[np.int64]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which cells show enough of their colour."""
        return np.asarray(self.own >= np.maximum(OWN * self.number, FEW))

    @classmethod
    def of(cls, view: View, where: Mask, tolerance: Tolerance) -> Cells:
        """Return the cells of a window as those pixels show them that lie in a part of it."""
        labels, pixels = view.labels[where], view.pixels[where]
        count = int(view.labels[-1, -1]) + 1
        number = np.bincount(labels, minlength=count)
        colour = np.zeros((count, pixels.shape[1]), np.float32)
        if tolerance is EXACT:
            keys = labels << 24 | view.codes[where]
            most, own = _most_frequent(keys, count)
            its = np.flatnonzero(most[labels] == keys)[::-1]  # so that the first of a colour's pixels are set last
            colour[labels[its]] = pixels[its]
            return cls(colour, own, number)
        middle = (np.cumsum(number) - number + number // 2)[number > 0]
        same = np.ones(len(labels), bool)
        for c in range(pixels.shape[1]):
            # levels are not negative, so that their bits are in the same order
            keys = np.sort(labels << 32 | pixels[:, c].astype(np.float32).view(np.int32))
            colour[number > 0, c] = (keys[middle] & 0xFFFFFFFF).astype(np.int32).view(np.float32)
            same &= np.abs(pixels[:, c] - colour[labels, c]) <= tolerance.same
        return cls(colour, np.bincount(labels[same], minlength=count), number)


def tolerance_of(pixels: Array, m: Mosaic) -> Tolerance:
    """Return what a file leaves of one colour, as most cells of a mosaic in it show.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8, uint16 or float32 in levels of 255
    m : a mosaic in it
    """
    keys = _labels_of(m, m.box) << 24 | codes(_levels(pixels[m.box]))
    keys = keys.ravel() if m.mask is None else keys[m.mask]
    count = int(keys.max() >> 24) + 1
    own, number = _most_frequent(keys, count)[1], np.bincount(keys >> 24)
    intact = own[number > 0] >= 0.9 * number[number > 0]
    return EXACT if float(intact.mean()) >= INTACT else LOSSY


def _labels_of(m: Mosaic, box: Box) -> NDArray[np.int64]:
    """Return the number of the grid's cell that each pixel of a part of a picture lies in: (H, W)."""
    rows, columns = m.grid.rows(box[0].start, box[0].stop), m.grid.columns(box[1].start, box[1].stop)
    return np.asarray((rows - rows[0])[:, None] * (columns[-1] - columns[0] + 1) + columns - columns[0], np.int64)


def _levels(pixels: Array) -> Floats:
    """Return up to three channels of a picture in levels of 255: float32 (H, W, C)."""
    planes = pixels.reshape(*pixels.shape[:2], -1)[..., :3].astype(np.float32)
    if pixels.dtype == np.uint16:
        planes /= 257
    return np.asarray(planes, np.float32)


def codes(pixels: Array) -> NDArray[np.int64]:
    """Return one number for each colour, (H, W, C), of up to three channels of 0 … 255: (H, W), of 24 bits."""
    result = np.zeros(pixels.shape[:2], np.int64)
    for c in range(pixels.shape[2]):
        result = (result << 8) | pixels[..., c].astype(np.int64)
    return result


def _most_frequent(keys: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most frequent key of each cell, and how often it is there; of several the greatest: both (cells,).

    Parameters
    ----------
    keys : a cell's number and 24 bits of colour for each pixel
    count : of cells
    """
    keys = np.sort(keys)
    first = np.flatnonzero(np.diff(keys, prepend=-1) != 0)
    run = np.diff(first, append=len(keys))
    cell = keys[first] >> 24
    # runs are in the order of cells, then colours
    most, own = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    start = np.flatnonzero(np.diff(cell, prepend=-1) != 0)
    its = cell[start]
    own[its] = np.maximum.reduceat(run, start)
    best = run == own[cell]
    most[cell[best]] = keys[first[best]]
    return most, own


def _coarse(pixels: Floats, by: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of colours, (N,) of (N, C), that are told in steps of so many levels, and how many have each."""
    levels = np.floor(pixels / by).astype(np.int64)
    side = int(levels.max()) + 1
    code = levels[:, 0]
    for c in range(1, levels.shape[1]):
        code = code * side + levels[:, c]
    return code, np.bincount(code)


def captioned(
    pixels: Array, m: Mosaic, taken: Mask, foreign: Mask, tolerance: Tolerance | None = None
) -> tuple[Mosaic, Mask] | None:
    """Return a mosaic without the captions over it, and these and those beside it, (H, W); None if there are none.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16
    m : a mosaic in it
    taken : bool (H, W), the areas of all others
    foreign : bool (H, W), what is known to be drawn: frames
    tolerance : what the file leaves of one colour; None: `tolerance_of`
    """
    if m.grid.blended or min(m.width, m.height) < 2:
        return None
    box = grown(m.box, REACH, pixels.shape)
    view = View.of(pixels, m, box, tolerance or tolerance_of(pixels, m))
    drawn = _labels(view)
    area = view.area & ~drawn
    if not area.any():
        return None
    over, area = _letters(view, area, drawn, foreign[box])
    drawn = (drawn | over) & ~(taken[box] & ~over)
    if area.any() and (drawn.any() or (dilated(area, NEAR) & foreign[box]).any()):
        area = _grown(view, area, drawn | foreign[box] | taken[box])
    area &= ~taken[box] & ~drawn
    if not area.any() or not (drawn.any() or (area & ~view.area).any()):
        return None
    inner = bounds(area)
    mask = area[inner]
    whole = np.zeros(taken.shape, bool)
    whole[box] = drawn
    x, y = (int(inner[k].start + box[k].start) for k in (1, 0))
    return (
        Mosaic(x, y, mask.shape[1], mask.shape[0], m.grid, mask.copy(), m.confidence, cell_value=m.cell_value),
        whole,
    )


def _labels(view: View) -> Mask:
    """Return the labels that touch an area or lie over a part of it: bool (H, W)."""
    result = np.zeros(view.area.shape, bool)
    near = dilated(view.area, NEAR)
    box = bounds(near)
    border = near & ~eroded(view.area, 2)
    inside = np.zeros_like(near)
    inside[box] = True
    border |= inside & ~view.area
    for colour in view.frequent(border):
        alike = view.is_of(colour)
        if not _is_large(alike):
            continue
        numbers, count = ndimage.label(alike, EIGHT)
        boxes = ndimage.find_objects(numbers, count)
        for number in np.unique(numbers[border & alike]).tolist():
            rows, columns = box = boxes[number - 1]
            if rows.stop - rows.start < LABEL[0] or columns.stop - columns.start < LABEL[1]:
                continue
            if _is_label(view, box, numbers[box] == number, colour):
                result[rows, columns] = True
    return result


def _is_large(there: Mask) -> bool:
    """Whether pixels may be those of a label, by their number and extents."""
    if np.count_nonzero(there) < LEAST:
        return False
    return all(np.count_nonzero(there.any(axis=1 - k)) >= LABEL[k] for k in (0, 1))


def _is_label(view: View, box: Box, there: Mask, colour: Floats) -> bool:
    """Whether pixels of one colour, in their box, are those of a label around letters, of quite another colour."""
    if np.count_nonzero(there) < LEAST or 1 - float(there.mean()) > WRITTEN[1]:
        return False
    sides = [float(side.mean()) for side in (there[0], there[-1], there[:, 0], there[:, -1])]
    if min(sides) < EDGED / 2 or float(np.mean(sides)) < EDGED:
        return False
    other = np.zeros(there.shape, bool)
    for plane, level in zip(view.planes, colour, strict=True):
        other |= np.abs(plane[box] - level) >= view.tolerance.contrast
    return float(other.mean()) >= WRITTEN[0]


def _grown(view: View, area: Mask, drawn: Mask) -> Mask:
    """Return an area with the rows and columns of cells beside it that a drawing has cut off, in a lossless picture."""
    if view.tolerance is not EXACT:  # a smooth photo looks the same
        return area
    area = area.copy()
    for axis, last in itertools.product((0, 1), (False, True)):
        while True:
            box = bounds(area)
            most = _next(view, box[axis], axis, last)
            strips = (_strip(box, axis, last, by, area.shape) for by in range(most, 0, -1))
            strip = next((one for one in strips if _are_cells(view, one, drawn)), None)
            if strip is None:
                break
            area[strip] = ~drawn[strip]
    return area


def _next(view: View, along: slice, axis: int, last: bool) -> int:
    """Return how many rows or columns of pixels lie between an area and the next line of its grid."""
    origin, size = (view.m.grid.y, view.m.grid.height) if axis == 0 else (view.m.grid.x, view.m.grid.width)
    left = (origin - along.stop) % size if last else (along.start - origin) % size
    return math.ceil(left or size)


def _strip(box: Box, axis: int, last: bool, by: int, shape: tuple[int, ...]) -> Box:
    """Return so many rows or columns of pixels beside a box; none beyond the window."""
    along = box[axis]
    start, stop = (along.stop, along.stop + by) if last else (along.start - by, along.start)
    strip = slice(start, stop) if start >= 0 and stop <= shape[axis] else slice(0, 0)
    return (strip, box[1]) if axis == 0 else (box[0], strip)


def _are_cells(view: View, strip: Box, drawn: Mask) -> bool:
    """Whether a part of a window is, but for what was drawn, of cells of several colours, each of one."""
    there = np.zeros_like(drawn)
    there[strip] = ~drawn[strip]
    if np.count_nonzero(there) < SEEN * there[strip].size or not there.any():
        return False
    cells = Cells.of(view, there, EXACT)
    seen = cells.number >= FEW
    if len(np.unique(cells.colour[seen], axis=0)) < 2:
        return False
    return bool(cells.own.sum() >= FLAT * cells.number.sum())


def _letters(view: View, area: Mask, labels: Mask, foreign: Mask) -> tuple[Mask, Mask]:
    """Return what is drawn over an area's cells, and goes on beside it, and the area without it: two bool (H, W)."""
    inside = np.zeros_like(area)
    inside[bounds(area)] = True
    inside &= ~labels & ~foreign
    drawn, drawings = np.zeros_like(area), []
    for one in _colours(view, inside):
        over = _drawn(view, inside & ~drawn, one)
        if over.any():
            drawings.append(one)
            drawn |= over
    if not drawings:
        return drawn, area
    for one in drawings:
        numbers, _ = ndimage.label(view.is_of(one), EIGHT)
        drawn |= np.isin(numbers, np.unique(numbers[dilated(drawn, 1) & (numbers > 0)])) & inside
        goes_on = np.isin(numbers, np.unique(numbers[dilated(drawn, 1) & (numbers > 0)]))
        drawn |= dilated(goes_on & ~inside, 1) & ~inside
    # cells that letters hide wholly, and pieces that were left out of the area beside them
    _, seen, same = _cells(view, inside & ~drawn)
    lattice = filled(ndimage.binary_closing(np.pad(area | drawn, 16), EIGHT, iterations=8)[16:-16, 16:-16])
    drawn |= inside & ~seen & lattice & dilated(drawn, 2)
    if view.tolerance.spread:
        drawn |= dilated(drawn, view.tolerance.spread) & (inside | ~area)
    return drawn, ((same & lattice) | area) & ~drawn


def _shown(view: View, where: Mask) -> Cells:
    """Return the cells as a part of a window shows them."""
    known = view.tolerance is EXACT and np.array_equal(where, view.area)
    return view.exact if known else Cells.of(view, where, view.tolerance)


def _cells(view: View, where: Mask, cells: Cells | None = None) -> tuple[Floats, Mask, Mask]:
    """Return the colours of cells as a part of their area shows them, where it does, and its pixels of them: (H, W)."""
    cells, box = cells or _shown(view, where), view.m.box
    labels, off = view.labels[box], np.zeros(where.shape, np.float32)
    colour, seen = np.zeros_like(view.pixels), np.zeros_like(where)
    colour[box], seen[box] = cells.colour[labels], cells.alive[labels]
    off[box] = largest(np.abs(view.pixels[box] - colour[box]))
    return colour, seen, where & seen & (off <= view.tolerance.same)


def _colours(view: View, inside: Mask) -> list[Floats]:
    """Return the colours in which there may be drawings over an area's cells."""
    cells = _shown(view, inside)
    if view.tolerance is EXACT and (cells.number - cells.own)[cells.alive].sum() < view.tolerance.least:
        return []  # all that is seen of cells is of their colours
    colour, seen, same = _cells(view, inside, cells)
    off = inside & seen & ~same
    if np.count_nonzero(off) < view.tolerance.least or np.count_nonzero(same) < MOSTLY * np.count_nonzero(inside):
        return []
    farthest = int(np.argmax(((view.pixels[off] - colour[off]) ** 2).sum(axis=1)))
    return [*view.frequent(off, max(FEW, view.tolerance.least)), view.pixels[off][farthest]]


def _drawn(view: View, inside: Mask, one: Floats) -> Mask:
    """Return which pixels over an area's cells are of a colour or a mixture of that and their cells': bool (H, W)."""
    nothing, tolerance = np.zeros_like(inside), view.tolerance
    pure = inside & view.is_of(one)
    if len(np.unique(view.labels[pure])) < 2 and np.count_nonzero(pure) >= FEW:
        return nothing  # a cell's own
    if tolerance.spread and _of_cells(view, inside, pure):
        return nothing
    colour, seen, same = _cells(view, inside & ~pure)
    off = inside & seen & ~same
    numbers, count = ndimage.label(off, EIGHT)
    size = np.bincount(numbers.ravel(), minlength=count + 1)
    off &= (size >= tolerance.least)[numbers]
    if len(np.unique(view.labels[off])) < 2:
        return nothing
    share, mixed = np.zeros(off.shape, np.float32), np.zeros_like(off)
    way = one - colour[off]
    share[off] = ((view.pixels[off] - colour[off]) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1)
    mixed[off] = _mixed(view.pixels[off], colour[off], one, tolerance)
    mixed[off] &= (way**2).sum(axis=1) >= tolerance.contrast**2
    if tolerance.spread:  # what files leave along the border of an area is nothing drawn
        mixed &= eroded(inside, 2)
    explained = np.bincount(numbers[mixed], minlength=count + 1)
    found = (explained >= np.maximum(tolerance.explained * size, tolerance.least))[numbers] & off
    found |= pure & dilated(found, 1)
    if tolerance.spread and found.any():  # colours alone are smeared from cell to cell
        light = np.abs(_opponent(view.pixels[found]) - _opponent(colour[found]))[:, 0]
        if float(np.median(light)) < LIGHT:
            return nothing
    core = pure | (share >= CORE)
    return found if np.count_nonzero(core & found) > CORES * np.count_nonzero(found) else nothing


def _of_cells(view: View, inside: Mask, pure: Mask) -> bool:
    """Whether many pixels of a colour fill cells: it is one of the scene's."""
    labels = view.labels[inside]
    number, own = np.bincount(labels), np.bincount(labels[pure[inside]], minlength=int(labels.max()) + 1)
    return bool(own[own >= FILLED * np.maximum(number, 1)].sum() > FILLING * own.sum())


def _mixed(pixels: Floats, beneath: Floats, over: Floats, tolerance: Tolerance) -> NDArray[np.bool_]:
    """Return which pixels, (n, C), are mixtures of what is beneath and over it; files mix less exactly."""
    if tolerance is EXACT:
        way = over - beneath
        share = ((pixels - beneath) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1)
        left = np.abs(pixels - beneath - share[:, None] * way).max(axis=1)
        return np.asarray((left <= tolerance.mixed) & (share > 0) & (share <= 1.05))
    values, a, b = _opponent(pixels), _opponent(beneath), _opponent(over[None])
    low, high = np.minimum(a, b) - tolerance.mixed, np.maximum(a, b) + tolerance.mixed
    return np.asarray(((values >= low) & (values <= high)).all(axis=1))


def _opponent(pixels: Floats) -> Floats:
    """Return luminance, and how much of red and blue is beside it, (n, 1 or 3): files mix these apart."""
    if pixels.shape[1] < 3:
        return pixels[:, :1]
    light = pixels @ np.array((0.299, 0.587, 0.114), np.float32)
    return np.stack([light, (pixels[:, 0] - light) / 2, (pixels[:, 2] - light) / 2], axis=1)
