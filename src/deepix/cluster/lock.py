"""One run at a time on a folder, wherever it is.

On a disk that is a lock of the system's, which ends with its process. An object store has none: there a small file is
written anew every few seconds, and one that stays as it is for long is of a run that was killed.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deepix import files
from deepix.cluster.storage import Folder
from deepix.errors import OutputError, reason
from deepix.jobs import locks

NAME = ".deepix-lock"
BEAT = 5.0
"""Seconds after which the file is written anew."""
BEATS = 4
"""So many without a new file, and the run that wrote it has ended."""


class Lock:
    """A folder's lock, held by this run.

    Attributes
    ----------
    lost : another run has taken it, as from this one nothing was heard for long
    """

    lost = False


@contextmanager
def held(folder: Folder) -> Iterator[Lock]:
    """Keep other runs from a folder while the block is at work.

    Of an object store, where a killed run has left its file, it takes some seconds to see that nobody writes it.

    Raises
    ------
    OutputError : another run uses the folder, or it cannot be written to
    """
    if folder.local is None:
        with _beating(folder) as lock:
            yield lock
        return
    path = folder.local / NAME
    files.make_folder(path.parent)
    try:
        descriptor = locks.open_alone(path)
    except OSError as error:
        raise files.failure(path, error) from error
    try:
        yield Lock()
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def _beating(folder: Folder) -> Iterator[Lock]:
    run = secrets.token_hex(8)
    try:
        _take(folder, run)
    except OutputError:
        raise
    except Exception as error:  # each store has errors of its own
        raise OutputError(f"{folder.named(NAME)}: cannot be written ({reason(error)})") from error
    lock, end = Lock(), threading.Event()
    heart = threading.Thread(target=_beat, args=(folder, run, lock, end), daemon=True)
    heart.start()
    try:
        yield lock
    finally:
        end.set()
        heart.join()
        if not lock.lost:
            folder.remove(NAME)


def _take(folder: Folder, run: str) -> None:
    """Write the file, once it is free, or whoever wrote it does no more."""
    while not folder.create(NAME, _said(run)):
        seen = folder.read(NAME)
        for _ in range(BEATS):
            time.sleep(BEAT)
            now = folder.read(NAME)
            if now is not None and now != seen:
                raise OutputError(f"{folder.named(NAME)}: another run is using it; wait until it has ended")
        if seen is not None:
            folder.remove(NAME)


def _beat(folder: Folder, run: str, lock: Lock, end: threading.Event) -> None:
    while not end.wait(BEAT):
        with suppress(Exception):  # the next one may come through; should another run be faster, that is seen then
            if (there := folder.read(NAME)) is not None and not there.startswith(run.encode()):
                lock.lost = True
                return
            folder.store(NAME, _said(run), overwrite=True)


def _said(run: str) -> bytes:
    return f"{run} {time.time_ns()}\n".encode()
