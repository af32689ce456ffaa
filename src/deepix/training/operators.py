"""Mosaics of a batch of pictures, and the operators of `deepix.mosaic` as tensor operations on any device.

For a batch of pictures x, each with cells C_1 … C_n of its own,

    (A x)_k = mean of x over C_k            `Mosaics.mean`, a scatter
    A† y    = y_k in every pixel of C_k     `Mosaics.spread`, a gather
    pixelate(x) = A†A x,  project(z) = z + A†(y − A z)   on unknown pixels, the picture itself on known ones

Pictures are floats (B, C, H, W), x to the right and y down, values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from deepix.mosaic import Mosaic, check, foreign_pixels
from deepix.restorer.features import CELL_UNIT

TRUNCATED = 0.5 / 255
"""What truncated cells lack on average: the `offset` of `project` for pictures that `pixelate` truncated."""


@dataclass(frozen=True, eq=False)
class Mosaics:
    """The mosaics of a batch of B pictures: which cell each pixel belongs to.

    Attributes
    ----------
    cell : int64 (B, H, W): 0 = known pixel, 1 … n = the pixel's cell, counted through a picture's mosaics in their
        order and row by row within each (as `Mosaic.labels`, plus 1, plus the cells of earlier mosaics)
    boxes : int64 (B, n + 1, 4): each cell's x, y, width, height as cut at the sides of its area's bounding box;
        zeros for entry 0 and for cells that the picture does not have
    counts : int64 (B, n + 1): each cell's number of pixels; 0 as above
    foreign : bool (B, 1, H, W): True where something was drawn over or beside mosaics, see `deepix.mosaic.Mosaic`: such
        pixels are in no cell; None: there are none
    """

    cell: Tensor
    boxes: Tensor
    counts: Tensor
    foreign: Tensor | None = None

    @cached_property
    def known(self) -> Tensor:
        """Bool (B, 1, H, W): True outside every mosaic, where nothing is foreign."""
        outside = self.cell.unsqueeze(1) == 0
        return outside if self.foreign is None else outside & ~self.foreign

    @cached_property
    def unknown(self) -> Tensor:
        """Bool (B, 1, H, W): True inside the mosaics."""
        return self.cell.unsqueeze(1) > 0

    def drawn_over(self, foreign: Tensor) -> Mosaics:
        """Return the mosaics less what something was drawn over, bool (B, 1, H, W)."""
        cell = self.cell.masked_fill(foreign[:, 0], 0)
        counts = torch.zeros_like(self.counts).scatter_add_(1, cell.flatten(1), torch.ones_like(cell).flatten(1))
        counts[:, 0] = 0
        return Mosaics(cell, self.boxes, counts, foreign)

    def mean(self, x: Tensor) -> Tensor:
        """Return A x of x (B, C, H, W): each cell's mean (B, C, n + 1); 0 in entry 0 and for cells without pixels.

        Computed in the type of x, or in float32 if that is a shorter float.
        """
        x = x.float() if x.element_size() < 4 else x
        return self._sum(x) / self._divisors[:, None].to(x.dtype)

    def spread(self, values: Tensor) -> Tensor:
        """Return A† y of values (B, C, n + 1): each pixel has its cell's value (B, C, H, W), known ones entry 0."""
        channels = values.shape[1]
        return values.gather(2, self._index(channels)).view(-1, channels, *self.cell.shape[1:])

    def coordinates(self) -> Tensor:
        """Return float32 (B, 4, H, W): u, v, cell width and height; 0 on known pixels.

        u and v are where a pixel lies in its cell, from −1 to 1, as `Mosaic.coordinates`. Width and height are those of
        the cell as its area's bounding box cuts it, in units of `deepix.restorer.features.CELL_UNIT` pixels.
        """
        height, width = self.cell.shape[1:]
        boxes = self.boxes.float()
        start, size = boxes[..., :2], boxes[..., 2:]
        # (2·(pixel − start) + 1) / size − 1 as (2·pixel − middle) / size, which a quotient of 0 makes 0
        middle = 2 * start + size - 1
        quotient = torch.where(size > 0, 1 / size, 0)
        tables = torch.cat([middle, quotient, size / CELL_UNIT], dim=2).mT.contiguous()
        pixels = self.spread(tables)
        twice_x = 2 * torch.arange(width, device=self.cell.device)
        twice_y = 2 * torch.arange(height, device=self.cell.device)
        pixels[:, 2].mul_(twice_x - pixels[:, 0])
        pixels[:, 3].mul_(twice_y[:, None] - pixels[:, 1])
        return pixels[:, 2:]

    def to(self, device: torch.device | str) -> Mosaics:
        """Return the mosaics on another device."""
        foreign = None if self.foreign is None else self.foreign.to(device)
        return Mosaics(self.cell.to(device), self.boxes.to(device), self.counts.to(device), foreign)

    def _index(self, channels: int) -> Tensor:
        return self.cell.flatten(1).unsqueeze(1).expand(-1, channels, -1)

    def _sum(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        zeros = x.new_zeros(x.shape[0], channels, self.counts.shape[1])
        return zeros.scatter_add(2, self._index(channels), x.flatten(2)) * self._present

    @cached_property
    def _present(self) -> Tensor:
        return (self.counts > 0).unsqueeze(1)

    @cached_property
    def _divisors(self) -> Tensor:
        return self.counts.clamp(min=1)


def from_numpy(mosaics: Sequence[Sequence[Mosaic]], height: int, width: int) -> Mosaics:
    """Return the mosaics of a batch of pictures, with exactly their cells; masks and fractional grids included.

    Parameters
    ----------
    mosaics : those of each picture
    height, width : of the pictures

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two of a picture overlap
    """
    cell = np.zeros((len(mosaics), height, width), np.int64)
    all_boxes: list[np.ndarray] = []
    all_counts: list[np.ndarray] = []
    for picture, ours in zip(cell, mosaics, strict=True):
        check(ours, (height, width))
        boxes, counts, before = [np.zeros((1, 4), np.int64)], [np.zeros(1, np.int64)], 1
        for m in ours:
            picture[m.box][m.area] = m.labels()[m.area] + before
            (left, across), (top, down) = (
                _lengths(index, sizes)
                for index, sizes in zip((m.cells.column_index, m.cells.row_index), m.cell_sizes(), strict=True)
            )
            y, x = np.meshgrid(
                m.y + top + np.cumsum(down) - down, m.x + left + np.cumsum(across) - across, indexing="ij"
            )
            h, w = np.meshgrid(down, across, indexing="ij")
            boxes.append(np.stack([x, y, w, h], axis=-1).reshape(-1, 4))
            counts.append(m.cells.counts.ravel())
            before += counts[-1].size
        all_boxes.append(np.concatenate(boxes))
        all_counts.append(np.concatenate(counts))
    entries = max((len(counts) for counts in all_counts), default=1)
    boxes_array = np.zeros((len(mosaics), entries, 4), np.int64)
    counts_array = np.zeros((len(mosaics), entries), np.int64)
    for b, (box, count) in enumerate(zip(all_boxes, all_counts, strict=True)):
        boxes_array[b, : len(box)] = box
        counts_array[b, : len(count)] = count
    foreign = None
    if any(m.foreign is not None for ours in mosaics for m in ours):
        foreign = torch.from_numpy(np.stack([foreign_pixels(ours, (height, width)) for ours in mosaics]))[:, None]
    return Mosaics(torch.from_numpy(cell), torch.from_numpy(boxes_array), torch.from_numpy(counts_array), foreign)


def _lengths(index: np.ndarray, sizes: np.ndarray) -> tuple[int, np.ndarray]:
    """Return where the area begins in the box, along one axis, and how much of each cell is in the area's extent."""
    covered = sizes > 0
    return int(covered.argmax()), np.bincount(index[covered], minlength=int(index[-1]) + 1)


def pixelate(x: Tensor, mosaics: Mosaics, truncate: bool = True) -> Tensor:
    """Replace every cell by its mean.

    Parameters
    ----------
    x : float (B, C, H, W), values in [0, 1]
    mosaics : of the B pictures, on the same device
    truncate : True: as the challenge pixelates pictures of integers: x counts as levels of 1/255 (it is rounded to them
        inside the mosaics), a cell's mean is cut off to one, and no gradient passes through cells; exactly what
        `deepix.mosaic.pixelate` gives for the integers. False: the mean itself, differentiable

    Returns
    -------
    Tensor like x
    """
    if not truncate:
        return torch.where(mosaics.known, x, mosaics.spread(mosaics.mean(x)).to(x.dtype))
    sums = mosaics._sum((x.detach() * 255).round_().long())
    levels = torch.div(sums, mosaics._divisors[:, None], rounding_mode="floor")
    return torch.where(mosaics.known, x, mosaics.spread(levels.to(x.dtype) / 255))


def project(z: Tensor, pixelated: Tensor, mosaics: Mosaics, offset: float = 0.0) -> Tensor:
    """Move an estimate to the nearest picture that agrees with the input; differentiable in z.

    z + A†(y + offset − A z) on unknown pixels, the input on known ones. It never increases the squared error to a truth
    whose cells have the means y + offset. It may leave [0, 1].

    Parameters
    ----------
    z : float (B, C, H, W)
    pixelated : the same shape; the input, values in [0, 1]
    mosaics : of the B pictures, on the same device
    offset : added to the input's cells; `TRUNCATED` (half a level) where means were cut off to levels of 1/255

    Returns
    -------
    Tensor like z, in float32 if z is a shorter float
    """
    z = z.float() if z.element_size() < 4 else z
    shift = mosaics.mean(pixelated - z) + offset
    return torch.where(mosaics.known, pixelated, z + mosaics.spread(shift))
