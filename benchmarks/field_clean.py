"""Rows of the field without any mosaic: what is reported there is a false alarm."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import cv2
import numpy as np
from field_case import Case, Rng, fitted, log_whole
from field_programs import encoded
from finding import brick_wall
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from deepix.training.data.negatives import negative

Array = NDArray[Any]


def saved(pixels: Array, rng: Rng, how: str, *programs: str, lossy: float = 0.3) -> Case:
    """Return a clean case: PNG, or JPEG in this share of the cases."""
    if rng.random() < lossy:
        quality = int(rng.integers(60, 96))
        return Case(
            encoded(pixels, "JPEG", quality=quality), ".jpg", [], [how, f"JPEG {quality}"], {"Pillow", *programs}
        )
    return Case(encoded(pixels, "PNG"), ".png", [], [how], {"Pillow", *programs})


def photo(picture: Array, rng: Rng) -> Case:
    """Keep a photo as it is, but for its size."""
    return saved(fitted(picture, rng, 0.4), rng, "photo", lossy=0.5)


def jpeg10(picture: Array, rng: Rng) -> Case:
    """Save a photo as JPEG of quality 10, also as PNG after that."""
    quality = int(rng.integers(8, 13))
    content = encoded(fitted(picture, rng), "JPEG", quality=quality, subsampling=int(rng.integers(0, 3)))
    return Case(content, ".jpg", [], [f"JPEG {quality}"], {"Pillow"})


def checkerboard(_: Array, rng: Rng) -> Case:
    """Draw squares of two colours, all over the picture or in a part; some with noise, soft borders or uneven light."""
    width, height = int(rng.integers(240, 600)), int(rng.integers(240, 500))
    side = log_whole(rng, 4, 60)
    y, x = np.mgrid[0:height, 0:width]
    dark, light = rng.integers(0, 120, 3), rng.integers(130, 256, 3)
    if rng.random() < 0.5:
        dark, light = np.full(3, rng.integers(0, 200)), np.full(3, rng.integers(205, 256))  # as transparency is shown
    board = ((x // side + y // side) % 2)[..., None]
    pixels = np.where(board, dark, light).astype(np.float64)
    if rng.random() < 0.4:  # a board on a ground
        ground = np.ones((height, width), bool)
        left, top = int(rng.integers(0, width // 3)), int(rng.integers(0, height // 3))
        ground[top : top + height // 2, left : left + width // 2] = False
        pixels[ground] = rng.integers(0, 256, 3)
    if rng.random() < 0.3:
        pixels += 60 * (x / width)[..., None]
    if rng.random() < 0.3:
        pixels += rng.normal(0, rng.uniform(0.5, 4), pixels.shape)
    if rng.random() < 0.3:
        pixels = ndimage.gaussian_filter(pixels, (0.6, 0.6, 0))
    return saved(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), rng, f"checkerboard of {side}")


def bricks(picture: Array, rng: Rng) -> Case:
    """Draw a wall of bricks: flat or rough ones, or in uneven light and seen from the side."""
    if rng.random() < 0.7:
        return saved(brick_wall(rng), rng, "bricks")
    size = int(rng.integers(300, 640)), int(rng.integers(260, 480))
    return saved(negative("brick wall", rng, picture, size), rng, "bricks aslant")


def _palette(rng: Rng, number: int) -> Array:
    base = rng.integers(0, 256, (number, 3)).astype(np.float64)
    return np.asarray(np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8))


def pixel_art(picture: Array, rng: Rng) -> Case:
    """Draw sprites on a ground in few colours, and enlarge everything without smoothing."""
    unit = int(rng.integers(3, 17))
    columns, rows = int(rng.integers(240, 640)) // unit, int(rng.integers(240, 520)) // unit
    palette = _palette(rng, int(rng.integers(6, 24)))
    small = np.zeros((rows, columns), np.intp)
    noise = ndimage.gaussian_filter(rng.random((rows, columns)), rng.uniform(0.5, 4))
    small[:] = np.digitize(noise, np.quantile(noise, np.sort(rng.random(int(rng.integers(1, 5))))))
    for _ in range(int(rng.integers(3, 14))):  # figures that are mirror images of themselves
        side = min(int(rng.integers(6, 20)), columns, rows)
        half = ndimage.gaussian_filter(rng.random((side, side // 2)), rng.uniform(0.4, 1.2))
        figure = np.concatenate([half, half[:, ::-1]], axis=1)
        levels = np.digitize(figure, np.quantile(figure, (0.45, 0.6, 0.8)))
        y, x = int(rng.integers(0, rows - side + 1)), int(rng.integers(0, columns - side + 1))
        there = small[y : y + side, x : x + figure.shape[1]]
        levels = levels[: there.shape[0], : there.shape[1]]
        shown = levels > 0
        there[shown] = (levels[shown] + int(rng.integers(0, len(palette)))) % len(palette)
    pixels = palette[small % len(palette)]
    return saved(np.repeat(np.repeat(pixels, unit, axis=0), unit, axis=1), rng, f"pixel art of {unit}", lossy=0.2)


def blocks(picture: Array, rng: Rng) -> Case:
    """Draw a landscape of textured blocks, as games of blocks show it from the front; near ones larger."""
    texture, unit = int(rng.choice((8, 16))), int(rng.integers(2, 7))
    columns, rows = 1 + 640 // (texture * unit), 1 + 480 // (texture * unit)
    kinds = []
    for _ in range(int(rng.integers(4, 9))):
        base, spread = rng.integers(30, 220, 3), rng.uniform(3, 28)
        gray = rng.normal(0, spread, (texture, texture, 1))
        tile = np.clip(base + gray + rng.normal(0, 3, (texture, texture, 3)), 0, 255)
        if rng.random() < 0.3:
            tile[: texture // 4] = np.clip(tile[: texture // 4] + rng.integers(-70, 70, 3), 0, 255)
        kinds.append(np.repeat(np.repeat(tile, unit, axis=0), unit, axis=1))
    sky = np.linspace(0, 1, rows * texture * unit)[:, None, None] * rng.integers(-60, 60, 3) + rng.integers(120, 230, 3)
    picture = np.broadcast_to(sky, (rows * texture * unit, columns * texture * unit, 3)).copy()
    surface = np.clip(np.cumsum(rng.integers(-1, 2, columns)) + rows // 2, 1, rows)
    side = texture * unit
    for column in range(columns):
        for row in range(int(surface[column]), rows):
            tile = kinds[min(row - int(surface[column]), 2) if rng.random() < 0.8 else int(rng.integers(len(kinds)))]
            shade = rng.uniform(0.8, 1.1) if rng.random() < 0.3 else 1.0
            picture[row * side : (row + 1) * side, column * side : (column + 1) * side] = shade * tile
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)[:480, :640]
    if rng.random() < 0.4:  # seen aslant, as from above
        height, width = pixels.shape[:2]
        inset = rng.random((4, 2)) * 0.25 * np.array((width, height))
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        turned = (corners + np.where(corners > 0, -1, 1) * inset).astype(np.float32)
        way, border = cv2.getPerspectiveTransform(corners, turned), cv2.BORDER_REPLICATE
        pixels = np.asarray(cv2.warpPerspective(pixels, way, (width, height), borderMode=border))
    return saved(pixels, rng, f"blocks of {side}, texture {unit}", "OpenCV", lossy=0.3)


def qr_code(picture: Array, rng: Rng) -> Case:
    """Draw a QR code, alone or on a photo."""
    segno = import_module("segno")  # the row is left out where it is not installed
    text = "".join(chr(int(c)) for c in rng.integers(48, 91, int(rng.integers(8, 200))))
    code = np.array([[bool(v) for v in row] for row in segno.make(text).matrix_iter(border=int(rng.integers(1, 5)))])
    dark, light = np.zeros(3, np.uint8), np.full(3, 255, np.uint8)
    if rng.random() < 0.3:
        dark, light = rng.integers(0, 90, 3).astype(np.uint8), rng.integers(180, 256, 3).astype(np.uint8)
    module = int(rng.integers(2, 13))
    image = Image.fromarray(np.where(code[..., None], dark, light))
    side = min(image.width * module, 500)
    way = Image.Resampling.NEAREST if rng.random() < 0.7 else Image.Resampling.BILINEAR
    whole = side // image.width * image.width if rng.random() < 0.7 else side
    image = image.resize((max(whole, image.width), max(whole, image.width)), way)
    page = (
        Image.fromarray(fitted(picture, rng))
        if rng.random() < 0.5
        else Image.new("RGB", (640, 540), tuple(light.tolist()))
    )
    if rng.random() < 0.5:
        ImageDraw.Draw(page).text((10, 10), text[:24], fill=tuple(dark.tolist()))
    x, y = (int(rng.integers(0, max(a - b, 0) + 1)) for a, b in zip(page.size, image.size, strict=True))
    page.paste(image, (x, y))
    return saved(np.asarray(page), rng, f"QR code, modules of {whole / code.shape[0]:.2f}", "segno")
