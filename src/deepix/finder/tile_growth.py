"""From some intact tiles to the rectangle that their grid explains best, by the steps between neighbouring pixels.

Each pair of pixels tells for or against the mosaic by a log-likelihood ratio: off the grid's lines there are no steps,
on them larger ones than around (`CONTRAST` times), and in a photo as large ones as around, everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.grid import FLOOR, ROOTS, Steps, lines_ratio
from deepix.finder.grid_box import GridBox

Array = NDArray[Any]
Mask = NDArray[np.bool_]

CONTRAST = 4.0
"""The mean step between neighbouring pixels on a grid's lines, in units of that around: a guess, as photos have."""
NOISELESS = 0.05
"""The mean step inside tiles, in levels: small, and not 0 to keep likelihoods finite."""
BIAS = 0.02
"""What each pixel of an area costs, in nats, so that it does not grow over what says nothing."""
FOREIGN = 0.5
"""What each pair of pixels costs, in nats, that says nothing because one of them is not the mosaic's."""


def grow(across: Steps, down: Steps, proposal: GridBox, ignored: Mask | None = None) -> GridBox | None:
    """Return the rectangle that a proposal's grid explains best, or None.

    Starting with the proposal's rows, the best interval of columns, then of rows, and so on until nothing changes
    (coordinate ascent), in a window whose sides give way while the rectangle touches them.

    Parameters
    ----------
    across, down : as `steps` returns
    proposal : where to start, and the grid
    ignored : bool (H, W), pixels that say nothing: drawn over a mosaic, or another one's
    """
    height, width = across.shape
    x, y, w, h = proposal.box
    x0, y0, x1, y1 = x, y, x + w, y + h  # the window
    left = right = max(int(2 * proposal.cell[0]), 24)
    up = below = max(int(2 * proposal.cell[1]), 24)
    rows = (y, y + h)
    while True:
        x0, y0 = max(x0 - left, 0), max(y0 - up, 0)
        x1, y1 = min(x1 + right, width), min(y1 + below, height)
        window = (slice(y0, y1), slice(x0, x1))
        lines = proposal.lines(0, x0, x1) - x0, proposal.lines(1, y0, y1) - y0
        horizontal = _log_ratios(across[window], proposal.cell, lines[0], 1)
        vertical = _log_ratios(down[window], proposal.cell, lines[1], 0)
        if ignored is not None:
            for ratios, pairs in zip((horizontal, vertical), _ignored_pairs(ignored[window]), strict=True):
                ratios[pairs] = -FOREIGN
        best = _ascend(horizontal, vertical, (rows[0] - y0, rows[1] - y0), proposal.cell, lines)
        if best is None:
            return None
        (a, b), (c, d), score = best
        rows = (y0 + c, y0 + d)
        more_x, more_y = (x1 - x0) // 2, (y1 - y0) // 2
        left, right = more_x * (a == 0 < x0), more_x * (x0 + b == x1 < width)
        up, below = more_y * (c == 0 < y0), more_y * (y0 + d == y1 < height)
        if not (left or right or up or below):
            box = (x0 + a, y0 + c, b - a, d - c)
            if score < 10 or b - a < 1.1 * proposal.cell[0] or d - c < 1.1 * proposal.cell[1]:
                return None
            return GridBox(box, proposal.cell, proposal.origin)


def _ignored_pairs(ignored: Mask) -> tuple[Mask, Mask]:
    """Return which pairs of a pixel with its left, and with its upper neighbour, say nothing: two (H, W)."""
    across, down = ignored.copy(), ignored.copy()
    across[:, 1:] |= ignored[:, :-1]
    down[1:] |= ignored[:-1]
    return across, down


def _log_ratios(g: Steps, cell: tuple[float, float], at: NDArray[np.int64], axis: int) -> NDArray[np.float32]:
    """Return each pair's log-likelihood ratio of "mosaic" to "photo", float32 of the shape of `g`.

    Steps are taken as exponentially distributed. In a photo their mean is that of the neighbourhood. In a mosaic it
    is `CONTRAST` times as much on lines, and off lines `NOISELESS`.
    """
    size = cell[0] if axis == 1 else cell[1]
    values = g.astype(np.float32)
    lines = (slice(None), at) if axis == 1 else (at, slice(None))
    around = ndimage.uniform_filter(values, size=[max(2 * int(v) + 1, 9) for v in (cell[1], cell[0])], mode="nearest")
    np.maximum(around, NOISELESS, out=around)
    ratio = np.log(around / np.float32(NOISELESS))
    ratio -= values * (300 * (1 / np.float32(NOISELESS) - 1 / around))
    contrast = min(CONTRAST, 0.8 * size)
    ratio[lines] = -np.log(contrast) + values[lines] / around[lines] * (1 - 1 / contrast)
    np.clip(ratio, -300, 3, out=ratio)
    ratio -= BIAS
    return np.asarray(ratio, np.float32)


def _spread(
    pairs: NDArray[np.float64], size: float, lines: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share each line's evidence out to the cells on both sides; return it with what is left at the pairs."""
    rest = pairs.copy()
    rest[lines] = 0
    cell = np.zeros(len(pairs), np.int64)
    cell[lines] = 1
    np.cumsum(cell, out=cell)
    values = np.concatenate([[0], pairs[lines], [0]])  # those at the start of each cell, and after the last
    return (values[cell] + values[cell + 1]) / (2 * size), rest


def _ascend(
    horizontal: NDArray[np.float32],
    vertical: NDArray[np.float32],
    rows: tuple[int, int],
    cell: tuple[float, float],
    lines: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[tuple[int, int], tuple[int, int], float] | None:
    columns = (0, 0)
    for _ in range(12):
        before = (columns, rows)
        c, d = rows
        shared, pairs = _spread(horizontal[c:d].sum(axis=0, dtype=np.float64), cell[0], lines[0])
        within = vertical[c + 1 : d].sum(axis=0, dtype=np.float64)
        columns, score = _best_interval(shared + pairs + within, pairs)
        a, b = columns
        if score <= 0:
            return None
        shared, pairs = _spread(vertical[:, a:b].sum(axis=1, dtype=np.float64), cell[1], lines[1])
        within = horizontal[:, a + 1 : b].sum(axis=1, dtype=np.float64)
        rows, score = _best_interval(shared + pairs + within, pairs)
        if score <= 0:
            return None
        if (columns, rows) == before:
            break
    return columns, rows, score


def _best_interval(values: NDArray[np.float64], first: NDArray[np.float64]) -> tuple[tuple[int, int], float]:
    """Return the interval (a, b) with the largest sum of values[a:b] − first[a], and that sum.

    `first` is the evidence of the pair that leads into a line from outside: it does not count for the first line.
    """
    ends = np.cumsum(values)
    starts = ends - values + first
    least = np.minimum.accumulate(starts)
    b = int(np.argmax(ends - least))
    a = int(np.argmin(starts[: b + 1]))
    return (a, b + 1), float(ends[b] - starts[a])


def trim_flat(across: Steps, down: Steps, area: GridBox) -> GridBox:
    """Return the area without what of its surroundings is of one colour and may have been taken for equal cells.

    From each side whole strips between grid lines are taken away, as long as nothing changes along them. One
    strip that differs from its neighbour stays, unless more of the same colour lay beyond it.
    """
    (x, y, w, h), cell, origin = area.box, area.cell, area.origin
    columns, rows = area.lines(0, x + 1, x + w), area.lines(1, y + 1, y + h)
    left, right = _flat_ends(across[y : y + h], down[y : y + h], (x, x + w), columns)
    top, bottom = _flat_ends(down[:, x : x + w].T, across[:, x : x + w].T, (y, y + h), rows)
    return GridBox((left, top, right - left, bottom - top), cell, origin)


def _flat_ends(across: Steps, down: Steps, span: tuple[int, int], at: NDArray[np.int64]) -> tuple[int, int]:
    """Return the span of columns without the flat strips at both ends; `across` and `down` are of the area's rows."""
    low, high = span
    changes = np.concatenate([[0], np.cumsum(down[1:].any(axis=0))])
    crossed = np.concatenate([across.any(axis=0), [True]])
    crossed[0] = True  # the picture ends here
    lines = [int(line) for line in at]
    goes_on = not crossed[high]
    while len(lines) > 2 and changes[high] == changes[lines[-1]] and (goes_on or not crossed[lines[-1]]):
        high = lines.pop()
        goes_on = True
    goes_on = not crossed[low]
    while len(lines) > 2 and changes[lines[0]] == changes[low] and (goes_on or not crossed[lines[0]]):
        low = lines.pop(0)
        goes_on = True
    return low, high


def steps_within(across: Steps, down: Steps, area: GridBox) -> int:
    """Return how many neighbouring pixels differ in an area although no line of its grid lies between them."""
    x, y, w, h = area.box
    columns, rows = across[y : y + h, x + 1 : x + w] > 0, down[y + 1 : y + h, x : x + w] > 0
    columns[:, area.lines(0, x + 1, x + w) - x - 1] = False
    rows[area.lines(1, y + 1, y + h) - y - 1] = False
    return int(np.count_nonzero(columns)) + int(np.count_nonzero(rows))


def profiles(
    across: Steps, down: Steps, box: tuple[int, int, int, int], ignored: Mask | None = None
) -> list[tuple[Array, Array]]:
    """Return the sums of the steps' roots inside a box, for each column and row but the first, with their numbers."""
    x, y, w, h = box
    columns, rows = ROOTS[across[y : y + h, x + 1 : x + w]], ROOTS[down[y + 1 : y + h, x : x + w]]
    numbers = np.full(w - 1, float(h)), np.full(h - 1, float(w))
    if ignored is not None:
        used = [~pairs for pairs in _ignored_pairs(ignored[y : y + h, x : x + w])]
        columns, rows = columns * used[0][:, 1:], rows * used[1][1:]
        numbers = used[0][:, 1:].sum(axis=0, dtype=np.float64), used[1][1:].sum(axis=1, dtype=np.float64)
    result = [
        (columns.sum(axis=0, dtype=np.float64) / 16, numbers[0]),
        (rows.sum(axis=1, dtype=np.float64) / 16, numbers[1]),
    ]
    for total, _ in result:
        if len(total) >= 24:  # steps next to the area's own border are not as inside: a lossy file blurs it
            for end in (slice(0, 2), slice(-2, None)):
                total[end] = np.median(total)
    return result


def support(across: Steps, down: Steps, area: GridBox, ignored: Mask | None = None) -> float:
    """Return the log-likelihood ratio of a grid in its box, in nats: both directions', or 0 if one has hardly any."""
    ratios = [
        lines_ratio(*p, FLOOR, area.lines(axis, start + 1, start + side) - start - 1)
        for axis, (p, start, side) in enumerate(
            zip(profiles(across, down, area.box, ignored), area.box[:2], area.box[2:], strict=True)
        )
    ]
    return sum(ratios) if min(ratios) >= 5 else 0.0
