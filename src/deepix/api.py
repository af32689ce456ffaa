"""The Python calls of the package: thin faces over `deepix.pipeline`.

They take a path, the bytes of a file, a file object, a PIL image or an array, never change it, and give back a picture
of the same kind (a PIL image for files in whatever form).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix import images, pipeline
from deepix import mosaic as maths
from deepix.images.opening import Readable
from deepix.mosaic import CellValueKind, Mosaic, Rounding
from deepix.options import Area, Method, Options
from deepix.restoration import Restoration

Array = NDArray[Any]
ImageLike = str | PathLike[str] | bytes | Readable | Image.Image | Array


def restore(
    image: ImageLike,
    mosaics: Sequence[Mosaic] | None = None,
    *,
    areas: Sequence[Area] = (),
    mask: Array | None = None,
    foreign: Array | None = None,
    cell: int | None = None,
    cell_value: CellValueKind | None = None,
    rounding: Rounding = "nearest",
    method: Method = "network",
    model: str | PathLike[str] | None = None,
    threads: int | None = None,
    fast: bool = False,
    force: bool = False,
    threshold: float | None = None,
    detail: float = 0.0,
    variants: int = 1,
    seed: int = 0,
    restored_map: bool = False,
    first_frame: bool = False,
    max_pixels: int | None = None,
) -> Restoration:
    """Restore the pixelated parts of a picture.

    Parameters
    ----------
    image : path, bytes of a file, file object opened in binary mode, PIL image, or array (H, W[, C]) of uint8 or uint16
    mosaics : the mosaics, when they are known; otherwise they come from `areas` and `mask`, or else are found
    areas : rectangles (x, y, width, height[, cell]) that were pixelated, in pixels; without a cell size the grid is
        fitted, with one the cells start at the rectangle's top left corner
    mask : (H, W), non-zero where the picture was pixelated; each connected part is fitted a grid of its own. Parts
        smaller than 2 x 2 cells are left as they are, and named in `Restoration.notes`
    foreign : (H, W), non-zero where something was drawn over or beside mosaics after the picture was pixelated (a
        frame, a caption, a pointer): it comes back as it is, and nothing is made of it, see `Mosaic.foreign`
    cell : the cells' size in pixels, for areas and masks that come without: only the grid's origin is then fitted; of
        mosaics that are found, only those of this size count, the others are in `Restoration.other_sizes`
    cell_value : what the cells show of their pixels: "mean", "sample" (one of them), "min" or "max" (in each channel),
        or "linear" (the mean of light); None: told from the picture, and given `mosaics` say it themselves
    rounding : how the mosaic's program made integers of means; "truncate" for the 64x64 challenge
    method : "network", or "smooth" without any training
    model : "photo" (also None), "challenge", or the path of an .onnx file that `deepix weights export` wrote
    threads : of the processor; None: all cores
    fast : find only what can be found without a network, see `deepix.find`
    force : restore also what was found with a confidence below the threshold
    threshold : the least confidence, 0 … 1, with which a mosaic that was found is restored; None: 0.5
        (`deepix.finder.SURE`). What is below it is left as it is, and named in `Restoration.unsure`
    detail : 0 … 1: how much plausible detail is added; 0 is the most probable picture. It never contradicts the
        mosaic, and it is invented: a guess, not evidence
    variants : how many pictures of different detail are made, see `Restoration.variants`
    seed : of the detail: the same input and seed give the same result
    restored_map : also say where the result looks restored, see `Restoration.restored_map`
    first_frame : of a file that is an animation, use the first frame; otherwise it is refused
    max_pixels : refuse files with more pixels, for the memory they take; None: `deepix.images.MAX_PIXELS`

    Raises
    ------
    InputError : the picture's or the model's file cannot be read
    DeepixError : an area lies outside the picture, areas overlap, no grid could be fitted to one, a shipped model is
        missing, or the restoration would not agree with the input
    ValueError : no such method, rounding, detail, number of variants or seed, a threshold that is no confidence, no
        possible number of threads or pixels
    """
    options = Options(
        areas=tuple(areas),
        mask=mask,
        foreign=foreign,
        cell=cell,
        cell_value=cell_value,
        rounding=rounding,
        method=method,
        model=model,
        threads=threads,
        fast=fast,
        force=force,
        threshold=threshold,
        detail=detail,
        variants=variants,
        seed=seed,
        restored_map=restored_map,
        first_frame=first_frame,
        max_pixels=max_pixels,
    )
    result = pipeline.run(_loaded(image, options), options, mosaics)
    return replace(result, as_array=isinstance(image, np.ndarray))


def find(
    image: ImageLike,
    *,
    fast: bool = False,
    threads: int | None = None,
    first_frame: bool = False,
    max_pixels: int | None = None,
) -> list[Mosaic]:
    """Find the pixelated areas of a picture and their grids.

    Parameters
    ----------
    image : as for `restore`
    fast : without the network: only rectangles of cells in whole pixels, in files that are lossless or nearly so
    threads : of the processor; None: all cores
    first_frame, max_pixels : as for `restore`

    Returns
    -------
    The mosaics, from top to bottom, each with a confidence between 0 and 1 of its area and grid; none for a clean
    picture. `restore` leaves those below its threshold as they are.

    Raises
    ------
    InputError : the file cannot be read
    ValueError : no possible number of threads, or of pixels
    """
    options = Options(fast=fast, threads=threads, first_frame=first_frame, max_pixels=max_pixels)
    return list(pipeline.locate(_loaded(image, options), options).mosaics)


def pixelate(
    image: ImageLike,
    mosaics: Sequence[Mosaic],
    rounding: Rounding = "nearest",
    *,
    first_frame: bool = False,
    max_pixels: int | None = None,
) -> Image.Image | Array:
    """Pixelate areas of a picture; the alpha channel stays as it is.

    Parameters
    ----------
    image : as for `restore`
    mosaics : areas with their grids; must not overlap
    rounding : how means become integers
    first_frame, max_pixels : as for `restore`

    Returns
    -------
    A picture of the kind that was given (a PIL image for a file in whatever form)

    Raises
    ------
    InputError : the file cannot be read
    DeepixError : a mosaic lies outside the picture, or two overlap
    """
    picture = _loaded(image, Options(first_frame=first_frame, max_pixels=max_pixels))
    pipeline.check(mosaics, picture.pixels.shape)
    result = picture.with_pixels(maths.pixelate(picture.pixels, mosaics, rounding))
    return images.to_array(result) if isinstance(image, np.ndarray) else images.to_pil(result)


def _loaded(image: ImageLike, options: Options) -> images.Picture:
    most = images.MAX_PIXELS if options.max_pixels is None else options.max_pixels
    return images.load(image, first_frame=options.first_frame, max_pixels=most)
