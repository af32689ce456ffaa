"""How well predicted standard deviations say how large errors are, and the factor that makes them say it.

A deviation s of an estimate e of the pixel x is meant as |x − e| ~ s·|N(0, 1)|. One factor c calibrates them
(recalibration by quantiles: Kuleshov, Fenner and Ermon 2018, with one parameter). Errors have heavier tails than a
Gaussian's, nearly a Laplace distribution's: were as many within c·s as within one deviation of a Gaussian, too few
would be within two. So c lies between: as many too many within one as too few within two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAUSSIAN = (math.erf(1 / math.sqrt(2)), math.erf(2 / math.sqrt(2)))
"""Shares of a Gaussian's values within 1 and 2 standard deviations of its mean."""


def factor(errors: NDArray[Any], deviations: NDArray[Any]) -> float:
    """Return by what to multiply deviations: above 68.3 % of the errors within 1, and as much below 95.4 % within 2.

    Of errors with a Gaussian's tails 68.3 and 95.4 % lie within; with a Laplace distribution's, 71.7 and 92.0 %.

    Parameters
    ----------
    errors : of any shape, estimate less truth
    deviations : of the same shape, above 0, in the same unit

    Raises
    ------
    ValueError : there are none, the shapes differ, or a deviation is not above 0
    """
    if errors.shape != deviations.shape or not errors.size:
        raise ValueError(
            f"errors {errors.shape} and deviations {deviations.shape} must have one shape, and not be empty"
        )
    if not (deviations > 0).all():
        raise ValueError("a deviation is not above 0")
    ratios = np.sort(np.abs(errors) / deviations, axis=None)

    def missed(factor: float) -> float:
        return sum(np.searchsorted(ratios, k * factor, "right") / ratios.size - GAUSSIAN[k - 1] for k in (1, 2))

    low, high = 0.0, float(ratios[-1]) + 1e-9
    while high - low > 1e-6 * high:  # shares rise with the factor
        middle = (low + high) / 2
        low, high = (middle, high) if missed(middle) < 0 else (low, middle)
    return high


def coverage(errors: NDArray[Any], deviations: NDArray[Any]) -> tuple[float, float]:
    """Return the shares of the errors that lie within 1 and 2 deviations; a Gaussian's are 68.3 and 95.4 %."""
    ratio = np.abs(errors) / deviations
    return float((ratio <= 1).mean()), float((ratio <= 2).mean())
