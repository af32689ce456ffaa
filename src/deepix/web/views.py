"""Pictures as a screen shows them: a small one of the whole, and any part at its full size.

Each view of a picture is kept as an array, of which parts are read without reading the whole, and as a small JPEG. A
variant, restored with all detail, differs from the plain restoration around the areas only, and so does one map from
another: there alone they are kept.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix import images
from deepix.draw.heat import heat_colours
from deepix.draw.screen import displayable
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box
from deepix.mosaic.types import unknown

BEFORE, AFTER, DOUBT = VIEWS = ("before", "after", "doubt")
"""The picture as it came, restored, and where the restoration may be off; see also `variant` and `judgement`."""
PREVIEW = 1800
"""Pixels of the longer side of the small picture."""
PREVIEW_QUALITY = 90
_DIMMED = [value // 3 for value in range(256)]
"""How bright what is known stays in the view of doubt."""


def on_screen(picture: images.Picture) -> Image.Image:
    """Return the picture in 8-bit RGB, what is transparent on white."""
    return displayable(images.preview(picture))


def variant(seed: int) -> str:
    """Return what the view of a variant is called."""
    return f"variant-{seed}"


def judgement(number: int) -> str:
    """Return what the view of the map of what looks restored is called that was asked for as the so-manieth."""
    return f"looks-{number}"


def store(image: Image.Image, folder: Path, view: str, box: Box | None = None, over: str = AFTER) -> None:
    """Keep a view in a folder, which has none of it yet: what is there may be mapped into memory.

    Parameters
    ----------
    image : RGB
    view : one of `VIEWS`, or that of a `variant` or a `judgement`
    box : where it may differ from another view; None: anywhere
    over : that other view, which is in the folder
    """
    shrink = PREVIEW / max(image.size)
    size = max(1, round(image.width * shrink)), max(1, round(image.height * shrink))
    small = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0) if shrink < 1 else image
    small.save(preview(folder, view), "JPEG", quality=PREVIEW_QUALITY, subsampling=0)
    pixels = np.asarray(image)
    if box is None:
        np.save(_whole(folder, view), pixels)
    else:
        np.save(_whole(folder, view), pixels[box])
        np.savez(_place(folder, view), corner=[box[0].start, box[1].start], over=over)


def remove(folder: Path, view: str) -> None:
    """Remove a view that lies over another."""
    for path in (preview(folder, view), _whole(folder, view), _place(folder, view)):
        path.unlink(missing_ok=True)


def preview(folder: Path, view: str) -> Path:
    """Return where the small picture of a view is."""
    return folder / f"{view}.jpg"


def _whole(folder: Path, view: str) -> Path:
    return folder / f"{view}.npy"


def _place(folder: Path, view: str) -> Path:
    return folder / f"{view}-place.npz"


def part(folder: Path, view: str, box: tuple[int, int, int, int]) -> bytes:
    """Return a part of a view at its full size, as a PNG file.

    Parameters
    ----------
    box : x, y, width, height in pixels; what lies outside the picture is left out

    Raises
    ------
    ValueError : nothing of it lies in the picture
    OSError : there is no such view
    """
    x, y, width, height = box
    left, top, right, bottom = (max(0, v) for v in (x, y, x + width, y + height))
    place = _place(folder, view)
    over, corner = view, np.zeros(0, np.int64)
    if place.exists():
        with np.load(place) as about:
            over, corner = str(about["over"]), about["corner"]
    pixels = np.array(np.load(_whole(folder, over), mmap_mode="r")[top:bottom, left:right])
    if not pixels.size:
        raise ValueError(f"{box} lies outside the picture")
    if corner.size:
        _lay_over(pixels, (left, top), np.load(_whole(folder, view), mmap_mode="r"), corner)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _lay_over(pixels: NDArray[Any], corner: tuple[int, int], other: NDArray[Any], place: NDArray[np.int64]) -> None:
    """Write into a part of a picture, whose corner is at (x, y), what of another part, at (row, column), lies there."""
    down, across = int(place[0]) - corner[1], int(place[1]) - corner[0]
    rows = slice(max(0, down), max(0, down + other.shape[0]))
    columns = slice(max(0, across), max(0, across + other.shape[1]))
    there = pixels[rows, columns]
    top, left = max(0, -down), max(0, -across)
    there[...] = other[top : top + there.shape[0], left : left + there.shape[1]]


def doubt(restored: Image.Image, deviation: NDArray[np.float32], mosaics: list[Mosaic]) -> tuple[Image.Image, float]:
    """Return the restored picture, gray and dark, with the deviations that are expected in its areas as colours.

    Parameters
    ----------
    restored : RGB
    deviation : (H, W), standard deviations in levels; not a number where they are not known
    mosaics : the areas that were restored

    Returns
    -------
    the picture, and the deviation that the brightest colour stands for
    """
    most = max((float(np.nanmax(deviation[m.box], initial=0)) for m in mosaics), default=0.0) or 1.0
    return coloured(restored, deviation / most, mosaics), most


def coloured(restored: Image.Image, values: NDArray[np.float32], mosaics: list[Mosaic]) -> Image.Image:
    """Return the restored picture, gray and dark, with values in its areas as colours.

    Parameters
    ----------
    restored : RGB
    values : (H, W), 0 … 1
    mosaics : the areas that were restored
    """
    result: NDArray[Any] = np.array(restored.convert("L").point(_DIMMED).convert("RGB"))
    area = unknown(mosaics, values.shape)
    for m in mosaics:
        np.copyto(result[m.box], heat_colours(values[m.box]), where=area[m.box][..., None])
    return Image.fromarray(result)
