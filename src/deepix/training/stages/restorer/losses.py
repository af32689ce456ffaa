"""What restorers learn: errors over the unknown pixels, and the standard deviations of these errors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepix.errors import DeepixError
from deepix.training.data.samples import Sample
from deepix.training.networks.base import Estimate
from deepix.training.stages.restorer.settings import Loss


def unknown_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean squared error over the unknown pixels, all of the batch (of this process) weighing the same."""
    return _mean(_squares(estimate, sample), sample.mosaics.unknown)


def whole_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean squared error over the whole pictures, by which DeePixV1 was trained."""
    return _squares(estimate, sample).mean()


def weighted_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean over the unknown pixels of squared errors, each times the inverse of its predicted variance.

    Any positive weight that depends on the input alone has the same minimiser, the conditional mean; the inverse
    variance is the most efficient one (weighted least squares, Aitken 1936). The deviations are taken as they are: no
    gradient passes through the weights. Weights have a mean of 1, and the loss is scaled to the size of
    `unknown_loss`, so that rates and clipping suit both.
    """
    if estimate.deviation is None:
        raise DeepixError("the loss 'weighted' is for networks that predict the deviations of their errors")
    unknown = sample.mosaics.unknown
    squares = _squares(estimate, sample)
    weights = (estimate.deviation.detach().float() + STABILISER).square().reciprocal()
    weighted = _mean(squares * weights / _mean(weights, unknown).clamp(min=1e-12), unknown)
    scale = _mean(squares.detach(), unknown) / weighted.detach().clamp(min=1e-12)
    return weighted * scale


def _squares(estimate: Estimate, sample: Sample) -> Tensor:
    assert sample.truth is not None
    return (estimate.picture.float() - sample.truth).square()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of (B, C, H, W) over the pixels (B, 1, H, W) where it is wanted; 0 if that is nowhere."""
    return (values * where).sum() / (where.sum() * values.shape[1]).clamp(min=1)


LEVEL = 1 / 255
"""A level of an 8-bit picture."""

DEVIATION_WEIGHT = 0.01
"""Of `deviation_loss`, which would else be most of the gradient whose norm is clipped."""

STABILISER = 2 / 255
"""Added to predicted deviations before errors are weighted by them: two levels, so that no pixel outweighs the rest."""

LOSSES: dict[Loss, Callable[[Estimate, Sample], Tensor]] = {
    "unknown": unknown_loss,
    "whole": whole_loss,
    "weighted": weighted_loss,
}
"""Functions of (estimate, sample); an estimate is what `network.estimate(sample)` returns."""


def deviation_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean score of the deviations over the unknown pixels: −log of the Gaussian density of the errors.

    A proper scoring rule (Gneiting and Raftery 2007), less its constant; the restoration learns nothing from it. Errors
    below a level of 1/255, which no file can hold, count as one. 0 where there are no deviations.
    """
    if estimate.deviation is None:
        return torch.zeros((), device=estimate.picture.device)
    squares = _squares(estimate, sample).detach() + LEVEL**2
    deviation = estimate.deviation.clamp(min=LEVEL)
    return _mean(deviation.log() + squares / (2 * deviation.square()), sample.mosaics.unknown)
