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
    this energy                    20.98 | 16.65

The constants were chosen on training pictures. On 100 cases of these the membrane had 22.9, bending 21.8, the best mix
of the two 21.8, isotropic reweighting towards total variation 22.0, and this energy, minimised exactly, 18.3; adding
bending to an earlier form of it gained 0.4, which was not worth its price in steps. On large areas of full-size
colour photos the gain is smaller: 24.3 to 23.8 for cells of 8 pixels, 32.6 to 31.3 for 25. One D for all channels
beats one for each (31.4 against 31.5), and is cheaper.

The minimum for given D is approached by conjugate gradients within the null space of A: every step keeps the cells'
means and the known pixels. Their number grows with the cells' size in pixels, so large cells are first restored at
half the size, recursively until cells are small; the result is where the next size starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from deepix.mosaic import Array, Grid, Mosaic, Rounding, cell_values, check, project, unknown

Floats = NDArray[np.float32]
Tensor = tuple[Floats, Floats, Floats]
Box = tuple[slice, slice]

MARGIN = 8
"""Known pixels that a window shows around the unknown: enough for the structure tensor's support."""
SMALL_CELL = 12.0
"""Cells at least this wide and high (pixels) are first restored at half the size."""
TILE = 1024
"""Side (pixels) of the tiles that larger windows are cut into, which bounds memory."""
TILE_OVERLAP = 4
"""Cells by which tiles overlap, up to half a tile."""
STRIP = 1 << 17
"""Values of a picture that are worked on at a time, so that they stay in the processor's cache."""
RADIUS = 1.5
"""Standard deviation (pixels) of the structure tensor's Gaussian."""
CONTRAST = 0.05
"""k² as a share of the mean of |∇u|² over the unknown pixels."""
TWIST = 0.2
"""τ: weight of the mixed derivative."""
MEMBRANE_STEPS = 10
"""Steps with D = I from the mosaic itself, at the coarsest size."""
COARSE_ROUNDS: tuple[int, ...] = (10, 10, 10, 10)
"""Steps for each D at the coarsest size."""
FINE_ROUNDS: tuple[int, ...] = (6, 6)
"""Steps for each D at the sizes that start from a coarser one."""


def smooth(pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Floats:
    """Restore the mosaics of a picture without training.

    Only windows around the mosaics are computed, so that the cost follows their area, not the picture's; mosaics
    whose windows meet are restored together. Beyond the picture's edge the picture is taken to go on without
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
    result = pixelated.astype(np.float32)
    for window, group in _windows(mosaics, pixelated.shape):
        observed = pixelated[window]
        start = result[window]
        for m in group:
            values = m.cells.spread(cell_values(observed, m, rounding))
            start[m.box][m.area] = values[m.area]
        restored = np.empty_like(start)
        for core, tile, inside in _tiles(group, start.shape):
            planes = start[tile].reshape(*start[tile].shape[:2], -1)
            restored[core] = _solve(planes, _crop(group, tile)).reshape(start[tile].shape)[inside]
        result[window] = project(restored, observed, group, rounding)
    return result


def _windows(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Iterator[tuple[Box, list[Mosaic]]]:
    """Yield disjoint windows of the picture, each with the mosaics in it, moved to the window's coordinates."""
    todo = [((m.y, m.x, m.y + m.height, m.x + m.width), [m]) for m in mosaics]
    done: list[tuple[tuple[int, int, int, int], list[Mosaic]]] = []
    while todo:
        a, members = todo.pop()
        near = next((i for i, (b, _) in enumerate(done) if _meet(a, b)), None)
        if near is None:
            done.append((a, members))
        else:  # the union may meet further ones: look again
            b, others = done.pop(near)
            todo.append(((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])), members + others))
    for (y0, x0, y1, x1), members in done:
        top, left = max(y0 - MARGIN, 0), max(x0 - MARGIN, 0)
        window = slice(top, min(y1 + MARGIN, shape[0])), slice(left, min(x1 + MARGIN, shape[1]))
        yield window, [m.moved(-left, -top) for m in members]


def _meet(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    gap = 2 * MARGIN
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap


def _tiles(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Iterator[tuple[Box, Box, Box]]:
    """Yield the tiles of a window: what each restores, what it sees, and the first as an index into the second."""
    cell = max(max(m.grid.width, m.grid.height) for m in mosaics)
    overlap = min(int(TILE_OVERLAP * cell) + MARGIN, TILE // 2)
    height, width = shape[:2]
    down, across = max(1, round(height / TILE)), max(1, round(width / TILE))
    for i in range(down):
        for j in range(across):
            rows = slice(height * i // down, height * (i + 1) // down)
            columns = slice(width * j // across, width * (j + 1) // across)
            top, left = max(rows.start - overlap, 0), max(columns.start - overlap, 0)
            tile = slice(top, min(rows.stop + overlap, height)), slice(left, min(columns.stop + overlap, width))
            inside = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            yield (rows, columns), tile, inside


def _crop(mosaics: Sequence[Mosaic], tile: Box) -> list[Mosaic]:
    """Return the parts of the mosaics in a tile, in its coordinates."""
    top, left = tile[0].start, tile[1].start
    parts = []
    for m in mosaics:
        y0, y1 = max(m.y, top), min(m.y + m.height, tile[0].stop)
        x0, x1 = max(m.x, left), min(m.x + m.width, tile[1].stop)
        if y0 < y1 and x0 < x1:
            mask = m.area[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x]
            if mask.any():
                part = replace(m, x=x0, y=y0, width=x1 - x0, height=y1 - y0, mask=mask)
                parts.append(part.moved(-left, -top))
    return parts


def _solve(start: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return the restoration of (H, W, C) `start`, whose unknown pixels hold their cells' values."""
    if not mosaics or min(start.shape[:2]) < 2:  # a line of pixels has no corners, hence no energy
        return start
    free = unknown(mosaics, start.shape)
    if min(min(m.grid.width, m.grid.height) for m in mosaics) >= SMALL_CELL:
        coarse = _solve(*_halve(start, mosaics))
        u = np.where(free[..., None], _resize(coarse, start.shape[:2], Image.Resampling.BILINEAR), start)
        u = project(u, start, mosaics)
        rounds = FINE_ROUNDS
    else:
        u = _descend(start, None, free, mosaics, MEMBRANE_STEPS)
        rounds = COARSE_ROUNDS
    for steps in rounds:
        u = _descend(u, _tensor(u, free), free, mosaics, steps)
    return u


def _halve(picture: Floats, mosaics: Sequence[Mosaic]) -> tuple[Floats, list[Mosaic]]:
    """Return the picture and its mosaics at half the size; pixels that are partly unknown become unknown."""
    size = ((picture.shape[0] + 1) // 2, (picture.shape[1] + 1) // 2)
    down, across = size[0] / picture.shape[0], size[1] / picture.shape[1]
    known = np.ones(size, bool)
    halved = []
    for m in mosaics:
        share = _resize(unknown([m], picture.shape)[..., None].astype(np.float32), size, Image.Resampling.BOX)
        mask = (share[..., 0] > 0) & known
        if mask.any():
            known &= ~mask
            g = m.grid
            grid = Grid(g.x * across, g.y * down, g.width * across, g.height * down)
            halved.append(Mosaic.from_mask(mask, grid))
    return _resize(picture, size, Image.Resampling.BOX), halved


def _resize(picture: Floats, size: tuple[int, int], how: Image.Resampling) -> Floats:
    planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(picture, 2, 0))
    return np.stack([np.asarray(plane.resize(size[::-1], how)) for plane in planes], axis=2)


def _tensor(u: Floats, free: NDArray[np.bool_]) -> Tensor:
    """Return D's entries 11, 12 and 22 for each corner and channel, (H − 1, (W − 1)·C).

    In the coordinates of the two diagonals: the differences there are the simplest gradient in a corner.
    """
    first, second = u[1:, 1:] - u[:-1, :-1], u[:-1, 1:] - u[1:, :-1]
    j11, j12, j22 = (
        gaussian_filter(sum(a[..., c] * b[..., c] for c in range(u.shape[2])), RADIUS)
        for a, b in ((first, first), (first, second), (second, second))
    )
    trace = (j11 + j22)[free[1:, 1:] | free[:-1, :-1] | free[1:, :-1] | free[:-1, 1:]]
    half = (j11 - j22) / 2
    root = np.hypot(half, j12)  # (λ₁ − λ₂) / 2
    weight = 1 / (CONTRAST * trace.mean() + 2 * root + np.finfo(np.float32).tiny)
    d11, d12, d22 = (
        np.repeat(entry, u.shape[2], axis=1)
        for entry in (1 - weight * (root + half), -weight * j12, 1 - weight * (root - half))
    )
    return d11, d12, d22


def _gradient(u: Floats, tensor: Tensor | None, channels: int) -> Floats:
    """Return the gradient of E at u, (H, W·C); without a tensor, D = I."""
    c = channels
    result = np.zeros_like(u)
    strip = max(1, STRIP // u.shape[1])
    for top in range(0, u.shape[0] - 1, strip):
        stop = min(top + strip, u.shape[0] - 1)
        rows, below = slice(top, stop), slice(top + 1, stop + 1)
        first = u[below, c:] - u[rows, :-c]
        second = u[rows, c:] - u[below, :-c]
        twist = 2 * TWIST * ((u[below, c:] - u[rows, c:]) - (u[below, :-c] - u[rows, :-c]))
        if tensor is not None:
            d11, d12, d22 = (entry[rows] for entry in tensor)
            first, second = d11 * first + d12 * second, d12 * first + d22 * second
        result[below, c:] += first + twist
        result[rows, :-c] += twist - first
        result[rows, c:] += second - twist
        result[below, :-c] -= second + twist
    return result


def _descend(
    u: Floats, tensor: Tensor | None, free: NDArray[np.bool_], mosaics: Sequence[Mosaic], steps: int
) -> Floats:
    """Take steps of conjugate gradients from u, changing neither known pixels nor the means of cells."""
    height, _, channels = u.shape
    fixed = ~free

    def force(v: Floats) -> Floats:
        flat = _gradient(v.reshape(height, -1), tensor, channels)
        f = flat.reshape(u.shape)
        for m in mosaics:
            means = m.cells.spread(m.cells.mean(f[m.box]).astype(np.float32))
            if m.mask is not None:
                means[~m.mask] = 0
            f[m.box] -= means
        f[fixed] = 0
        return f

    v = u.copy()
    residual = -force(v)
    direction = residual.copy()
    size = float(np.vdot(residual, residual))
    enough = max(1e-6 * size, 1e-12 * float(np.vdot(v, v)))  # below it, float32 holds rounding errors only
    for _ in range(steps):
        if size <= enough:
            break
        product = force(direction)
        length = np.float32(size / float(np.vdot(direction, product)))
        v += length * direction
        residual -= length * product
        previous, size = size, float(np.vdot(residual, residual))
        direction *= np.float32(size / previous)
        direction += residual
    return v
