"""Rows of the field about what is drawn over and around mosaics: frames, captions, watermarks, pointers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from field_case import Canvas, Case, Rng, fitted
from field_found import with_mosaics
from field_mosaics import EVEN, Box
from field_shapes import saved
from finding import WORDS
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[Any]
Drawer = Callable[[Array], Array]
"""What draws over a picture, uint8 (H, W, 3), and returns the result."""
BRIGHT = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0), (0, 120, 255), (255, 0, 255))


def _colour(rng: Rng) -> tuple[int, int, int]:
    if rng.random() < 0.7:
        return BRIGHT[int(rng.integers(len(BRIGHT)))]
    r, g, b = (int(v) for v in rng.integers(0, 256, 3))
    return r, g, b


def frame(box: Box, rng: Rng) -> tuple[Drawer, str]:
    """Frame an area: outside of it, over its border, or a little apart; by Pillow or, soft at the edges, OpenCV."""
    width, colour = int(rng.integers(1, 6)), _colour(rng)
    out = int(rng.choice((width, width, 0, width // 2, width + int(rng.integers(1, 4)))))
    x, y, w, h = box
    corners = (x - out, y - out, x + w - 1 + out, y + h - 1 + out)
    rounded = rng.random() < 0.2

    def draw(pixels: Array) -> Array:
        if rounded:
            image = Image.fromarray(pixels)
            ImageDraw.Draw(image).rounded_rectangle(corners, 3 + 2 * width, outline=colour, width=width)
            return np.asarray(image)
        inner = (corners[0] + width, corners[1] + width, corners[2] - width, corners[3] - width)
        result = pixels.copy()
        rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
        outer = (rows >= corners[1]) & (rows <= corners[3]) & (columns >= corners[0]) & (columns <= corners[2])
        inside = (rows >= inner[1]) & (rows <= inner[3]) & (columns >= inner[0]) & (columns <= inner[2])
        result[outer & ~inside] = colour
        return result

    return draw, f"frame of {width}, {out} outside{', rounded' if rounded else ''}"


def caption(box: Box, rng: Rng) -> tuple[Drawer, str]:
    """Write a word on an area, or on a label at its side, as Pillow or OpenCV do: soft at the edges."""
    x, y, w, h = box
    text, colour = (
        str(rng.choice(WORDS)).upper() if rng.random() < 0.5 else " ".join(rng.choice(WORDS, 2)),
        _colour(rng),
    )
    size = int(np.clip(rng.uniform(0.12, 0.4) * h, 10, 60))
    where = str(rng.choice(("on", "on", "label above", "label below", "label within")))
    opencv = rng.random() < 0.4
    back = _colour(rng)
    if max(abs(a - b) for a, b in zip(back, colour, strict=True)) < 80:
        back = (255 - colour[0], 255 - colour[1], 255 - colour[2])
    left = x + int(rng.integers(0, max(w - 3 * size, 1)))
    top = {"label above": y - size - 4, "label below": y + h, "label within": y}.get(where, y + (h - size) // 2)

    def draw(pixels: Array) -> Array:
        image = Image.fromarray(pixels)
        pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
        if where != "on":
            left_of_text, _, right, _ = pen.textbbox((left, top), text, font)
            pen.rectangle((left_of_text - 3, top, right + 3, top + size + 3), fill=back)
        if not opencv:
            pen.text((left, top), text, fill=colour, font=font)
            return np.asarray(image)
        place, scale = (left, top + round(0.8 * size)), size / 30
        result = np.array(image)
        cv2.putText(result, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, size // 12), cv2.LINE_AA)
        return result

    return draw, f"caption {where}, {size} pixels high, {'OpenCV' if opencv else 'Pillow'}"


def watermark(box: Box, rng: Rng) -> tuple[Drawer, str]:
    """Write words over the whole picture, again and again, so that it shines through."""
    text, size = " ".join(rng.choice(WORDS, 2)), int(rng.integers(18, 50))
    weight, angle, colour = rng.uniform(0.15, 0.5), float(rng.uniform(-40, 40)), 255 * int(rng.random() < 0.8)
    del box

    def draw(pixels: Array) -> Array:
        height, width = pixels.shape[:2]
        side = 2 * max(height, width)
        mask = Image.new("L", (side, side))
        pen, font = ImageDraw.Draw(mask), ImageFont.load_default(size)
        for y in range(0, side, 3 * size):
            for x in range((y // size) % 5 * size, side, 8 * size):
                pen.text((x, y), text, fill=255, font=font)
        mask = mask.rotate(angle, Image.Resampling.BICUBIC).crop(
            (side // 4, side // 4, side // 4 + width, side // 4 + height)
        )
        share = weight * np.asarray(mask, np.float64)[..., None] / 255
        return np.asarray(np.rint((1 - share) * pixels + share * colour), np.uint8)

    return draw, f"watermark of weight {weight:.2f}"


def pointer(box: Box, rng: Rng) -> tuple[Drawer, str]:
    """Draw a mouse pointer, or an arrow that points at the area, over it."""
    x, y, w, h = box
    at = np.array((x + rng.uniform(0.2, 0.8) * w, y + rng.uniform(0.2, 0.8) * h))
    if rng.random() < 0.5:
        size = float(rng.uniform(12, 32))
        shape = (
            np.array(((0, 0), (0, 1), (0.24, 0.78), (0.4, 1.12), (0.54, 1.06), (0.38, 0.72), (0.7, 0.7))) * size + at
        )
        fill, edge, text = (
            ((255, 255, 255), (0, 0, 0), "pointer") if rng.random() < 0.7 else ((0, 0, 0), (255,) * 3, "pointer")
        )
    else:
        size, turn = float(rng.uniform(30, 110)), rng.uniform(0, 2 * np.pi)
        arrow = np.array(((0, 0), (0.3, 0.17), (0.3, 0.06), (1, 0.06), (1, -0.06), (0.3, -0.06), (0.3, -0.17))) * size
        cos, sin = np.cos(turn), np.sin(turn)
        shape = arrow @ np.array(((cos, sin), (-sin, cos))) + at
        fill, text = _colour(rng), "arrow"
        edge = fill

    def draw(pixels: Array) -> Array:
        image = Image.fromarray(pixels)
        ImageDraw.Draw(image).polygon([(float(a), float(b)) for a, b in shape], fill=fill, outline=edge)
        return np.asarray(image)

    return draw, f"{text} of {size:.0f} pixels"


def drawn_over(kind: Callable[[Box, Rng], tuple[Drawer, str]]) -> Callable[[Array, Rng], Case | None]:
    """Return what draws mosaics, and over or around each of them something of a kind; and the same over the photo."""

    def make(photo: Array, rng: Rng) -> Case | None:
        canvas = with_mosaics(fitted(photo, rng), rng, EVEN, (6, 32), least=1.5)
        if canvas is None:
            return None
        for m in canvas.truth:
            if kind is watermark and canvas.how[-1].startswith("watermark"):
                break  # it is over the whole picture already
            draw, how = kind((m.x, m.y, m.width, m.height), rng)
            cover(canvas, draw)
            canvas.how.append(how)
            if "OpenCV" in how:
                canvas.programs.add("OpenCV")
        canvas.programs.add("Pillow")
        return saved(canvas, rng, 0.3, 88)

    return make


def cover(canvas: Canvas, draw: Drawer) -> None:
    """Draw over a canvas and over its target; pixels that change are no part of the mosaics any more.

    Unless all of it is translucent (half or more shines through, as of watermarks): the cells can still be seen.
    """
    black = np.zeros_like(canvas.clean)
    white = black + 255
    on_black, on_white = draw(black), draw(white)
    shining_through = on_white.astype(int) - on_black
    if shining_through.max(axis=2).min() < 120:
        canvas.labels[((on_black != black) | (on_white != white)).any(axis=2)] = 0
    canvas.pixels, canvas.clean = draw(canvas.pixels), draw(canvas.clean)
