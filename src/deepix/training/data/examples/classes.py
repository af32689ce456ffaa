"""The classes of examples that locators are measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepix.training.data.examples.settings import Settings

_LOSSLESS = Settings(
    side=(200, 640),
    enlarge=1.0,
    counts=(0, 0.4, 0.3, 0.2, 0.1),
    whole=0,
    fractional=0,
    shapes={"rectangle": 1.0},
    whole_tiles=0,
    touching=0,
    gap=2,
    least_side=16,
    largest=0.75,
    least_change=1.0,
    every_line=True,
    early=0,
    late=0,
    webp=0,
    resize=0,
    crop=0,
    blur=0,
    sharpen=0,
    noise=0,
)
_JPEG = replace(_LOSSLESS, late=1, least_change=3.0)
_ROUND: dict[str, Any] = {"shapes": {"ellipse": 1.0, "blob": 1.0}, "whole_tiles": 0.5}

CLASSES: dict[str, Settings] = {
    "1 lossless": _LOSSLESS,
    "1 jpeg 90-100": replace(_JPEG, quality=(90, 100)),
    "2 jpeg 50-89": replace(_JPEG, quality=(50, 89)),
    "2 resized, jpeg 75-100": replace(_JPEG, resize=1, scale=(0.6, 1.7), quality=(75, 100)),
    "3 lossless": replace(_LOSSLESS, **_ROUND),
    "3 jpeg 50-89": replace(_JPEG, quality=(50, 89), **_ROUND),
}
"""The classes of the benchmark. 1: integer grids of rectangles in good files; 2: the same in bad or resized ones;
3: ellipses and blobs. Every side and every grid line of an area can be seen (`least_change`)."""
