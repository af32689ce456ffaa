"""Recipes: files that say how a shipped model is trained, so that anybody can go on with it.

    DATA/*.zip ─ pack ─▶ data/NAME.npy ─ fit or resume ─▶ runs/NAME ─ `deepix.training.ship` ─▶ the shipped files

A recipe is TOML, named as its model: `purpose` and `limits` (for the model's card), `data` and `validation` (a packed
file, its `sources` in the folder of data and their `crops`; or a file in that folder), `settings` (of `Settings`) and
`gpu` (those that differ where there is one). Other paths are meant from the folder where one works, the checkout's.
A locator's has the `side` of its examples in the place of `crops`, see `deepix.training.locator`; `times` then says how
many are drawn of a photo.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch

from deepix import files
from deepix.errors import InputError, reason
from deepix.training import fit, pictures, weights
from deepix.training.callbacks import LAST, Say
from deepix.training.settings import Settings

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
    purpose, limits : text for the model's card
    data : packed file to train on
    crops : how it is packed; None: examples for a locator
    side : of these, in pixels
    sources : from what
    validation : file to validate with: packed, if there are `validation_sources`, else in the folder of data
    validation_what : in words
    validation_sources, validation_crops : how it is packed; of a locator's, `validation_times` is of each source
    also : a file of `challenge.read_examples` in the folder of data that the model's card has a score on too
    settings, gpu : of `Settings`, without budget and paths
    """

    name: str
    purpose: str
    limits: tuple[str, ...]
    data: Path
    crops: pictures.Crops | None
    side: int | None
    sources: tuple[Source, ...]
    validation: Path
    validation_what: str
    validation_sources: tuple[str, ...]
    validation_crops: pictures.Crops | None
    validation_times: tuple[float, ...]
    also: str | None
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
        data, validation = content["data"], content["validation"]
        settings, gpu = content["settings"], content.get("gpu", {})
        unknown = (settings.keys() | gpu.keys()) - {f.name for f in fields(Settings)}
        if unknown:
            raise ValueError(f"there are no settings {', '.join(sorted(unknown))}")
        return Recipe(
            name=path.stem,
            purpose=" ".join(content["purpose"].split()),
            limits=tuple(content["limits"]),
            data=Path(data["file"]),
            crops=None if "side" in data else _crops(data["crops"]),
            side=data.get("side"),
            sources=tuple(Source(**source) for source in data["sources"]),
            validation=Path(validation["file"]),
            validation_what=validation["what"],
            validation_sources=tuple(validation.get("sources", ())),
            validation_crops=_crops(validation["crops"]) if "crops" in validation else None,
            validation_times=tuple(validation.get("times", ())),
            also=validation.get("also"),
            settings=settings,
            gpu=gpu,
        )
    except KeyError as error:
        raise InputError(f"{path}: not a recipe (no {error})") from error
    except (UnicodeDecodeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a recipe ({reason(error)})") from error


def _crops(given: dict[str, Any]) -> pictures.Crops:
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return pictures.Crops(**values)


def validation_file(recipe: Recipe, folder: Path, say: Say = print) -> Path:
    """Return the file to validate with; it is packed if it is not there.

    Raises
    ------
    InputError : its sources are not in the folder of data
    """
    if recipe.validation_crops is None:
        return folder / recipe.validation
    return _packed(recipe.validation, recipe.validation_sources, recipe.validation_crops, folder, say)


def _packed(output: Path, sources: Sequence[str], crops: pictures.Crops, folder: Path, say: Say) -> Path:
    if not output.exists():
        say(f"packing {', '.join(dict.fromkeys(sources))} of {folder} into {output}")
        files.make_folder(output.parent)
        pictures.pack([folder / name for name in sources], output, crops=crops, jobs=os.cpu_count() or 1)
    return output


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
    minutes: float | None,
    folder: Path,
    shipped: Path,
    say: Say = print,
    bar: bool = False,
    steps: int | None = None,
) -> fit.Result:
    """Train a recipe's model so many minutes more, or up to so many steps: go on with its run, or begin one.

    A new run starts from the model's shipped weights if there are any, else from the recipe's network.

    Parameters
    ----------
    recipe : which
    minutes : added to those that the run has used, which stretches the schedule of the learning rate
    steps : in the place of minutes: of the run in all. The schedule is the same however often the run is interrupted
    folder : of the pictures
    shipped : folder of the shipped models
    say, bar : see `fit.fit`

    Raises
    ------
    InputError : pictures or weights are missing, or cannot be used
    OutputError, DeepixError : see `fit.fit`
    """
    if (recipe.run / LAST).exists():
        used = fit.minutes_used(recipe.run)
        say(f"going on with {recipe.run} after {used:.1f} minutes")
        return fit.resume(recipe.run, say, bar, minutes=None if minutes is None else used + minutes, steps=steps)
    given = suited(recipe)
    ours = shipped / f"{recipe.name}{weights.SUFFIX}"
    if ours.exists():
        given = {**given, "network": str(ours)}
    network = Path(given["network"])
    if network.suffix == weights.SUFFIX and not network.exists():
        raise InputError(f"{network}: no such weights to start from; train and ship that model first")
    assert recipe.crops is not None
    files_of = [s.file for s in recipe.sources for _ in range(int(s.times))]
    data = _packed(recipe.data, files_of, recipe.crops, folder, say)
    validate = validation_file(recipe, folder, say)
    settings = Settings(
        **given, data=str(data), run=str(recipe.run), validate=str(validate), minutes=minutes, steps=steps
    )
    say(f"beginning {recipe.run} from {settings.network}")
    return fit.fit(settings, say, bar)
