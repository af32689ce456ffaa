"""How programs make mosaics: each takes a region of a photo, as a selection or a crop, and gives its cells.

even      cells of whole pixels, from the region's upper left corner or the picture's, all equal but those that are cut
uneven    the region is reduced to one pixel a cell and enlarged again: cells of n and of n + 1 pixels
sampled   a cell shows one of its pixels
extreme   a cell shows the least or the greatest values of its pixels
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import field_programs as programs
import numpy as np
from field_programs import called, decoded, encoded, ppm
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Grid, Mosaic, pixelate

Array = NDArray[Any]
Rng = np.random.Generator
Resampling = Image.Resampling
Cell = tuple[int, int]
Box = tuple[int, int, int, int]


class Drawn(NamedTuple):
    """The cells of a region.

    Attributes
    ----------
    values : uint8 (height, width, 3)
    numbers : cells across and down, also those that are cut
    offset : where cells begin, in pixels of the region
    how : the program and what it was told
    """

    values: Array
    numbers: Cell
    offset: Cell
    how: str


class Pixelator(NamedTuple):
    """One way in which a program makes mosaics.

    Attributes
    ----------
    needs : the programs
    draw : what is done to a region
    from_corner : cells begin at the picture's corner, and a selection cuts them
    """

    needs: tuple[str, ...]
    draw: Callable[[Array, Cell, Rng], Drawn]
    from_corner: bool = False

    def __call__(self, picture: Array, box: Box, cell: Cell, rng: Rng) -> Drawn:
        """Return the cells of a box of a picture."""
        x, y, width, height = box
        if not self.from_corner:
            return self.draw(picture[y : y + height, x : x + width], cell, rng)
        left, top = x % cell[0], y % cell[1]
        right, bottom = x + width + -(x + width) % cell[0], y + height + -(y + height) % cell[1]
        drawn = self.draw(picture[y - top : bottom, x - left : right], cell, rng)
        values, offset = drawn.values[top : top + height, left : left + width], (-x % cell[0], -y % cell[1])
        return Drawn(values, _cut(values, cell, offset), offset, drawn.how)


def _numbers(region: Array, cell: Cell) -> Cell:
    """Return how many cells a program makes of a region: as many as fit (`w // cell`)."""
    return max(region.shape[1] // cell[0], 1), max(region.shape[0] // cell[1], 1)


def _cut(region: Array, cell: Cell, offset: Cell = (0, 0)) -> Cell:
    """Return how many cells a region holds, also those that it cuts."""
    return -(-(region.shape[1] - offset[0]) // cell[0]) + (offset[0] > 0), -(
        -(region.shape[0] - offset[1]) // cell[1]
    ) + (offset[1] > 0)


# ── even ─────────────────────────────────────────────────────────────────────────────────────────


def means(region: Array, cell: Cell, rng: Rng) -> Drawn:
    """Means, as a loop over blocks makes them."""
    m = Mosaic.rectangle(0, 0, region.shape[1], region.shape[0], cell)
    truncated = rng.random() < 0.3
    values = pixelate(region, [m], "truncate" if truncated else "nearest")
    return Drawn(values, _cut(region, cell), (0, 0), "NumPy means" + " cut off" * truncated)


def gegl(region: Array, cell: Cell, _: Rng) -> Drawn:
    """GEGL's (and GIMP's) pixelize: means of light."""
    arguments = ["IN", "-o", "OUT", "--", "gegl:pixelize", f"size-x={cell[0]}", f"size-y={cell[1]}"]
    values = decoded(programs.converted("GEGL", arguments, encoded(region, "PNG"), (".png", ".png")))
    return Drawn(values, _cut(region, cell), (0, 0), "GEGL pixelize")


def ffmpeg_pixelize(region: Array, cell: Cell, rng: Rng, mode: str = "avg") -> Drawn:
    """Ffmpeg's pixelize filter, on RGB or full-resolution YUV."""
    layout = ("gbrp", "yuv444p")[int(rng.integers(2))]
    values = _ffmpeg(region, f"format={layout},pixelize={cell[0]}:{cell[1]}:{mode}")
    return Drawn(values, _cut(region, cell), (0, 0), f"ffmpeg pixelize {mode} {layout}")


def _ffmpeg(region: Array, graph: str) -> Array:
    pipe = ["-f", "image2pipe", "-c:v", "ppm"]
    arguments = ["-loglevel", "error", *pipe, "-i", "-", "-vf", graph, "-pix_fmt", "rgb24", *pipe, "-"]
    return decoded(called("ffmpeg", arguments, ppm(region)))


# ── reduced and enlarged again ───────────────────────────────────────────────────────────────────


def _pillow(down: tuple[Resampling, ...]) -> Callable[[Array, Cell, Rng], Drawn]:
    def draw(region: Array, cell: Cell, rng: Rng) -> Drawn:
        numbers, how = _numbers(region, cell), down[int(rng.integers(len(down)))]
        small = Image.fromarray(region).resize(numbers, how)
        values = np.asarray(small.resize((region.shape[1], region.shape[0]), Resampling.NEAREST))
        return Drawn(values, numbers, (0, 0), f"Pillow {how.name} to {numbers[0]}x{numbers[1]}, NEAREST")

    return draw


def _opencv(down: tuple[int, ...]) -> Callable[[Array, Cell, Rng], Drawn]:
    def draw(region: Array, cell: Cell, rng: Rng) -> Drawn:
        numbers, how = _numbers(region, cell), down[int(rng.integers(len(down)))]
        small = cv2.resize(region, numbers, interpolation=how)
        values = np.asarray(cv2.resize(small, region.shape[1::-1], interpolation=cv2.INTER_NEAREST))
        return Drawn(values, numbers, (0, 0), f"OpenCV {how} to {numbers[0]}x{numbers[1]}, INTER_NEAREST")

    return draw


def _magick(name: str, ways: tuple[str, ...]) -> Callable[[Array, Cell, Rng], Drawn]:
    first = ["convert"] if name == "GraphicsMagick" else []

    def draw(region: Array, cell: Cell, rng: Rng) -> Drawn:
        numbers, way = _numbers(region, cell), ways[int(rng.integers(len(ways)))]
        small, large = f"{numbers[0]}x{numbers[1]}!", f"{region.shape[1]}x{region.shape[0]}!"
        arguments = [*first, "ppm:-", way, small, "-sample", large, "-depth", "8", "ppm:-"]
        return Drawn(decoded(called(name, arguments, ppm(region))), numbers, (0, 0), f"{name} {way} {small} -sample")

    return draw


def _ffmpeg_scale(*flags: str) -> Callable[[Array, Cell, Rng], Drawn]:
    def draw(region: Array, cell: Cell, rng: Rng) -> Drawn:
        numbers, flag = _numbers(region, cell), flags[int(rng.integers(len(flags)))]
        small, large = f"scale={numbers[0]}:{numbers[1]}:flags={flag}", f"scale={region.shape[1]}:{region.shape[0]}"
        values = _ffmpeg(region, f"{small},{large}:flags=neighbor")
        return Drawn(values, numbers, (0, 0), f"ffmpeg {small}, flags=neighbor")

    return draw


def netpbm(region: Array, cell: Cell, _: Rng) -> Drawn:
    """Netpbm's pamscale, mixing pixels down and copying them up."""
    numbers = _numbers(region, cell)
    small = called("netpbm", ["-xsize", str(numbers[0]), "-ysize", str(numbers[1])], ppm(region))
    arguments = ["-nomix", "-xsize", str(region.shape[1]), "-ysize", str(region.shape[0])]
    return Drawn(decoded(called("netpbm", arguments, small)), numbers, (0, 0), "netpbm pamscale, -nomix")


# ── one pixel of the cell ────────────────────────────────────────────────────────────────────────


def corner(region: Array, cell: Cell, rng: Rng) -> Drawn:
    """Show each cell's upper left or middle pixel, as getpixel loops and older programs do."""
    middle = rng.random() < 0.3
    index = []
    for side, size in zip(region.shape[1::-1], cell, strict=True):
        first = np.arange(side) // size * size
        index.append(np.minimum(first + size // 2, side - 1) if middle else first)
    values = region[index[1]][:, index[0]]
    return Drawn(values, _cut(region, cell), (0, 0), f"getpixel {'middle' if middle else 'corner'}")


def _extreme(mode: str) -> Callable[[Array, Cell, Rng], Drawn]:
    return lambda region, cell, rng: ffmpeg_pixelize(region, cell, rng, mode)


_SMOOTH = (Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)

EVEN = {
    "means": Pixelator(("NumPy",), means),
    "gegl": Pixelator(("GEGL",), gegl, from_corner=True),
    "ffmpeg pixelize": Pixelator(("ffmpeg",), ffmpeg_pixelize),
}
UNEVEN = {
    "Pillow": Pixelator(("Pillow",), _pillow(_SMOOTH)),
    "OpenCV": Pixelator(("OpenCV",), _opencv((cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC))),
    "ImageMagick": Pixelator(("ImageMagick",), _magick("ImageMagick", ("-scale", "-resize"))),
    "GraphicsMagick": Pixelator(("GraphicsMagick",), _magick("GraphicsMagick", ("-scale", "-resize"))),
    "ffmpeg scale": Pixelator(("ffmpeg",), _ffmpeg_scale("bicubic", "area", "bilinear")),
    "netpbm": Pixelator(("netpbm",), netpbm),
}
"""Given a region whose sides are multiples of the cells, these give even cells."""
SAMPLED = {
    "corner": Pixelator(("NumPy",), corner),
    "Pillow NEAREST": Pixelator(("Pillow",), _pillow((Resampling.NEAREST,))),
    "OpenCV NEAREST": Pixelator(("OpenCV",), _opencv((cv2.INTER_NEAREST,))),
    "ImageMagick -sample": Pixelator(("ImageMagick",), _magick("ImageMagick", ("-sample",))),
    "ffmpeg neighbor": Pixelator(("ffmpeg",), _ffmpeg_scale("neighbor")),
}
EXTREME = {
    "ffmpeg min": Pixelator(("ffmpeg",), _extreme("min")),
    "ffmpeg max": Pixelator(("ffmpeg",), _extreme("max")),
}


def bands(values: Array) -> tuple[Array, Array]:
    """Return the number of the cell's column of each column of pixels, and that of each row, as the pixels have it."""
    columns = (np.diff(values.astype(np.int16), axis=1) != 0).any(axis=(0, 2))
    rows = (np.diff(values.astype(np.int16), axis=0) != 0).any(axis=(1, 2))
    return np.r_[0, np.cumsum(columns)], np.r_[0, np.cumsum(rows)]


def grid_of(drawn: Drawn, x: int, y: int, cell: Cell) -> Grid:
    """Return where the cells of a region at x, y lie; along an axis with uneven ones the even grid nearest to them."""
    starts, sizes = [], []
    for start, index, number, offset, size in zip(
        (x, y), bands(drawn.values), drawn.numbers, drawn.offset, cell, strict=True
    ):
        lines = 1 + np.flatnonzero(np.diff(index))
        if (np.diff(lines) == size).all() and lines[0] == (offset or size):
            starts.append(float(start + offset))
            sizes.append(float(size))
        else:
            mean = len(index) / number
            starts.append(start + float(np.mean(lines - mean * np.arange(1, number))))
            sizes.append(mean)
    return Grid(starts[0], starts[1], sizes[0], sizes[1])
