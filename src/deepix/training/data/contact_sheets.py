"""Many pictures of one size on one sheet, to look at."""

from __future__ import annotations

import numpy as np
from PIL import Image

from deepix.training.data.pixels import Bytes


def contact_sheet(pixels: Bytes, columns: int = 10, rows: int = 10, gap: int = 2) -> Image.Image:
    """Return pictures in rows and columns, evenly taken from all of them, on white.

    Parameters
    ----------
    pixels : uint8 (N, H, W) or (N, H, W, 3)
    columns, rows : at most
    gap : between pictures, in pixels

    Raises
    ------
    ValueError : no pictures, columns or rows
    """
    if not len(pixels) or columns < 1 or rows < 1:
        raise ValueError("a contact sheet needs a picture, a column and a row")
    number = min(columns * rows, len(pixels))
    chosen = np.linspace(0, len(pixels) - 1, number).round().astype(int)
    columns = min(columns, number)
    rows = -(-number // columns)
    height, width = pixels.shape[1:3]
    sheet = Image.new(
        "RGB" if pixels.ndim == 4 else "L",
        (columns * (width + gap) + gap, rows * (height + gap) + gap),
        "white",
    )
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        corner = (gap + column * (width + gap), gap + row * (height + gap))
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels[index])), corner)
    return sheet
