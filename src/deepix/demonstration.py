"""What `deepix demo` shows: real pictures pixelated, found and restored, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepix import files, images, restoration, views
from deepix import mosaic as maths
from deepix.errors import DeepixError

SAMPLES = ("astronaut", "chelsea", "coffee", "rocket", "camera")
"""Photographs that lie in scikit-image's own package, read without a network."""

SEED = 20
"""Of the areas: all of them lie where a mosaic can be seen (one of a flat wall looks as the wall did)."""


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


def run(folder: Path, inputs: Sequence[Path], say: Callable[[str], None] | None = None) -> Iterator[Row]:
    """Write comparisons of the samples and of the user's own pictures into the folder.

    Parameters
    ----------
    folder : made when missing; an earlier demo's pictures in it are replaced
    inputs : pictures of the user's that are pixelated already; a file that fails is named and yields a failed row
    say : gets one line for each picture as work on it begins

    Raises
    ------
    ModuleNotFoundError : scikit-image is not installed
    OutputError : the folder cannot be written
    """
    from skimage import data

    files.make_folder(folder)
    for number, name in enumerate(SAMPLES):
        if say:
            say(f"{name}: pixelate, find, restore")
        truth = getattr(data, name)()
        mosaics = maths.random_mosaics(truth.shape, 3, np.random.default_rng(SEED + number), cells=(6, 24))
        pixelated = maths.pixelate(truth, mosaics)
        result = restoration.restore(pixelated)
        captions = {"pixelated": pixelated, "restored": result.image, "original": truth}
        pictures = {caption: images.from_array(array) for caption, array in captions.items()}
        for caption in ("pixelated", "restored"):
            images.write(pictures[caption], folder / f"{name}_{caption}.png", overwrite=True)
        unknown = maths.unknown(mosaics, truth.shape)
        before, after = (rmse(array, truth, unknown) for array in (pixelated, result.image))
        comparison = _compare(folder / f"{name}_compare.png", pictures)
        yield Row(name, len(mosaics), len(result.mosaics), before, after, comparison)
    for path in inputs:
        if say:
            say(f"{path}: find, restore")
        try:
            yield _own(folder, path)
        except DeepixError as error:
            if say:
                say(f"error: {error}")
            yield Row(str(path), None, 0, None, None, None, failed=True)


def _own(folder: Path, path: Path) -> Row:
    picture = images.read(path)
    result = restoration.restore_picture(picture, restoration.locate(picture))
    if not result.mosaics:
        return Row(str(path), None, 0, None, None, None)
    result.save(images.default_output(path, folder / f"{path.stem}_restored{path.suffix}"), overwrite=True)
    comparison = _compare(folder / f"{path.stem}_compare.png", {"input": picture, "restored": result.picture})
    return Row(str(path), None, len(result.mosaics), None, None, comparison)


def rmse(estimate: restoration.Array, truth: restoration.Array, unknown: restoration.Array) -> float:
    """Return the root mean square error over the unknown pixels, in the pictures' unit."""
    difference = estimate[unknown].astype(np.float64) - truth[unknown]
    return float(np.sqrt((difference**2).mean()))


def _compare(path: Path, pictures: Mapping[str, images.Picture]) -> Path:
    shown = [(caption, images.to_pil(picture)) for caption, picture in pictures.items()]
    images.write(images.from_pil(views.side_by_side(shown)), path, overwrite=True)
    return path
