"""One picture, step by step: locate its mosaics ─▶ decide which are sure ─▶ restore them ─▶ integers that agree.

Everything that restores a picture (the Python calls, the command line, whatever comes later) goes through `run`, or
through its steps: a picture that was located once can be restored many times, with other mosaics or other options.

    located = locate(picture, options)
    sure, unsure = decide(located, options)
    restoration = restore(picture, sure, options)

What `restore` begins with, the `estimate`, can be had by itself: restorations of any detail can be made of it. Where
detail is asked for, the estimate is refined before it is rounded: what that changes is projected and checked as the
estimate is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepix import finder, images, named_areas, threads
from deepix import mosaic as maths
from deepix.errors import DeepixError
from deepix.mosaic import Mosaic, Rounding
from deepix.mosaic.boxes import Box
from deepix.mosaic.windows import around
from deepix.options import Options, check_model
from deepix.restoration import Restoration
from deepix.restorer.parallel import bands

if TYPE_CHECKING:
    from deepix.inference.models import Models

Array = NDArray[Any]

OTHER_CELLS = "are no upright rectangles"
"""What a note says of cells that were seen, but can be neither found nor restored."""
CHANNELS = 1.04
"""By what errors of red, green and blue are larger than those of their luminance, whose deviation is predicted: in 240
areas of validation photos, by the factors that `deepix.training.deviations` gives."""
LOOKED_AT = 9
"""Cells (of 16 pixels at least) around mosaics in which pixels can matter: windows, and what is blurred for them."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """The most probable picture of some mosaics, before detail is added and whole numbers are made of it.

    Attributes
    ----------
    box : the part of the picture (rows, columns) that the mosaics, and all that matters to them, lie in
    values : float32, the shape of this part, in levels
    spread : float32 (H, W), the standard deviation of its error, in levels; None without a network
    noise : as of a `deepix.Restoration`
    """

    box: Box
    values: NDArray[np.float32]
    spread: NDArray[np.float32] | None
    noise: float


@dataclass(frozen=True, eq=False)
class Located:
    """Where a picture is pixelated.

    Attributes
    ----------
    mosaics : those that were found, each with its confidence, or that the user named
    named : the user said where: what was named is not questioned
    other_sizes : those that were found, but have cells of another size than the one asked for
    notes : one line for each thing that was left out, or that was seen and is none of what can be found
    """

    mosaics: tuple[Mosaic, ...]
    named: bool = False
    other_sizes: tuple[Mosaic, ...] = ()
    notes: tuple[str, ...] = ()


def run(
    picture: images.Picture,
    options: Options,
    mosaics: Sequence[Mosaic] | None = None,
    models: Models | None = None,
) -> Restoration:
    """Locate a picture's mosaics and restore those that are sure.

    Parameters
    ----------
    picture : as `deepix.images` has read it
    options : what is asked for
    mosaics : what to restore, where that is known: then nothing is located, but `foreign` and `cell_value` count
    models : that open the networks and keep them; None: the process's own

    Raises
    ------
    DeepixError : as `locate` and `restore`
    """
    if mosaics is not None:
        mosaics = named_areas.with_foreign(mosaics, options, picture.pixels.shape)
        if options.cell_value is not None:
            mosaics = _showing(picture.pixels, mosaics, options)
        return restore(picture, mosaics, options, models)
    located = locate(picture, options, models)
    sure, unsure = decide(located, options)
    result = restore(picture, sure, options, models)
    return replace(result, unsure=unsure, other_sizes=located.other_sizes, notes=located.notes)


def locate(picture: images.Picture, options: Options, models: Models | None = None) -> Located:
    """Return the mosaics that the options name, with grids fitted where needed; else find them.

    Parameters
    ----------
    picture : as `deepix.images` has read it
    options : `areas`, `mask`, `mosaics`, `foreign`, `cell`, `cell_value`, `fast` and `threads` count
    models : that open the network and keep it; None: the process's own

    Raises
    ------
    DeepixError : an area lies outside the picture, the cells are larger than it, no grid could be fitted to an area, or
        the mask of foreign pixels does not fit
    """
    options.check_cells(picture.pixels.shape)
    with threads.limit(options.threads):
        if options.named:
            mosaics, notes = named_areas.fitted(picture.pixels, options)
            shown = _showing(picture.pixels, mosaics, options, len(options.mosaics))
            return Located(tuple(shown), named=True, notes=notes)
        found = named_areas.with_foreign(_found(picture, options, models), options, picture.pixels.shape)
        found = _showing(picture.pixels, found, options)
    # a cell size that the user knows settles what a finder can only guess
    cell = options.cell
    fits = [cell is None or (m.grid.width, m.grid.height) == (cell, cell) for m in found]
    return Located(
        tuple(m for m, fit in zip(found, fits, strict=True) if fit),
        other_sizes=tuple(m for m, fit in zip(found, fits, strict=True) if not fit),
        notes=() if found else _other_cells(picture),
    )


def _other_cells(picture: images.Picture) -> tuple[str, ...]:
    """Return what is to be said of a picture in which nothing was found, but other cells than upright ones are."""
    box = None if picture.format and picture.lossy else finder.other_cells(picture.pixels)
    if box is None:
        return ()
    (rows, columns), of = box, "a turned grid, hexagons or crystals"
    place = f"{columns.start},{rows.start},{columns.stop - columns.start},{rows.stop - rows.start}"
    return (
        f"the cells around {place} {OTHER_CELLS} ({of}): they cannot be restored, and named with --area they would "
        "be taken for others, which makes the picture worse",
    )


def _found(picture: images.Picture, options: Options, models: Models | None) -> list[Mosaic]:
    # of an array nobody knows where it comes from
    lossy = picture.lossy if picture.format else None
    found = finder.find(
        picture.pixels, lossy=lossy, fast=options.fast, models=models, quantization=picture.quantization
    )
    return [blended(picture.pixels, m) for m in found]


def _showing(pixels: Array, mosaics: Sequence[Mosaic], options: Options, given: int = 0) -> list[Mosaic]:
    """Return the mosaics with what their cells show: as the options or the first, given ones say, else told."""
    if options.cell_value is not None:
        given = 0
    return finder.with_cell_values(pixels, mosaics, options.cell_value, given)


def blended(pixels: Array, m: Mosaic) -> Mosaic:
    """Return the mosaic with its grid blended, if that is how its pixels look: only where it is not in whole pixels."""
    return m if _whole(m.grid) else maths.fit_blending(pixels, m)


def decide(located: Located, options: Options) -> tuple[list[Mosaic], list[Mosaic]]:
    """Return the located mosaics in two lists: what is to be restored, and what is too unsure and stays as it is."""
    least = 0.0 if located.named else threshold(options)
    sure = [m for m in located.mosaics if m.confidence >= least]
    return sure, [m for m in located.mosaics if m.confidence < least]


def threshold(options: Options) -> float:
    """Return the least confidence with which a mosaic that was found is restored."""
    if options.force:
        return 0.0
    return finder.SURE if options.threshold is None else options.threshold


def restore(
    picture: images.Picture,
    mosaics: Sequence[Mosaic],
    options: Options,
    models: Models | None = None,
    *,
    estimated: Estimate | None = None,
) -> Restoration:
    """Restore the given mosaics of a picture.

    Parameters
    ----------
    picture : as `deepix.images` has read it
    mosaics : areas with their grids; must not overlap
    options : `rounding`, `method`, `model`, `detail`, `variants`, `seed`, `restored_map` and `threads` count
    models : that open the network and keep it; None: the process's own
    estimated : what `estimate` gave for these mosaics and options, whose detail does not matter; None: it is made

    Raises
    ------
    InputError : the model's file cannot be read
    DeepixError : a mosaic lies outside the picture, two overlap, there is no refiner, or the result does not agree with
        the input
    """
    pixels = picture.pixels
    check(mosaics, pixels.shape)
    if not mosaics:
        return Restoration(picture, [], 0.0, 0.0, variants=(picture,))
    known = estimated or estimate(picture, mosaics, options, models)
    box = known.box
    seen, inside = _cut(pixels, mosaics, box)
    with threads.limit(options.threads):
        pictures, consistencies = [], []
        for refined in _refined(known, seen, inside, options, models):
            restored = pixels.copy()
            restored[box] = quantized(refined, seen, inside, options.rounding)
            consistencies.append(maths.consistency(restored[box], seen, inside, options.rounding))
            _check_promise(consistencies[-1], known.noise, seen, inside, options.rounding)
            pictures.append(picture.with_pixels(restored))
        doubtful = _map(pictures[0].pixels[box], inside, pixels.shape, box, models) if options.restored_map else None
        spread = None if known.spread is None else _grown(known.spread, options, models)
        if spread is not None and pixels.ndim == 3 and pixels.shape[2] == 3:
            spread = spread * np.float32(CHANNELS)
    return Restoration(
        pictures[0],
        list(mosaics),
        max(consistencies),
        known.noise,
        uncertainty=None if spread is None else _whole_picture(spread, pixels.shape, box),
        detail=options.detail,
        variants=tuple(pictures),
        seed=options.seed,
        restored_map=doubtful,
    )


def estimate(
    picture: images.Picture, mosaics: Sequence[Mosaic], options: Options, models: Models | None = None
) -> Estimate:
    """Return the most probable picture of the given mosaics, of which `restore` makes pictures of any detail.

    Parameters
    ----------
    picture, mosaics, options, models : as of `restore`; there is at least one mosaic

    Raises
    ------
    DeepixError : as `restore`
    """
    check(mosaics, picture.pixels.shape)
    # what is far from all mosaics changes nothing, and a photo is large
    box = _around(mosaics, picture.pixels.shape)
    seen, inside = _cut(picture.pixels, mosaics, box)
    with threads.limit(options.threads), threads.pool(1) as pool:
        noise = pool.submit(maths.noise, seen, inside)
        values, spread = _estimate(seen, inside, options, models)
        return Estimate(box, values, spread, noise.result())


def _cut(pixels: Array, mosaics: Sequence[Mosaic], box: Box) -> tuple[Array, list[Mosaic]]:
    """Return a part of a picture, and the mosaics as they lie in it."""
    return pixels[box], [m.moved(-box[1].start, -box[0].start) for m in mosaics]


def _whole_picture(spread: NDArray[np.float32], shape: tuple[int, ...], box: Box) -> NDArray[np.float32]:
    deviation = np.zeros(shape[:2], np.float32)
    deviation[box] = spread
    return np.broadcast_to(deviation[..., None], shape) if len(shape) == 3 else deviation


def _refined(
    known: Estimate, seen: Array, mosaics: Sequence[Mosaic], options: Options, models: Models | None
) -> Iterator[NDArray[np.float32]]:
    """Yield the estimate with the detail of each variant; the estimate itself where no detail is asked for."""
    values, spread, box = known.values, known.spread, known.box
    if not options.detail or spread is None:
        yield values
        return
    from deepix.restorer import model, refine
    from deepix.restorer.refine_model import load_refiner

    refiner = load_refiner(models)
    refine.check_restorer(refiner, None if options.model is None else str(options.model))
    doubt = spread / np.float32(model.load(options.model or model.DEFAULT, models).calibration)
    for seed in range(options.seed, options.seed + options.variants):
        added = refine.detail(
            values, doubt, seen, mosaics, refiner, seed=seed, origin=(box[1].start, box[0].start)
        )  # fmt: skip
        added *= np.float32(options.detail)
        yield values + (added[..., None] if values.ndim == 3 else added)


def _grown(spread: NDArray[np.float32], options: Options, models: Models | None) -> NDArray[np.float32]:
    """Return the standard deviation of the error with the detail asked for: variances add up."""
    if not options.detail:
        return spread
    from deepix.restorer.refine_model import load_refiner

    growth = load_refiner(models).growth
    return spread * np.float32(math.sqrt(1 + options.detail**2 * (growth**2 - 1)))


def _map(
    restored: Array, mosaics: Sequence[Mosaic], shape: tuple[int, ...], box: Box, models: Models | None
) -> NDArray[np.float32]:
    """Return where the picture of this shape, of which a part was restored, looks restored."""
    from deepix.restorer import refine
    from deepix.restorer.refine_model import load_adversary

    result = np.zeros(shape[:2], np.float32)
    result[box] = refine.restored_map(restored, mosaics, load_adversary(models))
    return result


def without_detail(options: Options) -> Options:
    """Return the options for the most probable picture alone."""
    return replace(options, detail=0.0, variants=1, restored_map=False)


def check(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> None:
    """Check that mosaics lie in a picture of this shape and do not overlap.

    Raises
    ------
    DeepixError : naming the one that does not
    """
    try:
        maths.check(mosaics, shape)
    except ValueError as error:
        raise DeepixError(str(error)) from error


def _around(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Box:
    """Return the part of a picture that the mosaics and all that restorers look at around them lie in."""
    cell = max(max(m.grid.width, m.grid.height) for m in mosaics)
    return around(mosaics, math.ceil(LOOKED_AT * max(cell, 16)), shape)


def _estimate(
    seen: Array, mosaics: Sequence[Mosaic], options: Options, models: Models | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the most probable picture and, from a network, the standard deviation of its error."""
    if options.method == "network":
        from deepix.restorer import model as networks
        from deepix.restorer.network import estimate as estimated

        check_model(options.model)
        model = options.model or networks.DEFAULT
        estimate, spread = estimated(seen, mosaics, model, options.rounding, models=models)
        who = f"the model {model}"
    else:
        from deepix.restorer.smooth import smooth

        estimate, spread, who = smooth(seen, mosaics, options.rounding), None, "the restorer"
    if not np.isfinite(estimate).all():
        raise DeepixError(f"{who} gives values that are not finite: nothing is restored; use another --model or method")
    return estimate, spread


def quantized(
    estimate: NDArray[np.float32], seen: Array, mosaics: Sequence[Mosaic], rounding: Rounding
) -> NDArray[Any]:
    """Return `deepix.mosaic.quantize` of the estimate; large mosaics in bands, side by side."""
    parts = [bands(m) if _whole(m.grid) else [m] for m in mosaics]
    result = maths.quantize(estimate, seen, [part[0] for part in parts if len(part) == 1], rounding)

    def fill(m: Mosaic) -> None:
        box = m.box
        there = m.area.reshape(m.height, m.width, *(1,) * (seen.ndim - 2))
        values = maths.quantize(estimate[box], seen[box], [m.moved(-m.x, -m.y)], rounding)
        np.copyto(result[box], values, where=there)

    with threads.pool() as pool:
        list(pool.map(fill, (band for part in parts if len(part) > 1 for band in part)))
    return result


def _check_promise(
    consistency: float, noise: float, seen: Array, mosaics: Sequence[Mosaic], rounding: Rounding
) -> None:
    """Raise if the restoration does not pixelate to the input: exactly, or as nearly as the input itself allows.

    Where the tiles are intact nothing may be left, and 1 level where a lossy file disturbed them, a grid is blended, or
    cells show means of light.
    Near both ends of the range side by side no picture attains the cells of a blended grid: there the restoration must
    come within that 1 level of what the input's own projection leaves.
    """
    resized = [m for m in mosaics if isinstance(m.cells, maths.BlendedCells)]
    allowed = 1.0 if noise > 0 or resized or any(m.cell_value.kind == "linear" for m in mosaics) else 0.0
    if resized and consistency > allowed:
        own = maths.quantize(seen.astype(np.float32), seen, resized, rounding)
        allowed += maths.consistency(own, seen, resized, rounding)
    if not consistency <= allowed:
        raise DeepixError(
            f"the restoration does not agree with the input: pixelated again, it is off by {consistency:g} levels "
            f"where at most {allowed:g} can be; nothing is restored, please report it"
        )


def _whole(g: maths.Grid) -> bool:
    """Whether the grid is one of whole pixels."""
    return all(float(v).is_integer() for v in (g.x, g.y, g.width, g.height))
