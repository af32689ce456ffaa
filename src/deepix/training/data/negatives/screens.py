"""What screens and paper show: text, windows, charts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import ImageDraw, ImageFilter
from scipy import ndimage

from deepix.training.data.negatives.scene import Colour, Scene, font, paragraph, shaded, words
from deepix.training.data.pixels import Bytes


def text(scene: Scene) -> Bytes:
    """Draw a page, in one or two columns, with a headline."""
    ink, paper = scene.ink_and_paper()
    image, draw = scene.blank(paper)
    width, height = scene.size
    size = scene.log(8, 32)
    columns = 2 if width > 30 * size and scene.chance(0.4) else 1
    top = scene.whole(2, 20)
    if scene.chance(0.5):
        draw.text((10, top), words(scene, 4), fill=ink, font=font(2 * size))
        top += 3 * size
    for i in range(columns):
        left = 10 + i * width // columns
        paragraph(draw, (left, top, left + width // columns - 20, height), size, ink, scene)
    if scene.chance(0.3):  # as a photo of paper
        image = shaded(image, scene, 20, scene.rng.uniform(0, 5)).filter(ImageFilter.GaussianBlur(0.6))
    return np.asarray(image)


class _Window(NamedTuple):
    """A window's place in the picture, in pixels, and its colours."""

    x: int
    y: int
    w: int
    h: int
    back: Colour
    ink: Colour
    line: Colour
    accent: Colour

    @property
    def top(self) -> int:
        """Where its content begins, below the title."""
        return self.y + 30


def interface(scene: Scene) -> Bytes:
    """Draw windows with titles, buttons, check boxes, tables and icons, over a colour or a photo."""
    width, height = scene.size
    image, draw = scene.blank(scene.colour())
    if scene.chance(0.3):
        image = scene.background()
        draw = ImageDraw.Draw(image)
    for _ in range(scene.whole(1, 4)):
        w, h = scene.whole(width // 2, width), scene.whole(height // 2, height)
        x, y = scene.whole(-w // 6, width - w + w // 6), scene.whole(-h // 6, height - h + h // 6)
        dark = scene.chance(0.35)
        back, ink = (scene.colour(20, 60), (230, 230, 230)) if dark else (scene.colour(225, 255), (20, 20, 20))
        line = (back[0] + ink[0]) // 2, (back[1] + ink[1]) // 2, (back[2] + ink[2]) // 2
        window = _Window(x, y, w, h, back, ink, line, scene.colour())
        _frame(draw, window, scene)
        (_prose, _table, _icons, _check_boxes)[scene.whole(0, 3)](draw, window, scene)
        _buttons(draw, window, scene)
    return np.asarray(image)


def _frame(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    """Draw a window with its title and the three buttons beside it."""
    x, y, w, h = window[:4]
    draw.rounded_rectangle((x, y, x + w, y + h), scene.whole(0, 10), fill=window.back, outline=window.line)
    draw.rectangle((x, y, x + w, y + 22), fill=window.accent)
    draw.text((x + 8, y + 4), words(scene, 3), fill=(255, 255, 255), font=font(13))
    for i in range(3):
        draw.rectangle((x + w - 20 * i - 16, y + 6, x + w - 20 * i - 6, y + 16), outline=(255, 255, 255))


def _prose(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    x, y, w, h = window[:4]
    paragraph(draw, (x + 10, window.top, x + w - 10, y + h - 30), scene.whole(9, 18), window.ink, scene)


def _table(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    columns, (width, height) = scene.whole(2, 8), (scene.whole(20, 90), scene.whole(14, 30))
    for i in range(columns):
        for j in range((window.h - 40) // height):
            left, upper = window.x + 10 + i * width, window.top + j * height
            fill = window.accent if scene.chance(0.05) else window.back
            draw.rectangle((left, upper, left + width, upper + height), fill=fill, outline=window.line)
            number = str(scene.whole(0, 9999))[: width // 7]
            draw.text((left + 3, upper + 2), number, fill=window.ink, font=font(10))


def _icons(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    """Draw icons with their names."""
    x, y, w, h = window[:4]
    side = scene.whole(20, 48)
    for left in range(x + 12, x + w - side, 2 * side):
        for upper in range(window.top, y + h - side, 2 * side):
            draw.rounded_rectangle((left, upper, left + side, upper + side), side // 5, fill=scene.colour())
            draw.text((left, upper + side + 2), words(scene, 1)[:8], fill=window.ink, font=font(10))


def _check_boxes(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    x = window.x
    for upper in range(window.top, window.y + window.h - 40, scene.whole(18, 30)):
        fill = window.accent if scene.chance(0.5) else window.back
        draw.rectangle((x + 12, upper, x + 24, upper + 12), fill=fill, outline=window.line)
        draw.text((x + 32, upper - 2), words(scene, 3), fill=window.ink, font=font(12))


def _buttons(draw: ImageDraw.ImageDraw, window: _Window, scene: Scene) -> None:
    """Draw up to three buttons at the lower right, the first of them highlighted."""
    for i in range(scene.whole(0, 3)):
        left, upper = window.x + window.w - 90 * (i + 1), window.y + window.h - 32
        fill = window.accent if i == 0 else window.back
        draw.rounded_rectangle((left, upper, left + 78, upper + 24), 4, fill=fill, outline=window.line)
        draw.text((left + 10, upper + 5), words(scene, 1), fill=window.ink, font=font(12))


def chart(scene: Scene) -> Bytes:
    """Draw a heat map with its labels, bars, or a calendar of squares."""
    ink, paper = scene.ink_and_paper()
    image, draw = scene.blank(paper)
    width, height = scene.size
    left, top = scene.whole(20, 40), scene.whole(10, 30)
    ends = [np.array(scene.colour(), float) for _ in range(3)]
    columns, rows = scene.whole(4, 24), scene.whole(4, 24)
    cell_width, cell_height = (width - left - 10) / columns, (height - top - 24) / rows
    gap = scene.whole(1, 3) if scene.chance(0.7) else 0
    values = ndimage.gaussian_filter(scene.rng.random((rows, columns)), scene.rng.uniform(0, 2))
    values = (values - values.min()) / np.ptp(values)
    bars = scene.chance(0.3)
    for (row, column), value in np.ndenumerate(values):
        mix = (
            ends[0] + (ends[1] - ends[0]) * 2 * value
            if value < 0.5
            else ends[1] + (ends[2] - ends[1]) * (2 * value - 1)
        )
        colour = (int(mix[0]), int(mix[1]), int(mix[2]))
        x, y = left + column * cell_width, top + row * cell_height
        if not bars:
            draw.rectangle(
                (round(x), round(y), round(x + cell_width) - 1 - gap, round(y + cell_height) - 1 - gap), fill=colour
            )
            if min(cell_width, cell_height) > 18 and rows < 12:
                draw.text((x + 3, y + 3), f"{value:.1f}"[:3], fill=ink, font=font(9))
        elif row == rows - 1:
            draw.rectangle(
                (round(x), height - 24 - round(value * (height - top - 24)), round(x + 0.7 * cell_width), height - 24),
                fill=colour,
            )
    for column in range(columns):
        draw.text((left + column * cell_width, height - 20), str(column), fill=ink, font=font(10))
    for row in range(rows):
        draw.text((2, top + row * cell_height), str(row), fill=ink, font=font(10))
    return np.asarray(image)
