"""Mosaics of which a later one hides a part: what can be seen of them is no rectangle, and rectangles are found of it.

Of nearly intact tiles the search finds one arm. With the later mosaic's pixels left out of the evidence, neither for
nor against, the earlier one is a rectangle again. Of intact tiles it may find pieces on either side, which are one
mosaic if all that is between them but for the later one is cells of their grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepix.finder import areas
from deepix.finder.candidates import Candidate, merged
from deepix.finder.geometry import covered, overlapping, same_grid, size, whole_pixels, without
from deepix.finder.jpeg_noise import SIDE
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.thresholds import MAP_PIXELATED, SURE, WEAK_EVIDENCE
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown

BESIDE = 3
"""Pixels between two mosaics, at most, of which one may lie over the other."""
ONE_COLOUR = 0.01
"""Levels that rounding may make of equal pixels' luminance."""
AROUND = 2
"""Cells around both that are looked at."""
COMMON = 0.1
"""The largest share of a rectangle that it has in common with what is beside it."""
KEPT = 0.95
"""The least share of a rectangle that lies in what it grows to, or under the other mosaic."""


def uncovered(
    plane: NDArray[np.float32],
    quality: int,
    found: Sequence[Candidate],
    others: Sequence[Candidate],
    pixelated: NDArray[np.float32],
    stride: int,
) -> list[Candidate]:
    """Return nearly intact rectangles, those beside another mosaic grown to what that leaves to be seen of them.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    quality : that its file was saved with
    found : nearly intact rectangles
    others : what else may be in the picture
    pixelated : the locator's map, of one place for `stride` pixels each way, which shows what they grow to
    """
    sure = [o for o in (*found, *others) if o.mosaic.confidence >= SURE]
    result = []
    for c in found:
        more = _grown(plane, quality, c, sure)
        result.append(c if more is None or not _is_shown(c.mosaic, more.mosaic, pixelated, stride) else more)
    return result


def _is_shown(m: Mosaic, more: Mosaic, pixelated: NDArray[np.float32], stride: int) -> bool:
    """Whether the map shows what a mosaic has grown by."""
    y, x = np.nonzero(more.area & ~covered([m], more.area.shape, more.x, more.y))
    return bool(y.size and pixelated[(y + more.y) // stride, (x + more.x) // stride].mean() > MAP_PIXELATED)


def rejoined(plane: NDArray[np.float32], found: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates, pieces of intact tiles on one grid as one, where other mosaics are all that is between them.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    found : that hold their place
    """
    return merged(found, lambda a, b, every: _one(plane, a, b, every))


def _one(plane: NDArray[np.float32], a: Candidate, b: Candidate, found: Sequence[Candidate]) -> Candidate | None:
    """Return the mosaic that two candidates of intact tiles are pieces of; None if they are of none."""
    m, n = a.mosaic, b.mosaic
    if not (a.intact and b.intact and whole_pixels(m) and same_grid(m, n)):
        return None
    x, y = min(m.x, n.x), min(m.y, n.y)
    width, height = max(m.x + m.width, n.x + n.width) - x, max(m.y + m.height, n.y + n.height) - y
    whole = Mosaic(x, y, width, height, m.grid, confidence=max(m.confidence, n.confidence))
    over = [o.mosaic for o in found if o not in (a, b) and overlapping(whole, o.mosaic)]
    left = without(whole, over, 1.0) if over and not any(same_grid(m, o) for o in over) else None
    if left is None or size(left) <= size(m) + size(n) or not _is_flat(plane, left):
        return None
    return replace(a, mosaic=left, log_ratio=a.log_ratio + b.log_ratio, score=a.score + b.score, foreign=None)


def _is_flat(plane: NDArray[np.float32], m: Mosaic) -> bool:
    """Whether each cell is of one colour."""
    pixels, cells = plane[m.box], m.cells
    return bool(np.abs(pixels - cells.spread(cells.mean(pixels)))[m.area].max() < ONE_COLOUR)


def _grown(plane: NDArray[np.float32], quality: int, c: Candidate, others: Sequence[Candidate]) -> Candidate | None:
    """Return what a rectangle grows to beside the best mosaic there; None if it does not."""
    m = c.mosaic
    if m.mask is not None or not whole_pixels(m):
        return None
    beside = [o for o in others if o is not c and not same_grid(o.mosaic, m) and _touch(m, o.mosaic)]
    if not beside:
        return None
    over = max(beside, key=lambda o: o.score).mosaic
    rows, columns = _window([m, over], plane.shape)
    likelihood = LikelihoodMaps.of(plane[rows, columns], quality)
    seen = ~covered([over], likelihood.gain.shape, columns.start, rows.start)
    likelihood = replace(likelihood, weight=likelihood.weight * seen, gain=likelihood.gain * seen)
    grid = m.grid.moved(-columns.start, -rows.start)
    area = areas.rectangle(likelihood, grid, (m.x - columns.start, m.y - rows.start, m.width, m.height))
    if area.log_ratio < c.log_ratio + WEAK_EVIDENCE:
        return None
    x, y, w, h = (int(v) for v in area.box)
    whole = Mosaic(x + columns.start, y + rows.start, w, h, m.grid, confidence=m.confidence)
    if overlapping(whole, m) < KEPT * m.width * m.height:
        return None
    left = without(whole, [over], 1.0)
    return None if left is None else replace(c, mosaic=left, log_ratio=area.log_ratio, score=area.log_ratio)


def _touch(m: Mosaic, other: Mosaic) -> bool:
    """Whether a mosaic lies right beside another one."""
    near = replace(m, x=m.x - BESIDE, y=m.y - BESIDE, width=m.width + 2 * BESIDE, height=m.height + 2 * BESIDE)
    return overlapping(near, other) > 0 and overlapping(m, other) <= COMMON * m.width * m.height


def _window(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Box:
    """Return the part of a picture with some mosaics and what is around them; it begins where a JPEG's blocks do."""
    x, y = min(m.x for m in mosaics), min(m.y for m in mosaics)
    right, bottom = max(m.x + m.width for m in mosaics), max(m.y + m.height for m in mosaics)
    around = int(AROUND * max(max(m.grid.width, m.grid.height) for m in mosaics))
    rows, columns = grown((slice(y, bottom), slice(x, right)), around, shape)
    return slice(rows.start // SIDE * SIDE, rows.stop), slice(columns.start // SIDE * SIDE, columns.stop)
