"""Refiners at work on photos: the detail that a restoration is given, and the map of what looks restored.

    r = refiner(features, σ, ε·σ)                        see `deepix.restorer.refine_model`
    refined = project(restoration + t · σ · r)           t: how much of the detail, 0 … 1

What is added is one plane, the same in all channels: colours go along with the luminance, and a cell's mean does not
change, so that the result agrees with the input for every t. Windows, tiles and the lattice of large cells are the
restorer's (`deepix.restorer.network`); the noise ε is a function of the picture's coordinates and the seed, so that no
tile can be seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepix import files
from deepix.errors import DeepixError
from deepix.mosaic import MEAN, Array, Mosaic, check, project, unknown, white
from deepix.mosaic.boxes import Box, grown, tiles, within
from deepix.mosaic.windows import crop, windows
from deepix.restorer.colour import LUMINANCE
from deepix.restorer.features import CONTRAST_SUPPORT
from deepix.restorer.lattice import MARGIN, Axis, by_pitch, on_lattice, on_lattices
from deepix.restorer.model import DEFAULT, SHIPPED
from deepix.restorer.refine_model import UNIT, Adversary, Refiner, planes
from deepix.restorer.refine_noise import white_noise

Floats = NDArray[np.float32]

TILE, HALO = 512, 72
"""About the side (pixels) of the network's tiles, and by how much each sees more than it refines."""


def check_restorer(refiner: Refiner, model: str | None) -> None:
    """Raise if the refiner was not trained on the restorations of this restorer.

    Parameters
    ----------
    refiner : which
    model : the restorer: a shipped model's name, the path of an .onnx file, or None for the default one

    Raises
    ------
    DeepixError : it was not
    """
    if _digest(model or DEFAULT) not in refiner.restorers:
        raise DeepixError(
            f"the refiner was not trained on the restorations of {model or DEFAULT}: leave detail at 0, or use the "
            "model that came with it"
        )


def _digest(model: str) -> str:
    if model in SHIPPED:
        place = resources.files("deepix") / "weights" / f"{model}.onnx"
        return hashlib.sha256(place.read_bytes()).hexdigest()
    return hashlib.sha256(files.read_bytes(Path(model))).hexdigest()


def detail(
    estimate: Floats,
    deviation: Floats,
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    refiner: Refiner,
    *,
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> Floats:
    """Return what a refiner adds to a restoration: one plane for all channels, whose mean over each cell is 0.

    Parameters
    ----------
    estimate : float32 (H, W) or (H, W, C), in the unit of `pixelated`: the restoration
    deviation : float32 (H, W), in the same unit: the predicted standard deviation of its error, over the restorer's
        `calibration`; where it is not a number, nothing is added
    pixelated : the shape of `estimate`, integers of their type's whole range, or floats of 0 … 255
    mosaics : areas must not overlap
    refiner : the network
    seed : of the noise
    origin : x and y of the picture's corner, where it is a part of a larger one: the noise follows the larger one

    Returns
    -------
    float32 (H, W), in the same unit; 0 on known pixels

    Raises
    ------
    DeepixError : the network returns numbers that are not finite
    """
    check(mosaics, pixelated.shape)
    mosaics = [m.showing(MEAN) for m in mosaics]  # what is added keeps the cells' means, whatever they show
    level = white(pixelated.dtype)
    result = np.zeros(pixelated.shape[:2], np.float32)
    for group in by_pitch(mosaics, refiner.cells[1]):
        for part in _parts(group, estimate, deviation, refiner, level):
            added = part.enlarged(part.computed(refiner, seed, origin)) * np.float32(level)
            free = unknown(part.mosaics, added.shape)
            # the projection of what is added onto pictures whose cells all have the mean 0
            added = project(added, np.zeros_like(added), part.mosaics)
            np.copyto(result[part.box], added, where=free)
    return result


def luminance(pixels: Array, level: float) -> Floats:
    """Return the luminance (H, W) of (H, W) or (H, W, C), over white; of other numbers of channels than 3 the mean."""
    values = pixels.astype(np.float32)
    if values.ndim == 3:
        weights = LUMINANCE if values.shape[2] == 3 else (1 / values.shape[2],) * values.shape[2]
        values = values @ np.array(weights, np.float32)
    return values / np.float32(level)


@dataclass(frozen=True, eq=False)
class _Part:
    """Mosaics that are refined together, on a lattice over their window; planes in units of white."""

    mosaics: list[Mosaic]
    box: Box
    rows: Axis
    columns: Axis
    on_lattice: list[Mosaic]
    restored: Floats
    pixelated: Floats
    deviation: Floats

    def enlarged(self, plane: Floats) -> Floats:
        return self.columns.enlarged(self.rows.enlarged(plane, 0), 1)

    def computed(self, refiner: Refiner, seed: int, origin: tuple[int, int]) -> Floats:
        """Return what is to be added, on the lattice: deviation times detail, tile by tile."""
        size = self.restored.shape
        free = unknown(self.on_lattice, size)
        result = np.zeros(size, np.float32)
        left, top = (
            round((start + axis.origin) / axis.pitch) + axis.start
            for start, axis in zip(origin, (self.columns, self.rows), strict=True)
        )
        for core, tile, inside in tiles(size, TILE, HALO, refiner.stride):
            if not free[core].any():
                continue
            outer = grown(tile, CONTRAST_SUPPORT, size)
            rows, columns = outer
            noise = white_noise(
                seed, left + columns.start, top + rows.start, columns.stop - columns.start, rows.stop - rows.start
            )  # fmt: skip
            given = planes(
                self.restored[outer], self.pixelated[outer], self.deviation[outer], noise, crop(self.on_lattice, outer)
            )
            cut = within(tile, outer)
            result[core] = (refiner(given[None, :, *cut])[0] * self.deviation[tile])[inside]
        return result


def _parts(
    group: Sequence[Mosaic], estimate: Floats, deviation: Floats, refiner: Refiner, level: float
) -> Iterator[_Part]:
    for inside, (rows, columns) in on_lattices(group, estimate.shape, refiner.cells[1]):
        box = rows.pixels, columns.pixels
        shown = crop(group, box)
        bright = luminance(estimate[box], level)
        doubt = np.nan_to_num(deviation[box]) * np.float32(UNIT / level)
        doubt[~unknown(shown, doubt.shape)] = 0  # of other mosaics, which are refined by themselves
        if (rows.pitch, columns.pitch) != (1.0, 1.0):
            bright, doubt = (columns.reduced(rows.reduced(plane, 0), 1) for plane in (bright, doubt))
            shown = on_lattice(shown, rows, columns, bright.shape)
        painted = bright.copy()
        for m in shown:
            painted[m.box][m.area] = m.cells.spread(m.cells.mean(bright[m.box]))[m.area]
        moved_again = [m.moved(-box[1].start, -box[0].start) for m in inside]
        yield _Part(moved_again, box, rows, columns, shown, bright, painted, doubt)


def restored_map(picture: Array, mosaics: Sequence[Mosaic], adversary: Adversary) -> Floats:
    """Return where a restored picture looks restored: probabilities, float32 (H, W), 0 far from all mosaics.

    Parameters
    ----------
    picture : (H, W) or (H, W, C), as it was restored
    mosaics : that were restored: windows around them are looked at
    adversary : the network
    """
    result = np.zeros(picture.shape[:2], np.float32)
    level = white(picture.dtype)
    for window, _ in windows(mosaics, picture.shape, (MARGIN, MARGIN)):
        size = tuple(s.stop - s.start for s in window)
        for core, tile, inside in tiles(size, TILE, HALO, adversary.stride):
            there = tuple(slice(w.start + t.start, w.start + t.stop) for w, t in zip(window, tile, strict=True))
            seen = adversary(luminance(picture[there], level))
            result[window][core] = seen[inside]
    return result
