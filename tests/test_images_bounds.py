"""What is not read is named, whatever is read is bounded, and nothing of it reaches the standard error."""

from __future__ import annotations

import importlib.util
import os
import resource
import struct
import subprocess
import sys
import zlib
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_cases import one_line, picture, pil, png, samples
from PIL import Image
from skimage import data

from deepix import images
from deepix.errors import InputError
from deepix.images import jpeg, recognition

MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42"
BOX = b"\0\0\0\x18ftyp%b\0\0\0\0%bmif1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            MP4,
            "this is an MP4 video, which Deepix does not read; convert it to PNG first",
        ),
        (BOX % (b"qt  ", b"qt  "), "a QuickTime video"),
        (BOX % (b"crx ", b"crx "), "raw file"),
        (b"\x1aE\xdf\xa3" + bytes(60), "a WebM or Matroska video"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="">', "an SVG drawing"),
        (b'<svg width="3">', "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"gimp xcf v011\0", "a GIMP file"),
        (b"v/1\x01\x02\0\0\0", "an OpenEXR picture"),
        (b"#?RADIANCE\n", "a Radiance HDR picture"),
        (b"II\x2a\0\x10\0\0\0CR\x02\0", "raw file"),
        (b"FUJIFILMCCD-RAW 0201", "raw file"),
        (b"IIU\0\x18\0\0\0", "raw file"),
        (b"PK\x03\x04\x14\0", "a zip archive or a document"),
        (b"8BPS\0\x01" + bytes(6) + b"\0\x07" + struct.pack(">LLHH", 4, 4, 16, 9), "a Photoshop file of a kind"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.jpg"  # whatever it is called
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        images.read(path)
    text = one_line(error, path)
    assert says in text
    assert "cut off" not in text


def test_a_raw_file_is_not_its_thumbnail(tmp_path: Path) -> None:
    version, subfile, others = 50706, 254, 330
    for name, tags in (("a.dng", {version: bytes((1, 4, 0, 0))}), ("a.nef", {subfile: 1, others: 8})):
        pil("RGB").save(tmp_path / name, "TIFF", tiffinfo=tags)
        with pytest.raises(InputError, match="a camera’s raw file") as error:
            images.read(tmp_path / name)
        one_line(error, tmp_path / name)


def test_a_known_format_of_an_unknown_kind_is_not_called_no_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", samples("LA;16"), photometric="minisblack", extrasamples=["unassalpha"])
    with pytest.raises(InputError, match=r"a TIFF file of a kind that is not supported, .*unknown pixel mode"):
        images.read(tmp_path / "a.tif")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(InputError, match="a PNG file"):
        images.read(tmp_path / "a.png")


# --- plugins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_without_the_plugin_a_heic_file_says_what_to_install(
    tmp_path: Path, brand: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "find_spec", lambda name: None)
    for content, says in (
        (BOX % (brand, b"heic"), "this is a HEIC picture; to read it: pip install 'deepix[heif]'"),
        (
            b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(9),
            "this is a JPEG XL picture; to read it: pip install pillow-jxl-plugin",
        ),
        (b"\xff\x0a" + bytes(9), "JPEG XL"),
    ):
        (tmp_path / "a.heic").write_bytes(content)
        with pytest.raises(InputError) as error:
            images.read(tmp_path / "a.heic")
        assert says in one_line(error, tmp_path / "a.heic")
        (tmp_path / "a.heic").rename(tmp_path / "a.odd")
        found, skipped = images.search([tmp_path])
        assert not found
        assert says in skipped[0].reason


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="needs pillow-heif (the extra heif)")
def test_with_the_plugin_a_heic_file_is_read(tmp_path: Path) -> None:
    import pillow_heif

    photo = data.chelsea()[:64, :96]
    exif = Image.Exif()
    exif[271] = "Maker"
    made = pillow_heif.from_pillow(Image.fromarray(photo))
    made.save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    p = images.read(tmp_path / "a.heic")
    assert p.format == "HEIF"
    assert p.lossy
    assert p.notes == ()
    assert np.abs(p.pixels.astype(int) - photo).mean() < 6
    assert p.quantization is None
    assert [f.path.name for f in images.search([tmp_path]).found] == ["a.heic"]
    assert images.default_output(tmp_path / "a.heic") == tmp_path / "a_restored.png"
    images.write(p, tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").getexif()[271] == "Maker"
    with pytest.raises(InputError, match=r"more than 0\.001 megapixels"):
        images.read(tmp_path / "a.heic", max_pixels=1000)
    (tmp_path / "a.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:-200])
    with pytest.raises(InputError) as error:
        images.read(tmp_path / "a.heic")
    one_line(error, tmp_path / "a.heic")


# --- streams --------------------------------------------------------------------------------------------------


class Trickle:
    """A pipe: it gives what it has, bit by bit, and cannot be searched."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    def read(self, size: int = -1, /) -> bytes:
        part, self.rest = self.rest[:100], self.rest[100:]
        return part


def test_file_objects_are_read_to_their_end(tmp_path: Path) -> None:
    content = images.encode(picture("RGBA"), ".png")
    (tmp_path / "a.png").write_bytes(content)
    with (tmp_path / "a.png").open("rb") as file:
        for stream in (BytesIO(content), Trickle(content), file):
            assert np.array_equal(images.to_array(images.load(stream)), samples("RGBA"))
    assert images.read_stream(Trickle(content), "standard input").path is None
    for stream, why in (
        (BytesIO(), "empty"),
        (StringIO("text"), "binary mode"),
        (Trickle(b"no picture"), "not a picture"),
    ):
        with pytest.raises(InputError, match=why) as error:
            images.read_stream(stream, "standard input")  # type: ignore[arg-type]
        one_line(error, "standard input")


def test_a_stream_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepix.images.opening.MAX_BYTES", 3 << 20)
    with Path("/dev/zero").open("rb") as endless, pytest.raises(InputError, match="more than 3 MiB") as error:
        images.read_stream(endless, "standard input")
    one_line(error, "standard input")


# --- bounds ---------------------------------------------------------------------------------------------------


def bomb(side: int, path: Path) -> Path:
    """A gray PNG of many pixels in few bytes."""
    compressor = zlib.compressobj(9)
    row = bytes(side + 1)
    body = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    path.write_bytes(png(struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0), (b"IDAT", body)))
    return path


def test_a_bomb_is_refused_before_its_memory_is_taken(tmp_path: Path) -> None:
    path = bomb(22_300, tmp_path / "a.png")  # 497 megapixels
    assert path.stat().st_size < 500_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for call in (images.read, images.read_frames, images.read_mask, images.default_output, images.is_animated):
        with pytest.raises(InputError, match=r"claims more than 200 megapixels; .*--max-pixels") as error:
            call(path)
        one_line(error, path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_the_bound_is_the_callers(tmp_path: Path) -> None:
    pil("RGB", (200, 100)).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png", max_pixels=20_000).pixels.shape == (100, 200, 3)
    for call in (
        lambda: images.read(tmp_path / "a.png", max_pixels=19_999),
        lambda: images.load((tmp_path / "a.png").read_bytes(), max_pixels=19_999),
        lambda: images.read_mask(tmp_path / "a.png", max_pixels=19_999),
        lambda: images.default_output(tmp_path / "a.png", max_pixels=19_999),
    ):
        with pytest.raises(InputError, match=r"more than 0\.019999 megapixels"):
            call()


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_compressed_chunks_do_not_unpack_without_bound(kind: bytes) -> None:
    packed = zlib.compress(bytes(200_000_000), 9)
    head = b"x\0\0" if kind != b"iTXt" else b"x\0\1\0\0\0"
    header = struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0)
    content = png(header, (kind, head + packed), (b"IDAT", zlib.compress(b"\0\0")))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="too large"):
        images.load(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_files_beyond_the_limit_and_devices_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # no block of it is written
    os.mkfifo(tmp_path / "pipe.png")
    for path, why in (
        (tmp_path / "long.png", "more than 1024 MiB"),
        (tmp_path / "pipe.png", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        for call in (images.read, images.read_frames, images.read_mask, images.default_output):
            with pytest.raises(InputError, match=why) as error:
                call(path)
            one_line(error, path)


def test_libraries_do_not_print(tmp_path: Path) -> None:
    content = {}
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        buffer = BytesIO()
        pil("RGB", (40, 30)).save(buffer, "TIFF", compression=compression)
        content[compression] = bytearray(buffer.getvalue())
        content[compression][100:140] = bytes(b ^ 0x55 for b in content[compression][100:140])
        (tmp_path / f"{compression}.tif").write_bytes(content[compression])
    code = (
        "import sys, warnings; from deepix import images; from deepix.errors import InputError\n"
        "for path in sys.argv[1:]:\n"
        "    try: images.read(path)\n"
        "    except InputError as error: print(error)\n"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


# --- JPEGs without an end -------------------------------------------------------------------------------------

KINDS = {
    "baseline": {},
    "full colour": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "rows of restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 2},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(tmp_path: Path, kind: str, mode: str) -> None:
    buffer = BytesIO()
    Image.fromarray(data.chelsea()[:75, :101]).convert(mode).save(buffer, "JPEG", **KINDS[kind])
    content = buffer.getvalue()
    whole = images.load(content)
    for missing in (1, 2):
        (tmp_path / "a.jpg").write_bytes(content[:-missing])
        p = images.read(tmp_path / "a.jpg")
        assert np.array_equal(p.pixels, whole.pixels)
        assert p.notes == ("the file ends before its end marker; all rows of the picture are there",)
        assert p.quantization == whole.quantization
    refused = 0
    for missing in (3, 4, 5, 8, 20, 100, *np.linspace(200, len(content) - 1000, 12).astype(int)):
        try:
            p = images.load(content[:-missing])
        except InputError as error:
            refused += 1
            said = str(error)
        else:
            assert np.array_equal(p.pixels, whole.pixels)
    assert refused >= 16
    assert "cut off" in said


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    buffer = BytesIO()
    Image.fromarray(data.chelsea()[:75, :101]).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    scans = [i for i in range(len(content)) if content[i : i + 2] == b"\xff\xda"]
    for start in scans[1:]:
        last = content.rfind(b"\xff\xc4", 0, start)
        for end in (start, last if last > scans[0] else start):
            with pytest.raises(InputError, match="rows of the picture are missing"):
                images.load(content[:end])
    assert jpeg.structure(content).complete()


def test_the_tables_of_a_jpeg_are_there(tmp_path: Path) -> None:
    for quality in (50, 90):
        pil("RGB", (32, 32)).save(tmp_path / "a.jpg", quality=quality)
        p = images.read(tmp_path / "a.jpg")
        assert p.quantization is not None
        assert set(p.quantization) == {0, 1}
        assert all(len(table) == 64 for table in p.quantization.values())
    assert p.quantization[0][:8] == (
        3,
        2,
        2,
        3,
        5,
        8,
        10,
        12,
    )  # a tenth of annex K's first row, rounded as libjpeg does
    pil("RGB").save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").quantization is None
