"""Masks: which pixels are pixelated, drawn as a picture."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError
from deepix.images.decoding import read


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a picture as a mask, bool (H, W): True where it is at least half as bright as white, and not transparent.

    Raises
    ------
    InputError : as `read`
    """
    picture = read(path)
    half = np.iinfo(picture.pixels.dtype).max / 2
    pixels = picture.pixels
    if picture.mode == "CMYK":  # inks: the more, the darker
        raise InputError(f"{path}: a mask must be gray or RGB, not CMYK")
    bright = pixels > half if pixels.ndim == 2 else pixels.max(axis=2) > half
    return bright if picture.alpha is None else bright & (picture.alpha > half)
