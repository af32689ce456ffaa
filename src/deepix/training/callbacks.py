"""What accompanies a run: its clock, the averaged weights, the record it leaves, and the bar that shows it."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar, WeightAveraging
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from deepix.errors import DeepixError
from deepix.training import looks, weights
from deepix.training.batches import Batches, Validation
from deepix.training.settings import Settings, budget_steps, rate
from deepix.training.task import Task

LAST = "last.ckpt"
"""The checkpoint in a run's folder."""

SAMPLES = 8
"""Pictures on a sample sheet."""

VALIDATION_SHARE = 0.1
"""How much of the time validation may take, about, unless the settings say how often it comes."""

VALIDATIONS = 40
"""Validations in a run, unless that takes more than their share."""

Say = Callable[[str], None]


class Budget(pl.Callback):
    """The run's clock: sets the learning rate, and says when to validate, to save and to stop."""

    def __init__(self, settings: Settings, batches: Batches, validation: Validation) -> None:
        self.settings, self.batches, self.validation = settings, batches, validation
        self.total = budget_steps(settings, len(batches.indices))
        self.stopped, self._asked = False, False  # by the user
        self.elapsed = 0.0  # seconds of training, validation included, since the first start
        self._offset, self._started, self._saved = 0.0, time.monotonic(), 0.0
        self._validating, self._validation_seconds, self._next = 0.0, 0.0, 0.0
        self._step = 0
        self.done = 0  # pictures since this start, for the throughput
        self._handlers: dict[int, Any] = {}

    @property
    def progress(self) -> float:
        """How much of the budget is used, 0 … 1 and above; of minutes, the last validation's time is kept free."""
        if self.settings.minutes is not None:
            return self.elapsed / max(self.settings.minutes * 60 - self._validation_seconds, 1e-3)
        assert self.total is not None
        return self._step / self.total

    @property
    def epoch(self) -> float:
        """How often every picture has been seen."""
        return self._step * self.settings.batch / len(self.batches.indices)

    @property
    def pictures_per_second(self) -> float:
        """Throughput of training and validation together since this start."""
        return self.done / max(self.elapsed - self._offset, 1e-9)

    def _read_clock(self, trainer: pl.Trainer) -> None:
        """Read the clock; processes must agree on it, and asking each other takes time, so they rarely do."""
        self._step = trainer.global_step
        if trainer.world_size == 1 or self._step % 10 == 0:
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
        self._step = trainer.global_step
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
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate(self.settings, progress, self.epoch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Decide whether to stop, to validate (Lightning reads `val_check_batch` next: 1 = now, inf = no), to save."""
        self._read_clock(trainer)
        self.done += self.settings.batch
        if self.stopped or self.progress >= 1:
            trainer.should_stop = True  # Lightning validates before it stops
        every = self.settings.validate_every or self._validate_every
        due = self._step % every == 0 if every else self.elapsed >= self._next
        trainer.val_check_batch = 1 if due else math.inf
        if not due and self.elapsed - self._saved >= self.settings.save_minutes * 60:
            self.save(trainer)

    @property
    def _validate_every(self) -> int | None:
        """Steps between validations; None: by the clock. A prediction costs about a third of a training step."""
        if self.total is None:
            return None
        affordable = len(self.validation.pixels) / (3 * self.settings.batch * VALIDATION_SHARE)
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
        return {"elapsed": self.elapsed, "used": used, "validation_seconds": self._validation_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the clock."""
        self._offset, self._validation_seconds = state_dict["elapsed"], state_dict["validation_seconds"]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the step after the checkpoint's."""
        self.batches.start = checkpoint["global_step"]


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


class Record(pl.Callback):
    """What remains of a run: the log, the curve, sample sheets and the best weights. Comes before `Average`."""

    def __init__(self, settings: Settings, budget: Budget, data: dict[str, Any], say: Say) -> None:
        self.settings, self.budget, self.data, self.say = settings, budget, data, say
        self.run = Path(settings.run)
        self.rows: list[dict[str, float]] = []  # of the log
        self._sums: Tensor = torch.zeros(3)  # of losses and errors since the last validation, and their number
        self._drawn, self._drawing = -math.inf, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the sums where the losses are."""
        self._sums = self._sums.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Sum the losses."""
        self._sums += torch.stack([outputs["scored"], outputs["error"], outputs["error"].new_ones(())])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the averaged weights, write the log, keep the best."""
        assert isinstance(pl_module, Task)
        score = pl_module.score()
        if not math.isfinite(score.rmse):
            raise DeepixError(f"{self.run}: training diverged (step {trainer.global_step}): lower --lr, or --clip")
        loss, error, count = trainer.strategy.reduce(self._sums, reduce_op="sum").tolist()
        self._sums.zero_()
        row = {
            "step": trainer.global_step,
            "epoch": self.budget.epoch,
            "minutes": self.budget.elapsed / 60,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "loss": loss / max(count, 1),
            "train_rmse": 255 * math.sqrt(error / max(count, 1)),
            "val_rmse": score.rmse,
            "val_rmse_per_picture": score.per_picture,
        }
        pl_module.log("val/rmse", score.rmse, prog_bar=True)
        pl_module.log("val/rmse_per_picture", score.per_picture)
        pl_module.log("train/rmse", row["train_rmse"])
        pl_module.log("lr", row["lr"])
        better = score.rmse < min((r["val_rmse"] for r in self.rows), default=math.inf)
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        looks.write_log(self.run, self.rows)
        line = (
            f"step {row['step']:>7}  {row['minutes']:6.1f} min ({min(self.budget.progress, 1):4.0%})  "
            f"train {row['train_rmse']:6.2f}  validation {score.rmse:6.2f} (per picture {score.per_picture:5.2f})"
            + ("  best" if better else "")
        )
        with tqdm.external_write_mode(sys.stdout):  # else the line runs into the bar
            self.say(line)
        if better:
            self._keep(trainer, pl_module, row)
        # a curve takes a third of a second to draw: not more than a twentieth of the time
        if time.monotonic() - self._drawn > 20 * self._drawing:
            self._draw()

    def _keep(self, trainer: pl.Trainer, task: Task, row: dict[str, float]) -> None:
        extra = {**row, "settings": asdict(self.settings), "data": self.data}
        weights.save(task.network, self.run / weights.BEST, overwrite=True, extra=extra)
        validation = self.budget.validation
        count = min(SAMPLES, len(validation.pixels))
        sample = task.fixed(
            *validation.some(np.linspace(0, len(validation.pixels) - 1, count).round().astype(np.int64))
        )
        with trainer.precision_plugin.forward_context():
            prediction = task.network.restore(sample).float()
        caption = f"step {row['step']}, validation RMSE {row['val_rmse']:.2f}"
        sheet = looks.sample_sheet(sample, prediction, caption)
        looks.save_picture(sheet, self.run / "samples" / f"best_{row['step']:07d}.png")

    def _draw(self) -> None:
        start = time.monotonic()
        if looks.can_draw():
            looks.curves([self.run], self.run / "curve.png")
        self._drawn, self._drawing = time.monotonic(), time.monotonic() - start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the whole curve."""
        if trainer.is_global_zero:
            self._draw()

    def state_dict(self) -> dict[str, Any]:
        """Return the log and the running losses."""
        return {"rows": self.rows, "sums": self._sums.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.rows, self._sums = state_dict["rows"], torch.tensor(state_dict["sums"])


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
