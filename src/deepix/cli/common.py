"""What the commands share: where they print, how they fail, what they say when an extra is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from deepix.errors import DeepixError

if TYPE_CHECKING:
    from rich.progress import Progress

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Print one line of error to standard error."""
    err.print(f"[bold red]error:[/] {_escape(message)}")


def note(message: str) -> None:
    """Print one line that is not a result to standard error."""
    err.print(_escape(message))


def progress_bar(shown: bool) -> Progress:
    """Return a progress bar for standard error, if that is a terminal: what is done, how much of it, the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not (shown and err.is_terminal))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a missing module of an optional extra into the line that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "deepix":
            raise
        raise DeepixError(f"this needs {error.name}: pip install 'deepix[{name}]'") from error
