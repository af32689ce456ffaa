"""What ONNX Runtime makes of an exported restorer, beside what PyTorch does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from deepix.errors import DeepixError
from deepix.mosaic import Mosaic
from deepix.mosaic import project as project_in_numpy
from deepix.restorer.features import features
from deepix.restorer.model import INPUT
from deepix.restorer.smooth import smooth_at_one_size
from deepix.training import operators
from deepix.training.data import random_mosaics
from deepix.training.data.random_mosaics import Ranges
from deepix.training.data.samples import Sample
from deepix.training.engine.export import Run, synthetic
from deepix.training.networks.restorer import Restorer

TOLERANCE = 1 / 255
"""Largest difference between ONNX Runtime's restoration and PyTorch's, in units of 1."""

Floats = NDArray[np.float32]


def compare(run: Run, network: Restorer) -> float:
    """Return the largest difference between restorations (and deviations) by ONNX Runtime and by PyTorch.

    The whole chain is gone through on synthetic pictures with random mosaics: pictures of the network's window, of a
    size that is no multiple of its stride, and of one that windows do not hold.

    Returns
    -------
    In units of 1 (255 levels); at most `TOLERANCE`

    Raises
    ------
    DeepixError : it is larger, or not a number
    """
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    w = network.window
    largest = 0.0
    for height, width, ranges in (
        (w, w, Ranges(width=(4, w * 2 // 3), height=(4, w * 2 // 3))),
        (w - 3, w - 6, Ranges(width=(4, 20), height=(4, 20), cell=(2, 9), count=(2, 3), square=False, corner=False)),
        (2 * w - 5, 2 * w, Ranges(width=(w, w + 8), height=(w, w + 8), square=False, corner=False)),
    ):
        for _ in range(4):
            truth = torch.from_numpy(synthetic(rng, height, width))[None, None]
            rectangles = random_mosaics.draw(1, height, width, ranges, generator)
            there = random_mosaics.from_rectangles(rectangles, height, width)
            pixelated = operators.pixelate(truth, there)
            with torch.inference_mode():
                theirs = network.estimate(Sample(None, pixelated, there))
            ours = restore(run, network, pixelated[0, 0].numpy(), random_mosaics.to_numpy(rectangles)[0])
            for a, b in zip(ours, theirs, strict=True):
                assert b is not None
                # Python's max would pass over what is not a number; how far values are beyond all range does not matter
                difference = float(np.abs(a.clip(-1, 2) - b[0, 0].numpy().clip(-1, 2)).max())
                if not difference <= TOLERANCE:
                    raise DeepixError(
                        f"ONNX Runtime's result differs from PyTorch's by {255 * difference:.3g} levels of 255 on a "
                        f"picture of {width} x {height}, more than {255 * TOLERANCE:g}: not exported"
                    )
                largest = max(largest, difference)
    return largest


def restore(run: Run, network: Restorer, pixelated: Floats, mosaics: Sequence[Mosaic]) -> tuple[Floats, Floats]:
    """Return the restoration and deviations of one plane as `Restorer.estimate` computes them, in NumPy and ONNX.

    Parameters
    ----------
    run : the exported network at work
    network : whose constants are used, not its weights
    pixelated : float32 (H, W), values in [0, 1]
    mosaics : in it
    """
    offset = np.float32(network.offset)
    start = pixelated.copy()
    for m in mosaics:
        start[m.box][m.area] += offset
    z = smooth_at_one_size(start[..., None], mosaics, network.rounds)[..., 0]
    planes, contrast = features(z, pixelated, mosaics)
    height, width = pixelated.shape
    padded = np.pad(planes, ((0, 0), (0, -height % network.stride), (0, -width % network.stride)))
    residual, deviation = (y[0, 0, :height, :width] for y in run({INPUT: padded[None]}))
    picture = project_in_numpy(z + contrast * residual, start, mosaics)
    unknown = ~planes[2].astype(bool)
    return picture, np.where(unknown, contrast * np.exp(deviation.clip(-8, 8)), 0)
