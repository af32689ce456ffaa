"""What programs and people draw over and beside mosaics after pixelating: frames, captions, watermarks, pointers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[Any]
Box = tuple[int, int, int, int]
"""x, y, width, height, in pixels."""

WORDS = ("private", "No. 4711", "censored", "© photo", "HIDDEN", "draft", "12:45", "name", "REC", "preview only")
POINTER = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 18), (7, 12), (12, 12))
"""Corners of a pointer as desktops draw it, x and y in pixels."""
FURTHEST = 3
"""A frame begins fewer than so many pixels from the area."""
THICKEST = 5
"""Pixels of the thickest frame."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """Something drawn over a picture.

    Attributes
    ----------
    opacity : float32 (H, W), 0 … 1
    colour : float64 (3,), 0 … 255
    """

    opacity: NDArray[np.float32]
    colour: NDArray[np.float64]

    @property
    def foreign(self) -> NDArray[np.bool_]:
        """Bool (H, W): the pixels that it changes."""
        return self.opacity > 0

    def over(self, picture: Array) -> Array:
        """Return the picture, uint8 (H, W) or (H, W, 3), with this drawn over it; gray ones by the colour's mean."""
        opacity = self.opacity if picture.ndim == 2 else self.opacity[..., None]
        colour = self.colour.mean() if picture.ndim == 2 else self.colour
        drawn: Array = np.rint(picture + opacity * (colour - picture)).astype(np.uint8)
        return drawn


def _drawn(shape: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw], None]) -> NDArray[np.bool_]:
    layer = Image.new("1", shape[::-1])
    draw(ImageDraw.Draw(layer))
    return np.array(layer)


def _ring(shape: tuple[int, int], box: Box, rng: np.random.Generator, rounded: bool = False) -> NDArray[np.bool_]:
    """Return a frame around a box, as far from it as `FURTHEST` and as thick as `THICKEST` allow."""
    x, y, w, h = box
    gap, thick = int(rng.integers(FURTHEST)), int(rng.integers(1, THICKEST + 1))
    outer = (x - gap - thick, y - gap - thick, x + w + gap + thick - 1, y + h + gap + thick - 1)
    if not rounded:
        inner = (x - gap, y - gap, x + w + gap - 1, y + h + gap - 1)
        filled = _drawn(shape, lambda d: d.rectangle(outer, fill=1))
        return filled & ~_drawn(shape, lambda d: d.rectangle(inner, fill=1))
    radius = int(rng.integers(2, max(min(w, h) // 4, 2) + 1))
    return _drawn(shape, lambda d: d.rounded_rectangle(outer, radius, outline=1, width=thick))


def _text(shape: tuple[int, int], box: Box, rng: np.random.Generator, lines: int = 1) -> NDArray[np.bool_]:
    """Return words somewhere over a box."""
    x, y, w, h = box
    size = int(rng.integers(8, max(min(h // (lines + 1), w // 4, 40), 8) + 1))
    word = "\n".join(str(rng.choice(WORDS)) for _ in range(lines))
    left = x + int(rng.integers(-size, max(w // 2, 1)))
    top = y + int(rng.integers(-size // 2, max(h - lines * size, 1)))

    def draw(d: ImageDraw.ImageDraw) -> None:
        d.fontmode = "1"  # without half-covered pixels
        d.multiline_text((left, top), word, fill=1, font=ImageFont.load_default(size), stroke_width=int(size > 20))

    return _drawn(shape, draw)


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    if rng.random() < 0.6:  # what programs offer: a corner of the cube
        return rng.choice((0.0, 255.0), 3)
    return rng.integers(0, 256, 3).astype(np.float64)


def _overlay(mask: NDArray[np.bool_], rng: np.random.Generator, translucent: bool = False) -> Overlay:
    opacity = np.float32(rng.uniform(0.3, 0.8) if translucent else 1.0)
    return Overlay(mask * opacity, _colour(rng))


def frame(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a frame of any colour around an area, 0 to 2 pixels from it and 1 to 5 thick.

    Parameters
    ----------
    shape : of the picture
    box : of the area
    rng : the same state gives the same frame
    """
    return _overlay(_ring(shape, box, rng), rng)


def translucent_frame(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a `frame` through which the picture is seen."""
    return _overlay(_ring(shape, box, rng), rng, translucent=True)


def dashed_frame(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a `frame` of dashes."""
    ring = _ring(shape, box, rng)
    dash, gap = (int(n) for n in rng.integers(2, 12, 2))
    rows, columns = np.indices(shape)
    return _overlay(ring & ((rows + columns) % (dash + gap) < dash), rng)


def rounded_frame(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a `frame` with rounded corners, which lie over the area's."""
    return _overlay(_ring(shape, box, rng, rounded=True), rng)


def caption(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a word or two over an area."""
    return _overlay(_text(shape, box, rng, int(rng.integers(1, 3))), rng)


def watermark(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a `caption` through which the picture is seen."""
    return _overlay(_text(shape, box, rng), rng, translucent=True)


def pointer(shape: tuple[int, int], box: Box, rng: np.random.Generator) -> Overlay:
    """Return a pointer over an area."""
    x, y = box[0] + int(rng.integers(box[2])), box[1] + int(rng.integers(box[3]))
    corners = [(x + dx, y + dy) for dx, dy in POINTER]
    return _overlay(_drawn(shape, lambda d: d.polygon(corners, fill=1)), rng)


KINDS: dict[str, Callable[[tuple[int, int], Box, np.random.Generator], Overlay]] = {
    "frame": frame,
    "translucent frame": translucent_frame,
    "dashed frame": dashed_frame,
    "rounded frame": rounded_frame,
    "caption": caption,
    "watermark": watermark,
    "pointer": pointer,
}
"""All of them, by name."""
