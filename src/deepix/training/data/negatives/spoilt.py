"""Photos that were spoilt without a mosaic: saved badly, blurred, printed in dots, covered, put between bars."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from deepix.training.data.negatives.scene import Colour, Resampling, Scene
from deepix.training.data.pixels import LUMA, Bytes, to_bytes
from deepix.training.data.saved import as_video


def blocky_jpeg(scene: Scene) -> Bytes:
    """Save a photo as JPEG of quality 5 to 20; a quarter of them are enlarged after that, up to twice."""
    width, height = scene.size
    scale = scene.rng.uniform(1, 2) if scene.chance(0.25) else 1.0
    small = scene.background().resize((max(8, round(width / scale)), max(8, round(height / scale))), Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=scene.whole(5, 20), subsampling=2 if scene.chance(0.7) else 0)
    return np.asarray(Image.open(buffer).convert("RGB").resize(scene.size, Resampling.BICUBIC))


def frame_of_video(scene: Scene) -> Bytes:
    """Save a photo as a coarse frame of MPEG video; a third of them are enlarged after that, as players do."""
    width, height = scene.size
    scale = scene.rng.uniform(1, 2) if scene.chance(0.33) else 1.0
    small = scene.background().resize(
        (max(16, round(width / scale)), max(16, round(height / scale))), Resampling.BICUBIC
    )
    moved = scene.whole(0, 7) * scene.whole(0, 1), scene.whole(0, 7) * scene.whole(0, 1)
    return np.asarray(as_video(small, scene.log(4, 20), moved).resize(scene.size, Resampling.BICUBIC))


def heavy_blur(scene: Scene) -> Bytes:
    """Blur a photo by 3 to 20 pixels: all of it, or a rectangle or an ellipse, as faces are made unknown."""
    image = scene.background()
    kind = ImageFilter.GaussianBlur if scene.chance(0.7) else ImageFilter.BoxBlur
    blurred = image.filter(kind(scene.log(3, 20)))
    if scene.chance(0.4):
        return np.asarray(blurred)
    mask = Image.new("L", scene.size)
    _scribble(ImageDraw.Draw(mask), scene, 255)
    if scene.chance(0.5):
        mask = mask.filter(ImageFilter.GaussianBlur(4))
    return np.asarray(Image.composite(blurred, image, mask))


def _scribble(draw: ImageDraw.ImageDraw, scene: Scene, fill: int | Colour) -> None:
    """Draw a rectangle or an ellipse of a face's size somewhere."""
    w, h = (scene.whole(side // 8, side // 2) for side in scene.size)
    x, y = scene.whole(0, scene.size[0] - w), scene.whole(0, scene.size[1] - h)
    (draw.rectangle if scene.chance(0.6) else draw.ellipse)((x, y, x + w, y + h), fill=fill)


def halftone(scene: Scene) -> Bytes:
    """Print a photo in dots of one ink or of three, on screens at an angle, or with ordered dithering."""
    pixels = np.asarray(scene.background()).astype(np.float32) / 255
    y, x = np.mgrid[0 : scene.size[1], 0 : scene.size[0]].astype(np.float32)
    if scene.chance(0.25):  # Bayer's matrix, each entry a square of pixels
        bayer = np.array([[0]])
        for _ in range(scene.whole(1, 3)):
            bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
        unit, side = scene.whole(1, 3), len(bayer)
        screen = (bayer[(y // unit).astype(int) % side, (x // unit).astype(int) % side] + 0.5) / bayer.size
        screens = np.repeat(screen[..., None], 3, axis=2)
    else:
        period, angles = scene.rng.uniform(3, 14), np.deg2rad(np.array((15, 75, 0)) + scene.rng.uniform(0, 90))
        if scene.chance(0.5):
            angles = np.full(3, angles[0])
        screens = np.empty_like(pixels)
        for i, angle in enumerate(angles):
            u, v = (x * np.cos(angle) + y * np.sin(angle)), (y * np.cos(angle) - x * np.sin(angle))
            screens[..., i] = 0.5 + 0.25 * (np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period))
    if scene.chance(0.6):
        pixels = np.repeat((pixels @ LUMA)[..., None], 3, axis=2)
        screens = screens[..., :1]
    sharpness = scene.rng.uniform(4, 40)
    return to_bytes(255 * np.clip((pixels - screens) * sharpness + 0.5, 0, 1))


def censor_bar(scene: Scene) -> Bytes:
    """Hide parts of a photo behind rectangles and ellipses of one colour."""
    image = scene.background()
    draw = ImageDraw.Draw(image)
    for _ in range(scene.whole(1, 4)):
        _scribble(draw, scene, (0, 0, 0) if scene.chance(0.6) else scene.colour())
    return np.asarray(image)


def letterbox(scene: Scene) -> Bytes:
    """Put bars beside a photo, above and below it, or all around."""
    width, height = scene.size
    bars = [scene.whole(1, max(1, side // 4)) if scene.chance(0.7) else 0 for side in scene.size]
    if not any(bars):
        bars[1] = max(1, height // 8)
    image, _ = scene.blank((0, 0, 0) if scene.chance(0.7) else scene.colour())
    inner = max(1, width - 2 * bars[0]), max(1, height - 2 * bars[1])
    image.paste(scene._replace(size=inner).background(), (bars[0], bars[1]))
    return np.asarray(image)
