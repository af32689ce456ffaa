"""What is learned: a network with its loss, optimizer and score, as Lightning trains it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepix.errors import DeepixError
from deepix.training import mosaics, networks
from deepix.training.batches import as_pictures, augmented, patches, ranges, seed_of
from deepix.training.mosaics import Sample
from deepix.training.muon import Muon
from deepix.training.networks.base import Estimate
from deepix.training.settings import Loss, Optimizer, Settings


def unknown_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean squared error over the unknown pixels, all of the batch (of this process) weighing the same."""
    return _mean(_squares(estimate, sample), ~sample.mosaics.known)


def whole_loss(estimate: Estimate, sample: Sample) -> Tensor:
    """Return the mean squared error over the whole pictures, as the ancestor does."""
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
    unknown = ~sample.mosaics.known
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
    return _mean(deviation.log() + squares / (2 * deviation.square()), ~sample.mosaics.known)


class Score(NamedTuple):
    """RMSE over unknown pixels on the 0–255 scale: of all pixels pooled, and the mean of each picture's."""

    rmse: float
    per_picture: float


class Task(pl.LightningModule):
    """A network with what it is to learn; the smallest thing that Lightning trains."""

    def __init__(self, network: networks.Network, settings: Settings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self._errors: list[Tensor] = []  # of each validated batch: sums of squares and numbers of pixels (2, B)

    def training_step(self, batch: tuple[int, Tensor], index: int) -> dict[str, Tensor]:
        """Return the loss and the mean squared error over unknown pixels of a batch."""
        step, pixels = batch
        torch.manual_seed(seed_of(self.settings.seed, 3, step, self.global_rank))  # for networks with dropout
        generator = torch.Generator().manual_seed(seed_of(self.settings.seed, 4, step, self.global_rank))
        truth = augmented(as_pictures(pixels), self.settings.augment, generator)
        truth = patches(truth, self.settings.patch, generator)
        sample = mosaics.sample(truth, ranges(self.settings), generator, self.settings.truncate, self.settings.noise)
        estimate = self.network.estimate(sample)
        loss = LOSSES[self.settings.loss](estimate, sample)
        error = loss if self.settings.loss == "unknown" else unknown_loss(estimate, sample)
        extra = deviation_loss(estimate, sample)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(pixels))
        return {"loss": loss + DEVIATION_WEIGHT * extra, "scored": loss.detach(), "error": error.detach()}

    def fixed(self, pixels: Tensor, rectangles: NDArray[np.int64]) -> Sample:
        """Return some of the validation set as the network gets it."""
        truth = as_pictures(pixels.to(self.device))
        height, width = truth.shape[2:]
        ours = mosaics.from_rectangles(torch.from_numpy(rectangles), height, width, self.device)
        return Sample(truth, mosaics.pixelate(truth, ours, self.settings.truncate), ours)

    def validation_step(self, batch: tuple[Tensor, NDArray[np.int64]], index: int) -> None:
        """Note the errors of a batch of the validation set, in integers as the challenge scores them."""
        if not len(batch[0]):
            return
        sample = self.fixed(*batch)
        assert sample.truth is not None
        levels = (self.network.restore(sample).float().clamp(0, 1) * 255).round()
        squares = (levels - sample.truth * 255).square() * ~sample.mosaics.known
        pixels = (~sample.mosaics.known).sum(dim=(1, 2, 3)) * squares.shape[1]
        self._errors.append(torch.stack([squares.sum(dim=(1, 2, 3)), pixels]))

    def score(self) -> Score:
        """Return the score of what was validated since the last call, in all processes together."""
        # added up in float64, which not every device has
        errors = torch.cat(self._errors, dim=1).cpu().double() if self._errors else torch.zeros(2, 0)
        squares, pixels = errors
        self._errors.clear()
        seen = pixels > 0
        means = (squares[seen] / pixels[seen]).sqrt()
        sums = torch.stack([squares.sum(), pixels.sum(), means.sum(), seen.sum()]).to(self.device, torch.float32)
        total, count, mean, n = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        return Score(math.sqrt(total / max(count, 1)), mean / max(n, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return optimizer_of(self.network, self.settings)


def optimizer_of(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimizer of a network's parameters; only kernels and matrices decay."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    makers: dict[Optimizer, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}
    optimizer: torch.optim.Optimizer = makers[settings.optimizer](groups, lr=settings.lr)
    return optimizer
