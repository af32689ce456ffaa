"""Files that one run at a time uses, and that a later one can wait for the workers of an earlier one with."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from deepix.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: nobody is kept from using one file twice
    fcntl = None  # type: ignore[assignment]


def open_alone(path: Path) -> int:
    """Open a file to add to it, made if need be, and lock it until it is closed or this process ends.

    Raises
    ------
    OutputError : another run uses it
    OSError : it cannot be opened
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if fcntl is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError:
            os.close(descriptor)
            raise OutputError(f"{path}: another run is using it; wait until it has ended") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # the run that used it has removed it, or put another file in its place


def share(path: Path) -> int:
    """Hold a lock of a file's for as long as this process lives, which the next run waits for."""
    descriptor = os.open(path, os.O_RDONLY)
    if fcntl is not None:
        fcntl.lockf(descriptor, fcntl.LOCK_SH, 1, 1)
    return descriptor


def wait_for_workers(descriptor: int) -> None:
    """Wait until the workers of a run that was killed have ended, which they do at once."""
    if fcntl is not None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, 1)
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, 1)
