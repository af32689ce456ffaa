"""What remains of a run: its log, the best weights and sheets of samples, each validation's curve."""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from deepix import files
from deepix.errors import DeepixError, InputError
from deepix.training import weights
from deepix.training.engine import plots
from deepix.training.engine.callbacks import Budget
from deepix.training.engine.log import log
from deepix.training.engine.settings import Settings
from deepix.training.engine.stage import Data, Row, Stage
from deepix.training.engine.task import Task

LOG = "log.csv"
"""The log in a run's folder: a row for each validation."""

COLUMNS = ("step", "epoch", "minutes", "lr")
"""Of every log; after them come the stage's."""


class Record(pl.Callback):
    """Keeps the record. Comes before `Average`, whose weights it finds in the network's place."""

    def __init__(self, stage: Stage, settings: Settings, budget: Budget, data: Data) -> None:
        self.stage, self.settings, self.budget, self.data = stage, settings, budget, data
        self.run = Path(settings.run)
        self.rows: list[dict[str, float]] = []  # of the log
        self._sums: Tensor | None = None  # of the running values since the last validation, and their number
        self._drawn, self._drawing = -math.inf, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Sum the running values."""
        values = outputs["running"]
        self._sums = values.clone() if self._sums is None else self._sums.to(values.device) + values

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the averaged weights, write the log, keep the best."""
        task = cast(Task, pl_module)
        score = task.score()
        row = self._row(trainer, score)
        for name, value in row.items():
            if name not in COLUMNS[:3]:
                pl_module.log(metric(name), value, prog_bar=name == self.stage.criterion.column)
        decides = self.stage.criterion.column
        better = not self.rows or self.stage.criterion.better(
            row[decides], self.stage.criterion.best(self.rows)[decides]
        )
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        write_log(self.run, self.rows)
        with tqdm.external_write_mode(sys.stdout):  # else the line runs into the bar
            log.info(
                f"step {self.budget.step:>7}  {row['minutes']:6.1f} min ({min(self.budget.progress, 1):4.0%})  "
                f"{self.stage.line(row, score)}{'  best' if better else ''}"
            )
        if better:
            self._keep(trainer, task, row, score)
        # a curve takes a third of a second to draw: not more than a twentieth of the time
        if time.monotonic() - self._drawn > 20 * self._drawing:
            self._draw()

    def _row(self, trainer: pl.Trainer, score: Any) -> dict[str, float]:
        assert self._sums is not None
        *sums, count = trainer.strategy.reduce(self._sums, reduce_op="sum").tolist()
        self._sums = None
        row = {
            "step": self.budget.step,
            "epoch": self.budget.epoch,
            "minutes": self.budget.elapsed / 60,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            **self.stage.row([s / max(count, 1) for s in sums], score),
        }
        assert tuple(row) == COLUMNS + self.stage.columns
        if self.stage.diverged(row):
            raise DeepixError(f"{self.run}: training diverged (step {self.budget.step}): lower --lr, or --clip")
        return row

    def _keep(self, trainer: pl.Trainer, task: Task, row: dict[str, float], score: Any) -> None:
        extra = {
            **row, **self.stage.extra(score), "settings": asdict(self.settings), "data": self.data.about
        }  # fmt: skip
        weights.save(task.network, self.run / weights.BEST, overwrite=True, extra=extra)
        with trainer.precision_plugin.forward_context():
            sheet = self.stage.sheet(task.network, self.data.validation, self.settings, row)
        if sheet is not None:
            plots.save_picture(sheet, self.run / "samples" / f"best_{self.budget.step:07d}.png")

    def _draw(self) -> None:
        start = time.monotonic()
        if plots.can_draw():
            plots.curves({self.run.name: self.rows}, self.stage, self.run / "curve.png")
        self._drawn, self._drawing = time.monotonic(), time.monotonic() - start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the whole curve."""
        if trainer.is_global_zero:
            self._draw()

    def state_dict(self) -> dict[str, Any]:
        """Return the log and the running values."""
        return {"rows": self.rows, "sums": None if self._sums is None else self._sums.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; older runs of the locator have no sums, those of restorers zeros after a validation."""
        self.rows, sums = state_dict["rows"], state_dict.get("sums")
        self._sums = torch.tensor(sums) if sums and any(sums) else None


def metric(column: str) -> str:
    """Return what Lightning calls a column of the log."""
    kind, _, rest = column.partition("_")
    return f"{kind}/{rest}" if kind in ("val", "train") else column


def write_log(run: Path | str, rows: Sequence[Row]) -> None:
    """Write a run's log anew, in one step."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(Path(run) / LOG, text.getvalue().encode(), overwrite=True)


def read_log(run: Path | str, stage: Stage) -> list[dict[str, float]]:
    """Return the rows of a run's log, each with `COLUMNS` and the stage's.

    Raises
    ------
    InputError : there is no log, or it is none of the stage's
    """
    path = Path(run) / LOG
    columns = COLUMNS + stage.columns
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise InputError(f"{path}: not the log of a run (its first line is not {','.join(columns)})")
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is this the folder of a run that has validated?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    try:
        return [{name: float(row[name]) for name in columns} for row in rows]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a damaged row ({error})") from error
