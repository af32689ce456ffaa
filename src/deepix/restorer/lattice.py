"""A lattice of larger pixels, through which a network looks at cells that are too large for it.

Each of its pixels holds the mean of what it covers of the picture; cells are whole numbers of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Array, Grid, Mosaic
from deepix.mosaic.windows import windows

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LONGER_SIDE = 13
"""Pixels of the lattice to the longer side of a cell that is too large for the network."""
SHORTER_SIDE = 8
"""Pixels of the lattice to the cell's shorter side, at least, where it has as many of the picture's."""
MULTIPLE = 16
"""Pixels of the lattice; a lattice's sides are multiples of it where the picture allows, so that windows of equal size
go through the network together."""
LEAST_SHARE = 1e-3
"""Share of a pixel of the lattice that must be unknown for it to be unknown."""
MARGIN = 16
"""Known pixels (of the lattice) that a network sees around the unknown ones, where the picture has them."""


def pitch(grid: Grid, largest: float) -> tuple[float, float]:
    """Return the height and width of the lattice's pixels, in pixels of the picture.

    Parameters
    ----------
    grid : of the cells
    largest : side of a cell (pixels) that the network knows: up to it, the lattice's pixels are the picture's
    """
    longer = max(grid.width, grid.height)
    if longer <= largest:
        return 1.0, 1.0
    down, across = (
        side / max(round(side * LONGER_SIDE / longer), min(SHORTER_SIDE, math.floor(side)))
        for side in (grid.height, grid.width)
    )
    return down, across


def by_pitch(mosaics: Iterable[Mosaic], largest: float) -> list[list[Mosaic]]:
    """Return mosaics in groups of those that share a lattice, the largest ones first; `largest` as for `pitch`."""
    groups: dict[tuple[int, int], list[Mosaic]] = {}
    for m in sorted(mosaics, key=lambda m: (-m.width * m.height, m.y, m.x)):
        down, across = pitch(m.grid, largest)
        groups.setdefault((round(10 * math.log(down)), round(10 * math.log(across))), []).append(m)
    return list(groups.values())


@dataclass(frozen=True)
class Axis:
    """One axis of a lattice: its pixel i covers the picture's origin + pitch · (i … i + 1), i = start … stop − 1."""

    origin: float
    pitch: float
    start: int
    stop: int
    length: int  # of the picture

    @classmethod
    def over(cls, part: slice, length: int, origin: float, pitch: float) -> Axis:
        """Return the axis over some of a picture's pixels and a few more: windows of equal size go together."""
        if pitch == 1:
            origin = 0.0
        least, most = math.floor(1e-6 - origin / pitch), math.ceil((length - origin) / pitch - 1e-6)
        start = max(least, math.floor((part.start - origin) / pitch))
        stop = min(most, math.ceil((part.stop - origin) / pitch))
        missing = -(stop - start) % MULTIPLE
        stop = min(most, stop + missing // 2)
        start = max(least, stop - (-(-(stop - start) // MULTIPLE) * MULTIPLE))
        return cls(origin, pitch, start, stop, length)

    @property
    def pixels(self) -> slice:
        """The picture's pixels that the lattice covers."""
        first, last = (self.origin + self.pitch * i for i in (self.start, self.stop))
        return slice(max(math.floor(first + 1e-6), 0), min(math.ceil(last - 1e-6), self.length))

    def reduced(self, values: Array, axis: int) -> Floats:
        """Return the means of `values` (of `pixels`) over the lattice's pixels; at the picture's edge it goes on."""
        return self.reduced_part(values, axis, 0)[1]

    def reduced_part(self, values: Array, axis: int, first: int) -> tuple[int, Floats]:
        """Return `reduced` of values that are 0 but for some pixels, where the result is not 0, and where it begins.

        Parameters
        ----------
        values : of these pixels, along one axis
        axis : which one
        first : of these pixels, counted from the first of `pixels`
        """
        if self.pitch == 1:
            return first, np.asarray(values, np.float32)
        values = np.moveaxis(values, axis, 0)
        size, covered = len(values), self.pixels.stop - self.pixels.start
        # from the covered pixels on, so that it does not matter how much of a picture lies before them
        edges = self.origin - self.pixels.start + self.pitch * np.arange(self.start, self.stop + 1)
        index, end = 0, len(edges)
        if size < covered:
            index = max(int(np.searchsorted(edges, first, "right")) - 1, 0)
            end = int(np.searchsorted(edges, first + size)) + 1
        edges = edges[index:end]
        sums = np.zeros((size + 1, *values.shape[1:]))
        np.cumsum(values, axis=0, out=sums[1:])
        whole = np.floor(edges).astype(np.int64).clip(0, covered - 1)
        fraction = (edges - whole).reshape(-1, *(1,) * (values.ndim - 1))
        at = whole - first
        outside = ((at < 0) | (at >= size)).reshape(fraction.shape)
        integral = sums[at.clip(0, size)] + fraction * np.where(outside, 0, values[at.clip(0, size - 1)])
        return index, np.moveaxis((np.diff(integral, axis=0) / self.pitch).astype(np.float32), 0, axis)

    def enlarged(self, values: Floats, axis: int) -> Floats:
        """Return the lattice's values at the centres of `pixels`, by cubic interpolation (Keys, 1981)."""
        if self.pitch == 1:
            return values
        place = (np.arange(self.pixels.start, self.pixels.stop) + 0.5 - self.origin) / self.pitch - self.start - 0.5
        first = np.floor(place).astype(np.int64)
        t = (place - first).astype(np.float32)
        weights = (
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        )
        shape = [1] * values.ndim
        shape[axis] = -1
        result = np.zeros((*values.shape[:axis], len(t), *values.shape[axis + 1 :]), np.float32)
        for k, weight in enumerate(weights):
            index = (first + k - 1).clip(0, values.shape[axis] - 1)
            result += weight.reshape(shape) * values.take(index, axis=axis)
        return result


def on_lattices(
    group: Sequence[Mosaic], shape: tuple[int, ...], largest: float
) -> Iterator[tuple[list[Mosaic], tuple[Axis, Axis]]]:
    """Yield the mosaics of each window of a picture of this shape, with the lattice over it: rows and columns.

    Parameters
    ----------
    group : mosaics that share a lattice, as of `by_pitch`
    shape : of the picture
    largest : as for `pitch`
    """
    down, across = pitch(group[0].grid, largest)
    margin = math.ceil(MARGIN * down), math.ceil(MARGIN * across)
    for window, moved in windows(group, shape, margin):
        inside = [m.moved(window[1].start, window[0].start) for m in moved]
        grid = max(inside, key=lambda m: m.width * m.height).grid
        rows = Axis.over(window[0], shape[0], grid.y, down)
        columns = Axis.over(window[1], shape[1], grid.x, across)
        yield inside, (rows, columns)


def on_lattice(mosaics: Sequence[Mosaic], rows: Axis, columns: Axis, shape: tuple[int, ...]) -> list[Mosaic]:
    """Return mosaics on a lattice, whose pixels that are partly unknown become unknown.

    Parameters
    ----------
    mosaics : in the pixels that the lattice covers
    rows, columns : the lattice
    shape : of the lattice
    """
    # areas far smaller than one pixel of the lattice make it unknown where there is nothing else
    return _on_lattice(mosaics, rows, columns, shape, LEAST_SHARE) or _on_lattice(mosaics, rows, columns, shape, 0.0)


def _on_lattice(
    mosaics: Sequence[Mosaic], rows: Axis, columns: Axis, shape: tuple[int, ...], least: float
) -> list[Mosaic]:
    first_row, first_column = (axis.pixels.start for axis in (rows, columns))
    rest = np.ones(shape[:2], bool)
    parts = []

    def share_of(plane: Bools, m: Mosaic) -> tuple[int, int, Bools]:
        y, share = rows.reduced_part(plane.astype(np.float32), 0, m.y)
        x, share = columns.reduced_part(share, 1, m.x)
        return x, y, share > least

    for m in mosaics:  # each costs what its own box does: there may be thousands
        x, y, mask = share_of(m.area, m)
        there = rest[y : y + mask.shape[0], x : x + mask.shape[1]]
        mask &= there
        if mask.any():
            there &= ~mask
            grid = Grid(
                (m.grid.x + first_column - columns.origin) / columns.pitch - columns.start,
                (m.grid.y + first_row - rows.origin) / rows.pitch - rows.start,
                m.grid.width / columns.pitch,
                m.grid.height / rows.pitch,
            )
            parts.append((mask, grid, there, x, y, None if m.foreign is None else share_of(m.foreign, m)[2]))
    return [  # what is partly of an area and partly foreign is of the area
        Mosaic.from_mask(mask, grid, x=x, y=y, foreign=None if foreign is None else foreign & there)
        for mask, grid, there, x, y, foreign in parts
    ]
