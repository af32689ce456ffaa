"""What a network sees in a training step: true pictures, the same pixelated at random, and their mosaics."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepix.training.data.random_mosaics import CHALLENGE, Ranges, random
from deepix.training.operators import Mosaics, pixelate


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
    in_cells = (
        normal(batch, channels, mosaics.counts.shape[1])
        / mosaics.counts.clamp(min=1)[:, None].to(pixelated.dtype).sqrt()
    )
    noise = torch.where(mosaics.known, normal(*pixelated.shape), mosaics.spread(in_cells))
    return pixelated + deviation * noise
