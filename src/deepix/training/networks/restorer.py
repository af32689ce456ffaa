"""Our restorer: a small U-shape that predicts what the smooth restoration lacks, and ends in `project`.

    z = smooth(y)                              the training-free restoration, which agrees with the input
    r, s = network(features)                   features: see `features`
    restoration = project(z + c · r)           c: the local contrast
    deviation = c · exp(s)                     standard deviation of its error, per pixel

Everything but the network is plain mathematics that `deepix.restorer` does in NumPy. The network is convolutions and
norms over channels only, so that what it says of a pixel depends on the pixel's surroundings and not on how a large
picture is cut into windows (up to shifts by its stride).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepix.restorer.each import WINDOW, WINDOW_MARGIN
from deepix.restorer.features import CONTRAST_FLOOR, CONTRAST_SIGMA
from deepix.restorer.model import INPUT, OUTPUTS, START_STEPS
from deepix.training import operators
from deepix.training.data.samples import Sample
from deepix.training.networks.base import Estimate, Exported, Network
from deepix.training.smooth import blur, filled, smooth

SLOPE = 0.1
"""Below 0, of the leaky ReLUs that gates are compared with."""


class Norm(nn.Module):
    """Layer normalisation over the channels of each pixel."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        return functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.gain, self.bias).permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + conv(a · b), (a, b) = conv(norm(x)): a gate, no other activation; the last convolution starts at zero.

    The gate is that of "Simple Baselines for Image Restoration" (Chen et al., 2022). Units of ReLUs, leaky ones too,
    drift below zero here and stay there: most of an error cannot be predicted, so that gradients are mostly noise.
    a and b have 2/3 of the channels, so that gates cost as much as leaky ReLUs do.
    """

    def __init__(self, width: int, norm: bool = True, gate: bool = True):
        super().__init__()
        inner = 16 * max(round(width / 24), 1) if gate else width
        self.gate = gate
        self.norm = Norm(width) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(width, 2 * inner if gate else inner, 3, padding=1)
        self.conv2 = nn.Conv2d(inner, width, 3, padding=1)
        _zero(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        y = self.conv1(self.norm(x))
        if self.gate:
            a, b = y.chunk(2, dim=1)
            y = a * b
        else:
            y = functional.leaky_relu(y, SLOPE)
        change: Tensor = self.conv2(y)
        return x + change


class Attention(nn.Module):
    """x + self-attention over all positions, the output starting at zero."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = Norm(width)
        self.inputs = nn.Conv2d(width, 3 * width, 1)
        self.output = nn.Conv2d(width, width, 1)
        _zero(self.output)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        b, c, h, w = x.shape
        q, k, v = self.inputs(self.norm(x)).view(b, 3, self.heads, c // self.heads, h * w).mT.unbind(1)
        y = functional.scaled_dot_product_attention(q, k, v)
        change: Tensor = self.output(y.mT.reshape(b, c, h, w))
        return x + change


def _zero(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class UShape(nn.Module):
    """Residual blocks at 1/down, 1/(2 down) … of the picture's size, with skips between the way down and the way up.

    Two heads: the estimate, and the logarithm of its deviation; no gradient of the second reaches what they share.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        attention: bool,
        down: int,
        norm: bool,
        gate: bool,
    ):
        super().__init__()
        self.down = down
        first = widths[0]
        self.stem = nn.Conv2d(inputs * down**2, first, 3, padding=1)
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Block(width, norm, gate) for _ in range(count)))
            for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        bottom: list[nn.Module] = []
        for _ in range(blocks[-1]):
            bottom.append(Block(widths[-1], norm, gate))
            if attention:
                bottom.append(Attention(widths[-1]))
        self.bottom = nn.Sequential(*bottom)
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList(
            nn.Sequential(*(Block(width, norm, gate) for _ in range(count)))
            for width, count in reversed(list(zip(widths[:-1], blocks[:-1], strict=True)))
        )
        self.head = nn.Conv2d(first, down**2, 3, padding=1)
        self.deviation = nn.Sequential(
            nn.Conv2d(first, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, down**2, 3, padding=1)
        )
        _zero(self.head)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, inputs, H, W) to two of (B, 1, H, W); H and W are multiples of every scale."""
        x = down_and_up(self, self.stem(functional.pixel_unshuffle(x, self.down)))
        deviation = self.deviation(x.detach())
        return functional.pixel_shuffle(self.head(x), self.down), functional.pixel_shuffle(deviation, self.down)


def down_and_up(shape: Any, x: Tensor) -> Tensor:
    """Return what a U-shape makes of its stem's (B, C, H, W): the same size, with skips from the way down to that up.

    Parameters
    ----------
    shape : with `encoders` and `downs`, `bottom`, `ups` and `decoders`
    """
    skips = []
    for encoder, down in zip(shape.encoders, shape.downs, strict=True):
        x = encoder(x)
        skips.append(x)
        x = down(x)
    x = shape.bottom(x)
    for up, decoder in zip(shape.ups, shape.decoders, strict=True):
        x = decoder(functional.pixel_shuffle(up(x), 2) + skips.pop())
    return x


class Restorer(Network):
    """See the module's text.

    Parameters
    ----------
    widths : channels at each scale, from 1/`down` of the picture's size, halving
    blocks : residual blocks at each scale (on the way down and again on the way up)
    down : factor of the first scale
    window : side of the window around the unknown pixels, in pixels; a multiple of every scale
    offset : what cells lack on average, see `deepix.training.operators.project`
    rounds : steps of the smooth start, see `deepix.restorer.smooth.smooth_at_one_size`; none: start from the mosaic
    attention, norm, gate, bounded, grid, consistent : for ablations: self-attention after each block at the bottom;
        normalise in the blocks; gates, else leaky ReLUs; tanh as the output's activation, else none; give the network
        the grid; end in `project` or in a plain composite
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 128),
        blocks: Sequence[int] = (2, 2, 2),
        down: int = 2,
        window: int = WINDOW,
        offset: float = operators.TRUNCATED,
        rounds: Sequence[int] = START_STEPS,
        attention: bool = False,
        norm: bool = True,
        gate: bool = True,
        bounded: bool = False,
        grid: bool = True,
        consistent: bool = True,
    ):
        super().__init__()
        self.window, self.offset, self.rounds = window, offset, rounds
        self.bounded, self.grid, self.consistent = bounded, grid, consistent
        self.stride = down * 2 ** (len(widths) - 1)
        if window % self.stride:
            raise ValueError(f"window must be a multiple of {self.stride} for these scales, not {window}")
        self.body = UShape(7 if grid else 3, widths, blocks, attention, down, norm, gate)

    def restore(self, sample: Sample) -> Tensor:
        """Return the restorations, float32 (B, 1, H, W)."""
        return self.estimate(sample).picture

    def estimate(self, sample: Sample) -> Estimate:
        """Return the restorations and the deviations of their errors (0 on known pixels)."""
        pixelated, mosaics = sample.pixelated, sample.mosaics
        place = windows(mosaics.cell, self.window)
        whole = pixelated
        if place is not None:
            pixelated = crop(pixelated, place, self.window)
            foreign = None if mosaics.foreign is None else crop(mosaics.foreign, place, self.window)
            cell = crop(mosaics.cell[:, None], place, self.window)[:, 0]
            mosaics = operators.Mosaics(cell, mosaics.boxes, mosaics.counts, foreign)
        pixelated = filled(pixelated, mosaics)
        z = smooth(pixelated, mosaics, self.offset, self.rounds) if self.rounds else pixelated
        if mosaics.foreign is not None:
            pixelated = torch.where(mosaics.foreign, z, pixelated)
        x, contrast = features(z, pixelated, mosaics, coordinates(mosaics, place) if self.grid else None)
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % self.stride, 0, -height % self.stride))
        change, deviation = (y[..., :height, :width].float() for y in self.body(x))
        z = z + contrast * (change.tanh() if self.bounded else change)
        if self.consistent:
            z = operators.project(z, pixelated, mosaics, self.offset)
        else:
            z = torch.where(mosaics.known, pixelated, z)
        deviation = torch.where(mosaics.unknown, contrast * deviation.clamp(-8, 8).exp(), 0)
        if place is None:
            return Estimate(z, deviation)
        return Estimate(paste(whole, z, place), paste(torch.zeros_like(whole), deviation, place))

    def about(self) -> dict[str, Any]:
        """Return `stride`, `rounds` and `offset`, see `deepix.training.stages.restorer.stage`."""
        if not (self.grid and self.consistent and self.rounds):
            return super().about()
        return {"stride": self.stride, "rounds": list(self.rounds), "offset": self.offset}

    def exported(self) -> Exported:
        """Return the body alone: what is around it is computed without PyTorch."""
        side = 3 * self.stride
        batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
        shapes = {"x": {0: batch, 2: self.stride * down, 3: self.stride * across}}
        return Exported(self.body, torch.zeros(2, 7, side, side + self.stride), (INPUT,), tuple(OUTPUTS), shapes)

    def multiply_adds_per_pixel(self) -> int:
        """Return the multiplications and additions of the body for each pixel of its input, by torchinfo."""
        from torchinfo import summary

        side, training = 3 * self.stride, self.training
        statistics = summary(self.body, input_size=(1, 7, side, side), verbose=0, device="cpu")
        self.train(training)
        per_pixel: int = round(statistics.total_mult_adds / (side * side))
        return per_pixel


def features(z: Tensor, pixelated: Tensor, mosaics: operators.Mosaics, grid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return what the network sees (B, 7, H, W; 3 without a grid), and the local contrast (B, 1, H, W).

    z and the mosaic less the local mean and over the local contrast (mean and standard deviation of the mosaic under a
    Gaussian), 1 where known, and the grid; `deepix.restorer.features` does the same in NumPy.
    """
    with torch.autocast(pixelated.device.type, enabled=False):
        mean = blur(pixelated, CONTRAST_SIGMA)
        contrast = blur((pixelated - mean).square(), CONTRAST_SIGMA).sqrt() + CONTRAST_FLOOR
    planes = [(z - mean) / contrast, (pixelated - mean) / contrast, mosaics.known.to(z.dtype)]
    if grid is not None:
        planes.append(grid)
    return torch.cat(planes, dim=1).contiguous(memory_format=torch.channels_last), contrast


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
        if int((last - first).max()) + 1 + 2 * WINDOW_MARGIN > size:
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


def coordinates(mosaics: operators.Mosaics, place: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return the mosaics' coordinates; the cells of a window keep the boxes they have in the whole picture."""
    if place is not None:
        shift = torch.stack([place[0], place[1], torch.zeros_like(place[0]), torch.zeros_like(place[0])], dim=1)
        mosaics = operators.Mosaics(mosaics.cell, mosaics.boxes - shift[:, None], mosaics.counts)
    return mosaics.coordinates()
