"""What ONNX Runtime makes of an exported locator, beside what PyTorch does."""

from __future__ import annotations

import numpy as np
import torch

from deepix.errors import DeepixError
from deepix.finder.locator import COARSEST, INPUT, STRIDE
from deepix.training.engine.export import Run, synthetic
from deepix.training.networks import Network

TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime's maps and PyTorch's: of probabilities, and of cells' base-2 logarithms."""


def compare(run: Run, network: Network) -> float:
    """Return the largest difference between what ONNX Runtime and PyTorch say of synthetic pictures with mosaics.

    Returns
    -------
    Of probabilities, and of base-2 logarithms of cells where 'pixelated' is above ½; at most `TOLERANCE`

    Raises
    ------
    DeepixError : it is larger, or not a number
    """
    rng = np.random.default_rng(0)
    largest = 0.0
    for down, across, cell in ((4, 5, 4), (8, 8, 8), (10, 6, 21)):
        height, width = down * COARSEST, across * COARSEST
        picture = np.rint(255 * synthetic(rng, height, width))
        part = picture[16 : 16 + 4 * cell, 8 : 8 + 4 * cell]
        part[:] = np.kron(part.reshape(4, cell, 4, cell).mean(axis=(1, 3)), np.ones((cell, cell)))
        given = picture[None, None].astype(np.float32)
        ours = run({INPUT: given})[0]
        with torch.inference_mode():
            theirs = network(torch.from_numpy(given)).numpy()
        if ours.shape != (1, 4, height // STRIDE, width // STRIDE):
            raise DeepixError(f"ONNX Runtime's maps have the shape {ours.shape}: not exported")
        chances = [1 / (1 + np.exp(-maps[:, :2].astype(np.float64))) for maps in (ours, theirs)]
        sure = chances[1][:, :1] > 0.5
        difference = max(
            float(np.abs(chances[0] - chances[1]).max()),
            float((np.abs(ours[:, 2:] - theirs[:, 2:]) * sure).max()),
        )
        if not difference <= TOLERANCE:
            raise DeepixError(
                f"ONNX Runtime's maps differ from PyTorch's by {difference:.3g}, more than {TOLERANCE:g}: not exported"
            )
        largest = max(largest, difference)
    return largest
