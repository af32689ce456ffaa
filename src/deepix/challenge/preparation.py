"""From a picture of any kind to the challenge's: 64x64, grayscale."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepix.challenge.protocol import SIZE, Bytes
from deepix.challenge.reading import read_bytes
from deepix.draw import eight_bits
from deepix.errors import InputError, reason
from deepix.sources import Source


def prepare(image: Image.Image | Bytes | str | Path) -> Bytes:
    """Return a picture as the challenge prepares it: 64x64, grayscale.

    The shorter side is resized to 64 (bilinear with antialiasing, on 8-bit values; the longer one to
    int(64 · long / short)), the middle cut out, and the colours turned into luminance by `to_grayscale`.

    The challenge opened files as they are stored, so an EXIF orientation is *not* applied. Its pictures were
    8-bit grayscale or RGB; others are turned into one of these first: palettes and CMYK by Pillow,
    16 bits by dividing by 257, and what is transparent is laid on white.

    Parameters
    ----------
    image : a picture, an array uint8 (H, W) or (H, W, 3), or a file's path

    Returns
    -------
    uint8 (64, 64)

    Raises
    ------
    InputError : the file cannot be read as a picture
    ValueError : the picture is of a kind that has no 8-bit form, or more than 1000 times as long as wide

    Examples
    --------
    >>> prepare(np.full((100, 200, 3), (255, 0, 0), np.uint8))[0, :2]
    array([127, 127], dtype=uint8)
    """
    if isinstance(image, str | Path):
        return prepare_content(read_bytes(image), str(image))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ValueError(f"a picture must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
        image = Image.fromarray(image)
    image = eight_bits(image)
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if short < 1 or long > 1000 * short:
        raise ValueError(f"a picture of {width} x {height} pixels cannot be cut to a square")
    if short != SIZE:
        longer = int(SIZE * long / short)
        image = image.resize((SIZE, longer) if width <= height else (longer, SIZE), Image.Resampling.BILINEAR)
    left, top = (round((side - SIZE) / 2) for side in image.size)
    image = image.crop((left, top, left + SIZE, top + SIZE))
    return to_grayscale(np.asarray(image))


def prepare_content(content: bytes | Bytes, name: str) -> Bytes:
    """Return the picture in an encoded file's bytes, or in an array, as `prepare` does.

    Raises
    ------
    InputError : about `name`, whatever is wrong with it
    """
    try:
        if not isinstance(content, bytes):
            return prepare(content)
        with Image.open(io.BytesIO(content)) as image:
            return prepare(image)
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture") from None
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, ValueError, struct.error …
    except Exception as error:
        raise InputError(f"{name}: cannot be read as a picture ({reason(error)})") from error


def prepare_all(sources: Iterable[Source]) -> Iterator[Bytes | InputError]:
    """Prepare the pictures of `sources.read`, one by one; one that cannot be read gives its error instead."""
    for source in sources:
        for item in source.items:
            try:
                yield prepare_content(item.load(), item.name)
            except InputError as error:
                yield error


def to_grayscale(image: NDArray[Any]) -> NDArray[Any]:
    """Return the luminance of an sRGB picture, as the challenge computes it.

    Linear light c/12.92 (c ≤ 0.04045), else ((c + 0.055)/1.055)^2.4; Y = 0.2126 R + 0.7152 G + 0.0722 B
    (ITU-R BT.709); back by the inverse of the first step (IEC 61966-2-1).

    Parameters
    ----------
    image : (H, W), returned as a copy, or (H, W, 3); values 0 … 255 in any type

    Returns
    -------
    (H, W) of the same type; integers are rounded
    """
    if image.ndim == 2:
        return image.copy()
    linear = _LINEAR[image] if image.dtype == np.uint8 else _linear(image)
    y = 0.2126 * linear[..., 0] + 0.7152 * linear[..., 1] + 0.0722 * linear[..., 2]
    gray = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055) * 255
    return (np.rint(gray) if image.dtype.kind in "iu" else gray).astype(image.dtype)


def _linear(values: NDArray[Any]) -> NDArray[Any]:
    """Return sRGB values 0 … 255 as linear light 0 … 1."""
    c = values / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


_LINEAR = _linear(np.arange(256, dtype=np.uint8))
