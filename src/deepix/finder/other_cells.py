"""Cells of one colour that are no upright rectangles: of turned grids, hexagons, the cells of random points (crystals).

Deepix finds and restores none of these; that they are there is worth saying, as any grid that is fitted to them is
wrong. In lossless files they are plain to see: parts of exactly one colour side by side, about equal in size, of many
colours, and not rectangular.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder.fast_filters import dilated
from deepix.finder.geometry import bounds
from deepix.finder.grid import steps
from deepix.mosaic.boxes import Box

Array = NDArray[Any]

LEAST = 5
"""The least number of pixels of a cell that are like all four neighbours."""
GAP = 2
"""Pixels around these up to which cells are side by side: they are two pixels apart."""
CELLS = 16
"""The least number of cells."""
ALIKE = 4.0
"""How many times as large as usual cells are at most, or as small."""
MOSTLY = 0.7
"""The least share of what is of one colour that such cells have, and of cells that have a colour of their own."""
MANY = 40
"""Colours that are enough however many cells there are: in gray there are not many more."""
GROUND = 0.25
"""The least share of what is of one colour that a single part has which is no cell, but the ground beside them."""
DENSE = 0.45
"""The least share of the area that the pixels of cells like all their neighbours have: of cells of 7 x 7 it is 0.51."""
UPRIGHT = 0.93
"""The usual share of its box that a cell fills from which on it is a rectangle, perhaps an unevenly cut one."""


def other_cells(pixels: Array) -> Box | None:
    """Return rows and columns of the cells of a picture that are no upright rectangles; None if there are none.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16, out of a lossless file
    """
    across, down = (step == 0 for step in steps(pixels, lossy=False))
    inner = across & down
    inner[:, :-1] &= across[:, 1:]
    inner[:-1] &= down[1:]
    labels, number = ndimage.label(inner)
    if number < CELLS:
        return None
    size = np.bincount(labels.ravel())
    size[0] = 0
    groups, _ = ndimage.label(dilated((size >= LEAST)[labels], GAP))
    first = np.zeros(number + 1, np.int64)
    first[labels.ravel()[::-1]] = np.arange(labels.size)[::-1]  # where each part begins: the last that is written
    group = np.where(size >= LEAST, groups.ravel()[first], 0)
    group[0] = 0
    counts = np.bincount(group)
    counts[0] = 0
    parts = np.flatnonzero(group == int(counts.argmax()))
    cells = parts[size[parts] < GROUND * size[parts].sum()]
    if len(cells) < CELLS or not counts.any() or not _are_cells(pixels, size[cells], first[cells]):
        return None
    area = dilated(np.isin(labels, cells), GAP)
    if size[cells].sum() < DENSE * np.count_nonzero(area):
        return None
    boxes = ndimage.find_objects(labels)
    filled = [size[k] / np.prod([s.stop - s.start for s in boxes[k - 1]]) for k in cells]
    return bounds(area) if np.median(filled) < UPRIGHT else None


def _are_cells(pixels: Array, size: Array, first: Array) -> bool:
    """Whether parts of one colour, of these sizes and first pixels, are about equal in size and differ in colour."""
    order = np.argsort(size)
    total = np.cumsum(size[order])
    usual = size[order][int(np.searchsorted(total, total[-1] / 2))]
    alike = (size * ALIKE >= usual) & (size <= ALIKE * usual)
    colours = np.unique(pixels.reshape(-1, *pixels.shape[2:])[first[alike]], axis=0)
    enough = np.count_nonzero(alike) >= CELLS and len(colours) >= min(MOSTLY * np.count_nonzero(alike), MANY)
    return bool(enough and size[alike].sum() >= MOSTLY * total[-1])
