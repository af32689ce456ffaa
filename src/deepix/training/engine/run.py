"""A run of any stage, on Lightning: settings in, a folder with curves, samples and the best weights out.

    examples ─ order(seed) ─▶ batch ─ stage.loss ─▶ optimizers (rate = lr · schedule(progress)) ─▶ averaged weights
    averaged weights ─ fixed validation set ─ stage.tally, score ─▶ better? ─▶ best.safetensors, samples/best_….png

Which examples a step sees depends on the seed and the step alone, so that an interrupted run goes on as if it had not
been. What Lightning calls an epoch is the whole run here; validation, checkpoints and the end are `Budget`'s to decide.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError, reason
from deepix.training import networks, stages, weights
from deepix.training.engine import description
from deepix.training.engine.batches import seed_of
from deepix.training.engine.callbacks import LAST, Average, Bar, Budget
from deepix.training.engine.checkpoints import AtomicFiles, used
from deepix.training.engine.log import first_process, log
from deepix.training.engine.record import Record, metric
from deepix.training.engine.settings import Settings, budget_steps
from deepix.training.engine.stage import Data, Row, Stage
from deepix.training.engine.task import Task

EXTRAS = {"tensorboard": "TensorBoard logs", "matplotlib": "curve pictures"}
"""What a run leaves only where a package is installed."""


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    run, weights : its folder, and the file of its best weights
    finished : whether its budget is used up or nothing got better for long; else it was interrupted
    steps, minutes : since its first start
    best : the log's row of the best weights
    pictures_per_second : of training and validation together, since this start
    """

    run: Path
    weights: Path
    finished: bool
    steps: int
    minutes: float
    best: Row
    pictures_per_second: float

    @property
    def best_step(self) -> int:
        """After which step the best weights were kept."""
        return int(self.best["step"])


def fit(settings: Settings, bar: bool = False) -> Result:
    """Train a network. What happens is logged to "deepix.training".

    Parameters
    ----------
    settings : of the stage
    bar : show a progress bar with the running losses on standard output

    Returns
    -------
    Where the best weights are, and how good

    Raises
    ------
    InputError : the data or the validation file cannot be used
    OutputError : the folder exists and is not empty, or cannot be written (a full disk, no permission)
    DeepixError : no such network, or options it cannot have, or training diverged
    """
    settings = replace(
        settings,
        data=str(Path(settings.data).resolve()),
        run=str(Path(settings.run).resolve()),
        validate=None if settings.validate is None else str(Path(settings.validate).resolve()),
        network=str(Path(settings.network).resolve()) if weights.exist(settings.network) else settings.network,
    )
    run = Path(settings.run)
    # what a run leaves that failed before its first validation (a wrong file name, say) does not stand in the way
    harmless = {description.RUN, "samples", "tensorboard", *stages.get(settings.stage).leftovers}
    if first_process() and run.exists() and not (run.is_dir() and {f.name for f in run.iterdir()} <= harmless):
        raise OutputError(f"{run}: exists already; choose another folder, or continue it with --resume")
    return _guarded(settings, None, bar)


def resume(run: Path | str, bar: bool = False, **budget: Any) -> Result:
    """Go on with a run from its last checkpoint (from the start if it has none).

    Parameters
    ----------
    run : its folder
    bar : as for `fit`
    budget : `minutes`, `steps` or `epochs` in all, from the run's first start, instead of the run's own; the
        schedule is stretched over it

    Raises
    ------
    InputError : the folder holds no run, its checkpoint is damaged, or its budget is used up
    OutputError, DeepixError : as `fit`
    """
    run = Path(run).resolve()
    settings = description.read(run)
    given = {name: value for name, value in budget.items() if value is not None}
    if given:
        given = {"minutes": None, "steps": None, "epochs": None, **given}
    settings = replace(settings, run=str(run), **given)
    checkpoint = run / LAST
    return _guarded(settings, checkpoint if checkpoint.exists() else None, bar)


def _guarded(settings: Settings, checkpoint: Path | None, bar: bool) -> Result:
    """Turn what the system refuses into one line."""
    try:
        return _fit(settings, checkpoint, bar)
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


def _fit(settings: Settings, checkpoint: Path | None, bar: bool) -> Result:
    stage = stages.get(settings.stage)
    torch.manual_seed(seed_of(settings.seed, 0))
    network = _network(stage, settings)
    # measured on CPUs: a training step takes 15 to 20 % less; on GPUs it is what tensor cores want
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = stage.open(settings, keep=checkpoint is not None)
    done = None if checkpoint is None else _steps_done(settings, len(data.batches.indices))
    budget = Budget(settings, data.batches, data.validation)
    record = Record(stage, settings, budget, data)
    described = _begin(stage, settings, network, data, done)
    try:
        trainer = make_trainer(stage, settings, record, budget, bar)
    except (MisconfigurationException, ValueError) as error:
        raise DeepixError(
            f"Lightning cannot train with this accelerator, strategy or precision: {reason(error)}"
        ) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(Task(stage, network, settings), data.batches, data.validation, ckpt_path=checkpoint)

    run = Path(settings.run)
    best = stage.criterion.best(record.rows)
    result = Result(
        run, run / weights.BEST, not budget.stopped, budget.step, budget.elapsed / 60, best, budget.pictures_per_second
    )
    if trainer.is_global_zero:
        description.write(run, {**described, "result": _outcome(stage, result)})
    return result


def _begin(stage: Stage, settings: Settings, network: networks.Network, data: Data, done: int | None) -> dict[str, Any]:
    """Write the run's description, and report what it is; return the description."""
    run = Path(settings.run)
    described = description.describe(settings, network, data.about)
    if done is not None:
        described = description.resumed(described, run, done)
    if first_process():
        files.make_folder(run)
        description.write(run, described)
        log.info(
            f"{settings.network}: {network.parameter_count():,} parameters; {len(data.batches.indices):,} {stage.unit} "
            f"to train on, {data.validation.count:,} to validate; writing {run}"
        )
        for text in data.notes:
            log.warning(f"note: {text}")
        for missing in [m for m in EXTRAS if importlib.util.find_spec(m) is None]:
            log.info(f"note: no {EXTRAS[missing]}, because {missing} is not installed")
    return described


def _outcome(stage: Stage, result: Result) -> dict[str, Any]:
    return {
        "finished": result.finished,
        "steps": result.steps,
        "minutes": result.minutes,
        "best_step": result.best_step,
        **{f"best_{name.removeprefix('val_')}": result.best[name] for name in stage.outcome},
        "pictures_per_second": result.pictures_per_second,
    }


def _network(stage: Stage, settings: Settings) -> networks.Network:
    if weights.exist(settings.network):
        network = weights.load(settings.network, options=settings.options).train()
    else:
        network = networks.create(settings.network, **settings.options)
    if network.config["name"] not in stage.families:
        raise InputError(
            f"{settings.network}: not a network of the stage {stage.name}, which trains {', '.join(stage.families)}"
        )
    if not weights.exist(settings.network):
        stage.begin(network, settings)
    return network


def _steps_done(settings: Settings, count: int) -> int:
    """Return after which step the checkpoint was written; InputError if it is damaged or nothing is left to do."""
    done, seconds = used(settings.run)
    total = budget_steps(settings, count)
    if done >= total if total is not None else seconds >= 60 * (settings.minutes or 0):
        raise InputError(
            f"{settings.run}: its budget is used up ({done} steps, {seconds / 60:.1f} minutes); "
            "give a larger one in minutes, steps or epochs"
        )
    return done


def make_trainer(stage: Stage, settings: Settings, record: Record, budget: Budget, bar: bool) -> pl.Trainer:
    """Return Lightning's trainer for a run; `budget` and `record` are told of all that happens."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    several = settings.devices * settings.nodes > 1
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=_strategy(stage, settings),
        sync_batchnorm=several and torch.cuda.is_available() and settings.accelerator != "cpu",
        precision=_precision(settings),
        gradient_clip_val=settings.clip or None if stage.turns == 1 else None,  # with turns, `Task` clips
        max_epochs=-1,
        num_sanity_val_steps=0,
        callbacks=_callbacks(stage, settings, record, budget, bar),
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


def _strategy(stage: Stage, settings: Settings) -> str:
    """Return Lightning's strategy; processes that take turns must not wait for gradients of the others' parameters."""
    by_turns = stage.turns > 1 and settings.devices * settings.nodes > 1
    return "ddp_find_unused_parameters_true" if by_turns and settings.strategy == "auto" else settings.strategy


def _precision(settings: Settings) -> Any:
    if settings.precision is not None:
        return settings.precision
    gpu = settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true"


def _callbacks(stage: Stage, settings: Settings, record: Record, budget: Budget, bar: bool) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = [record]  # before the average, to find it in the network's place
    if settings.ema:
        callbacks.append(Average(settings.ema))
    if settings.patience is not None:
        decides = stage.criterion
        mode = "min" if decides.lower else "max"
        callbacks.append(
            EarlyStopping(metric(decides.column), patience=settings.patience, mode=mode, check_on_train_epoch_end=False)
        )
    if bar:
        callbacks.append(Bar(budget))
    callbacks.append(budget)  # last, to save what the others made of a step
    return callbacks
