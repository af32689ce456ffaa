"""Recipes: files that say how a released model is trained, so that anybody can go on with it.

    DATA ─ stage.gather ─▶ data/NAME.… ─ fit or resume ─▶ runs/NAME ─ `deepix.training.engine.release` ─▶ the model

A recipe is TOML, named as its model: `stage` (default: "restorer"), `purpose` and `limits` (for the model's card),
`data` and `validation` (a file that the stage makes of `sources` in the folder of data, with what else the stage reads
there; or a file in that folder), `settings` (of the stage) and `gpu` (those that differ where there is one). Other
paths are meant from the folder where one works, the checkout's.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from deepix import files
from deepix.errors import DeepixError, InputError, reason
from deepix.training import stages, weights
from deepix.training.engine.callbacks import LAST
from deepix.training.engine.checkpoints import used
from deepix.training.engine.log import log
from deepix.training.engine.run import Result, fit, resume
from deepix.training.engine.settings import Settings, declarations
from deepix.training.engine.stage import Stage

RUNS = Path("runs")
"""Where recipes' runs lie, by the models' names."""


class Source(NamedTuple):
    """Pictures of a recipe: a file in the folder of data, how often it is taken, what it is, under which terms."""

    file: str
    times: float = 1
    what: str = ""
    terms: str = ""


@dataclass(frozen=True)
class Recipe:
    """See the module's text.

    Attributes
    ----------
    name : the model's
    stage : that trains it
    purpose, limits : text for the model's card
    data : file to train on
    sources : from what it is made
    validation : file to validate with: made, if there are `validation_sources`, else in the folder of data
    validation_what : in words
    validation_sources : from what it is made
    own : what the stage reads of the tables `data` and `validation`
    settings, gpu : of the stage, without budget and paths
    """

    name: str
    stage: Stage
    purpose: str
    limits: tuple[str, ...]
    data: Path
    sources: tuple[Source, ...]
    validation: Path
    validation_what: str
    validation_sources: tuple[str, ...]
    own: Any
    settings: dict[str, Any]
    gpu: dict[str, Any]

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return RUNS / self.name


def read(path: Path | str) -> Recipe:
    """Read a recipe.

    Raises
    ------
    InputError : the file cannot be read, or is none
    """
    path = Path(path)
    try:
        content = tomllib.loads(files.read_bytes(path).decode())
        stage = stages.get(content.get("stage", stages.DEFAULT))
        data, validation = content["data"], content["validation"]
        settings, gpu = content["settings"], content.get("gpu", {})
        unknown = (settings.keys() | gpu.keys()) - declarations(stage.settings).keys()
        if unknown:
            raise ValueError(f"there are no settings {', '.join(sorted(unknown))}")
        return Recipe(
            name=path.stem,
            stage=stage,
            purpose=" ".join(content["purpose"].split()),
            limits=tuple(content["limits"]),
            data=Path(data["file"]),
            sources=tuple(Source(**source) for source in data["sources"]),
            validation=Path(validation["file"]),
            validation_what=validation["what"],
            validation_sources=tuple(validation.get("sources", ())),
            own=stage.recipe(data, validation),
            settings=settings,
            gpu=gpu,
        )
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{path}: not a recipe (no {error})") from error
    except (UnicodeDecodeError, ValueError, TypeError, AttributeError, DeepixError) as error:
        raise InputError(f"{path}: not a recipe ({reason(error)})") from error


def suited(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe's settings for this machine: the one place where they depend on it.

    On a GPU those of `gpu`. On a CPU with instructions for bfloat16 mixed precision, which is faster there.
    """
    if torch.accelerator.is_available():
        return {**recipe.settings, **recipe.gpu}
    can = torch.cpu.get_capabilities()
    precision = "bf16-mixed" if can.get("avx512_bf16") or can.get("amx_bf16") or can.get("bf16") else None
    return {"precision": precision, **recipe.settings}


def train(
    recipe: Recipe,
    folder: Path,
    released: Path,
    minutes: float | None = None,
    steps: int | None = None,
    bar: bool = False,
) -> Result:
    """Train a recipe's model for some more minutes, or up to a number of steps: go on with its run, or begin one.

    A new run starts from the model's released weights if there are any, else from the recipe's network.

    Parameters
    ----------
    recipe : which
    folder : of the pictures
    released : folder of the released models
    minutes : added to those that the run has used, which stretches the schedule of the learning rate
    steps : in the place of minutes: of the run in all. The schedule is the same however often the run is interrupted
    bar : see `fit`

    Raises
    ------
    InputError : pictures or weights are missing, or cannot be used
    OutputError, DeepixError : see `fit`
    """
    if (recipe.run / LAST).exists():
        spent = used(recipe.run)[1] / 60
        log.info(f"going on with {recipe.run} after {spent:.1f} minutes")
        return resume(recipe.run, bar, minutes=None if minutes is None else spent + minutes, steps=steps)
    given = {**suited(recipe), "network": str(_start(recipe, released))}
    data, validate = recipe.stage.gather(recipe, folder)
    settings: Settings = recipe.stage.settings(
        **given, data=str(data), run=str(recipe.run), validate=str(validate), minutes=minutes, steps=steps
    )
    log.info(f"beginning {recipe.run} from {settings.network}")
    return fit(settings, bar)


def _start(recipe: Recipe, released: Path) -> Path | str:
    """Return the weights or the network that a new run starts from."""
    ours = released / f"{recipe.name}{weights.SUFFIX}"
    if ours.exists():
        return ours
    if ours.with_suffix(".onnx").exists():
        raise InputError(
            f"{ours}: no such weights to go on from; an installed package brings the .onnx file alone, so train in a "
            "checkout of the sources"
        )
    given: str = recipe.settings["network"]
    if Path(given).suffix == weights.SUFFIX and not Path(given).exists():
        raise InputError(f"{given}: no such weights to start from; train and release that model first")
    return given
