"""Which files are meant, and which pixels a mask names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_cases import one_line
from PIL import Image

from deepix import images
from deepix.errors import InputError


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
    with pytest.raises(InputError, match="both the transparency and the colours vary") as error:
        images.read_mask(tmp_path / "c.png")
    one_line(error, tmp_path / "c.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "d.tif")
    with pytest.raises(InputError, match="not CMYK"):
        images.read_mask(tmp_path / "d.tif")
