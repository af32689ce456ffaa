"""What a restorer's ONNX file is: a network that predicts what the smooth start lacks, and describes itself.

    residual, log_deviation = network(features)        see `deepix.restorer.features`

both in units of the local contrast, from which the rest follows:

    restoration                    = project(start + contrast · residual)
    predicted standard deviation   = contrast · exp(log_deviation) · calibration
"""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError
from deepix.inference.models import Models, Network, default

Floats = NDArray[np.float32]

SHIPPED = ("challenge", "photo")
"""The restorers among the models that come with Deepix, see `deepix.inference.models.shipped`."""
DEFAULT = "photo"
"""The one for photos."""
START_STEPS: tuple[int, ...] = (3, 3, 3)
"""Conjugate-gradient steps of the shipped networks' smooth start; an ONNX file says its own, see `Restorer`."""
INPUT, OUTPUTS = "features", ("residual", "log_deviation")
"""Names in the ONNX file."""
MOST_LOG_DEVIATION = 8.0
"""Largest size of a predicted log_deviation that is believed: e⁸ ≈ 3,000 times the contrast."""


class Restorer:
    """A restorer's network with what it says of itself.

    Parameters
    ----------
    network : an opened model

    Attributes
    ----------
    name : as its file has it
    stride : pixels; heights and widths of its input are multiples of it
    cells : least and greatest side of the cells that it was trained on, in pixels
    start_steps : conjugate-gradient steps of the smooth start, see `deepix.restorer.smooth.smooth_at_one_size`
    calibration : factor that makes its predicted standard deviations those of its errors on validation pictures

    Raises
    ------
    InputError : the model is no restorer, or its description lacks something
    """

    def __init__(self, network: Network) -> None:
        about = network.about
        try:
            self.name = str(about["name"])
            self.stride = int(about["stride"])
            self.cells = float(about["cells"][0]), float(about["cells"][1])
            self.start_steps = tuple(int(steps) for steps in about["rounds"])
            self.calibration = float(about["calibration"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            if (network.inputs, network.outputs) != ((INPUT,), OUTPUTS) and about:
                raise InputError(f"{network.name}: not a restorer of Deepix") from error
            raise InputError(
                f"{network.name}: not a model of Deepix (its metadata lack what 'deepix' should say)"
            ) from error
        if (network.inputs, network.outputs) != ((INPUT,), OUTPUTS) or not self.start_steps:
            raise InputError(f"{network.name}: not a restorer of Deepix")
        self.network = network

    def __call__(self, planes: Floats) -> tuple[Floats, Floats]:
        """Return the residual and the predicted standard deviation, in units of the local contrast.

        Parameters
        ----------
        planes : float32 (N, 7, H, W), see `deepix.restorer.features.features`

        Returns
        -------
        Two of float32 (N, H, W)

        Raises
        ------
        DeepixError : the network returns numbers that are not finite, or cannot be run
        """
        height, width = planes.shape[2:]
        padded = np.pad(planes, ((0, 0), (0, 0), (0, -height % self.stride), (0, -width % self.stride)))
        residual, log_deviation = (y[:, 0, :height, :width] for y in self.network.run({INPUT: padded}))
        bound = MOST_LOG_DEVIATION
        return residual, np.exp(log_deviation.clip(-bound, bound)) * np.float32(self.calibration)


def load(model: str | PathLike[str] = DEFAULT, models: Models | None = None) -> Restorer:
    """Return a restorer.

    Parameters
    ----------
    model : "photo", "challenge", or the path of an .onnx file that `deepix weights export` wrote
    models : which opens it and keeps it; None: the process's own

    Raises
    ------
    InputError : no such model, or it is no restorer of Deepix
    """
    return Restorer((models or default()).open(model))
