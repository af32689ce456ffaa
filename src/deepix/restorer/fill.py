"""Foreign pixels filled from what surrounds them: where the restorers, to whom they are unknown, start there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic, foreign_pixels
from deepix.mosaic.boxes import grown
from deepix.restorer.blur import blurred

Floats = NDArray[np.float32]

SIGMAS = (1.0, 4.0, 16.0)
"""Standard deviations (pixels) of the Gaussians under which what is not foreign is averaged: the narrowest that reaches
any of it counts."""
LEAST_WEIGHT = 1e-2
"""Share of a Gaussian that must lie on what is not foreign."""


def filled(picture: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return a picture whose foreign pixels hold local means of the others; it does not depend on their own values.

    Parameters
    ----------
    picture : float32 (H, W) or (H, W, C); not changed. Where nothing is foreign it is returned as it is
    mosaics : in it
    """
    if all(m.foreign is None for m in mosaics):
        return picture
    foreign = foreign_pixels(mosaics, picture.shape)
    result = picture.copy()
    result[foreign] = 0
    reach = math.ceil(4 * max(SIGMAS))
    for m in mosaics:
        if m.foreign is not None:
            box = grown(m.box, reach, picture.shape)
            here = result[box].reshape(*foreign[box].shape, -1)
            values = _averaged(np.where(foreign[box][..., None], 0, picture[box].reshape(here.shape)), ~foreign[box])
            there = np.zeros(foreign[box].shape, bool)
            there[m.y - box[0].start :, m.x - box[1].start :][: m.height, : m.width] = m.foreign
            here[there] = values[there]
    return result


def _averaged(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Return for each pixel of (H, W, C) the mean around it of those that are seen; others are 0."""
    planes = np.concatenate([seen[None].astype(np.float32), np.moveaxis(values, 2, 0)])
    result = np.zeros_like(values)
    result[:] = planes[1:].sum(axis=(1, 2)) / max(planes[0].sum(), 1)
    for sigma in reversed(SIGMAS):
        weight, *sums = blurred(planes, sigma, "zero")
        enough = weight > LEAST_WEIGHT
        result[enough] = (np.stack(sums, axis=2) / np.maximum(weight, LEAST_WEIGHT)[..., None])[enough]
    return result
