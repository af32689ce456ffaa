"""What `deepix demo` shows: real pictures pixelated, found and restored, side by side."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepix import api, draw, files, images, pipeline
from deepix import mosaic as maths
from deepix.errors import DeepixError
from deepix.inference.models import shipped
from deepix.mosaic import Grid, Mosaic
from deepix.options import Options
from deepix.restorer.refine_model import REFINER

log = logging.getLogger(__name__)

SAMPLES = ("astronaut", "chelsea", "coffee", "rocket", "camera")
"""Photographs that lie in scikit-image's own package, read without a network."""

SEED = 20
"""Of the areas: all of them lie where a mosaic can be seen (one of a flat wall looks as the wall did)."""

HIDDEN = "astronaut"
"""The photograph that is pixelated in several shapes and saved as a JPEG file of this …"""
QUALITY = 80


@dataclass(frozen=True)
class Row:
    """What became of a picture: mosaics made and found, RMSE over the unknown pixels before and after (0–255)."""

    name: str
    true: int | None
    found: int
    before: float | None
    after: float | None
    comparison: Path | None
    failed: bool = False


def run(folder: Path, inputs: Sequence[Path]) -> Iterator[Row]:
    """Write comparisons of the samples and of the user's own pictures into the folder.

    What is being done is logged, one line for each picture.

    Parameters
    ----------
    folder : made when missing; an earlier demo's pictures in it are replaced
    inputs : pictures of the user's that are pixelated already; a file that fails is named and yields a failed row

    Raises
    ------
    ModuleNotFoundError : scikit-image, which has the samples, is not installed, and there are no inputs
    OutputError : the folder cannot be written
    """
    files.make_folder(folder)
    try:
        from skimage import data
    except ModuleNotFoundError:
        if not inputs:
            raise
        log.info("scikit-image is not installed: without its sample pictures (pip install 'deepix[demo]')")
    else:
        yield from _samples(folder, data)
    for path in inputs:
        log.info("%s: find, restore", path)
        try:
            yield _own(folder, path)
        except DeepixError as error:
            log.error("%s", error)
            yield Row(str(path), None, 0, None, None, None, failed=True)


def _samples(folder: Path, data: Any) -> Iterator[Row]:
    for number, name in enumerate(SAMPLES):
        log.info("%s: pixelate, find, restore", name)
        truth = getattr(data, name)()
        mosaics = maths.random_mosaics(truth.shape, 3, np.random.default_rng(SEED + number), cells=(6, 24))
        yield _sample(folder, name, truth, mosaics, ".png")
    log.info("%s: pixelate in three shapes, save as JPEG, find, restore", HIDDEN)
    yield _sample(folder, f"{HIDDEN}_jpeg", getattr(data, HIDDEN)(), shapes(), ".jpg")


def shapes() -> list[Mosaic]:
    """Return an ellipse, a rectangle and a diamond of a picture of 512 x 512 pixels."""
    v, u = np.mgrid[-1:1:152j, -1:1:120j]
    ellipse = u**2 + v**2 <= 1
    v, u = np.mgrid[-1:1:150j, -1:1:110j]
    diamond = np.abs(u) + np.abs(v) <= 1
    return [
        Mosaic(165, 40, 120, 152, Grid(170, 43, 9, 9), ellipse),
        Mosaic(60, 330, 168, 126, Grid(60, 330, 14, 14)),
        Mosaic(360, 110, 110, 150, Grid(360, 110, 7, 7), diamond),
    ]


def _sample(folder: Path, name: str, truth: api.Array, mosaics: Sequence[Mosaic], suffix: str) -> Row:
    """Pixelate a picture into a file, restore that without any option, and write the comparison."""
    pixelated, restored = folder / f"{name}_pixelated{suffix}", folder / f"{name}_restored.png"
    made = images.from_array(maths.pixelate(truth, mosaics))
    images.write(made, pixelated, overwrite=True, quality=QUALITY)
    result = api.restore(pixelated)
    result.save(restored, overwrite=True)
    given = images.read(pixelated)
    before, after = given.pixels, images.read(restored).pixels
    captions = {
        "pixelated": images.from_array(before),
        "restored": images.from_array(after),
        **_with_detail(given),
        "original": images.from_array(truth),
    }
    comparison = _compare(folder / f"{name}_compare.png", captions)
    unknown = maths.unknown(mosaics, truth.shape)
    error, left = rmse(before, truth, unknown), rmse(after, truth, unknown)
    return Row(name, len(mosaics), len(result.mosaics), error, left, comparison)


def _own(folder: Path, path: Path) -> Row:
    picture = images.read(path)
    result = pipeline.run(picture, Options())
    if not result.mosaics:
        return Row(str(path), None, 0, None, None, None)
    result.save(images.default_output(path, folder / f"{path.stem}_restored{path.suffix}"), overwrite=True)
    comparison = _compare(
        folder / f"{path.stem}_compare.png", {"input": picture, "restored": result.picture, **_with_detail(picture)}
    )
    return Row(str(path), None, len(result.mosaics), None, None, comparison)


def _with_detail(picture: images.Picture) -> dict[str, images.Picture]:
    """Return the picture restored with all detail under its caption; nothing without a trained refiner."""
    if REFINER not in shipped():
        return {}
    return {"with detail: a guess": pipeline.run(picture, Options(detail=1.0)).picture}


def rmse(estimate: api.Array, truth: api.Array, unknown: api.Array) -> float:
    """Return the root mean square error over the unknown pixels, in the pictures' unit."""
    difference = estimate[unknown].astype(np.float64) - truth[unknown]
    return float(np.sqrt((difference**2).mean()))


def _compare(path: Path, pictures: Mapping[str, images.Picture]) -> Path:
    shown = [(caption, images.preview(picture)) for caption, picture in pictures.items()]
    images.write(images.from_pil(draw.side_by_side(shown)), path, overwrite=True)
    return path
