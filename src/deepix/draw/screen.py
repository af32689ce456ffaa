"""Pictures of any of Pillow's modes as a screen shows them: 8 bits, without transparency."""

from __future__ import annotations

import numpy as np
from PIL import Image


def displayable(image: Image.Image) -> Image.Image:
    """Return the picture in RGB as a screen shows it: `eight_bits`, with a transparent colour on white too."""
    keyed = image.mode in ("L", "RGB") and "transparency" in image.info
    return eight_bits(image.convert("RGBA") if keyed else image).convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the picture in 8-bit grayscale ("L") or RGB.

    Palettes and CMYK are turned into RGB by Pillow, 16 bits divided by 257, and what an alpha channel makes transparent
    is laid on white.

    Raises
    ------
    ValueError : its mode ("I", "F") says nothing about the values' range
    """
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(values).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"Pillow mode {image.mode} says nothing about the values' range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")
