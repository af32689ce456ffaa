"""Estimates of the challenge's pictures by a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepix.errors import DeepixError
from deepix.mosaic import Mosaic
from deepix.training import weights
from deepix.training.data.samples import Sample
from deepix.training.networks import Network
from deepix.training.operators import from_numpy


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is an accelerator where there is one.

    Raises
    ------
    DeepixError : there is no such device here
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # without CUDA, PyTorch raises AssertionError; for a wrong number or name, RuntimeError
    except (AssertionError, RuntimeError) as error:
        raise DeepixError(f"device {name!r}: {str(error).splitlines()[0]}") from error
    return device


@torch.inference_mode()
def predict(
    model: str | Path | Network,
    pixelated: NDArray[np.uint8],
    mosaics: Sequence[Mosaic],
    batch: int = 64,
    device: str = "auto",
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Estimate grayscale pictures of which each has one mosaic.

    Parameters
    ----------
    model : a weights file, a folder it was trained in, or a network (which is moved to the device)
    pixelated : uint8 (N, H, W)
    mosaics : N
    batch : pictures at once
    device : "auto", "cpu", "cuda" …
    progress : called with the number of pictures done since the last call

    Returns
    -------
    float32 (N, H, W), 0 … 255 as far as the network keeps to it

    Raises
    ------
    InputError : the weights cannot be read
    DeepixError : there is no such device here
    """
    target = choose_device(device)
    network = model.to(target).eval() if isinstance(model, Network) else weights.load(model, target)
    result = np.empty(pixelated.shape, np.float32)
    height, width = pixelated.shape[1:]
    for start in range(0, len(pixelated), batch):
        part = slice(start, start + batch)
        pictures = torch.from_numpy(pixelated[part]).to(target)[:, None].float() / 255
        cells = from_numpy([[m] for m in mosaics[part]], height, width).to(target)
        estimate = network.restore(Sample(None, pictures, cells))
        result[part] = (estimate[:, 0].float() * 255).cpu().numpy()
        if progress:
            progress(len(pictures))
    return result
