"""Temporary: `deepix.restorer.network`, `deepix.inference` and their neighbours under their old names."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from deepix.inference.models import default
from deepix.inference.session import open_session as session
from deepix.mosaic import Array, Mosaic, Rounding
from deepix.restorer import network
from deepix.restorer.each import WINDOW
from deepix.restorer.each import WINDOW_MARGIN as KNOWN
from deepix.restorer.features import CELL_UNIT, features
from deepix.restorer.features import CONTRAST_FLOOR as FLOOR
from deepix.restorer.features import CONTRAST_SIGMA as CONTEXT
from deepix.restorer.model import DEFAULT, INPUT, SHIPPED, Restorer
from deepix.restorer.model import OUTPUTS as _OUTPUTS
from deepix.restorer.model import START_STEPS as ROUNDS
from deepix.restorer.rectangles import smooth_each
from deepix.threads import limit

__all__ = [
    "CELL_UNIT",
    "CONTEXT",
    "DEFAULT",
    "FLOOR",
    "INPUT",
    "KNOWN",
    "OUTPUTS",
    "ROUNDS",
    "SHIPPED",
    "WINDOW",
    "Model",
    "estimate",
    "estimate_each",
    "features",
    "load",
    "session",
    "smooth_each",
]

OUTPUTS = list(_OUTPUTS)
Model = Restorer


def load(model: str | PathLike[str] = DEFAULT, threads: int | None = None) -> Restorer:
    """Return a restorer."""
    with limit(threads):
        return network.load(model, default())


def estimate(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = DEFAULT,
    rounding: Rounding = "nearest",
    threads: int | None = None,
) -> tuple[Any, Any]:
    """Restore the mosaics of a picture by a network."""
    with limit(threads):
        return network.estimate(pixelated, mosaics, model, rounding)


def estimate_each(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = "challenge",
    rounding: Rounding = "truncate",
    threads: int | None = None,
) -> tuple[Any, Any]:
    """Restore many gray pictures of one size, each with one rectangle, at once."""
    with limit(threads):
        return network.estimate_each(pixelated, mosaics, model, rounding)
