"""From a picture to its mosaics: where the tiles are, then which grid they lie on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder import tiles
from deepix.finder.grid import luminance, steps
from deepix.mosaic import Grid, Mosaic

__all__ = ["find"]


def find(pixels: NDArray[Any], *, lossy: bool | None = None) -> list[Mosaic]:
    found: list[Mosaic] = []
    if not lossy:
        across, down = steps(pixels, lossy=False)
        found = _settle(_candidates(pixels, across, down, tiles.seeds(tiles.exact_tiles(across, down)), 0.05))
    if lossy or (lossy is None and (not found or _go_on(found, pixels))):
        across, down = steps(pixels, lossy=True)
        seeds = []
        for tolerance in (1, 2, 4):
            found_cores = tiles.cores(across, down, tolerance)
            seeds += tiles.seeds(found_cores, 100)
            seeds += tiles.single_seeds(found_cores, across.shape)
        for side in (256, 128, 64, 32, 24, 16, 12):
            seeds += tiles.combed(across, down, side)
        found = _settle(_candidates(pixels, across, down, seeds, None))
    return sorted(found, key=lambda m: (m.y, m.x))


def _go_on(found, pixels):
    """Whether mosaics of exactly equal pixels go on in merely similar ones: a lossy file's."""
    picture = luminance(pixels)
    ours = theirs = 0
    for m in found:
        cell = (int(m.grid.width), int(m.grid.height))
        box = tiles.trim(picture, (m.x, m.y, m.width, m.height), cell, (int(m.grid.x), int(m.grid.y)))
        ours += m.width * m.height
        theirs += min(box[2] * box[3], 2 * m.width * m.height)
    return theirs > 1.15 * ours


def _candidates(pixels, across, down, seeds, noise):
    candidates = []
    picture = luminance(pixels) if noise is None else pixels
    tried = []
    ranked = sorted(
        ((tiles.support(across, down, seed.box, seed.cell, seed.origin), seed) for seed in seeds),
        key=lambda r: -r[0],
    ) if noise is None else [(0, seed) for seed in seeds]
    for value, seed in ranked:
        if _inside_one(seed, tried):
            continue
        if noise is None:
            if value < 10 or value < 0.02 * seed.box[2] * seed.box[3] or len(tried) > 150:
                continue
            if any(_covers(m, seed.box) and tiles.support(across, down, seed.box, (int(m.grid.width), int(m.grid.height)), (int(m.grid.x), int(m.grid.y))) >= 0.8 * value for _, m in candidates):
                continue
        for _ in range(3):
            level = noise or max(tiles.noise_in(across, down, seed), 0.3)
            grown = tiles.grow(across, down, seed, level)
            if grown is None or grown[1] < 10:
                break
            box, score = grown
            tried.append((box, seed.cell, seed.origin))
            if noise is None:
                box = tiles.trim(picture, box, seed.cell, seed.origin)
            grid = Grid(seed.origin[0], seed.origin[1], *seed.cell)
            confidence = tiles.judge(pixels, across, down, box, grid, level)
            if confidence < 0.5:
                break
            score = tiles.support(across, down, box, seed.cell, seed.origin)
            candidates.append((score, Mosaic(*box, grid, confidence=confidence)))
            cell, origin = tiles.regrid(across, down, box)
            seed = tiles.Seed(box, cell, origin, seed.weight)
            if _inside_one(seed, tried):
                break
    return candidates


def _covers(m, box):
    x, y, w, h = box
    across = min(m.x + m.width, x + w) - max(m.x, x)
    down = min(m.y + m.height, y + h) - max(m.y, y)
    return across > 0 and down > 0 and across * down >= 0.6 * w * h


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
