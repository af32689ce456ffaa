"""Squares everywhere: landscapes of textured blocks, checkerboards, and drawings in few colours that were enlarged."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from deepix.training.data.negatives.scene import Resampling, Scene, seen_aslant, shaded
from deepix.training.data.pixels import Array, Bytes, to_bytes


def _texture(scene: Scene, side: int) -> Array:
    """Draw the face of a block: float32 (side, side, 3), a colour with a grain, perhaps with a layer at its top."""
    base, spread = np.array(scene.muted(30, 220)), scene.rng.uniform(2, 28)
    face = base + scene.rng.normal(0, spread, (side, side, 1)) + scene.rng.normal(0, 3, (side, side, 3))
    if scene.chance(0.3):
        edge = scene.rng.integers(1, 1 + side // 3, side)
        face[np.arange(side)[:, None] < edge] += scene.rng.integers(-70, 70, 3)
    return face.astype(np.float32)


def landscape(scene: Scene) -> Bytes:
    """Draw ground of textured blocks under a sky, as games of blocks show it: pixels of a texture are squares."""
    side, unit = int(scene.rng.choice((8, 16))), scene.whole(2, 7)
    columns, rows = (math.ceil(length / (side * unit)) for length in scene.size)
    faces = np.stack([_texture(scene, side) for _ in range(scene.whole(3, 8))])
    heights = np.clip(np.cumsum(scene.rng.integers(-1, 2, columns)) + scene.whole(0, rows // 2), 0, rows - 1)
    depth = np.arange(rows)[:, None] - heights
    kinds = np.where(scene.rng.random(depth.shape) < 0.8, depth.clip(0, 2), scene.rng.integers(0, 99, depth.shape))
    small = faces[kinds % len(faces)] * np.where(scene.rng.random(depth.shape) < 0.3, 0.85, 1.0)[..., None, None, None]
    ramp = np.linspace(0, 1, rows * side, dtype=np.float32)[:, None, None]
    sky = np.array(scene.colour(90, 255)) + ramp * scene.rng.integers(-60, 60, 3)
    ground = np.repeat(np.repeat(depth >= 0, side, axis=0), side, axis=1)[..., None]
    picture = np.where(ground, small.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3), sky)
    enlarged = np.repeat(np.repeat(to_bytes(picture), unit, axis=0), unit, axis=1)[: scene.size[1], : scene.size[0]]
    return np.asarray(seen_aslant(Image.fromarray(enlarged), scene)) if scene.chance(0.3) else enlarged


def checkerboard(scene: Scene) -> Bytes:
    """Draw squares in two colours, all over or in a part; with a grain, in uneven light, or sharp."""
    width, height = scene.size
    side = scene.log(3, 60)
    x, y = (np.arange(length) + scene.whole(0, side) for length in scene.size)
    pair = np.array(scene.ink_and_paper() if scene.chance(0.4) else (scene.colour(), scene.colour()), np.uint8)
    if scene.chance(0.3):  # as transparency is shown
        pair[:] = scene.whole(150, 235)
        pair[1] = 255
    board = Image.fromarray(pair[((x // side)[None, :] + (y // side)[:, None]) % 2])
    if scene.chance(0.4):
        image = scene.background() if scene.chance(0.5) else scene.blank(scene.colour())[0]
        part = scene.whole(width // 4, width), scene.whole(height // 4, height)
        image.paste(board.crop((0, 0, *part)), (scene.whole(0, width - part[0]), scene.whole(0, height - part[1])))
        board = image
    return np.asarray(
        shaded(board, scene, scene.rng.uniform(0, 20), scene.rng.uniform(0, 4)) if scene.chance(0.5) else board
    )


def upscaled(scene: Scene) -> Bytes:
    """Draw what interfaces are made of in a few pixels, in few flat colours, and enlarge it without smoothing."""
    unit = scene.log(3, 12)
    columns, rows = (math.ceil(length / unit) for length in scene.size)
    paper, colours = scene.colour(), [scene.colour() for _ in range(scene.whole(1, 5))]
    small = Image.new("RGB", (columns, rows), paper)
    for _ in range(scene.log(2, 14)):
        w, h = min(scene.log(3, 40), columns), min(scene.log(3, 40), rows)
        x, y = scene.whole(0, columns - w), scene.whole(0, rows - h)
        if scene.chance(0.4):
            small.paste(colours[scene.whole(0, len(colours) - 1)], (x, y, x + w, y + h))
            continue
        figure = scene.rng.random((h, math.ceil(w / 2))) < scene.rng.uniform(0.3, 0.7)
        mask = np.concatenate([figure, figure[:, ::-1]], axis=1)[:, :w]
        small.paste(colours[scene.whole(0, len(colours) - 1)], (x, y), Image.fromarray(mask))
    enlarged = small.resize((columns * unit, rows * unit), Resampling.NEAREST)
    return np.asarray(enlarged)[: scene.size[1], : scene.size[0]]
