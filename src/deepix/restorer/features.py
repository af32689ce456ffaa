"""What a restorer's network sees of a picture, and the local contrast that its answer is in units of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic, known
from deepix.restorer.blur import blurred

Floats = NDArray[np.float32]

CONTRAST_SIGMA = 6.0
"""Standard deviation (pixels) of the Gaussian window under which local mean and contrast are taken."""
CONTRAST_FLOOR = 0.02
"""Added to the contrast (of values in [0, 1]), so that flat surroundings are not blown up: about 5 levels of 255."""
CONTRAST_SUPPORT = 2 * math.ceil(4 * CONTRAST_SIGMA)
"""Pixels from which on nothing changes the local contrast: the mean's Gaussian, and the contrast's after it."""
CELL_UNIT = 16.0
"""Pixels in one unit of the cells' width and height in a network's input: the challenge's largest cell."""


def features(z: Floats, pixelated: Floats, mosaics: Sequence[Mosaic]) -> tuple[Floats, Floats]:
    """Return what a restorer's network sees of one plane, and the local contrast that its answer is in units of.

    Parameters
    ----------
    z : float32 (H, W), values in [0, 1]: the smooth start
    pixelated : float32 (H, W), values in [0, 1]; foreign pixels hold those of z
    mosaics : in it

    Returns
    -------
    float32 (7, H, W): z and the mosaic, less the local mean and over the local contrast; 1 where known; u, v, and the
    cells' width and height in units of `CELL_UNIT` pixels, 0 where known or foreign (see `Mosaic.coordinates`)
    float32 (H, W): the local contrast: the mosaic's standard deviation under a Gaussian, plus `CONTRAST_FLOOR`
    """
    mean = blurred(pixelated, CONTRAST_SIGMA)
    contrast = np.sqrt(blurred(np.square(pixelated - mean), CONTRAST_SIGMA)) + np.float32(CONTRAST_FLOOR)
    planes = np.zeros((7, *pixelated.shape), np.float32)
    planes[0] = (z - mean) / contrast
    planes[1] = (pixelated - mean) / contrast
    planes[2] = known(mosaics, pixelated.shape)
    for m in mosaics:
        widths, heights = m.cell_sizes()
        across, down = np.broadcast_to(widths / CELL_UNIT, m.area.shape), (heights / CELL_UNIT)[:, None]
        grid: Sequence[NDArray[np.floating]] = (*m.coordinates(), across, down)
        for plane, values in zip(planes[3:], grid, strict=True):
            plane[m.box] += np.where(m.area, values, 0)
    return planes, contrast
