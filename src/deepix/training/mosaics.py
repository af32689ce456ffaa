"""Temporary: until the rooms are merged. See `operators`, `data.random_mosaics`, `data.samples`."""

from deepix.training.data.random_mosaics import CHALLENGE, Ranges, draw, from_rectangles, random, shaped, to_numpy
from deepix.training.data.samples import Sample, disturbed, sample
from deepix.training.operators import TRUNCATED, Mosaics, from_numpy, pixelate, project

__all__ = [
    "CHALLENGE",
    "TRUNCATED",
    "Mosaics",
    "Ranges",
    "Sample",
    "disturbed",
    "draw",
    "from_numpy",
    "from_rectangles",
    "pixelate",
    "project",
    "random",
    "sample",
    "shaped",
    "to_numpy",
]
