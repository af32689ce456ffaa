"""The refiner: a small U-shape that adds to a restoration the detail that its deviation leaves room for.

    r = network(features, σ, ε·σ)              see `planes`; ε: white noise, the source of variety
    refined = project(restoration + σ · r)     σ: the restorer's predicted standard deviation

So what is refined pixelates to the input as the restoration does, however little the network has learned, and known
pixels (σ = 0) stay. Only the U-shape is in the ONNX file; `deepix.restorer.refine` does the rest in NumPy.

A `Refiner` brings its adversary along, so that both are trained, checkpointed and averaged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepix.restorer.refine_model import INPUT, OUTPUT, PLANES
from deepix.training import operators
from deepix.training.networks.adversary import Adversary
from deepix.training.networks.base import Exported, Network
from deepix.training.networks.restorer import Block, down_and_up, features


class Restored(NamedTuple):
    """A batch of restorations, and what they are of.

    Attributes
    ----------
    picture, deviation : float32 (B, 1, H, W), in units of white: the restoration and the calibrated standard deviation
        of its error, 0 on known pixels
    pixelated : float32, the same shape
    mosaics : of the B pictures
    """

    picture: Tensor
    deviation: Tensor
    pixelated: Tensor
    mosaics: operators.Mosaics


class Generator(nn.Module):
    """Residual blocks with gates at 1/2 and 1/4 of the picture's size; the last layer starts at zero.

    Parameters
    ----------
    widths : channels at each scale
    blocks : at each scale; of all but the last the same number on the way up
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * PLANES, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.bottom = _blocks(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList(
            _blocks(w, n) for w, n in reversed(list(zip(widths[:-1], blocks[:-1], strict=True)))
        )
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, PLANES, H, W) to (B, 1, H, W), in units of the deviation; H and W are multiples of every scale."""
        x = down_and_up(self, self.stem(functional.pixel_unshuffle(x, 2)))
        detail: Tensor = functional.pixel_shuffle(self.head(x), 2)
        return detail


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))


class Refiner(Network):
    """See the module's text.

    Parameters
    ----------
    widths : channels at each scale, from 1/2 of the picture's size, halving
    blocks : residual blocks at each scale
    adversary : channels at each scale of the adversary
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 96),
        blocks: Sequence[int] = (1, 3),
        adversary: Sequence[int] = (32, 64, 96),
    ):
        super().__init__()
        self.stride = 2 ** len(widths)
        self.generator = Generator(widths, blocks)
        self.adversary = Adversary(adversary)

    def refine(self, restored: Restored, noise: Tensor) -> Tensor:
        """Return restorations with detail, float32 (B, 1, H, W), for white noise (B, 1, H, W)."""
        deviation = restored.deviation
        detail = self.generator(planes(restored, noise)).float()
        return operators.project(restored.picture + deviation * detail, restored.pixelated, restored.mosaics)

    def parameter_count(self) -> int:
        """Return how many parameters the generator has."""
        return sum(p.numel() for p in self.generator.parameters())

    def about(self) -> dict[str, Any]:
        """Return `kind` and `stride`, see `deepix.training.stages.refiner.stage`."""
        return {"kind": "refiner", "stride": self.stride}

    def exported(self) -> Exported:
        """Return the generator."""
        side = 3 * self.stride
        batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
        shapes = {"x": {0: batch, 2: self.stride * down, 3: self.stride * across}}
        return Exported(
            self.generator, torch.zeros(2, PLANES, side, side + self.stride), (INPUT,), (OUTPUT,), shapes
        )  # fmt: skip

    def multiply_adds_per_pixel(self) -> int:
        """Return the multiplications and additions of the generator for each pixel of its input."""
        from torchinfo import summary

        side, training = 3 * self.stride, self.training
        statistics = summary(self.generator, input_size=(1, PLANES, side, side), verbose=0, device="cpu")
        self.train(training)
        per_pixel: int = round(statistics.total_mult_adds / side**2)
        return per_pixel


def planes(restored: Restored, noise: Tensor) -> Tensor:
    """Return what the generator sees (B, PLANES, H, W): `deepix.restorer.refine_model.planes` for a batch."""
    mosaics = restored.mosaics
    seen, contrast = features(restored.picture, restored.pixelated, mosaics, mosaics.coordinates())
    spread = restored.deviation / contrast
    return torch.cat([seen, spread, spread * noise], dim=1).contiguous(memory_format=torch.channels_last)
