"""Colours of 16 bits per channel, which Pillow decodes and encodes with all else of a file, but holds with 8 bits.

Its decoders unpack the samples of a row of bytes as they are told: told that the bytes of each sample lie the other way
round, they give the low bytes where they gave the high ones. Two passes over the file make the whole samples:

    high = decoded as the file says,  low = decoded with the other byte order,  sample = 256 · high + low

The other way, a TIFF is written with rows of bytes, twice as many as samples, and then told how wide they are; and
a PNG's rows are compressed here and put into a file whose other chunks Pillow has made.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from deepix.errors import InputError

Samples = NDArray[np.uint16]

SUFFIX = ";16"
"""What follows the mode of a picture whose samples have 16 bits, where formats are told by modes."""

_OTHER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}

_PNG_COLOURS = {"LA": 4, "RGB": 2, "RGBA": 6}
"""PNG's colour types (ISO/IEC 15948 §11.2.2)."""

_BAND = 64
"""Rows of a PNG that are filtered at a time."""


def is_deep(stored: str, mode: str) -> bool:
    """Say whether samples are stored with 16 bits and more than one channel, in Pillow's words for both."""
    return SUFFIX in stored and mode in ("RGB", "RGBA", "CMYK")


def low_bytes(file: IO[bytes], stored: str) -> ImageFile.ImageFile:
    """Open the picture once more, so that it decodes to the low bytes where the samples' high ones would be.

    Gray with alpha ("LA;16B") decodes to all four bytes of a pixel instead.
    """
    file.seek(0)
    image = Image.open(file)
    other = "RGBA" if stored == "LA;16B" else stored.replace("RGBa", "RGBA")
    other = other[:-3] + _OTHER[other[-3:]] if SUFFIX in other else other
    image.tile = retold(image, other)
    return image


def retold(image: ImageFile.ImageFile, stored: str) -> list[Any]:
    """Return the image's tiles with another word for how their samples are stored."""
    return [t._replace(args=(stored, *t.args[1:]) if isinstance(t.args, tuple) else stored) for t in image.tile]


def whole(high: NDArray[Any], low: NDArray[Any], stored: str) -> Samples:
    """Return uint16 samples, alpha last, of the two passes.

    Parameters
    ----------
    high, low : uint8 (H, W, C)
    stored : as `is_deep`
    """
    if stored == "LA;16B":
        high, low = low[..., 0::2], low[..., 1::2]
    samples: Samples = high.astype(np.uint16) << 8 | low
    return samples


def straight(samples: Samples) -> Samples:
    """Divide colours by the alpha that they were multiplied by; (H, W, 4), exact where it is opaque."""
    alpha = samples[..., 3:].astype(np.uint64)
    colours = (samples[..., :3].astype(np.uint64) * 65535 + alpha // 2) // np.maximum(alpha, 1)
    return np.dstack([np.minimum(colours, 65535).astype(np.uint16), samples[..., 3]])


def read_ppm(image: ImageFile.ImageFile, file: IO[bytes], name: str) -> Samples:
    """Return the samples (H, W, 3) of a PPM with more than 8 bits, which Pillow would scale to 8."""
    (tile,) = image.tile
    arguments = tile.args
    if tile.codec_name != "ppm" or not isinstance(arguments, tuple):
        raise InputError(f"{name}: 16-bit colours as text (P3) are not supported; save it as 16-bit PNG or TIFF first")
    largest, size = int(arguments[-1]), 6 * image.width * image.height
    file.seek(tile.offset)
    data = file.read(size)
    if len(data) < size:
        raise InputError(f"{name}: damaged or cut off ({size - len(data)} bytes are missing)")
    samples = np.frombuffer(data, ">u2").reshape(image.height, image.width, 3)
    if samples.max() > largest:
        raise InputError(f"{name}: damaged (a sample is larger than {largest}, the largest that it announces)")
    if largest == 65535:
        return samples.astype(np.uint16)
    return ((samples.astype(np.uint32) * 65535 + largest // 2) // largest).astype(np.uint16)


def encode_ppm(samples: Samples) -> bytes:
    """Return a PPM of 16-bit colours (H, W, 3)."""
    return b"P6 %d %d 65535\n" % (samples.shape[1], samples.shape[0]) + samples.astype(">u2").tobytes()


def encode_png(samples: Samples, mode: str, level: int, save: Callable[[Image.Image, BytesIO], None]) -> bytes:
    """Return a PNG of 16-bit samples.

    Parameters
    ----------
    samples : (H, W, C)
    mode : "LA", "RGB" or "RGBA"
    level : zlib's
    save : writes a PIL image as a PNG with all other chunks that the file is to have
    """
    buffer = BytesIO()
    save(Image.new(mode, (1, 1)), buffer)
    made = buffer.getvalue()
    height, width = samples.shape[:2]
    header = struct.pack(">LLBBBBB", width, height, 16, _PNG_COLOURS[mode], 0, 0, 0)
    result, at, written = [made[:8]], 8, False
    while at < len(made):
        (length,) = struct.unpack_from(">L", made, at)
        kind = made[at + 4 : at + 8]
        if kind == b"IHDR":
            result.append(_chunk(kind, header))
        elif kind != b"IDAT":
            result.append(made[at : at + 12 + length])
        elif not written:
            result.append(_chunk(kind, _compressed(samples, level)))
            written = True
        at += 12 + length
    return b"".join(result)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _compressed(samples: Samples, level: int) -> bytes:
    """Return PNG's compressed rows, each with the filter (none, Sub or Up) of the smallest sum of its bytes (§12.7)."""
    height, width, channels = samples.shape
    compressor = zlib.compressobj(level)
    result = []
    above = np.zeros((1, width * channels * 2), np.uint8)
    for top in range(0, height, _BAND):
        rows = samples[top : top + _BAND].astype(">u2").reshape(-1, width * channels).view(np.uint8)
        left = np.pad(rows, ((0, 0), (2 * channels, 0)))[:, : rows.shape[1]]
        candidates = np.stack([rows, rows - left, rows - np.vstack([above, rows[:-1]])])
        cost = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
        choice = cost.argmin(axis=0)
        filtered = candidates[choice, np.arange(len(rows))]
        result.append(compressor.compress(np.column_stack([choice.astype(np.uint8), filtered]).tobytes()))
        above = rows[-1:]
    return b"".join([*result, compressor.flush()])


def encode_tiff(samples: Samples, mode: str, raw: bool, save: Callable[[Image.Image, BytesIO], None]) -> bytes:
    """Return a TIFF of 16-bit samples.

    Parameters
    ----------
    samples : (H, W, C)
    mode : "RGB", "RGBA" or "CMYK"
    raw : the file is not compressed: then Pillow writes it little-endian, else libtiff in the machine's byte order
    save : writes a PIL image as a TIFF with all tags that the file is to have
    """
    height, width = samples.shape[:2]
    data = np.ascontiguousarray(samples, "<u2" if raw else "=u2")
    buffer = BytesIO()
    save(Image.frombytes(mode, (2 * width, height), data.data), buffer)
    made = bytearray(buffer.getvalue())
    order = {b"II": "<", b"MM": ">"}[bytes(made[:2])]
    (directory,) = struct.unpack_from(f"{order}L", made, 4)
    (count,) = struct.unpack_from(f"{order}H", made, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHL", made, entry)
        if tag == 256:  # ImageWidth
            struct.pack_into(f"{order}{'H' if kind == 3 else 'L'}", made, entry + 8, width)
        elif tag == 258:  # BitsPerSample
            (place,) = struct.unpack_from(f"{order}L", made, entry + 8)
            struct.pack_into(f"{order}{number}H", made, place, *[16] * number)
    return bytes(made)
