"""From a picture to its mosaics: where the tiles are, and which grid they lie on.

`exact` finds tiles of exactly one colour, `lossy` those of lossy files. Proposal and fit are apart there: whatever
proposes a `seeds.Seed` (a box and a grid, both about right) goes the same way through `lossy.follow` and the judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder import exact, lossy
from deepix.finder.evidence import Evidence, luminance
from deepix.finder.grid import fit_grid
from deepix.finder.noise import SIDE
from deepix.finder.seeds import Seed, shared
from deepix.mosaic import Mosaic

__all__ = ["find", "fit_grid"]

INTACT = 5.0
"""How much more evidence a mosaic of nearly equal pixels needs to replace one of equal pixels."""


def find(pixels: NDArray[Any], *, lossy: bool | None = None) -> list[Mosaic]:
    """Return the mosaics of a picture whose tiles are intact, or nearly so.

    Rectangular areas of at least 2 x 2 cells, with cells of 3 to 128 pixels a side, cut by the area's border or not. A
    picture without mosaics gives an empty list.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W) or (H, W, C): gray, or colour with R, G, B first
    lossy : whether the picture went through a lossy file after it was pixelated, so that tiles are not of exactly
        one colour any more; None decides from the pixels

    Returns
    -------
    mosaics that do not overlap, sorted by y, then x, each with a confidence above 0.5

    Raises
    ------
    ValueError : the array is no picture of these types
    """
    if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a picture must be uint8 or uint16 (H, W) or (H, W, C), not {pixels.dtype} {pixels.shape}")
    if min(pixels.shape[:2]) < 6 or (pixels.ndim == 3 and not pixels.shape[2]):
        return []
    candidates: list[tuple[float, Mosaic]] = []
    if not lossy:
        candidates = exact.candidates(pixels)
        found = settle(candidates)
        sure = found and max(evidence for evidence, _ in candidates) >= exact.SURE
        if lossy is False or (sure and not _go_on(found, pixels)):
            return found
    intact = [(INTACT * evidence, m) for evidence, m in candidates]
    return settle(intact + lossy_mosaics(pixels))


def lossy_mosaics(pixels: NDArray[Any]) -> list[tuple[float, Mosaic]]:
    """Return the mosaics of tiles of nearly one colour, which do not overlap, with the evidence for each."""
    return lossy.found(Evidence.of(luminance(pixels)))


def _go_on(found: Sequence[Mosaic], pixels: NDArray[Any]) -> bool:
    """Whether mosaics of exactly equal pixels go on in merely similar ones: the file is lossy after all."""
    height, width = pixels.shape[:2]
    ours = theirs = 0
    for m in found:
        reach = 2 * int(max(m.grid.width, m.grid.height)) + SIDE
        left, top = (max(v - reach, 0) // SIDE * SIDE for v in (m.x, m.y))
        window = pixels[top : min(m.y + m.height + reach, height), left : min(m.x + m.width + reach, width)]
        moved = m.moved(-left, -top)
        g = moved.grid
        seed = Seed((moved.x, moved.y, m.width, m.height), (int(g.width), int(g.height)), (int(g.x), int(g.y)))
        result = lossy.follow(Evidence.of(luminance(window)), seed)
        ours += m.width * m.height
        theirs += min(result[1].box[2] * result[1].box[3], 2 * m.width * m.height) if result else 0
    return theirs > 1.15 * ours


def settle(candidates: Sequence[tuple[float, Mosaic]]) -> list[Mosaic]:
    """Return the candidates that do not overlap better ones, sorted by y, then x."""
    found: list[Mosaic] = []
    for _, m in sorted(candidates, key=lambda c: -c[0]):
        if all(shared(_box(m), _box(other)) == 0 for other in found):
            found.append(m)
    return sorted(found, key=lambda m: (m.y, m.x))


def _box(m: Mosaic) -> tuple[int, int, int, int]:
    return m.x, m.y, m.width, m.height
