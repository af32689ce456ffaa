"""Nearly intact rectangles that go on beside a mosaic which hides a corner of them.

Where a later mosaic lies over a part of an earlier one, what can be seen of that is no rectangle: of its arms the
search for rectangles finds one. With the later mosaic's pixels left out of the evidence, neither for nor against, the
earlier one is a rectangle again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepix.finder import areas
from deepix.finder.candidates import Candidate
from deepix.finder.geometry import covered, overlapping, same_grid, whole_pixels, without
from deepix.finder.jpeg_noise import SIDE
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.thresholds import SURE, WEAK_EVIDENCE
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown

BESIDE = 3
"""Pixels between two mosaics, at most, of which one may lie over the other."""
AROUND = 2
"""Cells around both that are looked at."""
COMMON = 0.1
"""The largest share of a rectangle that it has in common with what is beside it."""
KEPT = 0.95
"""The least share of a rectangle that lies in what it grows to, or under the other mosaic."""


def uncovered(
    plane: NDArray[np.float32], quality: int, found: Sequence[Candidate], others: Sequence[Candidate]
) -> list[Candidate]:
    """Return nearly intact rectangles, those beside another mosaic grown to what that leaves to be seen of them.

    Parameters
    ----------
    plane : luminance of the picture, (H, W)
    quality : that its file was saved with
    found : nearly intact rectangles
    others : what else may be in the picture
    """
    sure = [o for o in (*found, *others) if o.mosaic.confidence >= SURE]
    return [_grown(plane, quality, c, sure) or c for c in found]


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
