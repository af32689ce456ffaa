"""Pictures come back from files as they went in, and what cannot is refused in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import stat
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, ImageFile, PngImagePlugin
from skimage import data

from deepix import files, images
from deepix.errors import DeepixError, InputError, OutputError

SHAPES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,), "I;16": ()}
LOSSLESS = [
    (suffix, mode)
    for suffix, (kind, modes) in images._WRITERS.items()
    if kind not in ("JPEG", "AVIF")
    for mode in modes
]


def samples(mode: str, size: tuple[int, int] = (13, 11), seed: int = 0) -> np.ndarray:
    """Random samples (H, W[, C]) of a mode, with alpha values from 0 to 255."""
    width, height = size
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return rng.integers(0, 65536, (height, width), dtype=np.uint16)
    return rng.integers(0, 256, (height, width, *SHAPES[mode]), dtype=np.uint8)


def pil(mode: str, size: tuple[int, int] = (13, 11), seed: int = 0) -> Image.Image:
    return Image.frombytes(mode, size, samples(mode, size, seed).tobytes())


def picture(mode: str = "RGB", size: tuple[int, int] = (13, 11), **fields: object) -> images.Picture:
    return images.Picture(**{**vars(images.from_pil(pil(mode, size))), **fields})


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


# --- what goes in comes back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "mode"), LOSSLESS)
def test_every_lossless_format_gives_back_every_mode(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    before = picture(mode)
    images.write(before, path)
    after = images.read(path)
    assert after.mode == mode
    assert after.pixels.dtype == before.pixels.dtype
    assert np.array_equal(images.to_array(after), samples(mode))
    assert after.notes == ()
    assert after.path == path
    assert after.lossy == (suffix in (".jp2", ".j2k"))  # JPEG 2000 does not tell
    assert Image.open(path).format == images._WRITERS[suffix][0]


@pytest.mark.parametrize(("suffix", "mode"), [(".webp", "L"), (".webp", "LA"), (".qoi", "L"), (".ppm", "L")])
def test_gray_is_widened_for_formats_without_it(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a{suffix}"
    images.write(picture(mode), path)
    after = images.read(path)
    gray = samples(mode).reshape(11, 13, -1)
    assert all(np.array_equal(after.pixels[..., c], gray[..., 0]) for c in range(3))
    assert after.alpha is None if mode == "L" else np.array_equal(after.alpha, gray[..., 1])


@settings(max_examples=30)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
            lambda s: st.sampled_from([s, (*s, 1), (*s, 2), (*s, 3), (*s, 4)])
        ),
    )
)
def test_arrays_come_back(array: np.ndarray) -> None:
    p = images.from_array(array)
    assert np.array_equal(images.to_array(p), array[..., 0] if array.shape[2:] == (1,) else array)
    assert images.to_array(p).dtype == array.dtype
    if array.dtype == np.uint16 and p.mode != "I;16":
        with pytest.raises(ValueError, match="16 bits"):
            images.to_pil(p)
    else:
        again = images.from_pil(images.to_pil(p))
        assert again.mode == p.mode
        assert np.array_equal(images.to_array(again), images.to_array(p))


def test_arrays_of_the_other_byte_order_and_layout() -> None:
    array = samples("I;16")
    assert np.array_equal(images.from_array(array.astype(">u2")).pixels, array)
    assert images.from_array(array.astype(">u2")).pixels.dtype == np.uint16
    colour = samples("RGB")
    assert np.array_equal(images.from_array(colour[::-1, ::2]).pixels, colour[::-1, ::2])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4), bool),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), np.uint32),
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"array must be|must have pixels"):
        images.from_array(array)


def test_load_takes_paths_bytes_images_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    images.write(picture(), path)
    kinds = [path, str(path), path.read_bytes(), Image.open(path), samples("RGB")]
    assert all(np.array_equal(images.load(kind).pixels, samples("RGB")) for kind in kinds)
    assert images.load(Image.open(path)).path == path
    with pytest.raises(TypeError, match="not list"):
        images.load([[1]])  # type: ignore[arg-type]


def test_an_input_image_is_not_changed() -> None:
    image = pil("RGB")
    image.info["dpi"] = (30, 40)
    exif = Image.Exif()
    exif[274] = 6
    image.info["exif"] = exif.tobytes()
    before, info = image.tobytes(), dict(image.info)
    images.from_pil(image)
    assert image.tobytes() == before
    assert image.info == info


def test_a_photo_comes_back(tmp_path: Path) -> None:
    photo = data.chelsea()
    images.write(images.from_array(photo), tmp_path / "a.webp")
    assert np.array_equal(images.read(tmp_path / "a.webp").pixels, photo)


def test_with_pixels_keeps_the_kind() -> None:
    p = picture("RGBA", metadata={"dpi": (10.0, 10.0)})
    changed = p.with_pixels(255 - p.pixels)
    assert np.array_equal(changed.pixels, 255 - p.pixels)
    assert changed.alpha is p.alpha
    assert changed.metadata == p.metadata
    for other in (p.pixels[1:], p.pixels.astype(np.uint16), p.pixels[..., 0]):
        with pytest.raises(ValueError, match="the new pixels are"):
            p.with_pixels(other)


# --- modes ----------------------------------------------------------------------------------------------------


def test_bilevel_becomes_gray(tmp_path: Path) -> None:
    image = pil("L").point(lambda v: 255 * (v > 127), mode="1")
    image.save(tmp_path / "a.png")
    p = images.read(tmp_path / "a.png")
    assert p.mode == "L"
    assert np.array_equal(p.pixels, 255 * (samples("L") > 127))


@pytest.mark.parametrize("suffix", ["png", "gif", "tiff", "bmp"])
def test_palettes_become_their_exact_colours(tmp_path: Path, suffix: str) -> None:
    indices, colours = samples("L", seed=1), samples("RGB", (256, 1), 2)[0]
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / f"a.{suffix}")
    p = images.read(tmp_path / f"a.{suffix}")
    assert p.mode == "RGB"
    assert np.array_equal(p.pixels, colours[indices])


@pytest.mark.parametrize("transparency", [7, bytes(range(256))])
def test_palettes_with_transparency(tmp_path: Path, transparency: int | bytes) -> None:
    indices, colours = samples("L", seed=1), samples("RGB", (256, 1), 2)[0]
    indices[0, 0] = 7
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "a.png", transparency=transparency)
    p = images.read(tmp_path / "a.png")
    assert p.mode == "RGBA"
    assert np.array_equal(p.pixels, colours[indices])
    assert np.array_equal(p.alpha, 255 * (indices != 7) if transparency == 7 else indices)


@pytest.mark.parametrize(
    ("header", "key", "raw", "gray", "alpha"),
    [
        # width, height, depth, colour type; the key counts in the file's bits, the pixels in 8
        ((4, 1, 1, 0), (1,), b"\x00\x50", [0, 255, 0, 255], [255, 0, 255, 0]),
        ((4, 1, 2, 0), (2,), b"\x00\x1b", [0, 85, 170, 255], [255, 255, 0, 255]),
        ((4, 1, 4, 0), (3,), b"\x00\x12\x3f", [17, 34, 51, 255], [255, 255, 0, 255]),
        ((4, 1, 8, 0), (3,), b"\x00\x01\x02\x03\x04", [1, 2, 3, 4], [255, 255, 0, 255]),
    ],
)
def test_a_gray_value_declared_transparent(
    header: tuple[int, ...], key: tuple[int, ...], raw: bytes, gray: list[int], alpha: list[int]
) -> None:
    body = struct.pack(">LLBBBBB", *header, 0, 0, 0)
    p = images.load(png(body, (b"tRNS", struct.pack(">H", *key)), (b"IDAT", zlib.compress(raw))))
    assert p.mode == "LA"
    assert p.pixels.tolist() == [gray]
    assert p.alpha is not None
    assert p.alpha.tolist() == [alpha]


def test_a_colour_declared_transparent(tmp_path: Path) -> None:
    image = pil("RGB")
    image.putpixel((3, 2), (1, 2, 3))
    image.save(tmp_path / "a.png", transparency=(1, 2, 3))
    p = images.read(tmp_path / "a.png")
    assert p.mode == "RGBA"
    assert np.argwhere(p.alpha == 0).tolist() == [[2, 3]]
    images.write(p, tmp_path / "b.png")
    assert np.array_equal(images.to_array(images.read(tmp_path / "b.png")), images.to_array(p))


def test_a_16_bit_gray_declared_transparent_stays_so(tmp_path: Path) -> None:
    pil("I;16").save(tmp_path / "a.png", transparency=777)
    p = images.read(tmp_path / "a.png")
    images.write(p, tmp_path / "b.png")
    after = images.read(tmp_path / "b.png")
    assert after.mode == "I;16"
    assert after.metadata["transparency"] == 777
    with pytest.raises(OutputError, match=r"to \.png only"):
        images.write(p, tmp_path / "b.tif")


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_16_bit_gray_in_every_guise(mode: str) -> None:
    array = samples("I;16")
    raw = array.astype({"I": "<i4", "I;16B": ">u2"}.get(mode, "<u2")).tobytes()
    p = images.from_pil(Image.frombytes(mode, (13, 11), raw))
    assert p.mode == "I;16"
    assert p.pixels.dtype == np.uint16
    assert np.array_equal(p.pixels, array)


def test_16_bit_colour_is_read_as_8_bit_and_said() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (2, 3, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    header = struct.pack(">LLBBBBB", 3, 2, 16, 2, 0, 0, 0)
    p = images.load(png(header, (b"IDAT", zlib.compress(rows))))
    assert np.array_equal(p.pixels, wide >> 8)
    assert "16 bits" in p.notes[0]
    opened = Image.open(BytesIO(png(header, (b"IDAT", zlib.compress(rows)))))
    assert images.from_pil(opened).notes == p.notes
    ppm = images.load(b"P6 3 2 65535\n" + wide.astype(">u2").tobytes())
    assert "16 bits" in ppm.notes[0]
    key = struct.pack(">HHH", *wide[1, 2])
    transparent = images.load(png(header, (b"tRNS", key), (b"IDAT", zlib.compress(rows))))
    assert np.argwhere(transparent.alpha == 0).tolist() == [[1, 2]]


def test_16_bit_gray_with_alpha_is_gray_and_said() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (2, 3, 2), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    p = images.load(png(struct.pack(">LLBBBBB", 3, 2, 16, 4, 0, 0, 0), (b"IDAT", zlib.compress(rows))))
    assert p.mode == "LA"
    assert np.array_equal(images.to_array(p), wide >> 8)
    assert "16 bits" in p.notes[0]


def test_premultiplied_padded_and_palette_alpha_modes() -> None:
    colours = pil("RGBA")
    assert np.array_equal(images.from_pil(colours.convert("RGBX")).pixels, samples("RGBA")[..., :3])
    colours.putalpha(255)
    assert np.array_equal(images.to_array(images.from_pil(colours.convert("RGBa"))), np.asarray(colours))
    gray = Image.merge("LA", [pil("L"), Image.new("L", (13, 11), 255)])
    assert np.array_equal(images.to_array(images.from_pil(gray.convert("La"))), np.asarray(gray))
    assert images.from_pil(pil("L").convert("P").convert("PA")).mode == "RGBA"


def test_ycbcr_is_converted_and_said(tmp_path: Path) -> None:
    Image.fromarray(data.chelsea()).convert("YCbCr").save(tmp_path / "a.tif")
    p = images.read(tmp_path / "a.tif")
    assert p.mode == "RGB"
    assert "YCbCr" in p.notes[0]
    assert np.abs(p.pixels.astype(int) - data.chelsea()).max() <= 4


@pytest.mark.parametrize("mode", ["F", "LAB", "HSV"])
def test_modes_that_would_not_come_back_are_refused(mode: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not supported; convert it") as error:
        images.from_pil(Image.new(mode, (4, 4)))
    one_line(error, "image")


def test_32_bit_and_float_files_are_refused(tmp_path: Path) -> None:
    for value in (70000, -1):
        Image.fromarray(np.full((4, 4), value, np.int32)).save(tmp_path / "a.tif")
        with pytest.raises(InputError, match="more than 16 bits"):
            images.read(tmp_path / "a.tif")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match="floating-point") as error:
        images.read(tmp_path / "b.tif")
    one_line(error, tmp_path / "b.tif")


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png", "mpo"])
def test_of_several_pictures_the_first_is_read_and_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))
    p = images.read(path)
    assert np.abs(p.pixels[5, 5].astype(int) - (255, 0, 0)).max() <= 2
    assert p.notes == ("the file holds 3 pictures; only the first is used",)
    assert p.lossy == (suffix == "mpo")


# --- lossy sources --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "options", "lossy"),
    [
        ("jpg", {}, True),
        ("avif", {}, True),
        ("webp", {}, True),
        ("webp", {"lossless": True}, False),
        ("webp", {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0"}, True),
        ("webp", {"lossless": True, "icc_profile": b"odd"}, False),
        ("tif", {"compression": "jpeg"}, True),
        ("tif", {"compression": "tiff_lzw"}, False),
        ("png", {}, False),
        ("bmp", {}, False),
    ],
)
def test_lossy_sources_are_known(tmp_path: Path, suffix: str, options: dict[str, object], lossy: bool) -> None:
    Image.fromarray(data.chelsea()[:64, :64]).save(tmp_path / f"a.{suffix}", **options)
    assert images.read(tmp_path / f"a.{suffix}").lossy == lossy
    assert images.load((tmp_path / f"a.{suffix}").read_bytes()).lossy == lossy


# --- metadata -------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_orientation_is_applied_and_removed(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = data.chelsea()[:48, :72]
    undo = [0, 0, 2, 3, 4, 5, 8, 7, 6][orientation]  # the transformation that a file of this orientation underwent
    turn = {
        0: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }[undo]
    exif = Image.Exif()
    exif[274] = orientation
    source, target = tmp_path / f"a.{suffix}", tmp_path / ("b.png" if suffix in ("jpg", "avif") else f"b.{suffix}")
    options = {"quality": 100} if suffix in ("jpg", "avif") else {"lossless": True} if suffix == "webp" else {}
    stored = Image.fromarray(np.ascontiguousarray(turn(upright)))
    stored.save(source, exif=exif, **({} if suffix in ("webp", "avif") else {"dpi": (100, 50)}), **options)
    p = images.read(source)
    assert p.notes == ()
    assert p.pixels.shape == upright.shape
    assert np.abs(p.pixels.astype(int) - upright).mean() < (3 if p.lossy else 1e-9)
    if "dpi" in p.metadata:
        assert p.metadata["dpi"] == pytest.approx((50, 100) if orientation >= 5 else (100, 50), rel=1e-3)
    images.write(p, target)
    again = Image.open(target)
    assert again.getexif().get(274, 1) == 1
    assert np.array_equal(np.asarray(again), p.pixels)
    if suffix == "png":
        assert images.read(target).metadata["dpi"] == p.metadata["dpi"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_stays_true_and_complete(tmp_path: Path, suffix: str, order: str) -> None:
    before = exif_block(6, order)
    pil("RGB", (60, 40)).save(tmp_path / f"a.{suffix}", exif=before)
    p = images.read(tmp_path / f"a.{suffix}")
    images.write(p, tmp_path / f"b.{suffix}")
    after = images.read(tmp_path / f"b.{suffix}").metadata["exif"]
    assert after == p.metadata["exif"]
    exif = Image.Exif()
    exif.load(after)
    details = exif.get_ifd(0x8769)
    assert exif[274] == 1
    assert (exif[256], exif[257], exif[282], exif[283]) == (40, 60, 150, 300)
    assert (details[0xA002], details[0xA003]) == (40, 60)
    assert exif[315].encode("latin-1").decode() == "Jörg Müller"
    assert exif.get_ifd(1) == {}
    assert b"THUMB" not in after
    # the maker note, whose offsets count from the block's start, has not moved, and no byte beside the above changed
    assert after.find(b"MAKER") == before.find(b"MAKER") > 0
    assert len(after) == len(before)
    assert sum(x != y for x, y in zip(before, after, strict=True)) < 45


def test_upright_exif_without_thumbnail_is_kept_byte_for_byte(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[306] = "Maker", "2020:02:02 20:20:02"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:02 20:20:02"
    exif.get_ifd(0x8825)[1] = "N"
    pil("RGB").save(tmp_path / "a.jpg", exif=exif)
    p = images.read(tmp_path / "a.jpg")
    assert p.metadata["exif"] == exif.tobytes()
    images.write(p, tmp_path / "b.png")
    assert images.read(tmp_path / "b.png").metadata["exif"] == exif.tobytes()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("nested", [False, True])
def test_tiff_keeps_its_tags_and_compression(tmp_path: Path, compression: str, nested: bool) -> None:
    exif = Image.Exif()
    exif[270], exif[315] = "a description", "Jörg".encode("latin-1")
    pil("RGB", (40, 30)).save(
        tmp_path / "plain.tif", compression=compression, exif=exif, dpi=(200, 100), icc_profile=srgb()
    )
    if nested:
        exif.get_ifd(0x8769)[0x9003] = "2020:02:02 20:20:02"
        pil("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif, quality=100)
        source, target = tmp_path / "a.jpg", tmp_path / "nested.tif"
        images.write(images.read(source), target)
        source = target
    else:
        source = tmp_path / "plain.tif"
    before = images.read(source)
    images.write(before, tmp_path / "b.tif")
    after = images.read(tmp_path / "b.tif")
    assert np.array_equal(after.pixels, before.pixels)
    read = Image.open(tmp_path / "b.tif").getexif()
    assert read[270] == "a description"
    assert read[315].encode("latin-1") == "Jörg".encode("latin-1")
    if nested:
        assert read.get_ifd(0x8769)[0x9003] == "2020:02:02 20:20:02"
        assert after.metadata["compression"] == "raw"
    else:
        assert after.metadata["compression"] == compression
        assert after.metadata["dpi"] == (200, 100)
        assert after.metadata["icc_profile"] == srgb()
    assert after.metadata == before.metadata


def test_exif_of_a_tiff_goes_into_other_formats_without_its_storage(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = "a description"
    pil("RGB", (40, 30)).save(tmp_path / "a.tif", exif=exif, compression="tiff_lzw")
    images.write(images.read(tmp_path / "a.tif"), tmp_path / "b.png")
    assert dict(Image.open(tmp_path / "b.png").getexif()) == {270: "a description"}


def test_a_jpegs_sizes_in_exif_do_not_spoil_a_tiff(tmp_path: Path) -> None:
    pil("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=exif_block(8))
    p = images.read(tmp_path / "a.jpg")
    images.write(p, tmp_path / "b.tif")
    assert np.array_equal(images.read(tmp_path / "b.tif").pixels, p.pixels)


@pytest.mark.parametrize("damage", [b"II*\0\xff\xff\xff\xff", b"nonsense", b"II*\0\x08\0\0\0\xff\xff", b"II"])
def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path, damage: bytes) -> None:
    pil("RGB").save(tmp_path / "a.png", exif=damage)
    p = images.read(tmp_path / "a.png")
    assert np.array_equal(p.pixels, samples("RGB"))
    assert "EXIF" in p.notes[0]
    assert "exif" not in p.metadata
    images.write(p, tmp_path / "b.png")


def test_damage_beside_the_orientation_does_not_leave_the_picture_lying(tmp_path: Path) -> None:
    block = exif_block(6)
    broken = block.replace(struct.pack("<HHLL", 0x8769, 4, 1, 200), struct.pack("<HHLL", 0x8769, 4, 1, 9999))
    assert broken != block
    pil("RGB", (60, 40)).save(tmp_path / "a.png", exif=broken)
    p = images.read(tmp_path / "a.png")
    assert p.pixels.shape == (60, 40, 3)
    assert "EXIF" in p.notes[0]


def test_the_orientation_in_xmp_is_applied_once(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    pil("RGB", (60, 40)).save(tmp_path / "a.jpg", xmp=xmp)
    p = images.read(tmp_path / "a.jpg")
    assert p.pixels.shape == (60, 40, 3)
    assert p.metadata["xmp"] == xmp.replace(b'"6"', b'"1"')
    images.write(p, tmp_path / "b.jpg")
    assert images.read(tmp_path / "b.jpg").pixels.shape == (60, 40, 3)


def test_a_pil_image_is_used_at_the_frame_it_is_at(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    image = Image.open(tmp_path / "a.tif")
    image.seek(1)
    p = images.from_pil(image)
    assert p.pixels[0, 0].tolist() == [0, 255, 0]
    assert p.notes == ()


def srgb() -> bytes:
    profile: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg", "avif"])
def test_icc_profile_and_xmp_are_kept(tmp_path: Path, suffix: str) -> None:
    xmp = "<x:xmpmeta xmlns:x='adobe:ns:meta/'>é</x:xmpmeta>".encode()
    source = picture(metadata={"icc_profile": srgb(), "xmp": xmp})
    images.write(source, tmp_path / f"a.{suffix}")
    kept = images.read(tmp_path / f"a.{suffix}").metadata
    assert kept["icc_profile"] == srgb()
    assert kept["xmp"] == xmp


def test_a_gray_profile_is_not_put_on_colours(tmp_path: Path) -> None:
    profile = srgb()[:16] + b"GRAY" + srgb()[20:]
    images.write(picture("L", metadata={"icc_profile": profile}), tmp_path / "a.webp")
    assert "icc_profile" not in images.read(tmp_path / "a.webp").metadata
    images.write(picture("L", metadata={"icc_profile": profile}), tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").metadata["icc_profile"] == profile


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_resolution_is_kept(tmp_path: Path, suffix: str) -> None:
    images.write(picture(metadata={"dpi": (300.0, 150.0)}), tmp_path / f"a.{suffix}")
    first = images.read(tmp_path / f"a.{suffix}")
    assert first.metadata["dpi"] == pytest.approx((300, 150), rel=1e-3)
    images.write(first, tmp_path / f"b.{suffix}")
    assert images.read(tmp_path / f"b.{suffix}").metadata["dpi"] == first.metadata["dpi"]


@pytest.mark.parametrize("dpi", [(0, 0), (72,), None, ("a", "b"), (float("nan"), 72)])
def test_a_resolution_that_is_none_is_left_out(dpi: object) -> None:
    image = pil("RGB")
    image.info["dpi"] = dpi
    assert "dpi" not in images.from_pil(image).metadata


def test_texts_and_colour_chunks_of_a_png_are_kept(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", "a title")
    chunks.add_itxt("Comment", "žluťoučký", "cs", "Komentář")
    chunks.add_text("Long", "x" * 2000, zip=True)
    chunks.add(b"gAMA", struct.pack(">L", 45455))
    chunks.add(b"cHRM", struct.pack(">8L", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    chunks.add(b"sRGB", b"\1")
    pil("RGB").save(tmp_path / "a.png", pnginfo=chunks)
    p = images.read(tmp_path / "a.png")
    images.write(p, tmp_path / "b.png")
    after = images.read(tmp_path / "b.png")
    assert after.metadata == p.metadata
    assert after.metadata["text"] == {"Title": "a title", "Comment": "žluťoučký", "Long": "x" * 2000}
    assert (after.metadata["gamma"], after.metadata["srgb"]) == (0.45455, 1)
    assert after.metadata["text"]["Comment"].lang == "cs"


def test_a_jpeg_comment_is_kept(tmp_path: Path) -> None:
    pil("RGB").save(tmp_path / "a.jpg", comment="hello")
    images.write(images.read(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert images.read(tmp_path / "b.jpg").metadata["comment"] == b"hello"


# --- bad inputs -----------------------------------------------------------------------------------------------


def test_missing_empty_folder_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "fold.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    cases = {
        "missing.png": "no such file",
        "empty.png": "is empty",
        "text.png": "not a picture",
        "fold.png": "is a folder",
        "pipe.png": "not a regular file",
        "text.png/x.png": "cannot be opened",
        "n\0ul.png": "cannot be opened",
        "x" * 300 + ".png": "cannot be opened",
    }
    for name, reason in cases.items():
        with pytest.raises(InputError, match=reason) as error:
            images.read(tmp_path / name)
        one_line(error, tmp_path / name)
    for junk, reason in ((b"", "empty"), (b"no picture", "not a picture")):
        with pytest.raises(InputError, match=reason) as error:
            images.load(junk)
        one_line(error, "image data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(InputError, match=r"[Pp]ermission") as error:
        images.read(tmp_path / "a.png")
    one_line(error, tmp_path / "a.png")


FORMATS = {
    "png": {},
    "jpg": {},
    "webp": {"lossless": True},
    "gif": {},
    "bmp": {},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
    "jp2": {},
    "avif": {},
    "tga": {"compression": "tga_rle"},
    "ppm": {},
    "qoi": {},
    "ico": {},
    "dds": {},
    "pcx": {},
    "sgi": {},
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_cut_off_anywhere_is_refused_or_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(data.chelsea()[:40, :40]).save(path, **FORMATS[suffix])
    whole, content = images.read(path), path.read_bytes()
    texts = []
    for length in np.linspace(1, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:length])
        try:
            rest = images.read(path)
        except InputError as error:
            texts.append(str(error))
        else:
            assert np.array_equal(rest.pixels, whole.pixels)
    assert len(texts) > 20
    assert all(re.fullmatch(rf"{re.escape(str(path))}: [^\n]+", text) for text in texts)


@settings(max_examples=150)
@given(st.sampled_from(["png", "jpg", "webp", "gif", "bmp", "tif", "tga", "jp2"]), st.data())
def test_damaged_files_raise_nothing_but_an_input_error(suffix: str, draw: st.DataObject) -> None:
    buffer = BytesIO()
    # the sizes among the EXIF tags would spoil a TIFF
    exif = {"exif": exif_block(3)} if suffix != "tif" else {}
    pil("RGB", (24, 16)).save(buffer, Image.registered_extensions()[f".{suffix}"], **exif)
    content = bytearray(buffer.getvalue())
    assert images.load(bytes(content)).pixels.shape == (16, 24, 3)
    for _ in range(draw.draw(st.integers(1, 8))):
        content[draw.draw(st.integers(0, min(len(content), 400) - 1))] = draw.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            p = images.load(bytes(content))
        except InputError as error:
            text = str(error)
        else:
            text = "; ".join(p.notes)
            images._encode(p, Path("a.png"), 95)  # whatever was kept can be written
            with contextlib.suppress(OutputError):  # Pillow cannot put all nonsense into a TIFF
                images._encode(p, Path("a.tif"), 95)
    assert "\n" not in text


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    idat = (b"IDAT", zlib.compress(b"\0" * 1000))
    for side in (23_000, 60_000, 2**31 - 1):
        with pytest.raises(InputError, match="500 megapixels") as error:
            images.load(png(struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0), idat))
        one_line(error, "image data")


def test_pictures_beyond_pillows_own_limit_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pil("L", (200, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert images.read(tmp_path / "a.png").pixels.shape == (200, 200)
    # and what other users of Pillow have set is as it was, also after a failure
    with pytest.raises(InputError):
        images.load(b"junk")
    with pytest.raises(InputError):
        images.load((tmp_path / "a.png").read_bytes()[:2000])
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_formats_that_run_other_programs_are_refused(tmp_path: Path) -> None:
    pil("RGB").save(tmp_path / "a.eps")
    with pytest.raises(InputError, match="EPS files are not supported"):
        images.read(tmp_path / "a.eps")


def test_memory_errors_and_interrupts_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pil("RGB").save(tmp_path / "a.png")
    for kind in (MemoryError, KeyboardInterrupt):

        def fail(*_: object, kind: type[BaseException] = kind) -> None:
            raise kind

        monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
        with pytest.raises(kind):
            images.read(tmp_path / "a.png")


# --- writing --------------------------------------------------------------------------------------------------


def test_jpeg_is_written_at_the_quality_asked_for(tmp_path: Path) -> None:
    p = images.from_array(data.chelsea()[:64, :64])
    errors = []
    for quality in (50, images.QUALITY, 100):
        images.write(p, tmp_path / f"{quality}.jpg", quality=quality)
        after = images.read(tmp_path / f"{quality}.jpg")
        assert after.lossy
        errors.append(float(np.square(after.pixels.astype(float) - p.pixels).mean()))
    assert errors[0] > errors[1] > errors[2]
    for quality in (0, 101):
        with pytest.raises(ValueError, match="1 to 100"):
            images.write(p, tmp_path / "x.jpg", quality=quality)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    flat = Image.new("CMYK", (32, 32), (200, 30, 60, 10))
    flat.save(tmp_path / "a.jpg")
    p = images.read(tmp_path / "a.jpg")
    assert p.mode == "CMYK"
    images.write(p, tmp_path / "b.jpg")
    assert np.abs(images.read(tmp_path / "b.jpg").pixels.astype(int) - (200, 30, 60, 10)).max() <= 2


@pytest.mark.parametrize(
    ("mode", "suffix", "reason"),
    [
        ("RGBA", ".jpg", "transparency"),
        ("LA", ".bmp", "transparency"),
        ("RGBA", ".avif", "transparency"),
        ("CMYK", ".png", "CMYK"),
        ("CMYK", ".webp", "CMYK"),
        ("I;16", ".jpg", "16 bits"),
        ("I;16", ".webp", "16 bits"),
        ("RGB", ".pgm", "colours"),
        ("RGB", ".gif", "no picture format is written as '.gif'"),
        ("RGB", ".txt", "no picture format"),
        ("RGB", "", "no picture format"),
    ],
)
def test_formats_that_cannot_hold_a_picture_are_refused(tmp_path: Path, mode: str, suffix: str, reason: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(OutputError, match=re.escape(reason)) as error:
        images.write(picture(mode), path)
    assert "use one of ." in one_line(error, path)
    assert list(tmp_path.iterdir()) == []


def test_16_bit_colour_arrays_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="16-bit colour"):
        images.write(images.from_array(np.zeros((4, 4, 3), np.uint16)), tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_an_opaque_alpha_channel_may_be_left_out(tmp_path: Path, suffix: str) -> None:
    image = pil("RGBA")
    image.putalpha(255)
    images.write(images.from_pil(image), tmp_path / f"a{suffix}")
    assert images.read(tmp_path / f"a{suffix}").mode == "RGB"


def test_existing_files_are_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already") as error:
        images.write(picture(), path)
    one_line(error, path)
    assert path.read_bytes() == b"precious"
    images.write(picture(), path, overwrite=True)
    assert np.array_equal(images.read(path).pixels, samples("RGB"))
    assert list(tmp_path.iterdir()) == [path]


def test_the_input_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    images.write(picture(), path)
    (tmp_path / "soft.png").symlink_to(path)
    (tmp_path / "hard.png").hardlink_to(path)
    monkeypatch.chdir(tmp_path)
    before = path.read_bytes()
    p = images.read(path)
    for name in (path, Path("a.png"), Path("../") / tmp_path.name / "a.png", Path("soft.png"), Path("hard.png")):
        for call in (
            lambda name=name: images.write(p, name, overwrite=True),
            lambda name=name: images.write(picture(), name, overwrite=True, source=path),
            lambda name=name: images.check_target(name, path, overwrite=True),
        ):
            with pytest.raises(OutputError, match="is the input") as error:
                call()
            one_line(error, name)
    assert path.read_bytes() == before


def test_targets_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "fold.png").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe.png")
    cases = {
        "fold.png": "is a folder",
        "pipe.png": "not a regular file",
        "file/a.png": "cannot be written",
        "missing/a.png": "no folder",
        "x" * 300 + ".png": "cannot be written",
        "n\0ul.png": "cannot be written",
    }
    for name, reason in cases.items():
        with pytest.raises(OutputError, match=reason) as error:
            images.write(picture(), tmp_path / name, overwrite=True)
        one_line(error, tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)
    assert {p.name for p in tmp_path.iterdir()} == {"fold.png", "pipe.png", "file"}


@contextlib.contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let the operating system refuse to let files grow, as a full disk does; also for root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, suffix: str, existing: bool) -> None:
    path = tmp_path / f"a{suffix}"
    if existing:
        path.write_bytes(b"precious")
    with files_limited_to(1000), pytest.raises(OutputError, match="cannot be written") as error:
        images.write(picture(size=(100, 100)), path, overwrite=True)
    one_line(error, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] * existing
    assert not existing or path.read_bytes() == b"precious"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    encode = images._encode

    def slow(*arguments: object) -> bytes:
        path.write_bytes(b"another program's")
        return encode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "_encode", slow)
    with pytest.raises(OutputError, match="exists already"):
        images.write(picture(), path)
    assert path.read_bytes() == b"another program's"
    assert list(tmp_path.iterdir()) == [path]


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "a.png"
    images.write(picture(), path)
    assert np.array_equal(images.read(path).pixels, samples("RGB"))
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(FileExistsError):
        files.place(tmp_path / "other", path, overwrite=False)
    (tmp_path / "other").unlink()
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    images.write(picture(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_what_a_format_cannot_encode_is_said(tmp_path: Path) -> None:
    wide = images.from_array(np.zeros((1, 70000), np.uint8))
    for suffix in (".jpg", ".webp"):
        with pytest.raises(OutputError, match="cannot be encoded") as error:
            images.write(wide, tmp_path / f"a{suffix}")
        one_line(error, tmp_path / f"a{suffix}")
    with pytest.raises(OutputError, match="EXIF data is too long"):
        images.write(picture(metadata={"exif": b"Exif\0\0" + b"x" * 70000}), tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "source", "options", "target"),
    [
        ("RGB", "a.png", {}, "a_restored.png"),
        ("RGB", "a.PNG", {}, "a_restored.PNG"),
        ("RGB", "a.jpg", {}, "a_restored.png"),
        ("L", "a.b.jpeg", {}, "a.b_restored.png"),
        ("CMYK", "a.jpg", {}, "a_restored.tif"),
        ("CMYK", "a.tiff", {}, "a_restored.tiff"),
        ("RGB", "a.webp", {}, "a_restored.webp"),
        ("RGBA", "a.webp", {"lossless": True}, "a_restored.webp"),
        ("RGB", "a.gif", {}, "a_restored.png"),
        ("RGB", "a.avif", {}, "a_restored.png"),
        ("RGB", "a.bmp", {}, "a_restored.bmp"),
        ("I;16", "a.tif", {}, "a_restored.tif"),
        ("I;16", "a.png", {}, "a_restored.png"),
        ("L", "a.pgm", {}, "a_restored.pgm"),
        ("RGB", "a.ppm", {}, "a_restored.ppm"),
        ("RGB", "a.pcx", {}, "a_restored.png"),
        # suffixes that are not true
        ("RGB", "a.png", {"format": "JPEG"}, "a_restored.png"),
        ("RGB", "a.jpg", {"format": "PNG"}, "a_restored.png"),
        ("CMYK", "a.png", {"format": "JPEG"}, "a_restored.tif"),
        ("RGB", "a.bmp", {"format": "TIFF"}, "a_restored.png"),
    ],
)
def test_default_output_is_lossless_and_can_be_written(
    tmp_path: Path, mode: str, source: str, options: dict[str, object], target: str
) -> None:
    pil(mode, (32, 24)).save(tmp_path / source, **options)
    path = images.default_output(tmp_path / source)
    assert path == tmp_path / target
    p = images.read(tmp_path / source)
    images.write(p, path)
    assert np.array_equal(images.to_array(images.read(path)), images.to_array(p))
    elsewhere = images.default_output(tmp_path / source, tmp_path / "out" / source)
    assert elsewhere == tmp_path / "out" / Path(source).with_suffix(path.suffix)


def test_default_output_of_modes_that_change(tmp_path: Path) -> None:
    pil("RGB").convert("P").save(tmp_path / "a.bmp")
    assert images.default_output(tmp_path / "a.bmp").suffix == ".bmp"
    pil("RGB").save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert images.default_output(tmp_path / "a.png").suffix == ".png"
    with pytest.raises(InputError, match="no such file"):
        images.default_output(tmp_path / "b.png")


def test_find_pictures(tmp_path: Path) -> None:
    names = [
        *("z.png", "a.JPG", "sub/b.webp", "sub/deep/c.tif", ".hidden.png", ".git/d.png", "notes.txt", "e.pdf"),
        *("z_restored.png", "z_restored_compare.png", "a_restored.png", "lonely_restored.png", "f.eps", "phone.mpo"),
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = images.find_pictures([tmp_path])
    expected = ["a.JPG", "lonely_restored.png", "phone.mpo", "z.png", "sub/b.webp", "sub/deep/c.tif"]
    assert [f.relative for f in found] == [Path(e) for e in expected]
    assert all(f.path == tmp_path / f.relative for f in found)
    assert found[0].beside == tmp_path / "a_restored.JPG"

    named = images.find_pictures([tmp_path / "notes.txt", tmp_path / "z_restored.png", tmp_path, tmp_path / "z.png"])
    assert [f.relative for f in named] == [Path(n) for n in ("notes.txt", "z_restored.png", *expected)]

    (tmp_path / "empty").mkdir()
    for name, reason in (("empty", "no pictures"), ("missing", "no such file or folder")):
        with pytest.raises(InputError, match=reason) as error:
            images.find_pictures([tmp_path / name])
        one_line(error, tmp_path / name)


def test_every_suffix_that_is_written_is_found() -> None:
    assert set(images.writable_suffixes()) <= images.readable_suffixes()
    assert images.readable_suffixes().isdisjoint({".eps", ".ps", ".pdf", ".wmf", ".h5", ".txt"})


def test_read_mask(tmp_path: Path) -> None:
    gray = np.array([[0, 60, 127, 128, 255]], np.uint8)
    wanted = [[False, False, False, True, True]]
    Image.fromarray(gray).save(tmp_path / "a.png")
    assert images.read_mask(tmp_path / "a.png").tolist() == wanted
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "b.png")
    assert images.read_mask(tmp_path / "b.png").tolist() == wanted
    red = np.zeros((1, 5, 4), np.uint8)
    red[..., 0], red[..., 3] = gray, (255, 255, 255, 255, 0)
    Image.fromarray(red).save(tmp_path / "c.png")
    assert images.read_mask(tmp_path / "c.png").tolist() == [[False, False, False, True, False]]
    Image.new("CMYK", (4, 4)).save(tmp_path / "d.tif")
    with pytest.raises(InputError, match="not CMYK"):
        images.read_mask(tmp_path / "d.tif")


def test_importing_loads_no_decoders() -> None:
    code = "import sys, deepix.images; print([m for m in sys.modules if m.startswith('PIL.') and m.endswith('Plugin')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
