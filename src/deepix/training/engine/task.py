"""A stage as Lightning trains it."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from deepix.training.engine.batches import seed_of
from deepix.training.engine.settings import Settings
from deepix.training.engine.stage import Loss, Stage, Step
from deepix.training.networks import Network


class Task(pl.LightningModule):
    """A network with what it is to learn.

    With one optimizer Lightning takes the steps; with several they take turns here, each with the rest of the network
    as it is.
    """

    def __init__(self, stage: Stage, network: Network, settings: Settings) -> None:
        super().__init__()
        self.stage, self.network, self.settings = stage, network, settings  # checkpoints name weights "network.…"
        self.automatic_optimization = stage.turns == 1
        self._sums: list[Tensor] = []  # of each validated batch

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the optimizers."""
        return self.stage.optimizers(self.network, self.settings)

    def training_step(self, batch: tuple[int, Any], index: int) -> dict[str, Tensor]:
        """Return the loss, if Lightning is to minimise it, and the running values of a batch."""
        step, examples = batch
        torch.manual_seed(seed_of(self.settings.seed, 3, step, self.global_rank))  # for networks with dropout
        if not self.automatic_optimization:
            return self._take_turns(step, examples)
        loss = self.stage.loss(self.network, examples, self.settings, Step(step, self.global_rank))
        assert loss.total is not None  # the only turn is never left out
        self.log("train/loss", loss.shown, prog_bar=True, batch_size=self.settings.batch)
        return {"loss": loss.total, "running": _stacked([loss])}

    def _take_turns(self, step: int, examples: Any) -> dict[str, Tensor]:
        optimizers: Any = self.optimizers()
        losses = []
        for turn, optimizer in enumerate(optimizers):
            self.toggle_optimizer(optimizer)
            loss = self.stage.loss(self.network, examples, self.settings, Step(step, self.global_rank, turn))
            losses.append(loss)
            if loss.total is not None:
                optimizer.zero_grad()
                self.manual_backward(loss.total)
                if self.settings.clip:
                    self.clip_gradients(optimizer, gradient_clip_val=self.settings.clip)
                optimizer.step()
                self.log(f"train/loss_{turn + 1}", loss.shown, prog_bar=True, batch_size=self.settings.batch)
            self.untoggle_optimizer(optimizer)
        return {"running": _stacked(losses)}

    def validation_step(self, batch: Any, index: int) -> None:
        """Note the tally of a batch."""
        self._sums.append(self.stage.tally(self.network, batch, self.settings))

    def score(self) -> Any:
        """Return the score of what was validated since the last call, in all processes together."""
        sums = torch.stack(self._sums).sum(dim=0).to(torch.float32).to(self.device)
        self._sums.clear()
        total: Tensor = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return self.stage.score(total.cpu())


def _stacked(losses: list[Loss]) -> Tensor:
    """Return the running values of a step's turns, and 1 to count it."""
    values = [value.detach().float() for loss in losses for value in loss.running]
    return torch.stack([*values, torch.ones_like(values[0])])
