"""Colours of 16 bits per channel are read and written whole, with all else of the file; other programs agree."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_cases import one_line, picture, png, samples, srgb
from PIL import Image, PngImagePlugin

from deepix import images
from deepix.errors import InputError, OutputError

BGR = {"RGB;16": [2, 1, 0], "RGBA;16": [2, 1, 0, 3]}


@pytest.mark.parametrize("mode", BGR)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_opencv_writes_what_we_read_and_reads_what_we_write(tmp_path: Path, mode: str, suffix: str) -> None:
    array = samples(mode, (37, 150))
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), array[..., BGR[mode]])
    p = images.read(tmp_path / f"a.{suffix}")
    assert p.notes == ()
    assert p.mode == mode.removesuffix(";16")
    assert np.array_equal(images.to_array(p), array)
    images.write(p, tmp_path / f"b.{suffix}")
    assert np.array_equal(cv2.imread(str(tmp_path / f"b.{suffix}"), cv2.IMREAD_UNCHANGED)[..., BGR[mode]], array)


@settings(max_examples=30)
@given(
    hnp.arrays(np.uint16, st.tuples(st.integers(1, 70), st.integers(1, 5), st.integers(3, 4))),
    st.sampled_from([".png", ".tif"]),
)
def test_any_samples_come_back(array: np.ndarray, suffix: str) -> None:
    assert np.array_equal(images.to_array(images.load(images.encode(images.from_array(array), suffix))), array)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB;16", {"photometric": "rgb"}),
        ("RGB;16", {"photometric": "rgb", "tile": (16, 16)}),
        ("RGB;16", {"photometric": "rgb", "rowsperstrip": 7}),
        ("RGBA;16", {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        ("CMYK;16", {"photometric": "separated"}),
    ],
)
def test_tiffs_of_every_layout(
    tmp_path: Path, mode: str, options: dict[str, object], compression: str | None, byteorder: str
) -> None:
    array = samples(mode, (33, 40))
    tifffile.imwrite(tmp_path / "a.tif", array, compression=compression, byteorder=byteorder, **options)
    assert np.array_equal(images.to_array(images.read(tmp_path / "a.tif")), array)


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["RGB;16", "RGBA;16", "CMYK;16"])
def test_tiffs_are_written_in_every_compression(tmp_path: Path, mode: str, compression: str) -> None:
    images.write(picture(mode, (50, 40), metadata={"compression": compression}), tmp_path / "a.tif")
    after = images.read(tmp_path / "a.tif")
    assert np.array_equal(images.to_array(after), samples(mode, (50, 40)))
    assert after.metadata["compression"] == compression
    if compression in ("raw", "tiff_adobe_deflate"):  # what tifffile decodes without another package
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), samples(mode, (50, 40)))


def test_colours_that_were_multiplied_by_their_alpha_are_divided_and_said(tmp_path: Path) -> None:
    array = samples("RGBA;16")
    array[:5, :, 3] = 65535
    array[6, :, 3] = 0
    multiplied = array.copy()
    multiplied[..., :3] = np.rint(array[..., :3] * (array[..., 3:] / 65535))
    tifffile.imwrite(tmp_path / "a.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])
    p = images.read(tmp_path / "a.tif")
    assert "divided" in p.notes[0]
    assert np.array_equal(p.alpha, array[..., 3])
    assert np.array_equal(p.pixels[:5], array[:5, :, :3])
    seen = array[..., 3] > 2000
    assert np.abs(p.pixels.astype(int) - array[..., :3])[seen].max() <= 65535 / 2000


def test_everything_beside_the_pixels_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:02 20:20:02"
    metadata = {"icc_profile": srgb(), "dpi": (300.0, 150.0), "exif": exif.tobytes()}
    for suffix in (".png", ".tif"):
        texts = {"text": {"Title": "a title"}, "gamma": 0.45455} if suffix == ".png" else {}
        images.write(picture("RGB;16", metadata=metadata | texts), tmp_path / f"a{suffix}")
        kept = images.read(tmp_path / f"a{suffix}").metadata
        assert kept["icc_profile"] == srgb()
        assert kept["dpi"] == pytest.approx((300, 150), rel=1e-3)
        after = Image.open(tmp_path / f"a{suffix}").getexif()
        assert after[271] == "Maker"
        assert after.get_ifd(0x8769)[0x9003] == "2020:02:02 20:20:02"
        assert np.array_equal(images.read(tmp_path / f"a{suffix}").pixels, samples("RGB;16"))
        assert texts.items() <= kept.items()
        again = tmp_path / f"b{suffix}"
        images.write(images.read(tmp_path / f"a{suffix}"), again)
        assert images.read(again).metadata == kept


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_orientation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    if suffix == "png":
        block = exif.tobytes().removeprefix(b"Exif\0\0")
        header = struct.pack(">LLBBBBB", 13, 11, 16, 2, 0, 0, 0)
        made = images.encode(picture("RGB;16"), ".png")
        at = made.index(b"IDAT")
        body = made[at + 4 : at + 4 + int.from_bytes(made[at - 4 : at])]
        (tmp_path / "a.png").write_bytes(png(header, (b"eXIf", block), (b"IDAT", body)))
    else:
        tifffile.imwrite(
            tmp_path / "a.tif",
            samples("RGB;16"),
            photometric="rgb",
            extratags=[(274, "H", 1, 6, True)],
            compression="zlib",
        )
    p = images.read(tmp_path / f"a.{suffix}")
    assert np.array_equal(p.pixels, np.rot90(samples("RGB;16"), -1))


@pytest.mark.parametrize("largest", [65535, 4095, 256])
def test_ppm(largest: int) -> None:
    array = (samples("RGB;16").astype(int) % (largest + 1)).astype(np.uint16)
    p = images.load(b"P6\n# made by hand\n13 11 %d\n" % largest + array.astype(">u2").tobytes())
    assert np.array_equal(p.pixels, np.rint(array * (65535 / largest)))
    beyond = np.array([largest + 1 if largest < 65535 else 0], ">u2").tobytes() * 3 * 143
    if largest < 65535:
        with pytest.raises(InputError, match="a sample is larger"):
            images.load(b"P6 13 11 %d\n" % largest + beyond)
    with pytest.raises(InputError, match="cut off"):
        images.load(b"P6 13 11 %d\n" % largest + beyond[:-1])


def test_interlaced_png(tmp_path: Path) -> None:
    array = samples("RGB;16", (9, 9))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes() for x, y, dx, dy in passes for row in array[y::dy, x::dx] if row.size
    )
    header = struct.pack(">LLBBBBB", 9, 9, 16, 2, 0, 0, 1)
    assert np.array_equal(images.load(png(header, (b"IDAT", zlib.compress(rows)))).pixels, array)


def test_an_opaque_alpha_channel_may_be_left_out() -> None:
    array = np.dstack([samples("RGB;16"), np.full((11, 13), 65535, np.uint16)])
    after = images.load(images.encode(images.from_array(array), ".ppm"))
    assert after.mode == "RGB"
    assert np.array_equal(after.pixels, array[..., :3])
    gray = images.from_array(np.ascontiguousarray(array[..., [0, 3]]))
    assert np.array_equal(images.load(images.encode(gray, ".pgm")).pixels, array[..., 0])
    array[0, 0, 3] = 255  # which is not opaque
    with pytest.raises(OutputError, match="16 bits per channel"):
        images.encode(images.from_array(array), ".ppm")


def test_kinds_of_16_bits_that_pillow_would_cut_are_refused(tmp_path: Path) -> None:
    array = samples("RGB;16", (40, 30))
    tifffile.imwrite(tmp_path / "planes.tif", array.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert cv2.imwrite(str(tmp_path / "a.jp2"), samples("RGB;16", (128, 128)))
    header = struct.pack(">HBBHHHHLL4x80xL404x", 474, 0, 2, 3, 4, 4, 3, 0, 255, 0)
    (tmp_path / "a.sgi").write_bytes(header + bytes(4 * 4 * 3 * 2))
    text = b"P3 1 1 65535\n1 2 3\n"
    (tmp_path / "text.ppm").write_bytes(text)
    for name in ("planes.tif", "a.jp2", "a.sgi", "text.ppm"):
        with pytest.raises(InputError, match=r"not supported; save it as 16-bit PNG") as error:
            images.read(tmp_path / name)
        one_line(error, tmp_path / name)


def test_a_lossy_file_with_more_bits_is_read_and_said(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(samples("RGB", (32, 32))).save(buffer, "AVIF")
    content = bytearray(buffer.getvalue())
    assert images.load(bytes(content)).notes == ()
    content[content.index(b"av1C") + 6] |= 0x40  # the box says 10 bits; what is in the stream decides how it decodes
    try:
        p = images.load(bytes(content))
    except InputError:
        pytest.skip("this libavif refuses a box that is not true")
    assert p.notes == ("10 bits per channel are read as 8, as the file is lossy in any case",)


def test_animations_with_16_bits_are_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], pnginfo=PngImagePlugin.PngInfo())
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[24] = 16
    content[29:33] = struct.pack(">L", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="16 bits per channel"):
        images.read_frames(tmp_path / "a.png")
