"""The locator's training: examples made once, random parts of them, losses, a run on Lightning, and what ships.

    DATA/*.zip ─ photos ─ examples, negatives ─▶ data/locator.npz ─ parts, flips, contrast ─▶ Batch
    Batch ─ Locator ─▶ maps ─ loss ─▶ optimizer ─▶ averaged weights ─ data/locator-val.npz ─▶ best.safetensors

A place of the maps is 4x4 pixels. What is to be learned of it: the share of its pixels that lie in a mosaic; whether an
outline of a mosaic passes through it or along its side; inside mosaics, the cell's width and height. Small mosaics are
as many as large ones in what is asked of `find`, so each weighs at least as much as `LEAST_WEIGHT` places.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from deepix import files, sources
from deepix.errors import DeepixError, InputError, OutputError, reason
from deepix.finder.evidence import luminance
from deepix.finder.locator import COARSEST, STRIDE
from deepix.training import fit, networks, weights
from deepix.training.batches import seed_of
from deepix.training.callbacks import LAST, Budget, Say
from deepix.training.examples import CLASSES, example
from deepix.training.examples import Settings as Drawing
from deepix.training.looks import LOG
from deepix.training.negatives import NEGATIVES, negative
from deepix.training.networks.locator import Locator
from deepix.training.recipes import Recipe, suited
from deepix.training.settings import RUN, Settings, read
from deepix.training.task import optimizer_of

Bytes = NDArray[np.uint8]

# ── examples ─────────────────────────────────────────────────────────────────────────────────────

MOST = 6
"""Mosaics in an example."""
CLEAN = Drawing(counts=(1.0,))
"""Photos without mosaics, with all that happens to files."""
KINDS = ("any", *CLASSES, "negative", "clean", "negative with mosaics")
"""Of examples: of anything (`examples.Settings()`), of the benchmark's classes, without mosaics, …"""
SHARES = (0.3, 0.06, 0.06, 0.07, 0.07, 0.05, 0.05, 0.18, 0.12, 0.04)
"""How often each kind is drawn, to train on."""


class Cache(NamedTuple):
    """Examples in memory.

    Attributes
    ----------
    pictures : uint8 (N, S, S): luminance in whole levels
    labels : uint8 (N, S, S): 0 where there is no mosaic, k in the k-th
    cells : float32 (N, 1 + MOST, 2): width and height of the cells of the k-th, 0 where there is none
    kinds : uint8 (N,): of `KINDS`
    """

    pictures: Bytes
    labels: Bytes
    cells: NDArray[np.float32]
    kinds: Bytes


FEW = 32
"""Photos that are not worth a process of their own."""


def draw(photo: Bytes, kind: str, side: int, rng: np.random.Generator) -> tuple[Bytes, Bytes, NDArray[np.float32]]:
    """Return an example of a kind made of a photo: picture, labels and cells as in a `Cache`.

    Parameters
    ----------
    photo : uint8 (H, W) or (H, W, 3)
    kind : one of `KINDS`
    side : of the example, in pixels
    rng : decides all else
    """
    settings = CLASSES.get(kind, CLEAN if kind in ("negative", "clean") else Drawing())
    if kind.startswith("negative"):
        photo = negative(NEGATIVES[int(rng.integers(len(NEGATIVES)))], rng, photo, (side, side))
    made = example(photo, rng, replace(settings, side=(side, side)))
    cells = np.zeros((1 + MOST, 2), np.float32)
    for k, m in enumerate(made.mosaics, 1):
        cells[k] = m.grid.width, m.grid.height
    return np.rint(luminance(made.picture)).astype(np.uint8), made.labels, cells


def _drawn(task: tuple[bytes, int, Sequence[int], int, tuple[int, int]]) -> Cache:
    """Return the examples of one photo: its file, their number or kinds, their side and the seed."""
    content, count, kinds, side, seed = task
    with Image.open(io.BytesIO(content)) as opened:
        photo = np.asarray(opened.convert("RGB"))
    rng = np.random.default_rng(seed)
    chosen = list(kinds) if kinds else rng.choice(len(KINDS), count, p=np.array(SHARES) / sum(SHARES)).tolist()
    made = [draw(photo, KINDS[kind], side, rng) for kind in chosen]
    pictures, labels, cells = (np.stack(parts) for parts in zip(*made, strict=True))
    return Cache(pictures, labels, cells, np.array(chosen, np.uint8))


def prepare(
    paths: Sequence[tuple[Path, float]],
    output: Path,
    side: int,
    seed: int = 0,
    every_kind: bool = False,
    jobs: int | None = None,
) -> Cache:
    """Draw examples and write them into an .npz file.

    Parameters
    ----------
    paths : files of photos, each with how many examples are drawn of a photo (a fraction: of as many photos)
    output : the file; replaced if it exists
    side : of an example, in pixels
    seed : of everything
    every_kind : kinds take turns, to validate; else they are drawn as `SHARES` has it
    jobs : processes at most; None: as many as processors

    Raises
    ------
    InputError : a file cannot be read
    OutputError : the output cannot be written
    """
    tasks: list[tuple[bytes, int, Sequence[int], int, tuple[int, int]]] = []
    number = 0
    for part, (path, times) in enumerate(paths):
        due = 0.0
        for i, item in enumerate(sources.read(path).items):
            content = item.load()
            due += times
            count, due = int(due), due - int(due)
            if not count or not isinstance(content, bytes):
                continue
            kinds = [(number + k) % len(KINDS) for k in range(count)] if every_kind else []
            number += count
            tasks.append((content, count, kinds, side, (seed, 1_000_000 * part + i)))
    jobs = min(jobs or os.cpu_count() or 1, len(tasks) // FEW)
    if jobs <= 1:
        parts = list(map(_drawn, tasks))
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_drawn, tasks, chunksize=4))
    cache = Cache(*(np.concatenate(p) for p in zip(*parts, strict=True)))
    files.make_folder(output.parent)
    buffer = io.BytesIO()
    np.savez(buffer, **cache._asdict())
    files.write_bytes(output, buffer.getvalue(), overwrite=True)
    return cache


def read_cache(path: Path) -> Cache:
    """Read what `prepare` wrote.

    Raises
    ------
    InputError : the file cannot be read, or is none
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Cache(*(stored[name] for name in Cache._fields))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: no examples of the locator ({reason(error)})") from error


# ── what a step sees, and what is to be learned of it ────────────────────────────────────────────


class Batch(NamedTuple):
    """Examples as the network gets them.

    Attributes
    ----------
    pictures : float32 (B, 1, H, W): luminance in levels
    labels : uint8 (B, 1, H, W)
    cells : float32 (B, 1 + MOST, 2)
    areas : float32 (B, 1 + MOST): pixels of each mosaic in the whole example, of which these may be parts
    kinds : int64 (B,)
    counts : bool (1, 1, H, W): where the picture is no mirror image of itself beyond its side
    """

    pictures: Tensor
    labels: Tensor
    cells: Tensor
    areas: Tensor
    kinds: Tensor
    counts: Tensor


class Target(NamedTuple):
    """What is true of each place (4x4 pixels); all float32 (B, 1, H/4, W/4), `size` (B, 2, H/4, W/4).

    Attributes
    ----------
    share : of its pixels in mosaics
    border : 1 if an outline passes through it or along its side
    size : base-2 logarithm of the cell's width and height, in pixels
    inside : 1 where all is in one mosaic
    weight : of the place in the loss
    mosaic : the label of the mosaic that has a part of it, 0 if there is none
    """

    share: Tensor
    border: Tensor
    size: Tensor
    inside: Tensor
    weight: Tensor
    mosaic: Tensor


LEAST_WEIGHT = 100.0
"""Places that a mosaic counts as at least: those of 40x40 pixels."""


def batch_of(cache: Cache, indices: NDArray[np.int64]) -> Batch:
    """Return some of the examples as they are."""
    pictures, labels, cells = (
        torch.from_numpy(np.ascontiguousarray(part[indices])) for part in (cache.pictures, cache.labels, cache.cells)
    )
    counts = torch.ones(1, 1, *pictures.shape[1:], dtype=torch.bool)
    areas = np.array([np.bincount(label.ravel(), minlength=1 + MOST) for label in labels.numpy()], np.float32)
    kinds = torch.from_numpy(cache.kinds[indices].astype(np.int64))
    return Batch(pictures[:, None].float(), labels[:, None], cells, torch.from_numpy(areas), kinds, counts)


def augmented(batch: Batch, side: int | None, generator: torch.Generator) -> Batch:
    """Return random square parts of the examples, mirrored and turned, with more or less contrast.

    Two of three parts begin at multiples of 8 pixels, as JPEG's blocks do. Of every third batch a strip at the right
    and the lower side is mirrored, as `finder.locator.prepare` does, and does not count.
    """

    def chance(probability: float) -> bool:
        return float(torch.rand((), generator=generator)) < probability

    height, width = batch.labels.shape[2:]
    side = min(side or height, height, width)
    pictures, labels, cells = [], [], []
    for picture, label, cell in zip(batch.pictures, batch.labels, batch.cells, strict=True):
        step = 8 if chance(2 / 3) else 1
        y, x = (
            step * int(torch.randint(0, (length - side) // step + 1, (), generator=generator))
            for length in (height, width)
        )
        planes = [plane[:, y : y + side, x : x + side] for plane in (picture, label)]
        for axis in (1, 2):
            if chance(0.5):
                planes = [plane.flip(axis) for plane in planes]
        if chance(0.5):
            planes, cell = [plane.mT for plane in planes], cell.flip(1)
        gain = 0.4 * (1.3 / 0.4) ** float(torch.rand((), generator=generator)) if chance(0.5) else 1.0
        pictures.append(gain * planes[0])
        labels.append(planes[1])
        cells.append(cell)
    counts = torch.ones(1, 1, side, side, dtype=torch.bool)
    given = torch.stack(pictures)
    if chance(1 / 3):
        lost = torch.randint(0, COARSEST, (2,), generator=generator).tolist()
        for axis, number in zip((2, 3), lost, strict=True):
            if 0 < number <= side // 2:
                kept = given.narrow(axis, 0, side - number)
                given = torch.cat([kept, kept.narrow(axis, side - 2 * number, number).flip(axis)], dim=axis)
                counts.narrow(axis, side - number, number).fill_(False)
    return batch._replace(pictures=given, labels=torch.stack(labels), cells=torch.stack(cells), counts=counts)


def target_of(batch: Batch) -> Target:
    """Return what is to be learned of a batch."""
    labels = batch.labels.float()
    share = functional.avg_pool2d((labels > 0).float(), STRIDE)
    highest, lowest = functional.max_pool2d(labels, STRIDE), -functional.max_pool2d(-labels, STRIDE)
    inside = (highest == lowest) & (highest > 0)
    outline = torch.zeros_like(labels)
    for axis in (2, 3):
        length = labels.shape[axis] - 1
        changes = (labels.narrow(axis, 1, length) != labels.narrow(axis, 0, length)).float()
        for start in (0, 1):
            part = outline.narrow(axis, start, length)
            part.copy_(torch.maximum(part, changes))
    border = functional.max_pool2d(outline, STRIDE)
    mosaic = highest.long()
    flat = mosaic.flatten(1)
    sizes = batch.cells.clamp(min=1).log2().gather(1, flat[..., None].expand(-1, -1, 2))
    size = sizes.mT.reshape(len(labels), 2, *mosaic.shape[2:])
    # by what the whole example shows: of a large one only a strip may be seen here, which is no small mosaic
    factor = (LEAST_WEIGHT * STRIDE**2 / batch.areas.clamp(min=1)).clamp(min=1)
    factor[:, 0] = 1
    weight = factor.gather(1, flat).reshape(mosaic.shape)
    weight = functional.max_pool2d(weight, 5, 1, 2)  # what surrounds a small one must be as clear
    counts = -functional.max_pool2d(-batch.counts.float(), STRIDE)
    return Target(share, border, size, inside.float(), weight * counts, mosaic)


BORDER_WEIGHT, SIZE_WEIGHT = 0.3, 0.5
"""Of the losses, beside that of 'pixelated'."""
TOLERATED = 0.1
"""Errors of a cell's base-2 logarithm below this count by their square."""


def losses(maps: Tensor, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """Return the means of: cross-entropy of 'pixelated', of 'border', and error of the cells' sizes (smooth L1)."""
    entropy = functional.binary_cross_entropy_with_logits
    total = target.weight.sum().clamp(min=1)
    first = (target.weight * entropy(maps[:, :1], target.share, reduction="none")).sum() / total
    second = (target.weight * entropy(maps[:, 1:2], target.border, reduction="none")).sum() / total
    errors = functional.smooth_l1_loss(maps[:, 2:], target.size, reduction="none", beta=TOLERATED)
    inside = target.weight * target.inside
    third = (inside * errors).sum() / (2 * inside.sum()).clamp(min=1)
    return first, second, third


# ── scores ───────────────────────────────────────────────────────────────────────────────────────

FOUND = 0.75
"""Least overlap of a mosaic with what is said of its surroundings to count as found."""
_OF_KIND = ("mosaics", "found", "overlap", "without", "alarms")
_OF_ALL = ("loss", "batches", "hit", "said", "true", "size_error", "inside")


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
    loss = sum(w * part for w, part in zip((1, BORDER_WEIGHT, SIZE_WEIGHT), losses(maps, target), strict=True))
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


# ── a run ────────────────────────────────────────────────────────────────────────────────────────


class Batches:
    """The examples as an endless row of (step, batch) for one of several processes; what a step sees depends on it."""

    def __init__(self, cache: Cache, settings: Settings) -> None:
        self.cache, self.settings = cache, settings
        self.indices = np.arange(len(cache.pictures))
        self.start, self.rank, self.world = 0, 0, 1

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        for step in itertools.count(self.start):
            generator = torch.Generator().manual_seed(seed_of(self.settings.seed, 4, step, self.rank))
            chosen = batch_of(self.cache, self._chosen(step)[self.rank :: self.world])
            yield step, augmented(chosen, self.settings.patch, generator)

    def _chosen(self, step: int) -> NDArray[np.int64]:
        n, size = len(self.indices), self.settings.batch
        places = np.arange(step * size, (step + 1) * size)
        orders = {e: np.random.default_rng([self.settings.seed, e]).permutation(n) for e in set((places // n).tolist())}
        return np.array([orders[int(i) // n][int(i) % n] for i in places])


class Validation:
    """The fixed examples, in batches, for one of several processes."""

    def __init__(self, cache: Cache, batch: int) -> None:
        self.cache, self.batch = cache, batch
        self.pixels = cache.pictures
        self.rank, self.world = 0, 1

    def __len__(self) -> int:
        return math.ceil(len(self.pixels) / (self.batch * self.world))

    def __iter__(self) -> Iterator[Batch]:
        for i in range(len(self)):
            yield batch_of(
                self.cache, np.arange(len(self.pixels))[self.rank :: self.world][i * self.batch :][: self.batch]
            )


class LocatorTask(pl.LightningModule):
    """The locator with its loss and scores, as Lightning trains it."""

    def __init__(self, network: Locator, settings: Settings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self._sums: list[Tensor] = []

    def training_step(self, batch: tuple[int, Batch], index: int) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        _, given = batch
        first, second, third = losses(self.network(given.pictures), target_of(given))
        loss = first + BORDER_WEIGHT * second + SIZE_WEIGHT * third
        self.log("train/loss", loss, prog_bar=True, batch_size=len(given.pictures))
        return {"loss": loss, "parts": torch.stack([first, second, third]).detach()}

    def validation_step(self, batch: Batch, index: int) -> None:
        """Note the sums of a batch."""
        if len(batch.pictures):
            self._sums.append(tally(self.network(batch.pictures), target_of(batch), batch.kinds))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return optimizer_of(self.network, self.settings)

    def scores(self) -> Score:
        """Return the scores of what was validated since the last call, in all processes together."""
        sums = torch.stack(self._sums).sum(dim=0).float().to(self.device)
        self._sums.clear()
        total: Tensor = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return Score.of(total.cpu())


COLUMNS = (
    "step", "epoch", "minutes", "lr", "pixelated", "border", "size", "val_loss", "precision", "recall", "size_error",
    "found", "alarms_negative", "alarms_clean", "worth",
)  # fmt: skip
"""Of the log: the means of the three losses since the row before, and the averaged weights' scores."""


def read_log(run: Path) -> list[dict[str, float]]:
    """Return the rows of a run's log.

    Raises
    ------
    InputError : there is none, or it is none of ours
    """
    try:
        rows = list(csv.DictReader(files.read_bytes(run / LOG).decode().splitlines()))
        return [{name: float(row[name]) for name in COLUMNS} for row in rows]
    except (UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{run / LOG}: not the log of a locator's run ({reason(error)})") from error


class Record(pl.Callback):
    """What remains of a run: the log, and the weights of most worth. Comes before the average."""

    def __init__(self, settings: Settings, budget: Budget, data: dict[str, Any], say: Say) -> None:
        self.settings, self.budget, self.data, self.say = settings, budget, data, say
        self.run = Path(settings.run)
        self.rows: list[dict[str, float]] = []
        self._sums, self._count = torch.zeros(3), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Sum the losses."""
        self._sums, self._count = self._sums + outputs["parts"].cpu(), self._count + 1

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the averaged weights, write the log, keep the best."""
        assert isinstance(pl_module, LocatorTask)
        score = pl_module.scores()
        if not math.isfinite(score.loss):
            raise DeepixError(f"{self.run}: training diverged (step {trainer.global_step}): lower the rate")
        parts = (self._sums / max(self._count, 1)).tolist()
        self._sums, self._count = torch.zeros(3), 0
        values = (
            trainer.global_step, self.budget.epoch, self.budget.elapsed / 60,
            trainer.optimizers[0].param_groups[0]["lr"], *parts, score.loss, score.precision, score.recall,
            score.size_error, float(np.mean(list(score.found.values()))), score.alarms.get("negative", 0.0),
            score.alarms.get("clean", 0.0), score.worth,
        )  # fmt: skip
        row = dict(zip(COLUMNS, values, strict=True))
        better = score.worth > max((r["worth"] for r in self.rows), default=-math.inf)
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_bytes(self.run / LOG, text.getvalue().encode(), overwrite=True)
        self.say(
            f"step {row['step']:>6}  {row['minutes']:5.1f} min  loss {sum(parts):.3f}  validation {score.loss:.4f}  "
            f"places {score.precision:.3f}/{score.recall:.3f}  found {row['found']:.3f}  alarms "
            f"{row['alarms_negative']:.3f} {row['alarms_clean']:.3f}  size {score.size_error:.3f}"
            + ("  best" if better else "")
        )
        if better:
            extra = {**row, "scores": score._asdict(), "settings": asdict(self.settings), "data": self.data}
            weights.save(pl_module.network, self.run / weights.BEST, overwrite=True, extra=extra)

    def state_dict(self) -> dict[str, Any]:
        """Return the log."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.rows = state_dict["rows"]


class Result(NamedTuple):
    """What came of a run: its folder, whether it came to its end, and the log's row of the best weights."""

    run: Path
    finished: bool
    best: dict[str, float]
    pictures_per_second: float


def train(settings: Settings, say: Say = print, bar: bool = False) -> Result:
    """Train a locator; go on with the run if its folder holds one.

    Parameters
    ----------
    settings : `network`, `data` and `validate` (files of `prepare`), `run`, a budget, `patch` (the side of the parts
        that a step sees), and all that is not about restoring
    say, bar : see `fit.fit`

    Raises
    ------
    InputError : examples or weights cannot be read
    OutputError : the folder has a log, but no checkpoint to go on from
    DeepixError : training diverged
    """
    run = Path(settings.run)
    going_on = (run / LAST).exists()
    if fit.first_process() and not going_on and (run / LOG).exists():
        raise OutputError(f"{run}: exists already; choose another folder")
    torch.manual_seed(seed_of(settings.seed, 0))
    start = Path(settings.network)
    made = weights.load(start).train() if start.exists() else networks.create(settings.network, **settings.options)
    if not isinstance(made, Locator):
        raise InputError(f"{settings.network}: not a locator")
    network: Locator = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    cache, fixed = read_cache(Path(settings.data)), read_cache(Path(settings.validate or ""))
    batches, validation = Batches(cache, settings), Validation(fixed, settings.batch)
    data = {
        "file": settings.data,
        "sha256": identity(cache),
        "training_pictures": len(cache.pictures),
        "picture_shape": list(cache.pictures.shape[1:]),
    }
    budget: Any = Budget(settings, batches, validation)  # type: ignore[arg-type]  # it reads the same names of ours
    record = Record(settings, budget, data, say)
    if fit.first_process():
        files.make_folder(run)
        description = fit.describe(settings, network, data)
        if going_on:
            description = fit.resumed(description, run, fit.used(run / LAST)[0])
        fit.write_json(run / RUN, description)
        count = sum(p.numel() for p in network.parameters())
        say(f"{settings.network}: {count:,} parameters; {len(cache.pictures):,} examples, {len(fixed.pictures)} to "
            f"validate; {'going on with' if going_on else 'writing'} {run}")  # fmt: skip
    trainer = fit.make_trainer(settings, record, budget, bar)
    trainer.fit(LocatorTask(network, settings), batches, validation, ckpt_path=run / LAST if going_on else None)
    best = max(record.rows, key=lambda row: row["worth"])
    return Result(run, not budget.stopped, best, budget.pictures_per_second)


def assess(network: Locator, cache: Cache, batch: int = 16) -> Score:
    """Return what a locator reaches on examples."""
    network.eval()
    with torch.inference_mode():
        return Score.of(
            torch.stack([tally(network(b.pictures), target_of(b), b.kinds) for b in Validation(cache, batch)]).sum(
                dim=0
            )
        )


def identity(cache: Cache) -> str:
    """Return a checksum: scores can be compared if it is the same."""
    digest = hashlib.sha256()
    for part in cache:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


# ── by a recipe ──────────────────────────────────────────────────────────────────────────────────


def examples_of(recipe: Recipe, folder: Path, say: Say = print) -> tuple[Path, Path]:
    """Return a recipe's files of examples, to train on and to validate with; they are drawn if they are not there.

    Raises
    ------
    InputError : its sources are not in the folder of data
    """
    assert recipe.side is not None
    for_training = [(folder / source.file, source.times) for source in recipe.sources]
    for_validation = [
        (folder / name, times) for name, times in zip(recipe.validation_sources, recipe.validation_times, strict=True)
    ]
    for path, given, seed in ((recipe.data, for_training, 0), (recipe.validation, for_validation, 1)):
        if not path.exists():
            say(f"drawing examples from {', '.join(p.name for p, _ in given)} of {folder} into {path}")
            prepare(given, path, recipe.side, seed, every_kind=seed == 1)
    return recipe.data, recipe.validation


def train_recipe(
    recipe: Recipe, minutes: float, folder: Path, shipped: Path, say: Say = print, bar: bool = False
) -> Result:
    """Train a recipe's locator so many minutes more: go on with its run, or begin one.

    A new run starts from the model's shipped weights if there are any. Parameters as of `recipes.train`.

    Raises
    ------
    InputError, OutputError, DeepixError : see `train`
    """
    if (recipe.run / LAST).exists():
        used = fit.minutes_used(recipe.run)
        say(f"going on with {recipe.run} after {used:.1f} minutes")
        settings = replace(read(recipe.run), run=str(recipe.run), minutes=used + minutes, steps=None, epochs=None)
        return train(settings, say, bar)
    given = suited(recipe)
    ours = shipped / f"{recipe.name}{weights.SUFFIX}"
    if ours.exists():
        given = {**given, "network": str(ours)}
    data, validate = examples_of(recipe, folder, say)
    settings = Settings(**given, data=str(data), run=str(recipe.run), validate=str(validate), minutes=minutes)
    say(f"beginning {recipe.run} from {settings.network}")
    return train(settings, say, bar)
