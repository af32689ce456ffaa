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
import os
import platform
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

import deepix
from deepix import files
from deepix.errors import DeepixError, InputError, OutputError, reason
from deepix.training import mosaics, networks, pictures, weights
from deepix.training.batches import Batches, held_out, ranges, seed_of
from deepix.training.callbacks import LAST, Average, Bar, Budget, Record, Say
from deepix.training.settings import RUN, Settings, budget_steps, read
from deepix.training.task import Task

PICTURES = "pictures.npy"
"""The pictures in a run's folder if they were packed for it."""


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


def fit(settings: Settings, say: Say = print, bar: bool = False) -> Result:
    """Train a network.

    Parameters
    ----------
    settings : see there
    say : gets a line for every validation and note
    bar : show a progress bar with the running losses on standard output

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
    return _guarded(settings, None, say, bar)


def resume(run: Path | str, say: Say = print, bar: bool = False, **budget: Any) -> Result:
    """Go on with a run from its last checkpoint (from the start if it has none).

    Parameters
    ----------
    run : its folder
    say, bar : as for `fit`
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
    return _guarded(settings, checkpoint if checkpoint.exists() else None, say, bar)


def first_process() -> bool:
    """Return whether this is the process that writes and prints, of those that train together."""
    return not rank_zero_only.rank  # type: ignore[attr-defined]


def _guarded(settings: Settings, checkpoint: Path | None, say: Say, bar: bool) -> Result:
    """Turn what the system refuses into one line."""
    try:
        return _fit(settings, checkpoint, say, bar)
    except OSError as error:
        refusals = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EFBIG)
        if error.errno not in refusals:
            raise
        failed = f"{error.filename or settings.run}: {reason(error)}"
        cause: Exception = error
    except OutputError as error:
        failed, cause = str(error), error
    raise OutputError(
        f"{failed}; make room or choose another folder "
        f"(a run that had begun continues with: deepix train --resume {settings.run})"
    ) from cause


def _fit(settings: Settings, checkpoint: Path | None, say: Say, bar: bool) -> Result:
    run = Path(settings.run)
    torch.manual_seed(seed_of(settings.seed, 0))
    network = _network(settings)
    # measured on CPUs: a training step takes 15 to 20 % less; on GPUs it is what tensor cores want
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    packed = _packed(settings, say, keep=checkpoint is not None)
    height, width = packed.pixels.shape[1:3]
    try:
        mosaics.draw(1, height, width, ranges(settings))
    except ValueError as error:
        raise DeepixError(f"{settings.data}: {error}") from error
    indices, validation = held_out(packed, settings)
    batches = Batches(packed.pixels, indices, settings.batch, settings.seed)
    done = None if checkpoint is None else _steps_done(checkpoint, settings, len(indices))
    data = {
        "file": settings.data,
        "sha256": packed.info["sha256"],
        "training_pictures": len(indices),
        "validation_pictures": len(validation.pixels),
        "picture_shape": list(packed.pixels.shape[1:]),
    }
    budget = Budget(settings, batches, validation)
    record = Record(settings, budget, data, say)
    description = describe(settings, network, data)
    if done is not None:
        description = resumed(description, run, done)
    if first_process():
        files.make_folder(run)
        write_json(run / RUN, description)
        count = sum(p.numel() for p in network.parameters())
        say(f"{settings.network}: {count:,} parameters; {len(indices):,} pictures to train on, "
            f"{len(validation.pixels):,} to validate; writing {run}")  # fmt: skip
        for missing in [m for m in ("tensorboard", "matplotlib") if importlib.util.find_spec(m) is None]:
            what = {"tensorboard": "TensorBoard logs", "matplotlib": "curve pictures"}[missing]
            say(f"note: no {what}, because {missing} is not installed")

    try:
        trainer = make_trainer(settings, record, budget, bar)
    except (MisconfigurationException, ValueError) as error:
        raise DeepixError(
            f"Lightning cannot train with this accelerator, strategy or precision: {reason(error)}"
        ) from error
    task = Task(network, settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(task, batches, validation, ckpt_path=checkpoint)

    best = min(record.rows, key=lambda row: row["val_rmse"])
    result = Result(
        run, run / weights.BEST, not budget.stopped, trainer.global_step, budget.elapsed / 60,
        int(best["step"]), best["val_rmse"], best["val_rmse_per_picture"], budget.pictures_per_second,
    )  # fmt: skip
    if trainer.is_global_zero:
        outcome = {key: value for key, value in asdict(result).items() if key not in ("run", "weights")}
        write_json(run / RUN, {**description, "result": outcome})
    return result


def _packed(settings: Settings, say: Say, keep: bool) -> pictures.Packed:
    """Open the packed pictures, or pack them into the run's folder, where they are kept if training has begun."""
    data, ours = Path(settings.data), Path(settings.run) / PICTURES
    if data.suffix == ".npy" and pictures.information_path(data).exists():
        return pictures.open_packed(data)
    if first_process() and not (keep and ours.exists()):
        pictures.read(data)  # what cannot be read at all shows before anything is written
        files.make_folder(ours.parent)
        say(f"packing the pictures of {data} into {ours}")
        crops = None if settings.crops is None else pictures.Crops(settings.crops, seed=settings.seed)
        report = pictures.pack([data], ours, crops=crops, overwrite=True)
        if report.skipped:
            say(f"note: {len(report.skipped)} of {report.read} pictures could not be used, such as {report.skipped[0]}")
    return pictures.open_packed(ours)


def _network(settings: Settings) -> networks.Network:
    if Path(settings.network).exists():
        return weights.load(settings.network, options=settings.options).train()
    return networks.create(settings.network, **settings.options)


def minutes_used(run: Path | str) -> float:
    """Return how many minutes of its budget a run had used at its last checkpoint.

    Raises
    ------
    InputError : the checkpoint is damaged
    """
    return used(Path(run) / LAST)[1] / 60


def used(checkpoint: Path) -> tuple[int, float]:
    """Return after how many steps and seconds a checkpoint was written; InputError if it is damaged."""
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return int(state["global_step"]), float(state["callbacks"]["Budget"]["used"])
    except OSError:
        raise
    except Exception as error:  # PyTorch raises whatever its zip reader and unpickler happen to
        raise InputError(
            f"{checkpoint}: a damaged checkpoint; go on from the run's best weights in a new run: "
            f"deepix train {checkpoint.parent} …"
        ) from error


def _steps_done(checkpoint: Path, settings: Settings, count: int) -> int:
    """Return after which step a checkpoint was written; InputError if it is damaged or nothing is left to do."""
    done, seconds = used(checkpoint)
    total = budget_steps(settings, count)
    if done >= total if total is not None else seconds >= 60 * (settings.minutes or 0):
        raise InputError(
            f"{settings.run}: its budget is used up ({done} steps, {seconds / 60:.1f} minutes); "
            "give a larger one in minutes, steps or epochs"
        )
    return done


def make_trainer(settings: Settings, record: pl.Callback, budget: Budget, bar: bool) -> pl.Trainer:
    """Return Lightning's trainer for a run; `budget` and `record` are told of all that happens."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    callbacks: list[pl.Callback] = [record]  # before the average, to find it in the network's place
    if settings.ema:
        callbacks.append(Average(settings.ema))
    if settings.patience is not None:
        callbacks.append(EarlyStopping("val/rmse", patience=settings.patience, check_on_train_epoch_end=False))
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
        strategy=settings.strategy,
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


def describe(settings: Settings, network: networks.Network, data: dict[str, Any]) -> dict[str, Any]:
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


def resumed(description: dict[str, Any], run: Path, step: int) -> dict[str, Any]:
    """Return what `run.json` says of a run that goes on after a step: how it began, and how it was resumed."""
    try:
        before = json.loads((run / RUN).read_text("utf-8"))
        budget = {name: before["settings"][name] for name in ("minutes", "steps", "epochs")}
        first = {name: before[name] for name in ("command", "started")}
        same = before["data"]["sha256"] == description["data"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / RUN}: damaged ({type(error).__name__}: {reason(error)})") from error
    if not same:
        raise InputError(
            f"{description['data']['file']}: other pictures than the run began with; put those back, or begin a new run"
        )
    again = {name: description[name] for name in first} | {"after_step": step, "budget_before": budget}
    return {**description, **first, "resumed": [*before.get("resumed", []), again]}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write what `run.json` says, in one step."""
    files.write_bytes(path, (json.dumps(content, indent=2) + "\n").encode(), overwrite=True)
