"""What a locator reaches on fixed examples."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepix.training.engine.batches import Validation
from deepix.training.networks import Network
from deepix.training.stages.locator.examples import KINDS, MOST, Batch, Cache, batch_of
from deepix.training.stages.locator.targets import Target, target_of, whole

FOUND = 0.75
"""Least overlap of a mosaic with what is said of its surroundings to count as found."""
_OF_KIND = ("mosaics", "found", "overlap", "without", "alarms")
_OF_ALL = ("loss", "batches", "hit", "said", "true", "size_error", "inside")


TALLIED = len(_OF_KIND) * len(KINDS) + len(_OF_ALL)
"""How many sums a `tally` has."""


def tally(maps: Tensor, target: Target, kinds: Tensor) -> Tensor:
    """Return sums that `Score.of` makes scores of: float64 (`_OF_KIND` times kinds, then `_OF_ALL`)."""
    sums = torch.zeros(len(KINDS), len(_OF_KIND), dtype=torch.float64)
    said = maps[:, 0].sigmoid() * (target.weight[:, 0] > 0)
    share, mosaic = target.share[:, 0], target.mosaic[:, 0]
    joined = functional.max_pool2d(-said[:, None], 2, 1)  # 2x2 places together: a single one is no alarm
    loudest = -joined.flatten(1).min(dim=1).values
    for i, kind in enumerate(kinds.tolist()):
        present = [k for k in range(1, 1 + MOST) if bool((mosaic[i] == k).any())]
        if not present:
            sums[kind, 3] += 1
            sums[kind, 4] += float(loudest[i] >= 0.5)
        for k in present:
            own = mosaic[i] == k
            rows, columns = (torch.nonzero(own.any(dim=d)).flatten() for d in (1, 0))
            box = (
                slice(max(int(rows[0]) - 4, 0), int(rows[-1]) + 5),
                slice(max(int(columns[0]) - 4, 0), int(columns[-1]) + 5),
            )
            mine = own[box] | (mosaic[i][box] == 0)
            a, b = said[i][box][mine], share[i][box][mine]
            overlap = float(torch.minimum(a, b).sum() / torch.maximum(a, b).sum())
            sums[kind, :3] += torch.tensor([1, float(overlap >= FOUND), overlap])
    loss = whole(maps, target)
    says, is_true = said >= 0.5, (share >= 0.5) & (target.weight[:, 0] > 0)
    error = ((maps[:, 2:] - target.size).abs() * target.inside).sum() / 2
    rest = [loss, torch.ones(()), (says & is_true).sum(), says.sum(), is_true.sum(), error, target.inside.sum()]
    return torch.cat([sums.flatten(), torch.stack([torch.as_tensor(v).double().cpu() for v in rest])])


class Score(NamedTuple):
    """What a locator reaches on fixed examples.

    Attributes
    ----------
    loss : the whole
    precision, recall : of places, at a probability of 0.5
    size_error : mean error of a cell's base-2 logarithm inside mosaics
    found : share of mosaics whose overlap with the map around them is at least `FOUND`, for each kind that has any
    overlap : its mean
    alarms : share of pictures without mosaics in which 2x2 places together are above 0.5, for each kind that has any
    """

    loss: float
    precision: float
    recall: float
    size_error: float
    found: dict[str, float]
    overlap: dict[str, float]
    alarms: dict[str, float]

    @property
    def worth(self) -> float:
        """The mean share of mosaics found, less the mean share of pictures without any that give alarms.

        By this weights are chosen: the loss also rises when a network becomes too sure of what nobody can see.
        """
        alarms = [self.alarms.get(kind, 0.0) for kind in ("negative", "clean")]
        alarms += [self.alarms[kind] for kind in ("blocks",) if kind in self.alarms]  # older files have none
        return float(np.mean(list(self.found.values())) - np.mean(alarms)) if self.found else -math.inf

    @classmethod
    def of(cls, sums: Tensor) -> Score:
        """Return the scores of added up `tally`s."""
        each = sums[: -len(_OF_ALL)].view(len(KINDS), -1).tolist()
        loss, number, hit, said, true, error, inside = sums[-len(_OF_ALL) :].tolist()
        named = dict(zip(KINDS, each, strict=True))
        return cls(
            loss / max(number, 1),
            hit / max(said, 1),
            hit / max(true, 1),
            error / max(inside, 1),
            {kind: row[1] / row[0] for kind, row in named.items() if row[0]},
            {kind: row[2] / row[0] for kind, row in named.items() if row[0]},
            {kind: row[4] / row[3] for kind, row in named.items() if row[3]},
        )


def assess(network: Network, cache: Cache, batch: int = 16) -> Score:
    """Return what a locator reaches on examples."""
    network.eval()
    device = next(network.parameters()).device
    parts = Validation(len(cache.pictures), batch, partial(batch_of, cache))
    with torch.inference_mode():
        moved = (Batch(*(part.to(device) for part in b)) for b in parts)
        return Score.of(torch.stack([tally(network(b.pictures), target_of(b), b.kinds) for b in moved]).sum(dim=0))
