"""What a photo's pixels cost: −log of their density under a predictor of photos, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LAPLACE = 1.25
"""The scale of the Laplace distribution that is as high as a normal one of standard deviation 1: √(π/2)."""
CONTEXT = 6
"""The number of neighbouring pixels whose prediction errors tell how large the next one will be."""
PRIOR = 2
"""The number of neighbours that the prior of these errors counts for."""


def photo_cost(
    luminance: NDArray[np.float32], variance: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each pixel costs in a photo, in nats: −log of its predictive density, float32 (H, W).

    The mean of two predictions, from the left and above and from the right and below, so that an edge costs both of its
    sides. And how much more the mean costs than the second prediction alone.
    """
    floor = np.asarray(LAPLACE * np.sqrt(variance), np.float32)
    cost = _causal_cost(luminance, floor)
    tilt = np.asarray(cost - _causal_cost(luminance[::-1, ::-1], floor[::-1, ::-1])[::-1, ::-1], np.float32)
    tilt *= np.float32(0.5)
    cost -= tilt
    return cost, tilt


def _causal_cost(luminance: NDArray[np.float32], floor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what pixels cost that are predicted from those to the left and above.

    Two predictors compete, the median edge detector of LOCO-I (Weinberger et al. 2000) and a mean of neighbours; the
    one whose errors around were smaller is taken. Errors have a Laplace distribution whose scale has a gamma prior and
    is known from the errors around, which makes a Lomax distribution of them, with `floor` as the least scale.
    """
    height, width = luminance.shape

    def shifted(padded: Array, dy: int, dx: int) -> Array:
        return padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]

    p = _framed(luminance)
    left, above = shifted(p, 0, -1), shifted(p, -1, 0)
    corner, right = shifted(p, -1, -1), shifted(p, -1, 1)
    edge = left + above
    mean = edge.copy()
    edge -= corner
    np.maximum(edge, np.minimum(left, above), out=edge)
    np.minimum(edge, np.maximum(left, above), out=edge)
    near = corner + right
    near += shifted(p, 0, -2)
    near += shifted(p, -2, 0)
    near *= np.float32(0.5)
    mean += near
    mean *= np.float32(0.25)
    results = []
    for prediction in (edge, mean):
        error = np.subtract(luminance, prediction, out=prediction)
        np.abs(error, out=error)
        e = _framed(error)
        total = shifted(e, 0, -1) + shifted(e, 0, -2)
        for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (-2, 0)):
            total += shifted(e, dy, dx)
        results.append((error, total))
    (error, total), (other, other_total) = results
    np.copyto(error, other, where=other_total < total)
    np.minimum(total, other_total, out=total)
    n = CONTEXT + PRIOR
    total += np.float32(PRIOR) * floor
    np.maximum(total, n * floor, out=total)
    error += total
    cost = np.log(error, out=error)
    cost *= np.float32(n + 1)
    np.log(total, out=total)
    total *= np.float32(n)
    cost -= total
    cost -= np.float32(np.log(n / 2))
    return np.asarray(cost, np.float32)


def _framed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with the outermost ones repeated: two above and on the left, one on the right."""
    height, width = values.shape
    result = np.empty((height + 2, width + 3), np.float32)
    result[2:, 2:-1] = values
    result[:2, 2:-1] = values[0]
    result[:, :2] = result[:, 2:3]
    result[:, -1] = result[:, -2]
    return result
