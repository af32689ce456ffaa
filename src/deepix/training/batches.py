"""What a step of training and a validation see: functions of the seed and the step alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepix import challenge
from deepix.errors import DeepixError, InputError
from deepix.training import mosaics, pictures
from deepix.training.mosaics import Ranges
from deepix.training.settings import Augment, Settings

HELD_OUT = 1000
"""Held-out pictures in a validation, unless the settings say how many."""


def ranges(settings: Settings) -> Ranges:
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


def seed_of(*numbers: int) -> int:
    """Return one seed made from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


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


class Batches:
    """The training pictures as an endless row of (step, uint8 batch) for one of several processes.

    The row is one random order of all pictures after another, cut into batches; so every picture comes equally often.
    """

    def __init__(self, pixels: NDArray[np.uint8], indices: NDArray[np.int64], batch: int, seed: int) -> None:
        self.pixels, self.indices, self.batch, self.seed = pixels, indices, batch, seed
        self.start, self.rank, self.world = 0, 0, 1
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for step in itertools.count(self.start):
            yield step, torch.from_numpy(self.pixels[self.chosen(step)[self.rank :: self.world]])

    def chosen(self, step: int) -> NDArray[np.int64]:
        """Return which pictures a step sees, in all processes together."""
        n = len(self.indices)
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        return np.concatenate([self._order(int(e))[places[places // n == e] % n] for e in np.unique(places // n)])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e >= epoch - 1}
            rng = np.random.default_rng([self.seed, epoch])
            self._orders[epoch] = self.indices[rng.permutation(len(self.indices))]
        return self._orders[epoch]


class Validation:
    """Fixed pictures with fixed mosaics: uint8 (N, H, W[, 3]) and int64 (N, M, 8) as of `mosaics.draw`."""

    def __init__(self, pixels: NDArray[np.uint8], rectangles: NDArray[np.int64], batch: int) -> None:
        self.pixels, self.rectangles, self.batch = pixels, rectangles, batch
        self.rank, self.world = 0, 1

    def __len__(self) -> int:
        return math.ceil(len(self.pixels) / (self.batch * self.world))

    def __iter__(self) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        for i in range(len(self)):  # as many in every process; the last ones of some may be empty
            yield self.some(np.arange(len(self.pixels))[self.rank :: self.world][i * self.batch :][: self.batch])

    def some(self, indices: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
        """Return some of the pictures and their rectangles."""
        return torch.from_numpy(self.pixels[indices]), self.rectangles[indices]


def held_out(packed: pictures.Packed, settings: Settings) -> tuple[NDArray[np.int64], Validation]:
    """Return which pictures to train on, and the validation set; crops of one picture stay together."""
    if settings.validate is not None:
        return np.arange(len(packed)), validation_set(settings)
    originals = np.random.default_rng([settings.seed, 1]).permutation(int(packed.groups[-1]) + 1)
    if len(originals) < 2:
        raise InputError(f"{settings.data}: one picture is too few to hold one out; give --validate")
    is_held = np.isin(packed.groups, originals[: max(1, len(originals) // 10)])
    held, trained = np.flatnonzero(is_held), np.flatnonzero(~is_held)
    count = min(settings.validate_count or HELD_OUT, len(held))
    return trained, _with_random_mosaics(packed.pixels[held[_spread(len(held), count)]], settings)


def validation_set(settings: Settings) -> Validation:
    """Return the pictures of `settings.validate`, with the file's mosaics, or fixed random ones if it is a packed one.

    Raises
    ------
    InputError : the file cannot be read, or is neither
    """
    assert settings.validate is not None
    if Path(settings.validate).suffix == ".npy":
        pixels = pictures.open_packed(settings.validate).pixels
        return _with_random_mosaics(pixels[_spread(len(pixels), settings.validate_count)], settings)
    examples = challenge.read_examples(settings.validate)
    chosen = _spread(len(examples.images), settings.validate_count)
    ours = [examples.mosaics[i] for i in chosen]
    rectangles = [[(m.x, m.y, m.width, m.height, m.grid.x, m.grid.y, m.grid.width, m.grid.height)] for m in ours]
    return Validation(examples.images[chosen], np.array(rectangles, np.int64), settings.batch)


def _spread(length: int, count: int | None) -> NDArray[np.int64]:
    return np.linspace(0, length - 1, min(count or length, length)).round().astype(np.int64)


def _with_random_mosaics(pixels: NDArray[np.uint8], settings: Settings) -> Validation:
    generator = torch.Generator().manual_seed(seed_of(settings.seed, 2))
    count, height, width = pixels.shape[:3]
    drawn = mosaics.draw(count, height, width, ranges(settings), generator)
    return Validation(pixels, drawn.numpy(), settings.batch)
