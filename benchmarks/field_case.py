"""A case of the field: a file with what is true of it, and the canvas on which its mosaics are put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from field_mosaics import Box, Cell, Pixelator, bands, grid_of
from field_programs import there
from finding import lines_show
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]
Rng = np.random.Generator
TRIES = 40
"""How often a mosaic is drawn anew until it fits and can be seen."""


@dataclass
class Case:
    """A file that is given to Deepix, and what is true of it.

    Attributes
    ----------
    content, suffix : the file's bytes and the end of its name
    truth : the mosaics, each with the pixels that can be seen of it
    how : what was done, one step after the other
    programs : that did it
    target : uint8 (H, W, 3): the picture as it would be without mosaics, where restorations are measured
    """

    content: bytes
    suffix: str
    truth: list[Mosaic]
    how: list[str]
    programs: set[str]
    target: Array | None = None


@dataclass
class Canvas:
    """A photo, and the same with mosaics; labels are 0 where there is none, k in the k-th, which hides earlier ones.

    Attributes
    ----------
    clean, pixels : uint8 (H, W, 3)
    labels : uint8 (H, W)
    grids : of the mosaics
    how, programs : as in `Case`
    """

    clean: Array
    pixels: Array
    labels: Array
    grids: list[Grid] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    programs: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, photo: Array) -> Canvas:
        """Return a photo without mosaics."""
        return cls(photo, photo.copy(), np.zeros(photo.shape[:2], np.uint8))

    @property
    def truth(self) -> list[Mosaic]:
        """The mosaics of which anything can be seen."""
        return [
            Mosaic.from_mask(self.labels == k, grid) for k, grid in enumerate(self.grids, 1) if (self.labels == k).any()
        ]

    def case(self, content: bytes, suffix: str) -> Case:
        """Return the case whose file this is."""
        return Case(content, suffix, self.truth, self.how, self.programs, self.clean)

    def put(
        self,
        box: Box,
        cell: Cell,
        pixelator: Pixelator,
        rng: Rng,
        least: float,
        mask: NDArray[np.bool_] | None = None,
    ) -> bool:
        """Pixelate a box (x, y, width, height), or of it what a mask (height, width) has; False if it cannot be seen.

        The pixels themselves say where the lines are: there must be as many as the program has drawn.
        """
        x, y, width, height = box
        there = slice(y, y + height), slice(x, x + width)
        drawn = pixelator(self.pixels, box, cell, rng)
        columns, rows = bands(drawn.values)
        if (int(columns[-1]) + 1, int(rows[-1]) + 1) != drawn.numbers:
            return False
        if not lines_show(self.pixels[there], drawn.values, columns, rows, least):
            return False
        self.grids.append(grid_of(drawn, x, y, cell))
        area = np.ones((height, width), bool) if mask is None else mask
        self.pixels[there][area] = drawn.values[area]
        self.labels[there][area] = len(self.grids)
        self.how.append(f"{drawn.how}, cells of {cell[0]}x{cell[1]} in {x},{y},{width},{height}")
        self.programs.update(pixelator.needs)
        return True

    def resized(self, size: tuple[int, int], pixels: Array) -> Canvas:
        """Return the canvas of another size (width, height), with these pixels; its target is not known."""
        sx, sy = size[0] / self.labels.shape[1], size[1] / self.labels.shape[0]
        labels = np.asarray(Image.fromarray(self.labels).resize(size, Image.Resampling.NEAREST))
        grids = [Grid(g.x * sx, g.y * sy, g.width * sx, g.height * sy) for g in self.grids]
        return Canvas(pixels, pixels, labels, grids, self.how, self.programs)


def available(pixelators: Mapping[str, Pixelator]) -> list[Pixelator]:
    """Return those whose programs are there."""
    return [p for p in pixelators.values() if there(*p.needs)]


def pick(items: Sequence[Any], rng: Rng) -> Any:
    """Return one of the items."""
    return items[int(rng.integers(len(items)))]


def log_whole(rng: Rng, low: float, high: float) -> int:
    """Draw a whole number, log-uniform."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def fitted(photo: Array, rng: Rng, most: float = 0.3, multiple: int = 1) -> Array:
    """Return a photo of at most so many megapixels, its sides multiples of a number: made smaller, or a part of it."""
    pixels = photo.shape[0] * photo.shape[1] / 1e6
    if pixels > most:
        factor = float(np.sqrt(most / pixels)) if rng.random() < 0.7 else 1.0
        image = Image.fromarray(photo)
        image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
        photo = np.asarray(image)
        if factor == 1.0:
            ratio = float(np.sqrt(most / pixels))
            height, width = (round(side * ratio) for side in photo.shape[:2])
            y, x = int(rng.integers(photo.shape[0] - height + 1)), int(rng.integers(photo.shape[1] - width + 1))
            photo = photo[y : y + height, x : x + width]
    height, width = (side // multiple * multiple for side in photo.shape[:2])
    return photo[:height, :width]


def draw_box(shape: Sequence[int], cell: Cell, rng: Rng, whole: bool, least: int = 3, most: float = 0.75) -> Box | None:
    """Draw a box of at least so many cells a side and at most this share of the picture's; None if there is no room.

    `whole`: the sides are multiples of the cells.
    """
    spans = []
    for side, size in zip((shape[1], shape[0]), cell, strict=True):
        if most * side < (least + 1) * size:
            return None
        length = log_whole(rng, least * size, most * side)
        length = max(length // size, least) * size if whole else length
        spans.append((int(rng.integers(0, side - length + 1)), length))
    (x, w), (y, h) = spans
    return x, y, w, h
