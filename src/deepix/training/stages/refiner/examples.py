"""The refiner's examples: made once of photos by trained restorers, and what a step sees of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepix import files, sources
from deepix.errors import DeepixError, InputError
from deepix.restorer.refine_model import UNIT
from deepix.training import operators, weights
from deepix.training.data import random_mosaics, stored
from deepix.training.data.crops import Crops
from deepix.training.data.preparing import Loaded, prepare_batch
from deepix.training.data.random_mosaics import Ranges
from deepix.training.data.samples import Sample
from deepix.training.engine.batches import Indices
from deepix.training.networks.refiner import Restored

SIDE = 96
"""Of an example, in pixels."""
AREA, CELL = (24, 88), (3, 16)
"""Sides of the areas and of the cells, from and to, in pixels."""
SCALE, RATIO = (0.04, 0.5), (0.85, 1.18)
"""Shares of a photo that an example shows, at its own size or reduced up to three times; of its width to its height."""
OBLONG = 4
"""Cells of every fourth example need not be square."""
BATCH = 8
"""Examples that are restored at a time."""


class Examples(NamedTuple):
    """Examples in memory.

    Attributes
    ----------
    truth : uint8 (N, S, S): luminance
    restored, deviation : float16 (N, S, S), in units of white: a restoration, and the predicted deviation of its error
        (calibrated by nothing but `deepix.restorer.refine_model.UNIT`)
    rectangles : int16 (N, M, 8): the mosaics, as of `random_mosaics.draw`
    restorer : uint8 (N,): which of `restorers`
    photo : int32 (N,): of which photo
    restorers : str (R,): what they are called
    digests : str (R,): SHA-256 of the models that they are used as (their .onnx files)
    """

    truth: NDArray[np.uint8]
    restored: NDArray[np.float16]
    deviation: NDArray[np.float16]
    rectangles: NDArray[np.int16]
    restorer: NDArray[np.uint8]
    photo: NDArray[np.int32]
    restorers: NDArray[np.str_]
    digests: NDArray[np.str_]


class _Restorers(NamedTuple):
    """What `Examples` say of their restorers."""

    digests: NDArray[np.str_]


class Batch(NamedTuple):
    """Examples as they are, and what turns of a step leave each other.

    Attributes
    ----------
    truth, restored, deviation : float32 (B, 1, S, S), in units of white
    rectangles : int64 (B, M, 8)
    made : by the turn before
    """

    truth: Tensor
    restored: Tensor
    deviation: Tensor
    rectangles: Tensor
    made: dict[str, Any]


def prepare(
    paths: Sequence[tuple[Path, float]], output: Path, restorers: Sequence[Path], seed: int = 0, most: int | None = None
) -> Examples:
    """Draw examples and write them into an .npz file.

    Parameters
    ----------
    paths : files of photos, each with how many examples are drawn of a photo (a fraction: of as many photos)
    output : the file; replaced if it exists
    restorers : weights that predict deviations, with the models made of them (.onnx) beside them; they take turns, one
        that is named twice more often
    seed : of everything
    most : examples, evenly spread; None: all

    Raises
    ------
    InputError : a file cannot be read, or no photo can be used
    OutputError : the output cannot be written
    """
    networks = [weights.load(path) for path in restorers]
    digests = [digest(path.with_suffix(".onnx")) for path in restorers]
    drawn, photo = _crops(paths, seed)
    if not len(drawn):
        raise InputError(f"{', '.join(str(path) for path, _ in paths)}: no photos of {SIDE} x {SIDE} pixels at least")
    chosen = np.random.default_rng([seed, 2]).permutation(len(drawn))[:most]
    drawn, photo = drawn[chosen], photo[chosen]
    generator = torch.Generator().manual_seed(seed)
    count = len(drawn)
    rectangles = random_mosaics.draw(count, SIDE, SIDE, _ranges(square=True), generator)
    oblong = random_mosaics.draw(count, SIDE, SIDE, _ranges(square=False), generator)
    rectangles[::OBLONG] = oblong[::OBLONG]
    restored, deviation = np.empty((2, count, SIDE, SIDE), np.float16)
    which = (np.arange(count) // BATCH % len(networks)).astype(np.uint8)
    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        estimate = _restored(networks[which[start]], drawn[part], rectangles[part])
        restored[part] = estimate.picture[:, 0].numpy()
        deviation[part] = UNIT * estimate.deviation[:, 0].numpy()
    examples = Examples(
        drawn, restored, deviation, rectangles.numpy().astype(np.int16), which, photo,
        np.array([path.name for path in restorers]), np.array(digests),
    )  # fmt: skip
    stored.write(output, examples)
    return examples


def _ranges(square: bool) -> Ranges:
    return Ranges(width=AREA, height=AREA, cell=CELL, square=square, corner=False)


def _crops(paths: Sequence[tuple[Path, float]], seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return crops of photos in gray, and of which photo each is."""
    parts, photos, number = [], [], 0
    for path, times in paths:
        for _, item, count in stored.shared_out(sources.read(path).items, times):
            number += 1
            if not count:
                continue
            crops = Crops(number=count, size=SIDE, scale=SCALE, ratio=RATIO, seed=seed)
            (made,) = prepare_batch([Loaded(number, item.name, item.load())], crops)
            if not isinstance(made, str):
                parts.append(made)
                photos += [number] * len(made)
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE), np.uint8), np.array(photos, np.int32)


@torch.no_grad()
def _restored(network: Any, pixels: NDArray[np.uint8], rectangles: Tensor) -> Any:
    network.offset = 0.0  # cells hold their means exactly
    truth = torch.from_numpy(pixels)[:, None].float() / 255
    mosaics = random_mosaics.from_rectangles(rectangles, SIDE, SIDE)
    return network.estimate(Sample(None, operators.pixelate(truth, mosaics, truncate=False), mosaics))


def digest(path: Path) -> str:
    """Return a file's SHA-256.

    Raises
    ------
    InputError : it cannot be read
    """
    return hashlib.sha256(files.read_bytes(path)).hexdigest()


def read(path: Path) -> Examples:
    """Read what `prepare` wrote; raises as `stored.read`."""
    return stored.read(path, Examples, "refiner")


def outdated(path: Path, restorers: Sequence[Path]) -> bool:
    """Return whether examples are of other restorers than these; raises as `read` and `digest`."""
    made = stored.read(path, _Restorers, "refiner")  # the pictures are many
    return set(made.digests.tolist()) != {digest(r.with_suffix(".onnx")) for r in restorers}


def batch_of(examples: Examples, indices: Indices) -> Batch:
    """Return some of the examples as they are."""
    truth, restored, deviation, rectangles = (torch.from_numpy(part[indices]) for part in examples[:4])
    return Batch(
        truth[:, None].float() / 255, restored[:, None].float(), deviation[:, None].float(), rectangles.long(), {}
    )  # fmt: skip


def augmented(batch: Batch, generator: torch.Generator) -> Batch:
    """Return the examples mirrored and turned at random, each by itself."""
    across, down, turn = torch.rand(3, len(batch.truth), generator=generator) < 0.5
    side = batch.truth.shape[-1]
    rectangles = batch.rectangles
    rectangles = torch.where(across[:, None, None], _mirrored(rectangles, 0, side), rectangles)
    rectangles = torch.where(down[:, None, None], _mirrored(rectangles, 1, side), rectangles)
    rectangles = torch.where(turn[:, None, None], rectangles[..., [1, 0, 3, 2, 5, 4, 7, 6]], rectangles)

    def moved(x: Tensor) -> Tensor:
        x = torch.where(across[:, None, None, None], x.flip(3), x)
        x = torch.where(down[:, None, None, None], x.flip(2), x)
        return torch.where(turn[:, None, None, None], x.mT, x)

    return Batch(moved(batch.truth), moved(batch.restored), moved(batch.deviation), rectangles, batch.made)


def _mirrored(rectangles: Tensor, axis: int, side: int) -> Tensor:
    """Return rectangles as of `random_mosaics.draw` after their pictures were mirrored along an axis (0: x, 1: y)."""
    start, length, grid, cell = (rectangles[..., k + axis] for k in (0, 2, 4, 6))
    cells = torch.div(start + length - grid + cell - 1, cell.clamp(min=1), rounding_mode="floor")
    result = rectangles.clone()
    there = length > 0
    result[..., axis] = torch.where(there, side - start - length, 0)
    result[..., 4 + axis] = torch.where(there, side - grid - cells * cell, 0)
    return result


def restored(batch: Batch) -> Restored:
    """Return the restorations of a batch as a refiner gets them.

    Raises
    ------
    DeepixError : a rectangle does not lie in its picture
    """
    height, width = batch.truth.shape[2:]
    try:
        mosaics = random_mosaics.from_rectangles(batch.rectangles, height, width)
    except ValueError as error:
        raise DeepixError(f"examples of the refiner: {error}") from error
    pixelated = operators.pixelate(batch.truth, mosaics, truncate=False)
    # half precision moved the restoration a little: projected, it agrees again
    picture = operators.project(batch.restored, pixelated, mosaics)
    return Restored(picture, torch.where(mosaics.known, 0, batch.deviation), pixelated, mosaics)
