"""From files, their bytes and PIL images to pictures: upright, alpha apart, refused where it would not be exact."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from deepix.errors import DeepixError, InputError, reason
from deepix.images.metadata import TURNS, collect, upright
from deepix.images.types import Array, Picture, from_array

MAX_PIXELS = 500_000_000
"""Files with more pixels are refused: no camera makes them, and a small file that claims them is an attack."""

UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises but needs another program to draw (EPS: Ghostscript would run), or cannot draw."""

_LOSSY = frozenset({"AVIF", "BLP", "DDS", "FTEX", "HEIF", "JPEG", "JPEG2000", "MPO", "PCD", "WEBP"})
"""Formats that are, or may be, lossy; WebP files are looked into."""

READ_AS = {
    **{"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBX": "RGB"},
    **{"RGBA": "RGBA", "RGBa": "RGBA", "YCbCr": "RGB", "CMYK": "CMYK"},
    **{"I": "I;16", "I;16": "I;16", "I;16L": "I;16", "I;16B": "I;16", "I;16N": "I;16"},
}
"""Pillow's modes that are read, and the mode of the picture; a declared transparency adds the A."""

_UNREAD = {"F": "floating-point pixels", "LAB": "Lab colours", "HSV": "HSV colours"}
"""What modes that are not read are called."""

pillow_lock = threading.Lock()


def load(image: str | os.PathLike[str] | bytes | Image.Image | Array) -> Picture:
    """Return the picture in a file (by its name), a file's bytes, a PIL image or an array.

    Raises
    ------
    InputError : the file, bytes or PIL image cannot be read
    ValueError : the array is not a picture, see `from_array`
    TypeError : anything else
    """
    if isinstance(image, str | os.PathLike):
        return read(image)
    if isinstance(image, bytes):
        if not image:
            raise InputError("image data: empty")
        return _decode(BytesIO(image), "image data", None)
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, np.ndarray):
        return from_array(image)
    raise TypeError(f"a picture is a file name, bytes, a PIL image or an array, not {type(image).__name__}")


def read(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file, in any format that Pillow decodes by itself.

    Bilevel pictures become gray and palettes become their colours; of a file with several pictures the first is
    read. Only what can be written back with the same pixels is read exactly: 16-bit colour, which Pillow reduces
    to 8 bits, is noted, and floating-point, Lab and 32-bit pictures are refused.

    Raises
    ------
    InputError : the file is missing, unreadable, empty, cut off, no picture, of an unsupported kind, or has more
        than `MAX_PIXELS` pixels
    """
    path = Path(path)
    with opened(path) as file:
        return _decode(file, str(path), path)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a picture file; InputError if there is none, or it is no regular file, or empty."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: is a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file; save the picture to one first")
        if status.st_size == 0:
            raise InputError(f"{path}: the file is empty")
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be opened ({reason(error)})") from error
    with file:
        yield file


def _decode(file: IO[bytes], name: str, path: Path | None) -> Picture:
    with decoder(name) as caught, Image.open(file) as image:
        if image.format in UNREADABLE:
            raise InputError(f"{name}: {image.format} files are not supported; save it as PNG first")
        frames = getattr(image, "n_frames", 1) if image.format != "PSD" else 1  # a PSD counts its layers
        picture = _from_image(image, name)
        lossy = _lossy_webp(file) if image.format == "WEBP" else picture.lossy
    several = (f"the file holds {frames} pictures; only the first is used",) if frames > 1 else ()
    warned = dict.fromkeys(f"while reading: {reason(w.message)}" for w in caught if w.category is UserWarning)
    return replace(picture, path=path, lossy=lossy, notes=(*several, *picture.notes, *warned))


@contextmanager
def decoder(name: str) -> Iterator[list[warnings.WarningMessage]]:
    """Decode strictly and without Python warnings, and turn whatever a decoder raises into one line.

    Pillow's limit on pixels and its leniency towards cut-off files are global: they are set for the
    time of one file, under a lock, and restored.
    """
    with pillow_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
        try:
            yield caught
        except (DeepixError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise InputError(f"{name}: not a picture in a known format, or damaged at its beginning") from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InputError(
                f"{name}: claims more than {MAX_PIXELS // 10**6} megapixels; scale it down or cut it first"
            ) from None
        except Exception as error:  # decoders raise SyntaxError, struct.error, zlib.error, EOFError, … on bad data
            raise InputError(f"{name}: damaged or cut off ({reason(error)})") from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _lossy_webp(file: IO[bytes]) -> bool:
    """Say whether the first frame of a WebP file is a lossy bitstream (RIFF chunk "VP8 ", not "VP8L")."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        kind, size = header[:4], int.from_bytes(header[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8 "
        # a frame's chunks follow the 16 bytes of its own header; other chunks are padded to even sizes
        file.seek(16 if kind == b"ANMF" else size + size % 2, os.SEEK_CUR)
    return True


def from_pil(image: Image.Image) -> Picture:
    """Return a PIL image as a picture; the image stays as it is, apart from being loaded.

    Raises
    ------
    InputError : its data cannot be decoded, or its mode is not supported ("F", "LAB", "HSV", 32-bit "I")
    """
    filename = getattr(image, "filename", None)
    name = str(filename) if filename else "image"
    try:
        picture = _from_image(image, name)
    except (DeepixError, MemoryError):
        raise
    except Exception as error:  # as in decoder; the limits are the caller's, who opened the file
        raise InputError(f"{name}: damaged or cut off ({reason(error)})") from error
    return replace(picture, path=Path(name) if filename else None)


def _from_image(image: Image.Image, name: str) -> Picture:
    notes: list[str] = []
    stored = _stored(image)  # loading forgets it
    # Pillow turns the pixels of a TIFF, but not its resolution, while it loads it
    turned = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation) in TURNS
    image.load()
    deep = ";16" in stored and image.mode in ("RGB", "RGBA", "CMYK")
    if deep:
        notes.append("16 bits per channel are read as 8, which changes all pixels; use 16-bit gray or 8 bits")

    turned_image, exif, turns = upright(image, notes)
    pixels, mode = _pixels(turned_image, stored, name, notes)
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = pixels[..., -1]
        pixels = pixels[..., 0] if mode == "LA" else pixels[..., :-1]
    metadata = collect(image, exif, turned or turns)
    key = image.info.get("transparency")
    if key is not None and alpha is None and image.mode in ("1", "L", "RGB"):
        alpha = np.where(_is_key(pixels, key, stored), 0, 255).astype(np.uint8)
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    elif key is not None and mode == "I;16":
        metadata["transparency"] = key
    return Picture(
        np.ascontiguousarray(pixels),
        None if alpha is None else np.ascontiguousarray(alpha),
        mode,
        image.format,
        metadata,
        image.format in _LOSSY or metadata.get("compression") in ("jpeg", "tiff_jpeg", "webp"),
        notes=tuple(notes),
    )


def _stored(image: Image.Image) -> str:
    """Return how the file's samples are stored, in Pillow's words ("RGB;16B", "L;4", …); "" if that is not known."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    if isinstance(arguments, str):
        return arguments
    if not arguments:
        return ""
    if image.format == "PPM" and len(arguments) > 1 and isinstance(arguments[1], int) and arguments[1] > 255:
        return f"{arguments[0]};16B"
    return str(arguments[0])


def _pixels(image: Image.Image, stored: str, name: str, notes: list[str]) -> tuple[Array, str]:
    """Return the samples with alpha as the last channel, and the mode they make."""
    mode = image.mode
    if mode not in READ_AS:
        raise InputError(
            f"{name}: {_UNREAD.get(mode, f'mode {mode}')} are not supported; convert it to 8-bit RGB or gray first"
        )
    if READ_AS[mode] == "I;16":
        values = np.asarray(image)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise InputError(f"{name}: has more than 16 bits per pixel; convert it to 16 or 8 bits first")
        return values.astype(np.uint16), "I;16"
    target = READ_AS[mode]
    if mode == "P" and image.has_transparency_data:
        target = "RGBA"
    elif mode == "RGBA" and stored == "LA;16B":
        target = "LA"  # Pillow spreads the gray over red, green and blue
    elif mode == "YCbCr":
        notes.append("the colours were converted from YCbCr to RGB")
    if mode != target:
        image = image.convert(target)
    return np.asarray(image), target


def _is_key(pixels: Array, key: Any, stored: str) -> NDArray[np.bool_]:
    """Say which pixels have the colour that the file declares transparent (the PNG chunk tRNS)."""
    value = np.asarray(key)
    if stored in ("L;2", "L;4"):  # the chunk counts in the file's own bits, the pixels were spread to 8
        value = value * (85 if stored == "L;2" else 17)
    elif ";16" in stored:  # both are cut to 8 bits
        value = value >> 8
    same: NDArray[np.bool_] = np.equal(pixels, value)
    return same if same.ndim == 2 else np.all(same, axis=2)
