"""Shapes of areas that are no rectangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from deepix.training.data.pixels import Array


def draw_shape(shape: str, width: int, height: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a shape that fills a box: bool (height, width)."""
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    box = (0, 0, width - 1, height - 1)
    if shape == "rounded":
        draw.rounded_rectangle(box, rng.uniform(0.1, 0.5) * min(width, height), fill=1)
    elif shape == "ellipse":
        draw.ellipse(box, fill=1)
    elif shape == "blob":  # a circle whose radius sways
        angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        radius = np.ones_like(angle)
        for k in range(2, 6):
            radius += rng.uniform(0, 0.5 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        draw.polygon(_fitted(radius * np.cos(angle), radius * np.sin(angle), width, height, 0), fill=1)
    else:  # a brush along a smooth path
        number = int(rng.integers(3, 6))
        path = ndimage.zoom(rng.random((2, number)), (1, 8), order=3)
        brush = max(3, round(min(width, height) * rng.uniform(0.25, 0.5)))
        points = _fitted(path[0], path[1], width, height, brush / 2)
        draw.line(points, fill=1, width=brush, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=1)
    return np.asarray(image).astype(bool)


def _fitted(x: Array, y: Array, width: int, height: int, border: float) -> list[tuple[float, float]]:
    """Scale and move a curve so that it touches all sides of a box, less a border."""
    x, y = (x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)
    x, y = border + x * (width - 1 - 2 * border), border + y * (height - 1 - 2 * border)
    return list(zip(x.tolist(), y.tolist(), strict=True))
