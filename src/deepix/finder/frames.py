"""Frames drawn around a mosaic, touching it: lines of one colour, neither the photo's nor the cells'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepix.finder.luminance import luminance
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import grown

Array = NDArray[Any]
Mask = NDArray[np.bool_]

WIDEST = 12
"""The widest frame, in pixels."""
NEAR = 3
"""Pixels between an area, as it was found, and the frame around it, at most, besides a row of cut cells."""
SAME = 10.0
"""The largest difference in luminance, in levels, of pixels of one colour: what a good file leaves."""
SAME_CHROMA = 30.0
"""The same in the difference of red, and of blue, to luminance: files keep these at half the size."""
ALL = 0.92
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
LEAST = 8
"""The least width and height, in pixels, of what a frame leaves of an area."""


def framed(pixels: Array, m: Mosaic) -> tuple[Mosaic, Mask] | None:
    """Return a mosaic without the frame that touches it, and the frame's pixels, (H, W); None if there is no frame.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), levels 0 … 255: gray, or colour with R, G, B first
    m : a rectangle in it, or nearly one; others have no frame
    """
    if min(m.width, m.height) < LEAST or (m.mask is not None and m.mask.mean() < NEARLY):
        return None
    near = NEAR + math.ceil(max(m.grid.width, m.grid.height))
    window = grown(m.box, WIDEST + near, pixels.shape)
    planes, here = _opponent(pixels[window]), m.moved(-window[1].start, -window[0].start)
    sides = [_lines(planes, here, side, near) for side in SIDES]
    seen = ([line.colour for line in lines if line.colour is not None] for lines in sides)
    for colour in min(seen, key=len):  # a frame is on all sides
        runs = _runs(sides, colour, near)
        if runs is not None:
            frame = np.zeros(pixels.shape[:2], bool)
            inner, outer = (_box(m, [run[k] for run in runs]) for k in (0, 1))
            if min(s.stop - s.start for s in inner) < LEAST:
                return None
            frame[outer] = True
            frame[inner] = False
            y, x = (slice(max(s.start, a), min(s.stop, b)) for s, a, b in zip(inner, *_corners(m), strict=True))
            mask = None if m.mask is None else m.mask[y.start - m.y : y.stop - m.y, x.start - m.x : x.stop - m.x].copy()
            mask = None if mask is None or mask.all() else mask
            size = x.stop - x.start, y.stop - y.start
            return replace(m, x=x.start, y=y.start, width=size[0], height=size[1], mask=mask), frame
    return None


def _opponent(pixels: Array) -> NDArray[np.float32]:
    """Return luminance, in units of `SAME`, and how much of red and blue is beside it, of `SAME_CHROMA`: (H, W, 1 or 3)."""
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


def _lines(planes: NDArray[np.float32], m: Mosaic, side: tuple[int, int], near: int) -> list[_Line]:
    """Return the lines along a side, one of `SIDES`, from the innermost on; 0 is the area's own outermost."""
    axis, last = side
    here = planes[:, m.x : m.x + m.width] if axis == 0 else planes[m.y : m.y + m.height].swapaxes(0, 1)
    margin = min(ROUND, here.shape[1] // 4)
    here = here[:, margin : here.shape[1] - margin]
    start, stop = (m.y, m.y + m.height) if axis == 0 else (m.x, m.x + m.width)
    by = np.arange(-WIDEST, WIDEST + near + 1)
    at = stop - 1 + by if last else start - by
    there = (at >= 0) & (at < len(here))
    pixels = here[at[there]]
    colours = np.median(pixels, axis=1)
    alike = (np.abs(pixels - colours[:, None]).max(axis=2) <= 1).mean(axis=1) >= ALL
    return [
        _Line(int(far), line, colour if one else None)
        for far, line, colour, one in zip(by[there], pixels, colours, alike, strict=True)
    ]


def _runs(sides: Sequence[Sequence[_Line]], colour: Array, near: int) -> list[tuple[int, int]] | None:
    """Return `_run` of all sides; None if there is no frame.

    On one or two sides it may be as bright as what is beside it: there it is where it is on the others.
    """
    runs = [_run(lines, colour, near) for lines in sides]
    known = [run for run in runs if run is not None]
    if len(known) < KNOWN:
        return None
    usual = max(known, key=known.count)
    for run, lines in zip(runs, sides, strict=True):
        here = [line for line in lines if usual[0] <= line.by < usual[1]]
        if run is None and not (here and all(_is(line, colour) for line in here)):
            return None
    return [usual if run is None else run for run in runs]


def _is(line: _Line, colour: Array) -> bool:
    """Whether a line is of a colour."""
    return line.colour is not None and float(np.abs(line.colour - colour).max()) <= 1


def _run(lines: Sequence[_Line], colour: Array, near: int) -> tuple[int, int] | None:
    """Return how far outside lie a frame's innermost line and the one after its outermost; None: there is none."""
    its = [_is(line, colour) for line in lines]
    first = next((k for k, one in enumerate(its) if one and lines[k].by <= near), None)
    if not first:  # none, or it goes on inwards: flat cells are no frame
        return None
    last = first
    while last + 1 < len(its) and its[last + 1]:
        last += 1
    beside = [lines[k].pixels for k in (first - 1, last + 1) if 0 <= k < len(lines)]
    other = all(float((np.abs(pixels - colour).max(axis=1) > 1).mean()) >= BEYOND for pixels in beside)
    if not other or last - first >= WIDEST or lines[last].by < 0:
        return None
    return lines[first].by, lines[last].by + 1


def _corners(m: Mosaic) -> tuple[tuple[int, int], tuple[int, int]]:
    return (m.y, m.x), (m.y + m.height, m.x + m.width)


def _box(m: Mosaic, by: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns that begin so far outside of an area's sides, in the order of `SIDES`."""
    top, bottom, left, right = by
    return slice(m.y - top + 1, m.y + m.height + bottom - 1), slice(m.x - left + 1, m.x + m.width + right - 1)
