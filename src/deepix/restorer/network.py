"""Networks at work on photos: what they are given and how their answers are used.

    z = smooth(y)                                 the training-free restoration, at one size
    r, s = network(features)                      see `deepix.restorer.features`
    restoration = project(z + c · r)              c: the local contrast
    predicted standard deviation = c · s          of the restoration's error, per pixel

Networks know cells up to some size; larger ones are looked at through a lattice of larger pixels (see
`deepix.restorer.lattice`), and the result is interpolated and projected at the picture's own size. Of a picture in
colour the network restores the luminance (see `deepix.restorer.colour`).
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepix.inference.models import Models
from deepix.mosaic import Array, Mosaic, Rounding, cell_values, check, foreign_pixels, project, unknown, white
from deepix.restorer.cell_means import as_means, as_shown
from deepix.restorer.deviation import possible
from deepix.restorer.each import estimate_each
from deepix.restorer.fill import without_foreign
from deepix.restorer.lattice import MARGIN, by_pitch, on_lattices, pitch
from deepix.restorer.model import DEFAULT, SHIPPED, Restorer, load
from deepix.restorer.parts import Part, paste, run
from deepix.restorer.smooth import smooth_seen

__all__ = ["DEFAULT", "SHIPPED", "Restorer", "estimate", "estimate_each", "load"]

Floats = NDArray[np.float32]


def estimate(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = DEFAULT,
    rounding: Rounding = "nearest",
    *,
    models: Models | None = None,
) -> tuple[Floats, Floats]:
    """Restore the mosaics of a picture by a network.

    Only windows around the mosaics are computed, large ones in tiles. Cells that are smaller than the network knows are
    left to `deepix.restorer.smooth.smooth`. How many threads are used is for `deepix.threads.limit` to say.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers of their type's whole range, or floats of 0 … 255; not changed. Three
        channels are red, green and blue; of other numbers each is restored by itself
    mosaics : areas must not overlap
    model : "photo", "challenge", or the path of an .onnx file that `deepix weights export` wrote
    rounding : how integer cells came about
    models : which opens the model and keeps it; None: the process's own

    Returns
    -------
    float32, shape and unit of `pixelated`: equal to it outside the mosaics and where it is foreign, with its cells'
    means inside; foreign pixels change nothing else
    float32 (H, W), same unit: the predicted standard deviation of the estimate's error (in colour: of the luminance's);
    0 on known pixels, not a number where `smooth` restored

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two overlap
    InputError : no such model, or it is no restorer of Deepix
    DeepixError : the model returns numbers that are not finite
    """
    check(mosaics, pixelated.shape)
    restorer = load(model, models)
    level = white(pixelated.dtype)
    given, asked = pixelated, mosaics
    pixelated, mosaics = without_foreign(*as_means(pixelated, mosaics, rounding))
    small = [m for m in mosaics if min(m.grid.width, m.grid.height) < restorer.cells[0]]
    groups = by_pitch(set(mosaics) - set(small), restorer.cells[1])

    painted = pixelated.astype(np.float32)
    deviation = np.zeros(pixelated.shape[:2], np.float32)
    for m in mosaics:
        paste(painted[m.box], m.cells.spread(cell_values(pixelated, m, rounding)), m.area)
    for m in small:
        deviation[m.box][m.area] = np.nan
    others = [*small, *_shown_by_others(groups, restorer)]
    result = smooth_seen(pixelated, others, rounding) if others else painted
    offset = 0.5 / level if rounding == "truncate" and pixelated.dtype.kind in "iu" else 0.0
    parts = [
        Part.of(inside, group, axes, painted, result, level, restorer)
        for group in groups
        for inside, axes in on_lattices(group, painted.shape, restorer.cells[1])
    ]
    run(restorer, (job for part in parts for job in part.jobs(offset)))
    for part in parts:
        planes, deviations = part.restored(level)
        mask = unknown(part.mosaics, part.shape)
        observed = pixelated[part.box]
        deviations = possible(deviations, painted[part.box], level)
        paste(result[part.box], project(planes.reshape(observed.shape), observed, part.mosaics, rounding), mask)
        paste(deviation[part.box], deviations, mask)
    if pixelated is not given:
        paste(result, given, foreign_pixels(mosaics, given.shape))
    return as_shown(result, given, asked, rounding), deviation


def _shown_by_others(groups: Sequence[Sequence[Mosaic]], restorer: Restorer) -> list[Mosaic]:
    """Return the mosaics that windows of another group may show."""
    result = []
    for group in groups:
        for m in group:
            if any(_may_show(other, m, restorer) for g in groups if g is not group for other in g):
                result.append(m)
    return result


def _may_show(m: Mosaic, other: Mosaic, restorer: Restorer) -> bool:
    """Whether a window around a mosaic may show another one."""
    down, across = (2 * MARGIN * p for p in pitch(m.grid, restorer.cells[1]))
    return (
        m.x - across < other.x + other.width
        and other.x < m.x + m.width + across
        and m.y - down < other.y + other.height
        and other.y < m.y + m.height + down
    )
