"""Luminance, in which the finder looks at lossy pictures: files keep it best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.stripes import in_stripes

Array = NDArray[Any]


def luminance(pixels: Array) -> NDArray[np.float32]:
    """Return the luminance (Rec. 601, as JPEG has) of a uint8 or uint16 picture: float32 (H, W), 0 … 255."""
    scale = np.float32(1 / 257 if pixels.dtype == np.uint16 else 1)
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        plane = pixels if pixels.ndim == 2 else pixels[..., 0]
        return np.asarray(plane.astype(np.float32) * scale, np.float32)
    result = np.zeros(pixels.shape[:2], np.float32)

    def fill(rows: slice) -> None:
        for c, share in enumerate((0.299, 0.587, 0.114)):
            result[rows] += pixels[rows, :, c] * (np.float32(share) * scale)

    in_stripes(fill, len(result))
    return result
