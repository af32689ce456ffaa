"""Which pixels a mosaic covers, when its grid is known: the rectangle, or any mask, that the evidence speaks for.

The evidence is that of `likelihood`, in nats: what pixels cost as a photo less what they cost as noisy tiles, plus
`PRIOR` times the log-odds of the locator's map. Unlike `column_span.best_span` the grid is given and may be fractional:
pixels near its lines, where resizing has mixed the tiles, do not count then; nor near those of one in whole pixels that
is `blended`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.fast_filters import filled, grown_along
from deepix.finder.likelihood import BORDER, CUT, TAU, LikelihoodMaps
from deepix.mosaic import Grid

Array = NDArray[Any]
Box = tuple[int, int, int, int]

PRIOR = 0.3
"""Nats for each pixel and unit of the map's log-odds: neighbouring values of the map are far from independent."""
ODDS = 3.0
"""The largest log-odds of the map that are believed."""
MIXED = 1.5
"""Pixels from a line of a grid that was resized within which tiles are mixed."""
RINGING = 3.0
"""The same of a grid in whole pixels: at twice the size Lanczos' and the cubic kernel reach as far."""
NOISIEST = 40.0
"""The largest ratio of a region's noise variance to what its file's quality leaves."""
UNSURE = 4
"""Pixels that the sides of a box may be off, to begin with."""
ITERATIONS = 8
"""Steps of the ascent, in columns and rows by turns, at most."""
SMOOTH = 1.2
"""Standard deviation, in pixels, of the Gaussian window over which a mask's evidence is gathered."""
CLIP = 4.0
"""The most nats that one pixel counts for or against its being in a mask."""


@dataclass(frozen=True)
class Area:
    """Where a mosaic is: a box, or a mask of it, with its evidence in nats."""

    box: Box
    mask: NDArray[np.bool_] | None
    log_ratio: float


def with_map(likelihood: LikelihoodMaps, probability: NDArray[np.float32], grid: Grid) -> LikelihoodMaps:
    """Return the evidence to which a map of probabilities, (H, W), is added, for all pixels to those that count."""
    p = np.clip(probability, 1e-3, 1 - 1e-3)
    log_odds = np.clip(np.log(p / (1 - p)), -ODDS, ODDS).astype(np.float32)
    share = float(counting(grid, log_odds.shape).mean())
    return replace(likelihood, gain=likelihood.gain + np.float32(PRIOR / max(share, 0.05)) * log_odds)


def counting(grid: Grid, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return which pixels count, (H, W): 0 near lines of grids that were resized, 1 elsewhere."""
    (_, columns), (_, rows) = cell_bands(grid, shape)
    return rows[:, None] * columns


def with_noise(likelihood: LikelihoodMaps, grid: Grid, region: NDArray[np.bool_]) -> LikelihoodMaps:
    """Return the evidence for tiles that are as noisy as those in a region are, if that is more than was taken for it.

    A file's quality tells what noise saving it has left in flat tiles, but not what resizing, blurring or
    an earlier file has.
    """
    height, width = likelihood.gain.shape
    (column, column_counts), (row, row_counts) = cell_bands(grid, (height, width))
    starts = [np.flatnonzero(np.diff(index, prepend=index[0] - 1)) for index in (row, column)]

    def cells(a: Array) -> Array:
        return np.asarray(np.add.reduceat(np.add.reduceat(a, starts[0], axis=0, dtype=np.float64), starts[1], axis=1))

    counts = (row_counts[:, None] * column_counts) * region
    u = likelihood.weight * counts
    weight, first = cells(u), cells(u * likelihood.luminance)
    deviation = cells(u * likelihood.luminance**2) - first**2 / np.maximum(weight, 1e-9)
    number = cells(counts)
    expected = cells(u * likelihood.variance) * (1 - 1 / np.maximum(number, 1))
    good = (number >= 3) & (expected > 0)
    if np.count_nonzero(good) < 4:
        return likelihood
    ratios = deviation[good] / expected[good]
    usual = ratios <= 2 * float(np.median(ratios))
    if not usual.any():  # tiles without any deviation, but for rounding
        return likelihood
    ratio = float(deviation[good][usual].sum() / expected[good][usual].sum())
    if ratio <= 1:
        return likelihood
    ratio = min(ratio, NOISIEST)
    return replace(
        likelihood,
        variance=likelihood.variance * np.float32(ratio),
        weight=likelihood.weight / np.float32(ratio),
        # blocks whose noise has few degrees of freedom count as little here as their deviations do
        gain=likelihood.gain - np.float32(0.5 * np.log(ratio)) * likelihood.weight * likelihood.variance,
    )


Bands = tuple[NDArray[np.int64], NDArray[np.float32]]


def cell_bands(grid: Grid, shape: tuple[int, ...]) -> tuple[Bands, Bands]:
    """Return `bands` of a window's columns, and of its rows."""
    height, width = shape
    return (
        bands(0, width, grid.width, grid.x, grid.blended),
        bands(0, height, grid.height, grid.y, grid.blended),
    )


def bands(start: int, stop: int, size: float, origin: float, blended: bool = False) -> Bands:
    """Return the cell of each pixel of an axis, and whether it counts (0 near lines of grids that were resized)."""
    centre = np.arange(start, stop) + 0.5 - origin
    index = np.floor(centre / size).astype(np.int64)
    if not blended and float(size).is_integer() and float(origin).is_integer():
        return index, np.ones(stop - start, np.float32)
    distance = np.minimum(centre - index * size, (index + 1) * size - centre)
    return index, (distance >= min(RINGING if blended else MIXED, size / 4)).astype(np.float32)


def rectangle(likelihood: LikelihoodMaps, grid: Grid, box: Box) -> Area:
    """Return the rectangle of the grid's cells, whole or cut, with the most evidence, beginning with a box.

    For given rows the span of columns is found exactly; then the rows for these columns; and so on.
    """
    turned = likelihood.turned
    x, y, w, h = box
    value = -np.inf
    for turn in range(ITERATIONS):
        before = (x, y, w, h)
        whole = turn < 3
        if turn % 2 == 0:
            rows = core((y, y + h), grid.height, grid.y) if whole else (y, y + h)
            value, a, b = span(likelihood, rows, (grid.width, grid.x), (grid.height, grid.y), grid.blended)
            x, w = a, b - a
        else:
            columns = core((x, x + w), grid.width, grid.x) if whole else (x, x + w)
            value, a, b = span(turned, columns, (grid.height, grid.y), (grid.width, grid.x), grid.blended)
            y, h = a, b - a
        if w <= 0 or h <= 0:
            return Area(box, None, -np.inf)
        if turn > 3 and (x, y, w, h) == before:
            break
    return Area((x, y, w, h), None, value)


def core(span: tuple[int, int], size: float, origin: float) -> tuple[int, int]:
    """Return the part of a span that is surely inside if its ends are a few pixels off: whole cells, if it can be."""
    start, stop = span
    first = origin + np.ceil((start + UNSURE - origin) / size) * size
    last = origin + np.floor((stop - UNSURE - origin) / size) * size
    if last - first >= 0.9 * size:
        return round(first), round(last)
    inner = min(UNSURE, (stop - start) // 4)
    return start + inner, stop - inner


def span(
    likelihood: LikelihoodMaps,
    rows: tuple[int, int],
    across: tuple[float, float],
    down: tuple[float, float],
    blended: bool = False,
) -> tuple[float, int, int]:
    """Return the span of columns with the most evidence for given rows: its evidence, start and stop.

    Parameters
    ----------
    likelihood : of the window that is looked at
    rows : the first and the last but one
    across, down : the cells' size and origin in both directions
    blended : whether pixels near lines do not count, also of whole numbers
    """
    top, bottom = rows
    width = likelihood.gain.shape[1]
    row, row_counts = bands(top, bottom, *down, blended)
    column, column_counts = bands(0, width, *across, blended)
    firsts = np.flatnonzero(np.diff(row, prepend=row[0] - 1))
    counts = row_counts[:, None] * column_counts
    p = likelihood.luminance[top:bottom]
    u = likelihood.weight[top:bottom] * counts
    up = u * p
    fixed = (likelihood.gain[top:bottom] * counts - 0.5 * up * p).sum(axis=0, dtype=np.float64)
    if bottom < len(likelihood.tilt):
        fixed += BORDER * likelihood.tilt[bottom]
    if top:
        fixed -= BORDER * likelihood.tilt[top - 1]
    weight, first = (np.add.reduceat(a, firsts, axis=0, dtype=np.float64) for a in (u, up))

    lines = np.append(np.flatnonzero(np.diff(column, prepend=column[0] - 1)), width)
    edge = BORDER * likelihood.tilt[top:bottom].sum(axis=0, dtype=np.float64)
    cut = CUT * np.log(max(across[0], 2))
    whole, (opening, opened), (closing, closed) = _at_lines(weight, first, fixed, edge, lines, float(cut))
    total = np.concatenate([[0], np.cumsum(whole)])
    started = opening - total
    best_start = np.maximum.accumulate(started)
    value = closing[1:] + total[1:] + best_start[:-1]
    j = int(value.argmax())
    i = int(np.flatnonzero(started[: j + 1] == best_start[j])[0])
    return float(value[j]), int(opened[i]), int(closed[j + 1])


def _at_lines(
    weight: Array, first: Array, fixed: Array, edge: Array, lines: Array, cut: float
) -> tuple[Array, tuple[Array, Array], tuple[Array, Array]]:
    """Return the evidence of each whole column of cells, and of the best cut one that ends and begins at each line.

    Parameters
    ----------
    weight, first : sums over the pixels of each row of cells, (rows of cells, W): the weights, and times luminance
    fixed, edge : (W,) evidence that does not depend on cells, and what a side of the area costs
    lines : (lines,) the columns where cells begin, and W
    cut : what a cut column of cells costs, in nats

    Returns
    -------
    (lines − 1,); (lines,) evidence and start of the cut column that ends at a line, or of none; the same with its stop
    """
    whole = np.empty(len(lines) - 1)
    opening, opened = np.zeros(len(lines)), lines.copy()
    closing, closed = np.zeros(len(lines)), lines.copy()
    opening[1:] -= edge[lines[1:] - 1]
    closing[:-1] += edge[lines[:-1]]
    sizes = np.diff(lines)
    for size in np.unique(sizes):
        its = np.flatnonzero(sizes == size)
        ahead = lines[its][:, None] + np.arange(size)
        back = ahead[:, ::-1]
        begun = _growing(weight[:, ahead], first[:, ahead], fixed[ahead])  # columns a … a + i as one cell
        whole[its] = begun[:, -1]
        if size == 1:
            continue
        ended = _growing(weight[:, back], first[:, back], fixed[back])  # columns b − 1 − i … b − 1
        value, i = _largest(begun[:, :-1] - cut + edge[ahead[:, 1:]])
        better = value > closing[its]
        closing[its] = np.where(better, value, closing[its])
        closed[its] = np.where(better, ahead[:, 0] + 1 + i, closed[its])
        value, i = _largest(ended[:, :-1] - cut - edge[back[:, 1:]])
        better = value > opening[its + 1]
        opening[its + 1] = np.where(better, value, opening[its + 1])
        opened[its + 1] = np.where(better, back[:, 0] - i, opened[its + 1])
    return whole, (opening, opened), (closing, closed)


def _largest(values: Array) -> tuple[Array, Array]:
    """Return the largest value of each row, and where it is first."""
    at = values.argmax(axis=1)
    return values[np.arange(len(at)), at], at


def _growing(weight: Array, first: Array, fixed: Array) -> Array:
    """Return the evidence of cells of the first, the first two, the first three … of some columns, (cells, columns).

    Sums of rows of cells, (rows, cells, columns), and what does not depend on cells, (cells, columns).
    """
    w, f = np.cumsum(weight, axis=2), np.cumsum(first, axis=2)
    cells = 0.5 * f * f / np.maximum(w, 1e-9) - 0.5 * np.log1p(TAU**2 * w)
    return np.asarray(cells.sum(axis=0) + np.cumsum(fixed, axis=1))


def pixel_evidence(likelihood: LikelihoodMaps, grid: Grid, region: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return each pixel's evidence for lying in the mosaic, float32 (H, W), and the cells' rows and columns.

    A cell's colour is the weighted mean of its pixels in the region; cells without any take that of all their pixels.
    """
    height, width = likelihood.gain.shape
    (column, column_counts), (row, row_counts) = cell_bands(grid, (height, width))
    counts = row_counts[:, None] * column_counts
    u = likelihood.weight * counts
    p = likelihood.luminance
    starts = [np.flatnonzero(np.diff(index, prepend=index[0] - 1)) for index in (row, column)]

    def cells(a: Array) -> Array:
        return np.asarray(np.add.reduceat(np.add.reduceat(a, starts[0], axis=0), starts[1], axis=1))

    row, column = row - row[0], column - column[0]
    inside = u * region
    weight, first = cells(inside), cells(inside * p)
    empty = weight <= 0
    weight, first = np.where(empty, cells(u), weight), np.where(empty, cells(u * p), first)
    colour = first / np.maximum(weight, 1e-9)
    cost = 0.5 * np.log1p(TAU**2 * cells(u)) / np.maximum(cells(counts), 1)

    def spread(a: Array) -> Array:
        return np.asarray(a[row][:, column])

    e = likelihood.gain * counts - 0.5 * u * (p - spread(colour)) ** 2 - spread(cost) * counts
    return e.astype(np.float32), row, column


def mask(likelihood: LikelihoodMaps, grid: Grid, region: NDArray[np.bool_]) -> Area | None:
    """Return the mask that the evidence speaks for, of whole tiles or cutting them, beginning with a region."""
    best: Area | None = None
    near = grown_along(region, UNSURE + 1)
    for _ in range(2):
        e, row, column = pixel_evidence(likelihood, grid, region)
        clipped = np.clip(e, -CLIP, CLIP)
        starts = [np.flatnonzero(np.diff(index, prepend=-1)) for index in (row, column)]
        tiles = np.add.reduceat(np.add.reduceat(clipped * near, starts[0], axis=0), starts[1], axis=1)
        along = _connected((tiles > 0)[row][:, column] & near, region)
        smoothed = ndimage.gaussian_filter(np.where(near, clipped, -CLIP), SMOOTH)
        cutting = _connected(smoothed > 0, region)
        options = []
        for m, cost in ((along, 0.0), (cutting, 0.35)):
            if m is not None:
                outline = np.count_nonzero(m[1:] != m[:-1]) + np.count_nonzero(m[:, 1:] != m[:, :-1])
                options.append((float(clipped[m].sum()) - cost * outline, m))
        if not options:
            return best
        value, region = max(options, key=lambda option: option[0])
        rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
        y, x = int(rows[0]), int(columns[0])
        h, w = int(rows[-1]) + 1 - y, int(columns[-1]) + 1 - x
        best = Area((x, y, w, h), region[y : y + h, x : x + w], value)
    return best


def _connected(m: NDArray[np.bool_], region: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the part of a mask that shares most with the region, without holes; None if none does."""
    labels, number = ndimage.label(m)
    if not number:
        return None
    common = np.bincount(labels[region], minlength=number + 1)[1:]
    if not common.any():
        return None
    return filled(labels == 1 + int(common.argmax()))
