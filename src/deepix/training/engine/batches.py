"""Which examples a step of training and a validation see: functions of the seed and the step alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def seed_of(*numbers: int) -> int:
    """Return one seed made from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Batches:
    """The training examples as an endless row of (step, batch), for one of several processes.

    The row is one random order of all examples after another, cut into batches; so every one comes equally often.

    Parameters
    ----------
    indices : int64, of the examples to train on
    batch : examples in a step, of all processes together
    seed : decides the orders
    load : returns the batch of (step, indices of this process's examples, this process)
    """

    def __init__(self, indices: Indices, batch: int, seed: int, load: Callable[[int, Indices, int], Any]) -> None:
        self.indices, self.batch, self.seed, self.load = indices, batch, seed, load
        self.start, self.rank, self.world = 0, 0, 1
        self._orders: dict[int, Indices] = {}

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for step in itertools.count(self.start):
            yield step, self.load(step, self.chosen(step)[self.rank :: self.world], self.rank)

    def chosen(self, step: int) -> Indices:
        """Return which examples a step sees, in all processes together."""
        n = len(self.indices)
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        return np.concatenate([self._order(int(e))[places[places // n == e] % n] for e in np.unique(places // n)])

    def _order(self, epoch: int) -> Indices:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e >= epoch - 1}
            rng = np.random.default_rng([self.seed, epoch])
            self._orders[epoch] = self.indices[rng.permutation(len(self.indices))]
        return self._orders[epoch]


class Validation:
    """Fixed examples in batches, for one of several processes.

    Parameters
    ----------
    count : how many there are
    batch : how many at once
    load : returns the batch of some indices
    """

    def __init__(self, count: int, batch: int, load: Callable[[Indices], Any]) -> None:
        self.count, self.batch, self.load = count, batch, load
        self.rank, self.world = 0, 1

    def __len__(self) -> int:
        return math.ceil(self.count / (self.batch * self.world))

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self)):  # as many in every process; the last ones of some may be empty
            yield self.load(np.arange(self.count)[self.rank :: self.world][i * self.batch :][: self.batch])

    def some(self, count: int) -> Any:
        """Return a batch of this many examples, evenly spread."""
        return self.load(spread(self.count, count))


def spread(length: int, count: int | None) -> Indices:
    """Return `count` of the indices 0 … length − 1, evenly spread; None: all."""
    return np.linspace(0, length - 1, min(count or length, length)).round().astype(np.int64)
