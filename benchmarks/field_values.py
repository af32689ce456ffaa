"""Rows of the field about what a cell shows: the mean of its pixels, or of their light, one of them, an extreme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from field_case import Case, Rng, fitted
from field_found import with_mosaics
from field_mosaics import EVEN, EXTREME, SAMPLED, UNEVEN, Pixelator
from field_shapes import saved
from numpy.typing import NDArray

Array = NDArray[Any]


def _shown(photo: Array, rng: Rng, ways: Mapping[str, Pixelator]) -> Case | None:
    canvas = with_mosaics(fitted(photo, rng), rng, ways, (5, 32), whole=rng.random() < 0.6, least=1.5)
    return saved(canvas, rng, 0.3, 90) if canvas else None


def means(photo: Array, rng: Rng) -> Case | None:
    """Draw means, as they are or of light, and what reducing a picture to a pixel a cell gives."""
    return _shown(photo, rng, {**EVEN, **UNEVEN})


def samples(photo: Array, rng: Rng) -> Case | None:
    """Draw cells of which one pixel gives the colour."""
    return _shown(photo, rng, SAMPLED)


def extremes(photo: Array, rng: Rng) -> Case | None:
    """Draw cells of the least or the greatest values."""
    return _shown(photo, rng, EXTREME)
