"""What the commands share: where they print, how they fail, what they say when an extra is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions

from deepix.errors import DeepixError

if TYPE_CHECKING:
    from rich.progress import Progress

UNBOUNDED = 1 << 20
"""Columns of an output that is no terminal: nothing is wrapped or cut there, so that programs see names whole."""


class _Console(Console):
    @property
    def size(self) -> ConsoleDimensions:
        size = super().size
        return size if self.is_terminal else ConsoleDimensions(UNBOUNDED, size.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Print one line of error to standard error."""
    err.print(f"[bold red]error:[/] {_escape(message)}")


def note(message: str) -> None:
    """Print one line that is not a result to standard error."""
    err.print(_escape(message))


class _Lines(logging.Handler):
    """Prints each record as a line of standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if record.levelno >= logging.ERROR:
                fail(text)
            else:
                note(text)
        except Exception:
            self.handleError(record)


@contextmanager
def show_log(quiet: bool = False, *, verbose: bool = False) -> Iterator[None]:
    """Print what the loggers "deepix.…" report, while the block runs, to standard error.

    Parameters
    ----------
    quiet : only errors
    verbose : also what helps to find a fault (level DEBUG); otherwise from INFO on. `quiet` goes first
    """
    logger = logging.getLogger("deepix")
    before = logger.level
    # a command that calls another one's function must not print everything twice
    handler = None if any(isinstance(h, _Lines) for h in logger.handlers) else _Lines()
    if handler:
        logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        if handler:
            logger.removeHandler(handler)


def progress_bar(shown: bool) -> Progress:
    """Return a progress bar for standard error, if that is a terminal: what is done, how fast, the time left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not (shown and err.is_terminal))


def count(number: int, thing: str) -> str:
    """Return "1 thing", "2 things"."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _escape(text: str) -> str:
    """Return text as one line: what names of files may hold besides is shown as Python writes it."""
    from rich.markup import escape

    return escape(text.translate(_CONTROL))


_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a missing module of an optional extra into the line that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "deepix":
            raise
        raise DeepixError(f"this needs {error.name}: pip install 'deepix[{name}]'") from error
