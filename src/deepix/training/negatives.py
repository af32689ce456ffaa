"""Pictures without any mosaic that look as if they had one: hard negatives for a locator.

They become examples, with all that happens to files and with or without mosaics on top, by
`examples.example(negative(kind, rng), rng, settings)`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from deepix.training.examples import LUMINANCE, Array, Bytes, Resampling, log_uniform, to_bytes

NEGATIVES = (
    "pixel art",
    "QR code",
    "text",
    "interface",
    "chart",
    "brick wall",
    "tile wall",
    "window grid",
    "woven cloth",
    "blocky JPEG",
    "heavy blur",
    "halftone",
    "censor bar",
    "plain",
    "gradient",
    "letterbox",
)
"""Kinds of pictures that have no mosaic but look as if they had one; see `negative`."""

Colour = tuple[int, int, int]


def negative(
    kind: str, rng: np.random.Generator, photo: Bytes | None = None, size: tuple[int, int] | None = None
) -> Bytes:
    """Draw a picture that has no mosaic but could be taken for one.

    Where the line is: a mosaic hides a part of a *photo* (or text, or a window) behind tiles of that part's colours.
    A drawing in few colours that was enlarged as a whole, pixels and all, is pixel art, hence a negative: nothing
    is hidden in it. So `negative` never enlarges a photo without smoothing, and pixel art has at most 16
    colours, large areas of one colour, and outlines. In the same way the cells of a chart, tiles with
    joints, the modules of a QR code and the blocks of a JPEG file are no mosaics.

    Parameters
    ----------
    kind : one of `NEGATIVES`
    rng : decides everything else
    photo : uint8 (H, W) or (H, W, 3), for the kinds that spoil a photo ("blocky JPEG", "heavy blur", "halftone",
        "censor bar", "letterbox") and as a background of some others; without, overlapping discs take its place
    size : (width, height) of the result; without, sides between 160 and 640, log-uniform

    Returns
    -------
    uint8 (height, width, 3)

    Raises
    ------
    ValueError : the kind is unknown
    """
    if kind not in NEGATIVES:
        raise ValueError(f"kinds are {', '.join(NEGATIVES)}, not {kind}")
    if size is None:
        size = (round(log_uniform(rng, 160, 640)), round(log_uniform(rng, 160, 640)))
    return np.array(_DRAWERS[kind](_Scene(rng, size, photo)))


class _Scene(NamedTuple):
    """What a negative is drawn from."""

    rng: np.random.Generator
    size: tuple[int, int]
    photo: Bytes | None

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, low … high."""
        return int(self.rng.integers(low, high + 1))

    def log(self, low: float, high: float) -> int:
        """Return a whole number, log-uniform."""
        return round(log_uniform(self.rng, low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def colour(self, low: int = 0, high: int = 255) -> Colour:
        r, g, b = (int(v) for v in self.rng.integers(low, high + 1, 3))
        return r, g, b

    def muted(self, low: int, high: int) -> Colour:
        """Return a colour of this brightness as walls have it: gray with a tint, more seldom any colour."""
        if self.chance(0.3):
            return self.colour(low, high)
        r, g, b = np.clip(self.whole(low, high) + self.rng.normal(0, 18, 3), 0, 255)
        return int(r), int(g), int(b)

    def ink_and_paper(self) -> tuple[Colour, Colour]:
        """Return a dark and a light colour, or the other way round."""
        dark, light = self.colour(0, 90), self.colour(190, 255)
        if self.chance(0.6):
            dark, light = (20, 20, 20), (255, 255, 255)
        return (dark, light) if self.chance(0.75) else (light, dark)

    def blank(self, colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        image = Image.new("RGB", self.size, colour)
        return image, ImageDraw.Draw(image)

    def background(self) -> Image.Image:
        """Return the photo, cut and scaled to the size, or a drawing of overlapping shaded discs in its place."""
        if self.photo is not None:
            image = Image.fromarray(self.photo).convert("RGB")
            scale = max(self.size[0] / image.width, self.size[1] / image.height)
            if scale < 1:
                scale = log_uniform(self.rng, scale, 1.0)
            width, height = min(self.size[0] / scale, image.width), min(self.size[1] / scale, image.height)
            x, y = self.rng.random() * (image.width - width), self.rng.random() * (image.height - height)
            return image.resize(self.size, Resampling.BICUBIC, (x, y, x + width, y + height))
        image, draw = self.blank(self.colour())
        for radius in sorted((log_uniform(self.rng, 4, max(self.size) / 2) for _ in range(120)), reverse=True):
            x, y = self.rng.random(2) * self.size
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self.colour(), outline=self.colour())
        return _shaded(image, self, 40).filter(ImageFilter.GaussianBlur(0.8))


def _shaded(image: Image.Image, scene: _Scene, strength: float, texture: float = 0.0) -> Image.Image:
    """Light a picture unevenly, and add a grain."""
    width, height = image.size
    coarse = scene.rng.normal(0, strength, (3, 3)).astype(np.float32)
    pixels = np.asarray(image).astype(np.float32)
    pixels += np.asarray(Image.fromarray(coarse).resize((width, height), Resampling.BICUBIC))[..., None]
    if texture:
        pixels += texture * scene.rng.standard_normal((height, width, 1), np.float32)
    return Image.fromarray(to_bytes(pixels))


def _seen_aslant(image: Image.Image, scene: _Scene) -> Image.Image:
    """Look at a wall from the side, half the times."""
    if scene.chance(0.5):
        return image
    width, height = image.size
    inset = scene.rng.random((4, 2)) * 0.3 * (width, height)
    corners = [
        inset[0],
        (inset[1, 0], height - inset[1, 1]),
        (width, height) - inset[2],
        (width - inset[3, 0], inset[3, 1]),
    ]
    quad = [float(v) for corner in corners for v in corner]
    return image.transform(image.size, Image.Transform.QUAD, quad, Resampling.BICUBIC)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


SYLLABLES = ("ka", "lo", "re", "mi", "ton", "ser", "ing", "al", "de", "pro", "ver", "sta", "un", "qui", "est", "o")


def _words(scene: _Scene, number: int) -> str:
    """Return words that nobody knows, and numbers."""
    words = []
    for _ in range(number):
        syllables = scene.rng.integers(0, len(SYLLABLES), scene.whole(1, 4))
        word = "".join(SYLLABLES[i] for i in syllables)
        words.append(str(scene.whole(0, 9999)) if scene.chance(0.08) else word.title() if scene.chance(0.15) else word)
    return " ".join(words)


def _paragraph(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, ink: Colour, scene: _Scene
) -> None:
    """Fill a box with lines of text."""
    x0, y0, x1, y1 = box
    gap = round(size * scene.rng.uniform(1.2, 1.7))
    for y in range(y0, y1 - size, gap):
        if scene.chance(0.08):
            continue
        line = _words(scene, 1 + (x1 - x0) // (3 * size))
        length = int((x1 - x0) / (0.5 * size) * (1 if scene.chance(0.8) else scene.rng.random()))
        draw.text((x0, y), line[: max(length, 1)], fill=ink, font=_font(size))


def _pixel_art(scene: _Scene) -> Bytes:
    """Draw sprites, ground and letters in few colours and enlarge them without smoothing."""
    unit = scene.log(3, 16)
    columns, rows = (math.ceil(side / unit) for side in scene.size)
    palette = [scene.colour() for _ in range(6)]
    small = Image.new("RGB", (columns, rows), palette[0])
    draw = ImageDraw.Draw(small)
    outline = scene.colour(0, 60)
    if scene.chance(0.5):  # a sky in two colours, dithered where they meet
        y, x = np.mgrid[0:rows, 0:columns]
        level = (y - scene.whole(0, rows)) / max(2, rows // 4)
        small.paste(palette[5], (0, 0), Image.fromarray(level > ((x + 2 * y) % 4 - 1.5) / 4))
    if scene.chance(0.5):  # ground of equal tiles
        tile, top = scene.whole(4, 16), scene.whole(rows // 2, rows)
        pattern = scene.rng.random((tile, tile)) < 0.2
        ground = np.zeros((rows, columns), bool)
        ground[top:] = np.tile(pattern, (rows // tile + 1, columns // tile + 1))[: rows - top, :columns]
        draw.rectangle((0, top, columns, rows), fill=palette[3])
        small.paste(palette[4], (0, 0), Image.fromarray(ground))
    for _ in range(scene.log(1, 12)):
        side = min(scene.log(6, 24), columns, rows)
        x, y = scene.whole(0, columns - side), scene.whole(0, rows - side)
        match scene.whole(0, 4):
            case 0 | 1:  # a creature: a mirrored figure with an outline, spots and a shade
                noise = ndimage.gaussian_filter(scene.rng.random((side, side // 2)), 1)
                half = noise > np.quantile(noise, scene.rng.uniform(0.3, 0.6))
                figure = np.pad(np.concatenate([half, half[:, ::-1]], axis=1), 1)
                edge = ndimage.binary_dilation(figure) & ~figure
                spots = figure & (scene.rng.random(figure.shape) < 0.06)
                shade = figure & ~np.roll(figure, -2, axis=0)
                for mask, colour in ((edge, outline), (figure, palette[1]), (shade, palette[3]), (spots, palette[2])):
                    small.paste(colour, (x, y), Image.fromarray(mask))
            case 2:
                draw.ellipse((x, y, x + side, y + side), fill=palette[1], outline=outline)
                draw.ellipse((x + side // 4, y + side // 4, x + side // 2, y + side // 2), fill=palette[2])
            case 3:
                draw.polygon([(x, y + side), (x + side // 2, y), (x + side, y + side)], palette[2], outline)
            case _:
                draw.fontmode = "1"
                draw.text((x, y), _words(scene, 1), fill=outline, font=_font(max(8, side // 2)))
    enlarged = np.repeat(np.repeat(np.asarray(small), unit, axis=0), unit, axis=1)
    return enlarged[: scene.size[1], : scene.size[0]]


def _qr_code(scene: _Scene) -> Bytes:
    """Draw a square of random modules with three finder squares and timing lines, on paper or on a photo."""
    number = 4 * scene.whole(1, 8) + 17
    code = scene.rng.random((number, number)) < 0.5
    code[6, :], code[:, 6] = np.arange(number) % 2 == 0, np.arange(number) % 2 == 0
    finder = np.zeros((8, 8), bool)
    finder[:7, :7] = True
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    code[:8, :8], code[:8, -8:], code[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    ink, paper = scene.ink_and_paper()
    quiet = np.pad(code, scene.whole(1, 4))[..., None]
    pixels = np.where(quiet, np.array(ink, np.uint8), np.array(paper, np.uint8))
    module = max(2, int(min(scene.size) * scene.rng.uniform(0.3, 1.0)) // len(pixels))
    code_image = Image.fromarray(np.repeat(np.repeat(pixels, module, axis=0), module, axis=1))
    if scene.chance(0.2):
        code_image = code_image.rotate(scene.rng.uniform(-20, 20), Resampling.BICUBIC, expand=True, fillcolor=paper)
    image = scene.background() if scene.chance(0.4) else scene.blank(paper)[0]
    x, y = (scene.whole(0, max(0, a - b)) for a, b in zip(image.size, code_image.size, strict=True))
    image.paste(code_image, (x, y))
    return np.asarray(image)


def _text(scene: _Scene) -> Bytes:
    """Draw a page, in one or two columns, with a headline."""
    ink, paper = scene.ink_and_paper()
    image, draw = scene.blank(paper)
    width, height = scene.size
    size = scene.log(8, 32)
    columns = 2 if width > 30 * size and scene.chance(0.4) else 1
    top = scene.whole(2, 20)
    if scene.chance(0.5):
        draw.text((10, top), _words(scene, 4), fill=ink, font=_font(2 * size))
        top += 3 * size
    for i in range(columns):
        left = 10 + i * width // columns
        _paragraph(draw, (left, top, left + width // columns - 20, height), size, ink, scene)
    if scene.chance(0.3):  # as a photo of paper
        image = _shaded(image, scene, 20, scene.rng.uniform(0, 5)).filter(ImageFilter.GaussianBlur(0.6))
    return np.asarray(image)


def _interface(scene: _Scene) -> Bytes:
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
        line, accent = tuple((a + b) // 2 for a, b in zip(back, ink, strict=True)), scene.colour()
        draw.rounded_rectangle((x, y, x + w, y + h), scene.whole(0, 10), fill=back, outline=line)
        draw.rectangle((x, y, x + w, y + 22), fill=accent)
        draw.text((x + 8, y + 4), _words(scene, 3), fill=(255, 255, 255), font=_font(13))
        for i in range(3):
            draw.rectangle((x + w - 20 * i - 16, y + 6, x + w - 20 * i - 6, y + 16), outline=(255, 255, 255))
        top = y + 30
        match scene.whole(0, 3):
            case 0:
                _paragraph(draw, (x + 10, top, x + w - 10, y + h - 30), scene.whole(9, 18), ink, scene)
            case 1:  # a table
                columns, cell = scene.whole(2, 8), (scene.whole(20, 90), scene.whole(14, 30))
                for i in range(columns):
                    for j in range((h - 40) // cell[1]):
                        left, upper = x + 10 + i * cell[0], top + j * cell[1]
                        fill = accent if scene.chance(0.05) else back
                        draw.rectangle((left, upper, left + cell[0], upper + cell[1]), fill=fill, outline=line)
                        draw.text(
                            (left + 3, upper + 2), str(scene.whole(0, 9999))[: cell[0] // 7], fill=ink, font=_font(10)
                        )
            case 2:  # icons with their names
                side = scene.whole(20, 48)
                for left in range(x + 12, x + w - side, 2 * side):
                    for upper in range(top, y + h - side, 2 * side):
                        draw.rounded_rectangle((left, upper, left + side, upper + side), side // 5, fill=scene.colour())
                        draw.text((left, upper + side + 2), _words(scene, 1)[:8], fill=ink, font=_font(10))
            case _:  # check boxes and buttons
                for upper in range(top, y + h - 40, scene.whole(18, 30)):
                    draw.rectangle(
                        (x + 12, upper, x + 24, upper + 12), fill=accent if scene.chance(0.5) else back, outline=line
                    )
                    draw.text((x + 32, upper - 2), _words(scene, 3), fill=ink, font=_font(12))
        for i in range(scene.whole(0, 3)):
            left, upper = x + w - 90 * (i + 1), y + h - 32
            draw.rounded_rectangle(
                (left, upper, left + 78, upper + 24), 4, fill=accent if i == 0 else back, outline=line
            )
            draw.text((left + 10, upper + 5), _words(scene, 1), fill=ink, font=_font(12))
    return np.asarray(image)


def _chart(scene: _Scene) -> Bytes:
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
                draw.text((x + 3, y + 3), f"{value:.1f}"[:3], fill=ink, font=_font(9))
        elif row == rows - 1:
            draw.rectangle(
                (round(x), height - 24 - round(value * (height - top - 24)), round(x + 0.7 * cell_width), height - 24),
                fill=colour,
            )
    for column in range(columns):
        draw.text((left + column * cell_width, height - 20), str(column), fill=ink, font=_font(10))
    for row in range(rows):
        draw.text((2, top + row * cell_height), str(row), fill=ink, font=_font(10))
    return np.asarray(image)


def _wall(
    scene: _Scene, size: tuple[int, int], joint: int, offset: float, colours: Array, joint_colour: Colour
) -> Image.Image:
    """Draw a wall of bricks of this size with joints, each course moved by `offset`, each brick in one of `colours`."""
    y, x = np.arange(scene.size[1]), np.arange(scene.size[0])
    row = y // (size[1] + joint)
    moved = x[None, :] + (row * round(offset) % (size[0] + joint))[:, None]
    column = moved // (size[0] + joint)
    table = scene.rng.integers(0, len(colours), (row.max() + 1, column.max() + 1))
    pixels = colours[table[row[:, None], column]]
    in_joint = (y % (size[1] + joint) >= size[1])[:, None] | (moved % (size[0] + joint) >= size[0])
    pixels[in_joint] = joint_colour
    return Image.fromarray(to_bytes(pixels))


def _brick_wall(scene: _Scene) -> Bytes:
    size = scene.whole(14, 70), scene.whole(6, 32)
    base, spread = np.array(scene.muted(60, 190)), scene.rng.uniform(3, 25)
    colours = base + scene.rng.normal(0, spread, (24, 1)) + scene.rng.normal(0, 5, (24, 3))
    offset = float(scene.rng.choice((0.0, size[0] / 2, size[0] / 3)))
    wall = _wall(scene, size, scene.whole(1, 5), offset, colours, scene.muted(120, 220))
    wall = _seen_aslant(_shaded(wall, scene, 20, scene.rng.uniform(0, 10)), scene)
    return np.asarray(wall.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def _tile_wall(scene: _Scene) -> Bytes:
    """Draw bathroom tiles or a chequered floor: with joints, or with two colours only."""
    side = scene.log(5, 60)
    size = (side, side if scene.chance(0.7) else scene.log(5, 60))
    number = scene.whole(1, 12)
    base = np.array(scene.muted(60, 230))
    colours = base + scene.rng.normal(0, scene.rng.uniform(0, 50), (number, 3))
    wall = _wall(scene, size, scene.whole(1, 4), 0, colours, scene.muted(20, 240))
    if scene.chance(0.25):
        y, x = np.arange(scene.size[1]) // size[1], np.arange(scene.size[0]) // size[0]
        pair = np.array([scene.colour(), scene.colour()], np.uint8)
        wall = Image.fromarray(pair[(y[:, None] + x[None, :]) % 2])
    wall = _seen_aslant(_shaded(wall, scene, 15, scene.rng.uniform(0, 6)), scene)
    return np.asarray(wall.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def _window_grid(scene: _Scene) -> Bytes:
    """Draw a facade: equal windows with frames, some lit, some that reflect the sky."""
    image, draw = scene.blank(scene.muted(60, 220))
    width, height = scene.whole(8, 50), scene.whole(8, 60)
    pitch = width + scene.whole(2, 25), height + scene.whole(2, 25)
    glass, lit, frame = scene.muted(20, 140), scene.colour(180, 255), scene.muted(100, 255)
    share, bar = scene.rng.uniform(0, 0.5), scene.chance(0.5)
    for y in range(scene.whole(-10, 10), scene.size[1], pitch[1]):
        for x in range(scene.whole(-10, 10) if y < 0 else 4, scene.size[0], pitch[0]):
            change = scene.whole(-25, 25)
            fill = lit if scene.chance(share) else tuple(min(max(c + change, 0), 255) for c in glass)
            draw.rectangle((x, y, x + width, y + height), fill=fill, outline=frame)
            if bar:
                draw.line((x + width // 2, y, x + width // 2, y + height), fill=frame)
            if scene.chance(0.5):  # what the glass reflects
                draw.line((x + 1, y + height - 1, x + width - 1, y + 1), fill=frame)
    image = _seen_aslant(_shaded(image, scene, 25, scene.rng.uniform(0, 6)), scene)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def _woven_cloth(scene: _Scene) -> Bytes:
    """Draw threads that cross, plain or twill, in stripes of colours: a tartan, or one colour."""
    thread = scene.whole(2, 12)
    y, x = np.arange(scene.size[1]), np.arange(scene.size[0])
    row, column = (y // thread)[:, None], (x // thread)[None, :]
    twill = scene.whole(2, 4)
    over = (row + column) % twill < (twill + 1) // 2
    colours = np.array([scene.muted(20, 240) for _ in range(scene.whole(1, 4))], np.float32)
    stripes = np.repeat(scene.rng.integers(0, len(colours), 64), scene.rng.integers(1, 12, 64))
    warp, weft = colours[stripes[column % len(stripes)]], colours[stripes[row % len(stripes)]]
    cloth = np.where(over[..., None], warp, weft)
    relief = scene.rng.uniform(0.1, 0.5)
    across, down = (
        np.sin(np.pi * (x % thread + 0.5) / thread)[None, :],
        np.sin(np.pi * (y % thread + 0.5) / thread)[:, None],
    )
    cloth = cloth * (1 - relief + relief * np.where(over, across, down))[..., None]
    image = _seen_aslant(_shaded(Image.fromarray(to_bytes(cloth)), scene, 20, scene.rng.uniform(2, 10)), scene)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(scene.rng.uniform(0, 1))))


def _blocky_jpeg(scene: _Scene) -> Bytes:
    """Save a photo as JPEG of quality 5 to 20; a quarter of them are enlarged after that, up to twice."""
    width, height = scene.size
    scale = scene.rng.uniform(1, 2) if scene.chance(0.25) else 1.0
    small = scene.background().resize((max(8, round(width / scale)), max(8, round(height / scale))), Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=scene.whole(5, 20), subsampling=2 if scene.chance(0.7) else 0)
    return np.asarray(Image.open(buffer).convert("RGB").resize(scene.size, Resampling.BICUBIC))


def _heavy_blur(scene: _Scene) -> Bytes:
    """Blur a photo by 3 to 20 pixels: all of it, or a rectangle or an ellipse, as faces are made unknown."""
    image = scene.background()
    kind = ImageFilter.GaussianBlur if scene.chance(0.7) else ImageFilter.BoxBlur
    blurred = image.filter(kind(scene.log(3, 20)))
    if scene.chance(0.4):
        return np.asarray(blurred)
    mask = Image.new("L", scene.size)
    _scribble(ImageDraw.Draw(mask), scene, 255)
    if scene.chance(0.5):
        mask = mask.filter(ImageFilter.GaussianBlur(4))
    return np.asarray(Image.composite(blurred, image, mask))


def _scribble(draw: ImageDraw.ImageDraw, scene: _Scene, fill: int | Colour) -> None:
    """Draw a rectangle or an ellipse of a face's size somewhere."""
    w, h = (scene.whole(side // 8, side // 2) for side in scene.size)
    x, y = scene.whole(0, scene.size[0] - w), scene.whole(0, scene.size[1] - h)
    (draw.rectangle if scene.chance(0.6) else draw.ellipse)((x, y, x + w, y + h), fill=fill)


def _halftone(scene: _Scene) -> Bytes:
    """Print a photo in dots of one ink or of three, on screens at an angle, or with ordered dithering."""
    pixels = np.asarray(scene.background()).astype(np.float32) / 255
    y, x = np.mgrid[0 : scene.size[1], 0 : scene.size[0]].astype(np.float32)
    if scene.chance(0.25):  # Bayer's matrix, each entry a square of pixels
        bayer = np.array([[0]])
        for _ in range(scene.whole(1, 3)):
            bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
        unit, side = scene.whole(1, 3), len(bayer)
        screen = (bayer[(y // unit).astype(int) % side, (x // unit).astype(int) % side] + 0.5) / bayer.size
        screens = np.repeat(screen[..., None], 3, axis=2)
    else:
        period, angles = scene.rng.uniform(3, 14), np.deg2rad(np.array((15, 75, 0)) + scene.rng.uniform(0, 90))
        if scene.chance(0.5):
            angles = np.full(3, angles[0])
        screens = np.empty_like(pixels)
        for i, angle in enumerate(angles):
            u, v = (x * np.cos(angle) + y * np.sin(angle)), (y * np.cos(angle) - x * np.sin(angle))
            screens[..., i] = 0.5 + 0.25 * (np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period))
    if scene.chance(0.6):
        pixels = np.repeat((pixels @ LUMINANCE)[..., None], 3, axis=2)
        screens = screens[..., :1]
    sharpness = scene.rng.uniform(4, 40)
    return to_bytes(255 * np.clip((pixels - screens) * sharpness + 0.5, 0, 1))


def _censor_bar(scene: _Scene) -> Bytes:
    """Hide parts of a photo behind rectangles and ellipses of one colour."""
    image = scene.background()
    draw = ImageDraw.Draw(image)
    for _ in range(scene.whole(1, 4)):
        _scribble(draw, scene, (0, 0, 0) if scene.chance(0.6) else scene.colour())
    return np.asarray(image)


def _plain(scene: _Scene) -> Bytes:
    """Fill everything with a colour or a few, with or without a grain."""
    image, draw = scene.blank(scene.colour())
    for _ in range(scene.whole(0, 4)):
        x, y = scene.whole(0, scene.size[0]), scene.whole(0, scene.size[1])
        draw.rectangle((x, y, *scene.size), fill=scene.colour())
    return np.asarray(_shaded(image, scene, 0, scene.rng.uniform(0, 4))) if scene.chance(0.5) else np.asarray(image)


def _gradient(scene: _Scene) -> Bytes:
    """Draw a ramp of colours along a line or around a point, in as many levels as there are, or in bands."""
    y, x = np.mgrid[0 : scene.size[1], 0 : scene.size[0]].astype(np.float32)
    x, y = x / scene.size[0], y / scene.size[1]
    planes = []
    angle = scene.rng.uniform(0, 2 * np.pi, 3 if scene.chance(0.4) else 1)
    for i in range(3):
        a = angle[i % len(angle)]
        ramp = x * np.cos(a) + y * np.sin(a) if scene.chance(0.7) else np.hypot(x - 0.5, y - 0.5)
        low, high = scene.rng.uniform(0, 255, 2)
        planes.append(low + (high - low) * (ramp - ramp.min()) / np.ptp(ramp))
    pixels = np.stack(planes, axis=2)
    if scene.chance(0.3):
        step = scene.log(4, 32)
        pixels = np.floor(pixels / step) * step
    return to_bytes(pixels)


def _letterbox(scene: _Scene) -> Bytes:
    """Put bars beside a photo, above and below it, or all around."""
    width, height = scene.size
    bars = [scene.whole(1, max(1, side // 4)) if scene.chance(0.7) else 0 for side in scene.size]
    if not any(bars):
        bars[1] = max(1, height // 8)
    image, _ = scene.blank((0, 0, 0) if scene.chance(0.7) else scene.colour())
    inner = max(1, width - 2 * bars[0]), max(1, height - 2 * bars[1])
    image.paste(scene._replace(size=inner).background(), (bars[0], bars[1]))
    return np.asarray(image)


_DRAWERS: dict[str, Callable[[_Scene], Bytes]] = {
    "pixel art": _pixel_art,
    "QR code": _qr_code,
    "text": _text,
    "interface": _interface,
    "chart": _chart,
    "brick wall": _brick_wall,
    "tile wall": _tile_wall,
    "window grid": _window_grid,
    "woven cloth": _woven_cloth,
    "blocky JPEG": _blocky_jpeg,
    "heavy blur": _heavy_blur,
    "halftone": _halftone,
    "censor bar": _censor_bar,
    "plain": _plain,
    "gradient": _gradient,
    "letterbox": _letterbox,
}
