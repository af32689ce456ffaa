"""What accompanies a run: its clock, the averaged weights, and the bar that shows it.

Checkpoints hold the state of each under the name of its class, which therefore stays.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import TQDMProgressBar, WeightAveraging
from torch import Tensor

from deepix.training.engine.batches import Batches, Validation
from deepix.training.engine.settings import Settings, budget_steps, rate

LAST = "last.ckpt"
"""The checkpoint in a run's folder."""

VALIDATION_SHARE = 0.1
"""How much of the time validation may take, about, unless the settings say how often it comes."""

VALIDATIONS = 40
"""Validations in a run, unless that takes more than their share."""


class Budget(pl.Callback):
    """The run's clock: sets the learning rate, and says when to validate, to save and to stop."""

    def __init__(self, settings: Settings, batches: Batches, validation: Validation) -> None:
        self.settings, self.batches, self.validation = settings, batches, validation
        self.total = budget_steps(settings, len(batches.indices))
        self.stopped, self._asked = False, False  # by the user
        self.elapsed = 0.0  # seconds of training, validation included, since the first start
        self._offset, self._started, self._saved = 0.0, time.monotonic(), 0.0
        self._validating, self._validation_seconds, self._next = 0.0, 0.0, 0.0
        self.step = 0  # of the run
        self.done = 0  # pictures since this start, for the throughput
        self._handlers: dict[int, Any] = {}

    @property
    def progress(self) -> float:
        """How much of the budget is used, 0 … 1 and above; of minutes, the last validation's time is kept free."""
        if self.settings.minutes is not None:
            return self.elapsed / max(self.settings.minutes * 60 - self._validation_seconds, 1e-3)
        assert self.total is not None
        return self.step / self.total

    @property
    def epoch(self) -> float:
        """How often every picture has been seen."""
        return self.step * self.settings.batch / len(self.batches.indices)

    @property
    def pictures_per_second(self) -> float:
        """Throughput of training and validation together since this start."""
        return self.done / max(self.elapsed - self._offset, 1e-9)

    def _read_clock(self, trainer: pl.Trainer) -> None:
        """Read the clock; processes must agree on it, and asking each other takes time, so they rarely do."""
        if trainer.world_size == 1 or self.step % 10 == 0:
            self.elapsed, self.stopped = trainer.strategy.broadcast((self._now(), self._asked))

    def _now(self) -> float:
        return self._offset + time.monotonic() - self._started

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        for part in (self.batches, self.validation):
            part.rank, part.world = trainer.global_rank, trainer.world_size
        self._started, self.elapsed, self._saved = time.monotonic(), self._offset, self._offset
        self._schedule_validation()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take Ctrl-C and a polite kill as "finish the step, validate, save and stop"; a second one kills."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, signal.SIG_DFL)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Set the learning rate."""
        progress = self.progress
        if self.total is not None:
            progress += 0.5 / self.total  # the middle of the step, so that no step has a rate of 0
        for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate(self.settings, progress, self.epoch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Decide whether to stop, to validate (Lightning reads `val_check_batch` next: 1 = now, inf = no), to save."""
        self.step += 1  # Lightning counts the steps of optimizers, of which there may be several
        self._read_clock(trainer)
        self.done += self.settings.batch
        if self.stopped or self.progress >= 1:
            trainer.should_stop = True  # Lightning validates before it stops
        every = self.settings.validate_every or self._validate_every
        due = self.step % every == 0 if every else self.elapsed >= self._next
        trainer.val_check_batch = 1 if due else math.inf
        if not due and self.elapsed - self._saved >= self.settings.save_minutes * 60:
            self.save(trainer)

    @property
    def _validate_every(self) -> int | None:
        """Steps between validations; None: by the clock. A prediction costs about a third of a training step."""
        if self.total is None:
            return None
        affordable = self.validation.count / (3 * self.settings.batch * VALIDATION_SHARE)
        return max(1, self.total // VALIDATIONS, math.ceil(affordable))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the time."""
        self._validating = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, and say when to validate next."""
        seconds = time.monotonic() - self._validating
        self.elapsed, seconds = trainer.strategy.broadcast((self._now(), seconds))
        self.save(trainer)
        self._validation_seconds = max(seconds, 0.5 * self._validation_seconds)
        self._schedule_validation()

    def _schedule_validation(self) -> None:
        if self.settings.minutes is not None:
            interval = self.settings.minutes * 60 / VALIDATIONS
            self._next = self.elapsed + max(interval, self._validation_seconds / VALIDATION_SHARE)

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint that a run resumes from."""
        self._saved = self.elapsed
        trainer.save_checkpoint(Path(self.settings.run) / LAST)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the clock's state."""
        minutes = self.settings.minutes
        # a run that ended kept time free for its last validation, so that not all minutes have elapsed
        used = minutes * 60 if minutes is not None and self.progress >= 1 else self.elapsed
        return {
            "elapsed": self.elapsed, "used": used, "validation_seconds": self._validation_seconds, "step": self.step
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the clock."""
        self._offset, self._validation_seconds = state_dict["elapsed"], state_dict["validation_seconds"]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the step after the checkpoint's."""
        self.step = self.batches.start = steps_in(checkpoint)


def steps_in(checkpoint: dict[str, Any]) -> int:
    """Return after how many steps a checkpoint was written; older ones hold Lightning's count, of one optimizer."""
    return int(checkpoint["callbacks"]["Budget"].get("step", checkpoint["global_step"]))


class Average(WeightAveraging):
    """The weights' exponential moving average, with which Lightning validates.

    The decay grows as (1 + n)/(10 + n) in step n up to its value, so that the first weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay, self._updates = decay, 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the count of updates off the GPU: PyTorch reads it in every step, which would wait for the GPU."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Say yes after every step."""
        self._updates = step_idx if step_idx is not None else self._updates
        return step_idx is not None

    def _average(self, averages: Any, currents: Any, count: Tensor | int) -> None:
        decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, 1 - decay)
        else:  # batch norms count their batches
            torch._foreach_copy_(averages, currents)


class Bar(TQDMProgressBar):
    """One line with the steps, the speed, how much of the budget is used and the running losses."""

    BAR_FORMAT = "{desc} step {n_fmt} [{elapsed}, {rate_noinv_fmt}{postfix}]"

    def __init__(self, budget: Budget) -> None:
        super().__init__(refresh_rate=10)
        self.budget = budget

    def init_validation_tqdm(self) -> Any:
        """Show no bar of its own for validations."""
        bar = super().init_validation_tqdm()
        bar.disable = True
        return bar

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Call it by its name: Lightning's only epoch is the whole run."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description_str("training")

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands at the end of the line."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {"done": f"{min(self.budget.progress, 1):.0%}", **shown}
