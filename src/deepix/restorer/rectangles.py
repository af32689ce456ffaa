"""Many small pictures, each with one rectangle, restored without training: `smooth_at_one_size` once more.

Why it is there twice: small arrays cost what calls cost, and the challenge has thousands of them. Here all is in
products of small matrices and in arrays of one axis, which is five times as quick for windows of 48x48 (one thread of
an AVX2 processor). A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown, within
from deepix.restorer.blur import blurring_matrix
from deepix.restorer.energy import (
    MIXED_WEIGHT,
    PRECONDITIONER_SIGMA,
    PRECONDITIONER_WEIGHT,
    TENSOR_SIGMA,
    Tensor,
    conjugate_gradients,
    diffusion,
)

Floats = NDArray[np.float32]


def smooth_each(start: Floats, mosaics: Sequence[Mosaic], steps: Sequence[int]) -> Floats:
    """Restore many small pictures at once, as `smooth_at_one_size` restores each.

    Parameters
    ----------
    start : float32 (B, H, W), at least 2 x 2 pixels, whose unknown pixels hold their cells' values
    mosaics : rectangles, one in each picture
    steps : conjugate-gradient steps with D = I, then with each new D

    Returns
    -------
    float32 (B, H, W) with the known pixels and the cells' means of `start`
    """
    return np.stack([_smooth_rectangle(plane, m, steps) for plane, m in zip(start, mosaics, strict=True)])


def _smooth_rectangle(start: Floats, m: Mosaic, steps: Sequence[int]) -> Floats:
    """Restore one plane, float32 (H, W), as `smooth_at_one_size` does."""
    box = grown(m.box, 1, start.shape)
    inner = within(m.box, box)
    size = height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    free = np.zeros(size, np.float32)
    free[inner] = 1
    down, across = map(_averaging, (m.cells.row_index, m.cells.column_index), size, inner)
    spread_down, spread_across = (blurring_matrix(n, PRECONDITIONER_SIGMA, "zero") for n in size)

    def allowed(force: Floats) -> Floats:
        force *= free
        force -= down.dot(force).dot(across)  # A†A of a rectangle is the Kronecker product of these
        return force

    def relaxed(residual: Floats) -> Floats:
        spread: Floats = spread_down.dot(residual).dot(spread_across)
        spread *= np.float32(PRECONDITIONER_WEIGHT)
        spread += residual
        return allowed(spread)

    weights = np.zeros((4, height - 1, width), np.float32)
    weights[::2, :, :-1] = 1
    weights[3, :, :-1] = 2 * MIXED_WEIGHT
    flat = weights.reshape(4, -1)[:, :-1]

    def force(v: Floats) -> Floats:
        return allowed(_gradient_of_row(v.ravel(), flat, width).reshape(size))

    result = start.copy()
    for k, count in enumerate(steps):
        if k:
            weights[:3, :, :-1] = _tensor_in(result, box)
        result[box] = conjugate_gradients(result[box], force, relaxed, count)
    return result


def _averaging(index: NDArray[np.int64], size: int, there: slice) -> Floats:
    """Return the matrix that takes the means of the cells `there` in a line of pixels, 0 for its other pixels."""
    matrix = np.zeros((size, size), np.float32)
    matrix[there, there] = (index[:, None] == index) / np.bincount(index)[index]
    return matrix


def _tensor_in(u: Floats, box: Box) -> Tensor:
    """Return `diffusion_tensor` of one plane (H, W) for the corners in a box, all of which touch unknown pixels."""
    first, second = u[1:, 1:] - u[:-1, :-1], u[:-1, 1:] - u[1:, :-1]
    down, across = (
        blurring_matrix(n - 1, TENSOR_SIGMA, "mirrored")[s.start : s.stop - 1]
        for n, s in zip(u.shape, box, strict=True)
    )
    products = first * first, first * second, second * second
    j11, j12, j22 = (down.dot(product).dot(across.T) for product in products)
    return diffusion(j11, j12, j22, float((j11 + j22).mean(dtype=np.float64)))


def _gradient_of_row(u: Floats, weights: Floats, width: int) -> Floats:
    """Return the gradient of E at a picture that is one row of N numbers, `width` of them to each of its lines.

    So the neighbours of all pixels are equally far. `weights`, (4, N − width − 1), are D's entries 11, 12 and 22 and
    twice `MIXED_WEIGHT` for the corners to the right of and below each pixel; 0 at the right edge.
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
