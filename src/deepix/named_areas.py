"""Areas that the user names, by rectangles, a mask or mosaics: each gets a grid where it has none."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix import files, finder
from deepix.errors import DeepixError, InputError
from deepix.mosaic import Mosaic
from deepix.options import Options

Array = NDArray[Any]

LEAST_CONFIDENCE = 0.5
"""A grid fitted to an area that the user named must be at least this sure."""
SMALLEST = 3
"""Pixels of the smallest cells that are looked for: where it is not known, what holds less than 2 x 2 is a speck."""
MOST_PARTS = 1000
"""Connected parts of a mask, specks not counted, that are fitted: more come from noise."""
PAINT = "paint only what was drawn over or beside the mosaic white in the mask of foreign pixels"


def fitted(pixels: Array, options: Options) -> tuple[list[Mosaic], tuple[str, ...]]:
    """Return the mosaics of the areas and the mask that the options name, and what was left out.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W) or (H, W, C)
    options : `areas`, `mask`, `mosaics`, `foreign` and `cell` count

    Returns
    -------
    the mosaics: those that the options hold, then areas with grids as they say, or fitted to the pixels
    notes, one line each: the parts of the mask that are too small to be mosaics

    Raises
    ------
    DeepixError : an area does not lie in the picture, the mask does not fit it or is empty, no grid can be made out, or
        `with_foreign` fails
    """
    height, width = pixels.shape[:2]
    visible = ~_foreign(options, pixels.shape)
    result = list(options.mosaics)
    for x, y, w, h, *size in options.areas:
        if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
            raise DeepixError(f"the area {x},{y},{w},{h} does not lie in the picture of {width} x {height} pixels")
        if size:
            result.append(Mosaic.rectangle(x, y, w, h, size[0]))
        else:
            box = slice(y, y + h), slice(x, x + w)
            m = _fit(pixels[box], np.ones((h, w), bool), visible[box], options.cell).moved(x, y)
            result.append(_sure(m, options.cell))
    notes: tuple[str, ...] = ()
    if options.mask is not None:
        parts, notes = _parts(pixels, options.mask, visible, options.cell)
        result += parts
    return with_foreign(result, options, pixels.shape), notes


def with_foreign(mosaics: Sequence[Mosaic], options: Options, shape: tuple[int, ...]) -> list[Mosaic]:
    """Return mosaics of a picture of this shape, told which pixels in and near them are foreign: `options.foreign`.

    Raises
    ------
    DeepixError : the mask of foreign pixels does not fit the picture, or covers a whole area
    """
    if options.foreign is None:
        return list(mosaics)
    foreign = _foreign(options, shape)
    result = []
    for m in mosaics:
        if foreign[m.box][m.area].all():
            raise DeepixError(f"the area {m.x},{m.y},{m.width},{m.height} is foreign pixels all over: {PAINT}")
        result.append(m.with_foreign(foreign))
    return result


def _foreign(options: Options, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bool (H, W): which pixels the options say are foreign."""
    if options.foreign is None:
        return np.zeros(shape[:2], bool)
    if options.foreign.shape != shape[:2]:
        sizes = (" x ".join(str(n) for n in size[::-1]) for size in (options.foreign.shape, shape[:2]))
        raise DeepixError("the mask of foreign pixels, {} pixels, does not fit the picture of {}".format(*sizes))
    return np.asarray(options.foreign != 0)


def _fit(inside: Array, area: NDArray[np.bool_], visible: NDArray[np.bool_], cell: int | None) -> Mosaic:
    if not (area & visible).any():
        raise DeepixError(f"an area or a part of the mask is foreign pixels all over: {PAINT}")
    grid, confidence = finder.fit_grid(inside, area & visible, (cell, cell) if cell else None)
    return Mosaic.from_mask(area, grid, confidence)


def _sure(m: Mosaic, cell: int | None) -> Mosaic:
    if m.confidence < LEAST_CONFIDENCE and cell is None:
        raise DeepixError(f"no grid can be made out in the area {m.x},{m.y},{m.width},{m.height}: name its cell size")
    return m


def _parts(
    pixels: Array, mask: Array, visible: NDArray[np.bool_], cell: int | None
) -> tuple[list[Mosaic], tuple[str, ...]]:
    """Return a mosaic for each connected part of a mask, and a note on those smaller than 2 x 2 cells."""
    from scipy import ndimage

    height, width = pixels.shape[:2]
    if mask.shape != (height, width):
        size = " x ".join(str(n) for n in mask.shape[::-1])
        raise DeepixError(f"the mask of {size} pixels does not fit the picture of {width} x {height}")
    labels, count = ndimage.label(mask != 0)
    if not count:
        raise DeepixError("the mask is empty: paint the pixelated parts white")
    sizes = np.bincount(labels.ravel())[1:]
    boxes = ndimage.find_objects(labels)
    large = np.flatnonzero(sizes >= 4 * (cell or SMALLEST) ** 2)
    if not large.size and count == 1:
        large = np.arange(1)  # nothing else was meant
    if not large.size:
        raise DeepixError(
            f"the mask has {count} parts, all of them smaller than 2 x 2 cells: fill the pixelated parts with white"
        )
    if large.size > MOST_PARTS:
        raise DeepixError(f"the mask has {count} parts; more than {MOST_PARTS} come from noise: clean it first")
    fits = []
    for k in large.tolist():
        box = boxes[k]
        # each in its own box: memory and time do not grow with the number of parts
        fits.append(_fit(pixels[box], labels[box] == k + 1, visible[box], cell).moved(box[1].start, box[0].start))
    largest = max((max(m.grid.width, m.grid.height) for m in fits if m.confidence >= LEAST_CONFIDENCE), default=0)
    # where no grid can be made out, a part may be a speck as well, beside the others' cells
    kept = [
        _sure(m, cell)
        for m in fits
        if cell is not None or m.confidence >= LEAST_CONFIDENCE or m.area.sum() >= 4 * largest**2
    ]
    if not (left := count - len(kept)):
        return kept, ()
    what = (
        "1 part of the mask is smaller than 2 x 2 cells and is"
        if left == 1
        else (f"{left} parts of the mask are smaller than 2 x 2 cells and are")
    )
    return kept, (f"{what} left as {'it is' if left == 1 else 'they are'}",)


def read_mosaics(path: str | os.PathLike[str]) -> list[Mosaic]:
    """Return the mosaics in a file of JSON, as `deepix find --json` prints it for one picture.

    Raises
    ------
    InputError : the file cannot be read, or describes no mosaics, or those of several pictures
    """
    try:
        return [Mosaic.from_dict(one) for one in json.loads(files.read_bytes(path))["mosaics"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path}: not the mosaics of one picture; make such a file with deepix find PICTURE --json"
        ) from error
