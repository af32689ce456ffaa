"""Pictures as files give them back: what Pillow writes, and what a frame of MPEG video leaves."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageChops

INTRA = (
    8, 16, 19, 22, 26, 27, 29, 34, 16, 16, 22, 24, 27, 29, 34, 37,
    19, 22, 26, 27, 29, 34, 34, 38, 22, 22, 26, 27, 29, 34, 37, 40,
    22, 26, 27, 29, 32, 35, 40, 48, 26, 27, 29, 32, 35, 40, 48, 58,
    26, 27, 29, 34, 38, 46, 56, 69, 27, 29, 35, 38, 46, 56, 69, 83,
)  # fmt: skip
"""The default table of intra blocks of MPEG-1, MPEG-2 and MPEG-4 part 2 (ISO/IEC 13818-2, 6.3.11), row by row."""


def as_video(image: Image.Image, scale: int, shift: tuple[int, int]) -> Image.Image:
    """Return a frame as MPEG video leaves it: 8x8 blocks under MPEG's table, chroma halved, over earlier, moved ones.

    Parameters
    ----------
    image : gray or RGB
    scale : of the quantiser, 2 … 31: the table's values are divided by 8 and multiplied by it
    shift : by how many pixels, 0 … 7, the blocks of the frame before lie away from those of this one
    """
    table = [min(max(round(value * scale / 8), 1), 255) for value in INTRA]
    options: dict[str, Any] = {"format": "JPEG", "qtables": [table, table], "subsampling": 2}
    if shift != (0, 0):
        before = read_back(ImageChops.offset(image, *shift), options)
        image = ImageChops.offset(before, -shift[0], -shift[1])
    return read_back(image, options)


def read_back(image: Image.Image, options: dict[str, Any]) -> Image.Image:
    """Return a picture, gray or in colour, as a file gives it back that Pillow writes with these options."""
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return Image.open(buffer).convert(image.mode)
