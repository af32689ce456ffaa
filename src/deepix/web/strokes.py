"""What a visitor painted with the brush, as a mask at the picture's own size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from deepix.errors import DeepixError

MAX_POINTS = 20_000
"""Of all strokes of an area together."""
MAX_RADIUS = 4096.0


@dataclass(frozen=True)
class Stroke:
    """A line drawn with a round brush.

    Attributes
    ----------
    radius : of the brush, in pixels of the picture
    points : (x, y) that the brush's middle passed, in pixels of the picture
    """

    radius: float
    points: tuple[tuple[float, float], ...]


def strokes_of(described: Any) -> tuple[Stroke, ...]:
    """Return the strokes that a request describes.

    Raises
    ------
    DeepixError : it describes none, or too many
    """
    try:
        strokes = tuple(_stroke(one) for one in described)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise DeepixError("a stroke is a radius and a list of points, in pixels of the picture") from error
    if not strokes:
        raise DeepixError("nothing was painted")
    if sum(len(stroke.points) for stroke in strokes) > MAX_POINTS:
        raise DeepixError(f"the strokes have more than {MAX_POINTS} points: paint less at a time, or drag a rectangle")
    return strokes


def _stroke(described: Mapping[str, Any]) -> Stroke:
    radius = float(described["radius"])
    points = tuple((float(x), float(y)) for x, y in described["points"])
    if not points or not 0 < radius <= MAX_RADIUS or not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
        raise ValueError(described)
    return Stroke(radius, points)


def mask(strokes: Sequence[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where strokes went over a picture: bool (H, W).

    Raises
    ------
    DeepixError : nowhere
    """
    height, width = shape[:2]
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        # far outside nothing is drawn, but coordinates may be too large for the drawing
        far = MAX_RADIUS + max(width, height)
        points = [(min(max(x, -far), far), min(max(y, -far), far)) for x, y in stroke.points]
        if len(points) > 1:
            draw.line(points, 255, max(1, round(2 * stroke.radius)))
        for x, y in points:
            r = stroke.radius
            draw.ellipse((x - r, y - r, x + r, y + r), 255)
    result: NDArray[np.bool_] = np.asarray(image) > 0
    if not result.any():
        raise DeepixError("what was painted lies outside the picture")
    return result
