"""Masks: which pixels are pixelated, drawn as a picture."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError
from deepix.images.decoding import read
from deepix.images.limits import MAX_PIXELS
from deepix.images.types import Array, Picture


def read_mask(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """Read a picture as a mask, bool (H, W), True where it is pixelated.

    - Drawn on a transparent layer, in one colour: what is opaque (at least half).
    - Of two values, as 0 and 1: the larger.
    - Otherwise: what is at least half as bright as white.

    Raises
    ------
    InputError : as `read`; its colours are inks (CMYK); or both its transparency and its colours vary, so that either
        could be meant
    """
    picture = read(path, max_pixels=max_pixels)
    if picture.mode == "CMYK":  # inks: the more, the darker
        raise InputError(f"{path}: a mask must be gray or RGB, not CMYK")
    opaque = _opaque(picture)
    bright = picture.pixels if picture.pixels.ndim == 2 else picture.pixels.max(axis=2)
    if opaque.all() or not opaque.any():
        return _larger(bright) & opaque
    drawn = picture.pixels[opaque]
    if (drawn == drawn[0]).all():
        return opaque
    raise InputError(
        f"{path}: both the transparency and the colours vary; save the mask without transparency (white: pixelated), "
        "or drawn in one colour on a transparent layer"
    )


def _opaque(picture: Picture) -> NDArray[np.bool_]:
    """Return where the picture is more opaque than transparent; bool (H, W)."""
    if picture.alpha is None:
        return np.ones(picture.pixels.shape[:2], bool)
    half: NDArray[np.bool_] = picture.alpha > np.iinfo(picture.alpha.dtype).max / 2
    return half


def _larger(values: Array) -> NDArray[np.bool_]:
    """Return where the larger of two values is, or of any others, those above half of the type's range."""
    low, high = values.min(), values.max()
    if low < high and bool(((values == low) | (values == high)).all()):
        return np.asarray(values == high)
    return np.asarray(values > np.iinfo(values.dtype).max / 2)
