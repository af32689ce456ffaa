"""How well a picture and its mosaics agree: measured, not assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepix.mosaic.blended import BlendedCells
from deepix.mosaic.cells import Array
from deepix.mosaic.integers import Rounding, in_type, rounded_means
from deepix.mosaic.shown import shown
from deepix.mosaic.types import Mosaic


def consistency(restored: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> float:
    """Return the largest difference that re-pixelating the restoration leaves to the input's cells.

    0 says that the restoration pixelates to the input, exactly: what `quantize` reaches in every intact mosaic whose
    pixels each lie in one cell. In blended grids it only rounds pixels, and cells agree to 1 level, as those that show
    means of light do.

    Parameters
    ----------
    restored, pixelated : (H, W) or (H, W, C), of one shape and unit
    mosaics : in them
    rounding : how the input's cells came about

    Returns
    -------
    In the pictures' unit, of the cells' values; 0 without mosaics
    """
    worst = 0.0
    for m in mosaics:
        if isinstance(m.cells, BlendedCells):
            ours = in_type(m.cells.mean(restored[m.box]), restored.dtype, rounding)
            theirs = in_type(m.cells.fit(pixelated[m.box]), pixelated.dtype, rounding)
        else:
            ours = shown(restored[m.box], m, rounding)
            theirs = rounded_means(pixelated[m.box], m.cells, rounding)
        apart = np.abs(ours.astype(np.float64) - theirs)
        worst = max(worst, float(apart[m.cells.counts > 0].max()))
    return worst


def noise(pixelated: Array, mosaics: Sequence[Mosaic]) -> float:
    """Return the root mean square difference between the input's pixels and the mosaic of its cells' values.

    It is what a lossy file added, and how far "pixelates to the input" can be held to it: 0 in an intact mosaic.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers or floats
    mosaics : in it

    Returns
    -------
    In the picture's unit; 0 without mosaics
    """
    squares, count = 0.0, 0
    for m in mosaics:
        box = pixelated[m.box].astype(np.float64)
        deviation = (box - m.cells.paint(m.cells.fit(box)))[m.area]
        squares += float((deviation**2).sum())
        count += deviation.size
    return (squares / count) ** 0.5 if count else 0.0


def fit_blending(pixelated: Array, m: Mosaic) -> Mosaic:
    """Return the mosaic with its grid blended or not, whichever explains the input's pixels better.

    Where the lines between cells fall between pixels both are the same; then, as whenever both explain the pixels
    equally well, the grid is not blended.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers or floats
    m : in it, its grid blended or not
    """
    sharp, blended = (replace(m, grid=replace(m.grid, blended=b)) for b in (False, True))
    return blended if noise(pixelated, [blended]) < noise(pixelated, [sharp]) else sharp
