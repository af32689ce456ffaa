"""What may happen to an example, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

Range = tuple[float, float]
Resampling = Image.Resampling

SMALLEST = 2.5
"""Cells that resizing makes narrower or lower than this many pixels cannot be told from texture: not drawn."""
FILTERS = {"bilinear": Resampling.BILINEAR, "bicubic": Resampling.BICUBIC, "lanczos": Resampling.LANCZOS}

USUAL = ((0.5, 1), (1.25, 5), (1.5, 3), (2.0, 2))
"""Scales by which screens and editors resize, each with what a side must be a multiple of to come out exactly so."""
SHAPES = ("rectangle", "rounded", "ellipse", "blob", "stroke")
"""Shapes of areas: a rectangle, with round corners, an ellipse, a smooth closed curve, a path of a round brush."""
TILES = ("mean", "mean in linear light", "sample", "box", "bilinear", "bicubic", "lanczos", "four pixels")
"""How a tile gets its colour: the mean of its pixels, or of their light; one of its pixels, at its corner or centre; or
what reducing the area to one pixel a tile gives: Pillow's antialiased filters (box is OpenCV's INTER_AREA and
ImageMagick's -scale), or the mean of the four pixels at the centre (OpenCV's INTER_LINEAR)."""


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
    usual : share of these that are resized by one of `USUAL`, at which whole cells often stay whole
    crop, margin : the picture is cropped, on each side by up to this share
    blur, sigma : Gaussian blur; its standard deviation in pixels
    sharpen, percent : unsharp masking; its strength in percent
    noise, levels : Gaussian noise; its standard deviation
    dark : the picture is darkened, before noise is added
    avif : share of what is saved lossily that is AVIF; WebP where Pillow cannot write it
    video : share of what is saved lossily that goes through the blocks of a frame of MPEG video
    palette : in the place of the last saving, at most 256 colours are left, dithered or not
    covering : a mosaic may cover a part of earlier ones, or lie in one: it owns the pixels that they share
    feather : an area fades into the photo; it is the mosaic's where the mosaic has at least half of the weight
    overlays : a frame, a caption, a watermark or a pointer is drawn over or beside a mosaic

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
    usual: float = 0
    dark: float = 0
    avif: float = 0
    video: float = 0
    palette: float = 0
    covering: float = 0
    feather: float = 0
    overlays: float = 0

    def __post_init__(self) -> None:
        ranges = {"side": 1, "cell": SMALLEST, "quality": 1, "scale": 0.01, "sigma": 0, "percent": 0, "levels": 0}
        for name, least in ranges.items():
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"the range of {name} must be {least} ≤ lowest ≤ highest, not {low} … {high}")
        for name, known in (("shapes", SHAPES), ("tiles", TILES), ("filters", tuple(FILTERS))):
            if unknown := set(getattr(self, name)) - set(known):
                raise ValueError(f"{name} are {', '.join(known)}, not {', '.join(sorted(unknown))}")
