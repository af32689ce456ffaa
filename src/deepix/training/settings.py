"""What a training run depends on: settings, budget and schedule. Free of PyTorch, so that it loads at once."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from deepix.errors import DeepixError, InputError

RUN = "run.json"
"""The file in a run's folder that holds its settings and what else it takes to repeat it."""

Optimizer = Literal["adam", "adamw", "muon"]
Schedule = Literal["cosine", "step", "constant"]
Loss = Literal["unknown", "whole", "weighted"]
Augment = Literal["none", "flips", "rotations"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on; `run.json` holds it, and it suffices to repeat the run.

    Attributes
    ----------
    network : a name of `networks.create`, or a weights file (or run folder) to go on from
    data : a packed file, or pictures in any form that `pictures.pack` takes; these are packed into the run's folder
    run : folder to write; must be new or empty
    options : arguments of the network's constructor
    minutes, steps, epochs : the budget: exactly one. Steps and epochs can be repeated exactly
    crops : random crops to take of each picture that is packed here; default: the picture as the challenge prepares it
    validate : file of `challenge.read_examples`, or a packed file, whose pictures get fixed random mosaics; default: a
        tenth of the data, with such mosaics
    validate_count : how many pictures of it, evenly spread; default: all, of held-out ones at most 1000
    validate_every : in steps; default: 40 times, or more rarely so that it takes a tenth of the time at most
    batch : pictures in a step, of all processes together
    optimizer : "adam", "adamw", or "muon" for kernels (with AdamW for the rest), which wants a rate of about 1e-2
    lr : learning rate at the schedule's height
    weight_decay : of kernels and matrices, not of biases and norms
    schedule : see `rate`
    warmup : share of the budget in which the rate rises ("cosine")
    drop_every : epochs after which the rate falls to a tenth ("step")
    loss : mean squared error over the "unknown" pixels or the "whole" picture; or over the unknown ones, each
        "weighted" by the inverse of the variance that the network predicts of its error
    ema : decay of the weights' exponential moving average, which is what is validated and kept; 0: none
    clip : largest norm of the gradient; 0: any
    patience : validations without a new best after which training stops; None: never
    augment : see `batches.augmented`
    patch : side of a random part of each picture that a step sees, in pixels; default: the whole picture
    ranges : of the mosaics, as `mosaics.Ranges`; default: the challenge's
    noise : largest standard deviation, in levels, of the noise of lossy files in the input, see `mosaics.disturbed`
    truncate : cut cells' means off to integers as the challenge does
    save_minutes : time between checkpoints, beside those at every validation
    precision : Lightning's; default: bf16-mixed on a GPU that has it, else 32-true
    accelerator, devices, nodes, strategy : Lightning's
    seed : of weights, order, flips and mosaics
    """

    network: str
    data: str
    run: str
    options: dict[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    steps: int | None = None
    epochs: float | None = None
    crops: int | None = None
    validate: str | None = None
    validate_count: int | None = None
    validate_every: int | None = None
    batch: int = 64
    optimizer: Optimizer = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: Schedule = "cosine"
    warmup: float = 0.02
    drop_every: float = 15.0
    loss: Loss = "unknown"
    ema: float = 0.999
    clip: float = 1.0
    patience: int | None = None
    augment: Augment = "flips"
    patch: int | None = None
    ranges: dict[str, Any] = field(default_factory=dict)
    noise: float = 0.0
    truncate: bool = True
    save_minutes: float = 5.0
    precision: str | None = None
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = [b for b in (self.minutes, self.steps, self.epochs) if b is not None]
        if len(budgets) != 1 or budgets[0] <= 0:
            raise DeepixError("training needs one budget above 0: minutes, steps or epochs")
        for name, kind in (("optimizer", Optimizer), ("schedule", Schedule), ("loss", Loss), ("augment", Augment)):
            if getattr(self, name) not in get_args(kind):
                raise DeepixError(f"{name} must be one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        for name, low, high in (
            ("batch", 1, math.inf),
            ("lr", 1e-12, math.inf),
            ("weight_decay", 0, math.inf),
            ("warmup", 0, 1),
            ("drop_every", 1e-12, math.inf),
            ("ema", 0, 1 - 1e-12),
            ("clip", 0, math.inf),
            ("save_minutes", 0, math.inf),
            ("noise", 0, 255),
            ("devices", 1, math.inf),
            ("nodes", 1, math.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise DeepixError(f"{name} must be {low:g} … {high:g}, not {getattr(self, name)}")
        for name in ("crops", "validate_count", "validate_every", "patience", "patch"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise DeepixError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch % (self.devices * self.nodes):
            raise DeepixError(
                f"a batch of {self.batch} cannot be shared out among {self.devices * self.nodes} processes"
            )


def rate(settings: Settings, progress: float, epoch: float) -> float:
    """Return the factor of the learning rate at a point of the budget (0 … 1) and of the data (in epochs).

    "cosine": rises from a tenth over `warmup` of the budget, then falls as half a cosine to 0. "step": the ancestor's,
    a tenth after every `drop_every` epochs. "constant": 1.
    """
    if settings.schedule == "step":
        return float(0.1 ** (epoch // settings.drop_every))
    if settings.schedule == "constant":
        return 1.0
    if progress < settings.warmup:
        return max(progress / settings.warmup, 0.1)
    rest = (progress - settings.warmup) / max(1 - settings.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


def budget_steps(settings: Settings, count: int) -> int | None:
    """Return the steps of a budget in steps or epochs of `count` pictures; None for one in minutes."""
    if settings.steps is not None:
        return settings.steps
    return math.ceil(settings.epochs * count / settings.batch) if settings.epochs is not None else None


def read(run: Path | str) -> Settings:
    """Return the settings in a run's `run.json` (give the folder or the file).

    Raises
    ------
    InputError : there is none, or it is damaged
    """
    path = Path(run) / RUN if Path(run).is_dir() else Path(run)
    try:
        stored = json.loads(path.read_text("utf-8"))["settings"]
        return Settings(**{f.name: stored[f.name] for f in fields(Settings) if f.name in stored})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is this the folder of a run?") from None
    except (OSError, ValueError, KeyError, TypeError, DeepixError) as error:
        raise InputError(f"{path}: cannot be used as a run's settings ({error})") from error
