"""Pictures of every mode, and files made by hand, for the tests of `deepix.images`."""

from __future__ import annotations

import struct
import zlib
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageCms

from deepix import images
from deepix.errors import DeepixError

SHAPES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,), "I;16": ()}
SHAPES |= {f"{mode};16": SHAPES[mode] for mode in ("LA", "RGB", "RGBA", "CMYK")}


def samples(mode: str, size: tuple[int, int] = (13, 11), seed: int = 0) -> np.ndarray:
    """Random samples (H, W[, C]) of a mode, with alpha values from 0 to 255."""
    width, height = size
    rng = np.random.default_rng(seed)
    if mode.endswith(";16"):
        return rng.integers(0, 65536, (height, width, *SHAPES[mode]), dtype=np.uint16)
    return rng.integers(0, 256, (height, width, *SHAPES[mode]), dtype=np.uint8)


def pil(mode: str, size: tuple[int, int] = (13, 11), seed: int = 0) -> Image.Image:
    return Image.frombytes(mode, size, samples(mode, size, seed).tobytes())


def picture(mode: str = "RGB", size: tuple[int, int] = (13, 11), **fields: object) -> images.Picture:
    if mode == "CMYK;16":
        return images.Picture(samples(mode, size), None, "CMYK", **fields)
    plain = images.from_array(samples(mode, size)) if mode.endswith(";16") else images.from_pil(pil(mode, size))
    return images.Picture(**{**vars(plain), **fields})


def one_line(error: pytest.ExceptionInfo[DeepixError], name: object) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{name}: ")
    return text


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand, for the kinds that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    body = b"".join(chunk(*c) for c in ((b"IHDR", header), *chunks, (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + body


def exif_block(orientation: int, order: str = "<", thumbnail: bytes = b"\xff\xd8THUMB\xff\xd9") -> bytes:
    """EXIF data as a camera writes it: a maker note with an offset from the block's start, and a thumbnail."""
    note = b"MAKER" + struct.pack(order + "L", 0xDEADBEEF) + b"\x80\xff"

    def directory(start: int, entries: list[tuple[int, int, int, bytes | int]], follower: int) -> bytes:
        head, extra = struct.pack(order + "H", len(entries)), b""
        place = start + 2 + 12 * len(entries) + 4
        for tag, kind, count, value in entries:
            head += struct.pack(order + "HHL", tag, kind, count)
            if isinstance(value, int):
                head += struct.pack(order + ("HH" if kind == 3 else "L"), *((value, 0) if kind == 3 else (value,)))
            else:
                head += struct.pack(order + "L", place + len(extra))
                extra += value
        return head + struct.pack(order + "L", follower) + extra

    artist = "Jörg Müller\0".encode()
    ratio = [struct.pack(order + "LL", v, 1) for v in (300, 150)]
    second, details = 400, 200
    main = directory(
        8,
        [
            (256, 4, 1, 60),
            (257, 4, 1, 40),
            (274, 3, 1, orientation),
            (282, 5, 1, ratio[0]),
            (283, 5, 1, ratio[1]),
            (315, 2, len(artist), artist),
            (0x8769, 4, 1, details),
        ],
        second,
    )
    inner = directory(
        details,
        [(0x927C, 7, len(note), note), (0xA002, 4, 1, 60), (0xA003, 3, 1, 40), (0xFDE8, 2, 6, b"odd\xe9!\0")],
        0,
    )
    small = directory(second, [(513, 4, 1, 500), (514, 4, 1, len(thumbnail))], 0)
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    for offset, part in ((8, main), (details, inner), (second, small), (500, thumbnail)):
        assert len(block) <= offset
        block = block.ljust(offset, b"\0") + part
    return b"Exif\0\0" + block


@cache
def srgb() -> bytes:
    """A profile, the same at every call: it holds the time when it was made."""
    profile: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile
