"""Where mosaics are, by a small network: maps at a quarter of the picture's size, whatever happened to the file.

    luminance ─ tiles of pixels ─ network ─▶ pixelated, border, width, height

What becomes of the maps, areas and grids, is not decided here. `deepix.training.locator` trains the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError
from deepix.inference.models import Models, Network, default
from deepix.mosaic.boxes import tiles

Floats = NDArray[np.float32]

STRIDE = 4
"""Pixels of the picture to one of the maps, along each axis."""
COARSEST = 32
"""Pixels of the picture to one place of the network's coarsest scale: sides of what it sees are multiples of it."""
TILE = 2048
"""About the side of the parts, in pixels, that large pictures go through the network in: bounds memory."""
OVERLAP = 256
"""By how much a tile sees more than it says, in pixels: what lies further changes probabilities by less than 1e-3."""
COARSE = 64
"""Pixels of a cell's longer side from which on maps of the picture at half its size are asked, too."""
NAME = "locator"
"""What the model that comes with Deepix is called."""
INPUT = "luminance"
"""The network's input: luminance in whole levels, float32 (1, 1, H, W)."""
OUTPUT = "maps"
"""The network's output, float32 (1, 4, H / 4, W / 4): logits of pixelated and border, binary logarithms of the cells'
width and height."""
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


class Locator:
    """The network that says where a picture is pixelated.

    Parameters
    ----------
    network : an opened model that maps `INPUT`, float32 (1, 1, H, W), to `OUTPUT`, float32 (1, 4, H / 4, W / 4)

    Raises
    ------
    InputError : another kind of model
    """

    def __init__(self, network: Network) -> None:
        if network.inputs != (INPUT,) or network.outputs != (OUTPUT,):
            raise InputError(f"{network.name}: not a locator of Deepix")
        self._network = network

    def maps(self, luminance: Floats) -> Maps:
        """Return where a picture seems to be pixelated, and with which cells.

        Cells that are larger than those that the network has learned from are looked for at half the size. Large
        pictures go through the network in tiles: memory grows with the maps only.

        Parameters
        ----------
        luminance : float32 (H, W), 0 … 255, see `luminance.luminance`; not changed
        """
        result = self._at_one_size(luminance)
        if min(luminance.shape) >= 4 * COARSE:
            even = np.pad(luminance, [(0, side % 2) for side in luminance.shape], mode="edge")
            rows = even[::2] + even[1::2]
            half = np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)
            result = _with_coarse(result, self._at_one_size(half))
        return Maps(*result)

    def _at_one_size(self, luminance: Floats) -> Floats:
        """Return pixelated, border, width and height of a picture, float32 (4, ⌈H/4⌉, ⌈W/4⌉)."""
        height, width = luminance.shape
        result = np.empty((4, -(-height // STRIDE), -(-width // STRIDE)), np.float32)
        for part, seen, inside in tiles((height, width), TILE, OVERLAP, COARSEST):
            rows, columns = (slice(s.start // STRIDE, -(-s.stop // STRIDE)) for s in inside)
            to_rows, to_columns = (slice(s.start // STRIDE, -(-s.stop // STRIDE)) for s in part)
            (said,) = self._network.run({INPUT: prepare(luminance[seen])})
            result[:, to_rows, to_columns] = said[0, :, rows, columns]
        with np.errstate(over="ignore"):  # e^88 is infinite in float32, and its inverse 0, which is meant
            result[:2] = 1 / (1 + np.exp(-result[:2]))
        result[2:] = np.exp2(result[2:].clip(0, LARGEST))
        return result


def maps(luminance: Floats, models: Models | None = None) -> Maps:
    """Return what the locator that comes with Deepix says of a picture: see `Locator.maps`.

    Parameters
    ----------
    luminance : float32 (H, W), 0 … 255
    models : that open it; None: the process's own

    Raises
    ------
    InputError : the locator is missing from the installation
    """
    return Locator((default() if models is None else models).open(NAME)).maps(luminance)


def _with_coarse(maps: Floats, half: Floats) -> Floats:
    """Return maps with those of the picture at half its size, where these show large cells and the others do not.

    All are (4, …) of pixelated, border, width and height.
    """
    half = half.repeat(2, axis=1)[:, : maps.shape[1]].repeat(2, axis=2)[:, :, : maps.shape[2]]
    half[2:] *= 2
    better = (half[0] > maps[0]) & (half[2:].max(axis=0) > COARSE)
    return np.where(better, half, maps)


def prepare(luminance: Floats) -> Floats:
    """Return what the network sees of a picture: float32 (1, 1, H', W'), sides the next multiples of `COARSEST`.

    The luminance in whole levels, as its examples have it, mirrored beyond the picture's right and lower side.
    """
    padded = np.pad(luminance, [(0, -side % COARSEST) for side in luminance.shape], mode="symmetric")
    return np.rint(padded, out=padded)[None, None]
