"""Rows of the field about what is found: mosaics that were rescaled with their picture, or have uneven cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from field_case import TRIES, Canvas, Case, Rng, available, draw_box, fitted, log_whole, pick
from field_mosaics import EVEN, SAMPLED, UNEVEN, Pixelator
from field_programs import called, decoded, encoded, ppm, there
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Resampling = Image.Resampling
LOSSLESS, LOSSY = 1.0, 2.0
"""Levels by which each line of a mosaic must change the picture, where the file is lossless or lossy."""


def with_mosaics(
    photo: Array,
    rng: Rng,
    pixelators: Mapping[str, Pixelator],
    cells: tuple[int, int],
    step: int = 1,
    whole: bool = False,
    least: float = LOSSLESS,
) -> Canvas | None:
    """Return a photo with one or two mosaics of a program, of cells that are multiples of `step`; None: no room."""
    canvas = Canvas.of(photo)
    wanted, way = int(rng.integers(1, 3)), pick(available(pixelators), rng)
    for _ in range(TRIES):
        if len(canvas.grids) == wanted:
            break
        side = max(log_whole(rng, *cells) // step, 1) * step
        cell = (side, side) if rng.random() < 0.8 else (side, max(log_whole(rng, *cells) // step, 1) * step)
        if max(cell) > 2 * min(cell) or min(cell) < cells[0]:
            continue
        box = draw_box(photo.shape, cell, rng, whole)
        if box is not None and not near(canvas, box):
            canvas.put(box, cell, way, rng, least)
    return canvas if canvas.grids else None


def near(canvas: Canvas, box: tuple[int, int, int, int], gap: int = 4) -> bool:
    """Whether a box comes nearer than so many pixels to a mosaic that is there."""
    x, y, width, height = box
    return bool(canvas.labels[max(y - gap, 0) : y + height + gap, max(x - gap, 0) : x + width + gap].any())


# ── rescaled ─────────────────────────────────────────────────────────────────────────────────────

STEPS = {0.5: 2, 1.25: 4, 1.5: 2, 2.0: 1}
"""Scales, and of what the cells' sizes are multiples that become whole pixels."""


def rescaled(photo: Array, rng: Rng, scale: float, step: int) -> Case | None:
    """Draw a screenshot that was made larger or smaller; cells come out 4 to 40 pixels wide."""
    photo = fitted(photo, rng, min(0.4 / scale**2, 0.4), 4)
    low, high = max(3, round(4 / scale)), max(6, round(40 / scale))
    ways = {**EVEN, "corner": SAMPLED["corner"]}
    canvas = with_mosaics(photo, rng, ways, (low, high), step, least=2.5)
    return saved_at(canvas, scale, rng) if canvas else None


def saved_at(canvas: Canvas, scale: float, rng: Rng) -> Case:
    """Resize a picture with its mosaics; PNG, or JPEG in three of ten cases."""
    size = round(canvas.labels.shape[1] * scale), round(canvas.labels.shape[0] * scale)
    resized, how, program = resize(canvas.pixels, size, rng)
    result = canvas.resized(size, resized)
    result.how.append(f"{how} by {scale:.3f}")
    result.programs.add(program)
    if rng.random() < 0.7:
        return result.case(encoded(resized, "PNG"), ".png")
    quality = int(rng.integers(80, 96))
    result.how.append(f"JPEG {quality}")
    return result.case(encoded(resized, "JPEG", quality=quality), ".jpg")


def resize(pixels: Array, size: tuple[int, int], rng: Rng) -> tuple[Array, str, str]:
    """Resize a picture as Pillow, OpenCV, ImageMagick or ffmpeg do; return also how, and the program."""
    name = pick([name for name in ("Pillow", "OpenCV", "ImageMagick", "ffmpeg") if there(name)], rng)
    if name == "Pillow":
        way = pick((Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS), rng)
        return np.asarray(Image.fromarray(pixels).resize(size, way)), f"Pillow {way.name}", name
    if name == "OpenCV":
        smaller = size[0] < pixels.shape[1]
        ways = {"AREA": cv2.INTER_AREA} if smaller else {"LINEAR": cv2.INTER_LINEAR, "CUBIC": cv2.INTER_CUBIC}
        text = pick(list(ways), rng)
        return np.asarray(cv2.resize(pixels, size, interpolation=ways[text])), f"OpenCV {text}", name
    if name == "ImageMagick":
        arguments = ["ppm:-", "-resize", f"{size[0]}x{size[1]}!", "-depth", "8", "ppm:-"]
        return decoded(called(name, arguments, ppm(pixels))), "ImageMagick -resize", name
    way = pick(("bilinear", "bicubic", "lanczos"), rng)
    pipe = ["-f", "image2pipe", "-c:v", "ppm"]
    graph = ["-vf", f"scale={size[0]}:{size[1]}:flags={way}+accurate_rnd+full_chroma_int,format=rgb24"]
    arguments = ["-loglevel", "error", *pipe, "-i", "-", *graph, *pipe, "-"]
    return decoded(called(name, arguments, ppm(pixels))), f"ffmpeg scale {way}", name


def rescaled_whole(photo: Array, rng: Rng) -> Case | None:
    """Draw one of the scales at which cells become whole pixels."""
    scale = pick(list(STEPS), rng)
    return rescaled(photo, rng, scale, STEPS[scale])


def rescaled_close(photo: Array, rng: Rng) -> Case | None:
    """Draw the same for a small cut-out, most of which is one mosaic."""
    scale = pick(list(STEPS), rng)
    step = STEPS[scale]
    for _ in range(TRIES):
        side = max(log_whole(rng, max(4 / scale, 3), 20 / scale) // step, 1) * step
        width, height = (4 * int(rng.integers(28, 66)) for _ in range(2))
        if max(width - photo.shape[1], height - photo.shape[0]) > 0 or side < 3 or min(width, height) < 7 * side:
            continue
        x, y = (int(rng.integers(0, a - b + 1)) for a, b in ((photo.shape[1], width), (photo.shape[0], height)))
        canvas = Canvas.of(photo[y : y + height, x : x + width])
        box = draw_box((height, width), (side, side), rng, whole=rng.random() < 0.5, least=5, most=0.85)
        if box is None or box[2] * box[3] < 0.4 * width * height:
            continue
        if canvas.put(box, (side, side), pick(available(EVEN), rng), rng, 1.5):
            return saved_at(canvas, scale, rng)
    return None


def rescaled_fractional(photo: Array, rng: Rng) -> Case | None:
    """Draw any scale."""
    return rescaled(photo, rng, float(np.exp(rng.uniform(np.log(0.55), np.log(1.9)))), 1)


# ── uneven ───────────────────────────────────────────────────────────────────────────────────────


def uneven(photo: Array, rng: Rng, cells: tuple[int, int] = (4, 40)) -> Case | None:
    """Draw areas that were reduced to a pixel a cell and enlarged, whose sides are no multiples of the cells."""
    canvas = with_mosaics(fitted(photo, rng), rng, UNEVEN, cells)
    return canvas.case(encoded(canvas.pixels, "PNG"), ".png") if canvas else None


def uneven_small(photo: Array, rng: Rng) -> Case | None:
    """Draw the same with cells below 7 pixels."""
    return uneven(photo, rng, (3, 6))
