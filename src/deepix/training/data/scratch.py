"""A folder for what is not finished, beside where it will be: it goes with the process, or with the next one."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

_LOCK = "lock"
"""A file in the folder that its process keeps locked as long as it lives."""


class _Terminated(BaseException):
    """The process is to end (SIGTERM)."""


@contextmanager
def scratch_folder(output: Path) -> Iterator[Path]:
    """Make a hidden folder beside a file that is to be written, for the time of the block.

    It is removed when the block ends, and also when the process is terminated (SIGTERM), which then goes on. One that a
    killed process (SIGKILL) has left for the same file is removed first, and named in the log.

    Raises
    ------
    OSError : it cannot be made
    """
    _remove_left(output)
    with (
        _terminable(),
        tempfile.TemporaryDirectory(prefix=_prefix(output), dir=output.parent) as name,
        (Path(name) / _LOCK).open("wb") as lock,
    ):
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks: the folder stays if the process is killed
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Path(name)


def _prefix(output: Path) -> str:
    return f".{output.name}."


def _remove_left(output: Path) -> None:
    """Remove folders of processes that are no more."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        for folder in [p for p in output.parent.iterdir() if p.name.startswith(_prefix(output)) and p.is_dir()]:
            try:
                with (folder / _LOCK).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # not one of ours, or its process is at work
                continue
            shutil.rmtree(folder, ignore_errors=True)
            log.info("%s: removed: left by a process that was killed", folder)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the process only after the block has been left in order."""
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return

    def terminate(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, before)
        os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM) from None  # whoever handles the signal may not end the process
    finally:
        signal.signal(signal.SIGTERM, before)
