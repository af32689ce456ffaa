"""Surfaces in regular pieces: walls of bricks and tiles, windows, woven cloth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from deepix.training.data.negatives.scene import Colour, Scene, seen_aslant, shaded
from deepix.training.data.pixels import Array, Bytes, to_bytes


def _wall(
    scene: Scene, size: tuple[int, int], joint: int, offset: float, colours: Array, joint_colour: Colour
) -> Image.Image:
    """Draw a wall of bricks of this size with joints, each course moved by `offset`, each brick in one of `colours`."""
    y, x = np.arange(scene.size[1]), np.arange(scene.size[0])
    row = y // (size[1] + joint)
    moved = x[None, :] + (row * round(offset) % (size[0] + joint))[:, None]
    column = moved // (size[0] + joint)
    table = scene.rng.integers(0, len(colours), (row.max() + 1, column.max() + 1))
    pixels = colours[table[row[:, None], column]]
    in_joint = (y % (size[1] + joint) >= size[1])[:, None] | (moved % (size[0] + joint) >= size[0])
    pixels[in_joint] = joint_colour
    return Image.fromarray(to_bytes(pixels))


def brick_wall(scene: Scene) -> Bytes:
    """Draw a brick wall, each course moved by half or a third of a brick, or not at all."""
    size = scene.whole(14, 70), scene.whole(6, 32)
    base, spread = np.array(scene.muted(60, 190)), scene.rng.uniform(3, 25)
    colours = base + scene.rng.normal(0, spread, (24, 1)) + scene.rng.normal(0, 5, (24, 3))
    offset = float(scene.rng.choice((0.0, size[0] / 2, size[0] / 3)))
    wall = _wall(scene, size, scene.whole(1, 5), offset, colours, scene.muted(120, 220))
    wall = seen_aslant(shaded(wall, scene, 20, scene.rng.uniform(0, 10)), scene)
    return np.asarray(wall.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def tile_wall(scene: Scene) -> Bytes:
    """Draw bathroom tiles or a chequered floor: with joints, or with two colours only."""
    side = scene.log(5, 60)
    size = (side, side if scene.chance(0.7) else scene.log(5, 60))
    number = scene.whole(1, 12)
    base = np.array(scene.muted(60, 230))
    colours = base + scene.rng.normal(0, scene.rng.uniform(0, 50), (number, 3))
    wall = _wall(scene, size, scene.whole(1, 4), 0, colours, scene.muted(20, 240))
    if scene.chance(0.25):
        y, x = np.arange(scene.size[1]) // size[1], np.arange(scene.size[0]) // size[0]
        pair = np.array([scene.colour(), scene.colour()], np.uint8)
        wall = Image.fromarray(pair[(y[:, None] + x[None, :]) % 2])
    wall = seen_aslant(shaded(wall, scene, 15, scene.rng.uniform(0, 6)), scene)
    return np.asarray(wall.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def window_grid(scene: Scene) -> Bytes:
    """Draw a facade: equal windows with frames, some lit, some that reflect the sky."""
    image, draw = scene.blank(scene.muted(60, 220))
    width, height = scene.whole(8, 50), scene.whole(8, 60)
    pitch = width + scene.whole(2, 25), height + scene.whole(2, 25)
    glass, lit, frame = scene.muted(20, 140), scene.colour(180, 255), scene.muted(100, 255)
    share, bar = scene.rng.uniform(0, 0.5), scene.chance(0.5)
    for y in range(scene.whole(-10, 10), scene.size[1], pitch[1]):
        for x in range(scene.whole(-10, 10) if y < 0 else 4, scene.size[0], pitch[0]):
            change = scene.whole(-25, 25)
            fill = lit if scene.chance(share) else tuple(min(max(c + change, 0), 255) for c in glass)
            draw.rectangle((x, y, x + width, y + height), fill=fill, outline=frame)
            if bar:
                draw.line((x + width // 2, y, x + width // 2, y + height), fill=frame)
            if scene.chance(0.5):  # what the glass reflects
                draw.line((x + 1, y + height - 1, x + width - 1, y + 1), fill=frame)
    image = seen_aslant(shaded(image, scene, 25, scene.rng.uniform(0, 6)), scene)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def woven_cloth(scene: Scene) -> Bytes:
    """Draw threads that cross, plain or twill, in stripes of colours: a tartan, or one colour."""
    thread = scene.whole(2, 12)
    y, x = np.arange(scene.size[1]), np.arange(scene.size[0])
    row, column = (y // thread)[:, None], (x // thread)[None, :]
    twill = scene.whole(2, 4)
    over = (row + column) % twill < (twill + 1) // 2
    colours = np.array([scene.muted(20, 240) for _ in range(scene.whole(1, 4))], np.float32)
    stripes = np.repeat(scene.rng.integers(0, len(colours), 64), scene.rng.integers(1, 12, 64))
    warp, weft = colours[stripes[column % len(stripes)]], colours[stripes[row % len(stripes)]]
    cloth = np.where(over[..., None], warp, weft)
    relief = scene.rng.uniform(0.1, 0.5)
    across, down = (
        np.sin(np.pi * (x % thread + 0.5) / thread)[None, :],
        np.sin(np.pi * (y % thread + 0.5) / thread)[:, None],
    )
    cloth = cloth * (1 - relief + relief * np.where(over, across, down))[..., None]
    image = seen_aslant(shaded(Image.fromarray(to_bytes(cloth)), scene, 20, scene.rng.uniform(2, 10)), scene)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))
