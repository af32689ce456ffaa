"""From pictures to files, whole or not at all, in the format that the suffix names; and to PIL images."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from deepix import files
from deepix.errors import OutputError, reason
from deepix.images.decoding import READ_AS, decoder, opened, pillow_lock
from deepix.images.discover import Found
from deepix.images.metadata import IFDS, parsed, without_storage
from deepix.images.types import Picture, to_array

if TYPE_CHECKING:
    from PIL import PngImagePlugin, TiffImagePlugin

QUALITY = 95
"""The default quality of lossy formats."""

_WIDER = {"L": "RGB", "LA": "RGBA"}
"""The mode that holds the same colours exactly, for formats without gray."""

WRITERS: dict[str, tuple[str, tuple[str, ...]]] = {
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
    if path.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
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
    return tuple(WRITERS)


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
    with opened(source) as file, decoder(str(source)), Image.open(file) as image:
        kind, mode = image.format, READ_AS.get(image.mode, image.mode)
        if mode in ("L", "RGB") and image.has_transparency_data:
            mode += "A"
    for suffix in (source.suffix.lower(), ".png"):
        written, modes = WRITERS.get(suffix, ("", ()))
        if mode in modes and written not in _WRITTEN_LOSSILY and (written == kind or suffix == ".png"):
            return target.with_suffix(source.suffix if suffix == source.suffix.lower() else suffix)
    return target.with_suffix(".tif")


def _writer(picture: Picture, path: Path) -> tuple[str, str]:
    """Return the format and the mode that hold the picture; OutputError if the suffix's format does not."""
    suffix = path.suffix.lower()
    if picture.pixels.dtype == np.uint16 and picture.mode != "I;16":
        raise OutputError(f"{path}: 16-bit colour and 16-bit gray with alpha cannot be written; convert to 8 bits")
    kind, modes = WRITERS[suffix]
    if "transparency" in picture.metadata and kind != "PNG":
        raise OutputError(f"{path}: 16-bit gray with transparency is written to .png only")
    opaque = picture.alpha is not None and bool((picture.alpha == 255).all())
    for mode in (picture.mode, picture.mode.removesuffix("A") if opaque else picture.mode):
        for held in (mode, _WIDER.get(mode, mode)):
            if held in modes:
                return kind, held
    what = {"CMYK": "CMYK colours", "I;16": "16 bits per pixel", "RGB": "colours"}.get(picture.mode, "transparency")
    others = ", ".join(s for s, (_, held) in WRITERS.items() if picture.mode in held)
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
        if any(tag in tags for tag in IFDS):
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
        with pillow_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # entries that Pillow cannot read are left out
            described = dict(without_storage(parsed(metadata["exif"])))
        for tag, value in described.items():
            tags[tag] = value
    if "xmp" in metadata:
        tags[ExifTags.Base.XMLPacket] = metadata["xmp"]
    return tags
