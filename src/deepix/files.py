"""Files as wholes: read at once, and written whole or not at all, never over another one unasked."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from deepix.errors import InputError, OutputError, reason

_mark: ContextVar[str] = ContextVar("deepix.files", default="")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return a file's content.

    Raises
    ------
    InputError : it cannot be read
    """
    path = Path(path)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: {reason(error)}") from error


def write_bytes(
    path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False, permissions: int = 0o666
) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    permissions : who may read and change it at most; the process's umask takes of them as usual

    Raises
    ------
    OutputError : the file exists and `overwrite` is False, or it cannot be written
    """
    path = Path(path)
    check_output(path, overwrite)
    temporary = temporary_beside(path)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, permissions), "wb") as file:
            file.write(data)
        place(temporary, path, overwrite)
    except (OSError, ValueError) as error:
        raise failure(path, error) from error
    finally:
        with suppress(OSError):  # where nothing could be written, what went wrong is said already
            temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """Return a name, in the same folder, for a file while it is written: hidden, and with the mark that holds here."""
    return path.with_name(f".deepix-{_mark.get()}{secrets.token_hex(8)}.tmp")


@contextmanager
def marked(mark: str) -> Iterator[None]:
    """Let the temporary files that are made inside be told from others, should this process be killed.

    Parameters
    ----------
    mark : letters, digits, dots; see `remove_marked`
    """
    token = _mark.set(mark)
    try:
        yield
    finally:
        _mark.reset(token)


def remove_marked(folder: Path, mark: str) -> None:
    """Remove the temporary files in a folder whose mark begins with this one: their makers must have ended."""
    for left in folder.glob(f".deepix-{mark}*.tmp"):
        left.unlink(missing_ok=True)


def place(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give a finished file, on the same file system, its name; if it keeps the old one too, the caller removes that.

    Raises
    ------
    FileExistsError : the file exists and `overwrite` is False, even if another program made it meanwhile
    OSError : as renaming does
    """
    if overwrite:
        temporary.replace(path)
        return
    try:
        path.hardlink_to(temporary)  # unlike a rename, this fails when another program made the file meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        temporary.replace(path)


def check_output(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise what `write_bytes` would for this name, so that long work need not end in it.

    Raises
    ------
    OutputError : see `check_free`; or the folder that the file is to lie in does not exist
    """
    path = Path(path)
    check_free(path, overwrite)
    if not path.parent.exists():
        raise failure(path, FileNotFoundError())
    if not path.parent.is_dir():
        raise failure(path, NotADirectoryError(f"{path.parent} is no folder"))


def check_free(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise if something lies there that must not be replaced; the folder may still be missing.

    Raises
    ------
    OutputError : a file exists there and `overwrite` is False, or something that is no regular file
    """
    path = Path(path)
    try:
        if not path.exists():
            return
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it")
        if not path.is_file():
            raise OutputError(f"{path}: not a regular file; choose another name")
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into, a NUL
        raise failure(path, error) from error
    if not overwrite:
        raise failure(path, FileExistsError())


def check_folder(path: Path) -> None:
    """Raise if a file cannot be made in this folder, which may still have to be made itself.

    Raises
    ------
    OutputError : on the way to it lies something that is no folder, or a folder that may not be written to
    """
    try:
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is no folder")
        if not os.access(there, os.W_OK):
            read_only = hasattr(os, "statvfs") and os.statvfs(there).f_flag & os.ST_RDONLY
            code = errno.EROFS if read_only else errno.EACCES
            raise OSError(code, os.strerror(code))
    except (OSError, ValueError) as error:
        raise failure(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in, unless they exist.

    Raises
    ------
    OutputError : it cannot be made
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the folder cannot be made ({reason(error)})") from error


def failure(path: Path, error: OSError | ValueError) -> OutputError:
    """Return the line for what went wrong while a file was written."""
    match error:
        case FileExistsError():
            return OutputError(f"{path}: exists already; choose another name, or allow overwriting with --overwrite")
        case FileNotFoundError():
            return OutputError(f"{path}: there is no folder {path.parent}; make it first")
    return OutputError(f"{path}: cannot be written ({reason(error)})")
