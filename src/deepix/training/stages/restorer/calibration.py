"""How far a restorer's estimates are from the truth, and how well its predicted standard deviations say so.

A network's deviation s of an estimate e of the pixel x is meant as |x − e| ~ s·|N(0, 1)|. One factor c is chosen on
half of the validation pictures such that as many errors lie within c·s as within one deviation of a Gaussian
(recalibration by a quantile: Kuleshov, Fenner and Ermon 2018, with one parameter); the other half tells what it is
worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepix.errors import DeepixError
from deepix.training.networks import Network
from deepix.training.stages.restorer.examples import Fixed, fixed_sample

Floats = NDArray[np.float32]

GAUSSIAN = (math.erf(1 / math.sqrt(2)), math.erf(2 / math.sqrt(2)))
"""Shares of a Gaussian's values within 1 and 2 standard deviations of its mean."""


@dataclass(frozen=True)
class Assessment:
    """What a restorer reaches on validation pictures.

    Attributes
    ----------
    rmse, rmse_per_picture : over unknown pixels on the 0–255 scale, rounded to integers: pooled, and mean of pictures
    pictures : how many
    calibration : factor of the deviations, chosen on the pictures of even number
    within_one, within_two : shares of the errors within 1 and 2 such deviations, in the pictures of odd number
    """

    rmse: float
    rmse_per_picture: float
    pictures: int
    calibration: float
    within_one: float
    within_two: float


def factor(errors: NDArray[Any], deviations: NDArray[Any]) -> float:
    """Return by what to multiply deviations so that 68.3 % of the errors lie within one.

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
    return float(np.quantile(np.abs(errors) / deviations, GAUSSIAN[0]))


def coverage(errors: NDArray[Any], deviations: NDArray[Any]) -> tuple[float, float]:
    """Return the shares of the errors that lie within 1 and 2 deviations; a Gaussian's are 68.3 and 95.4 %."""
    ratio = np.abs(errors) / deviations
    return float((ratio <= 1).mean()), float((ratio <= 2).mean())


@torch.inference_mode()
def assess(network: Network, validation: Fixed, truncate: bool) -> Assessment:
    """Restore validation pictures and compare.

    Parameters
    ----------
    network : that predicts deviations, on its device
    validation : two pictures at least
    truncate : whether cells' means are cut off to integers

    Raises
    ------
    DeepixError : fewer than two pictures have unknown pixels
    """
    device = next(network.parameters()).device
    network.eval()
    squares: list[float] = []  # of each picture
    counts: list[int] = []
    errors: list[list[Floats]] = [[], []]  # of pictures of even and odd number
    deviations: list[list[Floats]] = [[], []]
    for batch in validation:
        sample = fixed_sample(batch, truncate, device)
        assert sample.truth is not None
        estimate = network.estimate(sample)
        assert estimate.deviation is not None
        picture = estimate.picture.float().clamp(0, 1)
        unknown = sample.mosaics.unknown
        levels = ((picture * 255).round() - sample.truth * 255).square() * unknown
        squares += levels.sum(dim=(1, 2, 3)).tolist()
        for i, there in enumerate(unknown):
            half = len(counts) % 2
            counts.append(int(there.sum()))
            errors[half].append((picture[i] - sample.truth[i])[there].cpu().numpy())
            deviations[half].append(estimate.deviation[i][there].cpu().numpy())
    squares_, counts_ = np.array(squares), np.array(counts)
    seen = counts_ > 0
    if not (seen[::2].any() and seen[1::2].any()):
        raise DeepixError("an assessment needs at least two pictures with unknown pixels")
    chosen = factor(np.concatenate(errors[0]), np.concatenate(deviations[0]))
    one, two = coverage(np.concatenate(errors[1]), chosen * np.concatenate(deviations[1]))
    return Assessment(
        rmse=float(np.sqrt(squares_.sum() / counts_.sum())),
        rmse_per_picture=float(np.sqrt(squares_[seen] / counts_[seen]).mean()),
        pictures=int(seen.sum()),
        calibration=chosen,
        within_one=one,
        within_two=two,
    )
