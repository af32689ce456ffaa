"""Whether intact tiles are the cells of a pixelated photo, not the windows of a screenshot or the blocks of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.grid import ROOTS, Steps
from deepix.finder.grid_box import Box, GridBox
from deepix.finder.jpeg_noise import SIDE
from deepix.finder.thresholds import CERTAIN_INTACT
from deepix.mosaic.boxes import grown

Array = NDArray[Any]

EQUAL = 0.6
"""The largest difference of two cells' values, in levels, that is none."""
LITTLE = 200.0
"""Evidence, in nats, that is little: below it cells must differ more; also how fast confidence grows with evidence."""
MOSTLY = 0.6
"""The least share of neighbouring cells that differ, of little evidence or without strong contrast."""
SOMETIMES = 0.3
"""The least share of neighbouring cells that differ, of much evidence."""
STRONG = 7.0
"""The least difference of the two neighbouring cells that differ most, in levels, where more is asked for."""
WEAK = 3.0
"""The same where the evidence is enough."""
ALIGNED_CONTRAST = 5.0
"""The least median difference of neighbouring cells, in levels, that lie as a JPEG file's blocks do."""
LOW_CONTRAST = 1.5
"""The same of cells that lie otherwise, where more is asked for; of much evidence their upper fifth's least one."""
LEAST_CONTRAST = 1.0
"""The same of cells that lie otherwise, where the evidence is enough."""
NO_BLOCKS = 1000.0
"""Evidence, in nats, from which on an area that lies as blocks of a JPEG file is believed."""
FEW_BLOCKS = 220.0
"""Evidence, in nats, below which an area is not believed that lies as such blocks in one direction only."""
BLOCKY = 1.2
"""The mean root of the steps at the borders of a file's blocks, in units of that elsewhere, which shows them."""
GOING_ON = 1.1
"""The same at the lines of a grid, around its cells, which are blocks that were resized: 1.15 to 2.3, and of mosaics in
photos 0.84 to 1.13 but for one."""
AROUND = 64
"""Pixels around an area where blocks are looked for."""


def judge(pixels: Array, area: GridBox, log_ratio: float, in_blocks: bool = False) -> float:
    """Return how sure one can be that this is a pixelated part of a photo: 0 … 1, to be believed above 0.5.

    A photo's cells differ from most of their neighbours, and not as the sum of a row's and a column's value (as in
    gradients and drawn frames): the mixed difference of the four cells around a corner is not 0. More is needed where
    tiles lie as a JPEG file's own blocks do (coarse files of clean photos show such tiles) or where there are few of
    them; so it is `in_blocks`, in a picture with a file's flat blocks, which may have been moved as films are.
    `log_ratio` is the evidence for the grid in this area, in nats.
    """
    cells = _differences(pixels, area)
    if cells is None:
        return 0.0
    rows, columns, saddle = cells
    contrast = min(float(np.median(rows)), float(np.median(columns)))
    strongest = max(float(rows.max()), float(columns.max()))
    differing = min(float((d > EQUAL).mean()) for d in (rows, columns, saddle))
    little = log_ratio < LITTLE
    if differing < (MOSTLY if little else SOMETIMES):
        return 0.0
    aligned = in_blocks or all(v % SIDE == 0 for v in (*area.cell, *area.origin))
    if aligned or log_ratio < CERTAIN_INTACT or differing < MOSTLY:
        usual = contrast if little else min(float(np.quantile(d, 0.8)) for d in (rows, columns))
        if strongest < STRONG or (contrast < ALIGNED_CONTRAST if aligned else usual < LOW_CONTRAST):
            return 0.0
    elif strongest < WEAK or contrast < LEAST_CONTRAST:
        return 0.0
    return 1 - 0.5 * float(np.exp(-log_ratio / LITTLE))


def of_resized_blocks(pixels: Array, across: Steps, down: Steps, area: GridBox) -> bool:
    """Whether cells are the blocks of a coarse file that was resized later: they differ little, and go on around.

    Blocks of 8 pixels become such of 4, 5, 6, 10 or 12, and flat ones stay so. Around them others are textured, at
    whose lines steps are larger, too. Flat cells around tell nothing: they may be the mosaic's own.
    """
    cells = _differences(pixels, area) if area.even else None
    if cells is None or min(float(np.median(d)) for d in cells[:2]) >= ALIGNED_CONTRAST:
        return False
    rows, columns = around = grown(area.mosaic.box, AROUND, across.shape)
    g = across[around], down[around]
    lines = [area.lines(k, s.start, s.stop) - s.start for k, s in enumerate((columns, rows))]
    inner = [g[0] > 0, g[1] > 0]
    inner[0][:, lines[0]] = False
    inner[1][lines[1]] = False
    starts = [np.union1d(0, line) for line in lines]
    steps = np.add.reduceat(np.add.reduceat(inner[0] | inner[1], starts[1], axis=0, dtype=np.int64), starts[0], axis=1)
    sizes = [np.diff(start, append=side) for start, side in zip(starts, g[0].shape[::-1], strict=True)]
    textured = (steps > 0).repeat(sizes[1], axis=0).repeat(sizes[0], axis=1)
    textured[_inner(area.box, columns.start, rows.start)] = False
    return all(
        _marked(ROOTS[steps_of], textured_of, lines[axis]) > GOING_ON
        for axis, (steps_of, textured_of) in enumerate(((g[0], textured), (g[1].T, textured.T)))
    )


def of_blocks(across: Steps, down: Steps, area: GridBox, log_ratio: float) -> bool:
    """Whether a small area lies as the blocks of a JPEG file that the picture once was, as those around show.

    Blocks that a coarse file left flat, or with one coefficient, look like cells wherever the file was moved to.
    """
    if log_ratio >= NO_BLOCKS:
        return False
    (x, y, w, h), cell, (left, top) = area.box, area.cell, area.origin
    marked = [
        _blockiness(across, (x, y, w, h), left) > BLOCKY,
        _blockiness(down.T, (y, x, h, w), top) > BLOCKY,
    ]
    whole = any(mark and size % SIDE == 0 for mark, size in zip(marked, cell, strict=True))
    return whole or all(marked) or (any(marked) and log_ratio < FEW_BLOCKS)


def _blockiness(g: Steps, box: Box, line: int) -> float:
    """Return how much larger steps (their roots) are around a box at every eighth column, `line` one of them."""
    x, y, w, h = box
    left, top = max(x - AROUND, 0), max(y - AROUND, 0)
    roots = ROOTS[g[top : y + h + AROUND, left : x + w + AROUND]]
    outside = np.ones(roots.shape, bool)
    outside[_inner(box, left, top)] = False
    return _marked(roots, outside, np.flatnonzero((np.arange(left, left + roots.shape[1]) - line) % SIDE == 0))


def _inner(box: Box, left: int, top: int) -> tuple[slice, slice]:
    """Return a box and the pixels next to it in a window that begins at (left, top)."""
    x, y, w, h = box
    return slice(max(y - top - 1, 0), y - top + h + 1), slice(max(x - left - 1, 0), x - left + w + 1)


def _marked(roots: Array, outside: NDArray[np.bool_], lines: NDArray[np.int64]) -> float:
    """Return how much larger the roots of steps are at some columns than at others, where it is `outside`."""
    other = np.ones(roots.shape[1], bool)
    other[lines] = False
    on, off = (roots[:, which][outside[:, which]].astype(np.float32) for which in (~other, other))
    return float(on.mean() / max(off.mean(), 1e-3)) if on.size and off.size else 1.0


def _differences(pixels: Array, area: GridBox) -> tuple[Array, Array, Array] | None:
    """Return how much cells differ from the one below, the one to the right, and the mixed difference of four.

    In levels of 8 bits, of the channel that differs most. None for less than 2 x 2 cells.
    """
    m = area.mosaic
    if m.width < 1.5 * m.grid.width or m.height < 1.5 * m.grid.height or min(m.cells.counts.shape) < 2:
        return None
    values = m.cells.mean(pixels[m.box]) / (257 if pixels.dtype == np.uint16 else 1)
    values = values.reshape(*values.shape[:2], -1)
    rows, columns = (np.abs(np.diff(values, axis=axis)).max(axis=2) for axis in (0, 1))
    saddle = np.abs(np.diff(np.diff(values, axis=0), axis=1)).max(axis=2)
    return rows, columns, saddle
