"""Pieces of one mosaic in a lossy file that words across it have cut apart: joined again, what was drawn is foreign.

Two rectangles on one grid, one above the other or side by side, with at most a few cells between them. If most pixels
of each of these cells are of one colour, and the others of another, something was drawn over cells: a photo's pixels
between two mosaics vary more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepix.finder.candidates import Candidate, merged
from deepix.finder.fast_filters import dilated
from deepix.finder.geometry import same_grid, whole_pixels
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box

APART = 4.0
"""The largest distance between two pieces, in cells."""
ENDS = 0.25
"""How far apart, in cells, their ends may be, where words do not cut them."""
CUT = 0.9
"""The same at one of both sides, where words may have cut a piece."""
SAME = 9.0
"""How far, in levels, a pixel is at most from the median of its cell that is of the cell's colour."""
ALIKE = 0.4
"""The least share of such pixels in a cell that can be seen."""
MOST = 0.7
"""The least share of cells between two pieces that can be seen."""
LITTLE = 0.1
"""The share of the pieces' evidence below which that for cells between them comes of what was drawn."""
DRAWN = 0.03
"""The least share of pixels between two pieces that are of other colours."""


def joined(plane: NDArray[np.float32], found: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates, those that are pieces of one mosaic as one.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    found : that do not overlap
    """

    def one(a: Candidate, b: Candidate, every: Sequence[Candidate]) -> Candidate | None:
        whole = _one(plane, a, b)
        others = [c for c in every if c not in (a, b)]
        free = whole is not None and all(_is_inside(c, whole) or _is_free(whole.mosaic, [c]) for c in others)
        return whole if free else None

    whole = merged(found, one)
    return [c for c in whole if not any(o is not c and o.foreign is not None and _is_inside(c, o) for o in whole)]


def _is_inside(c: Candidate, whole: Candidate) -> bool:
    """Whether a candidate is a piece of a joined rectangle: in it, and on its grid or hardly evident."""
    m, box = c.mosaic, whole.mosaic.box
    inside = all(o.start <= s.start and s.stop <= o.stop for s, o in zip(m.box, box, strict=True))
    small = c.log_ratio < LITTLE * whole.log_ratio
    return inside and (small or (whole_pixels(m) and same_grid(m, whole.mosaic)))


def _one(plane: NDArray[np.float32], a: Candidate, b: Candidate) -> Candidate | None:
    """Return the mosaic that two candidates are pieces of, with what was drawn over it as foreign; None if of none."""
    m, n = a.mosaic, b.mosaic
    if a.intact or b.intact or m.mask is not None or n.mask is not None:
        return None
    if not (whole_pixels(m) and same_grid(m, n)):
        return None
    axis, gap = _between(m, n)
    if gap is None:
        return None
    larger = m if m.width * m.height >= n.width * n.height else n
    rows, columns = (
        slice(min(p.start, q.start), max(p.stop, q.stop)) if k == axis else r
        for k, (p, q, r) in enumerate(zip(m.box, n.box, larger.box, strict=True))
    )
    box = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
    lines = (m.grid.y, m.grid.height) if axis == 0 else (m.grid.x, m.grid.width)
    gap = _whole_cells(gap, box[axis], *lines)
    part: Box = (gap, columns) if axis == 0 else (rows, gap)
    width, height = columns.stop - columns.start, rows.stop - rows.start
    whole = Mosaic(columns.start, rows.start, width, height, m.grid, confidence=min(m.confidence, n.confidence))
    off = _drawn_over(plane, _part(whole, part))
    if off is None:
        return None
    foreign = np.zeros(plane.shape, bool)
    foreign[part] = off
    for c in (a, b):
        if c.foreign is not None:
            foreign[c.mosaic.box] |= c.foreign
    joint = replace(a, mosaic=whole, log_ratio=a.log_ratio + b.log_ratio, score=a.score + b.score)
    return replace(joint, foreign=foreign[box])


def _part(m: Mosaic, box: Box) -> Mosaic:
    """Return a part of a rectangle."""
    (rows, columns), width = box, box[1].stop - box[1].start
    return replace(m, x=columns.start, y=rows.start, width=width, height=rows.stop - rows.start)


def _between(m: Mosaic, n: Mosaic) -> tuple[int, slice | None]:
    """Return the axis along which one rectangle follows the other, and what lies between; None: nothing that small."""
    for axis, size, other in ((0, m.grid.height, m.grid.width), (1, m.grid.width, m.grid.height)):
        (a, b), (c, d) = ((box[axis], box[1 - axis]) for box in (m.box, n.box))
        apart = sorted((abs(b.start - d.start), abs(b.stop - d.stop)))
        if apart[0] > ENDS * other or apart[1] > CUT * other:
            continue
        gap = slice(min(a.stop, c.stop), max(a.start, c.start))
        if 0 < gap.stop - gap.start <= APART * size:
            return axis, gap
    return 0, None


def _whole_cells(gap: slice, all_of: slice, origin: float, size: float) -> slice:
    """Return a part of the rows or columns of a mosaic, grown to the lines of its grid: cells are seen beside words."""
    start = int(origin + (gap.start - origin) // size * size)
    stop = int(origin - (origin - gap.stop) // size * size)
    return slice(max(start, all_of.start), min(stop, all_of.stop))


def _drawn_over(plane: NDArray[np.float32], m: Mosaic) -> NDArray[np.bool_] | None:
    """Return which pixels of a mosaic's box were drawn over its cells, (H, W); None if they are no cells."""
    pixels, cells = plane[m.box], m.cells
    labels = cells.row_index[:, None] * cells.counts.shape[1] + cells.column_index
    order = np.lexsort((pixels.ravel(), labels.ravel()))
    number = np.bincount(labels.ravel())
    middle = np.cumsum(number) - number + number // 2
    median = pixels.ravel()[order][middle]
    off = np.abs(pixels - median[labels]) > SAME
    seen = np.bincount(labels.ravel(), ~off.ravel()) >= ALIKE * number
    if seen.mean() < MOST or off.mean() < DRAWN:
        return None
    return dilated(off | ~seen[labels], 1)


def _is_free(m: Mosaic, others: Sequence[Candidate]) -> bool:
    """Whether no other mosaic lies in a rectangle."""
    return not any(
        m.x < o.x + o.width and o.x < m.x + m.width and m.y < o.y + o.height and o.y < m.y + m.height
        for o in (c.mosaic for c in others)
    )
