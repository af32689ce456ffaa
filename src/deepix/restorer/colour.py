"""Colours: the network restores the luminance; two differences of colours follow its edges.

All of it is linear and keeps the cells' means, so that the result agrees with the input in every channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic
from deepix.restorer.smooth import smooth_along

Floats = NDArray[np.float32]

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of the encoded red, green and blue in the luminance (ITU-R BT.601)."""
COLOUR_STEPS = (3, 8)
"""Conjugate-gradient steps for the differences of colours, see `deepix.restorer.smooth.smooth_along`."""


def to_planes(pixels: Floats) -> Floats:
    """Return (H, W, 3) as luminance, blue less luminance, red less luminance; other numbers of channels as they are."""
    if pixels.shape[2] != 3:
        return pixels
    luminance = pixels @ np.array(LUMINANCE, np.float32)
    return np.stack([luminance, pixels[..., 2] - luminance, pixels[..., 0] - luminance], axis=2)


def from_planes(planes: Floats) -> Floats:
    """Invert `to_planes`."""
    if planes.shape[2] != 3:
        return planes
    luminance, blue, red = np.moveaxis(planes, 2, 0)
    green = -(LUMINANCE[0] * red + LUMINANCE[2] * blue) / LUMINANCE[1]
    pixels: Floats = np.stack([red, green, blue], axis=2) + luminance[..., None]
    return pixels


def restore_colours(planes: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return float32 (H, W, 3) `to_planes`, of which the luminance is restored, with the differences restored too."""
    result = planes.copy()
    if mosaics and min(planes.shape[:2]) > 1:
        result[..., 1:] = smooth_along(planes[..., 1:], mosaics, planes[..., 0], COLOUR_STEPS)
    return result
