"""What was drawn over and around the mosaics that were found: their foreign pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.candidates import Candidate, merged
from deepix.finder.captions import captioned
from deepix.finder.cell_colours import View
from deepix.finder.fast_filters import dilated
from deepix.finder.frames import framed
from deepix.finder.geometry import bounds, same_grid, whole_pixels, without
from deepix.mosaic import Mosaic, unknown
from deepix.mosaic.boxes import grown

Mask = NDArray[np.bool_]

BETWEEN = 0.5
"""The least share of what lies between two pieces of one mosaic that was drawn."""


def with_overlays(found: Sequence[Candidate], pixels: NDArray[Any]) -> list[Mosaic]:
    """Return the mosaics of candidates that do not overlap, with what was drawn over or around them as foreign.

    Parameters
    ----------
    found : what is reported
    pixels : the picture, (H, W) or (H, W, C)
    """
    mosaics = [c.mosaic for c in found]
    foreign, own = np.zeros(pixels.shape[:2], bool), np.zeros(pixels.shape[:2], bool)
    for k, c in enumerate(found):
        others = mosaics[:k] + mosaics[k + 1 :]
        view = View.of(pixels, c.mosaic)
        frame = framed(pixels, c.mosaic, view)
        inside = None if frame is None else without(frame[0], others, 1.0)
        if frame is not None and inside is not None:
            mosaics[k], view = inside, View.of(pixels, inside)
            foreign |= frame[1]
        written = captioned(view, unknown(others, pixels.shape), foreign)
        if written is not None:
            mosaics[k] = written[0]
            foreign |= written[1]
        covers = unknown([mosaics[k]], pixels.shape)
        if written is None and c.foreign is not None:
            foreign[c.mosaic.box] |= c.foreign
            covers[c.mosaic.box] &= ~c.foreign
        own |= covers
    foreign &= ~own
    if not foreign.any():
        return mosaics
    return [m.with_foreign(foreign) for m in _joined(mosaics, foreign)]


def _joined(mosaics: Sequence[Mosaic], foreign: Mask) -> list[Mosaic]:
    """Return mosaics, those on one grid as one that touch, or that only what was drawn between them holds apart."""
    return sorted(merged(mosaics, lambda a, b, _: _one(a, b, foreign)), key=lambda m: (m.y, m.x))


def _one(a: Mosaic, b: Mosaic, foreign: Mask) -> Mosaic | None:
    """Return two pieces of one mosaic as one; None if they are two mosaics."""
    if not (whole_pixels(a) and whole_pixels(b) and same_grid(a, b)):
        return None
    area = unknown([a, b], foreign.shape)
    box = grown(bounds(area), 1, foreign.shape)
    ours, theirs = (unknown([m], foreign.shape)[box] for m in (a, b))
    if not (dilated(ours, 1) & theirs).any() and not _is_drawn_between(a, b, foreign):
        return None
    whole = Mosaic.from_mask(area, a.grid, max(a.confidence, b.confidence))
    return replace(whole, cell_value=a.cell_value)


def _is_drawn_between(a: Mosaic, b: Mosaic, foreign: Mask) -> bool:
    """Whether one mosaic follows the other, as far across, and most of what lies between them was drawn."""
    for axis, across in ((0, (1, a.grid.width)), (1, (0, a.grid.height))):
        p, q = (m.box[across[0]] for m in (a, b))
        if max(abs(p.start - q.start), abs(p.stop - q.stop)) >= across[1]:
            continue
        (first, second), gap = sorted((m.box[axis] for m in (a, b)), key=lambda s: s.start), [p, p]
        gap[axis] = slice(first.stop, second.start)
        between = foreign[gap[0], gap[1]]
        if between.size and between.mean() >= BETWEEN:
            return True
    return False
