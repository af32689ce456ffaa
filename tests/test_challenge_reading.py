"""The challenge's files when they are no files, or would be too large: refused at once, by name."""

from __future__ import annotations

import os
import pickle
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from challenge_cases import as_dict, examples

from deepix import challenge
from deepix.challenge import reading, sets
from deepix.challenge.reading import MOST, read_bytes
from deepix.errors import InputError, OutputError

READERS: tuple[Callable[[Path], object], ...] = (
    challenge.prepare,
    challenge.read_examples,
    challenge.read_submission,
    challenge.read_task,
    challenge.read_test_set,
    challenge.read_truths,
    challenge.inspect,
)


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("read", READERS)
def test_a_pipe_is_refused_without_waiting_for_someone_to_write(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(read, tmp_path / "pipe") == "not a regular file; save its content to one first"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no devices with names")
@pytest.mark.parametrize("read", READERS)
def test_devices_and_made_up_files_are_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    assert refusal(read, Path("/dev/zero")) == "not a regular file; save its content to one first"
    assert refusal(read, tmp_path) == "is a folder; name a file in it"
    if sys.platform == "linux":
        refusal(read, Path("/proc/cpuinfo"))


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_too_large_is_not_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(reading.MOST_BYTES + 1)  # it takes no place on the disk
    tracemalloc.start()
    assert refusal(read, path).startswith("2,147,483,649 bytes are more than a file of the challenge has")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_regular_files_are_read_whole(tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    assert read_bytes(tmp_path / "file") == content
    with pytest.raises(InputError, match="No such file"):
        read_bytes(tmp_path / "none")
    with pytest.raises(InputError, match="null"):
        read_bytes("a\0b")


def npz(path: Path, **shapes: tuple[int, ...]) -> Path:
    """Write zeros of these shapes; a thousandth of their size, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                kind = "|u1" if name == "images" else "<i2"
                header = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                rest = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
                while rest:
                    part = min(rest, 1 << 24)
                    member.write(bytes(part))
                    rest -= part
    return path


def test_an_archive_that_unpacks_to_more_is_refused_before(tmp_path: Path) -> None:
    path = npz(tmp_path / "bomb.npz", images=(1 << 18, 64, 64), params=(1, 5))
    assert path.stat().st_size < 1 << 23
    tracemalloc.start()
    assert refusal(challenge.read_examples, path).startswith("unpacks to 1,073,742,090 bytes; it may hold 131,072")
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


def test_members_that_nobody_asks_for_are_not_unpacked(tmp_path: Path) -> None:
    made = examples(2)
    challenge.write_examples(tmp_path / "truth.npz", made.images, made.mosaics)
    npz(tmp_path / "more.npz", other=(1 << 26,))
    with zipfile.ZipFile(tmp_path / "truth.npz", "a") as archive, zipfile.ZipFile(tmp_path / "more.npz") as more:
        archive.writestr("other.npy", more.read("other.npy"), zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    np.testing.assert_array_equal(challenge.read_examples(tmp_path / "truth.npz").images, made.images)
    assert tracemalloc.get_traced_memory()[1] < 1 << 25
    tracemalloc.stop()


def test_one_picture_shown_too_often_is_refused(tmp_path: Path) -> None:
    """A few bytes that refer to the same array again and again would become gigabytes."""
    path = npz(tmp_path / "params.npz", images=(1, 64, 64), params=(MOST + 1, 5), index=(MOST + 1,))
    assert "131,073 pictures are more than a file of the challenge holds" in refusal(challenge.read_examples, path)

    content = as_dict(examples(1))
    often = {name: (arrays[0],) * (MOST + 1) for name, arrays in content.items()}
    path = tmp_path / "test_set.pkl"
    path.write_bytes(pickle.dumps(often, 4))
    assert path.stat().st_size < 1 << 20
    said = refusal(challenge.read_test_set, path)
    assert said == "'pixelated_images': 131,073 pictures are more than a file of the challenge holds (131,072 at most)"
    path.write_bytes(pickle.dumps([np.zeros(4, np.uint8)] * (MOST + 1), 4))
    assert "131,073 pictures" in refusal(challenge.read_truths, path)


def test_a_submission_of_too_many_predictions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "submission").write_bytes(b"\1" + b"\0\7" * (MOST + 1))
    assert "more than 131,072 predictions" in refusal(challenge.read_submission, tmp_path / "submission")


def test_what_could_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MOST", 4)
    made = examples(5)
    for write in (
        lambda: challenge.write_examples(tmp_path / "x", made.images, made.mosaics),
        lambda: challenge.write_test_set(tmp_path / "x", made.test_set()),
    ):
        with pytest.raises(OutputError, match="x: 5 pictures are more than"):
            write()
    assert not (tmp_path / "x").exists()
