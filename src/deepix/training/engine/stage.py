"""What a stage of training brings; the engine does the rest.

A stage is a folder of `deepix.training.stages` (or elsewhere, see there) whose module `stage` holds an instance of a
`Stage` as `STAGE`. It is stateless: all that a run remembers is in its network, its optimizers and its log.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from deepix.training.engine.batches import Batches, Validation
from deepix.training.engine.optimizers import optimizer_of
from deepix.training.engine.settings import Settings
from deepix.training.networks import Family, Network

if TYPE_CHECKING:
    from deepix.training.engine.card import Card
    from deepix.training.engine.export import Run
    from deepix.training.engine.recipes import Recipe

Row = Mapping[str, float]
"""A row of a run's log."""


class Step(NamedTuple):
    """Where training is: the step (from 0), this process, and whose turn it is: the number of an optimizer."""

    number: int
    rank: int = 0
    turn: int = 0


class Loss(NamedTuple):
    """What a turn of a step is to minimise.

    Attributes
    ----------
    total : with a gradient; None: this turn is left out
    shown : while training runs
    running : values of which the log gets the means; of a step with several turns those of all, one after another
    """

    total: Tensor | None
    shown: Tensor
    running: tuple[Tensor, ...] = ()


class Data(NamedTuple):
    """What a run trains on and validates with.

    Attributes
    ----------
    batches, validation : of `deepix.training.engine.batches`
    about : for `run.json`: `file`, `sha256`, `training_pictures`, `picture_shape` at least
    notes : what the person who trains should know of it
    """

    batches: Batches
    validation: Validation
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


class Criterion(NamedTuple):
    """By what weights are chosen.

    Attributes
    ----------
    column : of the log
    score : its name among the scores of `Stage.assess`
    lower : whether less is better
    """

    column: str
    score: str
    lower: bool

    def better(self, one: float, other: float) -> bool:
        """Return whether one score is better than the other."""
        return one < other if self.lower else one > other

    def best(self, rows: Sequence[Row]) -> Row:
        """Return the row of the log with the best score, the first of equals."""
        return (min if self.lower else max)(rows, key=lambda row: row[self.column])


class Line(NamedTuple):
    """A line in a panel of curves.

    Attributes
    ----------
    label : what it shows
    value : of a row of the log
    of_training : drawn dashed, and left out where there are many runs
    decides : its best value is marked
    """

    label: str
    value: Callable[[Row], float]
    of_training: bool = False
    decides: bool = False


class Panel(NamedTuple):
    """A part of the picture of curves: the label of its y axis, its lines, and that axis's bounds if they are fixed."""

    label: str
    lines: tuple[Line, ...]
    bounds: tuple[float, float] | None = None


class Assessment(NamedTuple):
    """What a network reaches on a recipe's validation set.

    Attributes
    ----------
    scores : ready for JSON, among them `validation_sha256` (scores with the same can be compared) and the criterion's
    further : what the model's metadata hold besides, such as a calibration
    """

    scores: dict[str, Any]
    further: dict[str, Any] = {}  # noqa: RUF012 (never written to)


class Stage(ABC):
    """A stage of training.

    Attributes
    ----------
    name : as recipes and `run.json` have it
    families : the networks that it trains, by the name of the family
    settings : what its runs depend on
    columns : of the log, after step, epoch, minutes and rate
    outcome : those of them that `run.json` states of the best weights
    criterion : by which weights are chosen
    panels : of the curves
    unit : what a step sees many of
    turns : how many optimizers there are; with several, all of them take a turn in each step
    leftovers : files that `open` may leave in a run's folder before training begins
    """

    name: ClassVar[str]
    families: ClassVar[Mapping[str, Family]]
    settings: ClassVar[type[Settings]]
    columns: ClassVar[tuple[str, ...]]
    outcome: ClassVar[tuple[str, ...]]
    criterion: ClassVar[Criterion]
    panels: ClassVar[tuple[Panel, ...]]
    unit: ClassVar[str] = "pictures"
    turns: ClassVar[int] = 1
    leftovers: ClassVar[tuple[str, ...]] = ()

    # ── a run ────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def open(self, settings: Any, keep: bool) -> Data:
        """Return what a run trains on; `keep` what an earlier start of it made for itself.

        Raises
        ------
        InputError : it cannot be read
        """

    def optimizers(self, network: Network, settings: Any) -> list[torch.optim.Optimizer]:
        """Return the optimizers, as many as there are `turns`, in their order."""
        return [optimizer_of(network, settings)]

    @abstractmethod
    def loss(self, network: Any, batch: Any, settings: Any, step: Step) -> Loss:
        """Return what this turn is to minimise on a batch."""

    @abstractmethod
    def tally(self, network: Any, batch: Any, settings: Any) -> Tensor:
        """Return what is to be summed over the validation set, float64 on the CPU, from one of its batches."""

    @abstractmethod
    def score(self, sums: Tensor) -> Any:
        """Return the scores that summed up tallies make; any type that `row` and `line` understand."""

    @abstractmethod
    def row(self, running: Sequence[float], score: Any) -> dict[str, float]:
        """Return the log's `columns` from the means of the losses' running values and a score."""

    def diverged(self, row: Row) -> bool:
        """Return whether training has failed."""
        return not math.isfinite(row[self.criterion.column])

    @abstractmethod
    def line(self, row: Row, score: Any) -> str:
        """Return what is reported of a validation, in one line."""

    @abstractmethod
    def summary(self, row: Row) -> str:
        """Return what is reported of a run's best weights, in a few words."""

    def extra(self, score: Any) -> dict[str, Any]:
        """Return what the best weights' file holds besides the row of the log, ready for JSON."""
        return {}

    def sheet(self, network: Any, validation: Validation, settings: Any, row: Row) -> Image.Image | None:
        """Return a sheet of samples to look at, if the stage has any."""
        return None

    # ── a recipe ─────────────────────────────────────────────────────────────────────────────────

    def recipe(self, data: Mapping[str, Any], validation: Mapping[str, Any]) -> Any:
        """Return what the stage reads in a recipe's tables, kept as `Recipe.own`.

        Raises
        ------
        KeyError, TypeError, ValueError : something is missing or wrong
        """
        return None

    @abstractmethod
    def gather(self, recipe: Recipe, folder: Path) -> tuple[Path, Path]:
        """Return the files that a recipe trains on and validates with, made from the folder's if they are missing.

        Raises
        ------
        InputError : the folder lacks something
        """

    # ── a release ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def assess(self, network: Any, recipe: Recipe, folder: Path, device: str = "auto") -> Assessment:
        """Return what a network reaches on a recipe's validation set.

        Raises
        ------
        InputError : the validation set cannot be read
        """

    @abstractmethod
    def headline(self, scores: Mapping[str, Any]) -> str:
        """Return the deciding scores in a few words."""

    @abstractmethod
    def report(self, assessment: Assessment) -> list[str]:
        """Return lines that tell all scores."""

    @abstractmethod
    def trained(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return what there is to say of the run that wrote a weights file with this `extra`, ready for JSON."""

    def describe(self, network: Any, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what a model's metadata hold because of the runs in its history."""
        return {}

    def companions(self, network: Any) -> Mapping[str, Network]:
        """Return parts of the network that are released as models of their own, by these models' names."""
        return {}

    @abstractmethod
    def compare(self, run: Run, network: Any) -> float:
        """Return the largest difference between what ONNX Runtime and PyTorch compute.

        Parameters
        ----------
        run : the exported model at work
        network : the one it was made from, in evaluation mode on the CPU

        Raises
        ------
        DeepixError : it is too large, or not a number
        """

    def agreement(self, difference: float) -> str:
        """Return a difference of `compare` in words."""
        return f"{difference:.1g}"

    @abstractmethod
    def card(self, recipe: Recipe, about: Mapping[str, Any], network: Any) -> Card:
        """Return what the model's card says of this kind of network in particular."""
