"""What ONNX Runtime makes of an exported refiner, beside what PyTorch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from deepix.errors import DeepixError
from deepix.restorer.refine_model import INPUT, PLANES
from deepix.training.engine.export import Run

TOLERANCE = 1e-3
"""Largest difference, in units of the predicted deviation."""


def compare(run: Run, network: Any) -> float:
    """Return the largest difference between the details that ONNX Runtime and PyTorch compute.

    Raises
    ------
    DeepixError : it is above `TOLERANCE`, or not a number
    """
    rng = np.random.default_rng(0)
    largest = 0.0
    for count, down, across in ((1, 3, 5), (2, 8, 8), (3, 7, 2)):
        given = rng.standard_normal((count, PLANES, down * network.stride, across * network.stride), np.float32)
        with torch.inference_mode():
            theirs = network.generator(torch.from_numpy(given)).numpy()
        difference = float(np.abs(run({INPUT: given})[0] - theirs).max())
        if not difference <= TOLERANCE:
            raise DeepixError(
                f"ONNX Runtime's detail differs from PyTorch's by {difference:.3g} deviations, more than "
                f"{TOLERANCE:g}: not exported"
            )
        largest = max(largest, difference)
    return largest
