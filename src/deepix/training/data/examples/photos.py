"""From a photo to an example: a canvas, its mosaics, what happens to the file, and what is true of the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from deepix.mosaic import Mosaic
from deepix.training.data.draws import chosen, log_uniform
from deepix.training.data.examples.areas import (
    comes_too_near,
    draw_area,
    draw_frame,
    leaves_too_little,
    shows_enough,
)
from deepix.training.data.examples.histories import Geometry, plan
from deepix.training.data.examples.settings import FILTERS, Settings
from deepix.training.data.examples.softened import drawn_over, feather
from deepix.training.data.examples.tiles import pixelated
from deepix.training.data.examples.visibility import contrast, visible
from deepix.training.data.pixels import Bytes

TRIES = 24
"""How often a mosaic is drawn anew until it fits, overlaps no other and can be seen."""


@dataclass(frozen=True)
class Placed:
    """One mosaic of an example, and how it was made.

    Attributes
    ----------
    mosaic : area and grid in the final picture; the grid is fractional after resizing
    shape : one of `SHAPES`, or "whole"
    tiles : how the tiles were made: one of `TILES`, and what goes with it
    contrast : how well the grid can still be seen in the final picture: the mean step of luminance across its lines, in
        units of the mean step elsewhere in the area, both plus `FAINT`; about 1 where nothing of it is left
    """

    mosaic: Mosaic
    shape: str
    tiles: str
    contrast: float


@dataclass(frozen=True, eq=False)
class Example:
    """A picture as it was posted, with what is true of it.

    Attributes
    ----------
    picture : uint8 (H, W) or (H, W, 3), as the photo was: pixelated and degraded
    clean : uint8, the same shape: cropped and resized as `picture`, but not pixelated, and nothing else done to it
    labels : uint8 (H, W): 0 where there is no mosaic, k in the k-th of `placed`
    placed : the mosaics
    history : what happened to the pixelated picture: "jpeg 75 4:2:0 -> resize 0.83 bicubic -> jpeg 60 4:4:4"; else
        "lossless"
    refused : how many mosaics were drawn that could not be seen, and were left out
    """

    picture: Bytes
    clean: Bytes
    labels: Bytes
    placed: tuple[Placed, ...]
    history: str
    refused: int

    @property
    def mosaics(self) -> list[Mosaic]:
        """The mosaics without how they were made."""
        return [p.mosaic for p in self.placed]


def example(photo: Bytes, rng: np.random.Generator, settings: Settings) -> Example:
    """Return an example made of a photo; the same photo, generator state and settings give the same one.

    Parameters
    ----------
    photo : uint8 (H, W) or (H, W, 3); not changed
    rng : decides everything that `settings` leaves open
    settings : what may happen, and how often

    Raises
    ------
    ValueError : the photo is no picture of these types
    """
    if photo.dtype != np.uint8 or not (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] == 3)):
        raise ValueError(f"a photo must be uint8 (H, W) or (H, W, 3), not {photo.dtype} {photo.shape}")
    size, canvas_size, steps = plan(photo.shape, rng, settings)
    original = _canvas(photo, canvas_size, rng, settings)
    geometry = Geometry.of(steps, size)
    canvas = np.array(original)
    drawn, labels, refused = _draw_mosaics(canvas, geometry, rng, settings)
    canvas, clean = drawn_over(canvas, original, [d.mosaic for d in drawn], rng, settings)

    truth, picture = Image.fromarray(labels), Image.fromarray(canvas)
    for step in steps:
        picture = step.apply(picture)
        if step.moves is not None:
            clean = step.apply(clean)
            truth = step.apply_to_labels(truth)
    final = np.array(truth)
    posted = _as(picture, photo.ndim)
    placed = []
    for k, d in enumerate(drawn, 1):
        m = Mosaic.from_mask(final == k, geometry.grid(d.mosaic.grid))
        placed.append(Placed(m, d.shape, d.tiles, contrast(posted[m.box], m)))
    history = " -> ".join(step.text for step in steps) or "lossless"
    return Example(posted, _as(clean, photo.ndim), final, tuple(placed), history, refused)


def _as(image: Image.Image, ndim: int) -> Bytes:
    """Return the picture as an array with as many axes as the photo has."""
    return np.array(image.convert("RGB") if ndim == 3 else image)


def _canvas(photo: Bytes, size: tuple[int, int], rng: np.random.Generator, settings: Settings) -> Image.Image:
    """Return a random part of the photo at this width and height."""
    image = Image.fromarray(photo)
    cover = max(size[0] / image.width, size[1] / image.height)
    scale = max(cover, 1.0 if rng.random() < settings.native else log_uniform(rng, min(cover, 1.0), 1.0))
    width, height = min(size[0] / scale, image.width), min(size[1] / scale, image.height)
    x, y = rng.random() * (image.width - width), rng.random() * (image.height - height)
    if scale == 1:
        image = image.crop((int(x), int(y), int(x) + size[0], int(y) + size[1]))
    else:
        image = image.resize(size, FILTERS[chosen(rng, settings.filters)], (x, y, x + width, y + height))
    if rng.random() < settings.mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.convert("L") if rng.random() < settings.gray else image


class _Drawn(NamedTuple):
    """One mosaic on the canvas; see `Placed`."""

    mosaic: Mosaic
    shape: str
    tiles: str


def _draw_mosaics(
    canvas: Bytes, geometry: Geometry, rng: np.random.Generator, settings: Settings
) -> tuple[list[_Drawn], Bytes, int]:
    """Pixelate random areas of the canvas, in place; return them, their labels and how many could not be seen."""
    height, width = canvas.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    drawn: list[_Drawn] = []
    refused = 0
    count = int(chosen(rng, {str(n): weight for n, weight in enumerate(settings.counts)}))
    covers = count > 0 and rng.random() < settings.whole
    count = 1 if covers else count
    for _ in range(TRIES * count):
        if len(drawn) == count:
            break
        frame = draw_frame((width, height), geometry, rng, settings, covers)
        if frame is None:
            continue
        shape = "whole" if covers else chosen(rng, settings.shapes)
        m = draw_area(frame, shape, (width, height), [d.mosaic for d in drawn], rng, settings)
        if m is None or not shows_enough(m, geometry, settings):
            continue
        covers_others = bool(settings.covering) and rng.random() < settings.covering
        if leaves_too_little(m, labels) if covers_others else comes_too_near(m, labels, settings.gap):
            continue
        frame = frame._replace(x=frame.x + round(m.grid.x - frame.grid.x), y=frame.y + round(m.grid.y - frame.grid.y))
        values, tiles = pixelated(canvas, m, frame, rng, settings)
        if not visible(canvas[m.box], values, m, settings.least_change, settings.every_line):
            refused += 1
            continue
        if settings.feather and shape != "whole" and rng.random() < settings.feather:
            m = feather(canvas, m, values, rng)
            tiles = f"{tiles}, feathered"
        else:
            canvas[m.box][m.area] = values[m.area]
        drawn.append(_Drawn(m, shape, tiles))
        labels[m.box][m.area] = len(drawn)
    return drawn, labels, refused
