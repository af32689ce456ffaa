"""From pictures to files, whole or not at all, in the format that the suffix names; and to PIL images."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from deepix import files
from deepix.errors import OutputError, reason
from deepix.images import deep
from deepix.images.decoding import READ_AS
from deepix.images.discover import Found
from deepix.images.limits import MAX_PIXELS
from deepix.images.metadata import IFDS, parsed, without_storage
from deepix.images.opening import opened, opened_image, pillow_lock
from deepix.images.types import Array, Picture, to_array

if TYPE_CHECKING:
    from PIL import PngImagePlugin, TiffImagePlugin

QUALITY = 95
"""The default quality of lossy formats."""

_WIDER = {"L": "RGB", "LA": "RGBA", "LA;16": "RGBA;16"}
"""The mode that holds the same colours exactly, for formats without gray."""

_WITHOUT_ALPHA = {"LA": "L", "RGBA": "RGB", "LA;16": "I;16", "RGBA;16": "RGB;16"}

WRITERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".png": ("PNG", ("L", "LA", "RGB", "RGBA", "I;16", "LA;16", "RGB;16", "RGBA;16")),
    ".tif": ("TIFF", ("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "RGB;16", "RGBA;16", "CMYK;16")),
    ".tiff": ("TIFF", ("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "RGB;16", "RGBA;16", "CMYK;16")),
    ".webp": ("WEBP", ("RGB", "RGBA")),
    ".bmp": ("BMP", ("L", "RGB")),
    ".tga": ("TGA", ("L", "LA", "RGB", "RGBA")),
    ".jp2": ("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16")),
    ".j2k": ("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16")),
    ".qoi": ("QOI", ("RGB", "RGBA")),
    ".pgm": ("PPM", ("L", "I;16")),
    ".ppm": ("PPM", ("RGB", "RGB;16")),
    ".pnm": ("PPM", ("L", "RGB", "I;16", "RGB;16")),
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
    ValueError : 16-bit colour or 16-bit gray with alpha, which Pillow has no mode for (`write` keeps them)
    """
    if picture.pixels.dtype == np.uint16 and picture.mode != "I;16":
        raise ValueError("Pillow holds 16 bits for gray without alpha only: save the picture, or use its pixels")
    height, width = picture.pixels.shape[:2]
    data = picture.pixels if picture.alpha is None else to_array(picture)
    data = np.ascontiguousarray(data, "<u2" if picture.mode == "I;16" else np.uint8)
    image = Image.frombytes(picture.mode, (width, height), data)
    image.info.update(picture.metadata)
    return image


def preview(picture: Picture) -> Image.Image:
    """Return a PIL image to look at: as `to_pil`, but the upper 8 bits of 16-bit colour, as Pillow has no mode."""
    if picture.pixels.dtype != np.uint16 or picture.mode == "I;16":
        return to_pil(picture)
    alpha = None if picture.alpha is None else _upper_bits(picture.alpha)
    return to_pil(replace(picture, pixels=_upper_bits(picture.pixels), alpha=alpha, metadata={}))


def _upper_bits(values: Array) -> Array:
    return (values >> 8).astype(np.uint8)


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
    check_suffix(path.suffix, str(path))


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
    out where the format has none. IPTC blocks and thumbnails are not kept. The file may be read and changed by the
    group and by others only as far as the source may (`source`, else `picture.path`), and never more than usual.

    Parameters
    ----------
    picture : what to write
    path : where; the suffix, in any case, is one of `writable_suffixes`
    overwrite : replace an existing file, but never `picture.path` or `source`
    quality : of JPEG and AVIF, 1 … 100; colours are not subsampled
    source : another file that must not be replaced: the one that the picture was made from

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
    data = _encode(picture, path.suffix.lower(), str(path), quality)
    store(data, path, overwrite, source or picture.path)


def store(data: bytes, path: Path, overwrite: bool, source: str | os.PathLike[str] | None) -> None:
    """Write a file as `files.write_bytes` does, with permissions no wider than those of the file that it comes from.

    Raises
    ------
    OutputError : as `files.write_bytes`
    """
    try:
        permissions = 0o666 if source is None else Path(source).stat().st_mode & 0o066 | 0o600
    except (OSError, ValueError):  # it is there no more, or was never a file
        permissions = 0o666
    files.write_bytes(path, data, overwrite=overwrite, permissions=permissions)


def encode(picture: Picture, suffix: str = ".png", *, quality: int = QUALITY, name: str = "output") -> bytes:
    """Return a picture as the bytes of a file, as `write` would write it; for standard output, for instance.

    Parameters
    ----------
    picture : what to encode
    suffix : of the format, in any case, one of `writable_suffixes`
    quality : of JPEG and AVIF, 1 … 100
    name : what messages call it

    Raises
    ------
    OutputError : there is no such format, it cannot hold the picture, or the picture cannot be encoded
    ValueError : quality is out of range
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, not {quality}")
    check_suffix(suffix, name)
    return _encode(picture, suffix.lower(), name, quality)


def check_suffix(suffix: str, name: str, known: Iterable[str] = WRITERS) -> None:
    """Raise OutputError if no format, of those known, is written with this suffix."""
    if suffix.lower() not in known:
        raise OutputError(f"{name}: no picture format is written as '{suffix}'; use one of {', '.join(known)}")


def writable_suffixes() -> tuple[str, ...]:
    """Return the suffixes that `write` knows, in lower case, with their dots."""
    return tuple(WRITERS)


def default_output(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """Return the name under which the source, once restored, is written without loss.

    The suffix stays if its format is the file's and can hold the picture losslessly; otherwise it becomes
    .png (JPEG, AVIF, GIF, …), or .tif where a PNG could not hold the picture (CMYK).

    Parameters
    ----------
    source : a picture file; its beginning is read
    target : the name wanted, whose suffix is exchanged; the source's with `MARKER` if None
    max_pixels : as for `read`

    Raises
    ------
    InputError : as `read`, as far as the beginning tells
    """
    source = Path(source)
    target = Found(source, Path(source.name)).beside if target is None else Path(target)
    with opened(source) as file, opened_image(file, str(source), max_pixels) as (image, _):
        kind, mode = image.format, READ_AS.get(image.mode, image.mode)
        if mode in ("L", "RGB") and image.has_transparency_data:
            mode += "A"
    for suffix in (source.suffix.lower(), ".png"):
        written, modes = WRITERS.get(suffix, ("", ()))
        if mode in modes and written not in _WRITTEN_LOSSILY and (written == kind or suffix == ".png"):
            return target.with_suffix(source.suffix if suffix == source.suffix.lower() else suffix)
    return target.with_suffix(".tif")


def _mode(picture: Picture) -> str:
    """Return the picture's mode as it stands in `WRITERS`."""
    wide = picture.pixels.dtype == np.uint16 and picture.mode != "I;16"
    return picture.mode + deep.SUFFIX if wide else picture.mode


def _writer(picture: Picture, suffix: str, name: str) -> tuple[str, str]:
    """Return the format and the mode that hold the picture; OutputError if the suffix's format does not."""
    kind, modes = WRITERS[suffix]
    mode = _mode(picture)
    if "transparency" in picture.metadata and kind != "PNG":
        raise OutputError(f"{name}: 16-bit gray with transparency is written to .png only")
    opaque = picture.alpha is not None and bool((picture.alpha == np.iinfo(picture.alpha.dtype).max).all())
    for candidate in (mode, _WITHOUT_ALPHA.get(mode, mode) if opaque else mode):
        for held in (candidate, _WIDER.get(candidate, candidate)):
            if held in modes:
                return kind, held
    what = {"CMYK": "CMYK colours", "I;16": "16 bits per pixel", "RGB": "colours"}.get(mode, "transparency")
    what = "16 bits per channel" if mode != "I;16" and mode.endswith(deep.SUFFIX) else what
    others = ", ".join(s for s, (_, held) in WRITERS.items() if mode in held)
    raise OutputError(f"{name}: {kind} files ({suffix}) are not written with {what}; use one of {others}")


def _encode(picture: Picture, suffix: str, name: str, quality: int) -> bytes:
    kind, mode = _writer(picture, suffix, name)
    if picture.alpha is not None and "A" not in mode:  # opaque, in a format without alpha
        left = _WITHOUT_ALPHA[_mode(picture)]
        picture = replace(picture, alpha=None, mode="RGB" if left == "RGB;16" else left)
    buffer = BytesIO()
    options = _options(picture, kind, mode, suffix, quality)
    try:
        if mode != "I;16" and mode.endswith(deep.SUFFIX):
            return _encode_deep(picture, kind, mode.removesuffix(deep.SUFFIX), options)
        image = to_pil(replace(picture, metadata={}))  # with info, the writers would act on it unasked
        if image.mode != mode:
            image = image.convert(mode)
        image.save(buffer, kind, **options)
    except MemoryError:
        raise
    except Exception as error:  # encoders raise anything: a side that is too long, metadata that is too large
        raise OutputError(f"{name}: cannot be encoded as {kind} ({reason(error)})") from error
    return buffer.getvalue()


def _encode_deep(picture: Picture, kind: str, mode: str, options: dict[str, Any]) -> bytes:
    """Return the file of a picture with 16 bits per channel."""
    samples = to_array(picture)
    if mode == "RGBA" and picture.mode == "LA":
        samples = samples[..., [0, 0, 0, 1]]

    def save(image: Image.Image, buffer: BytesIO) -> None:
        image.save(buffer, kind, **options)

    if kind == "PPM":
        return deep.encode_ppm(samples)
    if kind == "PNG":
        return deep.encode_png(samples, mode, PNG_LEVEL, save)
    return deep.encode_tiff(samples, mode, options["compression"] == "raw", save)


def _options(picture: Picture, kind: str, mode: str, suffix: str, quality: int) -> dict[str, Any]:
    """Return what Pillow's `save` of this format needs to keep the metadata and the pixels."""
    options = _kept(picture, kind, mode)
    metadata = picture.metadata
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
        options |= {"irreversible": False, "no_jp2": suffix == ".j2k"}
    elif kind in _WRITTEN_LOSSILY:
        options |= {"quality": quality, "subsampling": "4:4:4"}
    return options


def _kept(picture: Picture, kind: str, mode: str) -> dict[str, Any]:
    """Return those of the options that keep the metadata, where all formats name them alike."""
    metadata = picture.metadata
    options: dict[str, Any] = {}
    profile = metadata.get("icc_profile")
    widened = mode.startswith("RGB") and not picture.mode.startswith("RGB")
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
    return options


def animation_options(first: Picture, kind: str, mode: str) -> dict[str, Any]:
    """Return what Pillow's `save` of an animation needs besides its frames, to keep the first one's metadata."""
    return _options(first, kind, mode, "", QUALITY)


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
