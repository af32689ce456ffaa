"""Where mosaics are, by a small network: maps at a quarter of the picture's size, whatever happened to the file.

    luminance ─ tiles of pixels ─ network, in ONNX Runtime ─▶ pixelated, border, width, height

What becomes of the maps, areas and grids, is not decided here. `deepix.training.locator` trains the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepix import runtime
from deepix.errors import DeepixError, InputError
from deepix.windows import tiles

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

STRIDE = 4
"""Pixels of the picture to one of the maps, along each axis."""
COARSEST = 32
"""The network's scales: tiles begin at multiples of it, and their sides are."""
TILE = 2048
"""About the side of the network's tiles, in pixels: bounds memory."""
OVERLAP = 256
"""By how much a tile sees more than it says, in pixels: what lies further changes probabilities by less than 1e-3."""
COARSE = 64
"""Pixels of a cell's longer side from which on maps of the picture at half its size are asked, too."""
NAME = "locator"
INPUT, OUTPUT = "luminance", "maps"
LARGEST = 8.0
"""Base-2 logarithm of the largest cell that the maps may hold."""


@dataclass(frozen=True, eq=False)
class Maps:
    """What the network says of a picture of H x W pixels; each map is float32 (⌈H/4⌉, ⌈W/4⌉).

    Attributes
    ----------
    pixelated : probability in [0, 1] that the pixels there lie in a mosaic; at its outline about the share that does
    border : probability in [0, 1] that a mosaic's outline passes there, against other pixels or another mosaic
    width, height : of the cell, in pixels; mean something where `pixelated` is high
    """

    pixelated: Floats
    border: Floats
    width: Floats
    height: Floats


def maps(luminance: Floats, threads: int | None = None) -> Maps:
    """Return where a picture seems to be pixelated, and with which cells.

    Cells that are larger than those that the network has learned from are looked for at half the size. Large pictures
    go through the network in tiles: memory grows with the maps only.

    Parameters
    ----------
    luminance : float32 (H, W), 0 … 255, see `evidence.luminance`; not changed
    threads : of the processor; None: all

    Raises
    ------
    DeepixError : the network is missing from the installation
    """
    session = _session(threads)
    result = _at_one_size(luminance, session)
    if min(luminance.shape) >= 4 * COARSE:
        even = np.pad(luminance, [(0, side % 2) for side in luminance.shape], mode="edge")
        rows = even[::2] + even[1::2]
        half = np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)
        result = _with_coarse(result, _at_one_size(half, session))
    return Maps(*result)


def _with_coarse(maps: Floats, half: Floats) -> Floats:
    """Return maps with those of the picture at half its size, where these show large cells and the others do not.

    All are (4, …) of pixelated, border, width and height.
    """
    half = half.repeat(2, axis=1)[:, : maps.shape[1]].repeat(2, axis=2)[:, :, : maps.shape[2]]
    half[2:] *= 2
    better = (half[0] > maps[0]) & (half[2:].max(axis=0) > COARSE)
    return np.where(better, half, maps)


def _at_one_size(luminance: Floats, session: InferenceSession) -> Floats:
    """Return pixelated, border, width and height of a picture, float32 (4, ⌈H/4⌉, ⌈W/4⌉)."""
    height, width = luminance.shape
    result = np.empty((4, -(-height // STRIDE), -(-width // STRIDE)), np.float32)
    for part, seen, inside in tiles((height, width), TILE, OVERLAP, COARSEST):
        given = prepare(luminance[seen])
        rows, columns = (slice(s.start // STRIDE, -(-s.stop // STRIDE)) for s in inside)
        to_rows, to_columns = (slice(s.start // STRIDE, -(-s.stop // STRIDE)) for s in part)
        result[:, to_rows, to_columns] = session.run([OUTPUT], {INPUT: given})[0][0, :, rows, columns]
    with np.errstate(over="ignore"):  # e^88 is infinite in float32, and its inverse 0, which is meant
        result[:2] = 1 / (1 + np.exp(-result[:2]))
    result[2:] = np.exp2(result[2:].clip(0, LARGEST))
    return result


def prepare(luminance: Floats) -> Floats:
    """Return what the network sees of a picture: float32 (1, 1, H', W'), sides the next multiples of `COARSEST`.

    The luminance in whole levels, as its examples have it, mirrored beyond the picture's right and lower side.
    """
    padded = np.pad(luminance, [(0, -side % COARSEST) for side in luminance.shape], mode="symmetric")
    return np.rint(padded, out=padded)[None, None]


@lru_cache(maxsize=2)
def _session(threads: int | None) -> InferenceSession:
    place = resources.files("deepix") / "weights" / f"{NAME}.onnx"
    if not place.is_file():
        raise DeepixError(f"the model '{NAME}' is missing from this installation: install Deepix anew")
    session = runtime.session(place.read_bytes(), f"{NAME}.onnx", threads)
    if [i.name for i in session.get_inputs()] != [INPUT] or [o.name for o in session.get_outputs()] != [OUTPUT]:
        raise InputError(f"{NAME}.onnx: not a locator of Deepix")
    return session
