"""A sheet of samples to look at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deepix.challenge.protocol import SIZE, Bytes, Examples
from deepix.challenge.scoring import score
from deepix.challenge.submission import predictions


def sample_sheet(examples: Examples, estimates: Mapping[str, NDArray[np.float32]], scale: int = 4) -> Image.Image:
    """Draw pictures in rows: truth, pixelated, and each model's prediction; errors stand below.

    Parameters
    ----------
    examples : the N pictures
    estimates : of each model by its name, float (N, 64, 64), 0 … 255
    scale : screen pixels for one of the picture's
    """
    known, truths, pixelated = examples.known(), examples.truths(), examples.pixelated()
    columns: list[tuple[str, Bytes]] = [("truth", examples.images), ("pixelated", pixelated)]
    for name, estimate in estimates.items():
        pictures = pixelated.copy()
        pictures[~known] = np.concatenate(predictions(estimate, known))
        columns.append((name, pictures))
    tile, gap, text = SIZE * scale, 8, 20
    font = ImageFont.load_default(13)
    width = gap + len(columns) * (tile + gap)
    height = text + len(pixelated) * (tile + text) + gap
    sheet = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(sheet)
    for c, (name, pictures) in enumerate(columns):
        x = gap + c * (tile + gap)
        while font.getlength(name) > tile:
            name = "…" + name[2:]  # of a path, the end says most
        draw.text((x, 3), name, fill=0, font=font)
        for r, picture in enumerate(pictures):
            y = text + r * (tile + text)
            sheet.paste(Image.fromarray(picture).resize((tile, tile), Image.Resampling.NEAREST), (x, y))
            if name != "truth":
                error = score([picture[~known[r]]], [truths[r]]).pooled
                draw.text((x, y + tile + 2), f"RMSE {error:.1f}", fill=0, font=font)
    return sheet
