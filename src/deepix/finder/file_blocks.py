"""The blocks of a file that a picture once was, a JPEG or a frame of a film, taken for cells.

A coarse file leaves blocks of 8 x 8 pixels flat. Some of them, side by side, look like intact cells of a mosaic that
begins where blocks do. Its surroundings tell: there the borders of blocks show as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.candidates import LARGEST_BLOCK
from deepix.finder.geometry import covered
from deepix.finder.jpeg_noise import SIDE
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import grown

Array = NDArray[Any]

OFF = 0.5
"""How far, in pixels, cells and their lines may be from blocks and their borders."""
AROUND = 64
"""Pixels around an area where borders of blocks are looked for."""
MARKED = 1.15
"""The mean root of the steps across these borders, in units of that elsewhere, which shows them."""


def are_blocks(plane: NDArray[np.float32], m: Mosaic, others: Sequence[Mosaic] = ()) -> bool:
    """Whether a mosaic's cells are blocks of a file, as those around it show; not if nothing is around it.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    m : a mosaic in it
    others : around it, whose lines say nothing of blocks
    """
    g = m.grid
    if abs(min(g.width, g.height) - SIDE) > OFF or max(g.width, g.height) > LARGEST_BLOCK + OFF:
        return False  # flat blocks side by side may be taken for one cell
    if any(abs((v + SIDE / 2) % SIDE - SIDE / 2) > OFF for v in (g.width, g.x, g.height, g.y)):
        return False
    box = grown(m.box, AROUND, plane.shape)
    outside = np.ones(plane[box].shape, bool)
    inner = grown(m.box, 1, plane.shape)
    outside[tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(inner, box, strict=True))] = False
    outside &= ~covered(others, outside.shape, box[1].start, box[0].start)
    return all(_marked(plane[box], outside, axis, box[axis].start) for axis in (0, 1))


def _marked(p: Array, outside: NDArray[np.bool_], axis: int, start: int) -> bool:
    """Whether steps along an axis are larger where blocks end than elsewhere, in what is outside."""
    roots = np.sqrt(np.abs(np.diff(p, axis=axis)))
    pairs = np.delete(outside, 0, axis=axis)
    total, number = ((v * pairs).sum(axis=1 - axis) for v in (roots, np.ones_like(roots)))
    line = (start + 1 + np.arange(len(total))) % SIDE == 0
    if not number[line].sum() or not number[~line].sum():
        return False
    on, off = (float(total[v].sum() / number[v].sum()) for v in (line, ~line))
    return on > MARKED * max(off, 1e-3)
