"""From files, their bytes and PIL images to pictures: upright, alpha apart, refused where it would not be exact."""

from __future__ import annotations

import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from deepix.errors import DeepixError, InputError, reason
from deepix.images import deep
from deepix.images.limits import MAX_PIXELS
from deepix.images.metadata import TURNS, collect, upright
from deepix.images.opening import Readable, opened, opened_image, read_whole
from deepix.images.types import Array, Picture, from_array

_LOSSY = frozenset({"AVIF", "BLP", "DDS", "FTEX", "HEIF", "JPEG", "JPEG2000", "JXL", "MPO", "PCD", "WEBP"})
"""Formats that are, or may be, lossy; WebP files are looked into."""

READ_AS = {
    **{"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBX": "RGB"},
    **{"RGBA": "RGBA", "RGBa": "RGBA", "YCbCr": "RGB", "CMYK": "CMYK"},
    **{"I": "I;16", "I;16": "I;16", "I;16L": "I;16", "I;16B": "I;16", "I;16N": "I;16"},
}
"""Pillow's modes that are read, and the mode of the picture; a declared transparency adds the A."""

_UNREAD = {"F": "floating-point pixels", "LAB": "Lab colours", "HSV": "HSV colours"}
"""What modes that are not read are called."""

ANIMATED = frozenset({"AVIF", "FLI", "GIF", "PNG", "WEBP"})
"""Formats whose further pictures are the frames of an animation; those of a TIFF or an MPO are pictures beside it."""


def load(
    image: str | os.PathLike[str] | bytes | Readable | Image.Image | Array,
    *,
    first_frame: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Return the picture in a file (by its name), a file's bytes, a file object, a PIL image or an array.

    Parameters
    ----------
    first_frame, max_pixels : as for `read`; they do not concern PIL images and arrays

    Raises
    ------
    InputError : the file, bytes or PIL image cannot be read
    ValueError : the array is not a picture, see `from_array`
    TypeError : anything else
    """
    if isinstance(image, str | os.PathLike):
        return read(image, first_frame=first_frame, max_pixels=max_pixels)
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, np.ndarray):
        return from_array(image)
    if isinstance(image, bytes):
        return read_stream(BytesIO(image), first_frame=first_frame, max_pixels=max_pixels)
    if hasattr(image, "read"):
        said = getattr(image, "name", None)
        name = said if isinstance(said, str) else "image data"
        return read_stream(image, name, first_frame=first_frame, max_pixels=max_pixels)
    raise TypeError(
        f"a picture is a file name, bytes, a file object, a PIL image or an array, not {type(image).__name__}"
    )


def read(path: str | os.PathLike[str], *, first_frame: bool = False, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file, in any format that Pillow decodes by itself or by an installed plugin (HEIC, JPEG XL).

    Bilevel pictures become gray and palettes become their colours; of a file with several pictures the first is
    read. PNG, TIFF and PPM are read with all their 16 bits; of other formats only what can be written back with the
    same pixels is read exactly: more bits are noted where the format is lossy, else refused, as are floating-point,
    Lab and 32-bit pictures. A JPEG without its end marker is read, with a note, if all its rows are there.

    Parameters
    ----------
    path : the file
    first_frame : of an animation, read the first frame; otherwise animations are refused (see `read_frames`)
    max_pixels : pictures with more pixels are refused before their memory is taken

    Raises
    ------
    InputError : the file is missing, unreadable, empty, cut off, no picture, of an unsupported kind, an animation,
        or too large
    """
    path = Path(path)
    with opened(path) as file:
        return replace(_decode(file, str(path), first_frame, max_pixels), path=path)


def read_stream(
    stream: Readable, name: str = "image data", *, first_frame: bool = False, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture from a file object, such as `sys.stdin.buffer`, to its end.

    Parameters
    ----------
    stream : gives bytes
    name : what messages call it
    first_frame, max_pixels : as for `read`

    Raises
    ------
    InputError : as `read`
    """
    return _decode(read_whole(stream, name), name, first_frame, max_pixels)


def _decode(file: IO[bytes], name: str, first_frame: bool, max_pixels: int) -> Picture:
    with opened_image(file, name, max_pixels) as (image, caught):
        if is_animation(image) and not first_frame:
            raise InputError(
                f"{name}: is an animation ({image.format}) of several frames; only its first is used with "
                "--first-frame (in Python: first_frame=True)"
            )
        frames = getattr(image, "n_frames", 1) if image.format != "PSD" else 1  # a PSD counts its layers
        picture = from_opened(image, name, file)
        lossy = _lossy_webp(file) if image.format == "WEBP" else picture.lossy
    several = (f"the file holds {frames} pictures; only the first is used",) if frames > 1 else ()
    warned = dict.fromkeys(f"while reading: {reason(w.message)}" for w in caught if w.category is UserWarning)
    return replace(picture, lossy=lossy, notes=(*several, *picture.notes, *warned))


def is_animation(image: Image.Image) -> bool:
    """Say whether an opened file holds the frames of an animation."""
    return image.format in ANIMATED and bool(getattr(image, "is_animated", False))


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
        picture = from_opened(image, name)
    except (DeepixError, MemoryError):
        raise
    except Exception as error:  # as for files; the limits are the caller's, who opened the file
        raise InputError(f"{name}: damaged or cut off ({reason(error)})") from error
    return replace(picture, path=Path(name) if filename else None)


def from_opened(image: Image.Image, name: str, file: IO[bytes] | None = None) -> Picture:
    """Return the picture that a PIL image shows, without a path.

    Parameters
    ----------
    image : not loaded yet, if it can be helped: loading forgets how the samples are stored
    name : what messages call it
    file : what the image was opened from, where that is still open

    Raises
    ------
    InputError : its kind is not supported; anything : its data cannot be decoded
    """
    notes: list[str] = []
    stored = stored_as(image)
    wide = deep.is_deep(stored, image.mode)
    # Pillow turns the pixels of a TIFF, but not its resolution, while it loads it
    turned = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation) in TURNS
    if file is not None:
        _check_depth(image, file, stored, name, notes)
    if file is None or not wide:
        image = _loaded(image, file, name, notes)
        if wide:
            notes.append("16 bits per channel are read as 8, which changes all pixels; open the file with Deepix")
        transpose, exif, turns = upright(image, notes)
        pixels, mode = _pixels(transpose(image), stored, name, notes)
    else:
        assert isinstance(image, ImageFile.ImageFile)  # it has come from a file
        pixels, mode, exif, turns = _deep(image, file, stored, name, notes)
    alpha = None
    if mode in ("LA", "RGBA"):
        alpha = pixels[..., -1]
        pixels = pixels[..., 0] if mode == "LA" else pixels[..., :-1]
    metadata = collect(image, exif, turned or turns)
    key = image.info.get("transparency")
    if key is not None and alpha is None and image.mode in ("1", "L", "RGB"):
        alpha = np.where(_is_key(pixels, key, stored), 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
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
        quantization=_quantization(image),
    )


def _quantization(image: Image.Image) -> dict[int, tuple[int, ...]] | None:
    if image.format not in ("JPEG", "MPO"):
        return None
    return {key: tuple(table) for key, table in getattr(image, "quantization", {}).items()}


def _loaded(image: Image.Image, file: IO[bytes] | None, name: str, notes: list[str]) -> Image.Image:
    """Decode the image; return it, or that of a JPEG file to which its end marker has been given."""
    try:
        image.load()
        return image
    except OSError as error:
        if file is None or image.format != "JPEG" or "truncated" not in str(error):
            raise
    from deepix.images import jpeg  # few files are damaged

    file.seek(0)
    ended = jpeg.ended(file.read())
    if ended is None:
        raise InputError(f"{name}: cut off: rows of the picture are missing")
    notes.append("the file ends before its end marker; all rows of the picture are there")
    image = Image.open(BytesIO(ended))
    image.load()
    return image


def _check_depth(image: Image.Image, file: IO[bytes], stored: str, name: str, notes: list[str]) -> None:
    """Note that samples lose bits in a lossy format; InputError where Pillow would lose them from any other."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "CMYK", "LA", "L"):
        return
    place = file.tell()
    bits = _bits(image, file)
    file.seek(place)
    if image.format in ("AVIF", "HEIF") and bits > 8:
        notes.append(f"{bits} bits per channel are read as 8, as the file is lossy in any case")
    elif bits > 8 and not deep.is_deep(stored, image.mode):
        raise InputError(
            f"{name}: a {image.format} with {bits} bits per channel of a kind that is not supported; "
            "save it as 16-bit PNG, or as TIFF with its channels side by side, first"
        )
    elif deep.is_deep(stored, image.mode) and image.format not in ("PNG", "TIFF", "PPM"):
        raise InputError(
            f"{name}: {image.format} files with 16 bits per channel are not supported; save it as 16-bit PNG first"
        )


def _bits(image: Image.Image, file: IO[bytes]) -> int:
    """Return how many bits a sample of the file has, where its format may have more than Pillow says."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(258) or (1,))
    if image.format not in ("AVIF", "JPEG2000", "SGI"):
        return 8
    file.seek(0)
    beginning = file.read(1 << 16)
    if image.format == "SGI":
        return 8 * beginning[3]
    if image.format == "AVIF":  # the box av1C: version, profile and level, flags (AV1 in ISOBMFF §2.3)
        at = beginning.find(b"av1C")
        flags = beginning[at + 6] if 0 <= at < len(beginning) - 6 else 0
        return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    at = beginning.find(b"\xff\x4f\xff\x51")  # SOC and SIZ, and there Ssiz of each component (T.800 §A.5.1)
    count = int.from_bytes(beginning[at + 40 : at + 42])
    depths = beginning[at + 42 : at + 42 + 3 * count : 3] if at >= 0 else b""
    return max(((d & 0x7F) + 1 for d in depths), default=8)


def _deep(
    image: ImageFile.ImageFile, file: IO[bytes], stored: str, name: str, notes: list[str]
) -> tuple[Array, str, bytes | None, bool]:
    """Return uint16 samples, alpha last, their mode, and `upright`'s EXIF data and whether sides change places."""
    if image.format == "PPM":
        _, exif, turns = upright(image, notes)
        return deep.read_ppm(image, file, name), "RGB", exif, turns
    if stored.startswith("RGBa"):
        image.tile = deep.retold(image, stored.replace("RGBa", "RGBA"))
    image.load()
    low = deep.low_bytes(file, stored)
    low.load()
    transpose, exif, turns = upright(image, notes)
    samples = deep.whole(np.asarray(transpose(image)), np.asarray(transpose(low)), stored)
    if stored.startswith("RGBa"):
        samples = deep.straight(samples)
        notes.append("the colours were divided by the alpha that they had been multiplied by")
    return samples, "LA" if stored == "LA;16B" else image.mode, exif, turns


def stored_as(image: Image.Image) -> str:
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
    elif ";16" in stored and pixels.dtype == np.uint8:  # both are cut to 8 bits
        value = value >> 8
    same: NDArray[np.bool_] = np.equal(pixels, value)
    return same if same.ndim == 2 else np.all(same, axis=2)
