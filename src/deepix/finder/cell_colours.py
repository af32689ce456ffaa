"""The colours of a mosaic's cells, and what a file leaves of them.

Where files are lossless a cell's own pixels are exactly of one colour, and what is drawn over it is of the drawing's
colour or, at soft edges, a mixture of both. In lossy files the same holds within what these leave of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic, white
from deepix.mosaic.boxes import Box, grown

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

REACH = 72
"""Pixels around an area that are looked at: labels reach as far."""
COLOURS = 8
"""The most frequent colours in a part of a window that are looked at."""
FREQUENT = 24
"""The least number of pixels of such a colour."""
INTACT = 0.5
"""The least share of cells, among those that have neighbours, whose pixels are nearly all exactly of one colour where a
file is lossless."""
OWN = 0.2
"""The least share of a cell's pixels that are of its colour."""
FEW = 4
"""The least number of such pixels."""
ROUNDING = 0.01
"""Levels by which numbers may be off that should be whole."""
BITS = 32
"""Bits of a colour's number: see `codes`."""


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
    raw : (H, W, C), of at most three channels, in the picture's own type
    mosaic : in pixels of the picture
    box : where the window lies in the picture
    given : what the file leaves of one colour, where that is known
    """

    raw: Array
    mosaic: Mosaic
    box: Box
    given: Tolerance | None = None

    @classmethod
    def of(cls, pixels: Array, m: Mosaic) -> View:
        """Return the view around a mosaic of a picture (H, W[, C]): uint8, uint16 or float32 in levels of 255."""
        box = grown(m.box, REACH, pixels.shape)
        part = pixels[box]
        return cls(part.reshape(*part.shape[:2], -1)[..., :3], m, box)

    def within(self, box: Box) -> View:
        """Return the view of a part of this one, in its pixels, as tolerant as this."""
        rows, columns = (slice(o.start + s.start, o.start + s.stop) for s, o in zip(box, self.box, strict=True))
        return View(self.raw[box], self.mosaic, (rows, columns), self.tolerance)

    @cached_property
    def m(self) -> Mosaic:
        """The mosaic, in pixels of the window."""
        return self.mosaic.moved(-self.box[1].start, -self.box[0].start)

    @property
    def level(self) -> float:
        """What a level of 255 is in the picture's own type."""
        return white(self.raw.dtype) / 255

    @cached_property
    def pixels(self) -> Floats:
        """The window in levels of 255: float32 (H, W, C)."""
        return self.levels(self.raw)

    def levels(self, values: Array) -> Floats:
        """Return values of the picture's own type in levels of 255, float32."""
        result = values.astype(np.float32)
        return result if self.level == 1 else np.asarray(result / np.float32(self.level))

    @cached_property
    def planes(self) -> list[Array]:
        """The channels, each (H, W), in the picture's own type."""
        return [np.ascontiguousarray(self.raw[..., c]) for c in range(self.raw.shape[2])]

    @cached_property
    def area(self) -> Mask:
        """The mosaic's area: bool (H, W)."""
        shape, m = self.raw.shape[:2], self.m
        result = np.zeros(shape, bool)
        here = result[max(m.y, 0) : max(m.y + m.height, 0), max(m.x, 0) : max(m.x + m.width, 0)]
        here |= m.area[max(-m.y, 0) :, max(-m.x, 0) :][: here.shape[0], : here.shape[1]]
        return result

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The number of the grid's cell that each pixel of the window lies in: (H, W)."""
        height, width = self.raw.shape[:2]
        rows, columns = self.m.grid.rows(0, height), self.m.grid.columns(0, width)
        return np.asarray((rows - rows[0])[:, None] * (columns[-1] - columns[0] + 1) + columns - columns[0], np.int64)

    @cached_property
    def exact(self) -> Cells:
        """The cells of the mosaic's area as a lossless file shows them."""
        return Cells.of(self, self.area, EXACT)

    @cached_property
    def tolerance(self) -> Tolerance:
        """What the file leaves of one colour."""
        if self.given is not None:
            return self.given
        cells = self.exact
        whole = cells.number[cells.number > 0]
        intact = cells.own[cells.number > 0] >= 0.9 * whole
        return EXACT if whole.size and float(intact.mean()) >= INTACT else LOSSY

    def is_of(self, colour: Floats) -> Mask:
        """Return which pixels are of a colour, in levels: bool (H, W)."""
        same, level, dtype = self.tolerance.same, self.level, self.raw.dtype
        result: Mask | None = None
        for plane, value in zip(self.planes, colour.tolist(), strict=True):
            low, high = level * (value - same), level * (value + same)
            if dtype.kind in "iu":  # integers are compared several times as fast as floats
                low, high = max(math.ceil(low - ROUNDING), 0), min(math.floor(high + ROUNDING), np.iinfo(dtype).max)
            near = plane == low if low == high else (plane >= low) & (plane <= high)
            result = near if result is None else result & near
        assert result is not None
        return result

    def frequent(self, where: Mask, least: int = FREQUENT) -> Iterator[Floats]:
        """Yield the most frequent colours in a part of the window, (C,)."""
        raw = self.raw[where]
        if self.tolerance is EXACT:
            code = codes(raw)
        else:
            pixels = self.levels(raw)
            code = codes((pixels / self.tolerance.same).astype(np.uint8))
        ordered = np.sort(code)
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        number = np.diff(first, append=len(ordered))
        for k in np.argsort(-number, kind="stable")[:COLOURS]:
            if number[k] < least:
                break
            its = code == ordered[first[k]]
            yield self.levels(raw[int(its.argmax())]) if self.tolerance is EXACT else np.median(pixels[its], axis=0)


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
        labels, raw = view.labels[where], view.raw[where]
        count = int(view.labels[-1, -1]) + 1
        number = np.bincount(labels, minlength=count)
        if tolerance is EXACT:
            values = codes(raw)
            most, own = most_frequent(labels, values, count)
            same = np.flatnonzero(values == most[labels])
            pixel = np.zeros(count, np.int64)
            pixel[labels[same]] = same
            colour = view.levels(raw[pixel]) if len(raw) else np.zeros((count, raw.shape[1]), np.float32)
            colour[own == 0] = 0
            return cls(colour, own, number)
        pixels = view.levels(raw)
        colour = np.zeros((count, pixels.shape[1]), np.float32)
        seen = number > 0
        middle = (np.cumsum(number) - number + number // 2)[seen]
        same = np.ones(len(pixels), bool)
        for c in range(pixels.shape[1]):
            plane = np.ascontiguousarray(pixels[:, c])
            # floats from 0 on are in the order of their bits
            ordered = np.sort(labels << BITS | plane.view(np.int32))
            colour[seen, c] = (ordered[middle] & (1 << BITS) - 1).astype(np.int32).view(np.float32)
            same &= np.abs(plane - colour[labels, c]) <= tolerance.same
        return cls(colour, np.bincount(labels[same], minlength=count), number)


def codes(pixels: Array) -> NDArray[np.int64]:
    """Return one number of `BITS` bits for each colour (…, C), in the colours' order; floats are cut off."""
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.uint8)
    bits, channels = 8 * pixels.dtype.itemsize, pixels.shape[-1]
    result: NDArray[np.integer[Any]] = pixels[..., 0].astype(np.int64 if bits * channels >= BITS else np.int32)
    for c in range(1, channels):
        result <<= bits
        result |= pixels[..., c]
    if bits * channels > BITS:
        result = np.unique(result, return_inverse=True)[1].reshape(result.shape)
    return result.astype(np.int64)


def most_frequent(
    labels: NDArray[np.int64], values: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most frequent value in each cell, and how many of its pixels have it, both (count,).

    Parameters
    ----------
    labels : (n,), the cell of each pixel, 0 … count − 1
    values : (n,), of `BITS` bits, as of `codes`; of several that are as frequent the greatest counts
    count : how many cells there are; −1, and none, of those without pixels
    """
    most, own = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    if not len(labels):
        return most, own
    ordered = np.sort(labels << BITS | values)
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    run = np.diff(first, append=len(ordered))
    value, cell = ordered[first] & (1 << BITS) - 1, ordered[first] >> BITS
    start = np.flatnonzero(np.diff(cell, prepend=-1))
    best = np.maximum.reduceat(run << BITS | value, start)
    most[cell[start]], own[cell[start]] = best & (1 << BITS) - 1, best >> BITS
    return most, own
