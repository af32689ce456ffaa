"""Examples that a locator of mosaics learns from and is measured with: photos with mosaics, as people post them.

    photo ─ crop, scale ─▶ canvas ─ 0 … 6 mosaics ─▶ pixelated ─ save, crop, resize, blur, …, save ─▶ picture
                              └──────────────────── the same crops and resizes ─────────────────────▶ clean

The file's history is drawn first, so that the picture has the size that is wanted and a mosaic is drawn only if it can
still be seen at the end: cells stay at least `SMALLEST` pixels wide and high, the area large enough, and
pixelating changes something (a flat wall looks the same inside and outside). Lengths in `Settings` are pixels
of the final picture, except where they say otherwise.

Crops and resizes move the grid exactly: an edge at x goes to x · scale − offset, in coordinates where pixel i covers
i … i + 1, as Pillow's `resize` has them; a final pixel belongs to a mosaic if its centre does.

`negative` draws pictures without any mosaic that look as if they had one. Those too become examples, with all that
happens to files and with or without mosaics on top: `example(negative(kind, rng), rng, settings)`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from deepix.mosaic import Cells, Grid, Mosaic

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Range = tuple[float, float]
Resampling = Image.Resampling

SMALLEST = 2.5
"""Cells that resizing makes narrower or lower than this many pixels cannot be told from texture: not drawn."""
TRIES = 24
"""How often a mosaic is drawn anew until it fits, overlaps no other and can be seen."""
FAINT = 0.5
"""Levels: steps much smaller than this do not count in `Placed.contrast`."""
LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)  # Rec. 601, as JPEG has
FILTERS = {"bilinear": Resampling.BILINEAR, "bicubic": Resampling.BICUBIC, "lanczos": Resampling.LANCZOS}

SHAPES = ("rectangle", "rounded", "ellipse", "blob", "stroke")
"""Shapes of areas: a rectangle, with round corners, an ellipse, a smooth closed curve, a path of a round brush."""
TILES = ("mean", "mean in linear light", "sample", "box", "bilinear", "bicubic", "lanczos", "four pixels")
"""How a tile gets its colour: the mean of its pixels, or of their light; one of its pixels, at its corner or centre; or
what reducing the area to one pixel a tile gives: Pillow's antialiased filters (box is OpenCV's INTER_AREA and
ImageMagick's -scale), or the mean of the four pixels at the centre (OpenCV's INTER_LINEAR)."""


# ── what is drawn ────────────────────────────────────────────────────────────────────────────────


def _even(names: tuple[str, ...]) -> dict[str, float]:
    return dict.fromkeys(names, 1.0)


@dataclass(frozen=True)
class Settings:
    """From what examples are drawn. Plain floats are probabilities, pairs are inclusive ranges.

    Attributes
    ----------
    side : width and height of the picture, log-uniform; the photo limits them (`enlarge`) where the range allows
    enlarge : by how much a photo may be enlarged to fill the canvas; exceeded where `side` leaves no choice
    native : the photo is only cropped, not scaled, where it is large enough
    mirror : the photo is mirrored, left and right
    gray : a photo in colour is made gray
    counts : weights of 0, 1, 2 … mosaics in a picture; fewer are drawn where no more find room
    whole : the picture is one mosaic, if it has any
    cell : a cell's width and height, log-uniform; rounded to whole pixels of the canvas unless `fractional`
    square : cells are square; else at most twice as high as wide or wide as high
    fractional : the area, or the canvas, is cut into a whole number of equal tiles whose sides are no whole numbers
    shapes : weights of `SHAPES`
    along : areas consist of whole tiles; else they may cut tiles on all sides
    whole_tiles : tiles that the area cuts take their colour from the whole tile, not from what is inside
    tiles : weights of `TILES`
    truncated : means are cut off, not rounded
    touching : a rectangle is put right beside another mosaic
    gap : least distance of other mosaics, in pixels of the canvas
    least_cells : an area is at least this many cells wide and high, as far as the picture shows it
    least_side : … and this many pixels
    largest : … and at most this share of the picture's sides
    least_change : how much pixelating must change, in levels of luminance: see `visible`
    every_line : it must change that much along each side and each grid line of an area; else in the mean over it
    early, late : the file is saved lossily right after pixelating; at the very end
    quality : of these
    webp : share of these that are WebP, the others JPEG
    subsampled : share of JPEGs with 4:2:0 chroma, else 4:4:4
    resize, scale, filters : the picture is resized; by how much, log-uniform; weights of `FILTERS`
    crop, margin : the picture is cropped, on each side by up to this share
    blur, sigma : Gaussian blur; its standard deviation in pixels
    sharpen, percent : unsharp masking; its strength in percent
    noise, levels : Gaussian noise; its standard deviation

    Raises
    ------
    ValueError : a range is empty, or a name is unknown
    """

    side: tuple[int, int] = (64, 1024)
    enlarge: float = 1.5
    native: float = 0.4
    mirror: float = 0.5
    gray: float = 0.1
    counts: tuple[float, ...] = (0.16, 0.32, 0.2, 0.12, 0.08, 0.06, 0.06)
    whole: float = 0.04
    cell: Range = (3, 64)
    square: float = 0.7
    fractional: float = 0.2
    shapes: Mapping[str, float] = field(
        default_factory=lambda: {"rectangle": 5.0, "rounded": 1.0, "ellipse": 2.0, "blob": 2.0, "stroke": 1.0}
    )
    along: float = 0.5
    whole_tiles: float = 0.5
    tiles: Mapping[str, float] = field(default_factory=lambda: {**_even(TILES), "mean": 4.0})
    truncated: float = 0.2
    touching: float = 0.1
    gap: int = 0
    least_cells: float = 3
    least_side: int = 12
    largest: float = 0.9
    least_change: float = 1.5
    every_line: bool = False
    early: float = 0.25
    late: float = 0.65
    quality: tuple[int, int] = (30, 95)
    webp: float = 0.12
    subsampled: float = 0.7
    resize: float = 0.4
    scale: Range = (0.5, 2.0)
    filters: Mapping[str, float] = field(default_factory=lambda: _even(tuple(FILTERS)))
    crop: float = 0.2
    margin: float = 0.15
    blur: float = 0.08
    sigma: Range = (0.3, 1.0)
    sharpen: float = 0.08
    percent: tuple[int, int] = (30, 150)
    noise: float = 0.1
    levels: Range = (0.5, 5.0)

    def __post_init__(self) -> None:
        ranges = {"side": 1, "cell": SMALLEST, "quality": 1, "scale": 0.01, "sigma": 0, "percent": 0, "levels": 0}
        for name, least in ranges.items():
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"the range of {name} must be {least} ≤ lowest ≤ highest, not {low} … {high}")
        for name, known in (("shapes", SHAPES), ("tiles", TILES), ("filters", tuple(FILTERS))):
            if unknown := set(getattr(self, name)) - set(known):
                raise ValueError(f"{name} are {', '.join(known)}, not {', '.join(sorted(unknown))}")


_LOSSLESS = Settings(
    side=(200, 640),
    enlarge=1.0,
    counts=(0, 0.4, 0.3, 0.2, 0.1),
    whole=0,
    fractional=0,
    shapes={"rectangle": 1.0},
    whole_tiles=0,
    touching=0,
    gap=2,
    least_side=16,
    largest=0.75,
    least_change=1.0,
    every_line=True,
    early=0,
    late=0,
    webp=0,
    resize=0,
    crop=0,
    blur=0,
    sharpen=0,
    noise=0,
)
_JPEG = replace(_LOSSLESS, late=1, least_change=3.0)
_ROUND: dict[str, Any] = {"shapes": {"ellipse": 1.0, "blob": 1.0}, "whole_tiles": 0.5}

CLASSES: dict[str, Settings] = {
    "1 lossless": _LOSSLESS,
    "1 jpeg 90-100": replace(_JPEG, quality=(90, 100)),
    "2 jpeg 50-89": replace(_JPEG, quality=(50, 89)),
    "2 resized, jpeg 75-100": replace(_JPEG, resize=1, scale=(0.6, 1.7), quality=(75, 100)),
    "3 lossless": replace(_LOSSLESS, **_ROUND),
    "3 jpeg 50-89": replace(_JPEG, quality=(50, 89), **_ROUND),
}
"""The classes of the benchmark. 1: integer grids of rectangles in good files; 2: the same in bad or resized ones;
3: ellipses and blobs. Every side and every grid line of an area can be seen (`least_change`)."""


@dataclass(frozen=True)
class Placed:
    """One mosaic of an example, and how it was made.

    Attributes
    ----------
    mosaic : area and grid in the final picture; the grid is fractional after resizing
    shape : one of `SHAPES`, or "whole"
    tiles : how the tiles were made: one of `TILES`, and what goes with it
    contrast : how well the grid can still be seen in the final picture: the mean step of luminance across its lines, in
        units of the mean step elsewhere in the area, both plus `FAINT`; about 1 where nothing of it is left
    """

    mosaic: Mosaic
    shape: str
    tiles: str
    contrast: float


@dataclass(frozen=True, eq=False)
class Example:
    """A picture as it was posted, with what is true of it.

    Attributes
    ----------
    picture : uint8 (H, W) or (H, W, 3), as the photo was: pixelated and degraded
    clean : uint8, the same shape: cropped and resized as `picture`, but not pixelated, and nothing else done to it
    labels : uint8 (H, W): 0 where there is no mosaic, k in the k-th of `placed`
    placed : the mosaics
    history : what happened to the pixelated picture: "jpeg 75 4:2:0 -> resize 0.83 bicubic -> jpeg 60 4:4:4"; else
        "lossless"
    refused : how many mosaics were drawn that could not be seen, and were left out
    """

    picture: Bytes
    clean: Bytes
    labels: Bytes
    placed: tuple[Placed, ...]
    history: str
    refused: int

    @property
    def mosaics(self) -> list[Mosaic]:
        """The mosaics without how they were made."""
        return [p.mosaic for p in self.placed]


def example(photo: Bytes, rng: np.random.Generator, settings: Settings) -> Example:
    """Return an example made of a photo; the same photo, generator state and settings give the same one.

    Parameters
    ----------
    photo : uint8 (H, W) or (H, W, 3); not changed
    rng : decides everything that `settings` leaves open
    settings : what may happen, and how often

    Raises
    ------
    ValueError : the photo is no picture of these types
    """
    if photo.dtype != np.uint8 or not (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] == 3)):
        raise ValueError(f"a photo must be uint8 (H, W) or (H, W, 3), not {photo.dtype} {photo.shape}")
    size, canvas_size, steps = _plan(photo.shape, rng, settings)
    original = _canvas(photo, canvas_size, rng, settings)
    geometry = _Geometry.of(steps, size)
    canvas = np.array(original)
    drawn, labels, refused = _draw_mosaics(canvas, geometry, rng, settings)

    clean, truth, picture = original, Image.fromarray(labels), Image.fromarray(canvas)
    for step in steps:
        picture = step.apply(picture)
        if step.moves is not None:
            clean = step.apply(clean)
            truth = step.apply_to_labels(truth)
    final = np.array(truth)
    posted = _as(picture, photo.ndim)
    placed = []
    for k, d in enumerate(drawn, 1):
        m = Mosaic.from_mask(final == k, geometry.grid(d.mosaic.grid))
        placed.append(Placed(m, d.shape, d.tiles, contrast(posted[m.box], m)))
    history = " -> ".join(step.text for step in steps) or "lossless"
    return Example(posted, _as(clean, photo.ndim), final, tuple(placed), history, refused)


def _as(image: Image.Image, ndim: int) -> Bytes:
    """Return the picture as an array with as many axes as the photo has."""
    return np.array(image.convert("RGB") if ndim == 3 else image)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def _chosen(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Return one of the names, drawn by weight."""
    names = list(weights)
    sums = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))]


# ── what happens to files ────────────────────────────────────────────────────────────────────────


class _Step(NamedTuple):
    """One thing that happens to a file.

    `moves` says where edges go, for steps that move pixels: scale x, scale y, offset x, offset y.
    """

    text: str
    apply: Callable[[Image.Image], Image.Image]
    apply_to_labels: Callable[[Image.Image], Image.Image]
    moves: tuple[float, float, float, float] | None


def _not_moving(text: str, apply: Callable[[Image.Image], Image.Image]) -> _Step:
    return _Step(text, apply, lambda image: image, None)


def _save(rng: np.random.Generator, settings: Settings) -> _Step:
    """Save and read back as JPEG or WebP."""
    quality = int(rng.integers(settings.quality[0], settings.quality[1] + 1))
    options: dict[str, Any] = {"format": "WEBP", "quality": quality, "method": 2}
    text = f"webp {quality}"
    if rng.random() >= settings.webp:
        halved = rng.random() < settings.subsampled
        options = {"format": "JPEG", "quality": quality, "subsampling": 2 if halved else 0}
        text = f"jpeg {quality} {'4:2:0' if halved else '4:4:4'}"

    def apply(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, **options)
        return Image.open(buffer).convert(image.mode)

    return _not_moving(text, apply)


def _resize(before: tuple[int, int], after: tuple[int, int], rng: np.random.Generator, settings: Settings) -> _Step:
    name = _chosen(rng, settings.filters)
    scales = after[0] / before[0], after[1] / before[1]
    return _Step(
        f"resize {math.sqrt(scales[0] * scales[1]):.2f} {name}",
        lambda image: image.resize(after, FILTERS[name]),
        lambda image: image.resize(after, Resampling.NEAREST),  # takes the pixel in which the new one's centre lies
        (*scales, 0.0, 0.0),
    )


def _crop(x: int, y: int, size: tuple[int, int]) -> _Step:
    def apply(image: Image.Image) -> Image.Image:
        return image.crop((x, y, x + size[0], y + size[1]))

    return _Step(f"crop {size[0]}x{size[1]}+{x}+{y}", apply, apply, (1.0, 1.0, x, y))


def _add_noise(deviation: float, seed: int) -> _Step:
    def apply(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image)
        noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32) * np.float32(deviation)
        return Image.fromarray(_to_bytes(pixels + noise))

    return _not_moving(f"noise {deviation:.1f}", apply)


def _plan(
    shape: tuple[int, ...], rng: np.random.Generator, settings: Settings
) -> tuple[tuple[int, int], tuple[int, int], list[_Step]]:
    """Draw the final size, the canvas's size (both width, height) and what happens in between."""
    resized, cropped, crop_first = rng.random(3) < (settings.resize, settings.crop, 0.5)
    scale = _log_uniform(rng, *settings.scale) if resized else 1.0
    low, high = settings.side
    most = [min(max(settings.enlarge * scale * side, low), high) for side in (shape[1], shape[0])]
    width = round(_log_uniform(rng, low, most[0]))
    height = round(_log_uniform(rng, min(max(low, width / 1.8), most[1]), min(most[1], max(low, 1.8 * width))))
    size = (width, height)

    steps = [_save(rng, settings)] if rng.random() < settings.early else []
    margins = rng.random(4) * settings.margin if cropped else np.zeros(4)
    inner = (max(round(width / scale), 1), max(round(height / scale), 1)) if crop_first else size
    left, right, top, bottom = (int(m * inner[i // 2]) for i, m in enumerate(margins))
    outer = (left + inner[0] + right, top + inner[1] + bottom)
    crops = [_crop(left, top, inner)] if cropped else []
    if crop_first:
        canvas = outer
        steps += crops + ([_resize(inner, size, rng, settings)] if resized else [])
    else:
        canvas = (max(round(outer[0] / scale), 1), max(round(outer[1] / scale), 1))
        steps += ([_resize(canvas, outer, rng, settings)] if resized else []) + crops

    if rng.random() < settings.blur:
        sigma = rng.uniform(*settings.sigma)
        steps.append(_not_moving(f"blur {sigma:.1f}", lambda image: image.filter(ImageFilter.GaussianBlur(sigma))))
    if rng.random() < settings.sharpen:
        percent, radius = int(rng.integers(settings.percent[0], settings.percent[1] + 1)), rng.uniform(0.5, 2)
        sharpen = ImageFilter.UnsharpMask(radius, percent, 0)
        steps.append(_not_moving(f"sharpen {percent}", lambda image: image.filter(sharpen)))
    if rng.random() < settings.noise:
        steps.append(_add_noise(rng.uniform(*settings.levels), int(rng.integers(2**32))))
    if rng.random() < settings.late:
        steps.append(_save(rng, settings))
    return size, canvas, steps


@dataclass(frozen=True)
class _Geometry:
    """Where an edge of the canvas lies in the final picture: x · scale − offset; `size` is the final one."""

    scale: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def of(cls, steps: list[_Step], size: tuple[int, int]) -> _Geometry:
        scale, offset = np.ones(2), np.zeros(2)
        for step in steps:
            if step.moves is not None:
                scale, offset = scale * step.moves[:2], offset * step.moves[:2] + step.moves[2:]
        return cls((float(scale[0]), float(scale[1])), (float(offset[0]), float(offset[1])), size)

    def grid(self, grid: Grid) -> Grid:
        (sx, sy), (ox, oy) = self.scale, self.offset
        return Grid(grid.x * sx - ox, grid.y * sy - oy, grid.width * sx, grid.height * sy)

    def seen(self, axis: int, start: int, length: int) -> tuple[int, int]:
        """Return which of the canvas's pixels start … start + length the final picture shows, counted from start.

        Along an axis (0: x, 1: y).
        """
        first = self.offset[axis] / self.scale[axis] - start
        last = first + self.size[axis] / self.scale[axis]
        return min(max(math.ceil(first), 0), length), min(max(math.floor(last), 0), length)


def _canvas(photo: Bytes, size: tuple[int, int], rng: np.random.Generator, settings: Settings) -> Image.Image:
    """Return a random part of the photo at this width and height."""
    image = Image.fromarray(photo)
    cover = max(size[0] / image.width, size[1] / image.height)
    scale = max(cover, 1.0 if rng.random() < settings.native else _log_uniform(rng, min(cover, 1.0), 1.0))
    width, height = min(size[0] / scale, image.width), min(size[1] / scale, image.height)
    x, y = rng.random() * (image.width - width), rng.random() * (image.height - height)
    if scale == 1:
        image = image.crop((int(x), int(y), int(x) + size[0], int(y) + size[1]))
    else:
        image = image.resize(size, FILTERS[_chosen(rng, settings.filters)], (x, y, x + width, y + height))
    if rng.random() < settings.mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.convert("L") if rng.random() < settings.gray else image


# ── mosaics ──────────────────────────────────────────────────────────────────────────────────────


class _Drawn(NamedTuple):
    """One mosaic on the canvas; see `Placed`."""

    mosaic: Mosaic
    shape: str
    tiles: str


class _Frame(NamedTuple):
    """Whole tiles around an area, in pixels of the canvas, beyond which they may lie: columns x rows tiles."""

    x: int
    y: int
    width: int
    height: int
    columns: int
    rows: int
    shift: float  # of the tiles' edges: ½ in OpenCV's nearest enlargement, which takes pixel ⌊x · tiles / width⌋

    @property
    def grid(self) -> Grid:
        return Grid(self.x + self.shift, self.y + self.shift, self.width / self.columns, self.height / self.rows)


def _draw_mosaics(
    canvas: Bytes, geometry: _Geometry, rng: np.random.Generator, settings: Settings
) -> tuple[list[_Drawn], Bytes, int]:
    """Pixelate random areas of the canvas, in place; return them, their labels and how many could not be seen."""
    height, width = canvas.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    drawn: list[_Drawn] = []
    refused = 0
    count = int(_chosen(rng, {str(n): weight for n, weight in enumerate(settings.counts)}))
    covers = count > 0 and rng.random() < settings.whole
    count = 1 if covers else count
    for _ in range(TRIES * count):
        if len(drawn) == count:
            break
        frame = _draw_frame((width, height), geometry, rng, settings, covers)
        if frame is None:
            continue
        shape = "whole" if covers else _chosen(rng, settings.shapes)
        m = _draw_area(frame, shape, (width, height), drawn, rng, settings)
        if m is None or not _fits(m, geometry, settings) or _meets(m, labels, settings.gap):
            continue
        frame = frame._replace(x=frame.x + round(m.grid.x - frame.grid.x), y=frame.y + round(m.grid.y - frame.grid.y))
        values, tiles = _pixelated(canvas, m, frame, rng, settings)
        if not visible(canvas[m.box], values, m, settings.least_change, settings.every_line):
            refused += 1
            continue
        canvas[m.box][m.area] = values[m.area]
        drawn.append(_Drawn(m, shape, tiles))
        labels[m.box][m.area] = len(drawn)
    return drawn, labels, refused


def _draw_frame(
    canvas: tuple[int, int], geometry: _Geometry, rng: np.random.Generator, settings: Settings, covers: bool
) -> _Frame | None:
    """Draw the cells and how many of them there are, and put them somewhere; None if they do not fit."""
    low, high = settings.cell
    wide = _log_uniform(rng, low, high)
    high_cell = wide
    if rng.random() >= settings.square:
        high_cell = _log_uniform(rng, max(low, wide / 2), min(high, 2 * wide))
    fractional = rng.random() < settings.fractional
    over_canvas = covers or (fractional and rng.random() < 0.3)
    ratio = math.exp(rng.uniform(-0.8, 0.8))
    places: list[tuple[int, int, int]] = []
    for axis, cell in enumerate((wide, high_cell)):
        scale, side = geometry.scale[axis], canvas[axis]
        least = max(settings.least_side, settings.least_cells * cell) / scale
        most = settings.largest * geometry.size[axis] / scale
        if least > most and not covers:
            return None
        if axis == 0:
            length = first = _log_uniform(rng, least, most) if not covers else side
        else:
            length = min(max(first * ratio, least), most)
        own = max(2.0, cell / scale)  # a cell's side on the canvas
        if over_canvas and fractional:
            places.append((0, side, max(1, round(side / own))))
            continue
        whole = max(2, round(own))
        if over_canvas:  # tiles from the corner on, cut at the far ends
            number = math.ceil(side / whole)
            places.append((0, number * whole, number))
            continue
        number = max(math.ceil(least / own - 1e-6), round(length / own))
        length = round(length) if fractional else number * whole
        if length > side:
            return None
        start = int(rng.integers(0, side - length + 1))
        if rng.random() < 0.1:
            start = int(rng.choice((0, side - length)))
        places.append((start, int(length), number))
    (x, w, columns), (y, h, rows) = places
    grid = _Frame(x, y, w, h, columns, rows, 0.5 if fractional and rng.random() < 0.3 else 0.0)
    cells = (w / columns * geometry.scale[0], h / rows * geometry.scale[1])
    return grid if min(cells) >= SMALLEST and min(w / columns, h / rows) >= 2 else None


def _draw_area(
    frame: _Frame,
    shape: str,
    canvas: tuple[int, int],
    others: list[_Drawn],
    rng: np.random.Generator,
    settings: Settings,
) -> Mosaic | None:
    """Draw an area inside the frame, along its tiles or cutting them; None if hardly anything is left of it."""
    if shape == "whole":
        return Mosaic(0, 0, *canvas, frame.grid)
    along = rng.random() < settings.along
    box = [frame.x, frame.y, frame.x + frame.width, frame.y + frame.height]
    if frame.width == canvas[0] and frame.height == canvas[1]:  # the tiles of the whole canvas, of which a part shows
        spans = [max(2.0, rng.uniform(0.15, settings.largest) * side) for side in canvas]
        starts = [rng.random() * (side - span) for side, span in zip(canvas, spans, strict=True)]
        box = [round(v) for v in (*starts, starts[0] + spans[0], starts[1] + spans[1])]
        if along:
            box = _snapped(box, frame)
    elif not along and (shape == "rectangle" or rng.random() < 0.5):
        cell = (frame.width // frame.columns, frame.height // frame.rows) * 2
        cuts = [int(rng.integers(0, side)) if rng.random() < 0.6 else 0 for side in cell]
        box = [box[0] + cuts[0], box[1] + cuts[1], box[2] - cuts[2], box[3] - cuts[3]]
    width, height = box[2] - box[0], box[3] - box[1]
    if min(width, height) < 4:
        return None
    dx = dy = 0
    if shape == "rectangle" and others and rng.random() < settings.touching:
        dx, dy = _beside(others[int(rng.integers(len(others)))].mosaic, box, rng)
    x, y, grid = box[0] + dx, box[1] + dy, frame.grid.moved(dx, dy)
    if x < 0 or y < 0 or x + width > canvas[0] or y + height > canvas[1]:
        return None
    if shape == "rectangle":
        return Mosaic(x, y, width, height, grid)
    mask = _shape(shape, width, height, rng)
    if along:
        cells = Cells(grid.rows(y, y + height), grid.columns(x, x + width), None)
        inside: Bytes = cells.spread(cells.mean(mask.astype(np.float32)) >= 0.5)
        mask = inside.astype(bool)
    parts, number = ndimage.label(mask)
    if number > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    if number == 0:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    mask = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Mosaic(x + left, y + top, mask.shape[1], mask.shape[0], grid, mask)


def _snapped(box: list[int], frame: _Frame) -> list[int]:
    """Return the box moved to the frame's tiles: a pixel belongs to the tile that holds its centre."""
    result = []
    for i, value in enumerate(box):
        axis = i % 2
        cell = (frame.width / frame.columns, frame.height / frame.rows)[axis]
        start = (frame.x, frame.y)[axis] + frame.shift
        edge = math.ceil(start + round((value - start) / cell) * cell - 0.5)
        result.append(min(max(edge, 0), (frame.width, frame.height)[axis]))
    return result


def _beside(other: Mosaic, box: list[int], rng: np.random.Generator) -> tuple[int, int]:
    """Return by how much a box must be moved to touch one side of the other's, starting at the same height."""
    dx, dy = other.x - box[0], other.y - box[1]
    return (
        (dx + other.width, dy),
        (other.x - box[2], dy),
        (dx, dy + other.height),
        (dx, other.y - box[3]),
    )[int(rng.integers(4))]


def _shape(shape: str, width: int, height: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a shape that fills a box: bool (height, width)."""
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    box = (0, 0, width - 1, height - 1)
    if shape == "rounded":
        draw.rounded_rectangle(box, rng.uniform(0.1, 0.5) * min(width, height), fill=1)
    elif shape == "ellipse":
        draw.ellipse(box, fill=1)
    elif shape == "blob":  # a circle whose radius sways
        angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        radius = np.ones_like(angle)
        for k in range(2, 6):
            radius += rng.uniform(0, 0.5 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        draw.polygon(_fitted(radius * np.cos(angle), radius * np.sin(angle), width, height, 0), fill=1)
    else:  # a brush along a smooth path
        number = int(rng.integers(3, 6))
        path = ndimage.zoom(rng.random((2, number)), (1, 8), order=3)
        brush = max(3, round(min(width, height) * rng.uniform(0.25, 0.5)))
        points = _fitted(path[0], path[1], width, height, brush / 2)
        draw.line(points, fill=1, width=brush, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=1)
    return np.asarray(image).astype(bool)


def _fitted(x: Array, y: Array, width: int, height: int, border: float) -> list[tuple[float, float]]:
    """Scale and move a curve so that it touches all sides of a box, less a border."""
    x, y = (x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)
    x, y = border + x * (width - 1 - 2 * border), border + y * (height - 1 - 2 * border)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _fits(m: Mosaic, geometry: _Geometry, settings: Settings) -> bool:
    """Whether the final picture shows enough of the area, in its width and in its height."""
    (left, right), (top, bottom) = geometry.seen(0, m.x, m.width), geometry.seen(1, m.y, m.height)
    shown = m.area[top:bottom, left:right]
    for axis, cell in ((0, m.grid.width), (1, m.grid.height)):
        lines = np.flatnonzero(shown.any(axis=axis))
        length = (lines[-1] + 1 - lines[0]) * geometry.scale[axis] if lines.size else 0
        if length < max(settings.least_side, settings.least_cells * cell * geometry.scale[axis]) - 1e-6:
            return False
    return True


def _meets(m: Mosaic, labels: Bytes, gap: int) -> bool:
    """Whether the area comes nearer than the gap to another mosaic."""
    y, x = max(m.y - gap, 0), max(m.x - gap, 0)
    around = labels[y : m.y + m.height + gap, x : m.x + m.width + gap] > 0
    if not around.any():
        return False
    area = np.zeros_like(around)
    area[m.y - y : m.y - y + m.height, m.x - x : m.x - x + m.width] = m.area
    if gap:
        area = ndimage.binary_dilation(area, np.ones((3, 3)), gap)
    return bool((area & around).any())


def visible(before: Bytes, after: Bytes, m: Mosaic, least: float, every_line: bool) -> bool:
    """Return whether the mosaic can be seen: pixelating changed pixels, and its tiles differ.

    Parameters
    ----------
    before, after : the area's box, uint8 (height, width) or (height, width, 3)
    m : the mosaic
    least : mean change of luminance that counts as seen, in levels: of pixels by pixelating, and across grid lines
    every_line : the change must be seen along each of the area's four sides (the outermost pixel of each row and
        column), and across each grid line that is at least one cell long; else only in the mean over all
    """
    luminance = _luminance(before), _luminance(after)
    change, area = np.abs(luminance[1] - luminance[0]), m.area
    across = _line_changes(luminance[1], area, m.cells.column_index, m.grid.height)
    down = _line_changes(luminance[1].T, area.T, m.cells.row_index, m.grid.width)
    if not across.size or not down.size:
        return False
    if not every_line:
        return bool(min(change[area].mean(), across.mean(), down.mean()) >= least)
    for flipped in (slice(None), slice(None, None, -1)):
        rows, columns = area[flipped].argmax(axis=0), area[:, flipped].argmax(axis=1)
        ends = (
            change[flipped][rows, np.arange(m.width)][area.any(axis=0)],
            change[:, flipped][np.arange(m.height), columns][area.any(axis=1)],
        )
        if min(end.mean() for end in ends) < least:
            return False
    return bool(min(across.min(), down.min()) >= least)


def contrast(box: Bytes, m: Mosaic) -> float:
    """Return how well the mosaic's grid can be seen in the area's box: see `Placed.contrast`."""
    luminance = _luminance(box)
    on, off = [], []
    for values, area, index in (
        (luminance, m.area, m.cells.column_index),
        (luminance.T, m.area.T, m.cells.row_index),
    ):
        inside = area[:, 1:] & area[:, :-1]
        changes, line = np.abs(np.diff(values, axis=1)), np.diff(index) > 0
        on.append(changes[:, line][inside[:, line]])
        off.append(changes[:, ~line][inside[:, ~line]])
    lines, elsewhere = np.concatenate(on), np.concatenate(off)
    if not lines.size or not elsewhere.size:
        return 1.0
    return float((lines.mean() + FAINT) / (elsewhere.mean() + FAINT))


def _luminance(pixels: Bytes) -> Array:
    values: Array = pixels @ LUMINANCE if pixels.ndim == 3 else pixels.astype(np.float32)
    return values


def _line_changes(luminance: Array, area: Array, index: Array, length: float) -> Array:
    """Return the mean step across each grid line between columns that is at least `length` pixels long."""
    at = np.flatnonzero(np.diff(index))
    inside = area[:, at] & area[:, at + 1]
    total = (np.abs(luminance[:, at + 1] - luminance[:, at]) * inside).sum(axis=0)
    counts = inside.sum(axis=0)
    long = counts >= length
    result: Array = total[long] / counts[long]
    return result


# ── tiles ────────────────────────────────────────────────────────────────────────────────────────

_LINEAR = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LINEAR <= 0.04045, _LINEAR / 12.92, ((_LINEAR + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""The light of each level: the sRGB curve, IEC 61966-2-1."""


def _pixelated(
    canvas: Bytes, m: Mosaic, frame: _Frame, rng: np.random.Generator, settings: Settings
) -> tuple[Bytes, str]:
    """Return the box of a mosaic with every tile in one colour, and how that was made."""
    name = _chosen(rng, settings.tiles)
    rows, columns = m.grid.rows(m.y, m.y + m.height), m.grid.columns(m.x, m.x + m.width)
    if name not in ("mean", "mean in linear light", "sample"):
        return _reduced(canvas, frame, name)[rows.clip(0, frame.rows - 1)][:, columns.clip(0, frame.columns - 1)], name
    whole = rng.random() < settings.whole_tiles
    cells, box = m.cells, m.box
    if whole:
        y, x = max(frame.y, 0), max(frame.x, 0)
        box = slice(y, frame.y + frame.height), slice(x, frame.x + frame.width)
        shape = canvas[box].shape
        cells = Cells(m.grid.rows(y, y + shape[0]), m.grid.columns(x, x + shape[1]), None)
        top, left = m.y - y, m.x - x
    else:
        top, left = 0, 0
    inside = slice(top, top + m.height), slice(left, left + m.width)
    text = f"{name}, whole tiles" if whole else name
    if name == "sample":
        centre = rng.random() < 0.5
        at = [_sampled(index, centre) for index in (cells.row_index, cells.column_index)]
        return canvas[box][at[0]][:, at[1]][inside], f"{text}, {'centre' if centre else 'corner'}"
    if name == "mean":
        means = cells.mean(canvas[box])
    else:
        light = cells.mean(_LINEAR[canvas[box]])
        means = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    truncated = rng.random() < settings.truncated
    values = np.floor(means if truncated else means + 0.5).clip(0, 255).astype(np.uint8)
    return cells.spread(values)[inside], f"{text}, truncated" if truncated else text


def _sampled(index: Array, centre: bool) -> Array:
    """Return the row (column) from which each row (column) takes its pixel: its band's first or middle one."""
    lengths = np.bincount(index)
    starts = np.cumsum(lengths) - lengths
    chosen: Array = (starts + lengths // 2 if centre else starts)[index]
    return chosen


def _reduced(canvas: Bytes, frame: _Frame, name: str) -> Bytes:
    """Return the frame at one pixel a tile; beyond the canvas its outermost pixels are repeated."""
    height, width = canvas.shape[:2]
    region = canvas[frame.y : frame.y + frame.height, frame.x : frame.x + frame.width]
    if region.shape[:2] != (frame.height, frame.width):
        rows = np.arange(frame.y, frame.y + frame.height).clip(0, height - 1)
        columns = np.arange(frame.x, frame.x + frame.width).clip(0, width - 1)
        region = canvas[rows][:, columns]
    image, size = Image.fromarray(region), (frame.columns, frame.rows)
    if name == "four pixels":  # a transform interpolates between the nearest pixels, without antialiasing
        steps = (frame.width / frame.columns, 0, 0, 0, frame.height / frame.rows, 0)
        return np.asarray(image.transform(size, Image.Transform.AFFINE, steps, Resampling.BILINEAR))
    return np.asarray(image.resize(size, FILTERS.get(name, Resampling.BOX)))


def _to_bytes(values: Array) -> Bytes:
    """Round and clip to uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


# ── pictures without mosaics ─────────────────────────────────────────────────────────────────────

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
        size = (round(_log_uniform(rng, 160, 640)), round(_log_uniform(rng, 160, 640)))
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
        return round(_log_uniform(self.rng, low, high))

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
                scale = _log_uniform(self.rng, scale, 1.0)
            width, height = min(self.size[0] / scale, image.width), min(self.size[1] / scale, image.height)
            x, y = self.rng.random() * (image.width - width), self.rng.random() * (image.height - height)
            return image.resize(self.size, Resampling.BICUBIC, (x, y, x + width, y + height))
        image, draw = self.blank(self.colour())
        for radius in sorted((_log_uniform(self.rng, 4, max(self.size) / 2) for _ in range(120)), reverse=True):
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
    return Image.fromarray(_to_bytes(pixels))


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
    return Image.fromarray(_to_bytes(pixels))


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
    image = _seen_aslant(_shaded(Image.fromarray(_to_bytes(cloth)), scene, 20, scene.rng.uniform(2, 10)), scene)
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
    return _to_bytes(255 * np.clip((pixels - screens) * sharpness + 0.5, 0, 1))


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
    return _to_bytes(pixels)


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
