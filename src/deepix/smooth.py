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

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Array, Grid, Mosaic, Rounding, cell_values, check, project, unknown
from deepix.windows import Box, crop, grown, tiles, windows, within

_SCIPY = {"mirrored": "reflect", "zero": "constant"}
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Tensor = tuple[Floats, Floats, Floats]
Work = Callable[[Callable[[Any], None], Iterable[Any]], object]

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
BANDS = 8
"""Parts of a large picture that are worked on side by side, as far as there are cores."""
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
        u = _descended(u, _tensor(u, free), free, mosaics, steps)
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
    tensor = _tensor(guide[:, :, None], free)
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
    return np.stack([_smooth_rectangle(plane, m, rounds) for plane, m in zip(start, mosaics, strict=True)])


def _smooth_rectangle(start: Floats, m: Mosaic, rounds: Sequence[int]) -> Floats:
    """Restore one plane (H, W) as `smooth_at_one_size` does, in less than half the time where that is small.

    Small arrays cost what calls cost. So all is in products of small matrices, and in arrays of one axis.
    """
    box = grown(m.box, 1, start.shape)
    inner = within(m.box, box)
    size = height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    free = np.zeros(size, np.float32)
    free[inner] = 1
    down, across = map(_averaging, (m.cells.row_index, m.cells.column_index), size, inner)
    spread_down, spread_across = (_blurring(n, SPREAD, "zero") for n in size)

    def allowed(force: Floats) -> Floats:
        force *= free
        force -= down.dot(force).dot(across)  # A†A of a rectangle is the Kronecker product of these
        return force

    def relaxed(residual: Floats) -> Floats:
        spread: Floats = spread_down.dot(residual).dot(spread_across)
        spread *= np.float32(SPREAD_WEIGHT)
        spread += residual
        return allowed(spread)

    weights = np.zeros((4, height - 1, width), np.float32)
    weights[::2, :, :-1] = 1
    weights[3, :, :-1] = 2 * TWIST
    flat = weights.reshape(4, -1)[:, :-1]

    def force(v: Floats) -> Floats:
        return allowed(_gradient_of_row(v.ravel(), flat, width).reshape(size))

    result = start.copy()
    for k, steps in enumerate(rounds):
        if k:
            weights[:3, :, :-1] = _tensor_in(result, box)
        result[box] = _descend(result[box], force, relaxed, steps)
    return result


def _averaging(index: NDArray[np.int64], size: int, there: slice) -> Floats:
    """Return the matrix that takes the means of the cells `there` in a line of pixels, 0 for its other pixels."""
    matrix = np.zeros((size, size), np.float32)
    matrix[there, there] = (index[:, None] == index) / np.bincount(index)[index]
    return matrix


def _tensor_in(u: Floats, box: Box) -> Tensor:
    """Return `_tensor` of one plane (H, W) for the corners in a box, all of which touch unknown pixels."""
    first, second = u[1:, 1:] - u[:-1, :-1], u[:-1, 1:] - u[1:, :-1]
    down, across = (
        _blurring(n - 1, RADIUS, "mirrored")[s.start : s.stop - 1] for n, s in zip(u.shape, box, strict=True)
    )
    products = first * first, first * second, second * second
    j11, j12, j22 = (down.dot(product).dot(across.T) for product in products)
    return _diffusion(j11, j12, j22, float((j11 + j22).mean(dtype=np.float64)))


def _gradient_of_row(u: Floats, weights: Floats, width: int) -> Floats:
    """Return the gradient of E at a picture that is one row of N numbers, `width` of them to each of its lines.

    So the neighbours of all pixels are equally far. `weights`, (4, N − width − 1), are D's entries 11, 12 and 22 and
    twice `TWIST` for the corners to the right of and below each pixel; 0 at the right edge.
    """
    d11, d12, d22, twist = weights
    a, b = u[width + 1 :] - u[: -width - 1], u[1:-width] - u[width:-1]
    across = u[1:] - u[:-1]
    mixed = across[width:] - across[:-width]
    mixed *= twist
    first, second = d11 * a, d22 * b
    b *= d12
    a *= d12
    first += b
    second += a
    result = np.zeros_like(u)
    np.add(first, mixed, out=result[width + 1 :])
    first -= mixed
    result[: -width - 1] -= first
    np.subtract(second, mixed, out=first)
    result[1:-width] += first
    second += mixed
    result[width:-1] -= second
    return result


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
    """Return D's entries 11, 12 and 22 for each corner of a picture (H, W, C): (H − 1, W − 1).

    In the coordinates of the two diagonals: the differences there are the simplest gradient in a corner.
    """
    first, second = u[1:, 1:] - u[:-1, :-1], u[:-1, 1:] - u[1:, :-1]
    products = [(a * b).sum(axis=2) for a, b in ((first, first), (first, second), (second, second))]
    j11, j12, j22 = blurred(np.stack(products), RADIUS)
    corners = free[1:, 1:] | free[:-1, :-1] | free[1:, :-1] | free[:-1, 1:]
    trace = (j11 + j22).sum(where=corners, dtype=np.float64) / max(int(corners.sum()), 1)
    return _diffusion(j11, j12, j22, float(trace))


def _diffusion(j11: Floats, j12: Floats, j22: Floats, trace: float) -> Tensor:
    """Return D's entries for J's and their mean trace."""
    half = (j11 - j22) * np.float32(0.5)
    root = np.hypot(half, j12)  # (λ₁ − λ₂) / 2
    one = np.float32(1)
    weight = one / (np.float32(CONTRAST * trace) + np.float32(2) * root + np.finfo(np.float32).tiny)
    return one - weight * (root + half), -weight * j12, one - weight * (root - half)


def _gradient(u: Floats, tensor: Tensor | None, channels: int, work: Work) -> Floats:
    """Return the gradient of E at u, both (H, W·C), for D's entries (H − 1, (W − 1)·C); without any, D = I."""
    c, last = channels, len(u) - 1
    result = np.zeros_like(u)

    def forces(rows: slice) -> tuple[Floats, Floats, Floats]:
        above, below = u[rows], u[rows.start + 1 : rows.stop + 1]
        first = below[:, c:] - above[:, :-c]
        second = above[:, c:] - below[:, :-c]
        twist = np.float32(2 * TWIST) * ((below[:, c:] - above[:, c:]) - (below[:, :-c] - above[:, :-c]))
        if tensor is not None:
            d11, d12, d22 = (entry[rows] for entry in tensor)
            first, second = d11 * first + d12 * second, d12 * first + d22 * second
        return first, second, twist

    def strip(top: int) -> None:
        """Fill rows of the result: what the corners above the first one add, and then those of the rows."""
        stop = min(top + height, last)
        if top:
            first, second, twist = forces(slice(top - 1, top))
            result[top : top + 1, c:] += first + twist
            result[top : top + 1, :-c] -= second + twist
        first, second, twist = forces(slice(top, stop))
        end = stop - top if stop == last else stop - top - 1  # the next strip's first row is its own
        below = slice(top + 1, top + 1 + end)
        result[below, c:] += (first + twist)[:end]
        result[top:stop, :-c] += twist - first
        result[top:stop, c:] += second - twist
        result[below, :-c] -= (second + twist)[:end]

    height = max(1, STRIP // u.shape[1])
    work(strip, range(0, last, height))
    return result


def _descended(u: Floats, tensor: Tensor | None, free: Bools, mosaics: Sequence[Mosaic], steps: int) -> Floats:
    """Take steps from a picture u (H, W, C); D's entries are of all its corners."""
    if not free.any():
        return u
    # what surrounds the unknown pixels counts by its nearest line of pixels only, once D is known
    rows, columns = (np.flatnonzero(free.any(axis=axis)) for axis in (1, 0))
    box = grown((slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)), 1, free.shape)
    fixed, channels = ~free[box], u.shape[2]
    if tensor is not None:
        corners = slice(box[0].start, box[0].stop - 1), slice(box[1].start, box[1].stop - 1)
        d11, d12, d22 = (np.repeat(entry[corners], channels, axis=1) for entry in tensor)
        tensor = d11, d12, d22
    result = u.copy()
    with _workers(u[box].size) as work:
        parts = [band for m in crop(mosaics, box) for band in bands(m)]

        def constrain(force: Floats) -> Floats:
            def keep(m: Mosaic) -> None:
                here = force[m.box]
                means = m.cells.spread(m.cells.mean(here).astype(np.float32))
                # nothing beyond the area is written: there may be another mosaic, whose turn is now
                np.subtract(here, means, out=here, where=True if m.mask is None else m.mask[..., None])

            work(keep, parts)
            force[fixed] = 0
            return force

        def force(v: Floats) -> Floats:
            return constrain(_gradient(v.reshape(len(v), -1), tensor, channels, work).reshape(v.shape))

        def relaxed(residual: Floats) -> Floats:
            spread = np.moveaxis(blurred(np.moveaxis(residual, 2, 0), SPREAD, "zero"), 0, 2)
            return constrain(residual + np.float32(SPREAD_WEIGHT) * spread)

        result[box] = _descend(u[box], force, relaxed, steps)
    return result


def bands(m: Mosaic) -> list[Mosaic]:
    """Return a large mosaic in bands of whole rows of cells, on which one can work side by side; else the mosaic."""
    if m.width * m.height < STRIP or m.grid.blended:
        return [m]
    starts = np.flatnonzero(np.diff(m.cells.row_index, prepend=-1))
    edges = [*starts[:: -(-len(starts) // BANDS)].tolist(), m.height]
    return [
        replace(m, y=m.y + a, height=b - a, mask=None if m.mask is None else m.mask[a:b])
        for a, b in pairwise(edges)
        if m.mask is None or m.mask[a:b].any()
    ]


@contextmanager
def _workers(values: int) -> Iterator[Work]:
    """Yield what does a work for each of some items; where there are many values to work on, on all cores."""
    if values < 2 * STRIP:

        def one_by_one(work: Callable[[Any], None], items: Iterable[Any]) -> None:
            for item in items:
                work(item)

        yield one_by_one
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield lambda work, items: list(pool.map(work, items))


def _descend(u: Floats, force: Callable[[Floats], Floats], relaxed: Callable[[Floats], Floats], steps: int) -> Floats:
    """Take steps of conjugate gradients from a picture u.

    `force` returns the gradient at a picture, and `relaxed` a preconditioned residual: both without what would move
    known pixels or means of cells, and in new arrays.
    """

    def dot(a: Floats, b: Floats) -> float:
        return float(a.ravel().dot(b.ravel()))

    v = u.copy()
    residual = force(v)
    np.negative(residual, out=residual)
    direction = relaxed(residual)
    size = dot(residual, direction)
    enough = max(1e-6 * size, 1e-12 * dot(v, v))  # below it, float32 holds rounding errors only
    for step in range(steps):
        if size <= enough:
            break
        product = force(direction)
        length = np.float32(size / dot(direction, product))
        v += length * direction
        if step == steps - 1:
            break
        product *= length
        residual -= product
        towards = relaxed(residual)
        previous, size = size, dot(residual, towards)
        direction *= np.float32(size / previous)
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
        from scipy.ndimage import gaussian_filter1d  # here, because training does without SciPy

        half, result = np.empty_like(planes), np.empty_like(planes)

        def down(part: slice) -> None:
            there = ..., part
            gaussian_filter1d(planes[there], deviation, -2, output=half[there], mode=_SCIPY[beyond])

        def across(part: slice) -> None:
            there = ..., part, slice(None)
            gaussian_filter1d(half[there], deviation, -1, output=result[there], mode=_SCIPY[beyond])

        with _workers(planes.size) as work:
            for direction, length in ((down, width), (across, height)):
                edges = [length * i // BANDS for i in range(BANDS + 1)]
                work(direction, map(slice, edges[:-1], edges[1:]))
        return result
    return np.asarray(_blurring(height, deviation, beyond) @ planes @ _blurring(width, deviation, beyond).T)


@lru_cache(maxsize=256)
def _blurring(size: int, deviation: float, beyond: str) -> Floats:
    from scipy.ndimage import gaussian_filter1d

    matrix: Floats = gaussian_filter1d(np.eye(size), deviation, axis=0, mode=_SCIPY[beyond]).astype(np.float32)
    return matrix
