"""Mosaics drawn over their picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from deepix.draw.screen import displayable
from deepix.mosaic import Mosaic

_OUTLINE = (255, 0, 80)


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
