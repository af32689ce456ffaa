"""The challenge's rules: its sizes, its mosaics, its rounding, and pictures that follow them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix import mosaic
from deepix.mosaic import Mosaic, Rounding

SIZE = 64
"""Width and height of the challenge's pictures, in pixels."""
AREA = (4, 32)
"""Least and greatest width and height of an area, in pixels; both are drawn."""
CELL = (4, 16)
"""Least and greatest cell size, in pixels; both are drawn."""
ROUNDING: Rounding = "truncate"
"""How the challenge makes an integer of a cell's mean."""
COUNT = 6635
"""Pictures in the challenge's own test set."""

Bytes = NDArray[np.uint8]


def random_mosaic(
    rng: np.random.Generator,
    size: int = SIZE,
    area: tuple[int, int] = AREA,
    cell: tuple[int, int] = CELL,
) -> Mosaic:
    """Draw a mosaic: width, height and cell size uniform, then x and y uniform where the area fits.

    Parameters
    ----------
    rng : numbers are taken from it in the order width, height, x, y, cell size
    size : the picture's width and height, in pixels
    area, cell : least and greatest, both included, in pixels
    """
    width, height = (int(rng.integers(*area, endpoint=True)) for _ in range(2))
    x, y = (int(rng.integers(0, size - side, endpoint=True)) for side in (width, height))
    return Mosaic.rectangle(x, y, width, height, int(rng.integers(*cell, endpoint=True)))


def pixelate(image: NDArray[Any], m: Mosaic) -> NDArray[Any]:
    """Return the picture with a mosaic by the challenge's rule: means of integers are cut off."""
    return mosaic.pixelate(image, [m], ROUNDING)


@dataclass(frozen=True)
class Examples:
    """Pictures with a mosaic each, and what is under it.

    Attributes
    ----------
    images : uint8 (N, 64, 64), the truth
    mosaics : N rectangles
    """

    images: Bytes
    mosaics: list[Mosaic]

    def pixelated(self) -> Bytes:
        """Return what a restorer is given, uint8 (N, 64, 64)."""
        return np.stack([pixelate(image, m) for image, m in zip(self.images, self.mosaics, strict=True)])

    def known(self) -> NDArray[np.bool_]:
        """Return bool (N, 64, 64), True outside the mosaic."""
        return np.stack([~mosaic.unknown([m], (SIZE, SIZE)) for m in self.mosaics])

    def truths(self) -> list[Bytes]:
        """Return each picture's true unknown pixels, flat in row-major order."""
        return [image[~known] for image, known in zip(self.images, self.known(), strict=True)]

    def test_set(self) -> TestSet:
        """Return the pictures without the truth, as the challenge hands them out."""
        return TestSet(self.pixelated()[:, None], self.known()[:, None])


@dataclass(frozen=True)
class TestSet:
    """What the challenge hands out.

    Attributes
    ----------
    pixelated : uint8 (N, 1, 64, 64)
    known : bool (N, 1, 64, 64), True where a pixel is the truth
    """

    __test__ = False  # it is no test, whatever pytest makes of its name
    pixelated: Bytes
    known: NDArray[np.bool_]


def infer_mosaic(pixelated: Bytes, known: NDArray[np.bool_]) -> Mosaic:
    """Return the mosaic of a picture of which only the known pixels are stated.

    The area is the rectangle of the unknown pixels. A cell size fits if values change only at the cells' edges,
    which are multiples of it: if it divides every position where two neighbouring columns or rows differ.
    Of the sizes 4 … 16 that fit, the greatest is the likeliest, for a smaller one would need cells that are
    equal by chance. It may be greater than the true one only where that changes no cell, or cells were equal.

    Parameters
    ----------
    pixelated : uint8 (H, W)
    known : bool (H, W)

    Raises
    ------
    ValueError : the unknown pixels are not a full rectangle, or no cell size fits
    """
    unknown = ~known
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    if not rows.size:
        raise ValueError("every pixel is known")
    y, x = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - y, int(columns[-1]) + 1 - x
    if not unknown[y : y + height, x : x + width].all():
        raise ValueError("the unknown pixels are not a rectangle")
    box = pixelated[y : y + height, x : x + width]
    column_edges = np.flatnonzero((box[:, 1:] != box[:, :-1]).any(axis=0)) + 1
    row_edges = np.flatnonzero((box[1:] != box[:-1]).any(axis=1)) + 1
    divisor = math.gcd(*column_edges.tolist(), *row_edges.tolist())
    for cell in range(CELL[1], CELL[0] - 1, -1):
        if divisor % cell == 0:
            return Mosaic.rectangle(x, y, width, height, cell)
    raise ValueError(f"no cells of {CELL[0]} … {CELL[1]} pixels fit the unknown pixels")
