"""The refiner's adversary: a small U-shape that says of every pixel of a picture whether it was restored.

    logit = network(luminance)                 above 0 where a pixel looks restored

It sees the composite picture, known and restored pixels together, and no mask: where it is right, a restoration can be
told from a photo. Spectral norms keep its slopes bounded (Miyato et al. 2018); they are multiplied into the
convolutions where it is exported.

References
----------
Schönfeld, Schiele, Khoreva: A U-Net based discriminator for generative adversarial networks. CVPR 2020
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from deepix.restorer.refine_model import MAP_INPUT, MAP_OUTPUT
from deepix.training.networks.base import Exported, Network

SLOPE = 0.2
"""Below 0, of the leaky ReLUs."""
DOWN = 2
"""Factor of the first scale: pixels of the luminance that become channels."""
RANGE = 4.0
"""Of the luminance of 0 … 1, around ½, as the first convolution gets it."""


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0)
    spectral_norm(conv)  # in place
    return conv


class Adversary(Network):
    """See the module's text.

    Parameters
    ----------
    widths : channels at each scale, from 1/2 of the picture's size, halving
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 96)):
        super().__init__()
        self.widths = tuple(widths)
        self.stride = DOWN * 2 ** (len(widths) - 1)
        self.stem = _conv(DOWN**2, widths[0])
        self.downs = nn.ModuleList(_conv(a, b, 2, 2) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(_conv(b, b) for b in widths[1:])
        self.ups = nn.ModuleList(_conv(b, a, 1) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList(_conv(a, a) for a in reversed(widths[:-1]))
        self.head = nn.Conv2d(widths[0], DOWN**2, 1)

    def forward(self, luminance: Tensor) -> Tensor:
        """Map the luminance (B, 1, H, W) of 0 … 1 to logits (B, 1, H, W); H and W are multiples of `stride`."""

        def bent(x: Tensor) -> Tensor:
            return functional.leaky_relu(x, SLOPE)

        x = bent(self.stem(functional.pixel_unshuffle((luminance - 0.5) * RANGE, DOWN)))
        skips = []
        for down, encoder in zip(self.downs, self.encoders, strict=True):
            skips.append(x)
            x = bent(encoder(bent(down(x))))
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = bent(decoder(skips.pop() + functional.interpolate(up(x), scale_factor=2.0, mode="nearest")))
        logits: Tensor = functional.pixel_shuffle(self.head(x), DOWN)
        return logits

    def about(self) -> dict[str, Any]:
        """Return `kind` and `stride`, see `deepix.training.stages.refiner.stage`."""
        return {"kind": "adversary", "stride": self.stride}

    def exported(self) -> Exported:
        """Return the network with its spectral norms multiplied into the convolutions."""
        side = 3 * self.stride
        batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
        shapes = {"luminance": {0: batch, 2: self.stride * down, 3: self.stride * across}}
        return Exported(_plain(self), torch.zeros(2, 1, side, side + self.stride), (MAP_INPUT,), (MAP_OUTPUT,), shapes)

    def multiply_adds_per_pixel(self) -> int:
        """Return the multiplications and additions for each pixel of the picture."""
        from torchinfo import summary

        side = 3 * self.stride
        statistics = summary(_plain(self), input_size=(1, 1, side, side), verbose=0, device="cpu")
        per_pixel: int = round(statistics.total_mult_adds / side**2)
        return per_pixel


def _plain(network: Adversary) -> nn.Module:
    # no deep copy: it would share the classes that parametrizations make, and lose them with the copy's
    result = Adversary(network.widths)
    result.load_state_dict(network.state_dict())
    result.eval()
    for module in list(result.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return result
