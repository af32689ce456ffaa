"""What a refiner's and an adversary's ONNX files are: networks that describe themselves.

detail   = refiner(features)           see `planes`; in units of the restorer's predicted standard deviation
restored = adversary(luminance)        logits: above 0 where a pixel looks restored
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepix.errors import DeepixError, InputError
from deepix.inference.models import Models, Network, default, shipped
from deepix.mosaic import Mosaic
from deepix.restorer.features import features

Floats = NDArray[np.float32]

REFINER, ADVERSARY = "refiner", "adversary"
"""Names of the shipped models."""
PLANES = 9
"""A refiner's input, see `planes`."""
INPUT, OUTPUT = "features", "detail"
MAP_INPUT, MAP_OUTPUT = "luminance", "restored"
"""Names in the ONNX files."""
MOST = 8.0
"""Largest detail that is believed, in deviations."""
UNIT = 0.74
"""What a refiner takes for a deviation, over what the restorer's network predicts before it is calibrated; so those may
be calibrated anew without another refiner. Chosen on the validation examples: less is less detail, and seams between
cells show; more is farther from the truth, in features and RMSE."""
ABSENT = "this installation has no trained {} (weights/{}.onnx), which {} needs"


class Refiner:
    """A refiner's network with what it says of itself.

    Parameters
    ----------
    network : an opened model

    Attributes
    ----------
    stride : pixels; heights and widths of its input are multiples of it
    cells : least and greatest side of the cells that it was trained on, in pixels
    growth : by what the restorer's predicted deviations grow with all detail, at least 1
    restorers : SHA-256 of the restorers' files whose restorations it was trained on

    Raises
    ------
    InputError : the model is no refiner, or its description lacks something
    """

    def __init__(self, network: Network) -> None:
        about = network.about
        try:
            self.stride = int(about["stride"])
            self.cells = float(about["cells"][0]), float(about["cells"][1])
            self.growth = max(float(about["growth"]), 1.0)
            self.restorers = frozenset(str(value) for value in about["restorers"].values())
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"{network.name}: not a refiner of Deepix") from error
        if about.get("kind") != REFINER or (network.inputs, network.outputs) != ((INPUT,), (OUTPUT,)):
            raise InputError(f"{network.name}: not a refiner of Deepix")
        self.network = network

    def __call__(self, planes: Floats) -> Floats:
        """Return the detail (N, H, W), in deviations, of planes (N, 9, H, W); raises as `Network.run`."""
        height, width = planes.shape[2:]
        padded = np.pad(planes, ((0, 0), (0, 0), (0, -height % self.stride), (0, -width % self.stride)))
        (detail,) = self.network.run({INPUT: padded})
        result: Floats = np.clip(detail[:, 0, :height, :width], -MOST, MOST)
        return result


class Adversary:
    """An adversary's network.

    Raises
    ------
    InputError : the model is none
    """

    def __init__(self, network: Network) -> None:
        about = network.about
        if about.get("kind") != ADVERSARY or (network.inputs, network.outputs) != ((MAP_INPUT,), (MAP_OUTPUT,)):
            raise InputError(f"{network.name}: not an adversary of Deepix")
        self.stride = int(about["stride"])
        self.network = network

    def __call__(self, luminance: Floats) -> Floats:
        """Return the probability that each pixel of a luminance (H, W), of 0 … 1, was restored: float32 (H, W)."""
        height, width = luminance.shape
        padded = np.pad(luminance, ((0, -height % self.stride), (0, -width % self.stride)), mode="symmetric")
        (logits,) = self.network.run({MAP_INPUT: padded[None, None].astype(np.float32)})
        return np.asarray(1 / (1 + np.exp(-logits[0, 0, :height, :width].clip(-30, 30))), np.float32)


def load_refiner(models: Models | None = None, model: str | PathLike[str] = REFINER) -> Refiner:
    """Return the refiner that comes with Deepix, or another.

    Raises
    ------
    DeepixError : there is none in this installation
    InputError : a file that is none
    """
    if model == REFINER and REFINER not in shipped():
        raise DeepixError(ABSENT.format(REFINER, REFINER, "detail above 0") + "; leave detail at 0")
    return Refiner((models or default()).open(model))


def load_adversary(models: Models | None = None, model: str | PathLike[str] = ADVERSARY) -> Adversary:
    """Return the adversary that comes with Deepix, or another; raises as `load_refiner`."""
    if model == ADVERSARY and ADVERSARY not in shipped():
        raise DeepixError(ABSENT.format(ADVERSARY, ADVERSARY, "a map of what looks restored"))
    return Adversary((models or default()).open(model))


def planes(restored: Floats, pixelated: Floats, deviation: Floats, noise: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return what a refiner sees of one plane: float32 (9, H, W).

    Parameters
    ----------
    restored, pixelated : float32 (H, W), values in [0, 1]
    deviation : float32 (H, W), the same unit: the restorer's predicted standard deviation, 0 where known
    noise : float32 (H, W), white, standard normal
    mosaics : in the plane

    Returns
    -------
    The seven planes of `deepix.restorer.features.features` with the restoration as its start, the deviation over the
    local contrast, and the same times the noise
    """
    seen, contrast = features(restored, pixelated, mosaics)
    spread = deviation / contrast
    return np.concatenate([seen, spread[None], (spread * noise)[None]])
