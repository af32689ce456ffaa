"""From a picture to its mosaics: where the tiles are, then which grid they lie on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder import tiles
from deepix.finder.grid import steps
from deepix.mosaic import Grid, Mosaic

__all__ = ["find"]


def find(pixels: NDArray[Any], *, lossy: bool | None = None) -> list[Mosaic]:
    found: list[Mosaic] = []
    if not lossy:
        across, down = steps(pixels, lossy=False)
        found = _settle(_candidates(pixels, across, down, tiles.seeds(tiles.exact_tiles(across, down)), 0.05))
    if lossy or (lossy is None and not all(_is_whole(m, across, down) for m in found) or not found):
        across, down = steps(pixels, lossy=True)
        seeds = []
        for tolerance in (1, 2, 4):
            seeds += tiles.seeds(tiles.cores(across, down, tolerance), 60)
        for side in (256, 128, 64, 32, 24, 16):
            seeds += tiles.combed(across, down, side)
        found = _settle(_candidates(pixels, across, down, seeds, None))
    return sorted(found, key=lambda m: (m.y, m.x))


def _is_whole(m, across, down):
    """Whether a mosaic of exactly equal pixels does not go on in merely similar ones."""
    cell = (int(m.grid.width), int(m.grid.height))
    seed = tiles.Seed((m.x, m.y, m.width, m.height), cell, (int(m.grid.x), int(m.grid.y)), 0)
    grown = tiles.grow(across, down, seed, 0.5)
    return grown is None or grown[0][2] * grown[0][3] <= 1.15 * m.width * m.height


def _candidates(pixels, across, down, seeds, noise):
    candidates = []
    tried = []
    for seed in seeds:
        if _inside_one(seed, tried):
            continue
        for _ in range(3):
            level = noise or max(tiles.noise_in(across, down, seed), 0.3)
            grown = tiles.grow(across, down, seed, level)
            if grown is None or grown[1] < 10:
                break
            box, score = grown
            tried.append((box, seed.cell, seed.origin))
            grid = Grid(seed.origin[0], seed.origin[1], *seed.cell)
            confidence = tiles.judge(pixels, across, down, box, grid, level)
            if confidence < 0.5:
                break
            cell, origin = tiles.regrid(across, down, box, level)
            if cell == seed.cell and all((o - p) % c == 0 for o, p, c in zip(origin, seed.origin, cell)):
                candidates.append((score, Mosaic(*box, grid, confidence=confidence)))
                break
            seed = tiles.Seed(box, cell, origin, seed.weight)
            if _inside_one(seed, tried):
                break
    return candidates


def _inside_one(seed, tried):
    x, y, w, h = seed.box
    return any(
        cell == seed.cell and a <= x and b <= y and x + w <= a + c and y + h <= b + d
        and (origin[0] - seed.origin[0]) % cell[0] == 0 and (origin[1] - seed.origin[1]) % cell[1] == 0
        for (a, b, c, d), cell, origin in tried
    )


def _settle(candidates):
    found = []
    for _, m in sorted(candidates, key=lambda c: -c[0]):
        if all(m.x >= o.x + o.width or o.x >= m.x + m.width or m.y >= o.y + o.height or o.y >= m.y + m.height for o in found):
            found.append(m)
    return found
