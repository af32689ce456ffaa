"""What a file says beside its pixels stays true."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from image_cases import exif_block, picture, pil, samples, srgb
from PIL import Image, PngImagePlugin
from skimage import data

from deepix import images


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
