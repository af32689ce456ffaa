"""Pictures in rows and columns under their captions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from deepix.draw.screen import displayable

_GAP = 8
"""Pixels between pictures."""


def side_by_side(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Return the pictures in one row on white, each under its caption; small ones are enlarged with hard pixels.

    Parameters
    ----------
    pictures : (caption, picture) pairs; pictures of any mode, best of one size
    """
    scale = max(1, 240 // min(min(image.size) for _, image in pictures))
    height = scale * max(image.height for _, image in pictures)
    return sheet([(caption, [image]) for caption, image in pictures], scale=scale, text=max(14, height // 25))


def sheet(
    columns: Sequence[tuple[str, Sequence[Image.Image]]],
    *,
    scale: int = 1,
    text: int = 13,
    notes: Sequence[Sequence[str]] | None = None,
) -> Image.Image:
    """Return pictures in rows and columns on white, in RGB, enlarged with hard pixels.

    Parameters
    ----------
    columns : (caption, pictures) pairs, as many pictures in each; of a caption that is too long the end is kept, which
        says most of a path
    scale : pixels of the sheet for one of a picture's
    text : the letters' size, in pixels
    notes : of each column, the words below each of its pictures
    """
    shown = [
        [displayable(i).resize((i.width * scale, i.height * scale), Image.Resampling.NEAREST) for i in pictures]
        for _, pictures in columns
    ]
    widths = [max(image.width for image in column) for column in shown]
    heights = [max(image.height for image in row) for row in zip(*shown, strict=True)]
    font = ImageFont.load_default(text)
    line = math.ceil(1.5 * text)
    below = line if notes else _GAP
    result = Image.new("RGB", (_GAP + sum(w + _GAP for w in widths), line + sum(h + below for h in heights)), "white")
    draw = ImageDraw.Draw(result)
    x = _GAP
    for number, ((caption, _), column, width) in enumerate(zip(columns, shown, widths, strict=True)):
        while font.getlength(caption) > width and len(caption) > 1:
            caption = "…" + caption[2:]
        draw.text((x + width / 2, line / 2), caption, "black", font, anchor="mm")
        y = line
        for row, (image, height) in enumerate(zip(column, heights, strict=True)):
            result.paste(image, (x, y))
            if notes:
                draw.text((x, y + height + line / 2), notes[number][row], "black", font, anchor="lm")
            y += height + below
        x += width + _GAP
    return result
