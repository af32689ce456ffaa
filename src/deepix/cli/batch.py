"""Jobs one after the other, as a person or a program at the console sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepix.cli.common import err, fail, note, progress_bar
from deepix.errors import InputError

if TYPE_CHECKING:
    from deepix.jobs import FindJob, JobResult, RestoreJob
    from deepix.jobs.inputs import Listing


@dataclass(frozen=True)
class Shown:
    """What is printed.

    Attributes
    ----------
    done : what the summary calls what was done
    line : a result's line; empty for none
    as_json, quiet, verbose : as the options say
    """

    done: str
    line: Callable[[JobResult], str]
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def work(
    listing: Listing,
    jobs: Sequence[FindJob | RestoreJob],
    shown: Shown,
    finish: Callable[[], None] = lambda: None,
) -> None:
    """Do jobs one by one under a progress bar; what fails is named, and the others are still done.

    Parameters
    ----------
    listing : where the jobs come from: what was met besides is named first
    jobs : what to do
    shown : what is printed
    finish : called at the end, before the summary, where a person looks on

    Raises
    ------
    InputError : the only thing that was named cannot be used
    Exit : something failed (code 1), or the user interrupted it (code 130)
    """
    from deepix.jobs import run

    tally = _Tally(listing, len(jobs), shown)
    tally.tell_what_was_met()
    try:
        with progress_bar(not shown.quiet and len(jobs) > 1) as progress:
            task = progress.add_task("", total=len(jobs))
            for job in jobs:
                progress.update(task, description=job.source.name)
                tally.add(run(job))
                progress.advance(task)
    except KeyboardInterrupt:
        fail(f"interrupted: {tally}" if len(jobs) > 1 else f"interrupted: {label(jobs[0].source)} is not done")
        raise typer.Exit(130) from None
    if not shown.as_json and not shown.quiet:
        finish()
        if len(jobs) != 1 or listing.passed_over or listing.failed:
            note(str(tally))
    if tally.failed:
        raise typer.Exit(1)


def label(path: Path, stream: str = "input") -> str:
    """Return what messages call a file; `-` is the standard input, or output."""
    return f"standard {stream}" if str(path) == "-" else str(path)


class _Tally:
    """Prints what became of each file, and counts."""

    def __init__(self, listing: Listing, jobs: int, shown: Shown) -> None:
        self._listing = listing
        self._jobs = jobs
        self._shown = shown
        self._done = self._nothing = self.failed = 0

    def __str__(self) -> str:
        text = f"{self._done} {self._shown.done}, {self._nothing} with nothing pixelated, {self.failed} failed"
        if passed_over := len(self._listing.passed_over):
            text += f", {passed_over} passed over"
        left = self._jobs + len(self._listing.failed) - self._done - self._nothing - self.failed
        return text + (f", {left} not done" if left else "")

    def tell_what_was_met(self) -> None:
        """Name what is passed over, or cannot be used."""
        if not self._shown.quiet:
            for path, why in self._listing.passed_over:
                note(f"{path}: passed over: {why}")
        if not self._jobs and len(self._listing.failed) == 1:
            raise InputError("{}: {}".format(*self._listing.failed[0]))
        for path, why in self._listing.failed:
            self._fail(path, f"{path}: {why}")

    def add(self, result: JobResult) -> None:
        """Print and count one result."""
        if result.error is not None:
            self._fail(result.source, result.error, result.traceback)
            return
        name = label(result.source)
        self._done += bool(result.mosaics)
        self._nothing += not result.mosaics
        if self._shown.as_json:
            typer.echo(json.dumps(result.to_dict()))
        elif not self._shown.quiet:
            details = [_described(m.to_dict()) for m in result.mosaics] if self._shown.verbose else []
            for text in (self._shown.line(result), *(f"{name}: {n}" for n in result.notes), *details):
                if text:
                    note(text)

    def _fail(self, source: Path, error: str, traceback: str | None = None) -> None:
        self.failed += 1
        fail(error if traceback is None else f"{label(source)}: unexpected {error} (--verbose shows where)")
        if traceback and self._shown.verbose:
            err.print(traceback, markup=False)
        if self._shown.as_json:
            typer.echo(json.dumps({"input": str(source), "error": error}))


def _described(m: dict[str, Any]) -> str:
    (x, y, width, height), grid = m["area"], m["grid"]
    cell = f"cells of {grid['cell_width']:.4g} x {grid['cell_height']:.4g} from {grid['x']:.5g}, {grid['y']:.5g}"
    return f"  {width} x {height} at {x}, {y}: {cell}, confidence {m['confidence']:.2f}"
