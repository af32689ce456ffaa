"""How well a mosaic can be seen: whether pixelating changed anything, and whether its grid is left."""

from __future__ import annotations

import numpy as np

from deepix.mosaic import Mosaic
from deepix.training.data.pixels import Array, Bytes, luma

FAINT = 0.5
"""Levels: steps much smaller than this do not count in `Placed.contrast`."""


def visible(before: Bytes, after: Bytes, m: Mosaic, least: float, every_line: bool) -> bool:
    """Return whether the mosaic can be seen: pixelating changed pixels, and its tiles differ.

    Parameters
    ----------
    before, after : the area's box, uint8 (height, width) or (height, width, 3)
    m : the mosaic
    least : mean change of luminance that counts as seen, in levels: of pixels by pixelating, and across grid lines
    every_line : the change must be seen along each of the area's four sides (the outermost pixel of each row and
        column), and across each grid line that is at least one cell long; else only in the mean over all
    """
    luminance = luma(before), luma(after)
    change, area = np.abs(luminance[1] - luminance[0]), m.area
    across = _line_changes(luminance[1], area, m.cells.column_index, m.grid.height)
    down = _line_changes(luminance[1].T, area.T, m.cells.row_index, m.grid.width)
    if not across.size or not down.size:
        return False
    if not every_line:
        return bool(min(change[area].mean(), across.mean(), down.mean()) >= least)
    for flipped in (slice(None), slice(None, None, -1)):
        rows, columns = area[flipped].argmax(axis=0), area[:, flipped].argmax(axis=1)
        ends = (
            change[flipped][rows, np.arange(m.width)][area.any(axis=0)],
            change[:, flipped][np.arange(m.height), columns][area.any(axis=1)],
        )
        if min(end.mean() for end in ends) < least:
            return False
    return bool(min(across.min(), down.min()) >= least)


def contrast(box: Bytes, m: Mosaic) -> float:
    """Return how well the mosaic's grid can be seen in the area's box: see `Placed.contrast`."""
    luminance = luma(box)
    on, off = [], []
    for values, area, index in (
        (luminance, m.area, m.cells.column_index),
        (luminance.T, m.area.T, m.cells.row_index),
    ):
        inside = area[:, 1:] & area[:, :-1]
        changes, line = np.abs(np.diff(values, axis=1)), np.diff(index) > 0
        on.append(changes[:, line][inside[:, line]])
        off.append(changes[:, ~line][inside[:, ~line]])
    lines, elsewhere = np.concatenate(on), np.concatenate(off)
    if not lines.size or not elsewhere.size:
        return 1.0
    return float((lines.mean() + FAINT) / (elsewhere.mean() + FAINT))


def _line_changes(luminance: Array, area: Array, index: Array, length: float) -> Array:
    """Return the mean step across each grid line between columns that is at least `length` pixels long."""
    at = np.flatnonzero(np.diff(index))
    inside = area[:, at] & area[:, at + 1]
    total = (np.abs(luminance[:, at + 1] - luminance[:, at]) * inside).sum(axis=0)
    counts = inside.sum(axis=0)
    long = counts >= length
    result: Array = total[long] / counts[long]
    return result
