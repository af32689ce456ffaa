"""What refiners reach on validation examples: ratios to the restoration that they refine, and what a user sees.

The bars are those of docs/refiner.md; its yardstick, on whole photos, has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from deepix.training.deviations import factor
from deepix.training.imagenet import FEATURES, TEXTURE, UNSEEN, of_luminance
from deepix.training.networks.refiner import Refiner, Restored
from deepix.training.stages.refiner.examples import Batch, restored
from deepix.training.stages.refiner.losses import LEVEL, distance, share

BARS = {"rmse": 1.10, "features": 0.92, "unseen": 0.92, "texture": 0.5, "seam": 1.05, "blocks": 1.25, "blocks_low": 0.9}
"""Bars of docs/refiner.md; that of the seam, 1.15 there, is tighter: on whole photos it came out a tenth larger."""
SPREAD = 0.35
"""Least of two variants, in deviations."""
LAST = 7
"""Block of the ImageNet network up to which features are computed."""
FLOOR = 0.5 * LEVEL
"""Added to steps: what rounding to integers makes of none."""
LOGITS = torch.linspace(-8, 8, 63)
"""Bounds of the bins in which the adversary's logits are counted, for its ROC curve."""
BINS = len(LOGITS) + 1
VALUES = 16
"""Sums beside those of textures and logits."""
DESCRIPTORS = 192
"""Mean and deviation of every channel of `TEXTURE`."""
TALLIED = VALUES + 3 * DESCRIPTORS + 4 * BINS


class Score(NamedTuple):
    """Ratios to the unrefined restoration's: RMSE, feature distances, distance of mean textures. Blocks and seam over
    the truth's. Spread: root mean square difference of two variants over the predicted deviation. Growth: by what the
    factor of the predicted deviations is larger. ROC: areas under the adversary's curve, for restored and refined.
    Merit: by which weights are chosen, less is better."""

    rmse: float
    features: float
    unseen: float
    texture: float
    blocks: float
    seam: float
    spread: float
    growth: float
    roc_restored: float
    roc_refined: float
    merit: float


@torch.inference_mode()
def tally(network: Refiner, batch: Batch, number: int = 0) -> Tensor:
    """Return the sums of a batch: float64 (TALLIED,); noise follows from `number`."""
    if not len(batch.truth):
        return torch.zeros(TALLIED, dtype=torch.float64)
    given, truth = restored(batch), batch.truth
    free = (~given.mosaics.known).to(truth)
    generator = torch.Generator().manual_seed(number)
    one, other = (network.refine(given, torch.randn(truth.shape, generator=generator)) for _ in range(2))
    seen = {name: of_luminance(x, LAST) for name, x in (("truth", truth), ("before", given.picture), ("after", one))}
    values: list[float] = [float(((x - truth).square() * free).sum()) for x in (given.picture, one)]
    values += [float(((one - other).square() * free).sum()), float((given.deviation.square() * free).sum())]
    for which in (FEATURES, UNSEEN):
        for name in ("before", "after"):
            values.append(
                len(truth) * sum(float(distance(seen[name][n], seen["truth"][n], free)) for n in which) / len(which)
            )
    edges = {name: _edges(x, given) for name, x in (("truth", truth), ("after", one), ("before", given.picture))}
    for k in range(2):
        values += [float((edges[name][k].log() - edges["truth"][k].log()).sum()) for name in ("after", "before")]
    deviations = given.deviation.clamp(min=1e-6)[free > 0].numpy(force=True)
    before, after = (factor((x - truth)[free > 0].numpy(force=True), deviations) for x in (given.picture, one))
    values += [after / before * len(truth), float(len(truth))]
    values += [0.0] * (VALUES - len(values))
    textures = [_described(seen[name], free).sum(dim=0).tolist() for name in ("truth", "before", "after")]
    counts = []
    adversary = network.adversary.plain()
    for x in (given.picture, one):
        logits = adversary(x)
        for where in (free, 1 - free):
            counts += torch.bucketize(logits[where > 0], LOGITS).bincount(minlength=BINS).tolist()
    return torch.tensor([*values, *(v for t in textures for v in t), *counts], dtype=torch.float64)


def _described(seen: dict[str, Tensor], free: Tensor) -> Tensor:
    parts = []
    for name in TEXTURE:
        x, weight = seen[name], share(free, seen[name])
        weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        m = (x * weight).sum(dim=(2, 3))
        parts += [m, ((x.square() * weight).sum(dim=(2, 3)) - m.square()).clamp(min=0).sqrt()]
    return torch.cat(parts, dim=1)


def _edges(x: Tensor, given: Restored) -> tuple[Tensor, Tensor]:
    """Return for each picture the steps across cells' lines over those elsewhere in the area, and across its border."""
    cell = given.mosaics.cell[:, None]
    across: list[Tensor] = []
    elsewhere: list[Tensor] = []
    border: list[Tensor] = []
    for axis in (2, 3):
        length = x.shape[axis] - 1
        one, two = cell.narrow(axis, 0, length), cell.narrow(axis, 1, length)
        step, inside = x.diff(dim=axis).abs(), (one > 0) & (two > 0)
        for kind, where in (
            (across, inside & (one != two)), (elsewhere, inside & (one == two)), (border, (one > 0) != (two > 0))
        ):  # fmt: skip
            kind.append(torch.stack([(step * where).sum(dim=(1, 2, 3)), where.sum(dim=(1, 2, 3)).to(x)]))

    def averaged(*kinds: list[Tensor]) -> Tensor:
        sums, count = torch.stack([part for kind in kinds for part in kind]).sum(dim=0)
        result: Tensor = sums / count.clamp(min=1) + FLOOR
        return result

    return averaged(across) / averaged(elsewhere), averaged(border) / averaged(across, elsewhere)


def score(sums: Tensor) -> Score:
    """Return the score that summed up tallies make."""
    values, rest = sums[:VALUES].tolist(), sums[VALUES:]
    before, after, apart, deviation, *distances, blocks, _, seam, _, growth, count = values[:14]
    features_before, features_after, unseen_before, unseen_after = distances
    truth, plain, refined = rest[: 3 * DESCRIPTORS].view(3, DESCRIPTORS) / max(count, 1)
    scale = truth.abs() + 0.05
    rmse, features, unseen = math.sqrt(after / before), features_after / features_before, unseen_after / unseen_before
    texture = float(((refined - truth) / scale).square().mean() / ((plain - truth) / scale).square().mean())
    blocks, seam = math.exp(blocks / count), math.exp(seam / count)
    spread = math.sqrt(apart / deviation)
    counts = rest[3 * DESCRIPTORS :].view(4, BINS)
    roc = [area_under_roc(inside, outside) for inside, outside in (counts[:2], counts[2:])]
    merit = (features + unseen) / 2 + 0.2 * max(texture - BARS["texture"], 0) + 4 * max(rmse - BARS["rmse"], 0)
    merit += max(math.log(seam / BARS["seam"]), 0) * 0.5 + max(math.log(blocks / BARS["blocks"]), 0)
    merit += max(math.log(BARS["blocks_low"] / blocks), 0) + max(SPREAD - spread, 0)
    return Score(rmse, features, unseen, texture, blocks, seam, spread, growth / count, roc[0], roc[1], merit)


class Bar(NamedTuple):
    """What a score is measured against."""

    what: str
    value: float
    asked: str
    held: bool


def bars(reached: Mapping[str, float]) -> list[Bar]:
    """Return how the scores of a `Score`, by name, stand to the bars."""
    below = [("RMSE", "rmse", "restoration")]
    below += [(name, name, "restoration") for name in ("features", "unseen", "texture")]
    below += [("seam", "seam", "truth")]
    result = [
        Bar(f"{what}, over the {over}'s", reached[name], f"≤ {BARS[name]}", reached[name] <= BARS[name])
        for what, name, over in below
    ]
    blocks, low, high = reached["blocks"], BARS["blocks_low"], BARS["blocks"]
    result.insert(4, Bar("blocks, over the truth's", blocks, f"{low}–{high}", low <= blocks <= high))
    spread = reached["spread"]
    return [*result, Bar("spread of two variants, in deviations", spread, f"≥ {SPREAD}", spread >= SPREAD)]


def area_under_roc(inside: Tensor, outside: Tensor) -> float:
    """Return the probability that a restored pixel's logit is above a known one's, from counts in bins."""
    below = outside.cumsum(0) - outside
    return float((inside * (below + outside / 2)).sum() / (inside.sum() * outside.sum()).clamp(min=1))
