"""What negatives are drawn with: a size, random numbers, perhaps a photo; words, light and perspective."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from deepix.training.data.draws import log_uniform
from deepix.training.data.pixels import Bytes, to_bytes

Resampling = Image.Resampling
Colour = tuple[int, int, int]


class Scene(NamedTuple):
    """What a negative is drawn from."""

    rng: np.random.Generator
    size: tuple[int, int]
    photo: Bytes | None

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, low … high."""
        return int(self.rng.integers(low, high + 1))

    def log(self, low: float, high: float) -> int:
        """Return a whole number, log-uniform."""
        return round(log_uniform(self.rng, low, high))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < probability)

    def colour(self, low: int = 0, high: int = 255) -> Colour:
        """Return any colour with channels of low … high."""
        r, g, b = (int(v) for v in self.rng.integers(low, high + 1, 3))
        return r, g, b

    def muted(self, low: int, high: int) -> Colour:
        """Return a colour of this brightness as walls have it: gray with a tint, more seldom any colour."""
        if self.chance(0.3):
            return self.colour(low, high)
        r, g, b = np.clip(self.whole(low, high) + self.rng.normal(0, 18, 3), 0, 255)
        return int(r), int(g), int(b)

    def ink_and_paper(self) -> tuple[Colour, Colour]:
        """Return a dark and a light colour, or the other way round."""
        dark, light = self.colour(0, 90), self.colour(190, 255)
        if self.chance(0.6):
            dark, light = (20, 20, 20), (255, 255, 255)
        return (dark, light) if self.chance(0.75) else (light, dark)

    def blank(self, colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return a picture of one colour, and what draws on it."""
        image = Image.new("RGB", self.size, colour)
        return image, ImageDraw.Draw(image)

    def background(self) -> Image.Image:
        """Return the photo, cut and scaled to the size, or a drawing of overlapping shaded discs in its place."""
        if self.photo is not None:
            image = Image.fromarray(self.photo).convert("RGB")
            scale = max(self.size[0] / image.width, self.size[1] / image.height)
            if scale < 1:
                scale = log_uniform(self.rng, scale, 1.0)
            width, height = min(self.size[0] / scale, image.width), min(self.size[1] / scale, image.height)
            x, y = self.rng.random() * (image.width - width), self.rng.random() * (image.height - height)
            return image.resize(self.size, Resampling.BICUBIC, (x, y, x + width, y + height))
        image, draw = self.blank(self.colour())
        for radius in sorted((log_uniform(self.rng, 4, max(self.size) / 2) for _ in range(120)), reverse=True):
            x, y = self.rng.random(2) * self.size
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self.colour(), outline=self.colour())
        return shaded(image, self, 40).filter(ImageFilter.GaussianBlur(0.8))


def shaded(image: Image.Image, scene: Scene, strength: float, texture: float = 0.0) -> Image.Image:
    """Light a picture unevenly, and add a grain."""
    width, height = image.size
    coarse = scene.rng.normal(0, strength, (3, 3)).astype(np.float32)
    pixels = np.asarray(image).astype(np.float32)
    pixels += np.asarray(Image.fromarray(coarse).resize((width, height), Resampling.BICUBIC))[..., None]
    if texture:
        pixels += texture * scene.rng.standard_normal((height, width, 1), np.float32)
    return Image.fromarray(to_bytes(pixels))


def seen_aslant(image: Image.Image, scene: Scene) -> Image.Image:
    """Look at a wall from the side, half the times."""
    if scene.chance(0.5):
        return image
    width, height = image.size
    inset = scene.rng.random((4, 2)) * 0.3 * (width, height)
    corners = [
        inset[0],
        (inset[1, 0], height - inset[1, 1]),
        (width, height) - inset[2],
        (width - inset[3, 0], inset[3, 1]),
    ]
    quad = [float(v) for corner in corners for v in corner]
    return image.transform(image.size, Image.Transform.QUAD, quad, Resampling.BICUBIC)


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)


SYLLABLES = ("ka", "lo", "re", "mi", "ton", "ser", "ing", "al", "de", "pro", "ver", "sta", "un", "qui", "est", "o")


def words(scene: Scene, number: int) -> str:
    """Return words that nobody knows, and numbers."""
    words = []
    for _ in range(number):
        syllables = scene.rng.integers(0, len(SYLLABLES), scene.whole(1, 4))
        word = "".join(SYLLABLES[i] for i in syllables)
        words.append(str(scene.whole(0, 9999)) if scene.chance(0.08) else word.title() if scene.chance(0.15) else word)
    return " ".join(words)


def paragraph(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, ink: Colour, scene: Scene) -> None:
    """Fill a box with lines of text."""
    x0, y0, x1, y1 = box
    gap = round(size * scene.rng.uniform(1.2, 1.7))
    for y in range(y0, y1 - size, gap):
        if scene.chance(0.08):
            continue
        line = words(scene, 1 + (x1 - x0) // (3 * size))
        length = int((x1 - x0) / (0.5 * size) * (1 if scene.chance(0.8) else scene.rng.random()))
        draw.text((x0, y), line[: max(length, 1)], fill=ink, font=font(size))
