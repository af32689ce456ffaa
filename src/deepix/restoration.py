"""Restoring one picture: find its mosaics, estimate the unknown pixels, make them agree with the input.

The Python calls of the package live here; they take a path, the bytes of a file, a PIL image or an array, never change
it, and give back a picture of the same kind (a PIL image for paths and bytes).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix import finder, images
from deepix import mosaic as maths
from deepix.errors import DeepixError
from deepix.mosaic import Mosaic, Rounding
from deepix.smooth import bands, smooth
from deepix.windows import Box, around

Array = NDArray[Any]
ImageLike = str | PathLike[str] | bytes | Image.Image | Array
Area = tuple[int, int, int, int] | tuple[int, int, int, int, int]
Method = Literal["network", "smooth"]
"""Which restorer: `deepix.runtime.estimate`, or the training-free `deepix.smooth.smooth`."""

LOOKED_AT = 9
"""Cells (of 16 pixels at least) around mosaics in which pixels can matter: windows, and what is blurred for them."""
LEAST_CONFIDENCE = 0.5
"""A grid fitted to an area that the user named must be at least this sure."""


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored picture and what is known of it.

    Attributes
    ----------
    picture : the restored picture with what its file held besides pixels, as `deepix.images` reads and writes it
    mosaics : the mosaics that were restored; empty when none was found: then the picture is the input
    consistency : the largest deviation, in levels of the picture's type, that re-pixelating the restoration leaves to
        the input's cells; 0 when the input's tiles are intact
    noise : root mean square deviation of the input's pixels from their cells' means, in levels; 0 when the tiles are
        intact, and what the promise of consistency is held to when a lossy file disturbed them
    as_array : whether `image` is an array
    unsure : mosaics that were found, but left as they are, because it is not sure where their cells lie
    uncertainty : float32, the shape of the picture's pixels: standard deviation of the restoration's error as the
        network expects it, in levels of the picture's type; the same in all channels, 0 on known pixels, not a number
        where cells are too small for the network. None without a network
    """

    picture: images.Picture
    mosaics: list[Mosaic]
    consistency: float
    noise: float
    as_array: bool = False
    uncertainty: NDArray[np.float32] | None = None
    unsure: Sequence[Mosaic] = ()

    @property
    def mean_uncertainties(self) -> list[float | None]:
        """The uncertainty's mean over each mosaic, in levels; None where it is not known."""
        if self.uncertainty is None:
            return [None] * len(self.mosaics)
        plane = self.uncertainty if self.uncertainty.ndim == 2 else self.uncertainty[..., 0]
        means = [float(plane[m.box][m.area].mean(dtype=np.float64)) for m in self.mosaics]
        return [None if np.isnan(mean) else mean for mean in means]

    @cached_property
    def image(self) -> Any:
        """The restored picture, of the kind that was given: an array for an array, else a PIL image."""
        return images.to_array(self.picture) if self.as_array else images.to_pil(self.picture)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False, quality: int = images.QUALITY) -> None:
        """Write the picture, with the input's alpha channel, colour profile and EXIF data.

        Raises
        ------
        OutputError : the file exists and `overwrite` is False, or cannot be written
        """
        images.write(self.picture, path, overwrite=overwrite, quality=quality)


def restore(
    image: ImageLike,
    mosaics: Sequence[Mosaic] | None = None,
    *,
    areas: Sequence[Area] = (),
    mask: Array | None = None,
    cell: int | None = None,
    rounding: Rounding = "nearest",
    method: Method = "network",
    model: str | PathLike[str] | None = None,
    threads: int | None = None,
    fast: bool = False,
    force: bool = False,
) -> Restoration:
    """Restore the pixelated parts of a picture.

    Parameters
    ----------
    image : path, bytes of a file, PIL image, or array (H, W[, C]) of uint8 or uint16
    mosaics : the mosaics, when they are known; otherwise they come from `areas` and `mask`, or else are found
    areas : rectangles (x, y, width, height[, cell]) that were pixelated, in pixels; without a cell size the grid is
        fitted, with one the cells start at the rectangle's top left corner
    mask : (H, W), non-zero where the picture was pixelated; each connected part is fitted a grid of its own
    cell : the cells' size in pixels, for areas and masks that come without: only the grid's origin is then fitted; of
        mosaics that are found, only those of this size count
    rounding : how the mosaic's program made integers of means; "truncate" for the 64x64 challenge
    method : "network", or "smooth" without any training
    model : "photo" (also None), "challenge", or the path of an .onnx file that `deepix weights export` wrote
    threads : of the processor for the networks; None: all
    fast : find only what can be found without a network, see `deepix.find`
    force : restore also what was found with a confidence below `deepix.finder.SURE`; else it is left as it is, and
        named in `Restoration.unsure`

    Raises
    ------
    InputError : the picture's or the model's file cannot be read
    DeepixError : an area lies outside the picture, areas overlap, no grid could be fitted to one, or a shipped model is
        missing
    ValueError : no such method
    """
    picture = images.load(image)
    unsure: list[Mosaic] = []
    if mosaics is None:
        named = bool(areas) or mask is not None
        mosaics = locate(picture, areas, mask, cell, fast=fast, threads=threads)
        if not named:
            mosaics, unsure = by_confidence(mosaics, force)
    as_array = isinstance(image, np.ndarray)
    result = restore_picture(picture, mosaics, rounding, method, model, threads, as_array=as_array)
    return replace(result, unsure=unsure)


def restore_picture(
    picture: images.Picture,
    mosaics: Sequence[Mosaic],
    rounding: Rounding = "nearest",
    method: Method = "network",
    model: str | PathLike[str] | None = None,
    threads: int | None = None,
    *,
    as_array: bool = False,
) -> Restoration:
    """Restore the given mosaics of a picture that `deepix.images` has read; else as `restore`."""
    pixels = picture.pixels
    _check(mosaics, pixels)
    if not mosaics:
        return Restoration(picture, [], 0.0, 0.0, as_array)
    if method not in ("network", "smooth"):
        raise ValueError(f"no such method: {method!r}; there are 'network' and 'smooth'")
    # what is far from all mosaics changes nothing, and a photo is large
    box = _around(mosaics, pixels.shape)
    seen, inside = pixels[box], [m.moved(-box[1].start, -box[0].start) for m in mosaics]
    deviation = None
    with ThreadPoolExecutor(1) as pool:
        noise = pool.submit(maths.noise, seen, inside)
        if method == "network":
            from deepix import runtime

            estimate, spread = runtime.estimate(seen, inside, model or runtime.DEFAULT, rounding, threads)
            deviation = np.zeros(pixels.shape[:2], np.float32)
            deviation[box] = spread
            if pixels.ndim == 3:
                deviation = np.broadcast_to(deviation[..., None], pixels.shape)
        else:
            estimate = smooth(seen, inside, rounding)
    restored = pixels.copy()
    restored[box] = _quantized(estimate, seen, inside, rounding)
    consistency = maths.consistency(restored[box], seen, inside, rounding)
    return Restoration(picture.with_pixels(restored), list(mosaics), consistency, noise.result(), as_array, deviation)


def _quantized(estimate: NDArray[np.float32], seen: Array, mosaics: Sequence[Mosaic], rounding: Rounding) -> Array:
    """Return `deepix.mosaic.quantize` of the estimate; large mosaics in bands, side by side."""
    parts = [bands(m) if _whole(m.grid) else [m] for m in mosaics]
    result = maths.quantize(estimate, seen, [part[0] for part in parts if len(part) == 1], rounding)

    def fill(m: Mosaic) -> None:
        box = m.box
        there = m.area.reshape(m.height, m.width, *(1,) * (seen.ndim - 2))
        values = maths.quantize(estimate[box], seen[box], [m.moved(-m.x, -m.y)], rounding)
        np.copyto(result[box], values, where=there)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, (band for part in parts if len(part) > 1 for band in part)))
    return result


def _around(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Box:
    """Return the part of a picture that the mosaics and all that restorers look at around them lie in."""
    cell = max(max(m.grid.width, m.grid.height) for m in mosaics)
    return around(mosaics, math.ceil(LOOKED_AT * max(cell, 16)), shape)


def _check(mosaics: Sequence[Mosaic], pixels: Array) -> None:
    try:
        maths.check(mosaics, pixels.shape)
    except ValueError as error:
        raise DeepixError(str(error)) from error


def find(image: ImageLike, *, fast: bool = False, threads: int | None = None) -> list[Mosaic]:
    """Find the pixelated areas of a picture and their grids.

    Parameters
    ----------
    image : as for `restore`
    fast : without the network: only rectangles of cells in whole pixels, in files that are lossless or nearly so
    threads : of the processor for the network; None: all

    Returns
    -------
    The mosaics, from top to bottom, each with a confidence between 0 and 1 of its area and grid; none for a clean
    picture. `restore` leaves those below `deepix.finder.SURE` as they are.

    Raises
    ------
    InputError : the file cannot be read
    """
    return locate(images.load(image), fast=fast, threads=threads)


def by_confidence(mosaics: Sequence[Mosaic], force: bool = False) -> tuple[list[Mosaic], list[Mosaic]]:
    """Return what was found in two lists: what is to be restored, and what is to be left as it is."""
    sure = [m for m in mosaics if force or m.confidence >= finder.SURE]
    return sure, [m for m in mosaics if m not in sure]


def pixelate(image: ImageLike, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Image.Image | Array:
    """Pixelate areas of a picture; the alpha channel stays as it is.

    Parameters
    ----------
    image : as for `restore`
    mosaics : areas with their grids; must not overlap
    rounding : how means become integers

    Returns
    -------
    A picture of the kind that was given (a PIL image for a path or bytes)

    Raises
    ------
    InputError : the file cannot be read
    DeepixError : a mosaic lies outside the picture, or two overlap
    """
    picture = images.load(image)
    _check(mosaics, picture.pixels)
    result = picture.with_pixels(maths.pixelate(picture.pixels, mosaics, rounding))
    return images.to_array(result) if isinstance(image, np.ndarray) else images.to_pil(result)


def locate(
    picture: images.Picture,
    areas: Sequence[Area] = (),
    mask: Array | None = None,
    cell: int | None = None,
    *,
    fast: bool = False,
    threads: int | None = None,
) -> list[Mosaic]:
    """Return the mosaics that the user named by areas or a mask, with grids fitted where needed; else find them.

    Parameters
    ----------
    picture : as `deepix.images` has read it
    areas, mask, cell, fast, threads : as for `restore`

    Raises
    ------
    DeepixError : an area lies outside the picture, or no grid could be fitted to one
    """
    pixels = picture.pixels
    if not areas and mask is None:
        found = _found(picture, fast, threads)
        # a cell size that the user knows settles what a finder can only guess
        return [m for m in found if cell is None or (m.grid.width, m.grid.height) == (cell, cell)]
    height, width = pixels.shape[:2]
    result = []
    for x, y, w, h, *size in areas:
        if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
            raise DeepixError(f"the area {x},{y},{w},{h} does not lie in the picture of {width} x {height} pixels")
        if size:
            result.append(Mosaic.rectangle(x, y, w, h, size[0]))
        else:
            area = np.zeros((height, width), bool)
            area[y : y + h, x : x + w] = True
            result.append(_fitted(pixels, area, cell))
    if mask is not None:
        result += [_fitted(pixels, part, cell) for part in _parts(mask, (height, width))]
    return result


def _found(picture: images.Picture, fast: bool, threads: int | None) -> list[Mosaic]:
    # of an array nobody knows where it comes from
    lossy = picture.lossy if picture.format else None
    found = finder.find(picture.pixels, lossy=lossy, fast=fast, threads=threads)
    return [blended(picture.pixels, m) for m in found]


def blended(pixels: Array, m: Mosaic) -> Mosaic:
    """Return the mosaic with its grid blended, if that is how its pixels look: only where it is not in whole pixels."""
    return m if _whole(m.grid) else maths.fit_blending(pixels, m)


def _whole(g: maths.Grid) -> bool:
    """Whether the grid is one of whole pixels."""
    return all(float(v).is_integer() for v in (g.x, g.y, g.width, g.height))


def _parts(mask: Array, shape: tuple[int, int]) -> list[NDArray[np.bool_]]:
    from scipy import ndimage

    if mask.shape != shape:
        raise DeepixError(
            f"the mask of {mask.shape[1]} x {mask.shape[0]} pixels does not fit the picture of {shape[1]} x {shape[0]}"
        )
    labels, count = ndimage.label(mask != 0)
    if not count:
        raise DeepixError("the mask is empty: paint the pixelated parts white")
    return [labels == k + 1 for k in range(count)]


def _fitted(pixels: Array, area: NDArray[np.bool_], cell: int | None) -> Mosaic:
    grid, confidence = finder.fit_grid(pixels, area, (cell, cell) if cell else None)
    m = Mosaic.from_mask(area, grid, confidence)
    if confidence < LEAST_CONFIDENCE and cell is None:
        raise DeepixError(f"no grid can be made out in the area {m.x},{m.y},{m.width},{m.height}: name its cell size")
    return m
