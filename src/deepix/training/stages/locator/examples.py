"""The locator's examples: made once of photos, and what a step sees of them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepix import sources
from deepix.finder.locator import COARSEST
from deepix.finder.luminance import luminance
from deepix.training.data import stored
from deepix.training.data.examples import CLASSES, example
from deepix.training.data.examples import Settings as Drawing
from deepix.training.data.negatives import BLOCKS, NEGATIVES, negative
from deepix.training.engine.batches import Indices

Bytes = NDArray[np.uint8]

MOST = 6
"""Mosaics in an example."""
CLEAN = Drawing(counts=(1.0,))
"""Photos without mosaics, with all that happens to files."""
FIELD = Drawing(
    counts=(0, 0.4, 0.3, 0.15, 0.15),
    whole=0.06,
    cell=(3, 64),
    fractional=0.35,
    shapes={"rectangle": 6.0, "rounded": 2.0, "ellipse": 1.0, "blob": 0.5, "stroke": 0.5},
    touching=0.25,
    early=0.1,
    resize=0.4,
    usual=0.6,
    noise=0.15,
    dark=0.12,
    avif=0.15,
    webp=0.25,
    video=0.25,
    palette=0.15,
    covering=0.3,
    feather=0.08,
    overlays=0.35,
)
"""What people do to mosaics and their files before they are seen, and `Settings()` has too seldom or not at all."""
KINDS = ("any", *CLASSES, "negative", "clean", "negative with mosaics", "field", "blocks")
"""Of examples: of anything (`examples.Settings()`), of the benchmark's classes, without mosaics, …; new ones come last,
as examples in files have the number of their kind."""
SHARES = (0.2, 0.04, 0.04, 0.05, 0.05, 0.04, 0.04, 0.14, 0.08, 0.04, 0.2, 0.08)
"""How often each kind is drawn, to train on."""
SETTINGS = {**CLASSES, "negative": CLEAN, "clean": CLEAN, "blocks": CLEAN, "field": FIELD}
"""From what examples are drawn; those that are not here, from `examples.Settings()`."""


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
    if kind.startswith("negative") or kind == "blocks":
        names = tuple(BLOCKS) if kind == "blocks" else NEGATIVES
        photo = negative(names[int(rng.integers(len(names)))], rng, photo, (side, side))
    made = example(photo, rng, replace(SETTINGS.get(kind, Drawing()), side=(side, side)))
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
        for i, item, count in stored.shared_out(sources.read(path).items, times):
            content = item.load()
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
    stored.write(output, cache)
    return cache


def read_cache(path: Path) -> Cache:
    """Read what `prepare` wrote; raises as `stored.read`."""
    return stored.read(path, Cache, "locator")


# ── what a step sees ─────────────────────────────────────────────────────────────────────────────


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


def batch_of(cache: Cache, indices: Indices) -> Batch:
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
