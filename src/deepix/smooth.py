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
of the two 21.8, isotropic reweighting towards total variation 22.0, and this energy, minimised exactly, 18.3; adding
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
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Array, Grid, Mosaic, Rounding, cell_values, check, project, unknown
from deepix.windows import crop, grown, tiles, windows

_SCIPY = {"mirrored": "reflect", "zero": "constant"}
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Tensor = tuple[Floats, Floats, Floats]

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
SPREAD = 2.0
"""Standard deviation (pixels) of the preconditioner's Gaussian."""
SPREAD_WEIGHT = 16.0
"""Its weight beside the force itself: with both, the preconditioned membrane's spectrum is flattest above 1/16 of a
wave per pixel."""
DENSE = 192
"""Pixels up to which a product with a matrix is quicker than SciPy's filter."""
COARSE_ROUNDS: tuple[int, ...] = (4, 4, 4, 4, 4)
"""Steps with D = I from the mosaic itself and then for each D, at the coarsest size."""
FINE_ROUNDS: tuple[int, ...] = (3,)
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
    """Return `solve(start, mosaics)`, (H, W, C), worked out tile by tile where the window is large."""
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
    free = unknown(mosaics, start.shape)
    if min(min(m.grid.width, m.grid.height) for m in mosaics) < SMALL_CELL:
        return smooth_at_one_size(start, mosaics, COARSE_ROUNDS)
    coarse = _solve(*_halve(start, mosaics))
    u = np.where(free[..., None], _resize(coarse, start.shape[:2], Image.Resampling.BILINEAR), start)
    u = project(u, start, mosaics)
    return _rounds(u, free, mosaics, FINE_ROUNDS)


def smooth_at_one_size(start: Floats, mosaics: Sequence[Mosaic], rounds: Sequence[int]) -> Floats:
    """Restore small cells, without the detour over smaller sizes.

    Parameters
    ----------
    start : float32 (H, W, C), at least 2 x 2 pixels, whose unknown pixels hold their cells' values
    mosaics : in it
    rounds : steps with D = I, then steps for each D

    Returns
    -------
    float32 (H, W, C) with the known pixels and the cells' means of `start`
    """
    free = unknown(mosaics, start.shape)
    u = _descended(start, None, free, mosaics, rounds[0])
    return _rounds(u, free, mosaics, rounds[1:])


def _rounds(u: Floats, free: Bools, mosaics: Sequence[Mosaic], rounds: Sequence[int]) -> Floats:
    for steps in rounds:
        u = _descended(u, _tensor(u[None], free[None]), free, mosaics, steps)
    return u


def smooth_along(start: Floats, mosaics: Sequence[Mosaic], guide: Floats, rounds: tuple[int, int]) -> Floats:
    """Restore further channels of small cells along the edges of one that is restored already.

    Parameters
    ----------
    start : float32 (H, W, C), at least 2 x 2 pixels, whose unknown pixels hold their cells' values
    mosaics : in it
    guide : float32 (H, W), the restored channel; of any unit
    rounds : steps with D = I, then steps with D of the guide

    Returns
    -------
    float32 (H, W, C) with the known pixels and the cells' means of `start`
    """
    free = unknown(mosaics, start.shape)
    tensor = _tensor(guide[None, :, :, None], free[None])
    return _descended(_descended(start, None, free, mosaics, rounds[0]), tensor, free, mosaics, rounds[1])


def smooth_each(start: Floats, mosaics: Sequence[Mosaic], rounds: Sequence[int]) -> Floats:
    """Restore many small pictures at once, as `smooth_at_one_size` restores each.

    Parameters
    ----------
    start : float32 (B, H, W), at least 2 x 2 pixels, whose unknown pixels hold their cells' values
    mosaics : rectangles, one in each picture
    rounds : steps with D = I, then steps for each D

    Returns
    -------
    float32 (B, H, W) with the known pixels and the cells' means of `start`
    """
    largest = max(m.height for m in mosaics), max(m.width for m in mosaics)
    size = tuple(min(n, k + 2) for n, k in zip(start.shape[1:], largest, strict=True))
    down, across = (np.zeros((len(start), n, n), np.float32) for n in size)
    free = np.zeros(start.shape, bool)
    corner = np.zeros((2, len(start), 1), np.int64)
    for k, m in enumerate(mosaics):
        free[k][m.box] = True
        corner[:, k, 0] = np.clip((m.y - 1, m.x - 1), 0, np.subtract(start.shape[1:], size))
        # A†A of a rectangle is the Kronecker product of these
        y, x = (m.y, m.x) - corner[:, k, 0]
        for matrix, index, first in ((down[k], m.cells.row_index, y), (across[k], m.cells.column_index, x)):
            same = index[:, None] == index
            matrix[first : first + len(index), first : first + len(index)] = same / same.sum(axis=1)
    # as for one picture, only the nearest line of known pixels counts: of each, a box of the same size
    rows, columns = (c + np.arange(n) for c, n in zip(corner, size, strict=True))
    boxes = np.arange(len(start))[:, None, None], rows[:, :, None], columns[:, None, :]
    corners = boxes[0], boxes[1][:, :-1], boxes[2][:, :, :-1]
    moving = free[boxes]

    def constrain(force: Floats) -> Floats:
        planes = force[..., 0]
        return np.where(moving, planes - down @ planes @ across, np.float32(0))[..., None]

    u = start[..., None].copy()
    u[boxes] = _descend(u[boxes], None, constrain, rounds[0])
    for steps in rounds[1:]:
        d11, d12, d22 = (entry[corners] for entry in _tensor(u, free))
        u[boxes] = _descend(u[boxes], (d11, d12, d22), constrain, steps)
    return u[..., 0]


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


def _tensor(u: Floats, free: Bools) -> Tensor:
    """Return D's entries 11, 12 and 22 for each corner of (B, H, W, C) pictures: (B, H − 1, W − 1).

    In the coordinates of the two diagonals: the differences there are the simplest gradient in a corner.
    """
    first, second = u[:, 1:, 1:] - u[:, :-1, :-1], u[:, :-1, 1:] - u[:, 1:, :-1]
    products = [(a * b).sum(axis=3) for a, b in ((first, first), (first, second), (second, second))]
    j11, j12, j22 = blurred(np.stack(products), RADIUS)
    corners = free[:, 1:, 1:] | free[:, :-1, :-1] | free[:, 1:, :-1] | free[:, :-1, 1:]
    trace = (j11 + j22).sum(axis=(1, 2), where=corners, dtype=np.float64) / corners.sum(axis=(1, 2)).clip(1)
    half = (j11 - j22) / 2
    root = np.hypot(half, j12)  # (λ₁ − λ₂) / 2
    k2 = (CONTRAST * trace).astype(np.float32)[:, None, None]
    weight = 1 / (k2 + 2 * root + np.finfo(np.float32).tiny)
    return 1 - weight * (root + half), -weight * j12, 1 - weight * (root - half)


def _gradient(u: Floats, tensor: Tensor | None, channels: int) -> Floats:
    """Return the gradient of E at u, both (B, H, W·C), for D's entries (B, H − 1, (W − 1)·C); without any, D = I."""
    c = channels
    result = np.zeros_like(u)
    strip = max(1, STRIP // (len(u) * u.shape[2]))
    for top in range(0, u.shape[1] - 1, strip):
        stop = min(top + strip, u.shape[1] - 1)
        rows, below = slice(top, stop), slice(top + 1, stop + 1)
        first = u[:, below, c:] - u[:, rows, :-c]
        second = u[:, rows, c:] - u[:, below, :-c]
        twist = 2 * TWIST * ((u[:, below, c:] - u[:, rows, c:]) - (u[:, below, :-c] - u[:, rows, :-c]))
        if tensor is not None:
            d11, d12, d22 = (entry[:, rows] for entry in tensor)
            first, second = d11 * first + d12 * second, d12 * first + d22 * second
        result[:, below, c:] += first + twist
        result[:, rows, :-c] += twist - first
        result[:, rows, c:] += second - twist
        result[:, below, :-c] -= second + twist
    return result


def _descended(u: Floats, tensor: Tensor | None, free: Bools, mosaics: Sequence[Mosaic], steps: int) -> Floats:
    """Take steps from one picture u (H, W, C); D's entries are of all its corners."""
    if not free.any():
        return u
    # what surrounds the unknown pixels counts by its nearest line of pixels only, once D is known
    rows, columns = (np.flatnonzero(free.any(axis=axis)) for axis in (1, 0))
    box = grown((slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)), 1, free.shape)
    inner, fixed = crop(mosaics, box), ~free[box]
    if tensor is not None:
        corners = slice(box[0].start, box[0].stop - 1), slice(box[1].start, box[1].stop - 1)
        d11, d12, d22 = (entry[:, *corners] for entry in tensor)
        tensor = d11, d12, d22

    def constrain(force: Floats) -> Floats:
        f = force[0]
        for m in inner:
            means = m.cells.spread(m.cells.mean(f[m.box]).astype(np.float32))
            if m.mask is not None:
                means[~m.mask] = 0
            f[m.box] -= means
        f[fixed] = 0
        return force

    result = u.copy()
    result[box] = _descend(u[None, *box], tensor, constrain, steps)[0]
    return result


def _descend(u: Floats, tensor: Tensor | None, constrain: Callable[[Floats], Floats], steps: int) -> Floats:
    """Take steps of conjugate gradients from each picture of u (B, H, W, C), none of a force that is not allowed.

    `constrain` takes from a force (B, H, W, C), which it may change, what would move known pixels or means of cells.
    """
    shape, channels = u.shape, u.shape[3]
    if tensor is not None:
        d11, d12, d22 = (np.repeat(entry, channels, axis=2) for entry in tensor)
        tensor = d11, d12, d22

    def force(v: Floats) -> Floats:
        return constrain(_gradient(v.reshape(*shape[:2], -1), tensor, channels).reshape(shape))

    def relaxed(residual: Floats) -> Floats:
        spread = np.moveaxis(blurred(np.moveaxis(residual, 3, 1), SPREAD, "zero"), 1, 3)
        return constrain(residual + np.float32(SPREAD_WEIGHT) * spread)

    def dot(a: Floats, b: Floats) -> NDArray[np.float64]:
        products: Floats = a.reshape(len(a), 1, -1) @ b.reshape(len(a), -1, 1)
        return products[:, 0, 0].astype(np.float64)

    def each(factors: NDArray[np.float64]) -> Floats:
        return factors.astype(np.float32)[:, None, None, None]

    v = u.copy()
    residual = -force(v)
    direction = relaxed(residual)
    size = dot(residual, direction)
    enough = np.maximum(1e-6 * size, 1e-12 * dot(v, v))  # below it, float32 holds rounding errors only
    for step in range(steps):
        going = size > enough
        if not going.any():
            break
        product = force(direction)
        # a picture that is done takes steps of length 0 from here on
        curvature = dot(direction, product)
        length = each(np.divide(size, curvature, out=np.zeros_like(size), where=going))
        v += length * direction
        if step == steps - 1:
            break
        residual -= length * product
        towards = relaxed(residual)
        previous, size = size, dot(residual, towards)
        direction *= each(np.divide(size, previous, out=np.zeros_like(size), where=going))
        direction += towards
    return v


def blurred(planes: Floats, deviation: float, beyond: Literal["mirrored", "zero"] = "mirrored") -> Floats:
    """Return planes convolved with a Gaussian that ends at four standard deviations, as SciPy's `gaussian_filter`.

    Parameters
    ----------
    planes : float32 (..., H, W)
    deviation : standard deviation in pixels
    beyond : what is taken to lie around the planes

    Returns
    -------
    float32, shape of `planes`
    """
    height, width = planes.shape[-2:]
    if max(height, width) > DENSE:
        from scipy.ndimage import gaussian_filter  # here, because training does without SciPy

        axes = (planes.ndim - 2, planes.ndim - 1)
        result: Floats = gaussian_filter(planes, deviation, mode=_SCIPY[beyond], axes=axes)
        return result
    return np.asarray(_blurring(height, deviation, beyond) @ planes @ _blurring(width, deviation, beyond).T)


@lru_cache(maxsize=256)
def _blurring(size: int, deviation: float, beyond: str) -> Floats:
    from scipy.ndimage import gaussian_filter1d

    matrix: Floats = gaussian_filter1d(np.eye(size), deviation, axis=0, mode=_SCIPY[beyond]).astype(np.float32)
    return matrix
