"""Writing files whole or not at all; more of it through pictures, in test_images.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deepix import files
from deepix.errors import InputError, OutputError, reason


def test_files_are_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_bytes(path, b"one")
    with pytest.raises(OutputError, match=r"file: exists already; .*--overwrite"):
        files.write_bytes(path, b"two")
    assert files.read_bytes(path) == b"one"
    files.write_bytes(path, b"two", overwrite=True)
    assert files.read_bytes(path) == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "is a folder"), ("none/file", "there is no folder .*none"), ("file/x", "cannot be written .*no folder")],
)
def test_what_no_file_can_be_written_to_is_said_beforehand(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for call in (lambda p: files.check_output(p, True), lambda p: files.write_bytes(p, b"", overwrite=True)):
        with pytest.raises(OutputError, match=message) as caught:
            call(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_is_no_hindrance_where_it_will_be_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    files.check_free(path, False)
    files.make_folder(path.parent)
    files.write_bytes(path, b"x")
    with pytest.raises(OutputError, match="the folder cannot be made"):
        files.make_folder(path / "below")


def test_a_folder_that_cannot_be_written_to_is_said_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.check_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file is no folder"):
        files.check_folder(tmp_path / "file" / "b")
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(OutputError, match=r"a: cannot be written \((Permission denied|Read-only file system)\)"):
        files.check_folder(tmp_path / "a")


def test_a_read_only_file_system_is_said_although_nothing_can_be_removed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)  # as Linux does, also of what is not there
    with pytest.raises(OutputError, match=r"x: cannot be written \(Read-only file system\)"):
        files.write_bytes(tmp_path / "x", b"")


@pytest.mark.parametrize("name", ["none", ".", "n\0ul"])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r": .") as caught:
        files.read_bytes(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_reasons_are_one_short_line() -> None:
    assert reason(ValueError("a\n  b")) == "a b"
    assert reason(ValueError()) == "ValueError"
    assert reason(FileNotFoundError(2, "No such file", "name")) == "No such file"
    assert len(reason(ValueError("x" * 1000))) == 200
