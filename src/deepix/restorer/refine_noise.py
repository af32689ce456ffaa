"""White noise that is a function of a place in the picture and a seed: any part of it can be made by itself.

    counter-based generator (Philox 4x64, Salmon et al. 2011), keyed by the seed, its counter begun by the block's place

so that tiles and windows of a picture see the same noise wherever they overlap, in whatever order they are made. Bits
become normal numbers by Box and Muller's transform (1958): the same ones in every version of NumPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Side of the blocks that are made at once, in pixels."""
PLACES = 1 << 64
"""Numbers that tell places: those of blocks left of and above the origin count from the end."""


def white_noise(seed: int, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
    """Return standard normal noise at pixels x … x + width − 1, y … y + height − 1: float32 (height, width).

    Parameters
    ----------
    seed : 0 … 2^64 − 1
    x, y : any integers; below 0 as well
    width, height : pixels
    """
    result = np.empty((height, width), np.float32)
    for row in range(y // BLOCK, -(-(y + height) // BLOCK)):
        for column in range(x // BLOCK, -(-(x + width) // BLOCK)):
            top, left = row * BLOCK - y, column * BLOCK - x
            rows = slice(max(top, 0), min(top + BLOCK, height))
            columns = slice(max(left, 0), min(left + BLOCK, width))
            inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            result[rows, columns] = _block(seed, column, row)[inner]
    return result


def _block(seed: int, column: int, row: int) -> NDArray[np.float32]:
    counter = np.array([0, column % PLACES, row % PLACES, 0], np.uint64)
    bits = np.random.Philox(key=seed, counter=counter).random_raw(BLOCK * BLOCK)
    # two numbers of 32 bits each, in (0, 1)
    one, two = (
        (part.astype(np.float64) + 0.5) / 2**32 for part in (bits >> np.uint64(32), bits & np.uint64(2**32 - 1))
    )
    normal: NDArray[np.float64] = np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * two)
    return normal.astype(np.float32).reshape(BLOCK, BLOCK)
