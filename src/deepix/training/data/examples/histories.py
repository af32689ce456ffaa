"""What happens to a file after it was pixelated: saved, cropped, resized, blurred …, and where that moves a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter, features

from deepix.mosaic import Grid
from deepix.training.data.draws import chosen, log_uniform
from deepix.training.data.examples.settings import FILTERS, USUAL, Resampling, Settings
from deepix.training.data.pixels import to_bytes
from deepix.training.data.saved import as_video, read_back


class Step(NamedTuple):
    """One thing that happens to a file.

    Attributes
    ----------
    text : how `Example.history` names it
    apply : does it to a picture
    apply_to_labels : moves labels as it moves pixels, without mixing them
    moves : where edges go, for steps that move pixels: scale x, scale y, offset x, offset y
    """

    text: str
    apply: Callable[[Image.Image], Image.Image]
    apply_to_labels: Callable[[Image.Image], Image.Image]
    moves: tuple[float, float, float, float] | None


def _not_moving(text: str, apply: Callable[[Image.Image], Image.Image]) -> Step:
    return Step(text, apply, lambda image: image, None)


def _save(rng: np.random.Generator, settings: Settings) -> Step:
    """Save and read back as JPEG, WebP or AVIF, or as a frame of video."""
    if settings.video and rng.random() < settings.video:
        return _as_video(rng)
    if settings.avif and rng.random() < settings.avif:
        return _as_avif(rng)
    quality = int(rng.integers(settings.quality[0], settings.quality[1] + 1))
    options: dict[str, Any] = {"format": "WEBP", "quality": quality, "method": 2}
    text = f"webp {quality}"
    if rng.random() >= settings.webp:
        halved = rng.random() < settings.subsampled
        options = {"format": "JPEG", "quality": quality, "subsampling": 2 if halved else 0}
        text = f"jpeg {quality} {'4:2:0' if halved else '4:4:4'}"

    return _not_moving(text, lambda image: read_back(image, options))


def _as_avif(rng: np.random.Generator) -> Step:
    quality = int(rng.integers(40, 91))
    kind = "AVIF" if features.check("avif") else "WEBP"
    options = {"format": kind, "quality": quality, **({"speed": 10} if kind == "AVIF" else {"method": 2})}
    return _not_moving(f"{kind.lower()} {quality}", lambda image: read_back(image, options))


def _as_video(rng: np.random.Generator) -> Step:
    scale = round(log_uniform(rng, 2, 10))
    dx, dy = (int(v) for v in rng.integers(0, 8, 2) * (rng.random() < 0.6))
    return _not_moving(f"video {scale}", lambda image: as_video(image, scale, (dx, dy)))


def _palette(rng: np.random.Generator) -> Step:
    """Leave some colours, with Floyd and Steinberg's dithering or without."""
    colours = int(rng.choice((64, 128, 256, 256)))
    dithered = rng.random() < 0.8
    dither = Image.Dither.FLOYDSTEINBERG if dithered else Image.Dither.NONE

    def apply(image: Image.Image) -> Image.Image:
        wanted = image.convert("RGB")
        table = wanted.quantize(colours, method=Image.Quantize.FASTOCTREE)
        return wanted.quantize(palette=table, dither=dither).convert(image.mode)

    return _not_moving(f"{colours} colours{', dithered' if dithered else ''}", apply)


def _darkened(rng: np.random.Generator) -> Step:
    gain = rng.uniform(0.25, 0.6)
    return _not_moving(
        f"dark {gain:.2f}", lambda image: Image.fromarray(to_bytes(np.asarray(image) * np.float32(gain)))
    )


def _resize(before: tuple[int, int], after: tuple[int, int], rng: np.random.Generator, settings: Settings) -> Step:
    name = chosen(rng, settings.filters)
    scales = after[0] / before[0], after[1] / before[1]
    return Step(
        f"resize {math.sqrt(scales[0] * scales[1]):.2f} {name}",
        lambda image: image.resize(after, FILTERS[name]),
        lambda image: image.resize(after, Resampling.NEAREST),  # takes the pixel in which the new one's centre lies
        (*scales, 0.0, 0.0),
    )


def _crop(x: int, y: int, size: tuple[int, int]) -> Step:
    def apply(image: Image.Image) -> Image.Image:
        return image.crop((x, y, x + size[0], y + size[1]))

    return Step(f"crop {size[0]}x{size[1]}+{x}+{y}", apply, apply, (1.0, 1.0, x, y))


def _add_noise(deviation: float, seed: int) -> Step:
    def apply(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image)
        noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32) * np.float32(deviation)
        return Image.fromarray(to_bytes(pixels + noise))

    return _not_moving(f"noise {deviation:.1f}", apply)


def plan(
    shape: tuple[int, ...], rng: np.random.Generator, settings: Settings
) -> tuple[tuple[int, int], tuple[int, int], list[Step]]:
    """Draw the final size, the canvas's size (both width, height) and what happens in between."""
    resized, cropped, crop_first = rng.random(3) < (settings.resize, settings.crop, 0.5)
    scale, unit = (log_uniform(rng, *settings.scale) if resized else 1.0), 1
    if resized and settings.usual and rng.random() < settings.usual:
        scale, unit = USUAL[int(rng.integers(len(USUAL)))]
        crop_first = False  # the resized picture is a little larger than what is left of it
    low, high = settings.side
    most = [min(max(settings.enlarge * scale * side, low), high) for side in (shape[1], shape[0])]
    width = round(log_uniform(rng, low, most[0]))
    height = round(log_uniform(rng, min(max(low, width / 1.8), most[1]), min(most[1], max(low, 1.8 * width))))
    size = (width, height)

    steps = [_save(rng, settings)] if rng.random() < settings.early else []
    margins = rng.random(4) * settings.margin if cropped else np.zeros(4)
    inner = (max(round(width / scale), 1), max(round(height / scale), 1)) if crop_first else size
    left, right, top, bottom = (int(m * inner[i // 2]) for i, m in enumerate(margins))
    outer = (-(-(left + inner[0] + right) // unit) * unit, -(-(top + inner[1] + bottom) // unit) * unit)
    crops = [_crop(left, top, inner)] if cropped or outer != inner else []
    if crop_first:
        canvas = outer
        steps += crops + ([_resize(inner, size, rng, settings)] if resized else [])
    else:
        canvas = (max(round(outer[0] / scale), 1), max(round(outer[1] / scale), 1))
        steps += ([_resize(canvas, outer, rng, settings)] if resized else []) + crops

    if rng.random() < settings.blur:
        sigma = rng.uniform(*settings.sigma)
        steps.append(_not_moving(f"blur {sigma:.1f}", lambda image: image.filter(ImageFilter.GaussianBlur(sigma))))
    if rng.random() < settings.sharpen:
        percent, radius = int(rng.integers(settings.percent[0], settings.percent[1] + 1)), rng.uniform(0.5, 2)
        sharpen = ImageFilter.UnsharpMask(radius, percent, 0)
        steps.append(_not_moving(f"sharpen {percent}", lambda image: image.filter(sharpen)))
    if settings.dark and rng.random() < settings.dark:
        steps.append(_darkened(rng))
    if rng.random() < settings.noise:
        steps.append(_add_noise(rng.uniform(*settings.levels), int(rng.integers(2**32))))
    if settings.palette and rng.random() < settings.palette:
        steps.append(_palette(rng))
    elif rng.random() < settings.late:
        steps.append(_save(rng, settings))
    return size, canvas, steps


@dataclass(frozen=True)
class Geometry:
    """Where an edge of the canvas lies in the final picture: x · scale − offset; `size` is the final one."""

    scale: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def of(cls, steps: list[Step], size: tuple[int, int]) -> Geometry:
        """Return where these steps, one after the other, move edges; `size` is that of the final picture."""
        scale, offset = np.ones(2), np.zeros(2)
        for step in steps:
            if step.moves is not None:
                scale, offset = scale * step.moves[:2], offset * step.moves[:2] + step.moves[2:]
        return cls((float(scale[0]), float(scale[1])), (float(offset[0]), float(offset[1])), size)

    def grid(self, grid: Grid) -> Grid:
        """Return where a grid of the canvas lies in the final picture."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        return Grid(grid.x * sx - ox, grid.y * sy - oy, grid.width * sx, grid.height * sy)

    def seen(self, axis: int, start: int, length: int) -> tuple[int, int]:
        """Return which of the canvas's pixels start … start + length the final picture shows, counted from start.

        Along an axis (0: x, 1: y).
        """
        first = self.offset[axis] / self.scale[axis] - start
        last = first + self.size[axis] / self.scale[axis]
        return min(max(math.ceil(first), 0), length), min(max(math.floor(last), 0), length)
