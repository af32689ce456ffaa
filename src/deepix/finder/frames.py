"""Frames drawn around a mosaic, touching it: lines of one colour, neither the photo's nor the cells'."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepix.finder.cell_colours import EXACT, View
from deepix.finder.luminance import luminance
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown

Array = NDArray[Any]
Mask = NDArray[np.bool_]

WIDEST = 12
"""The widest frame, in pixels."""
NEAR = 3
"""Pixels between an area, as it was found, and the frame around it, at most, besides a row of cut cells."""
SAME = 12.0
"""The largest difference in luminance, in levels, of pixels of one colour: what a good file leaves."""
SAME_CHROMA = 36.0
"""The same in the difference of red, and of blue, to luminance: files keep these at half the size."""
SAME_EXACT = 2.0
"""The largest difference in luminance where cells are of exactly one colour."""
ALL = 0.9
"""The least share of a rectangle's outline that is of one colour where it is a frame."""
BEYOND = 0.5
"""The least share of the outlines inside and outside of a frame that are of other colours."""
ROUND = 16
"""Pixels at both ends of a side, at most a quarter of it, in which round corners may lie."""
SIDES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Top, bottom, left and right: axis, and whether it is the last along it."""
KNOWN = 2
"""The least number of sides on which a frame stands out from what is beside it."""
NEARLY = 0.9
"""The least share of its box that an area covers which may be a rectangle with pieces of its frame."""
DIFFERING = 0.25
"""The largest share of two neighbouring lines of pixels of the same cells that differ."""
LEAST = 8
"""The least width and height, in pixels, of what a frame leaves of an area."""


def framed(pixels: Array, m: Mosaic, view: View) -> tuple[Mosaic, Mask] | None:
    """Return a mosaic without the frame that touches it, and the frame's pixels, (H, W); None if there is no frame.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), levels 0 … 255: gray, or colour with R, G, B first
    m : a rectangle in it, or nearly one; others have no frame
    view : of it in the picture
    """
    if min(m.width, m.height) < LEAST or (m.mask is not None and m.mask.mean() < NEARLY):
        return None
    near = NEAR + math.ceil(max(m.grid.width, m.grid.height))
    window = grown(m.box, WIDEST + near, pixels.shape)
    here = m.moved(-window[1].start, -window[0].start)
    scale = SAME / SAME_EXACT if view.tolerance is EXACT else 1.0  # what was drawn has kept its colour as well
    if sum(_has_even(pixels[window], here, side, near, scale) for side in SIDES) < len(SIDES) - 1:
        return None
    planes = _opponent(pixels[window]) * np.float32(scale)
    sides = [_lines(planes, here, side, near) for side in SIDES]
    seen = ([line.colour for line in lines if line.colour is not None] for lines in sides)
    fewest = sorted(seen, key=len)[:2]
    for colour in itertools.chain(*fewest):  # a frame is on all sides, one of which may lie beyond the picture
        runs = _runs(sides, colour, near)
        if runs is not None:
            inner, outer = (_box(m, [run[k] for run in runs]) for k in (0, 1))
            if min(s.stop - s.start for s in inner) < LEAST:
                return None
            frame = np.zeros(pixels.shape[:2], bool)
            frame[outer] = True
            frame[inner] = False
            alike = np.zeros(frame.shape, bool)
            alike[window] = np.abs(planes - colour).max(axis=2) <= 1
            frame |= _corners_of(inner, pixels.shape) & alike
            ends = [_end(m, side, lines, run[0]) for side, lines, run in zip(SIDES, sides, runs, strict=True)]
            return _within(m, _box(m, ends), frame), frame
    return None


def _corners_of(inner: Box, shape: tuple[int, ...]) -> Mask:
    """Return the corners of what a frame encloses, in which a round frame reaches into it: bool (H, W)."""
    result = np.zeros(shape[:2], bool)
    rows, columns = (
        (slice(s.start, min(s.start + ROUND, s.stop)), slice(max(s.stop - ROUND, s.start), s.stop)) for s in inner
    )
    for corner in itertools.product(rows, columns):
        result[corner] = True
    return result


def _end(m: Mosaic, side: tuple[int, int], lines: Sequence[_Line], frame: int) -> int:
    """Return how far outside of a side of an area the first line lies that is none of its cells', at most the frame.

    Beyond the side that was found lines are the cells' that are like the one before, or another row of cells.
    """
    axis, last = side
    origin, size = (m.grid.y, m.grid.height) if axis == 0 else (m.grid.x, m.grid.width)
    edge = (m.y + m.height if last else m.y) if axis == 0 else (m.x + m.width if last else m.x)
    at = {line.by: line for line in lines}
    end = 1
    for by in range(1, frame):
        line = edge + (by - 1 if last else 1 - by)  # the grid's, before this row or column of pixels
        differs = np.abs(at[by].pixels - at[by - 1].pixels)[:, 0] > 1  # files smear a frame's colour farther
        if (line - origin) % size == 0:
            if frame - by <= NEAR:  # the photo, if the frame lies apart from the area
                break
        elif float(differs.mean()) > DIFFERING:
            break
        end = by + 1
    return min(end, frame)


def _within(m: Mosaic, box: Box, frame: Mask) -> Mosaic:
    """Return a mosaic with the pixels of a box that are not a frame's, but those that it lacks within its own."""
    rows, columns = box
    area = np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
    y, x = m.y - rows.start, m.x - columns.start
    here = area[max(y, 0) : max(y + m.height, 0), max(x, 0) : max(x + m.width, 0)]
    here &= m.area[max(-y, 0) :, max(-x, 0) :][: here.shape[0], : here.shape[1]]
    area &= ~frame[box]
    size = columns.stop - columns.start, rows.stop - rows.start
    mask = None if area.all() else area
    return replace(m, x=columns.start, y=rows.start, width=size[0], height=size[1], mask=mask)


def _opponent(pixels: Array) -> NDArray[np.float32]:
    """Return luminance, in units of `SAME`, and red and blue beside it, of `SAME_CHROMA`: (H, W, 1 or 3)."""
    light = luminance(pixels) if pixels.dtype != np.float32 else pixels
    if light.ndim == 3 or pixels.ndim == 2 or pixels.shape[2] < 3:
        return np.asarray(light.reshape(*light.shape[:2], -1) / SAME, np.float32)
    scale = 1 / 257 if pixels.dtype == np.uint16 else 1
    red, blue = ((pixels[..., c] * scale - light) / SAME_CHROMA for c in (0, 2))
    return np.stack([light / SAME, red, blue], axis=2, dtype=np.float32)


class _Line(NamedTuple):
    """A line along a side of an area: how far outside it lies, its pixels, (n, C), and their colour if it is one."""

    by: int
    pixels: Array
    colour: Array | None


def _has_even(pixels: Array, m: Mosaic, side: tuple[int, int], near: int, scale: float) -> bool:
    """Whether there is a line along a side whose luminance is that of one colour: without it there is no frame."""
    _, lines = _along(pixels, m, side, near)
    light = luminance(lines) if pixels.dtype != np.float32 else lines.reshape(*lines.shape[:2], -1)[..., 0]
    light = light / SAME * np.float32(scale)
    return bool(_alike(light[..., None], np.median(light, axis=1)[:, None]).any())


def _along(pixels: Array, m: Mosaic, side: tuple[int, int], near: int) -> tuple[NDArray[np.int64], Array]:
    """Return how far outside the lines along a side lie, (n,), and their pixels, (n, pixels[, C])."""
    axis, last = side
    here = pixels[:, m.x : m.x + m.width] if axis == 0 else pixels[m.y : m.y + m.height].swapaxes(0, 1)
    margin = min(ROUND, here.shape[1] // 4)
    here = here[:, margin : here.shape[1] - margin]
    start, stop = (m.y, m.y + m.height) if axis == 0 else (m.x, m.x + m.width)
    by = np.arange(-WIDEST, WIDEST + near + 1)
    at = stop - 1 + by if last else start - by
    there = (at >= 0) & (at < len(here))
    return by[there], here[at[there]]


def _alike(lines: Array, colours: Array) -> NDArray[np.bool_]:
    """Return which lines, (n, pixels, C), are of their colour, (n, C), but for few pixels."""
    off = np.abs(lines - colours[:, None]) <= 1
    return np.asarray(np.logical_and.reduce([off[..., c] for c in range(off.shape[2])]).mean(axis=1) >= ALL)


def _lines(planes: NDArray[np.float32], m: Mosaic, side: tuple[int, int], near: int) -> list[_Line]:
    """Return the lines along a side, one of `SIDES`, from the innermost on; 0 is the area's own outermost."""
    by, pixels = _along(planes, m, side, near)
    colours = np.median(pixels, axis=1)
    return [
        _Line(int(far), line, colour if one else None)
        for far, line, colour, one in zip(by, pixels, colours, _alike(pixels, colours), strict=True)
    ]


def _runs(sides: Sequence[Sequence[_Line]], colour: Array, near: int) -> list[tuple[int, int]] | None:
    """Return `_run` of all sides; None if there is no frame.

    On one or two sides it may be as bright as what is beside it: there it is where it is on the others. On one it may
    lie beyond the picture's edge.
    """
    runs = [_run(lines, colour, near) for lines in sides]
    known = [run for run in runs if run is not None]
    if len(known) < KNOWN:
        return None
    usual = max(known, key=known.count)
    result = []
    for run, lines in zip(runs, sides, strict=True):
        edge = lines[-1].by + 1
        if run is None:
            run = _run(lines, colour, near, usual[1] - usual[0])
        here = [line for line in lines if usual[0] <= line.by < usual[1]]
        if run is None and edge <= NEAR and len(known) == len(sides) - 1:
            run = edge, edge
        elif run is None and not (here and all(_is(line, colour) for line in here)):
            return None
        result.append(usual if run is None else run)
    return result


def _is(line: _Line, colour: Array) -> bool:
    """Whether a line is of a colour."""
    return line.colour is not None and float(np.abs(line.colour - colour).max()) <= 1


def _is_as_bright(line: _Line, colour: Array) -> bool:
    """Whether a line is of a colour's luminance."""
    return float((np.abs(line.pixels[:, 0] - colour[0]) <= 1).mean()) >= ALL


def _run(lines: Sequence[_Line], colour: Array, near: int, width: int | None = None) -> tuple[int, int] | None:
    """Return how far outside lie a frame's innermost line and the one after its outermost; None: there is none.

    What is beside it is of other colours, or it is as wide as on other sides.
    """
    its = [_is(line, colour) for line in lines]
    first = next((k for k, one in enumerate(its) if one and lines[k].by <= near), None)
    if not first:  # none, or it goes on inwards: flat cells are no frame
        return None
    last = first
    while last + 1 < len(its) and its[last + 1]:
        last += 1
    if np.ptp(lines[first].pixels, axis=0).any():  # a lossy file, which mixes colours at their edges
        first -= first > 1 and _is_as_bright(lines[first - 1], colour)
        last += last + 2 < len(its) and _is_as_bright(lines[last + 1], colour)
    beside = [lines[k].pixels for k in (first - 1, last + 1) if 0 <= k < len(lines)]
    other = all(float((np.abs(pixels - colour).max(axis=1) > 1).mean()) >= BEYOND for pixels in beside)
    other = other if width is None else last + 1 - first == width
    if not other or last - first >= WIDEST or lines[last].by < 0:
        return None
    return lines[first].by, lines[last].by + 1


def _box(m: Mosaic, by: Sequence[int]) -> Box:
    """Return the rows and columns that begin so far outside of an area's sides, in the order of `SIDES`."""
    top, bottom, left, right = by
    return slice(m.y - top + 1, m.y + m.height + bottom - 1), slice(m.x - left + 1, m.x + m.width + right - 1)
