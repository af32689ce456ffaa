"""Pictures in and out of files without losing anything: orientation, alpha, depth, ICC profile, EXIF, resolution.

    file, bytes, PIL image or array ─ load ─▶ Picture ─ to_array, to_pil, write ─▶ array, PIL image or file

A `Picture` is upright (an EXIF orientation has been applied to the pixels and removed from the metadata), has its
alpha channel apart, and holds what a writer needs to make the same kind of file again. What cannot be read
exactly is refused, or said in `Picture.notes`. A file is written whole or not at all, never over the input, and
never in a format that would change pixels, except where that format (JPEG, AVIF) was asked for by its suffix.
"""

from __future__ import annotations

import math
import os
import re
import stat
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError, reason

if TYPE_CHECKING:
    from PIL import PngImagePlugin, TiffImagePlugin

Array = NDArray[Any]

MAX_PIXELS = 500_000_000
"""Files with more pixels are refused: no camera makes them, and a small file that claims them is an attack."""

QUALITY = 95
"""The default quality of lossy formats."""

MARKER = "_restored"
"""What the name of a restored file gets by default, before the suffix."""

_UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises but needs another program to draw (EPS: Ghostscript would run), or cannot draw."""

_LOSSY = frozenset({"AVIF", "BLP", "DDS", "FTEX", "HEIF", "JPEG", "JPEG2000", "MPO", "PCD", "WEBP"})
"""Formats that are, or may be, lossy; WebP files are looked into."""

_READ_AS = {
    **{"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBX": "RGB"},
    **{"RGBA": "RGBA", "RGBa": "RGBA", "YCbCr": "RGB", "CMYK": "CMYK"},
    **{"I": "I;16", "I;16": "I;16", "I;16L": "I;16", "I;16B": "I;16", "I;16N": "I;16"},
}
"""Pillow's modes that are read, and the mode of the picture; a declared transparency adds the A."""

_UNREAD = {"F": "floating-point pixels", "LAB": "Lab colours", "HSV": "HSV colours"}
"""What modes that are not read are called."""

_WIDER = {"L": "RGB", "LA": "RGBA"}
"""The mode that holds the same colours exactly, for formats without gray."""

_WRITERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".png": ("PNG", ("L", "LA", "RGB", "RGBA", "I;16")),
    ".tif": ("TIFF", ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")),
    ".tiff": ("TIFF", ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")),
    ".webp": ("WEBP", ("RGB", "RGBA")),
    ".bmp": ("BMP", ("L", "RGB")),
    ".tga": ("TGA", ("L", "LA", "RGB", "RGBA")),
    ".jp2": ("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16")),
    ".j2k": ("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16")),
    ".qoi": ("QOI", ("RGB", "RGBA")),
    ".pgm": ("PPM", ("L", "I;16")),
    ".ppm": ("PPM", ("RGB",)),
    ".pnm": ("PPM", ("L", "RGB", "I;16")),
    ".jpg": ("JPEG", ("L", "RGB", "CMYK")),
    ".jpeg": ("JPEG", ("L", "RGB", "CMYK")),
    ".avif": ("AVIF", ("RGB",)),
}
"""Suffixes that can be written: Pillow's format, and the modes that come back bit for bit (nearly so where the
format is in `_WRITTEN_LOSSILY`)."""

_WRITTEN_LOSSILY = frozenset({"JPEG", "AVIF"})

_TIFF_COMPRESSIONS = frozenset({"raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate"})
"""The lossless compressions of a TIFF that are kept; others become deflate."""
PNG_LEVEL = 1
"""zlib's level for PNG: a quarter of the time of its default, 6, for files of photos that are 2 to 7 % larger."""

_STORAGE_TAGS = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 282), 284, *range(288, 294), 297, 301, 317}
    | {*range(320, 326), 330, *range(338, 348), *range(512, 522), *range(529, 533), 700, 33723, 34377, 34675}
)
"""TIFF and EXIF tags that tell how *that* file stored its pixels (TIFF 6.0: sizes, strips, tiles, tables,
orientation), and the blocks that have a place of their own (XMP, ICC) or are not kept (IPTC, Photoshop's)."""

_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
"""EXIF tags whose value is a directory of tags."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright (Exif 2.3 §4.6.4)."""

_TURNS = (5, 6, 7, 8)
"""The EXIF orientations that exchange width and height."""

_decoding = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as numbers, with what a file of it needs beside them.

    Attributes
    ----------
    pixels : uint8 or uint16, (H, W) for gray or (H, W, 3) RGB or (H, W, 4) CMYK; upright, alpha apart
    alpha : same dtype, (H, W), 0 is transparent; None without one
    mode : Pillow's mode for pixels and alpha: "L", "LA", "RGB", "RGBA", "CMYK" or "I;16" (16-bit gray). 16-bit
        colour or gray with alpha, which only arrays hold, is named as its 8-bit kin
    format : the source file's format as Pillow names it ("PNG", "JPEG", …); None for arrays
    metadata : what a writer keeps: "icc_profile", "exif", "xmp", "comment" (bytes), "dpi" (x, y: pixels per inch),
        "text" (PNG: keyword → text), "gamma", "srgb", "chromaticity" (PNG), "transparency" (the transparent value
        of a 16-bit gray PNG), "compression" (TIFF). The EXIF holds neither an orientation, as it has been
        applied, nor a thumbnail, as that shows the picture before its restoration
    lossy : the source stored its pixels lossily, as JPEG does (or may have, where a PIL image does not tell)
    path : the source file, if there is one; `write` never writes over it
    notes : one line for each thing that was not taken over as it was
    """

    pixels: Array
    alpha: Array | None
    mode: str
    format: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lossy: bool = False
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def with_pixels(self, pixels: Array) -> Picture:
        """Return the picture with other pixels, all else kept.

        Raises
        ------
        ValueError : shape or dtype differ from the present pixels'
        """
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"the new pixels are {pixels.dtype} {pixels.shape}, "
                f"the picture's are {self.pixels.dtype} {self.pixels.shape}"
            )
        return replace(self, pixels=pixels)


# --- in -------------------------------------------------------------------------------------------------------


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
    with _opened(path) as file:
        return _decode(file, str(path), path)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
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
    with _decoder(name) as caught, Image.open(file) as image:
        if image.format in _UNREADABLE:
            raise InputError(f"{name}: {image.format} files are not supported; save it as PNG first")
        frames = getattr(image, "n_frames", 1) if image.format != "PSD" else 1  # a PSD counts its layers
        picture = _from_image(image, name)
        lossy = _lossy_webp(file) if image.format == "WEBP" else picture.lossy
    several = (f"the file holds {frames} pictures; only the first is used",) if frames > 1 else ()
    warned = dict.fromkeys(f"while reading: {reason(w.message)}" for w in caught if w.category is UserWarning)
    return replace(picture, path=path, lossy=lossy, notes=(*several, *picture.notes, *warned))


@contextmanager
def _decoder(name: str) -> Iterator[list[warnings.WarningMessage]]:
    """Decode strictly and without Python warnings, and turn whatever a decoder raises into one line.

    Pillow's limit on pixels and its leniency towards cut-off files are global: they are set for the
    time of one file, under a lock, and restored.
    """
    with _decoding, warnings.catch_warnings(record=True) as caught:
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
    except Exception as error:  # as in _decoder; the limits are the caller's, who opened the file
        raise InputError(f"{name}: damaged or cut off ({reason(error)})") from error
    return replace(picture, path=Path(name) if filename else None)


def _from_image(image: Image.Image, name: str) -> Picture:
    notes: list[str] = []
    stored = _stored(image)  # loading forgets it
    # Pillow turns the pixels of a TIFF, but not its resolution, while it loads it
    turned = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation) in _TURNS
    image.load()
    deep = ";16" in stored and image.mode in ("RGB", "RGBA", "CMYK")
    if deep:
        notes.append("16 bits per channel are read as 8, which changes all pixels; use 16-bit gray or 8 bits")

    upright, exif, turns = _upright(image, notes)
    pixels, mode = _pixels(upright, stored, name, notes)
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = pixels[..., -1]
        pixels = pixels[..., 0] if mode == "LA" else pixels[..., :-1]
    metadata = _metadata(image, exif, turned or turns)
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


def _upright(image: Image.Image, notes: list[str]) -> tuple[Image.Image, bytes | None, bool]:
    """Apply the EXIF orientation; return image, EXIF data to keep, and whether width and height changed places.

    The parsers raise anything on bad data; that costs the EXIF data, not the picture.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception as error:
        notes.append(f"the EXIF data is damaged and was dropped ({reason(error)})")
        return image, None, False
    kept: bytes | None = None
    try:
        data = image.info.get("exif")
        if data is None:
            kept = _described(exif)
        else:
            patched = _patched(data, orientation in _TURNS)
            _without_storage(_parsed(patched))  # raises now what would otherwise hinder writing
            kept = patched
    except MemoryError:
        raise
    except Exception as error:
        notes.append(f"the EXIF data is damaged and was dropped ({reason(error)})")
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method), kept, orientation in _TURNS


def _pixels(image: Image.Image, stored: str, name: str, notes: list[str]) -> tuple[Array, str]:
    """Return the samples with alpha as the last channel, and the mode they make."""
    mode = image.mode
    if mode not in _READ_AS:
        raise InputError(
            f"{name}: {_UNREAD.get(mode, f'mode {mode}')} are not supported; convert it to 8-bit RGB or gray first"
        )
    if _READ_AS[mode] == "I;16":
        values = np.asarray(image)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise InputError(f"{name}: has more than 16 bits per pixel; convert it to 16 or 8 bits first")
        return values.astype(np.uint16), "I;16"
    target = _READ_AS[mode]
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


def _metadata(image: Image.Image, exif: bytes | None, turned: bool) -> dict[str, Any]:
    info = image.info
    kept: dict[str, Any] = {}
    for key in ("icc_profile", "xmp", "comment"):
        value = info.get(key)
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes) and value:
            kept[key] = value
    if "xmp" in kept:  # a second place for the orientation, which has been applied
        kept["xmp"] = re.sub(rb"""(tiff:Orientation(?:=["']|>))[2-8]""", rb"\g<1>1", kept["xmp"])
    with suppress(TypeError, ValueError, ZeroDivisionError):  # a resolution that is no pair of numbers is none
        x, y = (float(v) for v in info["dpi"]) if "dpi" in info else (0.0, 0.0)
        if math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0:
            kept["dpi"] = (y, x) if turned else (x, y)
    if exif is not None:
        kept["exif"] = exif
    if image.format == "PNG":
        kept |= {key: info[key] for key in ("gamma", "srgb", "chromaticity") if key in info}
        text = {
            key: value
            for key, value in getattr(image, "text", {}).items()
            if not key.startswith(("XML:com.adobe.xmp", "Raw profile type "))
        }
        if text:
            kept["text"] = text
    if image.format == "TIFF" and isinstance(info.get("compression"), str):
        kept["compression"] = info["compression"]
    return kept


def _patched(data: bytes, turned: bool) -> bytes:
    """Return EXIF data that is true of the upright picture, everything else byte for byte as it was.

    The orientation becomes 1, sizes and resolutions change places with the sides, and the thumbnail (IFD 1) is
    blanked and unlinked. Rewriting the data with Pillow would lose the types of unknown tags, letters beyond
    ASCII and the offsets inside maker notes. Layout: TIFF 6.0 §2, Exif 2.3 §4.5.

    Parameters
    ----------
    data : with or without the leading "Exif\\0\\0"
    turned : whether width and height change places

    Raises
    ------
    struct.error, KeyError : the data is damaged
    """
    data = re.sub(rb"^(Exif\x00\x00)+", b"", data)
    block = bytearray(data)
    order = {b"II": "<", b"MM": ">"}[data[:2]]

    def entries(ifd: int) -> tuple[dict[int, int], int]:
        """Return where the value of each tag lies, and where the offset of the next directory does."""
        (count,) = struct.unpack_from(f"{order}H", block, ifd)
        starts = [ifd + 2 + 12 * i for i in range(count)]
        return {struct.unpack_from(f"{order}H", block, s)[0]: s + 8 for s in starts}, ifd + 2 + 12 * count

    def number(value: int) -> int:
        """Return the SHORT or LONG whose value lies there; its type is six bytes before it."""
        kind = "H" if struct.unpack_from(f"{order}H", block, value - 6)[0] == 3 else "L"
        return int(struct.unpack_from(f"{order}{kind}", block, value)[0])

    main, link = entries(struct.unpack_from(f"{order}L", block, 4)[0])
    if ExifTags.Base.Orientation in main:
        struct.pack_into(f"{order}HH", block, main[ExifTags.Base.Orientation], 1, 0)
    pairs = [(main, ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)]
    pairs.append((main, ExifTags.Base.XResolution, ExifTags.Base.YResolution))
    if ExifTags.IFD.Exif in main:
        details, _ = entries(number(main[ExifTags.IFD.Exif]))
        pairs.append((details, ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight))
    for tags, x, y in pairs:
        if turned and x in tags and y in tags:  # with their types and counts
            a, b = slice(tags[x] - 6, tags[x] + 4), slice(tags[y] - 6, tags[y] + 4)
            block[a], block[b] = block[b], block[a]
    # some writers leave the last offset out
    second = struct.unpack_from(f"{order}L", block, link)[0] if link + 4 <= len(block) else 0
    if second:
        thumbnail, _ = entries(second)
        struct.pack_into(f"{order}L", block, link, 0)
        start, length = (thumbnail.get(tag) for tag in (513, 514))  # JPEGInterchangeFormat and its Length
        if start is not None and length is not None:
            place = slice(number(start), number(start) + number(length))
            block[place] = bytes(len(block[place]))
    return b"Exif\x00\x00" + bytes(block)


def _described(exif: Image.Exif) -> bytes | None:
    """Return the EXIF data among the tags of a TIFF, without those of its storage; None if there is none."""
    described = _without_storage(exif)
    return described.tobytes() if len(described) else None


def _parsed(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(data)
    return exif


def _without_storage(exif: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in exif:
        if tag not in _STORAGE_TAGS:
            kept[tag] = _bytes(exif.get_ifd(tag) if tag in _IFDS else exif[tag])
    return kept


def _bytes(value: Any) -> Any:
    """Return text as the bytes it was read from: Pillow reads Latin-1, but would write anything but ASCII as "?"."""
    if isinstance(value, dict):
        return {key: _bytes(item) for key, item in value.items()}
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def from_array(array: Array) -> Picture:
    """Return an array as a picture.

    Parameters
    ----------
    array : uint8 or uint16; (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB, (H, W, 4) RGB and
        alpha. Its memory is shared where the layout allows

    Raises
    ------
    ValueError : another type or shape, or no pixels. Floats, booleans and wide integers are refused, as
        their range is not known: scale them first
    """
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ValueError(f"a picture's array must be uint8 or uint16, not {array.dtype}; scale and convert it first")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"a picture's array must be (H, W) or (H, W, 1 … 4), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"a picture must have pixels; the array is {array.shape}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    channels = 1 if native.ndim == 2 else native.shape[2]
    planar = native.reshape(*native.shape[:2], channels)
    alpha = np.ascontiguousarray(planar[..., -1]) if channels in (2, 4) else None
    pixels = planar[..., 0] if channels <= 2 else planar[..., :3]
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1]
    if mode == "L" and native.dtype == np.uint16:
        mode = "I;16"
    return Picture(np.ascontiguousarray(pixels), alpha, mode)


# --- out ------------------------------------------------------------------------------------------------------


def to_array(picture: Picture) -> Array:
    """Return pixels and alpha as one new array: uint8 or uint16, (H, W) or (H, W, 2 … 4), alpha last."""
    if picture.alpha is None:
        return picture.pixels.copy()
    return np.dstack([picture.pixels, picture.alpha])


def to_pil(picture: Picture) -> Image.Image:
    """Return the picture as a PIL image; the metadata is its `info`.

    Raises
    ------
    ValueError : 16-bit colour or 16-bit gray with alpha, which Pillow has no mode for
    """
    if picture.pixels.dtype == np.uint16 and picture.mode != "I;16":
        raise ValueError("Pillow holds 16 bits for gray without alpha only; use the array, or convert to 8 bits")
    height, width = picture.pixels.shape[:2]
    data = picture.pixels if picture.alpha is None else to_array(picture)
    data = np.ascontiguousarray(data, "<u2" if picture.mode == "I;16" else np.uint8)
    image = Image.frombytes(picture.mode, (width, height), data)
    image.info.update(picture.metadata)
    return image


def check_target(
    path: str | os.PathLike[str], source: str | os.PathLike[str] | None = None, *, overwrite: bool = False
) -> None:
    """Raise what `write` would raise for this name, so that long work need not end in it.

    Raises
    ------
    OutputError : the path is the source (also by a link), exists without `overwrite`, is no regular file, or has
        the suffix of no format that is written
    """
    path = Path(path)
    try:
        same = source is not None and path.exists() and Path(source).exists() and path.samefile(source)
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into, a NUL
        raise files.failure(path, error) from error
    if same:
        raise OutputError(f"{path}: is the input; choose another name")
    files.check_free(path, overwrite)
    if path.suffix.lower() not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise OutputError(f"{path}: no picture format is written as '{path.suffix}'; use one of {known}")


def write(
    picture: Picture,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    quality: int = QUALITY,
    source: str | os.PathLike[str] | None = None,
) -> None:
    """Write a picture to a file, in the format that the suffix names, with all metadata that the format holds.

    The file appears whole or not at all. Formats other than JPEG and AVIF are written losslessly; WebP with the
    colours of transparent pixels, TIFF in its source's compression if that is lossless, else deflate, but
    uncompressed when there is EXIF data, which Pillow writes into no other. A format that cannot hold the picture
    (JPEG: transparency, 16 bits; PNG: CMYK; …) is refused; an alpha channel that is opaque everywhere is left
    out where the format has none. IPTC blocks and thumbnails are not kept.

    Parameters
    ----------
    picture : what to write
    path : where; the suffix, in any case, is one of `writable_suffixes`
    overwrite : replace an existing file, but never `picture.path` or `source`
    quality : of JPEG and AVIF, 1 … 100; colours are not subsampled
    source : another file that must not be replaced

    Raises
    ------
    OutputError : as `check_target`, or the format cannot hold the picture, or it cannot be encoded or stored
    ValueError : quality is out of range
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, not {quality}")
    path = Path(path)
    check_target(path, source, overwrite=overwrite)
    check_target(path, picture.path, overwrite=overwrite)
    files.write_bytes(path, _encode(picture, path, quality), overwrite=overwrite)


def writable_suffixes() -> tuple[str, ...]:
    """Return the suffixes that `write` knows, in lower case, with their dots."""
    return tuple(_WRITERS)


def _writer(picture: Picture, path: Path) -> tuple[str, str]:
    """Return the format and the mode that hold the picture; OutputError if the suffix's format does not."""
    suffix = path.suffix.lower()
    if picture.pixels.dtype == np.uint16 and picture.mode != "I;16":
        raise OutputError(f"{path}: 16-bit colour and 16-bit gray with alpha cannot be written; convert to 8 bits")
    kind, modes = _WRITERS[suffix]
    if "transparency" in picture.metadata and kind != "PNG":
        raise OutputError(f"{path}: 16-bit gray with transparency is written to .png only")
    opaque = picture.alpha is not None and bool((picture.alpha == 255).all())
    for mode in (picture.mode, picture.mode.removesuffix("A") if opaque else picture.mode):
        for held in (mode, _WIDER.get(mode, mode)):
            if held in modes:
                return kind, held
    what = {"CMYK": "CMYK colours", "I;16": "16 bits per pixel", "RGB": "colours"}.get(picture.mode, "transparency")
    others = ", ".join(s for s, (_, held) in _WRITERS.items() if picture.mode in held)
    raise OutputError(f"{path}: {kind} files ({suffix}) are not written with {what}; use one of {others}")


def _encode(picture: Picture, path: Path, quality: int) -> bytes:
    kind, mode = _writer(picture, path)
    if picture.alpha is not None and mode in ("L", "RGB"):  # opaque, in a format without alpha
        opaque = picture.mode.removesuffix("A")
        picture = replace(picture, alpha=None, mode=opaque)
    image = to_pil(replace(picture, metadata={}))  # with info, the writers would act on it unasked
    if image.mode != mode:
        image = image.convert(mode)
    buffer = BytesIO()
    try:
        image.save(buffer, kind, **_options(picture, kind, mode, path, quality))
    except MemoryError:
        raise
    except Exception as error:  # encoders raise anything: a side that is too long, metadata that is too large
        raise OutputError(f"{path}: cannot be encoded as {kind} ({reason(error)})") from error
    return buffer.getvalue()


def _options(picture: Picture, kind: str, mode: str, path: Path, quality: int) -> dict[str, Any]:
    """Return what Pillow's `save` of this format needs to keep the metadata and the pixels."""
    metadata = picture.metadata
    options: dict[str, Any] = {}
    profile = metadata.get("icc_profile")
    widened = mode != picture.mode
    if profile and not (widened and profile[16:20] == b"GRAY"):  # ICC.1 §7.2.6: the profile's colour space
        options["icc_profile"] = profile
    if "dpi" in metadata:
        options["dpi"] = metadata["dpi"]
    if "exif" in metadata and kind != "TIFF":  # there it is among the file's own tags
        options["exif"] = metadata["exif"]
    if "xmp" in metadata and kind in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = metadata["xmp"]
    if "comment" in metadata and kind in ("JPEG", "JPEG2000"):
        options["comment"] = metadata["comment"]
    if kind == "PNG":
        options["pnginfo"] = _png_chunks(metadata)
        options["compress_level"] = PNG_LEVEL
        if mode == "I;16" and "transparency" in metadata:
            options["transparency"] = metadata["transparency"]
    elif kind == "TIFF":
        compression = metadata.get("compression")
        options["compression"] = compression if compression in _TIFF_COMPRESSIONS else "tiff_adobe_deflate"
        options["tiffinfo"] = tags = _tiff_tags(metadata)
        if any(tag in tags for tag in _IFDS):
            options["compression"] = "raw"  # libtiff, which compresses, cannot write directories inside others
    elif kind == "WEBP":
        options |= {"lossless": True, "exact": True}
    elif kind == "JPEG2000":
        options |= {"irreversible": False, "no_jp2": path.suffix.lower() == ".j2k"}
    elif kind in _WRITTEN_LOSSILY:
        options |= {"quality": quality, "subsampling": "4:4:4"}
    return options


def _png_chunks(metadata: Mapping[str, Any]) -> PngImagePlugin.PngInfo:
    """Return the chunks of a PNG that Pillow does not write by itself."""
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    if "gamma" in metadata:
        chunks.add(b"gAMA", struct.pack(">L", round(metadata["gamma"] * 100000)))
    if "srgb" in metadata:
        chunks.add(b"sRGB", bytes([metadata["srgb"]]))
    if "chromaticity" in metadata:
        chunks.add(b"cHRM", struct.pack(">8L", *(round(v * 100000) for v in metadata["chromaticity"])))
    if "xmp" in metadata:
        chunks.add_itxt("XML:com.adobe.xmp", metadata["xmp"].decode("utf-8", "replace"))
    for key, value in metadata.get("text", {}).items():
        chunks.add_text(key, value)  # as iTXt where it was one, or Latin-1 cannot hold it
    return chunks


def _tiff_tags(metadata: Mapping[str, Any]) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return EXIF and XMP as the tags of a TIFF."""
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if "exif" in metadata:
        with _decoding, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # entries that Pillow cannot read are left out
            described = dict(_without_storage(_parsed(metadata["exif"])))
        for tag, value in described.items():
            tags[tag] = value
    if "xmp" in metadata:
        tags[ExifTags.Base.XMLPacket] = metadata["xmp"]
    return tags


# --- names ----------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A file to work on.

    Attributes
    ----------
    path : the file
    relative : its path below the folder that was searched; its name, if it was named itself
    """

    path: Path
    relative: Path

    @property
    def beside(self) -> Path:
        """The name of its restoration beside it, before `default_output` has chosen the suffix."""
        return self.path.with_stem(self.path.stem + MARKER)


def find_pictures(inputs: Iterable[str | os.PathLike[str]]) -> list[Found]:
    """List the files that are meant by files and folders, each once, in the order given and sorted within folders.

    Files that are named are taken as they are. Folders are searched through and through for the suffixes that
    Pillow reads; hidden files and folders and links to folders are left out, and so is a restoration
    (NAME_restored, NAME_restored_compare) that lies beside its original.

    Raises
    ------
    InputError : an input does not exist, or a folder holds no pictures
    """
    found: dict[Path, Found] = {}
    for root in map(Path, inputs):
        if not root.is_dir():
            if not root.exists():
                raise InputError(f"{root}: no such file or folder")
            found.setdefault(root.resolve(), Found(root, Path(root.name)))
            continue
        below = _search(root)
        if not below:
            raise InputError(f"{root}: no pictures in this folder")
        for path in below:
            found.setdefault(path.resolve(), Found(path, path.relative_to(root)))
    return list(found.values())


def _search(root: Path) -> list[Path]:
    suffixes = readable_suffixes()
    result = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        pictures = [
            path
            for path in (Path(folder, name) for name in sorted(names))
            if not path.name.startswith(".") and path.suffix.lower() in suffixes and path.is_file()
        ]
        stems = {path.stem for path in pictures}
        result += [path for path in pictures if _original(path.stem) not in stems]
    return result


def _original(stem: str) -> str | None:
    match = re.fullmatch(rf"(.+){re.escape(MARKER)}(_compare)?", stem)
    return match[1] if match else None


def readable_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that `read` knows, in lower case, with their dots."""
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    blocked = {suffix for suffix, kind in Image.registered_extensions().items() if kind in _UNREADABLE}
    return frozenset(known - blocked | {".mpo"})  # MPO is opened as a kind of JPEG


def default_output(source: str | os.PathLike[str], target: str | os.PathLike[str] | None = None) -> Path:
    """Return the name under which the source, once restored, is written without loss.

    The suffix stays if its format is the file's and can hold the picture losslessly; otherwise it becomes
    .png (JPEG, AVIF, GIF, …), or .tif where a PNG could not hold the picture (CMYK).

    Parameters
    ----------
    source : a picture file; its beginning is read
    target : the name wanted, whose suffix is exchanged; the source's with `MARKER` if None

    Raises
    ------
    InputError : as `read`, as far as the beginning tells
    """
    source = Path(source)
    target = Found(source, Path(source.name)).beside if target is None else Path(target)
    with _opened(source) as file, _decoder(str(source)), Image.open(file) as image:
        kind, mode = image.format, _READ_AS.get(image.mode, image.mode)
        if mode in ("L", "RGB") and image.has_transparency_data:
            mode += "A"
    for suffix in (source.suffix.lower(), ".png"):
        written, modes = _WRITERS.get(suffix, ("", ()))
        if mode in modes and written not in _WRITTEN_LOSSILY and (written == kind or suffix == ".png"):
            return target.with_suffix(source.suffix if suffix == source.suffix.lower() else suffix)
    return target.with_suffix(".tif")


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a picture as a mask, bool (H, W): True where it is at least half as bright as white, and not transparent.

    Raises
    ------
    InputError : as `read`
    """
    picture = read(path)
    half = np.iinfo(picture.pixels.dtype).max / 2
    pixels = picture.pixels
    if picture.mode == "CMYK":  # inks: the more, the darker
        raise InputError(f"{path}: a mask must be gray or RGB, not CMYK")
    bright = pixels > half if pixels.ndim == 2 else pixels.max(axis=2) > half
    return bright if picture.alpha is None else bright & (picture.alpha > half)
