"""What was drawn over and around the mosaics that were found: their foreign pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.candidates import Candidate
from deepix.finder.captions import captioned
from deepix.finder.cell_colours import View
from deepix.finder.frames import framed
from deepix.finder.geometry import without
from deepix.mosaic import Mosaic, unknown


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
    return [m.with_foreign(foreign) for m in mosaics] if foreign.any() else mosaics
