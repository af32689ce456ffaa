"""What a file says beside the pixels: EXIF, ICC profile, XMP, texts, resolution; kept, and kept true."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from operator import methodcaller
from typing import Any

from PIL import ExifTags, Image

from deepix.errors import reason

_STORAGE_TAGS = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 282), 284, *range(288, 294), 297, 301, 317}
    | {*range(320, 326), 330, *range(338, 348), *range(512, 522), *range(529, 533), 700, 33723, 34377, 34675}
)
"""TIFF and EXIF tags that tell how *that* file stored its pixels (TIFF 6.0: sizes, strips, tiles, tables,
orientation), and the blocks that have a place of their own (XMP, ICC) or are not kept (IPTC, Photoshop's)."""

IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
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

TURNS = (5, 6, 7, 8)
"""The EXIF orientations that exchange width and height."""


def upright(image: Image.Image, notes: list[str]) -> tuple[Callable[[Image.Image], Image.Image], bytes | None, bool]:
    """Return what applies the EXIF orientation, EXIF data to keep, and whether width and height change places.

    The parsers raise anything on bad data; that costs the EXIF data, not the picture.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception as error:
        notes.append(f"the EXIF data is damaged and was dropped ({reason(error)})")
        return _as_it_is, None, False
    kept: bytes | None = None
    try:
        data = image.info.get("exif")
        if data is None:
            kept = _described(exif)
        else:
            patched = _patched(data, orientation in TURNS)
            without_storage(parsed(patched))  # raises now what would otherwise hinder writing
            kept = patched
    except MemoryError:
        raise
    except Exception as error:
        notes.append(f"the EXIF data is damaged and was dropped ({reason(error)})")
    method = _UPRIGHT.get(orientation)
    if method is None:
        return _as_it_is, kept, False
    return methodcaller("transpose", method), kept, orientation in TURNS


def _as_it_is(image: Image.Image) -> Image.Image:
    return image


def collect(image: Image.Image, exif: bytes | None, turned: bool) -> dict[str, Any]:
    """Return `Picture.metadata` of an image, with EXIF data from `upright`, and whether its sides changed places."""
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
    described = without_storage(exif)
    return described.tobytes() if len(described) else None


def parsed(data: bytes) -> Image.Exif:
    """Return EXIF data as Pillow parses it; raises anything if it is damaged."""
    exif = Image.Exif()
    exif.load(data)
    return exif


def without_storage(exif: Image.Exif) -> Image.Exif:
    """Return the tags that do not tell how their own file stored its pixels, text as bytes."""
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in exif:
        if tag not in _STORAGE_TAGS:
            kept[tag] = _bytes(exif.get_ifd(tag) if tag in IFDS else exif[tag])
    return kept


def _bytes(value: Any) -> Any:
    """Return text as the bytes it was read from: Pillow reads Latin-1, but would write anything but ASCII as "?"."""
    if isinstance(value, dict):
        return {key: _bytes(item) for key, item in value.items()}
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value
