"""Files opened within bounds, and Pillow made strict and silent for the time of one of them."""

from __future__ import annotations

import ctypes
import importlib
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Protocol

from PIL import Image, ImageFile, UnidentifiedImageError

from deepix.errors import DeepixError, InputError, reason
from deepix.images import recognition
from deepix.images.limits import MAX_BYTES, MAX_PIXELS

UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises but needs another program to draw (EPS: Ghostscript would run), or cannot draw."""

pillow_lock = threading.RLock()
"""Held while Pillow's settings, which are the process's, are changed."""


class Readable(Protocol):
    """A file object, as far as it is needed here."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to so many bytes; none at the end."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a picture file; InputError if there is none, or it is no regular file, empty or above `MAX_BYTES`."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: is a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file; save the picture to one first")
        if status.st_size == 0:
            raise InputError(f"{path}: the file is empty")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{path}: {_too_long()}")
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be opened ({reason(error)})") from error
    with file:
        yield file


def read_whole(stream: Readable, name: str) -> BytesIO:
    """Return what a file object holds from where it stands, so that it can be searched.

    Raises
    ------
    InputError : it holds nothing, text instead of bytes, or more than `MAX_BYTES`, or reading fails
    """
    whole = BytesIO()
    try:
        while block := stream.read(1 << 20):
            if not isinstance(block, bytes):
                raise InputError(f"{name}: holds text; open it in binary mode")
            whole.write(block)
            if whole.tell() > MAX_BYTES:
                raise InputError(f"{name}: {_too_long()}")
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error
    if not whole.tell():
        raise InputError(f"{name}: empty")
    whole.seek(0)
    return whole


def _too_long() -> str:
    return f"more than {MAX_BYTES >> 20} MiB; no picture that can be restored is as large"


@contextmanager
def opened_image(
    file: IO[bytes], name: str, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Image.Image, list[warnings.WarningMessage]]]:
    """Open a picture as a PIL image, with the warnings that come while it is in use; nothing is decoded yet.

    Raises
    ------
    InputError : the file is no picture, of a kind that is not read, or has more than `max_pixels` pixels; and for
        whatever a decoder raises inside the block
    """
    beginning = file.read(recognition.LENGTH)
    file.seek(0)
    kind = recognition.kind_of(beginning)
    if kind and kind.plugin:
        _register(kind, name)
    with _strict(name, max_pixels) as caught:
        try:
            image = Image.open(file)
        except UnidentifiedImageError:
            tried = "; ".join(str(w.message) for w in caught)
            raise InputError(f"{name}: {_unidentified(kind, beginning, tried)}") from None
        with image:
            if image.format in UNREADABLE:
                raise InputError(f"{name}: {image.format} files are not supported; save it as PNG first")
            if _is_raw(image):
                raise InputError(f"{name}: {recognition.advice(recognition.Kind('a camera’s raw file'))}")
            yield image, caught


def size_of(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return a picture's width and height, in pixels, as the beginning of its file tells them.

    Raises
    ------
    InputError : as reading does, as far as the beginning tells
    """
    with opened(path) as file, opened_image(file, str(path), max_pixels) as (image, _):
        return image.size


def _register(kind: recognition.Kind, name: str) -> None:
    """Teach Pillow the format."""
    assert kind.plugin is not None
    if not kind.plugin.installed:
        raise InputError(f"{name}: {recognition.advice(kind)}")
    plugin = importlib.import_module(kind.plugin.module)
    if hasattr(plugin, "register_heif_opener"):
        plugin.register_heif_opener(thumbnails=False)


def _unidentified(kind: recognition.Kind | None, beginning: bytes, tried: str) -> str:
    """Say why Pillow opens the file in no format.

    Parameters
    ----------
    tried : what Pillow says of the formats that it tried
    """
    if kind and not kind.plugin:
        return recognition.advice(kind)
    known = kind.plugin.module if kind and kind.plugin else recognition.read_as(beginning)
    if not known:
        return "not a picture in a known format, or damaged at its beginning"
    words = {"JPEG 2000": "JPEG2000", "pillow_heif": "HEIF", "pillow_jxl": "JXL"}
    word = words.get(known, known.upper())
    why = next((part for part in tried.split("; ") if part.upper().startswith(word) and "failed." in part), "")
    why = why.partition("failed.")[2].strip()
    why = f" ({why})" if why else ""
    what = kind.name if kind else f"a {known} file"
    return f"{what} of a kind that is not supported, or damaged at its beginning{why}"


def _is_raw(image: Image.Image) -> bool:
    """Say whether a TIFF is a camera's raw file (DNG, NEF, ARW, …), of which Pillow would read the thumbnail."""
    tags = getattr(image, "tag_v2", {})
    version, subfile, others = 50706, tags.get(254, 0), tags.get(330)  # DNGVersion, NewSubfileType, SubIFDs
    return version in tags or bool(isinstance(subfile, int) and subfile & 1 and others)


@contextmanager
def _strict(name: str, max_pixels: int) -> Iterator[list[warnings.WarningMessage]]:
    """Decode strictly and without a word on standard error, and turn whatever a decoder raises into one line.

    Pillow's limit on pixels and its leniency towards cut-off files are global: they are set for the
    time of one file, under a lock, and restored.
    """
    with pillow_lock, warnings.catch_warnings(record=True) as caught, _libtiff_silent():
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.WARN_POSSIBLE_FORMATS
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.WARN_POSSIBLE_FORMATS = max_pixels, False, True
        try:
            yield caught
        except (DeepixError, MemoryError):
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InputError(f"{name}: claims more than {_megapixels(max_pixels)}; {_SMALLER}") from None
        except Exception as error:  # decoders raise SyntaxError, struct.error, zlib.error, EOFError, … on bad data
            raise InputError(f"{name}: damaged or cut off ({reason(error)})") from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.WARN_POSSIBLE_FORMATS = before


_SMALLER = "scale it down or cut it first, or allow more with --max-pixels (in Python: max_pixels=…)"


def check_pixels(name: str, count: int, max_pixels: int) -> None:
    """Raise InputError if a file holds more pixels than it may, in all its frames."""
    if count > max_pixels:
        raise InputError(f"{name}: all frames together have more than {_megapixels(max_pixels)}; {_SMALLER}")


def _megapixels(count: int) -> str:
    return f"{count / 1e6:g} megapixels"


@contextmanager
def _libtiff_silent() -> Iterator[None]:
    """Take from libtiff, which Pillow has loaded, the handler that prints errors; Pillow raises them anyway.

    Where the library is linked in such a way that its functions have no names, it stays as it is.
    """
    from PIL import _imaging

    try:
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):
        yield
        return
    set_handler.restype, set_handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    before = set_handler(None)
    try:
        yield
    finally:
        set_handler(before)
