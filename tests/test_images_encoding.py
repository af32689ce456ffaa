"""Pictures are written whole or not at all, never over their input."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from image_cases import one_line, picture, pil, samples
from PIL import Image
from skimage import data

from deepix import files, images
from deepix.errors import InputError, OutputError
from deepix.images import encoding


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
        ("RGB;16", ".jpg", "16 bits per channel"),
        ("LA;16", ".webp", "16 bits per channel"),
        ("CMYK;16", ".png", "16 bits per channel"),
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
    encode = encoding._encode

    def slow(*arguments: object) -> bytes:
        path.write_bytes(b"another program's")
        return encode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(encoding, "_encode", slow)
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


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o644), (0o400, 0o600)])
def test_a_result_may_be_read_by_no_more_people_than_its_source(tmp_path: Path, mode: int, expected: int) -> None:
    images.write(picture(), tmp_path / "a.png")
    (tmp_path / "a.png").chmod(mode)
    p = images.read(tmp_path / "a.png")
    images.write(p, tmp_path / "own.png")
    images.write(picture(), tmp_path / "named.png", source=tmp_path / "a.png")
    (tmp_path / "old.png").touch(0o666)
    images.write(p, tmp_path / "old.png", overwrite=True)
    images.write_frames(images.read_frames(tmp_path / "a.png"), tmp_path / "frames.png")
    for name in ("own", "named", "old", "frames"):
        assert stat.S_IMODE((tmp_path / f"{name}.png").stat().st_mode) == expected
    (tmp_path / "a.png").unlink()  # a source that is gone forbids nothing
    images.write(p, tmp_path / "gone.png")
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "gone.png").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_result_of_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    images.write(picture(size=(100, 100)), tmp_path / "a.png")
    p = images.read(tmp_path / "a.png")
    with files_limited_to(1000), pytest.raises(OutputError, match="cannot be written") as error:
        images.write(p, tmp_path / "b.png")
    one_line(error, tmp_path / "b.png")
    with pytest.raises(OutputError, match="no folder"):
        images.write(p, tmp_path / "missing" / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_encode_gives_what_write_writes(tmp_path: Path) -> None:
    for suffix in (".png", ".JPG", ".tif", ".webp"):
        images.write(picture(), tmp_path / f"a{suffix}", quality=80)
        assert images.encode(picture(), suffix, quality=80) == (tmp_path / f"a{suffix}").read_bytes()
    for suffix, why in ((".gif", "no picture format"), ("", "no picture format")):
        with pytest.raises(OutputError, match=why) as error:
            images.encode(picture(), suffix, name="standard output")
        one_line(error, "standard output")
    with pytest.raises(OutputError, match="transparency"):
        images.encode(picture("RGBA"), ".jpg")
    with pytest.raises(ValueError, match="1 to 100"):
        images.encode(picture(), quality=0)


def test_what_a_format_cannot_encode_is_said(tmp_path: Path) -> None:
    wide = images.from_array(np.zeros((1, 70000), np.uint8))
    for suffix in (".jpg", ".webp"):
        with pytest.raises(OutputError, match="cannot be encoded") as error:
            images.write(wide, tmp_path / f"a{suffix}")
        one_line(error, tmp_path / f"a{suffix}")
    with pytest.raises(OutputError, match="EXIF data is too long"):
        images.write(picture(metadata={"exif": b"Exif\0\0" + b"x" * 70000}), tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


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
