"""Random resized crops: parts of a picture, each brought to the same size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from deepix import challenge
from deepix.training.data.pixels import Bytes

ATTEMPTS = 10
"""Draws of a crop before a square one is taken, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Crops:
    """Random resized crops: parts of a picture, each brought to the same size.

    A crop's area is a uniform share of the picture's and its width : height log-uniform; its place is uniform. Crops
    that do not fit, or would be enlarged more than allowed, are drawn anew, and after 10 draws a square takes their
    place whose side is uniform between the smallest allowed and the picture's shorter side.

    Attributes
    ----------
    number : crops of each picture
    size : width and height of the result, in pixels
    scale : least and greatest share of the picture's area
    ratio : least and greatest width : height; other than 1 it distorts
    own_size : share of the crops that are squares of the picture's own pixels, nothing resized, for which scale, ratio
        and enlarge do not count
    enlarge : by how much a crop may be enlarged at most; a picture with a shorter side below size / enlarge is skipped
    colour : RGB; else gray by `challenge.to_grayscale`
    seed : picture i of all pictures read draws from the i-th stream of it

    Raises
    ------
    ValueError : a number is out of range
    """

    number: int = 1
    size: int = challenge.SIZE
    scale: tuple[float, float] = (0.1, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    enlarge: float = 1.0
    colour: bool = False
    own_size: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 1 or self.size < 1 or self.seed < 0:
            raise ValueError("number and size of crops must be at least 1, and the seed at least 0")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"the scale must be 0 < least ≤ greatest ≤ 1, not {self.scale[0]} … {self.scale[1]}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"the ratio must be 0 < least ≤ greatest, not {self.ratio[0]} … {self.ratio[1]}")
        if not 1 <= self.enlarge < math.inf:
            raise ValueError(f"crops can be enlarged by 1 or more, not {self.enlarge}")
        if not 0 <= self.own_size <= 1:
            raise ValueError(f"the share of crops of a picture's own pixels must be 0 … 1, not {self.own_size}")

    @property
    def smallest(self) -> int:
        """The least width and height of a crop, in pixels of its picture."""
        return self.size if self.own_size else math.ceil(self.size / self.enlarge)


def crop(image: Image.Image, crops: Crops, rng: np.random.Generator) -> Bytes:
    """Return random resized crops of a picture: uint8 (number, size, size) or, in colour, (number, size, size, 3).

    Resized as the challenge does it: bilinear with antialiasing, on 8-bit values, before colours become gray.

    Parameters
    ----------
    image : 8-bit grayscale or RGB
    crops : how
    rng : where the crops lie

    Raises
    ------
    ValueError : the picture is too small
    """
    if min(image.size) < crops.smallest:
        raise ValueError(f"{image.width} x {image.height} pixels, but crops need {crops.smallest} x {crops.smallest}")
    results = []
    for _ in range(crops.number):
        x, y, width, height = place(*image.size, crops, rng)
        size = (crops.size, crops.size)
        part = image.resize(size, Image.Resampling.BILINEAR, (x, y, x + width, y + height))
        pixels = np.asarray(part.convert("RGB") if crops.colour else part)
        results.append(pixels if crops.colour else challenge.to_grayscale(pixels))
    return np.stack(results)


def place(width: int, height: int, crops: Crops, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return x, y, width and height of a random crop of a picture of width x height pixels."""
    share = crops.own_size
    own = rng.random() < share if 0 < share < 1 else share == 1
    w, h = (crops.size, crops.size) if own else _resized(width, height, crops, rng)
    return int(rng.integers(0, width - w, endpoint=True)), int(rng.integers(0, height - h, endpoint=True)), w, h


def _resized(width: int, height: int, crops: Crops, rng: np.random.Generator) -> tuple[int, int]:
    """Return width and height of what becomes a crop."""
    for _ in range(ATTEMPTS):
        area = rng.uniform(*crops.scale) * width * height
        ratio = math.exp(rng.uniform(*np.log(crops.ratio)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if crops.smallest <= w <= width and crops.smallest <= h <= height:
            return w, h
    side = int(rng.integers(crops.smallest, min(width, height), endpoint=True))
    return side, side
