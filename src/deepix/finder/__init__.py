"""From a picture to its mosaics: where the tiles are (`tiles`), then which grid they lie on (`grid`).

Proposal and fit are apart: whatever proposes a `tiles.Seed` (a box and a grid, or a box whose grid `grid.fit_grid`
finds) goes the same way through growing, judging and settling as the proposals here do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder import tiles
from deepix.finder.grid import Steps, fit_grid, luminance, steps
from deepix.mosaic import Grid, Mosaic

__all__ = ["find", "fit_grid"]

LARGE = 4_000_000
"""Pixels from which on the finer of the searches for lossy mosaics are left out, to stay within seconds."""
SINGLE = -7.0
"""The log-odds that proposals count for at least: a large cell or two do not show yet what they are part of."""
INTACT = 5.0
"""How much more evidence a mosaic of nearly equal pixels needs to replace one of equal pixels."""
WORK = 10_000_000
"""Pixels that may be looked at to follow up proposals, in one picture."""

Candidate = tuple[float, Mosaic]
"""How much evidence there is for a mosaic, in nats, and the mosaic."""


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
    candidates: list[Candidate] = []
    if not lossy:
        candidates = exact_candidates(pixels)
        found = settle(candidates)
        sure = found and max(evidence for evidence, _ in candidates) >= tiles.SURE
        if lossy is False or (sure and not _go_on(found, pixels)):
            return found
    intact = [(INTACT * evidence, m) for evidence, m in candidates]
    return settle(intact + lossy_candidates(pixels))


def exact_candidates(pixels: NDArray[Any]) -> list[Candidate]:
    """Return what may be mosaics of tiles of exactly one colour."""
    across, down = steps(pixels, lossy=False)
    candidates: list[Candidate] = []
    done: list[tiles.Seed] = []
    for seed in tiles.seeds(tiles.exact_tiles(across, down)):
        if tiles.inside_one(seed, done):
            continue
        fit, _ = tiles.grow(across, down, seed, tiles.NOISELESS)
        if fit is None:
            continue
        done.append(fit)
        fit = tiles.trim_flat(across, down, fit)
        candidates += _candidate(pixels, across, down, fit, exact=True)
    return candidates


def lossy_candidates(pixels: NDArray[Any]) -> list[Candidate]:
    """Return what are mosaics of tiles of nearly one colour, from luminance: they do not overlap, grids are refined."""
    picture = luminance(pixels)
    across, down = steps(pixels, lossy=True)
    large = picture.size > LARGE
    proposals: list[tiles.Seed] = []
    for tolerance in (2,) if large else (1, 2, 4):
        rectangles = tiles.cores(across, down, tolerance)
        proposals += tiles.seeds(rectangles, 100) + tiles.single_seeds(rectangles, picture.shape)
    for side in (256, 128, 64, 32, 24) if large else (256, 192, 128, 96, 64, 48, 32, 24, 16, 12):
        proposals += tiles.combed(across, down, side, limit=60 if large else 200)
    ranked = []
    for seed in proposals:
        value = tiles.support(across, down, seed)
        if value >= 10:
            ranked.append((max(tiles.odds(pixels, across, down, seed, value), SINGLE), value, seed))
    ranked.sort(key=lambda r: -r[0])

    candidates: list[Candidate] = []
    done: list[tiles.Seed] = []
    work = 0
    for _, value, first in ranked:
        if work > WORK:
            break
        if tiles.inside_one(first, done):
            continue
        if any(tiles.explains(across, down, m, first, 0.8 * value) for _, m in candidates):
            continue
        seed = first
        for _ in range(3):  # the area shows the grid better than the seed did, the grid the area, …
            noise = max(tiles.noise_in(across, down, seed), 0.3)
            fit, spent = tiles.grow(across, down, seed, noise)
            work += spent
            if fit is None:
                break
            done.append(fit)
            box = tiles.trim(picture, fit)
            if min(box[2:]) < 4:
                break
            fit = tiles.bare_ends(pixels, tiles.Seed(box, fit.cell, fit.origin))
            new = _candidate(pixels, across, down, fit, exact=False)
            if not new:
                break
            candidates += new
            seed = tiles.regrid(across, down, fit)
            if tiles.inside_one(seed, done):
                break

    result: list[Candidate] = []
    for m in settle(candidates):
        seed = tiles.Seed.of(m)
        fine = tiles.refine(picture, seed)
        better: list[Candidate] = []
        if not fine.same_grid(seed):
            fit = tiles.Seed(tiles.trim(picture, fine), fine.cell, fine.origin)
            better = _candidate(pixels, across, down, fit, exact=False)
        result += better or [(tiles.support(across, down, seed), m)]
    return result


def _candidate(pixels: NDArray[Any], across: Steps, down: Steps, fit: tiles.Seed, exact: bool) -> list[Candidate]:
    """Return the fit as a candidate, or nothing where it is no mosaic."""
    confidence = tiles.judge(pixels, across, down, fit, exact)
    if confidence <= 0.5:
        return []
    mosaic = Mosaic(*fit.box, Grid(*fit.origin, *fit.cell), confidence=confidence)
    return [(tiles.support(across, down, fit), mosaic)]


def _go_on(found: Sequence[Mosaic], pixels: NDArray[Any]) -> bool:
    """Whether mosaics of exactly equal pixels go on in merely similar ones: the file is lossy after all."""
    picture = luminance(pixels)
    ours = theirs = 0
    for m in found:
        _, _, width, height = tiles.trim(picture, tiles.Seed.of(m))
        ours += m.width * m.height
        theirs += min(width * height, 2 * m.width * m.height)
    return theirs > 1.15 * ours


def settle(candidates: Sequence[Candidate]) -> list[Mosaic]:
    """Return the candidates that do not overlap better ones, sorted by y, then x."""
    found: list[Mosaic] = []
    for _, m in sorted(candidates, key=lambda c: -c[0]):
        if all(tiles.shared(m, other) == 0 for other in found):
            found.append(m)
    return sorted(found, key=lambda m: (m.y, m.x))
