"""Pictures of pictures: areas drawn over a picture, and pictures in rows and columns under their captions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deepix.mosaic import Mosaic

_GAP = 8
_OUTLINE = (255, 0, 80)
_HEAT = ((0, 0, 0), (59, 9, 100), (138, 34, 106), (212, 72, 66), (250, 136, 20), (246, 215, 70), (252, 255, 164))
"""From the least to the greatest: equal steps of matplotlib's colour map `inferno`, the first one black."""
_NOT_KNOWN = (90, 90, 90)


def overlay(image: Image.Image, mosaics: Sequence[Mosaic]) -> Image.Image:
    """Return the picture in RGB with every mosaic's area tinted and outlined, its cells' grid and its number.

    Parameters
    ----------
    image : any mode
    mosaics : numbered from 1 in their order
    """
    base = displayable(image)
    layer = Image.new("RGBA", base.size)
    draw = ImageDraw.Draw(layer)
    line = max(1, min(base.size) // 400)
    font = ImageFont.load_default(max(12, min(base.size) // 30))
    for number, m in enumerate(mosaics, 1):
        tint = Image.new("RGBA", (m.width, m.height), (*_OUTLINE, 50))
        layer.paste(tint, (m.x, m.y), Image.fromarray(m.area))
        for x in _lines(m.grid.x, m.grid.width, m.x, m.width):
            draw.line([(x, m.y), (x, m.y + m.height - 1)], (*_OUTLINE, 110))
        for y in _lines(m.grid.y, m.grid.height, m.y, m.height):
            draw.line([(m.x, y), (m.x + m.width - 1, y)], (*_OUTLINE, 110))
        draw.rectangle((m.x, m.y, m.x + m.width - 1, m.y + m.height - 1), outline=(*_OUTLINE, 255), width=line)
        draw.text((m.x + 2 * line, m.y + line), str(number), "white", font, stroke_width=2 * line, stroke_fill=_OUTLINE)
    return Image.alpha_composite(base.convert("RGBA"), layer).convert("RGB")


def _lines(origin: float, size: float, start: int, length: int) -> list[int]:
    """Return the first pixel of each cell but the one at the area's border."""
    first = int((start - origin) // size) + 1
    lines = []
    while (edge := origin + first * size) < start + length:
        if edge > start:
            lines.append(round(edge))
        first += 1
    return lines


def heat_map(values: NDArray[np.float32], unit: str = "") -> Image.Image:
    """Return values as colours, in RGB, with the scale beside them: black is 0, pale yellow the greatest, gray NaN.

    Parameters
    ----------
    values : (H, W), at least 0
    unit : named at the scale's upper end
    """
    height, width = values.shape
    most = float(np.nanmax(values, initial=0)) or 1.0
    text = min(max(10, height // 25), 40)
    bar = max(6, text)
    font = ImageFont.load_default(text)
    ticks = [(share, f"{share * most:.3g}" + (f" {unit}" if share == 1 and unit else "")) for share in (0, 0.5, 1)]
    room = math.ceil(max(font.getlength(label) for _, label in ticks))
    result = Image.new("RGB", (width + 3 * _GAP + bar + room, height), "white")
    result.paste(Image.fromarray(_heat(values / most)), (0, 0))
    scale = np.broadcast_to(np.linspace(1, 0, height, dtype=np.float32)[:, None], (height, bar))
    result.paste(Image.fromarray(_heat(scale)), (width + _GAP, 0))
    draw = ImageDraw.Draw(result)
    for share, label in ticks:
        y, anchor = (1 - share) * (height - 1), {0: "ld", 0.5: "lm", 1: "la"}[share]
        draw.text((width + 2 * _GAP + bar, y), label, "black", font, anchor=anchor)
    return result


def _heat(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the colours, uint8 (H, W, 3), of numbers from 0 to 1."""
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(_HEAT)), c) for c in zip(*_HEAT, strict=True)], 1
    )
    known = np.isfinite(shares)
    index = np.rint(255 * np.where(known, shares, 0)).astype(np.uint8)
    colours: NDArray[np.uint8] = np.rint(table).astype(np.uint8)[index]
    colours[~known] = _NOT_KNOWN
    return colours


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
