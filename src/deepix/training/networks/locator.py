"""The locator: a small U-shape that says for each 4x4 pixels whether they lie in a mosaic, and how large its cells are.

    f = log(1 + |conv(luminance)|)             filters of 4x4 pixels without a mean, at half the picture's size
    maps = U-shape(f)                          at 1/4, 1/8, 1/16, 1/32 of it

The filters see every step between neighbouring pixels: that tiles are flat and their edges lie on a grid is told by the
finest of details. The logarithm makes a step of one level count beside one of a hundred. Everything is convolutions and
norms that become part of them, so that what it says of a place depends on the place's surroundings alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deepix.finder.locator import INPUT, OUTPUT
from deepix.training.networks.base import Exported, Network
from deepix.training.networks.restorer import SLOPE

MAPS = 4
"""Outputs: logits of 'pixelated' and of 'border', base-2 logarithms of the cell's width and height in pixels."""
USUAL = 3.5
"""Base-2 logarithm of a usual cell: where the outputs for width and height begin."""


class Conv(nn.Sequential):
    """A convolution, batch normalisation and leaky ReLU; the sides are divided by the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
        )


class Block(nn.Module):
    """x + norm(conv(leaky relu(norm(conv(x))))), the last norm's gain starting at zero."""

    def __init__(self, width: int):
        super().__init__()
        self.first = Conv(width, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        change: Tensor = self.norm(self.conv(self.first(x)))
        return x + change


class Filters(nn.Module):
    """log(1 + |filters of the luminance|), at half its size; brightness does not matter."""

    def __init__(self, number: int):
        super().__init__()
        kernels = torch.randn(number, 1, 4, 4) * 0.2
        # before random ones: the steps between the four middle pixels and those to their neighbours
        steps = [(y, x, y, x + 1) for y in (1, 2) for x in (0, 1, 2)] + [
            (y, x, y + 1, x) for x in (1, 2) for y in (0, 1, 2)
        ]
        for kernel, (y0, x0, y1, x1) in zip(kernels[:, 0], steps, strict=False):
            kernel.zero_()
            kernel[y0, x0], kernel[y1, x1] = 1, -1
        self.kernels = nn.Parameter(kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1, H, W) in levels to (B, number, H/2, W/2)."""
        kernels = self.kernels - self.kernels.mean(dim=(2, 3), keepdim=True)
        steps = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, stride=2)
        return (1 + steps.abs()).log()


class Locator(Network):
    """See the module's text.

    Parameters
    ----------
    filters : of the picture itself
    widths : channels at each scale, from 1/4 of the picture's size, halving
    blocks : residual blocks at each scale on the way down and at the bottom; on the way up one (none at 1/4)
    """

    def __init__(
        self,
        filters: int = 16,
        widths: Sequence[int] = (32, 48, 64, 96),
        blocks: Sequence[int] = (0, 1, 2, 2),
    ):
        super().__init__()
        self.stride = 2 * 2 * 2 ** (len(widths) - 1)  # of the filters, of the stem, of the scales
        self.filters = Filters(filters)
        self.stem = Conv(filters, widths[0], stride=2)
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count))) for width, count in zip(widths, blocks, strict=True)
        )
        self.downs = nn.ModuleList(Conv(a, b, 2, 2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList([*(Block(width) for width in widths[-2:0:-1]), Conv(widths[0], widths[0])])
        self.head = nn.Conv2d(widths[0], MAPS, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        self.head.bias = nn.Parameter(torch.tensor([-2.0, -3.0, USUAL, USUAL]))

    def forward(self, luminance: Tensor) -> Tensor:
        """Map the luminance (B, 1, H, W), in levels of 0 … 255, to (B, 4, H/4, W/4), see `MAPS`.

        H and W are multiples of `stride`.
        """
        with torch.autocast(luminance.device.type, enabled=False):  # levels have more bits than bfloat16
            x = self.filters(luminance.float())
        x = self.encoders[0](self.stem(x))
        skips = [x]
        for down, encoder in zip(self.downs, self.encoders[1:], strict=True):
            x = encoder(down(x))
            skips.append(x)
        skips.pop()
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(skips.pop() + functional.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        maps: Tensor = self.head(x).float()
        return maps

    def about(self) -> dict[str, Any]:
        """Return `kind` and `stride`, see `deepix.training.stages.locator.stage`."""
        return {"kind": "locator", "stride": self.stride}

    def exported(self) -> Exported:
        """Return the network with its batch norms multiplied into the convolutions before them."""
        side = 3 * self.stride
        batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
        shapes = {"luminance": {0: batch, 2: self.stride * down, 3: self.stride * across}}
        example = torch.zeros(2, 1, side, side + self.stride)
        return Exported(_fused(self), example, (INPUT,), (OUTPUT,), shapes)

    def multiply_adds_per_pixel(self) -> int:
        """Return the multiplications and additions of the convolutions for each pixel of the picture."""
        side = 8 * self.stride
        counted = [self.filters.kernels.numel() * (side // 2) ** 2]

        def count(module: nn.Module, _: Any, output: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            counted.append(module.weight.numel() * output.shape[2] * output.shape[3])

        hooks = [m.register_forward_hook(count) for m in self.modules() if isinstance(m, nn.Conv2d)]
        try:
            with torch.inference_mode():
                self(torch.zeros(1, 1, side, side))
        finally:
            for hook in hooks:
                hook.remove()
        per_pixel: int = round(sum(counted) / side**2)
        return per_pixel


def _fused(network: Locator) -> nn.Module:
    result: Any = copy.deepcopy(network).eval()
    for module in result.modules():
        part: Any = module
        if isinstance(module, Conv):
            part[0], part[1] = fuse_conv_bn_eval(part[0], part[1]), nn.Identity()
        elif isinstance(module, Block):
            part.conv, part.norm = fuse_conv_bn_eval(part.conv, part.norm), nn.Identity()
    fused: nn.Module = result
    return fused
