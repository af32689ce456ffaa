"""How far a restorer's estimates are from the truth, and how well its predicted standard deviations say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deepix.errors import DeepixError
from deepix.restorer.features import CELL_UNIT
from deepix.training.deviations import coverage, factor
from deepix.training.networks import Network
from deepix.training.stages.restorer.examples import Fixed, fixed_sample

Floats = NDArray[np.float32]

CELLS = {"2–3": (0.0, 3.5), "4–6": (3.5, 6.5), "7–10": (6.5, 10.5), "11–16": (10.5, 16.5)}
"""Sizes of cells that shares are told of: names and bounds of the root of width times height, in pixels."""


class Share(NamedTuple):
    """Which share of some errors lies within 1 and 2 predicted standard deviations.

    Attributes
    ----------
    what : which errors
    pixels : how many
    within_one, within_two : the shares
    """

    what: str
    pixels: int
    within_one: float
    within_two: float


@dataclass(frozen=True)
class Assessment:
    """What a restorer reaches on validation pictures.

    Attributes
    ----------
    rmse, rmse_per_picture : over unknown pixels on the 0–255 scale, rounded to integers: pooled, and mean of pictures
    pictures : how many
    calibration : `factor` of the deviations, chosen on the pictures of even number
    within_one, within_two : shares of the errors within 1 and 2 such deviations, in the pictures of odd number
    by_cells : the same by the size of the cells
    """

    rmse: float
    rmse_per_picture: float
    pictures: int
    calibration: float
    within_one: float
    within_two: float
    by_cells: tuple[Share, ...]


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
    compared = list(_compared(network, validation, truncate))
    seen = [picture for picture in compared if picture.errors.size]
    chosen_on, told_of = (
        [picture for picture in compared[half::2] if picture.errors.size] for half in (0, 1)
    )  # fmt: skip
    if not (chosen_on and told_of):
        raise DeepixError("an assessment needs at least two pictures with unknown pixels")
    calibration = factor(*(_joined(chosen_on, of) for of in ("errors", "deviations")))
    whole = _share("", told_of, calibration)
    by_cells = (_share(name, told_of, calibration, bounds) for name, bounds in CELLS.items())
    return Assessment(
        rmse=float(np.sqrt(sum(p.square for p in seen) / sum(p.errors.size for p in seen))),
        rmse_per_picture=float(np.mean([np.sqrt(p.square / p.errors.size) for p in seen])),
        pictures=len(seen),
        calibration=calibration,
        within_one=whole.within_one,
        within_two=whole.within_two,
        by_cells=tuple(share for share in by_cells if share.pixels),
    )


def share(what: str, network: Network, pictures: Fixed, truncate: bool, calibration: float) -> Share:
    """Restore other pictures, and return how well the deviations, calibrated already, say how large the errors are.

    Parameters
    ----------
    what : the pictures are
    network, pictures, truncate : as `assess`
    calibration : factor of the deviations
    """
    return _share(what, list(_compared(network, pictures, truncate)), calibration)


class _Compared(NamedTuple):
    """Of a picture's unknown pixels: sum of squared errors on the 0–255 scale; errors; deviations; cells' sizes."""

    square: float
    errors: Floats
    deviations: Floats
    cells: Floats


@torch.inference_mode()
def _compared(network: Network, pictures: Fixed, truncate: bool) -> Iterator[_Compared]:
    device = next(network.parameters()).device
    network.eval()
    for batch in pictures:
        sample = fixed_sample(batch, truncate, device)
        assert sample.truth is not None
        estimate = network.estimate(sample)
        assert estimate.deviation is not None
        picture = estimate.picture.float().clamp(0, 1)
        unknown = sample.mosaics.unknown
        levels = ((picture * 255).round() - sample.truth * 255).square() * unknown
        sizes = sample.mosaics.coordinates()[:, 2:].prod(dim=1, keepdim=True).sqrt() * CELL_UNIT
        for i, there in enumerate(unknown):
            error, deviation, size = (
                x[i][there].numpy(force=True) for x in (picture - sample.truth, estimate.deviation, sizes)
            )
            yield _Compared(float(levels[i].sum()), error, deviation, size)


def _joined(pictures: list[_Compared], of: str) -> Floats:
    return np.concatenate([getattr(picture, of) for picture in pictures])


def _share(what: str, pictures: list[_Compared], calibration: float, cells: tuple[float, float] | None = None) -> Share:
    errors, deviations = _joined(pictures, "errors"), _joined(pictures, "deviations")
    if cells is not None:
        sizes = _joined(pictures, "cells")
        there = (sizes >= cells[0]) & (sizes < cells[1])
        errors, deviations = errors[there], deviations[there]
    if not errors.size:
        return Share(what, 0, float("nan"), float("nan"))
    return Share(what, errors.size, *coverage(errors, calibration * deviations))
