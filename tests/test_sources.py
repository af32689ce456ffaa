"""Sources of pictures are bounded: what states or has an unheard-of size costs one line."""

from __future__ import annotations

import io
import os
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepix import sources
from deepix.errors import InputError


def photo() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.png", "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(bytes(1 << 20))
        archive.writestr("b.png", photo())


def tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = sources.MAX_BYTES + 1
        with Path("/dev/zero").open("rb") as endless:
            archive.addfile(info, endless)
        info = tarfile.TarInfo("b.png")
        info.size = len(photo())
        archive.addfile(info, io.BytesIO(photo()))


def in_folder(path: Path) -> None:
    path.mkdir()
    with (path / "a.png").open("wb") as file:
        file.truncate(sources.MAX_BYTES + 1)
    (path / "b.png").write_bytes(photo())
    os.mkfifo(path / "pipe.png")


@pytest.mark.parametrize(("name", "make"), [("in.zip", zipped), ("in.tgz", tarred), ("folder", in_folder)])
def test_what_is_too_large_is_named_and_not_read(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    path = tmp_path / name
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = {}
    for item in sources.read(path).items:
        try:
            loaded[item.name] = item.load()
        except InputError as error:
            loaded[item.name] = error
    first, second = loaded.values()
    assert isinstance(first, InputError)
    assert str(first).startswith(next(iter(loaded)))
    assert "at most 256 MiB" in str(first)
    assert "\n" not in str(first)
    assert second == photo()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_member_that_states_too_little_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1 << 20))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 1000)))
    (item,) = sources.read(path).items
    with pytest.raises(InputError, match="cannot be read"):
        item.load()


@pytest.mark.parametrize("suffix", ["", ".png", ".npy", ".npz", ".bin", ".zip", ".tar"])
def test_pipes_and_devices_are_no_sources(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    for path in (tmp_path / f"pipe{suffix}", Path("/dev/zero")):
        with pytest.raises(InputError, match="neither a folder nor a regular file") as error:
            sources.read(path)
        assert str(error.value).startswith(f"{path}: ")


def test_an_array_that_states_more_than_it_holds(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (2**30, 2**12, 2**12)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    (tmp_path / "a.npy").write_bytes(header.getvalue())
    for name in ("a.npz", "a.npy"):
        with pytest.raises(InputError, match=r"cannot be read|larger than the memory") as error:
            sources.read(tmp_path / name)
        assert "\n" not in str(error.value)
