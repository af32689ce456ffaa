"""The training-free restorer: among all pictures that agree with the input, the one that is smoothest along its edges.

It minimises, over the pictures u that agree with the input (see `deepix.mosaic`),

    E(u) = Σ ∇uᵀ D ∇u  +  τ Σ (∂x∂y u)²        D = I − (J − λ₂ I) / (k² + λ₁ − λ₂)

on the corners where four pixels meet. J is the structure tensor (∇u ∇uᵀ, summed over the channels and smoothed) with
eigenvalues λ₁ ≥ λ₂: where the picture has a direction, D lets it change across but not along it; where it has none,
D = I and E is the membrane energy ‖∇u‖². D is computed from the restoration itself, a few times; k² is a share of the
mean gradient there, so that the unit of the pixels does not matter. The second term keeps out the checkerboard, to
which corners are blind. This is Weickert's edge-enhancing diffusion (Anisotropic Diffusion in Image Processing,
1998) as a prior for an inverse problem.

Why this energy: RMSE over the unknown pixels of the 64x64 challenge's validation cases (benchmarks/quality.py), all
pixels pooled | mean of the pictures' RMSEs:

    the mosaic itself              30.64 | 25.95
    membrane ‖∇u‖²                 23.33 | 19.26
    bending ‖Δu‖²                  23.47 | 19.01
    this energy                    21.11 | 16.83      (20.98 | 16.65 nearer to its minimum)

The constants were chosen on training pictures. On 100 cases of these the membrane had 22.9, bending 21.8, the best mix
of the two 21.8, isotropic reweighting towards total variation 22.0, and this energy, minimise exactly, 18.3; adding
bending to an earlier form of it gained 0.4, which was not worth its price in steps. On large areas of full-size
colour photos the gain is smaller: 24.3 to 23.8 for cells of 8 pixels, 32.6 to 31.3 for 25. One D for all channels
beats one for each (31.4 against 31.5), and is cheaper.

The minimum for given D is approached by conjugate gradients within the null space of A: every step keeps the cells'
means and the known pixels. They are preconditioned: the force is spread by a Gaussian, which comes near the inverse
of the membrane's energy on what varies within cells. Steps are needed in proportion to the cells' size in pixels, so
large cells are first restored at half the size, recursively until cells are small; the result is where the next size
starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Array, Grid, Mosaic, Rounding, cell_values, check, foreign_pixels, known, project, unknown
from deepix.mosaic.boxes import tiles
from deepix.mosaic.windows import crop, windows
from deepix.restorer.cell_means import as_means, as_shown
from deepix.restorer.energy import diffusion_tensor, minimise
from deepix.restorer.fill import without_foreign

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

MARGIN = 8
"""Known pixels that a window shows around the unknown: enough for the structure tensor's support."""
SMALL_CELL = 12.0
"""Cells at least this wide and high (pixels) are first restored at half the size."""
TILE = 1024
"""Side (pixels) of the tiles that larger windows are cut into, which bounds memory."""
TILE_OVERLAP = 4
"""Cells by which tiles overlap, up to half a tile."""
COARSEST_STEPS: tuple[int, ...] = (4, 4, 4, 4, 4)
"""Conjugate-gradient steps at the coarsest size: with D = I from the mosaic itself, and then with each new D."""
FINER_STEPS: tuple[int, ...] = (3,)
"""Conjugate-gradient steps with each new D at the sizes that start from a coarser one."""


def smooth(pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Floats:
    """Restore the mosaics of a picture without training.

    Foreign pixels are taken for ones of which nothing is known, and come back as they are. Only windows around the
    mosaics are computed, so that the cost follows their area, not the picture's; mosaics whose windows meet are
    restored together. Beyond the picture's edge the picture is taken to go on without
    change (the energy's natural boundary). Channels share the directions of their edges (D).

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers or floats of any unit, finite; not changed
    mosaics : areas must not overlap
    rounding : how integer cells came about

    Returns
    -------
    float32, shape and unit of `pixelated`: equal to it outside the mosaics, with its cells' means inside. Values may
    leave the range of the input's type a little, until `deepix.mosaic.quantize` makes integers of them.

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two overlap
    """
    check(mosaics, pixelated.shape)
    seen, ours = without_foreign(*as_means(pixelated, mosaics, rounding))
    restored = smooth_seen(seen, ours, rounding)
    if seen is not pixelated:
        foreign = foreign_pixels(ours, pixelated.shape)
        restored[foreign] = pixelated[foreign]
    return as_shown(restored, pixelated, mosaics, rounding)


def smooth_seen(pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding) -> Floats:
    """Return `smooth` of a picture as `deepix.restorer.fill.without_foreign` gives it."""
    result = pixelated.astype(np.float32)
    for window, group in windows(mosaics, pixelated.shape, (MARGIN, MARGIN)):
        observed = pixelated[window]
        start = result[window]
        for m in group:
            values = m.cells.spread(cell_values(observed, m, rounding))
            start[m.box][m.area] = values[m.area]
        restored = in_tiles(_solve, start.reshape(*start.shape[:2], -1), group)
        result[window] = project(restored.reshape(start.shape), observed, group, rounding)
    return result


def in_tiles(solve: Callable[[Floats, Sequence[Mosaic]], Floats], start: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return `solve(start, mosaics)`, worked out tile by tile where the window is large.

    Parameters
    ----------
    solve : returns a restoration of the shape of its first argument
    start : float32 (H, W, C), whose unknown pixels hold their cells' values
    mosaics : in it, at least one
    """
    cell = max(max(m.grid.width, m.grid.height) for m in mosaics)
    overlap = min(int(TILE_OVERLAP * cell) + MARGIN, TILE // 2)
    result = np.empty_like(start)
    for core, tile, inside in tiles(start.shape, TILE, overlap):
        result[core] = solve(start[tile], crop(mosaics, tile))[inside]
    return result


def _solve(start: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return the restoration of (H, W, C) `start`, whose unknown pixels hold their cells' values."""
    if not mosaics or min(start.shape[:2]) < 2:  # a line of pixels has no corners, hence no energy
        return start
    if min(min(m.grid.width, m.grid.height) for m in mosaics) < SMALL_CELL:
        return smooth_at_one_size(start, mosaics, COARSEST_STEPS)
    coarse = _solve(*_halve(start, mosaics))
    free = ~known(mosaics, start.shape)
    u = np.where(free[..., None], _resize(coarse, start.shape[:2], Image.Resampling.BILINEAR), start)
    if any(m.foreign is not None for m in mosaics):  # which have no cells to be held to
        start = np.where(unknown(mosaics, start.shape)[..., None], start, u)
    u = project(u, start, mosaics)
    return _in_turn(u, free, mosaics, FINER_STEPS)


def smooth_at_one_size(start: Floats, mosaics: Sequence[Mosaic], steps: Sequence[int]) -> Floats:
    """Restore small cells, without the detour over smaller sizes.

    Parameters
    ----------
    start : float32 (H, W, C), at least 2 x 2 pixels, whose unknown pixels hold their cells' values, foreign ones what
        is likely there
    mosaics : in it
    steps : conjugate-gradient steps with D = I, then steps for each D

    Returns
    -------
    float32 (H, W, C) with the known pixels and the cells' means of `start`; foreign pixels are as free as unknown ones,
    and in no cell
    """
    free = ~known(mosaics, start.shape)
    u = minimise(start, None, free, mosaics, steps[0])
    return _in_turn(u, free, mosaics, steps[1:])


def _in_turn(u: Floats, free: Bools, mosaics: Sequence[Mosaic], steps: Sequence[int]) -> Floats:
    for count in steps:
        u = minimise(u, diffusion_tensor(u, free), free, mosaics, count)
    return u


def smooth_along(start: Floats, mosaics: Sequence[Mosaic], guide: Floats, steps: tuple[int, int]) -> Floats:
    """Restore further channels of small cells along the edges of one that is restored already.

    Parameters
    ----------
    start : float32 (H, W, C), at least 2 x 2 pixels, whose unknown pixels hold their cells' values
    mosaics : in it
    guide : float32 (H, W), the restored channel; of any unit
    steps : conjugate-gradient steps with D = I, then steps with D of the guide

    Returns
    -------
    float32 (H, W, C) with the known pixels and the cells' means of `start`
    """
    free = ~known(mosaics, start.shape)
    tensor = diffusion_tensor(guide[:, :, None], free)
    return minimise(minimise(start, None, free, mosaics, steps[0]), tensor, free, mosaics, steps[1])


def _halve(picture: Floats, mosaics: Sequence[Mosaic]) -> tuple[Floats, list[Mosaic]]:
    """Return the picture and its mosaics at half the size; pixels that are partly unknown become unknown."""
    size = ((picture.shape[0] + 1) // 2, (picture.shape[1] + 1) // 2)
    down, across = size[0] / picture.shape[0], size[1] / picture.shape[1]
    rows, columns = (_averaged_pixels(length) for length in picture.shape[:2])
    rest = np.ones(size, bool)
    parts = []
    for m in mosaics:  # each costs what its own box does: there may be thousands
        y, (top, bottom) = _places(rows, m.y, m.height)
        x, (left, right) = _places(columns, m.x, m.width)

        def any_of(plane: Bools) -> Bools:
            padded = np.pad(plane, 1)
            averaged = padded[top] | padded[bottom]  # noqa: B023 (called at once)
            return averaged[:, left] | averaged[:, right]  # noqa: B023

        mask = any_of(m.area)
        there = rest[y : y + mask.shape[0], x : x + mask.shape[1]]
        mask &= there
        if mask.any():
            there &= ~mask
            g = m.grid
            grid = Grid(g.x * across, g.y * down, g.width * across, g.height * down)
            parts.append((mask, grid, there, x, y, None if m.foreign is None else any_of(m.foreign)))
    halved = [  # what is partly of an area and partly foreign is of the area
        Mosaic.from_mask(mask, grid, x=x, y=y, foreign=None if foreign is None else foreign & there)
        for mask, grid, there, x, y, foreign in parts
    ]
    return _resize(picture, size, Image.Resampling.BOX), halved


def _averaged_pixels(length: int) -> tuple[Indices, Indices]:
    """Return the first and the last of the pixels that Pillow averages for each pixel of a line half as long.

    There are one or two of them. Where the line has an odd length, it is for Pillow's rounding to say which one the
    pixel in the middle counts for, so it is asked.
    """
    size = (length + 1) // 2
    first = np.ceil(np.arange(size) * length / size - 0.5 - 1e-9).astype(np.int64)
    odd = (np.arange(length) % 2).astype(np.float32)
    lines = Image.fromarray(np.stack([1 - odd, odd])).resize((size, 2), Image.Resampling.BOX)
    even, odd = np.asarray(lines) > 0
    takes_first, takes_next = np.where(first % 2 == 0, (even, odd), (odd, even))
    return np.where(takes_first, first, first + 1), np.where(takes_next, first + 1, first)


def _places(averaged: tuple[Indices, Indices], start: int, length: int) -> tuple[int, tuple[Indices, Indices]]:
    """Return the first pixel at half the size that some pixels count for, and what it and the next ones average.

    The latter as indices into these pixels with one more on each side, for all others.
    """
    first, last = averaged
    a, b = np.searchsorted(last, start), np.searchsorted(first, start + length)
    indices = ((index[a:b] - (start - 1)).clip(0, length + 1) for index in averaged)
    return int(a), (next(indices), next(indices))


def _resize(picture: Floats, size: tuple[int, int], how: Image.Resampling) -> Floats:
    planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(picture, 2, 0))
    return np.stack([np.asarray(plane.resize(size[::-1], how)) for plane in planes], axis=2)
