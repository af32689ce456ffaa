"""What refiners learn: to come near the truth's features, statistics and steps, and to deceive the adversary.

All are means over the unknown pixels, in ratios that do not depend on how hard an example is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from deepix.training.imagenet import FEATURES, of_luminance, unit
from deepix.training.networks.refiner import Restored
from deepix.training.stages.refiner.settings import RefinerSettings

LAST = 5
"""Block of the ImageNet network up to which features are computed."""
LEVEL = 1 / 255
SCALES = 3
"""Sizes, each half of the one before, at which steps between pixels are compared."""
WINDOW = 9
"""Side of the windows in which steps are averaged, in pixels of their scale."""


class Parts(NamedTuple):
    """The losses of the generator, without their weights."""

    features: Tensor
    texture: Tensor
    steps: Tensor
    fidelity: Tensor
    shift: Tensor
    spread: Tensor


def generator_losses(one: Tensor, other: Tensor, restored: Restored, truth: Tensor, settings: RefinerSettings) -> Parts:
    """Return the losses of two variants of each picture.

    Parameters
    ----------
    one, other : float32 (B, 1, H, W), in units of white: refined with different noise
    restored : what was refined
    truth : float32 (B, 1, H, W)
    settings : whose `shift` and `spread` are the bounds
    """
    free = (~restored.mosaics.known).to(truth)
    error = mean((restored.picture - truth).square(), free).clamp(min=LEVEL**2)
    with torch.no_grad():
        wanted = of_luminance(truth, LAST)
    shown = of_luminance(one, LAST)
    moved = sum((mean((z - restored.picture).square(), free) for z in (one, other)), torch.zeros(())) / 2
    apart = mean((one - other).square(), free) / mean(restored.deviation.square(), free).clamp(min=LEVEL**2)
    return Parts(
        sum((distance(shown[n], wanted[n], free) for n in FEATURES), torch.zeros(())) / len(FEATURES),
        sum((statistics(shown[n], wanted[n], free) for n in FEATURES), torch.zeros(())) / len(FEATURES),
        steps(one, truth, free),
        mean(((one + other) / 2 - truth).abs(), free) / mean((restored.picture - truth).abs(), free).clamp(min=LEVEL),
        (moved / error / max(settings.shift, 1e-6) - 1).clamp(min=0),
        (1 - (apart + 1e-8).sqrt() / max(settings.spread, 1e-6)).clamp(min=0),
    )


def total(parts: Parts, settings: RefinerSettings) -> Tensor:
    """Return the losses' weighted sum, without the adversary's."""
    return (
        settings.features * parts.features
        + settings.texture * parts.texture
        + settings.steps_energy * parts.steps
        + settings.fidelity * parts.fidelity
        + parts.shift
        + parts.spread
    )


def mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of (B, C, H, W) over the pixels (B, 1, H, W), weighted; 0 if that is nowhere."""
    return (values * where).sum() / (where.sum() * values.shape[1]).clamp(min=1e-6)


def share(free: Tensor, like: Tensor) -> Tensor:
    """Return which share of each feature's place is unknown: (B, 1, h, w)."""
    return functional.adaptive_avg_pool2d(free, (like.shape[-2], like.shape[-1]))


def distance(a: Tensor, b: Tensor, free: Tensor) -> Tensor:
    """Return the mean squared difference of two pictures' features, each over its norm over the channels."""
    return mean((unit(a) - unit(b)).square().sum(dim=1, keepdim=True), share(free, a))


def statistics(a: Tensor, b: Tensor, free: Tensor) -> Tensor:
    """Return how far means and deviations of features over each area differ, over the truth's deviations."""
    weight = share(free, a)
    weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    of_a, of_b = (
        torch.stack([m, ((x.square() * weight).sum(dim=(2, 3)) - m.square()).clamp(min=1e-6).sqrt()])
        for x in (a, b)
        for m in [(x * weight).sum(dim=(2, 3))]
    )
    scale = of_b.std(dim=1, correction=0, keepdim=True) + 0.05
    return ((of_a - of_b).abs() / scale).mean()


def steps(a: Tensor, b: Tensor, free: Tensor) -> Tensor:
    """Return how far the local means of steps between pixels differ in the logarithm, at several sizes."""
    result = torch.zeros((), device=a.device)
    for scale in range(SCALES):
        if scale:
            a, b, free = (functional.avg_pool2d(x, 2) for x in (a, b, free))
        for axis in (2, 3):
            one, two = (functional.avg_pool2d(_step(x, axis), WINDOW, 1, WINDOW // 2) for x in (a, b))
            difference = ((one + LEVEL).log() - (two + LEVEL).log()).abs()
            result = result + mean(difference, free.narrow(axis, 1, free.shape[axis] - 1))
    return result / (2 * SCALES)


def _step(x: Tensor, axis: int) -> Tensor:
    return x.diff(dim=axis).abs()


def adversary_loss(logits: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Return the adversary's loss, inside and outside the areas averaged apart, and the share that it tells right."""
    known = 1 - free
    inside, outside = (mean(functional.softplus(sign * logits), where) for sign, where in ((-1, free), (1, known)))
    right = (mean((logits > 0).to(logits), free) + mean((logits <= 0).to(logits), known)) / 2
    return (inside + outside) / 2, right


def deceiving(logits: Tensor, free: Tensor) -> Tensor:
    """Return the generator's loss: what it restored is to look as if it were known."""
    return mean(functional.softplus(logits), free)
