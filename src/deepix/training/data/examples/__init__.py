"""Examples that a locator of mosaics learns from and is measured with: photos with mosaics, as people post them.

    photo ─ crop, scale ─▶ canvas ─ 0 … 6 mosaics ─▶ pixelated ─ save, crop, resize, blur, …, save ─▶ picture
                              └──────────────────── the same crops and resizes ─────────────────────▶ clean

The file's history is drawn first, so that the picture has the size that is wanted and a mosaic is drawn only if it can
still be seen at the end: cells stay at least `SMALLEST` pixels wide and high, the area large enough, and
pixelating changes something (a flat wall looks the same inside and outside). Lengths in `Settings` are pixels
of the final picture, except where they say otherwise.

Crops and resizes move the grid exactly: an edge at x goes to x · scale − offset, in coordinates where pixel i covers
i … i + 1, as Pillow's `resize` has them; a final pixel belongs to a mosaic if its centre does.

Pictures without any mosaic that look as if they had one are drawn by `deepix.training.data.negatives`.
"""

from deepix.training.data.examples.classes import CLASSES
from deepix.training.data.examples.photos import Example, Placed, example
from deepix.training.data.examples.settings import FILTERS, SHAPES, SMALLEST, TILES, Settings
from deepix.training.data.examples.visibility import contrast, visible

__all__ = [
    "CLASSES",
    "FILTERS",
    "SHAPES",
    "SMALLEST",
    "TILES",
    "Example",
    "Placed",
    "Settings",
    "contrast",
    "example",
    "visible",
]
