"""Whether a grid is an area's own: the same cells, shifted by a part of one, explain its pixels far less.

What is flat is explained by cells wherever they lie, and a texture by none. Where cells are, shifted ones hold pixels
of several, whatever else disturbs the steps at their lines: dithering, a file, a wrong outline.
"""

from __future__ import annotations

from dataclasses import replace

from deepix.finder.grid_box import GridBox
from deepix.finder.likelihood import LikelihoodMaps

SHARES = (0.25, 0.5, 0.75)
"""By which cells are shifted, in units of their size."""
LOSS = 2000.0
"""How much less evidence shifted cells have, at least, in nats: in coarse frames of films 1,100 at most."""
DENSITY = 0.5
"""The same for each pixel of the area."""


def is_own(likelihood: LikelihoodMaps, area: GridBox) -> bool:
    """Whether an area's grid of whole pixels is its own, along both axes.

    Parameters
    ----------
    likelihood : of the window, with the noise that the area has
    area : in pixels of the window
    """
    least = max(LOSS, DENSITY * area.box[2] * area.box[3])
    evidence = likelihood.log_ratio(area)
    return all(evidence - likelihood.log_ratio(other) >= least for other in _shifted(area))


def _shifted(area: GridBox) -> list[GridBox]:
    """Return an area with the same cells shifted along one axis, by all of `SHARES`."""
    result = []
    for axis in (0, 1):
        for share in SHARES:
            origin = list(area.origin)
            origin[axis] += max(1, round(share * area.cell[axis]))
            result.append(replace(area, origin=(origin[0], origin[1])))
    return result
