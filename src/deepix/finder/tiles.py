"""Where: rectangles of intact, or nearly intact, tiles.

1. *Proposal.* `exact_tiles` and `cores` find single rectangles of one colour; those that continue each other on one
   grid make a seed: a box and a grid.
2. *Area.* `grow` finds the rectangle around a seed that its grid explains best. With G the step between two
   neighbouring pixels, each pair of pixels tells for or against the mosaic by a log-likelihood ratio: off
   the grid's lines steps are noise (mean `noise`), on them larger than around (`CONTRAST` times), and in a
   photo as large as around, everywhere.
3. *Judgement.* `judge` looks at the cells themselves and says how sure one can be that these are the cells of a
   pixelated photo, not the windows of a screenshot.
4. *Refinement*, of lossy ones. `refine` fits the grid anew to the means of the cells' bands, in which noise is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deepix.finder.grid import FLOOR, LARGEST, ROOTS, SMALLEST, Steps, comb, comb_ratio, luminance
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Box = tuple[int, int, int, int]
"""x, y, width, height"""

CONTRAST = 4.0
"""How much larger steps are taken to be on a grid's lines than around."""
NOISELESS = 0.05
"""The mean step inside tiles of exactly one colour, in levels: small, and not 0 to keep likelihoods finite."""
SURE = 400.0
"""Nats of evidence from which on also weakly contrasted tiles of exactly one colour are believed."""
BIAS = 0.02
"""What each pixel of an area costs, in nats, so that it does not grow over what says nothing."""


@dataclass(frozen=True)
class Seed:
    """A box with the grid of its cells: the cells' width and height and one cell's upper left corner."""

    box: Box
    cell: tuple[int, int]
    origin: tuple[int, int]

    @classmethod
    def of(cls, m: Mosaic) -> Seed:
        """Return the box and the grid of a mosaic, whose grid must be of integers."""
        g = m.grid
        return cls((m.x, m.y, m.width, m.height), (int(g.width), int(g.height)), (int(g.x), int(g.y)))

    def same_grid(self, other: Seed) -> bool:
        """Whether both grids have all their lines in common."""
        return self.cell == other.cell and all(
            (a - b) % size == 0 for a, b, size in zip(self.origin, other.origin, self.cell, strict=True)
        )


def inside_one(seed: Seed, others: Sequence[Seed]) -> bool:
    """Whether the seed lies in one of the others, on the same grid."""
    x, y, w, h = seed.box
    return any(
        a <= x and b <= y and x + w <= a + c and y + h <= b + d and seed.same_grid(other)
        for other in others
        for a, b, c, d in (other.box,)
    )


def shared(m: Mosaic, other: Mosaic) -> int:
    """Return how many pixels the boxes of two mosaics have in common."""
    width = min(m.x + m.width, other.x + other.width) - max(m.x, other.x)
    height = min(m.y + m.height, other.y + other.height) - max(m.y, other.y)
    return max(width, 0) * max(height, 0)


def explains(across: Steps, down: Steps, m: Mosaic, seed: Seed, least: float) -> bool:
    """Whether a mosaic covers most of the seed's box and its grid has at least this support there."""
    x, y, w, h = seed.box
    width = min(m.x + m.width, x + w) - max(m.x, x)
    height = min(m.y + m.height, y + h) - max(m.y, y)
    if width <= 0 or height <= 0 or width * height < 0.6 * w * h:
        return False
    grid = Seed.of(m)
    return support(across, down, Seed(seed.box, grid.cell, grid.origin)) >= least


def exact_tiles(across: Steps, down: Steps, largest: int = LARGEST) -> NDArray[np.int64]:
    """Return the isolated rectangles of one colour: int64 (n, 4) of x, y, width, height.

    `flat` marks the 2 x 2 blocks of one colour by their upper left pixel. In it a tile of w x h pixels is an isolated
    block of (w − 1) x (h − 1). Its upper left corner is found first, then how far it runs to the right and down.
    """
    flat = _flat(across, down, 0)
    corners = np.flatnonzero(flat[1:-1, 1:-1] & ~flat[:-2, 1:-1] & ~flat[1:-1, :-2])
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


def _flat(across: Steps, down: Steps, tolerance: int) -> NDArray[np.bool_]:
    """Return where a pixel and its right, lower and lower right neighbours are equal: (H + 1, W + 1), framed."""
    height, width = across.shape
    flat = np.zeros((height + 1, width + 1), bool)
    same = across[:, 1:] <= tolerance
    inner = flat[1:-1, 1:-1]
    np.logical_and(same[:-1], same[1:], out=inner)
    inner &= down[1:, 1:] <= tolerance
    inner &= down[1:, :-1] <= tolerance
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


def seeds(tiles: NDArray[np.int64], limit: int = 300) -> list[Seed]:
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
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(code), len(code)))
    _, label = connected_components(graph, directed=False)
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
        Seed(
            (int(left[i]), int(top[i]), int(right[i] - left[i]), int(bottom[i] - top[i])),
            (int(w[first[i]]), int(h[first[i]])),
            (int(left[i]), int(top[i])),
        )
        for i in chosen
    ]


def grow(across: Steps, down: Steps, seed: Seed, noise: float) -> tuple[Seed | None, int]:
    """Return the rectangle that the seed's grid explains best, or None; and how many pixels were looked at.

    Starting with the seed's rows, the best interval of columns, then of rows, and so on until nothing changes
    (coordinate ascent), in a window that widens while the rectangle touches it.

    Parameters
    ----------
    across, down : as `steps` returns
    seed : where to start, and the grid
    noise : mean step inside tiles, in levels; `NOISELESS` where tiles are of exactly one colour
    """
    height, width = across.shape
    x, y, w, h = seed.box
    x0, y0, x1, y1 = x, y, x + w, y + h  # the window
    margin_x, margin_y = max(2 * seed.cell[0], 24), max(2 * seed.cell[1], 24)
    rows = (y, y + h)
    work = 0
    while True:
        x0, y0 = max(x0 - margin_x, 0), max(y0 - margin_y, 0)
        x1, y1 = min(x1 + margin_x, width), min(y1 + margin_y, height)
        window = (slice(y0, y1), slice(x0, x1))
        work += (y1 - y0) * (x1 - x0)
        phase = ((seed.origin[0] - x0) % seed.cell[0], (seed.origin[1] - y0) % seed.cell[1])
        horizontal = _evidence(across[window], seed.cell, phase[0], 1, noise)
        vertical = _evidence(down[window], seed.cell, phase[1], 0, noise)
        best = _ascend(horizontal, vertical, (rows[0] - y0, rows[1] - y0), seed.cell, phase)
        if best is None:
            return None, work
        (a, b), (c, d), score = best
        rows = (y0 + c, y0 + d)
        if not ((a == 0 < x0) or (c == 0 < y0) or (x0 + b == x1 < width) or (y0 + d == y1 < height)):
            box = (x0 + a, y0 + c, b - a, d - c)
            if score < 10 or b - a < 1.1 * seed.cell[0] or d - c < 1.1 * seed.cell[1]:
                return None, work
            return Seed(box, seed.cell, seed.origin), work
        margin_x, margin_y = (x1 - x0) // 2, (y1 - y0) // 2


def _evidence(g: Steps, cell: tuple[int, int], phase: int, axis: int, noise: float) -> NDArray[np.float32]:
    """Return each pair's log-likelihood ratio of "mosaic" to "photo", float32 of the shape of `g`.

    Steps are taken as exponentially distributed. In a photo their mean is that of the neighbourhood. In a mosaic it
    is `CONTRAST` times as much on lines, and off lines that of the neighbourhood's pairs off lines (a lossy file's
    noise is largest where the picture is busy), but clearly smaller than the neighbourhood's.
    """
    exact = noise <= NOISELESS
    size = cell[0] if axis == 1 else cell[1]
    values = g.astype(np.float32)
    lines = (slice(None), slice(phase, None, size)) if axis == 1 else (slice(phase, None, size), slice(None))
    # along lines only a few pixels: an area's border must stay sharp, and noise changes from block to block
    reach = [max(2 * v + 1, 9) if exact or i == axis else 9 for i, v in enumerate((cell[1], cell[0]))]
    around = ndimage.uniform_filter(values, size=reach, mode="nearest")
    np.maximum(around, noise, out=around)
    if exact:
        inside: Array = np.full_like(around, noise)
    else:
        off = values.copy()
        off[lines] = 0
        share = np.ones(g.shape[axis], np.float32)
        share[phase::size] = 0
        share = ndimage.uniform_filter1d(share, reach[axis], mode="nearest")
        inside = ndimage.uniform_filter(off, size=reach, mode="nearest")
        inside /= share if axis == 1 else share[:, None]
        np.maximum(np.clip(inside, 0.2 * around, 0.6 * around), noise, out=inside)
    ratio = np.log(around / inside)
    ratio -= values * ((300 if exact else 1) * (1 / inside - 1 / around))
    contrast = min(CONTRAST, 0.8 * size)
    ratio[lines] = -np.log(contrast) + values[lines] / around[lines] * (1 - 1 / contrast)
    np.clip(ratio, -300 if exact else -4, 3, out=ratio)
    ratio -= BIAS
    return np.asarray(ratio, np.float32)


def _spread(pairs: NDArray[np.float64], size: int, phase: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share each line's evidence out to the cells on both sides; return it with what is left at the pairs."""
    lines = np.zeros_like(pairs)
    lines[phase::size] = pairs[phase::size]
    total = np.cumsum(np.pad(lines, size))
    shared = (total[2 * size :] - total[: -2 * size]) / (2 * size)
    return shared, pairs - lines


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


def trim_flat(across: Steps, down: Steps, area: Seed) -> Seed:
    """Return the area without what of its surroundings is of one colour and may have been taken for equal cells.

    From each side whole strips between grid lines are taken away, as long as nothing changes along them. One
    strip that differs from its neighbour stays, unless more of the same colour lay beyond it.
    """
    (x, y, w, h), cell, origin = area.box, area.cell, area.origin
    left, right = _flat_ends(across[y : y + h], down[y : y + h], (x, x + w), cell[0], origin[0])
    top, bottom = _flat_ends(down[:, x : x + w].T, across[:, x : x + w].T, (y, y + h), cell[1], origin[1])
    return Seed((left, top, right - left, bottom - top), cell, origin)


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


def cores(across: Steps, down: Steps, tolerance: int, limit: int = 3000) -> NDArray[np.int64]:
    """Return rectangles that are nearly of one colour, with their sides on the strongest steps around.

    Int64 (n, 4) of x, y, width, height, as `exact_tiles` gives.

    For lossy files: the middle of a larger tile is smooth, and what the file's noise took from its rim lies
    within one block of the file's transform (8 pixels).
    """
    flat = _flat(across, down, tolerance)[1:-1, 1:-1]
    label, number = ndimage.label(flat)
    size = np.bincount(label.ravel(), minlength=number + 1)
    size[0] = 0
    chosen = np.flatnonzero(size >= 16)
    if len(chosen) > limit:
        chosen = chosen[np.argsort(-size[chosen], kind="stable")[:limit]]
    objects = ndimage.find_objects(label)
    found = []
    for i in chosen:
        rows, columns = objects[i - 1]
        h, w = rows.stop - rows.start, columns.stop - columns.start
        if size[i] < 0.6 * w * h or min(w, h) < 3 or max(w, h) > LARGEST:
            continue
        x0, x1 = _sides(across[rows, :], columns.start, columns.stop + 1)
        y0, y1 = _sides(down[:, columns].T, rows.start, rows.stop + 1)
        if SMALLEST <= x1 - x0 <= LARGEST and SMALLEST <= y1 - y0 <= LARGEST:
            found.append((x0, y0, x1 - x0, y1 - y0))
    return np.unique(np.array(found, np.int64).reshape(-1, 4), axis=0)


def single_seeds(tiles: NDArray[np.int64], shape: tuple[int, ...], limit: int = 150) -> list[Seed]:
    """Return the largest rectangles as seeds by themselves, with half a cell around: its lines must be in the box."""
    x, y, w, h = tiles.T
    order = np.argsort(-w * h, kind="stable")
    found = []
    for i in order[:limit]:
        if min(w[i], h[i]) < 6:
            continue
        left, top = max(x[i] - w[i] // 2, 0), max(y[i] - h[i] // 2, 0)
        right, bottom = min(x[i] + w[i] + w[i] // 2, shape[1]), min(y[i] + h[i] + h[i] // 2, shape[0])
        box = (int(left), int(top), int(right - left), int(bottom - top))
        found.append(Seed(box, (int(w[i]), int(h[i])), (int(x[i]), int(y[i]))))
    return found


def _sides(band: Steps, start: int, stop: int, reach: int = 8) -> tuple[int, int]:
    """Return where the strongest steps lie near both ends of [start, stop), from a band's steps along it."""
    length = band.shape[1]
    inside = min(2, (stop - start) // 4)
    low, high = max(start - reach, 0), min(stop + reach + 1, length)
    left = band[:, low : start + inside + 1].mean(axis=0)
    right = band[:, stop - inside : high].mean(axis=0)
    # the picture's own edges count as sides where nothing else does
    first = low + int(left.argmax()) if left.max() >= 1 else low
    last = stop - inside + int(right.argmax()) if right.size and right.max() >= 1 else high
    return first, last


def combed(across: Steps, down: Steps, side: int, limit: int) -> list[Seed]:
    """Return seeds from square windows in which combs explain the steps in both directions.

    For lossy files and small cells, where only many lines together stand out. Roots of the steps are compared, so
    that a single strong edge of the photo does not weigh more than a comb.
    """
    height, width = across.shape
    if min(height, width) < side:
        return []
    ratio_x, size_x, phase_x = _combs(_profiles(ROOTS[across], side), side)
    ratio_y, size_y, phase_y = _combs(_profiles(np.ascontiguousarray(ROOTS[down].T), side).swapaxes(0, 1), side)
    ratio = np.minimum(ratio_x, ratio_y)
    chosen = np.flatnonzero(ratio.ravel() > 0.02)
    chosen = chosen[np.argsort(-ratio.ravel()[chosen], kind="stable")]
    found, seen = [], set()
    for i in chosen:
        j, k = divmod(int(i), ratio.shape[1])
        x, y = k * (side // 2), j * (side // 2)
        cell = (int(size_x[j, k]), int(size_y[j, k]))
        origin = (x + int(phase_x[j, k]), y + int(phase_y[j, k]))
        key = (cell, origin[0] % cell[0], origin[1] % cell[1], x // (4 * side), y // (4 * side))
        if key in seen:
            continue
        seen.add(key)
        found.append(Seed((x, y, side, side), cell, origin))
        if len(found) == limit:
            break
    return found


def _profiles(g: Steps, side: int) -> NDArray[np.float32]:
    """Return the sums over the rows of each window, at half-overlapping windows: (rows, columns, side)."""
    half = side // 2
    strips = len(g) // half
    sums = g[: strips * half].reshape(strips, half, -1).sum(axis=1, dtype=np.uint32)
    sums = (sums[:-1] + sums[1:]).astype(np.float32) / (16 * 2 * half)
    return np.lib.stride_tricks.sliding_window_view(sums, side, axis=1)[:, ::half]


def _combs(
    profiles: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return each window's best comb (see `grid.comb`): ratio per pair of pixels, size, phase."""
    shape = profiles.shape[:2]
    p = np.ascontiguousarray(profiles.reshape(-1, side))
    floor = np.float32(0.3)
    everything = p.sum(axis=1)
    whole = np.log(everything / side + floor)
    best = np.full(len(p), -np.inf, np.float32)
    best_size, best_phase = np.full(len(p), SMALLEST), np.zeros(len(p), np.int64)
    for size in range(SMALLEST, 2 * side // 3 + 1):
        rows = side // size
        on = p[:, : rows * size].reshape(len(p), rows, size).sum(axis=1)
        number = np.full(size, rows, np.float32)
        rest = side - rows * size
        on[:, :rest] += p[:, rows * size :]
        number[:rest] += 1
        off = everything[:, None] - on
        share = number / side
        on_mean, off_mean = on / number + floor, off / (side - number) + floor
        ratio = whole[:, None] - share * np.log(on_mean) - (1 - share) * np.log(off_mean)
        ratio[on_mean < 1.5 * off_mean] = -np.inf
        phase = ratio.argmax(axis=1)
        value = ratio[np.arange(len(p)), phase]
        better = value > best
        best[better], best_size[better], best_phase[better] = value[better], size, phase[better]
    return best.reshape(shape), best_size.reshape(shape), best_phase.reshape(shape)


def noise_in(across: Steps, down: Steps, seed: Seed) -> float:
    """Return the mean step off the grid's lines in the seed's box, in levels."""
    x, y, w, h = seed.box
    columns = (np.arange(x, x + w) - seed.origin[0]) % seed.cell[0] != 0
    rows = (np.arange(y, y + h) - seed.origin[1]) % seed.cell[1] != 0
    box = (slice(y, y + h), slice(x, x + w))
    return float(across[box][:, columns].mean() + down[box][rows].mean()) / 2


def trim(picture: Array, area: Seed) -> Box:
    """Return the box with each of its sides where the pixels stop to be like the rest of their cell.

    Parameters
    ----------
    picture : (H, W) luminance of a lossy picture
    area : the area, up to about one cell, with its grid
    """
    (x, y, w, h), cell, origin = area.box, area.cell, area.origin
    for _ in range(2):
        before = (x, y, w, h)
        bottom = _end(picture, (x, x + w), (y, y + h), cell, origin)
        top = len(picture) - _end(
            picture[::-1],
            (x, x + w),
            (len(picture) - bottom, len(picture) - y),
            cell,
            (origin[0], (len(picture) - origin[1]) % cell[1]),
        )
        y, h = top, bottom - top
        turned = picture.T
        swapped = (cell[1], cell[0])
        right = _end(turned, (y, y + h), (x, x + w), swapped, (origin[1], origin[0]))
        left = len(turned) - _end(
            turned[::-1],
            (y, y + h),
            (len(turned) - right, len(turned) - x),
            swapped,
            (origin[1], (len(turned) - origin[0]) % cell[0]),
        )
        x, w = left, right - left
        if (x, y, w, h) == before:
            break
    return x, y, w, h


def _end(
    picture: Array, columns: tuple[int, int], rows: tuple[int, int], cell: tuple[int, int], origin: tuple[int, int]
) -> int:
    """Return where an area ends downwards, given where it about ends.

    Going down row by row, each pixel is compared with the mean of its cell so far; inside the area it differs by the
    noise, outside by the photo. Both levels are measured, a cell and more inside and outside, for each row of a cell
    by itself, because a photo also takes some rows to leave a cell's mean.
    """
    size = cell[1]
    start, about = rows
    stop = min(len(picture), about + 3 * size)
    left, right = columns
    first = left + (origin[0] - left) % cell[0]
    last = right - (right - origin[0]) % cell[0]
    if last > first:  # whole cells only: the other sides may not be exact yet
        left, right = first, last
    band = np.ascontiguousarray(picture[start:stop, left:right]).astype(np.float32)
    column = (
        np.unique(np.maximum(np.arange((left - origin[0]) // cell[0] * cell[0] + origin[0], right, cell[0]), left))
        - left
    )
    number = np.diff(column, append=right - left)
    means = np.add.reduceat(band, column, axis=1) / number
    y = np.arange(start, stop)
    lag = np.minimum((y - origin[1]) % size, y - start)
    total = np.cumsum(means, axis=0)
    begin = np.arange(len(y)) - lag
    earlier = np.where((begin > 0)[:, None], total[begin - 1], 0)
    so_far = (total - means - earlier) / np.maximum(lag, 1)[:, None]
    so_far[lag == 0] = means[lag == 0]
    difference = np.abs(band - np.repeat(so_far, number, axis=1)).mean(axis=1) + 0.2
    depth = about - start
    sure = np.arange(len(y)) < depth - max(size, 8)
    if sure.sum() < 3:
        sure = np.arange(len(y)) < max(depth // 2, 1)
    noise = float(np.median(difference[sure]))
    beyond = np.arange(len(y)) >= depth + min(size, 8)
    photo = np.full(size, max(6.0, 4 * noise))
    for k in np.unique(lag[beyond]):
        photo[k] = max(float(np.median(difference[beyond & (lag == k)])), 2.5 * noise)
    level = np.sqrt(noise * photo[lag])
    level = np.clip(level, 0.8, 8)
    score = np.clip(np.log(level / difference), -1.5, 1.5)
    score[: max(depth - 2 * size, 0)] = 1
    gain = np.cumsum(score)
    reach = max(size + size // 4, 8)  # `grow` was not wrong by more
    gain[: max(depth - reach - 1, 0)] = gain[depth + reach :] = -np.inf
    return start + 1 + int(np.argmax(gain))


def refine(picture: Array, area: Seed) -> Seed:
    """Return a lossy mosaic's area and grid, fitted anew to the means of its cells' bands, first across, then down.

    Averaged over a row of cells, a tile's noise is small: along such a band the picture is a staircase, with steps at
    the grid's lines and nowhere else. Of all cell widths and origins, and of all spans that hold most of the
    area, the most likely is taken; then the same for heights.

    Parameters
    ----------
    picture : (H, W) luminance of a lossy picture
    area : about right, with one direction's grid nearly so
    """
    for _ in range(2):
        before = area
        (x, y, w, h), (width, height), (left, top) = area.box, area.cell, area.origin
        (x, w), width, left = _staircase(picture, (x, w), (y, h), height, top, width, left)
        (y, h), height, top = _staircase(picture.T, (y, h), (x, w), width, left, height, top)
        area = Seed((x, y, w, h), (width, height), (left, top))
        if area == before:
            break
    return area


def _staircase(
    picture: Array, span: tuple[int, int], rows: tuple[int, int], band: int, first: int, size: int, origin: int
) -> tuple[tuple[int, int], int, int]:
    """Return start and length of the columns, and size and origin of their cells, that are likeliest.

    Steps of the bands' means are taken as exponentially distributed: off lines with the mean that they have there now,
    on lines with theirs, and in the photo with a mean in between, or what is measured outside.
    """
    start, length = span
    reach = max(size + size // 2, 16)
    low, high = max(start - reach, 0), min(start + length + reach, picture.shape[1])
    top, bottom = rows[0], rows[0] + rows[1]
    edges = np.unique(np.clip(np.arange(first + (top - first) // band * band, bottom, band), top, None))
    strip = picture[top:bottom, low:high].astype(np.float32)
    means = np.add.reduceat(strip, edges - top, axis=0) / np.diff(edges, append=bottom)[:, None]
    weight = np.sqrt(np.diff(edges, append=bottom)[:, None])  # a cut band's mean is noisier
    steps = (np.abs(np.diff(means, axis=1)) * weight).sum(axis=0) / weight.sum()
    place = np.arange(low + 1, high)  # step i leads into this column
    inside = (place > start) & (place < start + length)
    on = inside & ((place - origin) % size == 0)
    if not on.any() or (inside & ~on).sum() < 3:
        return span, size, origin
    noise = float(np.median(steps[inside & ~on])) + 0.1
    contrast = max(float(steps[on].mean()), 3 * noise)
    outside = (place < start) | (place > start + length)
    photo = float(np.clip(np.median(steps[outside]) if outside.sum() > 8 else 0, 2 * noise, 0.7 * contrast))
    off_score = np.clip(np.log(photo / noise) - steps * (1 / noise - 1 / photo), -6, 3)
    on_score = np.clip(np.log(photo / contrast) - steps * (1 / contrast - 1 / photo), -3, 3)
    keep = slice(int(length * 0.25), int(np.ceil(length * 0.75)))  # the middle stays in the span
    core_start, core_stop = start - low + keep.start, start - low + keep.stop
    best = (-np.inf, span, size, origin)
    for cell in range(SMALLEST, min(LARGEST, length) + 1):
        phase = np.arange(cell)[:, None]
        lines = (place[None, :] - phase) % cell == 0
        score = np.where(lines, on_score, off_score)
        total = np.cumsum(score, axis=1)
        total = np.concatenate([np.zeros((cell, 1)), total], axis=1)  # total[:, i]: up to the step into column low + i
        starts = total[:, : core_start + 1].argmin(axis=1)
        stops = core_stop - 1 + total[:, core_stop - 1 :].argmax(axis=1)
        value = np.take_along_axis(total, stops[:, None], 1)[:, 0] - np.take_along_axis(total, starts[:, None], 1)[:, 0]
        k = int(value.argmax())
        if value[k] > best[0] + 1e-6:
            begin, end = low + int(starts[k]), low + int(stops[k]) + 1
            if (lines[k] & (place > begin) & (place < end)).sum() >= 1:
                best = (float(value[k]), (begin, end - begin), cell, k)
    _, span, size, origin = best
    return span, size, origin + (span[0] - origin) // size * size


def profiles(across: Steps, down: Steps, box: Box) -> list[tuple[Array, Array]]:
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


def regrid(across: Steps, down: Steps, area: Seed) -> Seed:
    """Return the same box with the grid that explains the steps in it best."""
    (width, px, _), (height, py, _) = (comb(*p, FLOOR) for p in profiles(across, down, area.box))
    return Seed(area.box, (width, height), (area.box[0] + 1 + px, area.box[1] + 1 + py))


def support(across: Steps, down: Steps, area: Seed) -> float:
    """Return the log-likelihood ratio of a grid in its box, in nats: both directions', or 0 if one has hardly any."""
    ratios = [
        comb_ratio(*p, FLOOR, size, (o - b - 1) % size)
        for p, size, o, b in zip(profiles(across, down, area.box), area.cell, area.origin, area.box[:2], strict=True)
    ]
    return sum(ratios) if min(ratios) >= 5 else 0.0


def folded(across: Steps, down: Steps, area: Seed) -> float:
    """Return the largest mean (root of a) step at any other place in the cells, relative to that on their lines.

    The larger of both directions; near 1 where there is no grid, or one of smaller cells.
    """
    worst = 0.0
    for (total, count), size, o, b in zip(
        profiles(across, down, area.box), area.cell, area.origin, area.box[:2], strict=True
    ):
        place = (np.arange(1, len(total) + 1) + b - o) % size
        mean = np.bincount(place, total, size) / np.maximum(np.bincount(place, count, size), 1)
        worst = max(worst, float(mean[1:].max()) / max(float(mean[0]), 1e-9))
    return worst


def judge(pixels: Array, across: Steps, down: Steps, area: Seed, exact: bool) -> float:
    """Return how sure one can be that this is a pixelated part of a photo: 0 … 1, to be believed above 0.5.

    A photo's cells differ from most of their neighbours, and not as the sum of a row's and a column's value (as in
    gradients and drawn frames): the mixed difference of the four cells around a corner is not 0.

    Tiles of exactly one colour need no more, except where they lie as a JPEG file's own blocks do (coarse files of
    clean photos show such tiles) or where there are few of them. For lossy files a logistic regression weighs the
    `measurements`; `benchmarks/judging.py` fits it.
    """
    evidence = support(across, down, area)
    if not exact:
        return float(special.expit(odds(pixels, across, down, area, evidence)))
    cells = _differences(pixels, area, exact)
    if cells is None:
        return 0.0
    rows, columns, saddle = cells
    contrast = min(float(np.median(rows)), float(np.median(columns)))
    strongest = max(float(rows.max()), float(columns.max()))
    crossed = min(float((d > 0.6).mean()) for d in (rows, columns, saddle))
    if crossed < (0.6 if evidence < 200 else 0.3):
        return 0.0
    aligned = all(v % 8 == 0 for v in (*area.cell, *area.origin))
    if aligned or evidence < SURE or crossed < 0.6:
        usual = min(float(np.quantile(rows, 0.8)), float(np.quantile(columns, 0.8))) if evidence >= 200 else contrast
        if strongest < 7 or (contrast < 5 if aligned else usual < 1.5):
            return 0.0
    elif strongest < 3 or contrast < 1:
        return 0.0
    return 1 - 0.5 * float(np.exp(-evidence / 200))


def odds(pixels: Array, across: Steps, down: Steps, area: Seed, evidence: float) -> float:
    """Return the log-odds of a lossy mosaic with just this area and grid; −inf where nothing speaks for one.

    `evidence` is the area's `support`, which callers have at hand.
    """
    cells = _differences(pixels, area, exact=False) if evidence else None
    if cells is None or max(float(cells[0].max()), float(cells[1].max())) < 5:
        return -np.inf
    return float(WEIGHTS @ measurements(across, down, area, evidence, *cells))


def _differences(pixels: Array, area: Seed, exact: bool) -> tuple[Array, Array, Array] | None:
    """Return how much cells differ from the one below, the one to the right, and the mixed difference of four.

    In levels of 8 bits, of the channel that differs most; of luminance unless `exact`. None for less than 2 x 2 cells.
    """
    m = Mosaic(*area.box, Grid(*area.origin, *area.cell))
    if m.width < 1.5 * m.grid.width or m.height < 1.5 * m.grid.height or min(m.cells.counts.shape) < 2:
        return None
    box = pixels[m.box] if exact else luminance(pixels[m.box])
    values = m.cells.mean(box) / (257 if pixels.dtype == np.uint16 else 1)
    values = values.reshape(*values.shape[:2], -1)
    rows, columns = (np.abs(np.diff(values, axis=axis)).max(axis=2) for axis in (0, 1))
    saddle = np.abs(np.diff(np.diff(values, axis=0), axis=1)).max(axis=2)
    return rows, columns, saddle


def measurements(
    across: Steps, down: Steps, area: Seed, evidence: float, rows: Array, columns: Array, saddle: Array
) -> NDArray[np.float64]:
    """Return what tells a lossy mosaic from a photo: (9,), the first of them 1; see the code for each."""
    noise = noise_in(across, down, area)
    contrast = min(float(np.median(rows)), float(np.median(columns)))
    crossed = min(float((d > noise).mean()) for d in (rows, columns, saddle))
    blocks = [size % 8 == 0 and origin % 8 == 0 for size, origin in zip(area.cell, area.origin, strict=True)]
    return np.array(
        [
            1.0,
            np.log(evidence / (area.box[2] * area.box[3]) + 0.01),
            np.log(evidence + 5),
            np.log(contrast / (noise + 0.2) + 0.05),
            folded(across, down, area),
            np.log(crossed + 0.05),
            np.log(min(rows.shape[0], columns.shape[1])),  # grid lines in the direction that has fewer
            np.log(noise + 0.2),
            float(sum(blocks)),  # directions in which cells lie as a JPEG file's blocks do
        ]
    )


WEIGHTS = np.array([2.76, -0.07, 1.08, 2.27, -23.97, 8.52, 1.06, 4.54, -6.67])
"""Of the `measurements`: a logistic regression, printed by `benchmarks/judging.py`."""


def bare_ends(pixels: Array, area: Seed) -> Seed:
    """Return the area of a lossy mosaic without strips of cells at its border that do not differ along the border.

    Such a strip is a wall beside the area, or a letterbox's bar; its cells agree with the grid but do not show it.
    """
    while True:
        cells = _differences(pixels, area, exact=False)
        if cells is None:
            return area
        rows, columns, _ = cells
        (x, y, w, h), (width, height), (left, top) = area.box, area.cell, area.origin
        first_x, first_y = width - (x - left) % width, height - (y - top) % height
        last_x, last_y = (x + w - left - 1) % width + 1, (y + h - top - 1) % height + 1
        if columns[0].max() < 1:
            y, h = y + first_y, h - first_y
        elif columns[-1].max() < 1:
            h -= last_y
        elif rows[:, 0].max() < 1:
            x, w = x + first_x, w - first_x
        elif rows[:, -1].max() < 1:
            w -= last_x
        else:
            return area
        area = Seed((x, y, w, h), area.cell, area.origin)
