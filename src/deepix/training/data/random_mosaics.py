"""Random mosaics for batches of pictures, drawn as rectangles with their grids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepix import challenge
from deepix.mosaic import Grid, Mosaic
from deepix.training.operators import Mosaics

TRIES = 16
"""How often `draw` draws a second, third … mosaic anew until it overlaps no other."""

_RECTANGLE = ("x", "y", "width", "height", "grid x", "grid y", "cell width", "cell height")


@dataclass(frozen=True)
class Ranges:
    """From what mosaics are drawn: uniformly from inclusive ranges; the defaults are the challenge's.

    Attributes
    ----------
    width, height : of the area, in pixels; what is larger than the picture is not drawn
    cell : width of a cell, in pixels; its height too if it is square, else drawn apart
    count : mosaics in a picture; 0 is allowed
    square : share of the areas whose cells are square
    corner : True: the cells start at the area's top left corner; False: anywhere, so that cells are cut at all sides
    shaped : share of the areas that are no rectangles, see `shaped`; `draw` itself draws their bounding boxes

    Raises
    ------
    ValueError : a range is empty or begins below 1 (`count`: below 0), or `square` or `shaped` is no share
    """

    width: tuple[int, int] = challenge.AREA
    height: tuple[int, int] = challenge.AREA
    cell: tuple[int, int] = challenge.CELL
    count: tuple[int, int] = (1, 1)
    square: float = 1.0
    corner: bool = True
    shaped: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("height", 1), ("cell", 1), ("count", 0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"the range of {name} must be {least} ≤ lowest ≤ highest, not {low} … {high}")
        for name, what in (("square", "areas with square cells"), ("shaped", "areas that are no rectangles")):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"the share of {what} must be 0 … 1, not {share}")


CHALLENGE = Ranges()


def draw(
    batch: int,
    height: int,
    width: int,
    ranges: Ranges = CHALLENGE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw random mosaics for a batch of pictures of height x width pixels.

    Each mosaic's width, height and cell are uniform on their ranges, independently (a cell's height only where it need
    not be square); x and y are uniform where it fits. A picture's first mosaic has just this distribution; each further
    one has it under the condition that it overlaps none before it. It is drawn up to `TRIES` times and left out if it
    never fits, so that a picture may have fewer mosaics than the number drawn from `count`.

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
    shape = (8, batch, most, TRIES if most > 1 else 1)
    candidates = _candidates(
        torch.rand(shape, generator=generator, device=device, dtype=torch.float64), height, width, ranges
    )
    low, high = ranges.count
    wanted = torch.randint(low, high + 1, (batch,), generator=generator, device=device)
    result = torch.zeros(batch, most, 8, dtype=torch.int64, device=device)
    for m in range(most):
        fits = ~_overlap(candidates[:, m, :, None], result[:, None, :m]).any(dim=2) & (m < wanted)[:, None]
        first = fits.long().argmax(dim=1)
        chosen = candidates[torch.arange(batch, device=device), m, first]
        result[:, m] = chosen * fits.any(dim=1)[:, None]
    return result


def _candidates(uniform: Tensor, height: int, width: int, ranges: Ranges) -> Tensor:
    """Return rectangles int64 (…, 8), as `draw` describes them, made of uniform random numbers (8, …)."""

    def whole(row: int, low: int | Tensor, high: int | Tensor) -> Tensor:
        return (uniform[row] * (high - low + 1)).floor_().long() + low

    w = whole(0, ranges.width[0], min(ranges.width[1], width))
    h = whole(1, ranges.height[0], min(ranges.height[1], height))
    x = whole(2, 0, width - w)
    y = whole(3, 0, height - h)
    cell_width = whole(4, *ranges.cell)
    # which share of a height's numbers this one is in, is as random as the height
    square = (uniform[5] * (ranges.cell[1] - ranges.cell[0] + 1)).frac() < ranges.square
    cell_height = torch.where(square, cell_width, whole(5, *ranges.cell))
    if ranges.corner:
        grid_x, grid_y = x, y
    else:
        grid_x, grid_y = x - whole(6, 0, cell_width - 1), y - whole(7, 0, cell_height - 1)
    return torch.stack([x, y, w, h, grid_x, grid_y, cell_width, cell_height], dim=-1)


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
    rectangles = _checked(rectangles, height, width)
    grid_shape, before, n = _numbered(rectangles)
    columns, rows = (int(k) for k in grid_shape.flatten(0, 1).amax(dim=0)) if n else (0, 0)
    device = rectangles.device if device is None else torch.device(device)
    rectangles, grid_shape, before = (t.to(device, non_blocking=True) for t in (rectangles, grid_shape, before))
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


def _checked(rectangles: Tensor, height: int, width: int) -> Tensor:
    """Return rectangles as int64 (B, M, 8); ValueError as `from_rectangles`."""
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
    return rectangles


def _numbered(rectangles: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return how many columns and rows of cells each mosaic has, how many cells come before it, and the most cells."""
    ends = rectangles[..., :2] + rectangles[..., 2:4]
    steps = rectangles[..., 6:8].clamp(min=1)
    grid_shape = torch.div(ends - rectangles[..., 4:6] + steps - 1, steps, rounding_mode="floor")
    grid_shape = grid_shape * (rectangles[..., 2:3] > 0)
    numbers = grid_shape.prod(dim=2)
    before = numbers.cumsum(dim=1) - numbers
    return grid_shape, before, int(numbers.sum(dim=1).amax()) if numbers.numel() else 0


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
