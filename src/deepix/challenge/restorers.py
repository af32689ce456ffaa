"""What estimates the unknown pixels of a test set's pictures, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepix.challenge.protocol import ROUNDING, Bytes
from deepix.errors import InputError
from deepix.mosaic import Mosaic

Progress = Callable[[int], None]
"""Called with the number of pictures done since the last call."""
Restorer = Callable[[Bytes, Sequence[Mosaic], Progress | None], NDArray[np.float32]]
"""(pixelated (N, H, W), each picture's mosaic, progress) → estimates float32 (N, H, W), 0 … 255."""
Loader = Callable[[str, str, int], Restorer]
"""(path of a trained network, device, batch) → the restorer; see `restorer` for its arguments and errors."""

LOADERS = "deepix.challenge.restorers"
"""Group of entry points that name a `Loader`. The challenge knows nothing of how networks are trained."""


def restorer(name: str, device: str = "auto", batch: int = 64) -> Restorer:
    """Return what estimates a test set's pictures.

    Parameters
    ----------
    name : "identity" (the mosaic as it is), "smooth" (the restorer without training), "challenge" or "photo" (the
        networks that come with Deepix), the path of an .onnx file; or that of a trained network's weights or training
        run, if `deepix.training` was imported, which needs the extra `train`
    device : for trained networks: "auto", "cpu", "cuda" …
    batch : for all networks: how many pictures are processed together

    Returns
    -------
    A function of pixelated uint8 (N, 64, 64), N mosaics and a progress callback (or None); it
    returns estimates float32 (N, 64, 64), 0 … 255.

    Raises
    ------
    InputError : there is no such restorer, weights cannot be read, or nothing that reads them is installed
    DeepixError : a network that comes with Deepix is missing
    ModuleNotFoundError : the extra `train` is missing
    """
    if name == "identity":
        return _each(lambda pixelated, m: pixelated)
    if name == "smooth":
        from deepix.restorer.smooth import smooth

        return _each(lambda pixelated, m: smooth(pixelated, [m], rounding=ROUNDING))
    from deepix.restorer.model import SHIPPED

    if name in SHIPPED or name.endswith(".onnx"):
        return _by_runtime(name, batch)
    if not Path(name).exists():
        known = ", ".join(map(repr, ("identity", "smooth", *SHIPPED)))
        raise InputError(f"{name}: no such model: {known}, or a path to an .onnx file, weights or a training run")
    for loader in entry_points(group=LOADERS):
        return cast(Loader, loader.load())(name, device, batch)
    raise InputError(f"{name}: not an .onnx file, and nothing is installed that reads weights or training runs")


def _by_runtime(name: str, batch: int) -> Restorer:
    from deepix.restorer.each import estimate_each
    from deepix.restorer.model import load

    load(name)  # what is wrong with it is said before any work

    def run(pixelated: Bytes, mosaics: Sequence[Mosaic], progress: Progress | None = None) -> NDArray[np.float32]:
        result = np.empty(pixelated.shape, np.float32)
        for start in range(0, len(pixelated), batch):
            part = slice(start, start + batch)
            result[part], _ = estimate_each(pixelated[part], mosaics[part], name, ROUNDING)
            if progress:
                progress(len(pixelated[part]))
        return result

    return run


def _each(restore: Callable[[Bytes, Mosaic], NDArray[Any]]) -> Restorer:
    def run(pixelated: Bytes, mosaics: Sequence[Mosaic], progress: Progress | None = None) -> NDArray[np.float32]:
        result = np.empty(pixelated.shape, np.float32)
        for i, m in enumerate(mosaics):
            result[i] = restore(pixelated[i], m)
            if progress:
                progress(1)
        return result

    return run
