"""Gaussian blur, as SciPy's `gaussian_filter` does it.

Small planes are multiplied with matrices instead of being handed to SciPy: at 48x48 that is 8 to 20 times as quick, and
the smooth start blurs dozens of them for each picture; at 190x190 still 1.6 to 3 times (one thread of an AVX2
processor, SciPy 1.17). Larger ones are SciPy's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepix.restorer.parallel import BANDS, workers

Floats = NDArray[np.float32]

DENSE_UP_TO = 192
"""Pixels up to which a product with a matrix is quicker than SciPy's filter."""
_SCIPY = {"mirrored": "reflect", "zero": "constant"}


def blurred(planes: Floats, sigma: float, beyond: Literal["mirrored", "zero"] = "mirrored") -> Floats:
    """Return planes convolved with a Gaussian that ends at four standard deviations, as SciPy's `gaussian_filter`.

    Parameters
    ----------
    planes : float32 (..., H, W)
    sigma : standard deviation of the Gaussian, in pixels
    beyond : what is taken to lie around the planes: their own pixels, mirrored at the edge, or zeros

    Returns
    -------
    float32, shape of `planes`
    """
    height, width = planes.shape[-2:]
    if max(height, width) > DENSE_UP_TO:
        from scipy.ndimage import gaussian_filter1d  # here, because training does without SciPy

        half, result = np.empty_like(planes), np.empty_like(planes)

        def down(part: slice) -> None:
            there = ..., part
            gaussian_filter1d(planes[there], sigma, -2, output=half[there], mode=_SCIPY[beyond])

        def across(part: slice) -> None:
            there = ..., part, slice(None)
            gaussian_filter1d(half[there], sigma, -1, output=result[there], mode=_SCIPY[beyond])

        with workers(planes.size) as work:
            for direction, length in ((down, width), (across, height)):
                edges = [length * i // BANDS for i in range(BANDS + 1)]
                work(direction, map(slice, edges[:-1], edges[1:]))
        return result
    return np.asarray(blurring_matrix(height, sigma, beyond) @ planes @ blurring_matrix(width, sigma, beyond).T)


@lru_cache(maxsize=256)
def blurring_matrix(size: int, sigma: float, beyond: Literal["mirrored", "zero"]) -> Floats:
    """Return float32 (size, size): the matrix that blurs a column of so many pixels, as `blurred` does."""
    from scipy.ndimage import gaussian_filter1d

    matrix: Floats = gaussian_filter1d(np.eye(size), sigma, axis=0, mode=_SCIPY[beyond]).astype(np.float32)
    return matrix
