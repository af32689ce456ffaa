"""Trained networks among the models of `deepix.challenge.restorer`, which finds this as an entry point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix.challenge import Bytes, Progress, Restorer
    from deepix.mosaic import Mosaic


def trained(path: str, device: str, batch: int) -> Restorer:
    """Return what estimates a test set's pictures with a trained network; see `deepix.challenge.restorers.Loader`."""
    from deepix.training import weights
    from deepix.training.predict import choose_device, predict

    network = weights.load(path, choose_device(device))

    def run(pixelated: Bytes, mosaics: Sequence[Mosaic], progress: Progress | None = None) -> NDArray[np.float32]:
        return predict(network, pixelated, mosaics, batch, device, progress)

    return run
