"""Reading the challenge's files, with bounds: what cannot be one of them is refused before it takes memory or time."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from deepix.errors import InputError, reason

MOST = 1 << 17
"""Pictures of a file at most: twenty times as many as the challenge's own test set has."""
MOST_BYTES = 2 << 30
"""Bytes of a file at most: twice what `MOST` pictures of a test set take."""


def read_bytes(path: str | Path) -> bytes:
    """Return a regular file's content.

    Raises
    ------
    InputError : it cannot be read, is not a regular file (a pipe or a device may never end), or is too large
    """
    try:
        with _open_regular(path) as file:
            # nothing, where the system makes up the content as it is read (/proc)
            return file.read(os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: {reason(error)}") from error


def _open_regular(path: str | Path) -> BinaryIO:
    # not blocking: a pipe that nobody writes to is opened at once, too
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise InputError(f"{path}: is a folder; name a file in it")
            raise InputError(f"{path}: not a regular file; save its content to one first")
        if status.st_size > MOST_BYTES:
            most = f"{MOST_BYTES:,} at most"
            raise InputError(f"{path}: {status.st_size:,} bytes are more than a file of the challenge has ({most})")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_count(path: str | Path, count: int, what: str = "pictures") -> None:
    """Refuse a file that says it holds more pictures than any of the challenge.

    Raises
    ------
    InputError : there are more than `MOST`
    """
    if count > MOST:
        raise InputError(f"{path}: {count:,} {what} are more than a file of the challenge holds ({MOST:,} at most)")
