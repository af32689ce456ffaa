"""Our restorer: a small U-shape that predicts what a smooth consistent start lacks, and ends in `project`.

    s = start(y)                              the mosaic blurred twice, each time projected
    z = s + σ · network([s − μ, y − μ] / σ, known, u, v, cell width, cell height)
    restoration = project(z)

μ and σ are the mean and the contrast (standard deviation) of the window, so that a picture's brightness and contrast
need not be learned. Of a picture larger than `window` only a window around its unknown pixels is looked at, when they
all fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepix.training import mosaics as maths
from deepix.training.mosaics import Sample
from deepix.training.networks.base import Network

MARGIN = 4
"""Known pixels at least, where the picture has them, between a window's edge and the unknown ones."""

FLOOR = 0.02
"""Added to the contrast, so that a flat window is not blown up: about 5 levels of 255."""


class Block(nn.Module):
    """x + conv(act(conv(norm(x)))), the last convolution starting at zero."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        y: Tensor = self.conv2(functional.silu(self.conv1(self.norm(x))))
        return x + y


class Attention(nn.Module):
    """x + self-attention over all positions, the output starting at zero."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.inputs = nn.Conv2d(width, 3 * width, 1)
        self.output = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        b, c, h, w = x.shape
        q, k, v = self.inputs(self.norm(x)).view(b, 3, self.heads, c // self.heads, h * w).mT.unbind(1)
        y = functional.scaled_dot_product_attention(q, k, v)
        change: Tensor = self.output(y.mT.reshape(b, c, h, w))
        return x + change


class UShape(nn.Module):
    """Residual blocks at 1/2, 1/4, 1/8 … of the picture's size, with skips between the way down and the way up."""

    def __init__(
        self, inputs: int, outputs: int, widths: Sequence[int], blocks: Sequence[int], attention: bool, down: int
    ):
        super().__init__()
        self.down = down
        first = widths[0]
        self.stem = nn.Conv2d(inputs * down**2, first, 3, padding=1)
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        bottom: list[nn.Module] = []
        for _ in range(blocks[-1]):
            bottom.append(Block(widths[-1]))
            if attention:
                bottom.append(Attention(widths[-1]))
        self.bottom = nn.Sequential(*bottom)
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in reversed(list(zip(widths[:-1], blocks[:-1], strict=True)))
        )
        self.head = nn.Conv2d(first, outputs * down**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W); H and W are multiples of every scale."""
        x = self.stem(functional.pixel_unshuffle(x, self.down))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(functional.pixel_shuffle(up(x), 2) + skips.pop())
        return functional.pixel_shuffle(self.head(x), self.down)


class Restorer(Network):
    """See the module's text.

    Parameters
    ----------
    widths : channels at each scale, from 1/`down` of the picture's size, halving
    blocks : residual blocks at each scale (on the way down and again on the way up)
    attention : self-attention after each block at the bottom
    down : factor of the first scale
    window : side of the window around the unknown pixels, in pixels; a multiple of every scale
    offset : what cells lack on average, see `deepix.training.mosaics.project`
    start, grid, consistent : for ablations: start from the smooth estimate or from the mosaic; give the network the
        grid; end in `project` or in a plain composite
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 128),
        blocks: Sequence[int] = (2, 2, 2),
        attention: bool = True,
        down: int = 2,
        window: int = 48,
        offset: float = maths.TRUNCATED,
        start: bool = True,
        grid: bool = True,
        consistent: bool = True,
    ):
        super().__init__()
        self.window, self.offset, self.start, self.grid, self.consistent = window, offset, start, grid, consistent
        self.body = UShape(7 if grid else 3, 1, widths, blocks, attention, down)

    def restore(self, sample: Sample) -> Tensor:
        """Return the restorations, float32 (B, 1, H, W)."""
        pixelated, mosaics = sample.pixelated, sample.mosaics
        place = windows(mosaics.cell, self.window)
        whole = pixelated
        if place is not None:
            pixelated = crop(pixelated, place, self.window)
            mosaics = maths.Mosaics(
                crop(mosaics.cell[:, None], place, self.window)[:, 0], mosaics.boxes, mosaics.counts
            )
        z = smooth_start(pixelated, mosaics, self.offset) if self.start else pixelated
        mean = pixelated.mean(dim=(1, 2, 3), keepdim=True)
        contrast = pixelated.std(dim=(1, 2, 3), keepdim=True) + FLOOR
        features = [(z - mean) / contrast, (pixelated - mean) / contrast, mosaics.known.to(z.dtype)]
        if self.grid:
            features.append(coordinates(mosaics, place, self.window))
        x = torch.cat(features, dim=1).contiguous(memory_format=torch.channels_last)
        z = z + self.body(x).float() * contrast
        if self.consistent:
            z = maths.project(z, pixelated, mosaics, self.offset)
        else:
            z = torch.where(mosaics.known, pixelated, z)
        return z if place is None else paste(whole, z, place)


def windows(cell: Tensor, size: int) -> tuple[Tensor, Tensor] | None:
    """Return (x, y), int64 (B,): each window's corner; None if some picture's unknown pixels do not fit."""
    height, width = cell.shape[1:]
    if height <= size and width <= size:
        return None
    unknown = cell > 0
    corner = []
    for dim, length in ((1, width), (2, height)):
        there = unknown.any(dim=dim).to(torch.int64)
        first = there.argmax(dim=1)
        last = length - 1 - there.flip(1).argmax(dim=1)
        if int((last - first).max()) + 1 + 2 * MARGIN > size:
            return None
        corner.append(((first + last + 1 - size) // 2).clamp(0, max(length - size, 0)))
    return corner[0], corner[1]


def _rows_and_columns(place: tuple[Tensor, Tensor], size: int) -> tuple[Tensor, Tensor]:
    steps = torch.arange(size, device=place[0].device)
    return place[1][:, None] + steps, place[0][:, None] + steps


def crop(x: Tensor, place: tuple[Tensor, Tensor], size: int) -> Tensor:
    """Return the windows (B, C, size, size) of x (B, C, H, W)."""
    rows, columns = _rows_and_columns(place, size)
    b, c, _, w = x.shape
    index = (rows[:, :, None] * w + columns[:, None, :]).view(b, 1, -1).expand(-1, c, -1)
    return x.flatten(2).gather(2, index).view(b, c, size, size)


def paste(x: Tensor, window: Tensor, place: tuple[Tensor, Tensor]) -> Tensor:
    """Return x with the windows in their places."""
    size = window.shape[-1]
    rows, columns = _rows_and_columns(place, size)
    b, c, _, w = x.shape
    index = (rows[:, :, None] * w + columns[:, None, :]).view(b, 1, -1).expand(-1, c, -1)
    return x.flatten(2).scatter(2, index, window.flatten(2)).view_as(x)


def coordinates(mosaics: maths.Mosaics, place: tuple[Tensor, Tensor] | None, size: int) -> Tensor:
    """Return the mosaics' coordinates; the cells of a window keep the boxes they have in the whole picture."""
    if place is not None:
        shift = torch.stack([place[0], place[1], torch.zeros_like(place[0]), torch.zeros_like(place[0])], dim=1)
        mosaics = maths.Mosaics(mosaics.cell, mosaics.boxes - shift[:, None], mosaics.counts)
    return mosaics.coordinates()


def smooth_start(pixelated: Tensor, mosaics: maths.Mosaics, offset: float) -> Tensor:
    """Return a smooth picture that agrees with the input: blurred and projected, coarse then fine."""
    z = pixelated
    for deviation in (3.0, 1.5):
        z = maths.project(blur(z, deviation), pixelated, mosaics, offset)
    return z


@cache
def _gaussian(deviation: float) -> Tensor:
    radius = round(2.5 * deviation)
    kernel = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * deviation**2))
    return kernel / kernel.sum()


def blur(x: Tensor, deviation: float) -> Tensor:
    """Return x (B, C, H, W) convolved with a Gaussian of this standard deviation in pixels, edges repeated."""
    kernel = _gaussian(deviation).to(x)
    radius = len(kernel) // 2
    channels = x.shape[1]
    x = functional.pad(x, (radius, radius, radius, radius), mode="replicate")
    x = functional.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
