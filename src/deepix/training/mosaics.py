"""Random mosaics and the operators of `deepix.mosaic` as batched tensor operations, on any device.

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
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepix import challenge
from deepix.mosaic import Grid, Mosaic, check
from deepix.runtime import CELL_UNIT

TRIES = 16
"""How often `draw` draws a second, third … mosaic anew until it overlaps no other."""

_RECTANGLE = ("x", "y", "width", "height", "grid x", "grid y", "cell width", "cell height")


@dataclass(frozen=True)
class Ranges:
    """From what mosaics are drawn: uniformly from inclusive ranges; the defaults are the challenge's.

    Attributes
    ----------
    width, height : of the area, in pixels; what is larger than the picture is not drawn
    cell : width of a cell, in pixels; its height too if `square`, else drawn apart
    count : mosaics in a picture; 0 is allowed
    corner : True: the cells start at the area's top left corner; False: anywhere, so that cells are cut at all sides
    shaped : share of the areas that are no rectangles, see `shaped`; `draw` itself draws their bounding boxes

    Raises
    ------
    ValueError : a range is empty or begins below 1 (`count`: below 0), or `shaped` is no share
    """

    width: tuple[int, int] = challenge.AREA
    height: tuple[int, int] = challenge.AREA
    cell: tuple[int, int] = challenge.CELL
    count: tuple[int, int] = (1, 1)
    square: bool = True
    corner: bool = True
    shaped: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("height", 1), ("cell", 1), ("count", 0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"the range of {name} must be {least} ≤ lowest ≤ highest, not {low} … {high}")
        if not 0 <= self.shaped <= 1:
            raise ValueError(f"the share of areas that are no rectangles must be 0 … 1, not {self.shaped}")


CHALLENGE = Ranges()


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
    """

    cell: Tensor
    boxes: Tensor
    counts: Tensor

    @cached_property
    def known(self) -> Tensor:
        """Bool (B, 1, H, W): True outside every mosaic."""
        return self.cell.unsqueeze(1) == 0

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
        the cell as its area's bounding box cuts it, in units of `deepix.runtime.CELL_UNIT` pixels.
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
        return Mosaics(self.cell.to(device), self.boxes.to(device), self.counts.to(device))

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


def draw(
    batch: int,
    height: int,
    width: int,
    ranges: Ranges = CHALLENGE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw random mosaics for a batch of pictures of height x width pixels.

    Each mosaic's width, height and cell are uniform on their ranges, independently; x and y are uniform where it
    fits. A picture's first mosaic has just this distribution; each further one has it under the condition that it
    overlaps none before it. It is drawn up to `TRIES` times and left out if it never fits, so that a picture may
    have fewer mosaics than the number drawn from `count`.

    Parameters
    ----------
    batch : number of pictures
    height, width : of the pictures; upper ends of the ranges of areas are lowered to them
    ranges : from what
    generator : of the random numbers; default: PyTorch's on the CPU

    Returns
    -------
    int64 (batch, M, 8) on the generator's device, M = ranges.count[1]: x, y, width, height of the area; x, y of the
    grid (the first cell's corner); width, height of a cell. All 0 for a mosaic that is not there.

    Raises
    ------
    ValueError : the smallest area is larger than the picture
    """
    if ranges.width[0] > width or ranges.height[0] > height:
        raise ValueError(
            f"areas of at least {ranges.width[0]} x {ranges.height[0]} pixels do not fit "
            f"into pictures of {width} x {height}"
        )
    most = ranges.count[1]
    device = generator.device if generator is not None else torch.device("cpu")
    # a lone mosaic always fits; float64 makes floor(random · n) uniform for all practical purposes
    tries = TRIES if most > 1 else 1
    shape = (8, batch, most, tries)
    random = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

    def uniform(row: int, low: int | Tensor, high: int | Tensor) -> Tensor:
        return (random[row] * (high - low + 1)).floor_().long() + low

    w = uniform(0, ranges.width[0], min(ranges.width[1], width))
    h = uniform(1, ranges.height[0], min(ranges.height[1], height))
    x = uniform(2, 0, width - w)
    y = uniform(3, 0, height - h)
    cell_width = uniform(4, *ranges.cell)
    cell_height = cell_width if ranges.square else uniform(5, *ranges.cell)
    if ranges.corner:
        grid_x, grid_y = x, y
    else:
        grid_x, grid_y = x - uniform(6, 0, cell_width - 1), y - uniform(7, 0, cell_height - 1)
    candidates = torch.stack([x, y, w, h, grid_x, grid_y, cell_width, cell_height], dim=-1)
    low, high = ranges.count
    wanted = torch.randint(low, high + 1, (batch,), generator=generator, device=device)
    result = torch.zeros(batch, most, 8, dtype=torch.int64, device=device)
    for m in range(most):
        fits = ~_overlap(candidates[:, m, :, None], result[:, None, :m]).any(dim=2) & (m < wanted)[:, None]
        first = fits.long().argmax(dim=1)
        chosen = candidates[torch.arange(batch, device=device), m, first]
        result[:, m] = chosen * fits.any(dim=1)[:, None]
    return result


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return whether the rectangles (…, 8) share a pixel; one of width 0 shares none."""
    ax, ay, aw, ah = a[..., :4].unbind(-1)
    bx, by, bw, bh = b[..., :4].unbind(-1)
    return (ax < bx + bw) & (bx < ax + aw) & (ay < by + bh) & (by < ay + ah) & (bw > 0)


def from_rectangles(rectangles: Tensor, height: int, width: int, device: torch.device | str | None = None) -> Mosaics:
    """Return the mosaics that `draw` drew.

    Parameters
    ----------
    rectangles : int64 (B, M, 8) as `draw` returns it; or (B, 5): x, y, width, height and cell size of one mosaic
        each, as the challenge's validation set has them
    height, width : of the pictures
    device : of the result; default: that of the rectangles

    Raises
    ------
    ValueError : wrong shape, a rectangle does not lie in the picture, a grid begins inside its area, an empty cell
    """
    if rectangles.ndim == 2 and rectangles.shape[1] == 5:
        rectangles = rectangles[:, None, [0, 1, 2, 3, 0, 1, 4, 4]]
    if rectangles.ndim != 3 or rectangles.shape[2] != len(_RECTANGLE):
        raise ValueError(f"rectangles must be (B, 5) or (B, M, {len(_RECTANGLE)}), not {tuple(rectangles.shape)}")
    rectangles = rectangles.long()
    ends = rectangles[..., :2] + rectangles[..., 2:4]
    limit = torch.tensor([width, height], device=rectangles.device)
    if bool((rectangles[..., :4] < 0).any() | (ends > limit).any()):
        raise ValueError(f"a rectangle does not lie in the pictures of {width} x {height} pixels")
    if bool((rectangles[..., 4:6] > rectangles[..., :2]).any()):
        raise ValueError("a grid begins right of or below its area's left or top side")
    if bool(((rectangles[..., 6:] < 1) & (rectangles[..., 2:3] > 0)).any()):
        raise ValueError("cells must be at least 1 pixel wide and high")
    # how many columns and rows of cells each mosaic has, and how many cells come before it
    steps = rectangles[..., 6:8].clamp(min=1)
    grid_shape = torch.div(ends - rectangles[..., 4:6] + steps - 1, steps, rounding_mode="floor")
    grid_shape = grid_shape * (rectangles[..., 2:3] > 0)
    numbers = grid_shape.prod(dim=2)
    before = numbers.cumsum(dim=1) - numbers
    n = int(numbers.sum(dim=1).amax()) if numbers.numel() else 0
    columns, rows = (int(k) for k in grid_shape.flatten(0, 1).amax(dim=0)) if n else (0, 0)

    device = rectangles.device if device is None else torch.device(device)
    rectangles, steps, grid_shape, before = (
        t.to(device, non_blocking=True) for t in (rectangles, steps, grid_shape, before)
    )
    batch = len(rectangles)
    cell = None
    boxes = torch.zeros(batch, n + 1, 4, dtype=torch.int64, device=device)
    for m in range(rectangles.shape[1] if n else 0):
        x, y, w, h, grid_x, grid_y, cell_width, cell_height = rectangles[:, m, :, None].unbind(1)
        stride = grid_shape[:, m, :1]
        # a pixel's label is a term of its row plus a term of its column; far below 0 outside
        column = _band(width, x, w, grid_x, cell_width, outside=-2 * n - 2)
        row = _band(height, y, h, grid_y, cell_height, outside=-2 * n - 2)
        first = before[:, m, None] + 1
        row = torch.where(row < 0, row, row * stride + first)
        labels = (row[:, :, None] + column[:, None, :]).clamp_(min=0)
        cell = labels if cell is None else cell.add_(labels)

        x0, across, j = _cut(columns, x, w, grid_x, cell_width)
        y0, down, i = _cut(rows, y, h, grid_y, cell_height)
        there = (down > 0)[:, :, None] & (across > 0)[:, None, :]
        index = torch.where(there, i[:, None] * stride[:, :, None] + j + first[:, :, None], 0)
        parts = (x0[:, None, :], y0[:, :, None], across[:, None, :], down[:, :, None])
        grid = torch.stack([torch.where(there, part, 0) for part in parts], dim=-1).flatten(1, 2)
        boxes.scatter_add_(1, index.flatten(1)[..., None].expand(-1, -1, 4), grid)
    if cell is None:
        cell = torch.zeros(batch, height, width, dtype=torch.int64, device=device)
    return Mosaics(cell, boxes, boxes[..., 2] * boxes[..., 3])


def _band(size: int, start: Tensor, length: Tensor, grid: Tensor, step: Tensor, outside: int) -> Tensor:
    """Return the cell column of pixel columns 0 … size − 1 (or of rows), `outside` where the area is not."""
    pixel = torch.arange(size, device=start.device)
    index = torch.div(pixel - grid, step.clamp(min=1), rounding_mode="floor")
    return torch.where((pixel >= start) & (pixel < start + length), index, outside)


def _cut(count: int, start: Tensor, length: Tensor, grid: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return start and length (≤ 0: not there) of the first `count` cell columns as the area cuts them, and index."""
    index = torch.arange(count, device=start.device)
    begin = torch.maximum(grid + index * step, start)
    end = torch.minimum(grid + (index + 1) * step, start + length)
    return begin, end - begin, index


def random(
    batch: int,
    height: int,
    width: int,
    ranges: Ranges = CHALLENGE,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Mosaics:
    """Return random mosaics for a batch of pictures of height x width pixels; see `draw` for their distribution.

    The same generator state gives the same mosaics on every device, since they are drawn on the generator's.
    """
    rectangles = draw(batch, height, width, ranges, generator)
    mosaics = from_rectangles(rectangles, height, width, device)
    return shaped(mosaics, rectangles, ranges.shaped, generator) if ranges.shaped else mosaics


def shaped(mosaics: Mosaics, rectangles: Tensor, share: float, generator: torch.Generator | None = None) -> Mosaics:
    """Cut a share of the areas to shapes that touch all sides of their bounding boxes: ellipses, rounded, lopsided …

    Each quadrant of an area is one of |x|^p + |y|^p ≤ 1, with a p of its own between 1 (a triangle) and 8 (nearly the
    rectangle), log-uniform.

    Parameters
    ----------
    mosaics : of the rectangles
    rectangles : int64 (B, M, 8), as `draw` returns them
    share : of the areas, chosen at random
    generator : of the random numbers; default: PyTorch's on the CPU
    """
    device = mosaics.cell.device
    draws = torch.rand(5, *rectangles.shape[:2], generator=generator, device=rectangles.device).to(device)
    x, y, w, h = rectangles[..., :4, None].to(device).unbind(2)
    height, width = mosaics.cell.shape[1:]
    # from −1 to 1 in the box
    across = (2 * (torch.arange(width, device=device) - x) + 1) / w.clamp(min=1) - 1
    down = (2 * (torch.arange(height, device=device) - y) + 1) / h.clamp(min=1) - 1
    across, down = across[:, :, None, :], down[..., None]
    power = (8**draws)[..., None, None]
    upper, lower = (torch.where(across < 0, power[k], power[k + 1]) for k in (1, 3))
    p = torch.where(down < 0, upper, lower)
    outside = (across.abs() ** p + down.abs() ** p > 1) & (draws[0] < share)[..., None, None]
    outside &= (across.abs() < 1) & (down.abs() < 1) & (w > 0)[..., None]
    cell = mosaics.cell.masked_fill(outside.any(dim=1), 0)
    counts = torch.zeros_like(mosaics.counts).scatter_add_(1, cell.flatten(1), torch.ones_like(cell).flatten(1))
    counts[:, 0] = 0
    return Mosaics(cell, mosaics.boxes, counts)


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
            across, down = np.bincount(m.cells.column_index), np.bincount(m.cells.row_index)
            y, x = np.meshgrid(m.y + np.cumsum(down) - down, m.x + np.cumsum(across) - across, indexing="ij")
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
    return Mosaics(torch.from_numpy(cell), torch.from_numpy(boxes_array), torch.from_numpy(counts_array))


def to_numpy(rectangles: Tensor) -> list[list[Mosaic]]:
    """Return what `draw` drew as the mosaics of each picture."""
    result = []
    for picture in rectangles.tolist():
        ours = []
        for x, y, width, height, grid_x, grid_y, cell_width, cell_height in picture:
            if width:
                ours.append(Mosaic(x, y, width, height, Grid(grid_x, grid_y, cell_width, cell_height)))
        result.append(ours)
    return result


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


TRUNCATED = 0.5 / 255
"""What truncated cells lack on average: the `offset` of `project` for pictures that `pixelate` truncated."""


class Sample(NamedTuple):
    """What a network learns from: pictures, the same pixelated, and the mosaics; `truth` is None where unknown."""

    truth: Tensor | None
    pixelated: Tensor
    mosaics: Mosaics


def sample(
    truth: Tensor,
    ranges: Ranges = CHALLENGE,
    generator: torch.Generator | None = None,
    truncate: bool = True,
    noise: float = 0.0,
) -> Sample:
    """Pixelate pictures with random mosaics, on the pictures' device.

    Parameters
    ----------
    truth : float (B, C, H, W), values in [0, 1]
    ranges, generator : see `draw`
    truncate : see `pixelate`
    noise : see `disturbed`
    """
    batch, _, height, width = truth.shape
    mosaics = random(batch, height, width, ranges, generator, truth.device)
    pixelated = pixelate(truth, mosaics, truncate)
    if noise:
        pixelated = disturbed(pixelated, mosaics, noise, generator)
    return Sample(truth, pixelated, mosaics)


def disturbed(pixelated: Tensor, mosaics: Mosaics, most: float, generator: torch.Generator | None = None) -> Tensor:
    """Return pixelated pictures as they come out of lossy files, after cells were averaged to estimate their values.

    Known pixels get Gaussian noise of a standard deviation that is drawn for each picture from 0 … `most` levels of
    1/255; the values of cells of n pixels a √n times smaller one.
    """
    batch, channels = pixelated.shape[:2]
    device = generator.device if generator is not None else torch.device("cpu")

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(pixelated)

    deviation = torch.rand(batch, 1, 1, 1, generator=generator, device=device).to(pixelated) * most / 255
    in_cells = normal(batch, channels, mosaics.counts.shape[1]) / mosaics._divisors[:, None].to(pixelated.dtype).sqrt()
    noise = torch.where(mosaics.known, normal(*pixelated.shape), mosaics.spread(in_cells))
    return pixelated + deviation * noise
