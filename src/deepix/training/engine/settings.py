"""What a training run depends on: each option is declared once, in `Settings` or in the settings of a stage.

From a declaration come the check of its values, the flag of `deepix train` with its help, and what `run.json` and a
recipe's `[settings]` hold. Free of PyTorch, so that the command line loads at once.
"""

# ruff: noqa: RUF009 (declarations are made once, as fields are)

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin, get_type_hints

from deepix.errors import DeepixError

Optimizer = Literal["adam", "adamw", "muon"]
Schedule = Literal["cosine", "wsd", "step", "constant"]

BUDGET, DATA, LEARNING, MACHINE = "Budget", "Data", "Learning", "Machine"
"""The panels of options in `deepix train --help`."""


class Option(NamedTuple):
    """How a setting is given and checked.

    Attributes
    ----------
    help : for the command line; None: it has no flag
    panel : of the help
    low, high : bounds of numbers
    flag : names of the flag, if not the setting's own
    metavar : what stands for the value in the help
    shown : what the help says of the default, in the place of its value; False: nothing
    least : smallest number that the command line takes, if it says so in the help
    """

    help: str | None = None
    panel: str | None = None
    low: float | None = None
    high: float | None = None
    flag: str | None = None
    metavar: str | None = None
    shown: str | bool = True
    least: int | None = None


class Flag(NamedTuple):
    """A flag that is a part of a setting, see `Settings.from_flags`."""

    type: Any
    default: Any
    option: Option


def option(default: Any = MISSING, help: str | None = None, **more: Any) -> Any:
    """Declare a setting: its default (a function that makes it; none: it must be given) and its `Option`."""
    metadata = {"option": Option(help, **more)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on, of any stage; `run.json` holds it, and it suffices to repeat the run.

    Raises
    ------
    DeepixError : a value is not of its type or out of its bounds, or there is not one budget
    """

    FLAGS: ClassVar[Mapping[str, Flag]] = {}
    """Flags of the command line beside those of the settings, see `from_flags`."""

    stage: str = option()
    network: str = option()
    data: str = option()
    run: str = option()
    options: dict[str, Any] = option(
        dict,
        "An argument of the network, the value as JSON: --set batch_norm=false. Repeatable.",
        panel=LEARNING, flag="--set", metavar="NAME=VALUE", shown=False,
    )  # fmt: skip
    minutes: float | None = option(None, "Minutes of training, validation included.", panel=BUDGET, low=0, shown=False)
    steps: int | None = option(None, "Steps of training; a step sees one batch.", panel=BUDGET, low=0, shown=False)
    epochs: float | None = option(None, "Passes through the training pictures.", panel=BUDGET, low=0, shown=False)
    patience: int | None = option(
        None, "Stop after this many validations without a new best.", panel=BUDGET, low=1, shown=False
    )
    validate: str | None = option(
        None,
        "True pictures and mosaics, as deepix challenge prepare writes them; or what deepix data pack wrote, with "
        "fixed random mosaics. Default: a tenth of the data.",
        panel=DATA, metavar="FILE", shown=False,
    )  # fmt: skip
    validate_every: int | None = option(
        None, "Steps between validations.",
        panel=DATA, low=1, shown="40 validations, or fewer so that they take a tenth of the time at most",
    )  # fmt: skip
    patch: int | None = option(
        None, "Side of the random part of each picture that a step sees.", panel=DATA, low=1, metavar="N", shown="all"
    )
    batch: int = option(64, "Pictures in a step, of all processes together.", panel=LEARNING, low=1)
    optimizer: Optimizer = option("adamw", "Muon wants a higher --lr, such as 0.003.", panel=LEARNING)
    lr: float = option(1e-3, "Learning rate.", panel=LEARNING, low=1e-12)
    weight_decay: float = option(0.01, "Of kernels and matrices, not of biases and norms.", panel=LEARNING, low=0)
    schedule: Schedule = option(
        "cosine",
        "Of the learning rate: warm-up, then a cosine to 0 over the budget; or wsd: warm-up, stable, and a decay to 0 "
        "in the last --decay of the budget; or a tenth after every --drop-every epochs; or constant.",
        panel=LEARNING,
    )
    warmup: float = option(
        0.02, "Share of the budget in which the rate rises (schedules cosine, wsd).", panel=LEARNING, low=0, high=1
    )
    decay: float = option(
        0.2, "Share of the budget in which the rate falls to 0 (schedule wsd).", panel=LEARNING, low=0, high=1
    )
    drop_every: float = option(
        15.0, "Epochs after which the rate falls to a tenth (schedule step).", panel=LEARNING, low=1e-12
    )
    ema: float = option(
        0.999,
        "Decay of the weights' exponential moving average, which is validated and kept; 0: none.",
        panel=LEARNING, low=0, high=1 - 1e-12,
    )  # fmt: skip
    clip: float = option(1.0, "Largest norm of the gradient; 0: any.", panel=LEARNING, low=0)
    seed: int = option(0, "Of weights, order and mosaics.", panel=LEARNING, low=0, least=0)
    save_minutes: float = option(
        5.0, "Minutes between checkpoints, in addition to those at validations.", panel=MACHINE, low=0
    )
    precision: str | None = option(
        None, "Lightning's: 32-true, bf16-mixed, 16-mixed …",
        panel=MACHINE, shown="bf16-mixed on a GPU that has it, else 32-true",
    )  # fmt: skip
    accelerator: str = option("auto", "Lightning's: auto, cpu, gpu, mps …", panel=MACHINE)
    devices: int = option(1, "GPUs, or processes on a CPU, of each machine.", panel=MACHINE, low=1)
    nodes: int = option(1, "Machines.", panel=MACHINE, low=1)
    strategy: str = option("auto", "Lightning's: auto, ddp, fsdp …", panel=MACHINE)

    def __post_init__(self) -> None:
        budgets = [b for b in (self.minutes, self.steps, self.epochs) if b is not None]
        if len(budgets) != 1 or budgets[0] <= 0:
            raise DeepixError("training needs one budget above 0: minutes, steps or epochs")
        for name, declared in declarations(type(self)).items():
            check(name, getattr(self, name), declared)
        if self.batch % (self.devices * self.nodes):
            raise DeepixError(
                f"a batch of {self.batch} cannot be shared out among {self.devices * self.nodes} processes"
            )

    @classmethod
    def from_flags(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings that flags of the command line say; a stage with `FLAGS` makes them settings here."""
        return cls(**{name: value for name, value in given.items() if name not in cls.FLAGS})


class Declaration(NamedTuple):
    """A setting's type and how it is given."""

    type: Any
    default: Any
    option: Option


def declarations(settings: type[Settings]) -> dict[str, Declaration]:
    """Return the settings by name, in their order."""
    hints = get_type_hints(settings)
    return {f.name: Declaration(hints[f.name], _default(f), f.metadata["option"]) for f in fields(settings)}


def _default(declared: Field[Any]) -> Any:
    return declared.default if declared.default_factory is MISSING else declared.default_factory()


def check(name: str, value: Any, declared: Declaration) -> None:
    """Raise a DeepixError if a value is not of the declared type, or out of its bounds."""
    kinds = get_args(declared.type) if get_origin(declared.type) in (Union, types.UnionType) else (declared.type,)
    if value is None and type(None) in kinds:
        return
    (kind,) = (k for k in kinds if k is not type(None))
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise DeepixError(f"{name} must be one of {', '.join(get_args(kind))}, not {value!r}")
        return
    plain = get_origin(kind) or kind
    wanted = (int, float) if plain is float else plain
    if not isinstance(value, wanted) or (isinstance(value, bool) and plain is not bool):
        raise DeepixError(f"{name} must be of the type {plain.__name__}, not {value!r}")
    low, high = declared.option.low, declared.option.high
    if high is not None and not (low or 0) <= value <= high:
        raise DeepixError(f"{name} must be {low:g} … {high:g}, not {value}")
    if low is not None and not low <= value:
        raise DeepixError(f"{name} must be at least {low:g}, not {value}")


def rate(settings: Settings, progress: float, epoch: float) -> float:
    """Return the factor of the learning rate at a point of the budget (0 … 1) and of the data (in epochs).

    "cosine": rises from a tenth over `warmup` of the budget, then falls as half a cosine to 0. "step": a tenth after
    every `drop_every` epochs, as DeePixV1 was trained. "wsd": rises likewise, stays, and falls as 1 − √t in the last
    `decay` of the budget (Hägele et al. 2024, arXiv:2405.18392): a run that has not begun to decay can be given a
    larger budget, or a copy of it a smaller one, and its past would have been the same. "constant": 1.
    """
    if settings.schedule == "step":
        return float(0.1 ** (epoch // settings.drop_every))
    if settings.schedule == "constant":
        return 1.0
    if progress < settings.warmup:
        return max(progress / settings.warmup, 0.1)
    if settings.schedule == "wsd":
        decayed = (progress - (1 - settings.decay)) / max(settings.decay, 1e-9)
        return 1 - math.sqrt(min(max(decayed, 0.0), 1.0))
    rest = (progress - settings.warmup) / max(1 - settings.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


def budget_steps(settings: Settings, count: int) -> int | None:
    """Return the steps of a budget in steps or epochs of `count` pictures; None for one in minutes."""
    if settings.steps is not None:
        return settings.steps
    return math.ceil(settings.epochs * count / settings.batch) if settings.epochs is not None else None
