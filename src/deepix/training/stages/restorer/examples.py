"""What a restorer's step of training and validation see: pictures, and where they are pixelated."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepix import challenge, files, sources
from deepix.errors import DeepixError, InputError
from deepix.training import operators
from deepix.training.data import packing, preparing, random_mosaics
from deepix.training.data.crops import Crops
from deepix.training.data.packed import Packed, information_path, open_packed
from deepix.training.data.random_mosaics import Ranges
from deepix.training.data.samples import Sample
from deepix.training.engine.batches import Batches, Indices, Validation, seed_of, spread
from deepix.training.engine.log import first_process, log
from deepix.training.engine.stage import Data
from deepix.training.stages.restorer.settings import Augment, RestorerSettings

PICTURES = "pictures.npy"
"""The pictures in a run's folder if they were packed for it."""

FEW = 100
"""Validation pictures below which their score says little."""

HELD_OUT = 1000
"""Held-out pictures in a validation, unless the settings say how many."""


def ranges(settings: RestorerSettings) -> Ranges:
    """Return from what a run's mosaics are drawn.

    Raises
    ------
    DeepixError : not ranges of mosaics
    """
    try:
        # JSON has no tuples
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.ranges.items()}
        return Ranges(**given)
    except (TypeError, ValueError) as error:
        raise DeepixError(f"mosaics: {error}") from error


def as_pictures(pixels: Tensor) -> Tensor:
    """Return uint8 (B, H, W) or (B, H, W, 3) as float32 (B, C, H, W) in [0, 1]."""
    planes = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return planes.float().div_(255)


def augmented(truth: Tensor, kind: Augment, generator: torch.Generator) -> Tensor:
    """Return the pictures (B, C, H, W), each mirrored ("flips") and also turned by 90° ("rotations") at random."""
    if kind == "none":
        return truth
    coins = torch.rand(3, len(truth), 1, 1, 1, generator=generator).to(truth.device, non_blocking=True) < 0.5
    truth = torch.where(coins[0], truth.flip(3), truth)
    if kind == "rotations":
        truth = torch.where(coins[1], truth.flip(2), truth)
        truth = torch.where(coins[2], truth.mT, truth)
    return truth


def patches(truth: Tensor, side: int | None, generator: torch.Generator) -> Tensor:
    """Return a random square part of each picture (B, C, H, W); None: the whole."""
    if side is None:
        return truth
    b, c, height, width = truth.shape
    y, x = (torch.randint(0, max(length - side, 0) + 1, (b, 1), generator=generator) for length in (height, width))
    rows, columns = (
        (start + torch.arange(min(side, length))).to(truth.device) for start, length in ((y, height), (x, width))
    )
    across = columns[:, None, None, :].expand(-1, c, height, -1)
    down = rows[:, None, :, None].expand(-1, c, -1, columns.shape[1])
    return truth.gather(3, across).gather(2, down)


class Fixed(Validation):
    """Fixed pictures with fixed mosaics: uint8 (N, H, W[, 3]) and int64 (N, M, 8) as of `random_mosaics.draw`."""

    def __init__(self, pixels: NDArray[np.uint8], rectangles: NDArray[np.int64], batch: int) -> None:
        super().__init__(len(pixels), batch, self._load)
        self.pixels, self.rectangles = pixels, rectangles

    def _load(self, indices: Indices) -> tuple[Tensor, NDArray[np.int64]]:
        return torch.from_numpy(self.pixels[indices]), self.rectangles[indices]

    def identity(self, truncate: bool) -> str:
        """Return a checksum of pictures, mosaics and how they are cut off: scores can be compared if it is the same."""
        digest = hashlib.sha256(self.pixels.tobytes())
        digest.update(self.rectangles.tobytes())
        digest.update(json.dumps(truncate).encode())
        return digest.hexdigest()


def fixed_sample(part: tuple[Tensor, NDArray[np.int64]], truncate: bool, device: torch.device) -> Sample:
    """Return some of a validation set, pictures and rectangles, as a network gets them."""
    pixels, rectangles = part
    truth = as_pictures(pixels.to(device))
    height, width = truth.shape[2:]
    ours = random_mosaics.from_rectangles(torch.from_numpy(rectangles), height, width, device)
    return Sample(truth, operators.pixelate(truth, ours, truncate), ours)


def open_data(settings: RestorerSettings, keep: bool) -> Data:
    """Return what a run trains on and validates with; see `Stage.open`.

    Raises
    ------
    InputError : the data or the validation file cannot be used
    DeepixError : mosaics that do not fit the pictures
    """
    packed = _packed(settings, keep)
    height, width = packed.pixels.shape[1:3]
    try:
        random_mosaics.draw(1, height, width, ranges(settings))
    except ValueError as error:
        raise DeepixError(f"{settings.data}: {error}") from error
    indices, validation = held_out(packed, settings)
    notes = []
    if validation.count < FEW:
        notes.append(f"validation pictures: only {validation.count}; {FEW} or more give a score that can be trusted")
    about = {
        "file": settings.data,
        "sha256": packed.info["sha256"],
        "training_pictures": len(indices),
        "validation_pictures": validation.count,
        "picture_shape": list(packed.pixels.shape[1:]),
    }

    def load(step: int, chosen: Indices, rank: int) -> Tensor:
        return torch.from_numpy(packed.pixels[chosen])

    return Data(Batches(indices, settings.batch, settings.seed, load), validation, about, tuple(notes))


def _packed(settings: RestorerSettings, keep: bool) -> Packed:
    """Open the packed pictures, or pack them into the run's folder, where they are kept if training has begun."""
    data, ours = Path(settings.data), Path(settings.run) / PICTURES
    if data.suffix == ".npy" and information_path(data).exists():
        return open_packed(data)
    if first_process() and not (keep and ours.exists()):
        packing.read(data)  # what cannot be read at all shows before anything is written
        files.make_folder(ours.parent)
        log.info(f"packing the pictures of {data} into {ours}")
        crops = None if settings.crops is None else Crops(settings.crops, seed=settings.seed)
        report = packing.pack([data], ours, crops=crops, overwrite=True)
        if report.skipped:
            log.warning(
                f"note: {len(report.skipped)} of {report.read} pictures could not be used, such as {report.skipped[0]}"
            )
    return open_packed(ours)


def held_out(packed: Packed, settings: RestorerSettings) -> tuple[Indices, Fixed]:
    """Return which pictures to train on, and the validation set; crops of one picture stay together."""
    if settings.validate is not None:
        return np.arange(len(packed)), validation_set(settings)
    originals = np.random.default_rng([settings.seed, 1]).permutation(int(packed.groups[-1]) + 1)
    if len(originals) < 2:
        raise InputError(f"{settings.data}: one picture is too few to hold one out; give --validate")
    is_held = np.isin(packed.groups, originals[: max(1, len(originals) // 10)])
    held, trained = np.flatnonzero(is_held), np.flatnonzero(~is_held)
    count = min(settings.validate_count or HELD_OUT, len(held))
    return trained, _with_random_mosaics(packed.pixels[held[spread(len(held), count)]], settings)


def validation_set(settings: RestorerSettings) -> Fixed:
    """Return the pictures of `settings.validate`, with the file's mosaics, or fixed random ones if it is a packed one.

    Raises
    ------
    InputError : the file cannot be read, or is neither
    """
    assert settings.validate is not None
    if Path(settings.validate).suffix == ".npy":
        pixels = open_packed(settings.validate).pixels
        return _with_random_mosaics(pixels[spread(len(pixels), settings.validate_count)], settings)
    examples = challenge.read_examples(settings.validate)
    chosen = spread(len(examples.images), settings.validate_count)
    ours = [examples.mosaics[i] for i in chosen]
    rectangles = [[(m.x, m.y, m.width, m.height, m.grid.x, m.grid.y, m.grid.width, m.grid.height)] for m in ours]
    return Fixed(examples.images[chosen], np.array(rectangles, np.int64), settings.batch)


def of_kind(file: Path, begin: str, crops: Crops | None, settings: RestorerSettings) -> Fixed:
    """Return crops of those pictures of a file whose names begin so, with fixed random mosaics.

    Parameters
    ----------
    file : see `sources.read`
    begin : of names, without folders
    crops : how they are cut out; None: prepared as the challenge does it
    settings : ranges of the mosaics

    Raises
    ------
    InputError : the file cannot be read, or a picture in it cannot, or none has such a name
    """
    chosen = (item for item in sources.read(file).items if Path(item.name.rpartition(":")[2]).name.startswith(begin))
    made = [preparing.prepare(preparing.Loaded(i, item.name, item.load()), crops) for i, item in enumerate(chosen)]
    for why in made:
        if isinstance(why, str):
            raise InputError(why)
    if not made:
        raise InputError(f"{file}: no picture in it has a name that begins with '{begin}'")
    return _with_random_mosaics(np.concatenate(made), settings)


def _with_random_mosaics(pixels: NDArray[np.uint8], settings: RestorerSettings) -> Fixed:
    generator = torch.Generator().manual_seed(seed_of(settings.seed, 2))
    count, height, width = pixels.shape[:3]
    drawn = random_mosaics.draw(count, height, width, ranges(settings), generator)
    return Fixed(pixels, drawn.numpy(), settings.batch)
