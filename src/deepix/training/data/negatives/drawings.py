"""Pixel art, QR codes, and fills of a colour or a ramp of them."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from deepix.training.data.negatives.scene import Resampling, Scene, font, shaded, words
from deepix.training.data.pixels import Bytes, to_bytes


def pixel_art(scene: Scene) -> Bytes:
    """Draw sprites, ground and letters in few colours and enlarge them without smoothing."""
    unit = scene.log(3, 16)
    columns, rows = (math.ceil(side / unit) for side in scene.size)
    palette = [scene.colour() for _ in range(6)]
    small = Image.new("RGB", (columns, rows), palette[0])
    draw = ImageDraw.Draw(small)
    outline = scene.colour(0, 60)
    if scene.chance(0.5):  # a sky in two colours, dithered where they meet
        y, x = np.mgrid[0:rows, 0:columns]
        level = (y - scene.whole(0, rows)) / max(2, rows // 4)
        small.paste(palette[5], (0, 0), Image.fromarray(level > ((x + 2 * y) % 4 - 1.5) / 4))
    if scene.chance(0.5):  # ground of equal tiles
        tile, top = scene.whole(4, 16), scene.whole(rows // 2, rows)
        pattern = scene.rng.random((tile, tile)) < 0.2
        ground = np.zeros((rows, columns), bool)
        ground[top:] = np.tile(pattern, (rows // tile + 1, columns // tile + 1))[: rows - top, :columns]
        draw.rectangle((0, top, columns, rows), fill=palette[3])
        small.paste(palette[4], (0, 0), Image.fromarray(ground))
    for _ in range(scene.log(1, 12)):
        side = min(scene.log(6, 24), columns, rows)
        x, y = scene.whole(0, columns - side), scene.whole(0, rows - side)
        match scene.whole(0, 4):
            case 0 | 1:  # a creature: a mirrored figure with an outline, spots and a shade
                noise = ndimage.gaussian_filter(scene.rng.random((side, side // 2)), 1)
                half = noise > np.quantile(noise, scene.rng.uniform(0.3, 0.6))
                figure = np.pad(np.concatenate([half, half[:, ::-1]], axis=1), 1)
                edge = ndimage.binary_dilation(figure) & ~figure
                spots = figure & (scene.rng.random(figure.shape) < 0.06)
                shade = figure & ~np.roll(figure, -2, axis=0)
                for mask, colour in ((edge, outline), (figure, palette[1]), (shade, palette[3]), (spots, palette[2])):
                    small.paste(colour, (x, y), Image.fromarray(mask))
            case 2:
                draw.ellipse((x, y, x + side, y + side), fill=palette[1], outline=outline)
                draw.ellipse((x + side // 4, y + side // 4, x + side // 2, y + side // 2), fill=palette[2])
            case 3:
                draw.polygon([(x, y + side), (x + side // 2, y), (x + side, y + side)], palette[2], outline)
            case _:
                draw.fontmode = "1"
                draw.text((x, y), words(scene, 1), fill=outline, font=font(max(8, side // 2)))
    enlarged = np.repeat(np.repeat(np.asarray(small), unit, axis=0), unit, axis=1)
    return enlarged[: scene.size[1], : scene.size[0]]


def qr_code(scene: Scene) -> Bytes:
    """Draw a square of random modules with three finder squares and timing lines, on paper or on a photo."""
    number = 4 * scene.whole(1, 8) + 17
    code = scene.rng.random((number, number)) < 0.5
    code[6, :], code[:, 6] = np.arange(number) % 2 == 0, np.arange(number) % 2 == 0
    finder = np.zeros((8, 8), bool)
    finder[:7, :7] = True
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    code[:8, :8], code[:8, -8:], code[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    ink, paper = scene.ink_and_paper()
    quiet = np.pad(code, scene.whole(1, 4))[..., None]
    pixels = np.where(quiet, np.array(ink, np.uint8), np.array(paper, np.uint8))
    module = max(2, int(min(scene.size) * scene.rng.uniform(0.3, 1.0)) // len(pixels))
    code_image = Image.fromarray(np.repeat(np.repeat(pixels, module, axis=0), module, axis=1))
    if scene.chance(0.2):
        code_image = code_image.rotate(scene.rng.uniform(-20, 20), Resampling.BICUBIC, expand=True, fillcolor=paper)
    image = scene.background() if scene.chance(0.4) else scene.blank(paper)[0]
    x, y = (scene.whole(0, max(0, a - b)) for a, b in zip(image.size, code_image.size, strict=True))
    image.paste(code_image, (x, y))
    return np.asarray(image)


def plain(scene: Scene) -> Bytes:
    """Fill everything with a colour or a few, with or without a grain."""
    image, draw = scene.blank(scene.colour())
    for _ in range(scene.whole(0, 4)):
        x, y = scene.whole(0, scene.size[0]), scene.whole(0, scene.size[1])
        draw.rectangle((x, y, *scene.size), fill=scene.colour())
    return np.asarray(shaded(image, scene, 0, scene.rng.uniform(0, 4))) if scene.chance(0.5) else np.asarray(image)


def gradient(scene: Scene) -> Bytes:
    """Draw a ramp of colours along a line or around a point, in as many levels as there are, or in bands."""
    y, x = np.mgrid[0 : scene.size[1], 0 : scene.size[0]].astype(np.float32)
    x, y = x / scene.size[0], y / scene.size[1]
    planes = []
    angle = scene.rng.uniform(0, 2 * np.pi, 3 if scene.chance(0.4) else 1)
    for i in range(3):
        a = angle[i % len(angle)]
        ramp = x * np.cos(a) + y * np.sin(a) if scene.chance(0.7) else np.hypot(x - 0.5, y - 0.5)
        low, high = scene.rng.uniform(0, 255, 2)
        planes.append(low + (high - low) * (ramp - ramp.min()) / np.ptp(ramp))
    pixels = np.stack(planes, axis=2)
    if scene.chance(0.3):
        step = scene.log(4, 32)
        pixels = np.floor(pixels / step) * step
    return to_bytes(pixels)
