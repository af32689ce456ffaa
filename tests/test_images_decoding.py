"""Every kind of picture is read, and what cannot is refused in one line."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_cases import exif_block, one_line, pil, png, samples
from PIL import Image, ImageFile
from skimage import data

from deepix import images
from deepix.errors import InputError, OutputError


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


def test_16_bit_colour_of_a_pil_image_is_read_as_8_bit_and_said() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (2, 3, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    header = struct.pack(">LLBBBBB", 3, 2, 16, 2, 0, 0, 0)
    content = png(header, (b"IDAT", zlib.compress(rows)))
    assert np.array_equal(images.load(content).pixels, wide)
    p = images.from_pil(Image.open(BytesIO(content)))
    assert np.array_equal(p.pixels, wide >> 8)
    assert "16 bits" in p.notes[0]
    ppm = images.from_pil(Image.open(BytesIO(b"P6 3 2 65535\n" + wide.astype(">u2").tobytes())))
    assert "16 bits" in ppm.notes[0]
    key = struct.pack(">HHH", *wide[1, 2])
    transparent = png(header, (b"tRNS", key), (b"IDAT", zlib.compress(rows)))
    for p in (images.load(transparent), images.from_pil(Image.open(BytesIO(transparent)))):
        assert np.argwhere(p.alpha == 0).tolist() == [[1, 2]]
    assert images.load(transparent).alpha.dtype == np.uint16  # type: ignore[union-attr]


def test_16_bit_gray_with_alpha_keeps_its_bits_but_in_a_pil_image() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (2, 3, 2), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    content = png(struct.pack(">LLBBBBB", 3, 2, 16, 4, 0, 0, 0), (b"IDAT", zlib.compress(rows)))
    whole = images.load(content)
    assert whole.mode == "LA"
    assert np.array_equal(images.to_array(whole), wide)
    p = images.from_pil(Image.open(BytesIO(content)))
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
    p = images.read(path, first_frame=True)
    assert np.abs(p.pixels[5, 5].astype(int) - (255, 0, 0)).max() <= 2
    assert p.notes == ("the file holds 3 pictures; only the first is used",)
    assert p.lossy == (suffix == "mpo")


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
            images.encode(p, ".png")  # whatever was kept can be written
            with contextlib.suppress(OutputError):  # Pillow cannot put all nonsense into a TIFF
                images.encode(p, ".tif")
    assert "\n" not in text


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    idat = (b"IDAT", zlib.compress(b"\0" * 1000))
    for side in (23_000, 60_000, 2**31 - 1):
        with pytest.raises(InputError, match="200 megapixels") as error:
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
