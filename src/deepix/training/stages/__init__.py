"""The stages of training by name: the folders of this package, and those that others bring.

A stage elsewhere is an entry point of the group "deepix.stages" (its name and an object that is a `Stage`), or is
entered by `register`. Importing this module loads none of them, nor PyTorch.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from deepix.errors import DeepixError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from deepix.training.engine.settings import Settings
    from deepix.training.engine.stage import Stage

DEFAULT = "restorer"
"""The stage of recipes and of networks that name none."""
GROUP = "deepix.stages"
"""Of entry points."""

_registered: dict[str, Stage] = {}


def register(stage: Stage) -> None:
    """Enter a stage; one of the same name is replaced."""
    _registered[stage.name] = stage


def _folders() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def _brought() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # takes 15 ms, which every `deepix --help` would wait for

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> list[str]:
    """Return the names of all stages."""
    brought = _brought()
    return sorted({*_folders(), *brought, *_registered})


def get(name: str) -> Stage:
    """Return a stage.

    Raises
    ------
    DeepixError : there is none of that name
    """
    if name in _registered:
        return _registered[name]
    if name in _folders():
        stage: Stage = importlib.import_module(f"{__name__}.{name}.stage").STAGE
        return stage
    brought = _brought()
    if name in brought:
        stage = brought[name].load()
        return stage
    raise DeepixError(f"no stage of training is called {name!r}; there are {', '.join(names())}")


def of_network(name: str) -> Stage:
    """Return the stage that trains a family of networks (`name`, or the first part of a name with a size).

    Raises
    ------
    DeepixError : there is none
    """
    family = name.strip().lower().partition(":")[0]
    for stage in map(get, sorted(names(), key=lambda known: known != DEFAULT)):
        if family in stage.families:
            return stage
    known = get(DEFAULT).families
    raise DeepixError(f"no network is called {name!r}; there are {', '.join(known)}, and those of other stages")


def settings_kinds() -> list[type[Settings]]:
    """Return the settings of the stages in this package, the default one's first, without loading the stages."""
    folders = sorted(_folders(), key=lambda name: name != DEFAULT)
    return [importlib.import_module(f"{__name__}.{name}.settings").SETTINGS for name in folders]
