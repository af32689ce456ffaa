"""How sure one can be of a mosaic in a region of the locator's maps: logistic regression of what was measured there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from deepix.finder.grid_lines import GridFit
from deepix.finder.map_regions import Region

FARTHEST = 10.0
"""The largest distance between the outlines of area and region, in pixels, that is told apart from larger ones."""
SHARPEST = 0.6
"""The sharpness of lines from which on more of it tells nothing."""
OUTLINE, RESEMBLES = 3, 5
"""Where the `features` of an area's outline stand."""
WEIGHTS = np.array([-14.966, 1.222, 2.446, -0.998, -1.006, 1.962, -0.167, 12.227])
"""Of the `features`: a logistic regression, printed by `benchmarks/confidence.py`."""


def features(
    region: Region, lines: GridFit, log_ratio: float, off: float, resembles: bool, cell: tuple[float, float]
) -> NDArray[np.float64]:
    """Return what `probability` weighs, (8,): of a region, its lines, its area's evidence per pixel, outline, cells."""
    error = min(max(lines.across.error, lines.down.error), 10.0) / min(cell)
    return np.array(
        [
            1.0,
            special.logit(np.clip(region.probability, 0.01, 0.999)),
            np.clip(log_ratio, -1, 3),
            min(off, FARTHEST),
            max(-4.0, np.log(error + 1e-3)),
            float(resembles),
            0.5 * np.log(cell[0] * cell[1]),
            # joints between bricks go as far up as down again
            np.clip((lines.across.sharpness + lines.down.sharpness) / 2, 0, SHARPEST),
        ]
    )


def promise(region: Region, lines: GridFit) -> float:
    """Return the log-odds of a region by its map and lines alone: of an area that fits it and has no evidence."""
    return float(features(region, lines, 0.0, 0.0, True, region.cell) @ WEIGHTS)


def probability(measured: NDArray[np.float64]) -> float:
    """Return how sure one can be of a mosaic with its area and its grid: 0 … 1."""
    return float(special.expit(measured @ WEIGHTS))


def with_outline(measured: NDArray[np.float64], other: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return `features` of an area with its outline's, or another's that is nearer; None: nothing is known of it."""
    result = measured.copy()
    off, resembles = (0.0, 1.0) if other is None else (other[OUTLINE], other[RESEMBLES])
    result[OUTLINE], result[RESEMBLES] = min(result[OUTLINE], off), max(result[RESEMBLES], resembles)
    return result
