"""Random mosaics, to try things on."""

from __future__ import annotations

import numpy as np

from deepix.mosaic.types import Mosaic


def random_mosaics(
    shape: tuple[int, ...], count: int, rng: np.random.Generator, cells: tuple[int, int] = (4, 48)
) -> list[Mosaic]:
    """Draw rectangles of square cells that do not overlap, as many of `count` as find room.

    Cell sizes are drawn log-uniformly between the two of `cells` (at most an eighth of the picture's shorter side),
    areas of 2 to 12 cells a side (at most half of the picture's), places uniformly.

    Parameters
    ----------
    shape : of the picture: (H, W, …)
    count : mosaics at most
    rng : the same state gives the same mosaics
    cells : least and greatest size of the cells, in pixels

    Raises
    ------
    ValueError : the picture's shorter side has less than four of the smallest cells
    """
    height, width = shape[:2]
    least, most = cells[0], max(cells[0], min(cells[1], min(height, width) // 8))
    if min(height, width) < 4 * least:
        raise ValueError(f"a picture of {width} x {height} pixels is too small for random areas")
    taken = np.zeros((height, width), bool)
    result: list[Mosaic] = []
    for _ in range(100 * count):
        if len(result) == count:
            break
        cell = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        w, h = (int(rng.integers(2 * cell, max(2 * cell, min(12 * cell, side // 2)) + 1)) for side in (width, height))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        around = taken[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
        if not around.any():
            taken[y : y + h, x : x + w] = True
            result.append(Mosaic.rectangle(x, y, w, h, cell))
    return result
