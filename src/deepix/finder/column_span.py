"""The best span of columns with the best grid of whole pixels, for given rows of cells: an exact maximum.

The evidence (`likelihood`) is a sum over cells, and of each cell over sums of pixels. The sum of whole cells between
two lines is that of a running sum, and what cut cells add at a line depends on the line alone: so the best pair of
lines is the largest difference with a running minimum, for each size and phase.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from deepix.finder.grid import LARGEST, SMALLEST
from deepix.finder.likelihood import BORDER, CUT, EDGE, TAU, LikelihoodMaps

Array = NDArray[Any]

CHUNK = 50_000
"""Numbers that are worked on at a time, for the processor's cache."""
NEVER = -1e6
"""Evidence, in nats, of what cannot be."""


def best_span(
    likelihood: LikelihoodMaps,
    span: tuple[int, int],
    rows: tuple[int, int],
    cells: NDArray[np.int64],
    most: int = LARGEST,
) -> tuple[float, tuple[int, int], int, int]:
    """Return the best of all spans of columns with the best of all their grids, for given rows of cells.

    A span has at least one whole cell; at its ends cells may be cut.

    Parameters
    ----------
    likelihood : of the picture
    span : the first and the last but one of the columns that the span may have
    rows : the same of the area's rows
    cells : where the rows of cells start, counted from the first row: the first is 0
    most : the largest width of a cell; never above `LARGEST`

    Returns
    -------
    evidence in nats (−inf where there is no room for a cell), the span's start and stop, its cells' width, and the
    column where its first whole cell starts
    """
    low, high = span
    width = high - low
    sums = _running_sums(likelihood, span, rows, cells)
    longest = min(most, LARGEST, width)
    shape = (longest + 1, width + longest + 1)  # room for a last line beyond the window
    begun, right, left = (np.full(shape, NEVER) for _ in range(3))  # [n, a]: the cell of columns a … a + n − 1, and
    _fill_cells(begun[:, : width + 1], sums.weight, sums.first, sums.fixed)  # [n, line]: a cut cell beside a line
    right[0, :width], left[0, 1 : width + 1] = sums.edge, -sums.edge
    left[0, 0] = EDGE * (low == 0)
    right[0, width] = EDGE * (high == likelihood.gain.shape[1])
    right[1:, : width + 1] = begun[1:, : width + 1] + sliding_window_view(right[0], width + 1)[1:]
    _skewed(left)[1:] = begun[1:, : width + 1] + left[0, : width + 1]
    best, chosen = _best_lines(begun, _with_cuts(left), _with_cuts(right), width)
    if not np.isfinite(best):
        return best, (low, low), 0, low
    size, a, b = chosen
    cut = np.where(np.arange(size) > 0, CUT * np.log(size), 0)
    start, stop = a - int((left[:size, a] - cut).argmax()), b + int((right[:size, b] - cut).argmax())
    return best, (low + start, low + stop), size, low + a


class _Sums(NamedTuple):
    """Sums of columns: running ones of the weight and of weight times luminance, (rows of cells, W + 1), and of the
    evidence that does not depend on cells, (W + 1,); and what a side of the area costs at each column, (W,)."""

    weight: NDArray[np.float64]
    first: NDArray[np.float64]
    fixed: NDArray[np.float64]
    edge: NDArray[np.float64]


def _running_sums(
    likelihood: LikelihoodMaps, span: tuple[int, int], rows: tuple[int, int], cells: NDArray[np.int64]
) -> _Sums:
    """Return the sums that the evidence of all spans is made of: see `best_span`."""
    (low, high), (top, bottom) = span, rows
    here = likelihood[top:bottom, low:high]
    width = high - low
    p, u = here.luminance.astype(np.float64), here.weight.astype(np.float64)
    up = u * p

    def running(a: Array) -> Array:
        total = np.zeros((len(cells), width + 1))
        np.cumsum(np.add.reduceat(a, cells, axis=0), axis=1, out=total[:, 1:])
        return total

    weight, first = running(u), running(up)
    up *= p
    fixed = np.zeros(width + 1)
    column = here.gain.sum(axis=0, dtype=np.float64) - 0.5 * up.sum(axis=0)
    if bottom < len(likelihood.tilt):
        column += BORDER * likelihood.tilt[bottom, low:high]
    if top:
        column -= BORDER * likelihood.tilt[top - 1, low:high]
    np.cumsum(column, out=fixed[1:])
    return _Sums(weight, first, fixed, BORDER * here.tilt.sum(axis=0, dtype=np.float64))


def _best_lines(begun: Array, opening: Array, closing: Array, width: int) -> tuple[float, tuple[int, int, int]]:
    """Return the most evidence of whole cells between two lines with what is best at both; size and both lines."""
    longest = len(begun) - 1
    best, chosen = -np.inf, (0, 0, 0)
    few = max(SMALLEST, -(-(width + 1) // 2))  # from this size on there is room for one whole cell only
    if few <= longest:
        one = opening[few:, : width + 1] + begun[few:, : width + 1] + _skewed(closing)[few:]
        size, a = (int(i) for i in np.unravel_index(one.argmax(), one.shape))
        best, chosen = float(one[size, a]), (few + size, a, a + few + size)
    for size in range(SMALLEST, min(few, longest + 1)):
        room = -(-(width + 1) // size) * size
        whole = begun[size, :room].reshape(-1, size).cumsum(axis=0)  # [k, phase]: cells before line k + 1
        before = opening[size, :room].reshape(-1, size)
        before[1:] -= whole[:-1]
        np.maximum.accumulate(before, axis=0, out=before)
        total = closing[size, size:room].reshape(-1, size) + whole[:-1]
        total += before[:-1]
        i = int(total.argmax())
        if total.flat[i] > best:
            k, phase = divmod(i, size)
            best = float(total.flat[i])
            start = int(np.flatnonzero(before[: k + 1, phase] == before[k, phase])[0])
            chosen = (size, start * size + phase, (k + 1) * size + phase)
    return best, chosen


def _fill_cells(
    cells: NDArray[np.float64], weight: NDArray[np.float64], first: NDArray[np.float64], fixed: NDArray[np.float64]
) -> None:
    """Fill in the evidence for cells of n columns that begin at column a, [n, a], from running sums along the rows."""
    width, longest, tau = cells.shape[1] - 1, len(cells) - 1, np.float32(TAU**2)
    beyond = ((0, 0), (0, longest))
    weights = sliding_window_view(np.pad(weight, beyond, constant_values=2 * weight.max() + 1), width + 1, axis=1)
    firsts = sliding_window_view(np.pad(first, beyond), width + 1, axis=1)
    totals = sliding_window_view(np.pad(fixed, beyond[1]), width + 1)
    step = max(1, CHUNK // weight.size)
    for n in range(1, longest + 1, step):
        many = slice(n, min(n + step, longest + 1))
        w = (weights[:, many] - weight[:, None]).astype(np.float32)
        f = (firsts[:, many] - first[:, None]).astype(np.float32)
        f *= f
        f /= w
        w *= tau
        w += 1
        f -= np.log(w)
        cells[many] = totals[many] - fixed + 0.5 * f.sum(axis=0, dtype=np.float64)
    cells[np.add.outer(np.arange(longest + 1), np.arange(width + 1)) > width] = NEVER


def _skewed(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a view [n, i] of a[n, i + n], for the i that all rows have."""
    row, column = a.strides
    return as_strided(a, (len(a), a.shape[1] - len(a) + 1), (row + column, column))


def _with_cuts(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is best at a line, [size, line], from what cut cells of n columns beside it are worth, [n, line]."""
    result = np.empty_like(ends)
    result[:2] = NEVER
    np.maximum.accumulate(ends[1:-1], axis=0, out=result[2:])
    result[2:] -= CUT * np.log(np.arange(2, len(ends)))[:, None]
    return np.asarray(np.maximum(result, ends[0], out=result))
