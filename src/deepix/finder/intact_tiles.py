"""Mosaics of tiles of exactly one colour, in pictures from lossless files.

1. *Proposal.* `exact_tiles` finds single rectangles of one colour; those that continue each other on one grid make
   a proposal.
2. *Area.* `grow` finds the rectangle around a proposal that its grid explains best. With G the step between two
   neighbouring pixels, each pair of pixels tells for or against the mosaic by a log-likelihood ratio: off
   the grid's lines there are no steps, on them larger ones than around (`CONTRAST` times), and in a photo as large ones
   as around, everywhere.
3. *Judgement.* `intact_judgement` looks at the cells themselves and says how sure one can be that these are the cells
   of a pixelated photo, not the windows of a screenshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.candidates import Candidate
from deepix.finder.fast_filters import connected
from deepix.finder.grid import FLOOR, LARGEST, ROOTS, SMALLEST, Steps, comb_ratio, steps
from deepix.finder.grid_box import GridBox, inside_one
from deepix.finder.intact_judgement import judge, of_blocks
from deepix.finder.stripes import in_stripes
from deepix.finder.thresholds import CERTAIN_INTACT
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]

CONTRAST = 4.0
"""The mean step between neighbouring pixels on a grid's lines, in units of that around: a guess, as photos have."""
NOISELESS = 0.05
"""The mean step inside tiles, in levels: small, and not 0 to keep likelihoods finite."""
BIAS = 0.02
"""What each pixel of an area costs, in nats, so that it does not grow over what says nothing."""
WHOLE = 3
"""The least number of isolated tiles of the cell's size in an area: clean pictures have pairs of equal ones by
chance."""
MUCH = 2000.0
"""Evidence, in nats, from which on fewer than `WHOLE` isolated tiles are enough: cells may equal their neighbours."""
FAILED = 60
"""Proposals in a row that lead to nothing, after which no more are tried; they are sorted by size. In training photos
at most 8 lay before one that did lead to a mosaic; large ones have hundreds of pairs of equal tiles by chance."""
LIMIT = 300
"""Proposals, at most, of one picture."""


def candidates(pixels: Array) -> list[Candidate]:
    """Return the rectangles that may be mosaics of intact tiles; they may overlap.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16
    """
    across, down = _steps(pixels)
    tiles = exact_tiles(across, down)
    result: list[Candidate] = []
    done: list[GridBox] = []
    sure: list[GridBox] = []
    failed = 0
    for proposal in proposals(tiles):
        if failed >= FAILED:
            break
        if inside_one(proposal, done) or _of_cells(proposal, sure):
            continue
        failed += 1
        fit = grow(across, down, proposal)
        if fit is None:
            continue
        done.append(fit)
        fit = trim_flat(across, down, fit)
        log_ratio = support(across, down, fit)
        confidence = judge(pixels, fit, log_ratio)
        if confidence <= 0.5 or (log_ratio < MUCH and _held(tiles, fit) < WHOLE):
            continue
        if not of_blocks(across, down, fit, log_ratio):
            m = Mosaic(*fit.box, Grid(*fit.origin, *fit.cell), confidence=confidence)
            result.append(Candidate.of_intact_tiles(log_ratio, m))
            failed = 0
            if log_ratio >= CERTAIN_INTACT:
                sure.append(fit)
    return result


def _of_cells(proposal: GridBox, others: Sequence[GridBox]) -> bool:
    """Whether a proposal's tiles are cells of one of the others: equal ones side by side, or cut by its border."""
    return any(all(_along(proposal, other, axis) for axis in (0, 1)) for other in others)


def _along(proposal: GridBox, other: GridBox, axis: int) -> bool:
    """Whether a proposal's tiles, along one axis, are several of an area's cells each, or all that is left of one."""
    start, first = proposal.box[axis], other.box[axis]
    stop, last = start + proposal.box[axis + 2], first + other.box[axis + 2]
    if start < first or stop > last:
        return False
    size, own, line = proposal.cell[axis], other.cell[axis], other.origin[axis]
    if size % own == 0:
        return (proposal.origin[axis] - line) % own == 0
    cut = (start == first and (stop - line) % own == 0) or (stop == last and (start - line) % own == 0)
    return cut and stop - start == size < own


def _steps(pixels: Array) -> tuple[Steps, Steps]:
    """Return `steps` of all channels, worked out side by side."""
    across, down = (np.empty(pixels.shape[:2], np.uint8) for _ in range(2))

    def fill(rows: slice) -> None:
        above = max(rows.start - 1, 0)
        for whole, part in zip((across, down), steps(pixels[above : rows.stop], lossy=False), strict=True):
            whole[rows] = part[rows.start - above :]

    in_stripes(fill, len(pixels))
    return across, down


def exact_tiles(across: Steps, down: Steps, largest: int = LARGEST) -> NDArray[np.int64]:
    """Return the isolated rectangles of one colour: int64 (n, 4) of x, y, width, height.

    `flat` marks the 2 x 2 blocks of one colour by their upper left pixel. In it a tile of w x h pixels is an isolated
    block of (w − 1) x (h − 1). Its upper left corner is found first, then how far it runs to the right and down.
    """
    flat = _flat(across, down)

    def corners_in(rows: slice) -> NDArray[np.int64]:
        inner = flat[rows.start + 1 : rows.stop + 1]
        found = inner[:, 1:-1] > flat[rows, 1:-1]
        found &= inner[:, 1:-1] > inner[:, :-2]
        return np.asarray(np.flatnonzero(found) + rows.start * found.shape[1], np.int64)

    corners = np.concatenate(in_stripes(corners_in, len(flat) - 2))
    width = flat.shape[1]
    y, x = np.divmod(corners, width - 2)
    at = (y + 1) * width + x + 1
    line = flat.ravel()
    right = _run(line, at, 1, largest)
    below = _run(line, at, width, largest)
    last = at + (right - 1) + (below - 1) * width
    good = (right >= SMALLEST - 1) & (below >= SMALLEST - 1) & (right < largest) & (below < largest)
    at, last, right, below, x, y = (v[good] for v in (at, last, right, below, x, y))
    closed = line[last] & ~line[last + 1] & ~line[last + width]
    closed &= ~line[last - (right - 1) - 1] & ~line[last - (below - 1) * width - width]
    tiles = np.stack([x, y, right + 1, below + 1], axis=1)[closed]
    return np.asarray(tiles, np.int64)


def _flat(across: Steps, down: Steps) -> NDArray[np.bool_]:
    """Return where a pixel and its right, lower and lower right neighbours are equal: (H + 1, W + 1), framed."""
    height, width = across.shape
    flat = np.zeros((height + 1, width + 1), bool)

    def fill(rows: slice) -> None:
        below = slice(rows.start + 1, rows.stop + 1)
        inner = flat[1:-1, 1:-1][rows]
        changes = across[rows, 1:] | across[below, 1:]
        changes |= down[below, 1:]
        changes |= down[below, :-1]
        np.equal(changes, 0, out=inner)

    in_stripes(fill, height - 1)
    return flat


def _run(line: NDArray[np.bool_], start: NDArray[np.int64], stride: int, longest: int) -> NDArray[np.int64]:
    """Return how many True follow each start, itself included, going by `stride`."""
    length = np.ones(len(start), np.int64)
    alive = np.arange(len(start))
    for k in range(1, longest):
        alive = alive[line[start[alive] + k * stride]]
        if not alive.size:
            break
        length[alive] += 1
    return length


def proposals(tiles: NDArray[np.int64], limit: int = LIMIT) -> list[GridBox]:
    """Return clusters of neighbouring tiles of equal size that continue each other on one grid, largest first."""
    if not len(tiles):
        return []
    x, y, w, h = tiles.T
    key = ((w * (LARGEST + 1) + h) * (LARGEST + 1) + x % w) * (LARGEST + 1) + y % h
    code = (key << 32) | ((y // h) << 16) | (x // w)
    order = np.argsort(code)
    code, tiles = code[order], tiles[order]
    pairs = []
    for neighbour in (1, 1 << 16):
        at = np.minimum(np.searchsorted(code, code + neighbour), len(code) - 1)
        hit = np.flatnonzero(code[at] == code + neighbour)
        pairs.append(np.stack([hit, at[hit]]))
    a, b = np.concatenate(pairs, axis=1)
    if not a.size:
        return []
    label = connected(a, b, len(code))
    order = np.argsort(label, kind="stable")
    label, tiles = label[order], tiles[order]
    first = np.flatnonzero(np.diff(label, prepend=-1))
    number = np.diff(first, append=len(label))
    x, y, w, h = tiles.T
    left, top = np.minimum.reduceat(x, first), np.minimum.reduceat(y, first)
    right, bottom = np.maximum.reduceat(x + w, first), np.maximum.reduceat(y + h, first)
    weight = number * w[first] * h[first]
    chosen = np.flatnonzero(number >= 2)
    chosen = chosen[np.argsort(-weight[chosen], kind="stable")][:limit]
    return [
        GridBox(
            (int(left[i]), int(top[i]), int(right[i] - left[i]), int(bottom[i] - top[i])),
            (int(w[first[i]]), int(h[first[i]])),
            (int(left[i]), int(top[i])),
        )
        for i in chosen
    ]


def _held(tiles: NDArray[np.int64], area: GridBox) -> int:
    """Return how many of the tiles are cells of an area."""
    (x, y, width, height), cell, origin = area.box, area.cell, area.origin
    on_grid = np.all((tiles[:, 2:] == cell) & ((tiles[:, :2] - origin) % cell == 0), axis=1)
    inside = np.all((tiles[:, :2] >= (x, y)) & (tiles[:, :2] + cell <= (x + width, y + height)), axis=1)
    return int(np.count_nonzero(on_grid & inside))


def grow(across: Steps, down: Steps, proposal: GridBox) -> GridBox | None:
    """Return the rectangle that a proposal's grid explains best, or None.

    Starting with the proposal's rows, the best interval of columns, then of rows, and so on until nothing changes
    (coordinate ascent), in a window whose sides give way while the rectangle touches them.

    Parameters
    ----------
    across, down : as `steps` returns
    proposal : where to start, and the grid
    """
    height, width = across.shape
    x, y, w, h = proposal.box
    x0, y0, x1, y1 = x, y, x + w, y + h  # the window
    left = right = max(2 * proposal.cell[0], 24)
    up = below = max(2 * proposal.cell[1], 24)
    rows = (y, y + h)
    while True:
        x0, y0 = max(x0 - left, 0), max(y0 - up, 0)
        x1, y1 = min(x1 + right, width), min(y1 + below, height)
        window = (slice(y0, y1), slice(x0, x1))
        phase = ((proposal.origin[0] - x0) % proposal.cell[0], (proposal.origin[1] - y0) % proposal.cell[1])
        horizontal = _log_ratios(across[window], proposal.cell, phase[0], 1)
        vertical = _log_ratios(down[window], proposal.cell, phase[1], 0)
        best = _ascend(horizontal, vertical, (rows[0] - y0, rows[1] - y0), proposal.cell, phase)
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


def _log_ratios(g: Steps, cell: tuple[int, int], phase: int, axis: int) -> NDArray[np.float32]:
    """Return each pair's log-likelihood ratio of "mosaic" to "photo", float32 of the shape of `g`.

    Steps are taken as exponentially distributed. In a photo their mean is that of the neighbourhood. In a mosaic it
    is `CONTRAST` times as much on lines, and off lines `NOISELESS`.
    """
    size = cell[0] if axis == 1 else cell[1]
    values = g.astype(np.float32)
    lines = (slice(None), slice(phase, None, size)) if axis == 1 else (slice(phase, None, size), slice(None))
    around = ndimage.uniform_filter(values, size=[max(2 * v + 1, 9) for v in (cell[1], cell[0])], mode="nearest")
    np.maximum(around, NOISELESS, out=around)
    ratio = np.log(around / np.float32(NOISELESS))
    ratio -= values * (300 * (1 / np.float32(NOISELESS) - 1 / around))
    contrast = min(CONTRAST, 0.8 * size)
    ratio[lines] = -np.log(contrast) + values[lines] / around[lines] * (1 - 1 / contrast)
    np.clip(ratio, -300, 3, out=ratio)
    ratio -= BIAS
    return np.asarray(ratio, np.float32)


def _spread(pairs: NDArray[np.float64], size: int, phase: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share each line's evidence out to the cells on both sides; return it with what is left at the pairs."""
    lines, rest = np.zeros(len(pairs) + 2 * size), pairs.copy()
    lines[size + phase : size + len(pairs) : size] = pairs[phase::size]
    rest[phase::size] = 0
    total = np.cumsum(lines)
    return (total[2 * size :] - total[: -2 * size]) / (2 * size), rest


def _ascend(
    horizontal: NDArray[np.float32],
    vertical: NDArray[np.float32],
    rows: tuple[int, int],
    cell: tuple[int, int],
    phase: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int], float] | None:
    columns = (0, 0)
    for _ in range(12):
        before = (columns, rows)
        c, d = rows
        shared, pairs = _spread(horizontal[c:d].sum(axis=0, dtype=np.float64), cell[0], phase[0])
        within = vertical[c + 1 : d].sum(axis=0, dtype=np.float64)
        columns, score = _best_interval(shared + pairs + within, pairs)
        a, b = columns
        if score <= 0:
            return None
        shared, pairs = _spread(vertical[:, a:b].sum(axis=1, dtype=np.float64), cell[1], phase[1])
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
    left, right = _flat_ends(across[y : y + h], down[y : y + h], (x, x + w), cell[0], origin[0])
    top, bottom = _flat_ends(down[:, x : x + w].T, across[:, x : x + w].T, (y, y + h), cell[1], origin[1])
    return GridBox((left, top, right - left, bottom - top), cell, origin)


def _flat_ends(across: Steps, down: Steps, span: tuple[int, int], size: int, origin: int) -> tuple[int, int]:
    """Return the span of columns without the flat strips at both ends; `across` and `down` are of the area's rows."""
    low, high = span
    changes = np.concatenate([[0], np.cumsum(down[1:].any(axis=0))])
    crossed = np.concatenate([across.any(axis=0), [True]])
    crossed[0] = True  # the picture ends here
    lines = list(range(low + 1 + (origin - low - 1) % size, high, size))
    goes_on = not crossed[high]
    while len(lines) > 2 and changes[high] == changes[lines[-1]] and (goes_on or not crossed[lines[-1]]):
        high = lines.pop()
        goes_on = True
    goes_on = not crossed[low]
    while len(lines) > 2 and changes[lines[0]] == changes[low] and (goes_on or not crossed[lines[0]]):
        low = lines.pop(0)
        goes_on = True
    return low, high


def profiles(across: Steps, down: Steps, box: tuple[int, int, int, int]) -> list[tuple[Array, Array]]:
    """Return the sums of the steps' roots inside a box, for each column and row but the first, with their numbers."""
    x, y, w, h = box
    columns = ROOTS[across[y : y + h, x + 1 : x + w]].sum(axis=0, dtype=np.float64) / 16
    rows = ROOTS[down[y + 1 : y + h, x : x + w]].sum(axis=1, dtype=np.float64) / 16
    result = [(columns, np.full(w - 1, float(h))), (rows, np.full(h - 1, float(w)))]
    for total, _ in result:
        if len(total) >= 24:  # steps next to the area's own border are not as inside: a lossy file blurs it
            for end in (slice(0, 2), slice(-2, None)):
                total[end] = np.median(total)
    return result


def support(across: Steps, down: Steps, area: GridBox) -> float:
    """Return the log-likelihood ratio of a grid in its box, in nats: both directions', or 0 if one has hardly any."""
    ratios = [
        comb_ratio(*p, FLOOR, size, (o - b - 1) % size)
        for p, size, o, b in zip(profiles(across, down, area.box), area.cell, area.origin, area.box[:2], strict=True)
    ]
    return sum(ratios) if min(ratios) >= 5 else 0.0
