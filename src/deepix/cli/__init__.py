"""The command line: one thin command per verb; what a verb does lives in the module it calls.

A verb's module is imported when it is wanted, and heavy modules inside the commands, so that nobody waits for others'.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import deepix
from deepix.cli.common import fail
from deepix.cli.verbs import Verbs
from deepix.errors import DeepixError, reason

app = typer.Typer(
    cls=Verbs,
    help="Restore the pixelated parts of a picture.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepix {deepix.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a `DeepixError`, or the system's, becomes one line and exit code 1."""
    _open_streams()
    try:
        app()
    except DeepixError as error:
        fail(str(error))
        _leave(1)
    except OSError as error:  # of what is written to no file of ours, on a full disk
        with suppress(OSError):
            fail(f"{error.filename or 'the output'}: {reason(error)}")
        _leave(1)
    except KeyboardInterrupt:
        fail("interrupted")
        _leave(130)
    except SystemExit as ended:
        if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
            fail("interrupted")
        if isinstance(ended.code, int):
            _leave(ended.code)
        raise


class _Closed(io.TextIOBase):
    """What a closed standard output is: nothing can be written to it."""

    def write(self, text: str | bytes) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def writable(self) -> bool:
        return True

    @property
    def buffer(self) -> _Closed:
        """Itself: bytes can be written to it no more than text."""
        return self


def _open_streams() -> None:
    """Make the standard streams fit for whatever names files have, and for having been closed by the shell.

    A descriptor that is closed would be given to the next file that is opened: what a library writes to standard error
    would end in it.
    """
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _leave(code: int) -> NoReturn:
    """End the process, without taking apart what was imported: that took a fifth of a second of a small picture's two.

    Training, which has workers and open files, ends as usual; so does a command whose output cannot be written, or that
    has children or threads at work.
    """
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        if "torch" not in sys.modules and not _at_work():
            os._exit(code)
    sys.exit(code)


def _at_work() -> bool:
    """Whether there are child processes, or threads that are waited for at the end."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.active_children():
        return True
    return any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate())
