"""Many small gray pictures restored at once by a network, each with one rectangle: the 64x64 challenge's task."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepix.inference.models import Models
from deepix.mosaic import Array, Mosaic, Rounding, cell_values, check, project, white
from deepix.mosaic.boxes import Box
from deepix.restorer.features import features
from deepix.restorer.model import load
from deepix.restorer.rectangles import smooth_each

Floats = NDArray[np.float32]

WINDOW = 48
"""Side (pixels) of the window of a picture that the network sees, as in training."""
WINDOW_MARGIN = 4
"""Known pixels at least around the unknown ones in a window; where they do not fit, pictures are taken whole."""


def estimate_each(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = "challenge",
    rounding: Rounding = "truncate",
    *,
    models: Models | None = None,
) -> tuple[Floats, Floats]:
    """Restore many gray pictures of one size, each with one rectangle, at once.

    Parameters
    ----------
    pixelated : (N, H, W), integers of their type's whole range, or floats of 0 … 255; not changed
    mosaics : N rectangles
    model : "challenge", "photo", or the path of an .onnx file that `deepix weights export` wrote
    rounding : how integer cells came about
    models : which opens the model and keeps it; None: the process's own

    Returns
    -------
    Two of float32 (N, H, W), as `deepix.restorer.network.estimate` returns them

    Raises
    ------
    ValueError : a mosaic is no rectangle, or does not lie in the pictures
    InputError : no such model, or it is no restorer of Deepix
    DeepixError : the model returns numbers that are not finite
    """
    restorer = load(model, models)
    level = np.float32(white(pixelated.dtype))
    for m in mosaics:
        check([m], pixelated.shape[1:])
        if m.mask is not None or not m.cell_value.is_mean:
            raise ValueError("pictures of one batch have rectangles only, of means")
    boxes = _windows(mosaics, pixelated.shape[1:])
    moved = [m.moved(-box[1].start, -box[0].start) for m, box in zip(mosaics, boxes, strict=True)]
    result, deviation = pixelated.astype(np.float32), np.zeros(pixelated.shape, np.float32)
    seen = np.stack([picture[box] / level for picture, box in zip(result, boxes, strict=True)])
    start = seen.copy()
    for picture, plane, m, there in zip(pixelated, start, mosaics, moved, strict=True):
        plane[there.box] = there.cells.spread((cell_values(picture, m, rounding) / level).astype(np.float32))
    z = smooth_each(start, moved, restorer.start_steps)
    inputs, contrast = (
        np.stack(a) for a in zip(*(features(a, b, [m]) for a, b, m in zip(z, seen, moved, strict=True)), strict=True)
    )
    residual, spread = restorer(inputs)
    for k, (box, there, m) in enumerate(zip(boxes, moved, mosaics, strict=True)):
        deviation[k][m.box] = (spread[k] * contrast[k] * level)[there.box]
        restored = (z[k] + residual[k] * contrast[k]) * level
        result[k][m.box] = project(restored, pixelated[k][box], [there], rounding)[there.box]
    return result, deviation


def _windows(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> list[Box]:
    """Return a window around each mosaic's middle, all of one size; the whole pictures if one does not fit."""
    fits = all(max(m.width, m.height) + 2 * WINDOW_MARGIN <= WINDOW for m in mosaics)
    height, width = (min(n, WINDOW) if fits else n for n in shape)
    boxes = []
    for m in mosaics:
        top, left = (
            min(max((2 * first + length - size) // 2, 0), whole - size)
            for first, length, size, whole in (
                (m.y, m.height, height, shape[0]),
                (m.x, m.width, width, shape[1]),
            )
        )
        boxes.append((slice(top, top + height), slice(left, left + width)))
    return boxes
