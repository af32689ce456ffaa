"""Deepix restores the pixelated parts of a picture.

>>> import numpy as np, deepix
>>> photo = np.add.outer(np.arange(60), 2 * np.arange(80)).astype(np.uint8)
>>> pixelated = deepix.pixelate(photo, [deepix.Mosaic.rectangle(10, 10, 40, 30, cell=10)])
>>> restoration = deepix.restore(pixelated)
>>> restoration.mosaics[0].grid
Grid(x=10, y=10, width=10, height=10)
>>> restoration.consistency
0.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepix.api import find, pixelate, restore
    from deepix.errors import DeepixError, InputError, OutputError
    from deepix.mosaic import Grid, Mosaic
    from deepix.restoration import Restoration

__all__ = [
    "DeepixError",
    "Grid",
    "InputError",
    "Mosaic",
    "OutputError",
    "Restoration",
    "find",
    "pixelate",
    "restore",
]

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("DeepixError", "InputError", "OutputError"), "deepix.errors"),
    **dict.fromkeys(("Grid", "Mosaic"), "deepix.mosaic"),
    "Restoration": "deepix.restoration",
    **dict.fromkeys(("find", "pixelate", "restore"), "deepix.api"),
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `import deepix` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'deepix' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
