"""Captions over and beside a mosaic: letters drawn over its cells, and labels, rectangles of one colour with letters.

What is drawn over a cell is of the drawing's colour or, at soft edges, a mixture of that and the cell's own.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.cell_colours import EXACT, FEW, Cells, Tolerance, View
from deepix.finder.fast_filters import dilated, eroded, filled, largest
from deepix.finder.geometry import bounds
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown, within

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

NEAR = 3
"""Pixels between an area, as it was found, and a label, at most."""
DEEP = 2
"""Pixels within an area along its border in which a label may end."""
LABEL = 12, 16
"""The least height and width of a label, in pixels."""
WRITTEN = 0.02, 0.6
"""The least and the largest share of a label that letters cover."""
LEAST = round((1 - WRITTEN[1]) * LABEL[0] * LABEL[1])
"""The least number of a label's pixels of its colour."""
EDGED = 0.85
"""The least share of a label's outline that is of its colour; of each side half of that."""
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


def captioned(view: View, taken: Mask, foreign: Mask) -> tuple[Mosaic, Mask] | None:
    """Return a mosaic without the captions over it, and these and those beside it, (H, W); None if there are none.

    Parameters
    ----------
    view : of the mosaic in a picture
    taken : bool (H, W), the areas of all others
    foreign : bool (H, W), what is known to be drawn: frames
    """
    m, box = view.mosaic, view.box
    if m.grid.blended or min(m.width, m.height) < 2:
        return None
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
    border = _border(view)
    for colour in view.frequent(border):
        alike = view.is_of(colour)
        if not _is_large(alike):
            continue
        close = bounds(alike)
        alike = alike[close]
        numbers, count = ndimage.label(alike, EIGHT)
        sizes, touching = np.bincount(numbers.ravel()), np.unique(numbers[border[close] & alike])
        touching = touching[sizes[touching] >= LEAST]
        boxes = ndimage.find_objects(numbers, count) if touching.size else []
        for number in touching.tolist():
            rows, columns = box = boxes[number - 1]
            if rows.stop - rows.start < LABEL[0] or columns.stop - columns.start < LABEL[1]:
                continue
            if not _is_outlined(numbers[box] == number):
                continue
            other = largest(np.abs(view.pixels[close][box] - colour)) >= view.tolerance.contrast
            if float(other.mean()) >= WRITTEN[0]:  # letters, of quite another colour
                result[close][box] = True
    return result


def _border(view: View) -> Mask:
    """Return the pixels on both sides of the border of an area, and what its box holds besides: bool (H, W)."""
    result = np.zeros(view.area.shape, bool)
    close = grown(view.m.box, NEAR, result.shape)
    area = view.area[close]
    if area[within(view.m.box, close)].all():
        result[close] = True
        top, left, height, width = view.m.y, view.m.x, view.m.height, view.m.width
        result[top + DEEP : top + height - DEEP, left + DEEP : left + width - DEEP] = False
        return result
    near = dilated(area, NEAR)
    border = near & ~eroded(area, DEEP)
    inside = np.zeros_like(near)
    inside[bounds(near)] = True
    result[close] = border | (inside & ~area)
    return result


def _is_large(there: Mask) -> bool:
    """Whether pixels may be those of a label, by their number and extents, and its outline's longest side."""
    if np.count_nonzero(there) < LEAST:
        return False
    for k in (0, 1):
        number = np.count_nonzero(there, axis=1 - k)
        if np.count_nonzero(number) < LABEL[k] or number.max() < (2 * EDGED - 1) * LABEL[1 - k]:
            return False
    return True


def _is_outlined(there: Mask) -> bool:
    """Whether pixels of one colour, in their box, are along its sides, and most of it."""
    if 1 - float(there.mean()) > WRITTEN[1]:
        return False
    sides = [float(side.mean()) for side in (there[0], there[-1], there[:, 0], there[:, -1])]
    return min(sides) >= EDGED / 2 and float(np.mean(sides)) >= EDGED


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
    box = bounds(area)
    inside = np.zeros_like(area)
    inside[box] = True
    inside &= ~labels & ~foreign
    drawn = np.zeros_like(area)
    if _is_intact(view, inside):
        return drawn, area
    drawn[box], drawings = _over(view.within(box), inside[box])
    if not drawings:
        return drawn, area
    for one in drawings:
        numbers, _ = ndimage.label(view.is_of(one), EIGHT)
        drawn |= np.isin(numbers, np.unique(numbers[dilated(drawn, 1) & (numbers > 0)])) & inside
        goes_on = np.isin(numbers, np.unique(numbers[dilated(drawn, 1) & (numbers > 0)]))
        drawn |= dilated(goes_on & ~inside, 1) & ~inside
    # cells that letters hide wholly, and pieces that were left out of the area beside them
    there = inside & ~drawn
    _, seen, same = _cells(view, there, Cells.of(view, there, view.tolerance))
    lattice = filled(ndimage.binary_closing(np.pad(area | drawn, 16), EIGHT, iterations=8)[16:-16, 16:-16])
    drawn |= inside & ~seen & lattice & dilated(drawn, 2)
    if view.tolerance.spread:
        drawn |= dilated(drawn, view.tolerance.spread) & (inside | ~area)
    return drawn, ((same & lattice) | area) & ~drawn


def _is_intact(view: View, inside: Mask) -> bool:
    """Whether all that is seen of cells in a part of a window is of their colours, in a lossless picture."""
    if view.tolerance is not EXACT:
        return False
    cells = view.exact if np.array_equal(inside, view.area) else Cells.of(view, inside, EXACT)
    return bool((cells.number - cells.own)[cells.alive].sum() < view.tolerance.least)


def _over(view: View, inside: Mask) -> tuple[Mask, list[Floats]]:
    """Return what is drawn over cells in a part of a window, bool (H, W), and in which colours."""
    drawn, drawings = np.zeros_like(inside), []
    for one in _colours(view, inside):
        over = _drawn(view, inside & ~drawn, one)
        if over.any():
            drawings.append(one)
            drawn |= over
    return drawn, drawings


def _cells(view: View, where: Mask, cells: Cells) -> tuple[Floats, Mask, Mask]:
    """Return the colours of cells, where a part of a window shows them, and its pixels of them: (H, W)."""
    alive = cells.alive
    colour, seen = cells.colour[view.labels], alive[view.labels]
    same = seen & where
    for c, plane in enumerate(view.planes):
        same &= np.abs(view.levels(plane) - colour[..., c]) <= view.tolerance.same
    return colour, seen, same


def _colours(view: View, inside: Mask) -> list[Floats]:
    """Return the colours in which there may be drawings over an area's cells."""
    colour, seen, same = _cells(view, inside, Cells.of(view, inside, view.tolerance))
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
    there = inside & ~pure
    colour, seen, same = _cells(view, there, Cells.of(view, there, tolerance))
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
