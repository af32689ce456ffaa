"""The training loop, on Lightning: settings in, a folder with curves, samples and the best weights out.

    packed pictures ─ order(seed) ─▶ uint8 batch ─▶ device ─ flips, random mosaics(seed, step) ─▶ Sample
    Sample ─ network.restore ─▶ prediction ─ loss ─▶ optimizer (rate = lr · schedule(progress)) ─▶ averaged weights
    averaged weights ─ fixed validation set ─▶ RMSE ─ better? ─▶ best.safetensors, samples/best_….png

Which pictures and mosaics a step sees depends on the seed and the step alone, so that an interrupted run goes on as
if it had not been. What Lightning calls an epoch is the whole run here; validation, checkpoints and the end are
`Budget`'s to decide.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import json
import logging
import math
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import EarlyStopping, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from numpy.typing import NDArray
from torch import Tensor

import deepix
from deepix.errors import DeepixError, InputError, OutputError
from deepix.training import looks, mosaics, networks, pictures, weights
from deepix.training.batches import Batches, Validation, as_pictures, augmented, held_out, ranges, seed_of
from deepix.training.mosaics import Sample
from deepix.training.settings import RUN, Loss, Optimizer, Settings, budget_steps, rate, read

LAST = "last.ckpt"
PICTURES = "pictures.npy"
"""The pictures in a run's folder if they were packed for it."""

SAMPLES = 8
"""Pictures on a sample sheet."""

VALIDATION_SHARE = 0.1
"""How much of the time validation may take, about, unless the settings say how often it comes."""

VALIDATIONS = 40
"""Validations in a run, unless that takes more than their share."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What came of a run; scores are RMSE over unknown pixels on the 0–255 scale, of the best averaged weights.

    `finished` is False if the run was interrupted; `steps` and `minutes` count from its first start.
    """

    run: Path
    weights: Path
    finished: bool
    steps: int
    minutes: float
    best_step: int
    best_rmse: float
    best_rmse_per_picture: float
    pictures_per_second: float


# ── what is learned ──────────────────────────────────────────────────────────────────────────────


def unknown_loss(prediction: Tensor, sample: Sample) -> Tensor:
    """Return the mean squared error over the unknown pixels, all of the batch weighing the same."""
    assert sample.truth is not None
    unknown = ~sample.mosaics.known
    squares = (prediction - sample.truth).square() * unknown
    return squares.sum() / (unknown.sum() * prediction.shape[1]).clamp(min=1)


def whole_loss(prediction: Tensor, sample: Sample) -> Tensor:
    """Return the mean squared error over the whole pictures, as the ancestor does."""
    assert sample.truth is not None
    return (prediction - sample.truth).square().mean()


LOSSES: dict[Loss, Callable[[Tensor, Sample], Tensor]] = {"unknown": unknown_loss, "whole": whole_loss}
"""Functions of (prediction, sample); a prediction is what `network.restore(sample)` returns."""

OPTIMIZERS: dict[Optimizer, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


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
        sample = mosaics.sample(truth, ranges(self.settings), generator, self.settings.truncate)
        prediction = self.network.restore(sample)
        loss = LOSSES[self.settings.loss](prediction.float(), sample)
        error = loss if self.settings.loss == "unknown" else unknown_loss(prediction.float(), sample)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(pixels))
        return {"loss": loss, "error": error.detach()}

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
        self._errors.append(torch.stack([squares.sum(dim=(1, 2, 3), dtype=torch.float64), pixels.double()]))

    def score(self) -> Score:
        """Return the score of what was validated since the last call, in all processes together."""
        squares, pixels = torch.cat(self._errors, dim=1) if self._errors else torch.zeros(2, 0)
        self._errors.clear()
        seen = pixels > 0
        means = (squares[seen] / pixels[seen]).sqrt()
        sums = torch.stack([squares.sum(), pixels.sum(), means.sum(), seen.sum()]).double().to(self.device)
        total, count, mean, n = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        return Score(math.sqrt(total / max(count, 1)), mean / max(n, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; only kernels and matrices decay."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        make: Any = OPTIMIZERS[self.settings.optimizer]
        optimizer: torch.optim.Optimizer = make([g for g in groups if g["params"]], lr=self.settings.lr)
        return optimizer


# ── when what happens ────────────────────────────────────────────────────────────────────────────


class Budget(pl.Callback):
    """The run's clock: sets the learning rate, and says when to validate, to save and to stop."""

    def __init__(self, settings: Settings, batches: Batches, validation: Validation) -> None:
        self.settings, self.batches, self.validation = settings, batches, validation
        self.total = budget_steps(settings, len(batches.indices))
        self.stopped, self._asked = False, False  # by the user
        self.elapsed = 0.0  # seconds of training, validation included, since the first start
        self._offset, self._started, self._saved = 0.0, time.monotonic(), 0.0
        self._validating, self._validation_seconds, self._next = 0.0, 0.0, 0.0
        self.done = 0  # pictures since this start, for the throughput
        self._handlers: dict[int, Any] = {}

    @property
    def progress(self) -> float:
        """How much of the budget is used, 0 … 1 and above; of minutes, the last validation's time is kept free."""
        if self.settings.minutes is not None:
            return self.elapsed / max(self.settings.minutes * 60 - self._validation_seconds, 1e-3)
        assert self.total is not None
        return self._step / self.total

    _step = 0

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
        elapsed = self._offset + time.monotonic() - self._started
        if trainer.world_size == 1:
            self.elapsed, self.stopped = elapsed, self._asked
        elif self._step % 10 == 0:
            self.elapsed, self.stopped = trainer.strategy.broadcast((elapsed, self._asked))

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
        seconds = trainer.strategy.broadcast(time.monotonic() - self._validating)
        self._validation_seconds = max(seconds, 0.5 * self._validation_seconds)
        self._schedule_validation()
        self.save(trainer)

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
        return {"elapsed": self.elapsed, "validation_seconds": self._validation_seconds}

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
        self._sums += torch.stack([outputs["loss"].detach(), outputs["error"], outputs["error"].new_ones(())])

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
        self.say(
            f"step {row['step']:>7}  {row['minutes']:6.1f} min ({min(self.budget.progress, 1):4.0%})  "
            f"train {row['train_rmse']:6.2f}  validation {score.rmse:6.2f} (per picture {score.per_picture:5.2f})"
            + ("  best" if better else "")
        )
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
    """Lightning's bar, with how much of the budget is used."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(refresh_rate=10)
        self.budget = budget

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands right of the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {"done": f"{min(self.budget.progress, 1):.0%}", **shown}


class AtomicFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all; Lightning's own pass through a folder on maybe another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint beside the place, flush it to the disk, and move it there."""
        temporary = Path(f"{path}.part")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except RuntimeError as error:  # PyTorch's zip writer hides the system's error
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
        finally:
            temporary.unlink(missing_ok=True)


# ── a run ────────────────────────────────────────────────────────────────────────────────────────


def fit(settings: Settings, say: Say = print) -> Result:
    """Train a network.

    Parameters
    ----------
    settings : see there
    say : gets a line for every validation and note

    Returns
    -------
    Where the best weights are, and how good

    Raises
    ------
    InputError : the data or the validation file cannot be used
    OutputError : the folder exists and is not empty, or cannot be written (a full disk, no permission)
    DeepixError : no such network, options or mosaics, or training diverged
    """
    settings = replace(
        settings,
        data=str(Path(settings.data).resolve()),
        run=str(Path(settings.run).resolve()),
        validate=None if settings.validate is None else str(Path(settings.validate).resolve()),
        network=str(Path(settings.network).resolve()) if Path(settings.network).exists() else settings.network,
    )
    run = Path(settings.run)
    # what a run leaves that failed before its first validation (a wrong file name, say) does not stand in the way
    harmless = {RUN, PICTURES, pictures.information_path(PICTURES).name, "samples", "tensorboard"}
    if first_process() and run.exists() and not (run.is_dir() and {f.name for f in run.iterdir()} <= harmless):
        raise OutputError(f"{run}: exists already; choose another folder, or continue it with --resume")
    return _guarded(settings, None, say)


def resume(run: Path | str, say: Say = print, **budget: Any) -> Result:
    """Go on with a run from its last checkpoint (from the start if it has none).

    Parameters
    ----------
    run : its folder
    say : as for `fit`
    budget : `minutes`, `steps` or `epochs` in all, from the run's first start, instead of the run's own; the
        schedule is stretched over it

    Raises
    ------
    InputError : the folder holds no run, its checkpoint is damaged, or its budget is used up
    OutputError, DeepixError : as `fit`
    """
    run = Path(run).resolve()
    settings = read(run)
    given = {name: value for name, value in budget.items() if value is not None}
    if given:
        given = {"minutes": None, "steps": None, "epochs": None, **given}
    settings = replace(settings, run=str(run), **given)
    checkpoint = run / LAST
    return _guarded(settings, checkpoint if checkpoint.exists() else None, say)


def first_process() -> bool:
    """Return whether this is the process that writes and prints, of those that train together."""
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def _guarded(settings: Settings, checkpoint: Path | None, say: Say) -> Result:
    """Turn what the system refuses into one line."""
    try:
        return _fit(settings, checkpoint, say)
    except OSError as error:
        refusals = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EFBIG)
        if error.errno not in refusals:
            raise
        place = error.filename or settings.run
        raise OutputError(
            f"{place}: {error.strerror}; make room or choose another folder "
            f"(a run that had begun continues with: deepix train --resume {settings.run})"
        ) from error


def _fit(settings: Settings, checkpoint: Path | None, say: Say) -> Result:
    run = Path(settings.run)
    torch.manual_seed(seed_of(settings.seed, 0))
    network = _network(settings)
    # measured on CPUs: a training step takes 15 to 20 % less; on GPUs it is what tensor cores want
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if first_process():
        run.mkdir(parents=True, exist_ok=True)
    packed = _packed(settings, say, keep=checkpoint is not None)
    height, width = packed.pixels.shape[1:3]
    try:
        mosaics.draw(1, height, width, ranges(settings))
    except ValueError as error:
        raise DeepixError(f"{settings.data}: {error}") from error
    indices, validation = held_out(packed, settings)
    batches = Batches(packed.pixels, indices, settings.batch, settings.seed)
    state = _checked(checkpoint, settings, len(indices))
    data = {
        "file": settings.data,
        "sha256": packed.info["sha256"],
        "training_pictures": len(indices),
        "validation_pictures": len(validation.pixels),
        "picture_shape": list(packed.pixels.shape[1:]),
    }
    budget = Budget(settings, batches, validation)
    record = Record(settings, budget, data, say)
    description = _description(settings, network, data)
    if first_process():
        _write_json(run / RUN, description)
        count = sum(p.numel() for p in network.parameters())
        say(f"{settings.network}: {count:,} parameters; {len(indices):,} pictures to train on, "
            f"{len(validation.pixels):,} to validate; writing {run}")  # fmt: skip
        for missing in [m for m in ("tensorboard", "matplotlib") if importlib.util.find_spec(m) is None]:
            what = {"tensorboard": "TensorBoard logs", "matplotlib": "curve pictures"}[missing]
            say(f"note: no {what}, because {missing} is not installed")

    try:
        trainer = _trainer(settings, record, budget)
    except (MisconfigurationException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DeepixError(f"Lightning cannot train with this accelerator, strategy or precision: {reason}") from error
    task = Task(network, settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(task, batches, validation, ckpt_path=checkpoint if state else None)

    best = min(record.rows, key=lambda row: row["val_rmse"])
    result = Result(
        run, run / weights.BEST, not budget.stopped, trainer.global_step, budget.elapsed / 60,
        int(best["step"]), best["val_rmse"], best["val_rmse_per_picture"], budget.pictures_per_second,
    )  # fmt: skip
    if trainer.is_global_zero:
        outcome = {key: value for key, value in asdict(result).items() if key not in ("run", "weights")}
        _write_json(run / RUN, {**description, "result": outcome})
    return result


def _packed(settings: Settings, say: Say, keep: bool) -> pictures.Packed:
    """Open the packed pictures, or pack them into the run's folder, where they are kept if training has begun."""
    data, ours = Path(settings.data), Path(settings.run) / PICTURES
    if data.suffix == ".npy" and pictures.information_path(data).exists():
        return pictures.open_packed(data)
    if first_process() and not (keep and ours.exists()):
        say(f"packing the pictures of {data} into {ours}")
        crops = None if settings.crops is None else pictures.Crops(settings.crops, seed=settings.seed)
        report = pictures.pack([data], ours, crops=crops, overwrite=True)
        if report.skipped:
            say(f"note: {len(report.skipped)} of {report.read} pictures could not be used, such as {report.skipped[0]}")
    return pictures.open_packed(ours)


def _network(settings: Settings) -> networks.Network:
    if Path(settings.network).exists():
        if settings.options:
            raise DeepixError(f"{settings.network}: weights bring their network's options with them; give none")
        return weights.load(settings.network).train()
    return networks.create(settings.network, **settings.options)


def _checked(checkpoint: Path | None, settings: Settings, count: int) -> dict[str, Any] | None:
    """Return a checkpoint's content if there is something left to do."""
    if checkpoint is None:
        return None
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        done, elapsed = state["global_step"], state["callbacks"]["Budget"]["elapsed"]
    except OSError:
        raise
    except Exception as error:  # PyTorch raises whatever its zip reader and unpickler happen to
        raise InputError(f"{checkpoint}: a damaged checkpoint ({type(error).__name__}: {error})") from error
    total = budget_steps(settings, count)
    if done >= total if total is not None else elapsed >= 60 * (settings.minutes or 0):
        raise InputError(
            f"{settings.run}: its budget is used up ({done} steps, {elapsed / 60:.1f} minutes); give a larger one"
        )
    return state


def _trainer(settings: Settings, record: Record, budget: Budget) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    callbacks: list[pl.Callback] = [record]  # before the average, to find it in the network's place
    if settings.ema:
        callbacks.append(Average(settings.ema))
    if settings.patience is not None:
        callbacks.append(EarlyStopping("val/rmse", patience=settings.patience, check_on_train_epoch_end=False))
    bar = sys.stderr.isatty()
    if bar:
        callbacks.append(Bar(budget))
    callbacks.append(budget)  # last, to save what the others made of a step
    precision: Any = settings.precision
    if precision is None:
        gpu = settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        precision = "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true"
    several = settings.devices * settings.nodes > 1
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        # some of the ancestor's networks have parameters that they never use
        strategy="ddp_find_unused_parameters_true" if several and settings.strategy == "auto" else settings.strategy,
        sync_batchnorm=several and torch.cuda.is_available() and settings.accelerator != "cpu",
        precision=precision,
        gradient_clip_val=settings.clip or None,
        max_epochs=-1,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        plugins=[AtomicFiles()],
        logger=TensorBoardLogger(settings.run, name="", version="tensorboard")
        if importlib.util.find_spec("tensorboard")
        else False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=bar,
        use_distributed_sampler=False,
        benchmark=True,
    )


def _description(settings: Settings, network: networks.Network, data: dict[str, Any]) -> dict[str, Any]:
    """Return what `run.json` says."""
    packages = ("torch", "lightning", "numpy", "pillow")
    return {
        "settings": asdict(settings),
        "command": sys.argv,
        "network": {"config": network.config, "parameters": sum(p.numel() for p in network.parameters())},
        "data": data,
        "environment": {
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "deepix": deepix.__version__,
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    temporary.replace(path)
