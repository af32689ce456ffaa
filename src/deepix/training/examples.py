"""Examples that a locator of mosaics learns from and is measured with: photos with mosaics, as people post them.

    photo ─ crop, scale ─▶ canvas ─ 0 … 6 mosaics ─▶ pixelated ─ save, crop, resize, blur, …, save ─▶ picture
                              └──────────────────── the same crops and resizes ─────────────────────▶ clean

The file's history is drawn first, so that the picture has the size that is wanted and a mosaic is drawn only if it can
still be seen at the end: cells stay at least `SMALLEST` pixels wide and high, the area large enough, and
pixelating changes something (a flat wall looks the same inside and outside). Lengths in `Settings` are pixels
of the final picture, except where they say otherwise.

Crops and resizes move the grid exactly: an edge at x goes to x · scale − offset, in coordinates where pixel i covers
i … i + 1, as Pillow's `resize` has them; a final pixel belongs to a mosaic if its centre does.

Pictures without any mosaic that look as if they had one are drawn by `deepix.training.negatives`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
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


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
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
        return Image.fromarray(to_bytes(pixels + noise))

    return _not_moving(f"noise {deviation:.1f}", apply)


def _plan(
    shape: tuple[int, ...], rng: np.random.Generator, settings: Settings
) -> tuple[tuple[int, int], tuple[int, int], list[_Step]]:
    """Draw the final size, the canvas's size (both width, height) and what happens in between."""
    resized, cropped, crop_first = rng.random(3) < (settings.resize, settings.crop, 0.5)
    scale = log_uniform(rng, *settings.scale) if resized else 1.0
    low, high = settings.side
    most = [min(max(settings.enlarge * scale * side, low), high) for side in (shape[1], shape[0])]
    width = round(log_uniform(rng, low, most[0]))
    height = round(log_uniform(rng, min(max(low, width / 1.8), most[1]), min(most[1], max(low, 1.8 * width))))
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
    scale = max(cover, 1.0 if rng.random() < settings.native else log_uniform(rng, min(cover, 1.0), 1.0))
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
    wide = log_uniform(rng, low, high)
    high_cell = wide
    if rng.random() >= settings.square:
        high_cell = log_uniform(rng, max(low, wide / 2), min(high, 2 * wide))
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
            length = first = log_uniform(rng, least, most) if not covers else side
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


def to_bytes(values: Array) -> Bytes:
    """Round and clip to uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)
