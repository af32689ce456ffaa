"""Random numbers as examples and negatives need them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(low * (high / low) ** rng.random())


def chosen(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Return one of the names, drawn by weight."""
    names = list(weights)
    sums = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))]
