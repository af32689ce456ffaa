"""The parts of a picture that a network restores: windows of mosaics on a lattice, cut into tiles, run in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepix import threads
from deepix.mosaic import Array, Mosaic, foreign_pixels, project, unknown
from deepix.mosaic.boxes import Box, grown, tiles, within
from deepix.mosaic.windows import crop
from deepix.restorer.colour import from_planes, restore_colours, to_planes
from deepix.restorer.features import CONTRAST_SUPPORT, features
from deepix.restorer.lattice import Axis, on_lattice
from deepix.restorer.model import Restorer
from deepix.restorer.smooth import in_tiles, smooth_at_one_size

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

TILE, HALO = 512, 48
"""About the side (pixels) of the network's tiles, and by how much each sees more than it restores."""
REDUCED = 1.1
"""By what errors are larger than predicted where a picture is looked at through larger pixels: what is lost on the way
counts, too. Shares within 1 and 2 deviations as in smaller cells ask for 1.16 of cells of 17 to 48 pixels in
`benchmarks/photos.py`, and for 1.04 of those of up to 24 in `benchmarks/perceptual.py`."""
BATCH_PIXELS = 1 << 18
"""Pixels that the network is given at a time, at least a tile: bounds memory."""


def paste(picture: Floats, values: Array, mask: Bools) -> None:
    """Put values, of the picture's shape, into a picture (H, W[, C]) where the mask (H, W) is True."""
    np.copyto(picture, values, "same_kind", mask.reshape(*mask.shape, *(1,) * (picture.ndim - 2)))


@dataclass(eq=False)
class Part:
    """Mosaics that are restored together, on a lattice over their window.

    Attributes
    ----------
    mosaics : in the coordinates of the box
    box : the picture's pixels that the lattice covers
    rows, columns : the lattice
    on_lattice : the mosaics on it: `mosaics`, and what else it shows of those with the same lattice
    planes : float32 (h, w, C), in units of white: see `deepix.restorer.colour`; unknown pixels have their cells' values
    start : float32 (h, w, K): the first K planes, restored without training
    residual, deviation : float32 (h, w, K): what is to be added to `start`, and the predicted standard deviation
    stride : the network's; its tiles begin at multiples of it
    """

    mosaics: list[Mosaic]
    box: Box
    rows: Axis
    columns: Axis
    on_lattice: list[Mosaic]
    planes: Floats
    start: Floats
    residual: Floats
    deviation: Floats
    stride: int

    @classmethod
    def of(
        cls,
        mosaics: Sequence[Mosaic],
        shown: Sequence[Mosaic],
        axes: tuple[Axis, Axis],
        painted: Floats,
        others: Floats,
        white: float,
        restorer: Restorer,
    ) -> Part:
        """Return a part that is ready for the network.

        Parameters
        ----------
        mosaics : in the picture
        shown : `mosaics`, and further ones with the same lattice, which the part may show
        axes : the lattice: rows and columns
        painted : float32 (H, W[, C]), the picture, with the cells' values in every mosaic
        others : float32, its shape: the same, but other mosaics that a window may show are restored without training
        white : value of white
        restorer : the network
        """
        rows, columns = axes
        box = rows.pixels, columns.pixels
        inside = crop(shown, box)
        there = unknown(inside, (box[0].stop - box[0].start, box[1].stop - box[1].start))
        view = others[box].copy()
        paste(view, painted[box], there)
        planes = to_planes(view.reshape(*view.shape[:2], -1) / np.float32(white))
        if (rows.pitch, columns.pitch) != (1.0, 1.0):
            planes = _each_plane(lambda plane: columns.reduced(rows.reduced(plane, 0), 1), planes)
            inside = on_lattice(inside, rows, columns, planes.shape)
            for m in inside:
                planes[m.box][m.area] = m.cells.spread(m.cells.mean(planes[m.box]))[m.area]
        count = 1 if planes.shape[2] == 3 else planes.shape[2]

        def solve(start: Floats, mosaics: Sequence[Mosaic]) -> Floats:
            if min(start.shape[:2]) < 2:  # a line of pixels has no corners
                return start
            return smooth_at_one_size(start, mosaics, restorer.start_steps)

        z = np.concatenate([in_tiles(solve, planes[..., k : k + 1], inside) for k in range(count)], axis=2)
        foreign = foreign_pixels(inside, planes.shape)
        planes[..., :count][foreign] = z[foreign]
        moved = [m.moved(-box[1].start, -box[0].start) for m in mosaics]
        return cls(moved, box, *axes, inside, planes, z, np.zeros_like(z), np.zeros_like(z), restorer.stride)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the box."""
        return self.box[0].stop - self.box[0].start, self.box[1].stop - self.box[1].start

    def jobs(self, offset: float) -> Iterator[Job]:
        """Yield what the network has to do; `offset` is what the cells' values were raised by, in units of white."""
        size = self.start.shape[:2]
        free = unknown(self.on_lattice, size)
        for k in range(self.start.shape[2]):
            seen = np.where(free, self.planes[..., k] - np.float32(offset), self.planes[..., k])
            for core, tile, inside in tiles(size, TILE, HALO, self.stride):
                if free[core].any():
                    outer = grown(tile, CONTRAST_SUPPORT, size)
                    planes, contrast = features(self.start[*outer, k], seen[outer], crop(self.on_lattice, outer))
                    cut = within(tile, outer)
                    yield Job(planes[:, *cut], self, (*core, k), inside, contrast[cut][inside])

    def restored(self, white: float) -> tuple[Floats, Floats]:
        """Return the picture's channels (H, W, C) and predicted standard deviations (H, W) in the box."""
        planes = self.planes.copy()
        count = self.start.shape[2]
        planes[..., :count] = project(self.start + self.residual, self.planes[..., :count], self.on_lattice)
        if planes.shape[2] > count:
            planes = in_tiles(restore_colours, planes, self.on_lattice)
        planes = _each_plane(self._enlarged, planes)
        deviation = self._enlarged(self.deviation.mean(axis=2)).clip(0)
        if (self.rows.pitch, self.columns.pitch) != (1.0, 1.0):
            deviation = deviation * np.float32(REDUCED)
        return from_planes(planes) * np.float32(white), deviation * np.float32(white)

    def _enlarged(self, plane: Floats) -> Floats:
        return self.columns.enlarged(self.rows.enlarged(plane, 0), 1)


@dataclass(frozen=True, eq=False)
class Job:
    """Planes (7, h, w) for the network; of its answer `inside` belongs into the part's `core`, times the contrast."""

    planes: Floats
    part: Part
    core: tuple[slice, slice, int]
    inside: Box
    contrast: Floats


def _each_plane(work: Callable[[Floats], Floats], planes: Floats) -> Floats:
    """Return `work` of each channel of (H, W, C), done side by side."""
    with threads.pool(planes.shape[2]) as pool:
        return np.stack(list(pool.map(work, np.moveaxis(planes, 2, 0))), axis=2)


def run(restorer: Restorer, jobs: Iterator[Job]) -> None:
    """Do the jobs, those of equal size together."""
    waiting: dict[tuple[int, ...], list[Job]] = {}

    def done(group: list[Job]) -> None:
        for job, residual, deviation in zip(group, *restorer(np.stack([job.planes for job in group])), strict=True):
            job.part.residual[job.core] = residual[job.inside] * job.contrast
            job.part.deviation[job.core] = deviation[job.inside] * job.contrast
        group.clear()

    for job in jobs:
        group = waiting.setdefault(job.planes.shape, [])
        group.append(job)
        if (len(group) + 1) * job.planes[0].size > BATCH_PIXELS:
            done(group)
    for group in waiting.values():
        if group:
            done(group)
