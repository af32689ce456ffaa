"""Arrays of pixels: their types, luminance and rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

LUMA = np.array((0.299, 0.587, 0.114), np.float32)
"""Weights of red, green and blue (ITU-R BT.601), as JPEG has them."""


def luma(pixels: Bytes) -> Array:
    """Return the luma of uint8 (H, W) or (H, W, 3): float32 (H, W), 0 … 255."""
    values: Array = pixels @ LUMA if pixels.ndim == 3 else pixels.astype(np.float32)
    return values


def to_bytes(values: Array) -> Bytes:
    """Round and clip to uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)
