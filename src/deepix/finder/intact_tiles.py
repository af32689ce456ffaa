"""Mosaics of tiles of exactly one colour, in pictures from lossless files.

1. *Proposal.* `exact_tiles` finds single rectangles of one colour; those that continue each other on one grid make
   a proposal, and those whose sizes differ by a pixel as a program's rounding has it (`uneven_tiles`).
2. *Area.* `tile_growth.grow` finds the rectangle around a proposal that its grid explains best.
3. *Judgement.* `intact_judgement` looks at the cells themselves and says how sure one can be that these are the cells
   of a pixelated photo, not the windows of a screenshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder import overlaid_tiles, uneven_tiles
from deepix.finder.candidates import Candidate
from deepix.finder.fast_filters import connected
from deepix.finder.grid import LARGEST, SMALLEST, Steps, steps
from deepix.finder.grid_box import GridBox, inside_one
from deepix.finder.intact_judgement import judge, of_blocks, of_resized_blocks
from deepix.finder.jpeg_noise import SIDE
from deepix.finder.stripes import in_stripes
from deepix.finder.thresholds import CERTAIN_INTACT
from deepix.finder.tile_growth import grow, steps_within, support, trim_flat
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]

WHOLE = 3
"""The least number of isolated tiles of the cell's size in an area: clean pictures have pairs of equal ones by
chance."""
FEW = 3.5
"""Cells' heights, or widths, in which there are few lines that tell them."""
MANY = 6
"""The least number of square tiles side by side on one grid, each of several cells of a finer one, that are no
accident."""
TIE = 1.0
"""How much more evidence, in nats, cells that are not square need."""
MUCH = 2000.0
"""Evidence, in nats, from which on fewer than `WHOLE` isolated tiles are enough: cells may equal their neighbours."""
FAILED = 60
"""Proposals in a row that lead to nothing, after which no more are tried; they are sorted by size. In training photos
at most 8 lay before one that did lead to a mosaic; large ones have hundreds of pairs of equal tiles by chance."""
LIMIT = 300
"""Proposals, at most, of one picture."""
AMONG_BLOCKS = 600.0
"""Evidence, in nats, below which an area is not believed in a picture with a file's flat blocks."""
STRIP = 2.5
"""The least number of cells across an area of cells as large as these, or smaller, that is believed there."""
FLAT_BLOCKS = 20
"""The least number of tiles, outside of all rectangles, that are blocks of a file: by chance one in thousands lies as
these do, one in hundreds as blocks that were reduced to half their size."""


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
    found: list[tuple[float, GridBox]] = []
    failed = 0
    for proposal in (*uneven_tiles.proposals(tiles), *proposals(tiles)):
        if failed >= FAILED:
            break
        square = proposal.cell[0] == proposal.cell[1] and _held(tiles, proposal) >= MANY
        if inside_one(proposal, done) or (not square and _of_cells(proposal, sure)):
            continue
        failed += 1
        fit = grow(across, down, proposal)
        if fit is None:
            continue
        done.append(fit)
        fit = trim_flat(across, down, fit)
        fit = _squared(across, down, fit) if fit.even else uneven_tiles.natural(fit)
        log_ratio = support(across, down, fit)
        confidence = judge(pixels, fit, log_ratio)
        if confidence <= 0.5 or (log_ratio < MUCH and _held(tiles, fit) < WHOLE):
            continue
        if not (of_blocks(across, down, fit, log_ratio) or of_resized_blocks(pixels, across, down, fit)):
            m = Mosaic(*fit.box, Grid(*fit.origin, *fit.cell), confidence=confidence)
            result.append(Candidate.of_intact_tiles(log_ratio, m))
            failed = 0
            found.append((log_ratio, fit))
            if log_ratio >= CERTAIN_INTACT:
                sure.append(fit)
    for side in (SIDE, SIDE // 2):
        if _flat_blocks(tiles, result, side) >= FLAT_BLOCKS:
            kept = [k for k, (value, fit) in enumerate(found) if _stands_among_blocks(pixels, fit, value, side)]
            result, found = [result[k] for k in kept], [found[k] for k in kept]
    return result + overlaid_tiles.candidates(pixels, across, down, found)


def _stands_among_blocks(pixels: Array, area: GridBox, log_ratio: float, side: int) -> bool:
    """Whether an area is believed in a picture with flat blocks, of so many pixels, of a file that it once was.

    Films move their blocks, also by parts of a pixel: 7 of their 8 pixels are then alike, or 5 of 8.
    """
    if side == SIDE:
        strip = min(s / c for s, c in zip(area.box[2:], area.cell, strict=True)) < STRIP
        if log_ratio < AMONG_BLOCKS or (strip and max(area.cell) <= SIDE):
            return False
    return judge(pixels, area, log_ratio, in_blocks=side == SIDE or _lies_on_blocks(area, side)) > 0.5


def _lies_on_blocks(area: GridBox, side: int) -> bool:
    """Whether an area's cells are one or two blocks of a file wide and high, and lie as these do."""
    return area.even and max(area.cell) <= 2 * side and all(v % side == 0 for v in (*area.cell, *area.origin))


def _flat_blocks(tiles: NDArray[np.int64], found: Sequence[Candidate], side: int) -> int:
    """Return how many tiles are one or several whole blocks of a file, of so many pixels, outside of what was found.

    A picture that was reduced to half its size has such of 4 x 4 pixels.
    """
    blocks = tiles[(tiles % side == 0).all(axis=1)]
    x, y = (blocks[:, axis] + blocks[:, axis + 2] // 2 for axis in (0, 1))
    outside = np.ones(len(blocks), bool)
    for m in (c.mosaic for c in found):
        outside &= (x < m.x) | (x >= m.x + m.width) | (y < m.y) | (y >= m.y + m.height)
    return int(np.count_nonzero(outside))


def _squared(across: Steps, down: Steps, area: GridBox) -> GridBox:
    """Return an area with square cells where these explain its few lines in one direction as well.

    Rows of cells that are cut on one side or the other have fewer lines than tell their height.
    """
    best = support(across, down, area), area
    most = steps_within(across, down, area)
    for axis in (0, 1):
        start, side, other = area.box[axis], area.box[axis + 2], area.cell[1 - axis]
        lines = area.lines(axis, start, start + side + 1)
        if area.cell[axis] >= other or side >= FEW * other or {start, start + side} <= set(lines.tolist()):
            continue
        for line in lines:
            origin = (int(line), area.origin[1]) if axis == 0 else (area.origin[0], int(line))
            square = replace(area, cell=(other, other), origin=origin)
            if steps_within(across, down, square) <= most:
                best = max(best, (support(across, down, square) + TIE, square), key=lambda b: b[0])
    return best[1]


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
    if not other.even:
        lines = {*other.lines(axis, start, stop + 1).tolist(), first, last}
        return start in lines and stop in lines
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
    x, y, width, height = area.box
    on_grid = np.ones(len(tiles), bool)
    for axis, (start, stop) in enumerate(((x, x + width), (y, y + height))):
        lines = area.lines(axis, start, stop + 1)
        if len(lines) < 2:
            return 0
        place = np.minimum(np.searchsorted(lines, tiles[:, axis]), len(lines) - 2)
        on_grid &= (lines[place] == tiles[:, axis]) & (np.diff(lines)[place] == tiles[:, axis + 2])
    return int(np.count_nonzero(on_grid))
