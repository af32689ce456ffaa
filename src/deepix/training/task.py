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

from deepix.training import mosaics, networks
from deepix.training.batches import as_pictures, augmented, patches, ranges, seed_of
from deepix.training.mosaics import Sample
from deepix.training.networks.restorer import Restorer
from deepix.training.settings import Loss, Optimizer, Settings


def unknown_loss(prediction: Tensor, sample: Sample) -> Tensor:
    """Return the mean squared error over the unknown pixels, all of the batch (of this process) weighing the same."""
    assert sample.truth is not None
    unknown = ~sample.mosaics.known
    squares = (prediction - sample.truth).square() * unknown
    return squares.sum() / (unknown.sum() * prediction.shape[1]).clamp(min=1)


def whole_loss(prediction: Tensor, sample: Sample) -> Tensor:
    """Return the mean squared error over the whole pictures, as the ancestor does."""
    assert sample.truth is not None
    return (prediction - sample.truth).square().mean()


LEVEL = 1 / 255
"""A level of an 8-bit picture."""

DEVIATION_WEIGHT = 0.01
"""Of `deviation_loss`, which would else be most of the gradient whose norm is clipped."""

LOSSES: dict[Loss, Callable[[Tensor, Sample], Tensor]] = {"unknown": unknown_loss, "whole": whole_loss}
"""Functions of (prediction, sample); a prediction is what `network.restore(sample)` returns."""


def deviation_loss(prediction: Tensor, deviation: Tensor, sample: Sample) -> Tensor:
    """Return the mean score of the deviations over the unknown pixels: −log of the Gaussian density of the errors.

    A proper scoring rule (Gneiting and Raftery 2007), less its constant; the prediction learns nothing from it. Errors
    below a level of 1/255, which no file can hold, count as one.
    """
    assert sample.truth is not None
    unknown = ~sample.mosaics.known
    squares = (prediction.detach() - sample.truth).square() + LEVEL**2
    deviation = deviation.clamp(min=LEVEL)
    scores = (deviation.log() + squares / (2 * deviation.square())) * unknown
    return scores.sum() / (unknown.sum() * prediction.shape[1]).clamp(min=1)


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
        if isinstance(self.network, Restorer):
            estimate = self.network.estimate(sample)
            prediction, extra = estimate.picture.float(), deviation_loss(*estimate, sample)
        else:
            prediction = self.network.restore(sample).float()
            extra = torch.zeros((), device=self.device)
        loss = LOSSES[self.settings.loss](prediction, sample)
        error = loss if self.settings.loss == "unknown" else unknown_loss(prediction, sample)
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


class Muon(torch.optim.Optimizer):
    """PyTorch's Muon for kernels, each as a matrix (outputs, the rest), and AdamW for biases and norms, in one.

    Lightning wants one optimizer, and PyTorch's takes matrices only, so the two inside work on views of the parameters.
    Steps are scaled as "Muon is Scalable for LLM Training" (2025) has it, so that rates and decays suit both.

    Parameters
    ----------
    groups : with `params` and `weight_decay`; parameters on the device on which they stay
    lr : learning rate
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr})
        self._views: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._inner: list[torch.optim.Optimizer] = []
        for group in self.param_groups:
            decay = {"lr": lr, "weight_decay": group["weight_decay"]}
            if group["params"][0].ndim > 1:
                views = [nn.Parameter(_as_matrix(p.data)) for p in group["params"]]
                self._views += zip(group["params"], views, strict=True)
                self._inner.append(torch.optim.Muon(views, **decay, adjust_lr_fn="match_rms_adamw"))
            else:
                self._inner.append(torch.optim.AdamW(group["params"], **decay))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the groups' rates."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for parameter, view in self._views:
            grad = parameter.grad
            view.grad = None if grad is None else _as_matrix(grad, like=parameter)
        for group, inner in zip(self.param_groups, self._inner, strict=True):
            inner.param_groups[0]["lr"] = group["lr"]
            inner.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the two inside."""
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set them."""
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


def _as_matrix(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """Return a kernel as a matrix with its outputs as rows: a view, if it lies as `like` in memory."""
    like = tensor if like is None else like
    return (tensor if like.is_contiguous() else tensor.permute(0, 2, 3, 1)).flatten(1)
