"""Which files are meant, and which pixels a mask names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from image_cases import one_line
from PIL import Image

from deepix import images
from deepix.errors import InputError


def test_search(tmp_path: Path) -> None:
    names = [
        *("z.png", "a.JPG", "sub/b.webp", "sub/deep/c.tif", ".hidden.png", ".git/d.png", "notes.txt", "e.pdf"),
        *("z_restored.png", "z_restored_compare.png", "a_restored.png", "lonely_restored.png", "f.eps", "phone.mpo"),
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = images.search([tmp_path]).found
    expected = ["a.JPG", "lonely_restored.png", "phone.mpo", "z.png", "sub/b.webp", "sub/deep/c.tif"]
    assert [f.relative for f in found] == [Path(e) for e in expected]
    assert all(f.path == tmp_path / f.relative for f in found)
    assert found[0].beside == tmp_path / "a_restored.JPG"

    named = images.search([tmp_path / "notes.txt", tmp_path / "z_restored.png", tmp_path, tmp_path / "z.png"]).found
    assert [f.relative for f in named] == [Path(n) for n in ("notes.txt", "z_restored.png", *expected)]

    with pytest.raises(InputError, match="no such file or folder") as error:
        images.search([tmp_path / "missing"])
    one_line(error, tmp_path / "missing")


def test_what_a_search_skips_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a_restored.png").touch()
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
    (tmp_path / "unnamed").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / ".hidden").touch()
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "sub")
    os.mkfifo(tmp_path / "pipe.png")
    found, skipped = images.search([tmp_path])
    assert [f.path.name for f in found] == ["a.png"]
    reasons = {s.path.name: s.reason for s in skipped}
    expected = {
        "a_restored.png": "the result of an earlier run",
        "notes.txt": r"no picture that Deepix reads, by its name \(.txt\)",
        "video.mp4": "this is an MP4 video",
        "unnamed": "a JPEG picture by its content, but not by its name",
        "dangling.png": "a link to a file that does not exist",
        "loop": "a link to a folder",
        "pipe.png": "not a regular file",
    }
    assert set(reasons) == set(expected)
    assert all(re.match(expected[name], reason) and "\n" not in reason for name, reason in reasons.items())
    assert images.search([tmp_path / "sub"]) == ((), ())
    with pytest.raises(InputError, match="no such file or folder"):
        images.search([tmp_path / "missing"])


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:  # as the system does, but also for root
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, skipped = images.search([tmp_path])
    assert [f.path.name for f in found] == ["a.png"]
    assert skipped == ((tmp_path / "closed", "the folder cannot be looked into (Permission denied)"),)


def test_no_result_is_an_input_of_the_next_run(tmp_path: Path) -> None:
    assert images.MARKER in images.RESULT_SUFFIXES
    (tmp_path / "a.jpg").touch()
    for first in images.RESULT_SUFFIXES:
        (tmp_path / f"a{first}.png").touch()
        (tmp_path / f"lonely{first}.png").touch()
        for second in images.RESULT_SUFFIXES:
            (tmp_path / f"a{first}{second}.png").touch()
    names = {f.path.name for f in images.search([tmp_path]).found}
    assert names == {"a.jpg", *(f"lonely{suffix}.png" for suffix in images.RESULT_SUFFIXES)}


def test_what_was_made_of_a_picture_in_another_folder_is_skipped(tmp_path: Path) -> None:
    for name in ("a.jpg", "out/a_restored.png", "out/a_restored_jpg.png", "out/a_2_found.png", "out/a_found_it.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found, skipped = images.search([tmp_path])
    assert [f.path.name for f in found] == ["a.jpg", "a_found_it.png"]
    assert {s.reason for s in skipped} == {"the result of an earlier run; name it on the command line to use it"}
    assert len(images.search([tmp_path / "out"]).found) == 4


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
    with pytest.raises(InputError, match="both the transparency and the colours vary") as error:
        images.read_mask(tmp_path / "c.png")
    one_line(error, tmp_path / "c.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "d.tif")
    with pytest.raises(InputError, match="not CMYK"):
        images.read_mask(tmp_path / "d.tif")


def test_masks_drawn_on_a_transparent_layer(tmp_path: Path) -> None:
    wanted = np.zeros((9, 12), bool)
    wanted[2:6, 3:9] = True
    for colour in (0, 70, 255):
        drawn = np.zeros((9, 12, 4), np.uint8)
        drawn[wanted] = colour, colour // 2, 0, 255
        drawn[0, 0] = 9, 9, 9, 100  # a soft border
        Image.fromarray(drawn).save(tmp_path / "a.png")
        assert np.array_equal(images.read_mask(tmp_path / "a.png"), wanted)
    Image.fromarray(drawn[..., [0, 3]]).save(tmp_path / "a.png")
    assert np.array_equal(images.read_mask(tmp_path / "a.png"), wanted)
    images.write(images.from_array(drawn.astype(np.uint16) * 257), tmp_path / "wide.png")
    assert np.array_equal(images.read_mask(tmp_path / "wide.png"), wanted)


def test_masks_with_a_transparency_that_says_nothing(tmp_path: Path) -> None:
    shown = np.random.default_rng(0).integers(0, 256, (9, 12), dtype=np.uint8)
    for alpha, wanted in ((255, shown > 127.5), (200, shown > 127.5), (30, np.zeros((9, 12), bool))):
        Image.fromarray(np.dstack([shown, np.full_like(shown, alpha)])).save(tmp_path / "a.png")
        assert np.array_equal(images.read_mask(tmp_path / "a.png"), wanted)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (1, 2), (200, 255), (0, 128)])
def test_masks_of_two_values(tmp_path: Path, low: int, high: int) -> None:
    wanted = np.eye(7, dtype=bool)
    Image.fromarray(np.where(wanted, high, low).astype(np.uint8)).save(tmp_path / "a.png")
    assert np.array_equal(images.read_mask(tmp_path / "a.png"), wanted)
    wide = np.where(wanted, high, low).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "b.png")
    assert np.array_equal(images.read_mask(tmp_path / "b.png"), wanted)


@pytest.mark.parametrize(("value", "all_of_it"), [(0, False), (1, False), (255, True)])
def test_masks_of_one_value(tmp_path: Path, value: int, all_of_it: bool) -> None:
    Image.new("L", (5, 4), value).save(tmp_path / "a.png")
    assert bool(images.read_mask(tmp_path / "a.png").all()) == all_of_it
    assert bool(images.read_mask(tmp_path / "a.png").any()) == all_of_it
