"""The energy E of `deepix.restorer.smooth`: its diffusion tensor D, its gradient, and the way towards its minimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import grown
from deepix.mosaic.windows import crop
from deepix.restorer import parallel
from deepix.restorer.blur import blurred
from deepix.restorer.parallel import Work, bands, workers

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Tensor = tuple[Floats, Floats, Floats]

TENSOR_SIGMA = 1.5
"""Standard deviation (pixels) of the Gaussian that smooths the structure tensor J (Weickert's ρ)."""
EDGE_CONTRAST = 0.05
"""k² as a share of the mean of ‖∇u‖² over the unknown pixels (k: Weickert's contrast parameter λ)."""
MIXED_WEIGHT = 0.2
"""τ: weight of the squared mixed derivative."""
PRECONDITIONER_SIGMA = 2.0
"""Standard deviation (pixels) of the preconditioner's Gaussian."""
PRECONDITIONER_WEIGHT = 16.0
"""Weight of the blurred gradient beside the gradient itself, in the preconditioner: so the spectrum of the membrane
energy's operator is flattest above 1/16 of a wave per pixel."""


def diffusion_tensor(u: Floats, free: Bools) -> Tensor:
    """Return D for each corner where four pixels of a picture meet.

    In the coordinates of the two diagonals: the differences there are the simplest gradient in a corner.

    Parameters
    ----------
    u : float32 (H, W, C), of any unit
    free : bool (H, W), True at the unknown pixels

    Returns
    -------
    D's entries 11, 12 and 22, each float32 (H − 1, W − 1)
    """
    first, second = u[1:, 1:] - u[:-1, :-1], u[:-1, 1:] - u[1:, :-1]
    products = [(a * b).sum(axis=2) for a, b in ((first, first), (first, second), (second, second))]
    j11, j12, j22 = blurred(np.stack(products), TENSOR_SIGMA)
    corners = free[1:, 1:] | free[:-1, :-1] | free[1:, :-1] | free[:-1, 1:]
    trace = (j11 + j22).sum(where=corners, dtype=np.float64) / max(int(corners.sum()), 1)
    return diffusion(j11, j12, j22, float(trace))


def diffusion(j11: Floats, j12: Floats, j22: Floats, trace: float) -> Tensor:
    """Return D's entries 11, 12 and 22 for those of the structure tensor J and the mean of its trace."""
    half = (j11 - j22) * np.float32(0.5)
    root = np.hypot(half, j12)  # (λ₁ − λ₂) / 2
    one = np.float32(1)
    weight = one / (np.float32(EDGE_CONTRAST * trace) + np.float32(2) * root + np.finfo(np.float32).tiny)
    return one - weight * (root + half), -weight * j12, one - weight * (root - half)


def _gradient(u: Floats, tensor: Tensor | None, channels: int, work: Work) -> Floats:
    """Return the gradient of E at u, both (H, W·C), for D's entries (H − 1, (W − 1)·C); without any, D = I."""
    c, last = channels, len(u) - 1
    result = np.zeros_like(u)

    def forces(rows: slice) -> tuple[Floats, Floats, Floats]:
        above, below = u[rows], u[rows.start + 1 : rows.stop + 1]
        first = below[:, c:] - above[:, :-c]
        second = above[:, c:] - below[:, :-c]
        twist = np.float32(2 * MIXED_WEIGHT) * ((below[:, c:] - above[:, c:]) - (below[:, :-c] - above[:, :-c]))
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

    height = max(1, parallel.STRIP // u.shape[1])
    work(strip, range(0, last, height))
    return result


def minimise(u: Floats, tensor: Tensor | None, free: Bools, mosaics: Sequence[Mosaic], steps: int) -> Floats:
    """Take steps of conjugate gradients towards the minimum of E for a given D.

    Parameters
    ----------
    u : float32 (H, W, C), where to start; not changed
    tensor : `diffusion_tensor`'s D; None: D = I
    free : bool (H, W), True at the unknown pixels
    mosaics : in the picture
    steps : how many

    Returns
    -------
    float32 (H, W, C) with the known pixels and the cells' means of `u`
    """
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
    with workers(u[box].size) as work:
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
            spread = np.moveaxis(blurred(np.moveaxis(residual, 2, 0), PRECONDITIONER_SIGMA, "zero"), 0, 2)
            return constrain(residual + np.float32(PRECONDITIONER_WEIGHT) * spread)

        result[box] = conjugate_gradients(u[box], force, relaxed, steps)
    return result


def conjugate_gradients(
    u: Floats, force: Callable[[Floats], Floats], relaxed: Callable[[Floats], Floats], steps: int
) -> Floats:
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
