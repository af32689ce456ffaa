"""Rows of the field about areas: rounded, feathered, several that meet; tiny and huge cells, whole pictures, noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from field_case import TRIES, Canvas, Case, Rng, available, draw_box, fitted, log_whole, pick
from field_found import with_mosaics
from field_mosaics import EVEN, UNEVEN, Box, Cell, Pixelator
from field_programs import encoded
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[Any]
Resampling = Image.Resampling


def saved(canvas: Canvas, rng: Rng, lossy: float, low: int = 80) -> Case:
    """Return the canvas as a PNG file, or in this share of the cases as JPEG of at least this quality."""
    if rng.random() >= lossy:
        return canvas.case(encoded(canvas.pixels, "PNG"), ".png")
    quality = int(rng.integers(low, 96))
    canvas.how.append(f"JPEG {quality}")
    return canvas.case(encoded(canvas.pixels, "JPEG", quality=quality), ".jpg")


def plain(photo: Array, rng: Rng) -> Case | None:
    """Draw cells of whole pixels in lossless files, as the programs make them: what other rows are compared with."""
    canvas = with_mosaics(fitted(photo, rng), rng, {**EVEN, **UNEVEN}, (4, 48), whole=True)
    return saved(canvas, rng, 0) if canvas else None


def _one(photo: Array, rng: Rng, cells: tuple[int, int], least: float, soft: bool) -> Canvas | None:
    """Return a photo with one mosaic whose corners are rounded, or if `soft` perhaps an ellipse."""
    for _ in range(TRIES):
        cell = (log_whole(rng, *cells),) * 2
        box = draw_box(photo.shape, cell, rng, rng.random() < 0.5, least=4)
        if box is None:
            continue
        shape = Image.new("L", box[2:])
        draw, corners = ImageDraw.Draw(shape), (0, 0, box[2] - 1, box[3] - 1)
        if soft and rng.random() < 0.6:
            draw.ellipse(corners, fill=255)
        else:
            draw.rounded_rectangle(corners, rng.uniform(0.1, 0.5) * min(box[2:]), fill=255)
        canvas = Canvas.of(photo)
        if canvas.put(box, cell, pick(available({**EVEN, **UNEVEN}), rng), rng, least, np.asarray(shape) > 0):
            return canvas
    return None


def rounded(photo: Array, rng: Rng) -> Case | None:
    """Draw rectangles with round corners in lossless files."""
    canvas = _one(fitted(photo, rng), rng, (4, 32), 1.0, soft=False)
    return saved(canvas, rng, 0) if canvas else None


def feathered(photo: Array, rng: Rng) -> Case | None:
    """Draw an area that fades into the photo; it is the mosaic's where the mosaic has at least half of the weight."""
    canvas = _one(fitted(photo, rng), rng, (4, 24), 1.0, soft=True)
    if canvas is None:
        return None
    sigma = rng.uniform(1.5, 6)
    mask = Image.fromarray((canvas.labels > 0).astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(sigma))
    weight = np.asarray(mask)[..., None] / 255
    canvas.pixels = np.rint(weight * canvas.pixels + (1 - weight) * canvas.clean).astype(np.uint8)
    canvas.labels[weight[..., 0] < 0.5] = 0
    canvas.how.append(f"feathered by {sigma:.1f}")
    return saved(canvas, rng, 0.3)


# ── several ──────────────────────────────────────────────────────────────────────────────────────


def _second(kind: str, first: Box, cell: Cell, rng: Rng) -> tuple[Box, Cell]:
    """Draw the box and the cells of a mosaic that overlaps the first, lies in it, or right beside it."""
    x, y, w, h = first
    side = log_whole(rng, 6, 28)
    if kind == "nested":
        side = log_whole(rng, 1.6 * cell[0], max(3.5 * cell[0], 8))
        w2, h2 = (round(length * rng.uniform(0.3, 0.7)) for length in (w, h))
        x2, y2 = x + int(rng.integers(1, max(w - w2, 2))), y + int(rng.integers(1, max(h - h2, 2)))
        return (x2, y2, w2, h2), (side, side)
    if rng.random() < 0.3:
        side = cell[0]
    w2, h2 = (max(round(length * rng.uniform(0.6, 1.4)), 3 * side) for length in (w, h))
    if kind == "overlapping":
        dx, dy = (round(length * rng.uniform(0.4, 0.8)) * int(rng.choice((-1, 1))) for length in (w, h))
        return (x + dx if dx > 0 else x + w - w2 + dx, y + dy if dy > 0 else y + h - h2 + dy, w2, h2), (side, side)
    shift = int(rng.integers(-h // 3, h // 3 + 1)) if rng.random() < 0.6 else 0
    if rng.random() < 0.5:
        return (x + w if rng.random() < 0.5 else x - w2, y + shift, w2, h2), (side, side)
    return (x + shift, y + h if rng.random() < 0.5 else y - h2, w2, h2), (side, side)


def _several(photo: Array, rng: Rng, kind: str) -> Case | None:
    photo, ways = fitted(photo, rng), available(EVEN)
    height, width = photo.shape[:2]
    for _ in range(TRIES):
        cell = (log_whole(rng, 5, 16),) * 2
        box = draw_box(photo.shape, cell, rng, rng.random() < 0.5, least=6, most=0.6)
        if box is None:
            continue
        lossy = rng.random() < 0.3
        least = 2.5 if lossy else 1.0
        canvas = Canvas.of(photo)
        way: Pixelator = pick(ways, rng)
        if not canvas.put(box, cell, way, rng, least):
            continue
        (x, y, w, h), second = _second(kind, box, cell, rng)
        if x < 0 or y < 0 or x + w > width or y + h > height or min(w, h) < 2.5 * second[0]:
            continue
        if not canvas.put((x, y, w, h), second, way if rng.random() < 0.7 else pick(ways, rng), rng, least):
            continue
        if _one_grid(canvas) or (canvas.labels == 1).sum() < 0.35 * box[2] * box[3]:
            continue
        return saved(canvas, rng, float(lossy), 88)
    return None


def _one_grid(canvas: Canvas) -> bool:
    """Whether the lines of both mosaics are the same, so that nobody can tell where one ends."""
    a, b = canvas.grids
    same = (a.width, a.height) == (b.width, b.height)
    return same and (a.x - b.x) % a.width == 0 and (a.y - b.y) % a.height == 0


def overlapping(photo: Array, rng: Rng) -> Case | None:
    """Draw two mosaics of which the later covers a part of the first."""
    return _several(photo, rng, "overlapping")


def nested(photo: Array, rng: Rng) -> Case | None:
    """Draw a mosaic of larger cells inside of one."""
    return _several(photo, rng, "nested")


def abutting(photo: Array, rng: Rng) -> Case | None:
    """Draw two mosaics side by side."""
    return _several(photo, rng, "abutting")


# ── sizes, noise ─────────────────────────────────────────────────────────────────────────────────


def noisy(photo: Array, rng: Rng) -> Case | None:
    """Draw mosaics in a picture over which noise lies, every other one dark."""
    canvas = with_mosaics(fitted(photo, rng), rng, EVEN, (6, 40), least=4.0)
    if canvas is None:
        return None
    dark, sigma = rng.random() < 0.5, rng.uniform(1, 6)
    light = rng.uniform(0.2, 0.5) if dark else 1.0
    seen = light * canvas.pixels + rng.normal(0, sigma, canvas.pixels.shape)
    canvas.pixels = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    canvas.how.append(f"{'dark, ' * dark}noise of {sigma:.1f}")
    return saved(canvas, rng, 0.3)


def tiny(photo: Array, rng: Rng) -> Case | None:
    """Draw cells of 2 pixels, in lossless files."""
    canvas = with_mosaics(fitted(photo, rng), rng, {"means": EVEN["means"], **UNEVEN}, (2, 2), whole=True)
    return saved(canvas, rng, 0) if canvas else None


def huge(photo: Array, rng: Rng) -> Case | None:
    """Draw cells of 129 to 400 pixels in photos of 2 to 4 megapixels."""
    megapixels = rng.uniform(2, 4)
    factor = float(np.sqrt(megapixels * 1e6 / (photo.shape[0] * photo.shape[1])))
    size = round(photo.shape[1] * factor), round(photo.shape[0] * factor)
    large = np.asarray(Image.fromarray(photo).resize(size, Resampling.BICUBIC))
    canvas = Canvas.of(large)
    for _ in range(TRIES):
        side = log_whole(rng, 129, 400)
        box = draw_box(large.shape, (side, side), rng, rng.random() < 0.5, least=2, most=0.9)
        if box is not None and canvas.put(box, (side, side), EVEN["means"], rng, 2.0):
            return saved(canvas, rng, 0.5, 60)
    return None


def whole(photo: Array, rng: Rng) -> Case | None:
    """Draw a picture that is pixelated as a whole."""
    photo, lossy = fitted(photo, rng), rng.random() < 0.4
    canvas = Canvas.of(photo)
    for _ in range(TRIES):
        side = log_whole(rng, 4, 40)
        box = (0, 0, photo.shape[1], photo.shape[0])
        if canvas.put(box, (side, side), pick(available({**EVEN, **UNEVEN}), rng), rng, 2.0 if lossy else 1.0):
            return saved(canvas, rng, float(lossy))
    return None
