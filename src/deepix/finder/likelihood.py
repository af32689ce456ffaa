"""How much better a mosaic explains a lossy picture than "a photo" does: one likelihood for area and grid together.

With p the luminance, σ² the noise that the file left (`noise`) and C the cells, the evidence is, in nats,

    Σ_area [photo(p) − ½ log 2πσ²] − ½ min_c Σ (p − c_C)² / σ² − ½ Σ_C log(1 + τ² Σ_C 1/σ²)

that is, what each pixel costs in a photo less what it costs as a noisy tile, where each tile's colour costs as much as
its prior variance τ² makes it. It is a sum over cells, and of each cell over sums of pixels. So, for given rows of
cells, the best of all column grids with the best of all spans of columns is found exactly (`best_span`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from deepix.finder.grid import LARGEST, SMALLEST
from deepix.finder.grid_box import GridBox
from deepix.finder.jpeg_noise import SIDE, estimated_quality, noise
from deepix.finder.stripes import in_stripes

Array = NDArray[Any]

TAU = 25.0
"""The standard deviation of a tile's colour around the usual, in levels: what a new tile costs."""
LAPLACE = 1.25
"""A Laplace distribution of this scale is as high as a normal one of standard deviation 1: √(π/2)."""
CONTEXT, PRIOR = 6, 2
"""Neighbours that a photo's pixel is predicted from, and how many more the prior counts for."""
BORDER = 0.75
"""How much of an area's border counts: pixels beside it need not be predicted from those inside."""
EDGE = 8.0
"""What an area gains where it ends at the picture's edge, in nats: many do, and photos are predicted badly there."""
CUT = 2.0
"""What a cut column or row of cells costs, in nats, times the logarithm of the size it was cut from."""
CHUNK = 50_000
"""Numbers that are worked on at a time, for the processor's cache."""
NEVER = -1e6
"""Evidence of what cannot be."""


@dataclass(frozen=True)
class LikelihoodMaps:
    """The maps that evidence is summed up from: all float32 (H, W)."""

    luminance: Array
    """levels, 0 in the middle"""
    variance: Array
    """of the noise, in levels squared"""
    weight: Array
    """how much a squared deviation from a tile's colour counts: at most 1 / variance"""
    gain: Array
    """what a pixel of a tile costs less than one of a photo, in nats, before its deviation is paid"""
    tilt: Array
    """what a photo's pixel costs less, in nats, when it need not be predicted from the left and above; < 0: more"""

    @classmethod
    def of(cls, luminance: NDArray[np.float32], quality: int | None = None) -> LikelihoodMaps:
        """Return the maps of a picture's luminance, (H, W) in levels 0 … 255; in stripes, side by side."""
        height = len(luminance)
        quality = estimated_quality(luminance) if quality is None else quality
        maps = [np.empty(luminance.shape, np.float32) for _ in range(5)]

        def fill(rows: slice) -> None:
            low = max(rows.start - SIDE, 0)
            stripe = luminance[low : min(rows.stop + SIDE, height)]
            variance, share, paid = noise(stripe, quality)
            cost, tilt = photo_cost(stripe, variance)
            cost -= 0.5 * np.log(2 * np.pi * variance) - paid
            parts: tuple[Array, ...] = (stripe - np.float32(128), variance, share / variance, cost, tilt)
            for whole, part in zip(maps, parts, strict=True):
                whole[rows] = part[rows.start - low : rows.stop - low]

        in_stripes(fill, height)
        return cls(*maps)

    @property
    def turned(self) -> LikelihoodMaps:
        """The same with rows and columns exchanged: views, no copies."""
        return LikelihoodMaps(self.luminance.T, self.variance.T, self.weight.T, self.gain.T, self.tilt.T)

    def __getitem__(self, index: tuple[slice, slice]) -> LikelihoodMaps:
        maps = (self.luminance, self.variance, self.weight, self.gain, self.tilt)
        return LikelihoodMaps(*(a[index] for a in maps))

    def log_ratio(self, area: GridBox) -> float:
        """Return the evidence for an area with its grid, in nats."""
        x, y, w, h = area.box
        here = self[y : y + h, x : x + w]
        columns = starts(x, x + w, area.cell[0], area.origin[0])
        rows = starts(y, y + h, area.cell[1], area.origin[1])

        def cells(a: Array) -> Array:
            return np.asarray(np.add.reduceat(np.add.reduceat(a, rows, axis=0), columns, axis=1))

        p, u = here.luminance.astype(np.float64), here.weight.astype(np.float64)
        weight, first = cells(u), cells(u * p)
        second = float((u * p * p).sum() - (first * first / weight).sum())
        value = float(here.gain.sum(dtype=np.float64)) - 0.5 * second - 0.5 * float(np.log1p(TAU**2 * weight).sum())
        ends = ((x, w, area.cell[0], area.origin[0]), (y, h, area.cell[1], area.origin[1]))
        cuts = sum(
            np.log(size) * (((start - origin) % size != 0) + ((start + length - origin) % size != 0))
            for start, length, size, origin in ends
        )
        height, width = self.gain.shape
        edges = (x == 0) + (y == 0) + (x + w == width) + (y + h == height)
        return value + self._border(area) + float(EDGE * edges - CUT * cuts)

    def _border(self, area: GridBox) -> float:
        x, y, w, h = area.box
        total = float(self.tilt[y : y + h, x + w : x + w + 1].sum() + self.tilt[y + h : y + h + 1, x : x + w].sum())
        if x:
            total -= float(self.tilt[y : y + h, x - 1].sum())
        if y:
            total -= float(self.tilt[y - 1, x : x + w].sum())
        return BORDER * total


def starts(low: int, high: int, size: int, origin: int) -> NDArray[np.int64]:
    """Return where the cells of [low, high) start, counted from `low`: the first is 0."""
    lines = np.arange(origin + (low - origin) // size * size, high, size)
    return np.maximum(lines - low, 0)


def photo_cost(
    luminance: NDArray[np.float32], variance: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each pixel costs in a photo, in nats: −log of its predictive density, float32 (H, W).

    The mean of two predictions, from the left and above and from the right and below, so that an edge costs both of its
    sides. And how much more the mean costs than the second prediction alone.
    """
    floor = np.asarray(LAPLACE * np.sqrt(variance), np.float32)
    cost = _causal_cost(luminance, floor)
    tilt = np.asarray(cost - _causal_cost(luminance[::-1, ::-1], floor[::-1, ::-1])[::-1, ::-1], np.float32)
    tilt *= np.float32(0.5)
    cost -= tilt
    return cost, tilt


def _causal_cost(luminance: NDArray[np.float32], floor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what pixels cost that are predicted from those to the left and above.

    Two predictors compete, the median edge detector of LOCO-I (Weinberger et al. 2000) and a mean of neighbours; the
    one whose errors around were smaller is taken. Errors have a Laplace distribution whose scale has a gamma prior and
    is known from the errors around, which makes a Lomax distribution of them, with `floor` as the least scale.
    """
    height, width = luminance.shape

    def shifted(padded: Array, dy: int, dx: int) -> Array:
        return padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]

    around = ((2, 0), (2, 1))
    p = np.pad(luminance, around, mode="edge")
    left, above = shifted(p, 0, -1), shifted(p, -1, 0)
    corner, right = shifted(p, -1, -1), shifted(p, -1, 1)
    edge = np.clip(left + above - corner, np.minimum(left, above), np.maximum(left, above))
    mean = left + above
    mean += np.float32(0.5) * (corner + right + shifted(p, 0, -2) + shifted(p, -2, 0))
    mean *= np.float32(0.25)
    results = []
    for prediction in (edge, mean):
        error = np.abs(luminance - prediction)
        e = np.pad(error, around, mode="edge")
        total = shifted(e, 0, -1) + shifted(e, 0, -2)
        for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (-2, 0)):
            total += shifted(e, dy, dx)
        results.append((error, total))
    (error, total), (other, other_total) = results
    better = other_total < total
    error, total = np.where(better, other, error), np.minimum(total, other_total)
    n = CONTEXT + PRIOR
    total += np.float32(PRIOR) * floor
    np.maximum(total, n * floor, out=total)
    cost = np.float32(n + 1) * np.log(total + error) - np.float32(n) * np.log(total) - np.float32(np.log(n / 2))
    return np.asarray(cost, np.float32)


def best_span(
    likelihood: LikelihoodMaps,
    span: tuple[int, int],
    rows: tuple[int, int],
    cells: NDArray[np.int64],
    most: int = LARGEST,
) -> tuple[float, tuple[int, int], int, int]:
    """Return the best of all spans of columns with the best of all their grids, for given rows of cells.

    A span has at least one whole cell; at its ends cells may be cut. The sum of whole cells between two lines is that
    of a running sum, and what cut cells add at a line depends on the line alone: so the best pair of lines is the
    largest difference with a running minimum, for each size and phase.

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
    edge = BORDER * here.tilt.sum(axis=0, dtype=np.float64)
    longest = min(most, LARGEST, width)
    shape = (longest + 1, width + longest + 1)  # room for a last line beyond the window
    begun, right, left = (np.full(shape, NEVER) for _ in range(3))  # [n, a]: the cell of columns a … a + n − 1, and
    _fill_cells(begun[:, : width + 1], weight, first, fixed)  # [n, line]: a cut cell of n columns beside a line
    right[0, :width], left[0, 1 : width + 1] = edge, -edge
    left[0, 0] = EDGE * (low == 0)
    right[0, width] = EDGE * (high == likelihood.gain.shape[1])
    right[1:, : width + 1] = begun[1:, : width + 1] + sliding_window_view(right[0], width + 1)[1:]
    _skewed(left)[1:] = begun[1:, : width + 1] + left[0, : width + 1]
    opening, closing = _with_cuts(left), _with_cuts(right)
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
    if not np.isfinite(best):
        return best, (low, low), 0, low
    size, a, b = chosen
    cut = np.where(np.arange(size) > 0, CUT * np.log(size), 0)
    start, stop = a - int((left[:size, a] - cut).argmax()), b + int((right[:size, b] - cut).argmax())
    return best, (low + start, low + stop), size, low + a


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
