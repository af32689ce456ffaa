"""Many jobs, as a person or a program at the console sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepix.cli.common import count, err, fail, note, progress_bar
from deepix.errors import InputError

if TYPE_CHECKING:
    from deepix.jobs import FindJob, JobResult, RestoreJob
    from deepix.jobs.inputs import Listing
    from deepix.jobs.manifest import Manifest


@dataclass(frozen=True)
class Shown:
    """What is printed.

    Attributes
    ----------
    done : what the summary calls what was done
    line : a result's line; empty for none
    as_json, quiet, verbose, summary : as the options say
    again : also the line of what an earlier run has done
    """

    done: str
    line: Callable[[JobResult], str]
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    summary: bool = False
    again: bool = False


@dataclass(frozen=True)
class Course:
    """How the work is gone about.

    Attributes
    ----------
    verb : what is done: "restore" or "find"
    workers : processes; None: as many as pay
    manifest : where what became of each file is written down; None: nowhere
    resume : go on with what the manifest says
    overwrite : or replace it
    max_errors : stop after so many; None: never
    """

    verb: str
    workers: int | None = None
    manifest: Path | None = None
    resume: bool = False
    overwrite: bool = False
    max_errors: int | None = None


def work(
    listing: Listing,
    jobs: Sequence[FindJob | RestoreJob],
    shown: Shown,
    course: Course,
    finish: Callable[[], None] = lambda: None,
) -> None:
    """Do jobs under a progress bar; what fails is named, and the others are still done.

    Parameters
    ----------
    listing : where the jobs come from: what was met besides is named first
    jobs : what to do
    shown : what is printed
    course : how it is gone about
    finish : called at the end, before the summary, where a person looks on

    Raises
    ------
    InputError : the only thing that was named cannot be used
    Exit : something failed (code 1), or the user interrupted it (code 130)
    """
    tally = _Tally(listing, len(jobs), shown)
    tally.tell_what_was_met()
    try:
        with _manifest(listing, jobs, course) as manifest:
            _work(jobs, shown, course, manifest, tally)
    except KeyboardInterrupt:
        if len(jobs) == 1:
            fail(f"interrupted: {label(jobs[0].source)} is not done")
        else:
            fail(f"interrupted: {tally}" + ("; go on with --resume" if course.manifest else ""))
        raise typer.Exit(130) from None
    if not shown.as_json and not shown.quiet:
        finish()
        if len(jobs) != 1 or listing.passed_over or listing.failed:
            note(str(tally))
    if shown.summary:
        typer.echo(json.dumps({"summary": tally.to_dict()}))
    if tally.failed:
        raise typer.Exit(1)


def _work(
    jobs: Sequence[FindJob | RestoreJob], shown: Shown, course: Course, manifest: Manifest | None, tally: _Tally
) -> None:
    """Do jobs, and add their results to the tally."""
    from deepix.jobs import many, worked_on

    workers = course.workers
    if workers is None:
        workers = many.workers_that_pay(len(jobs), jobs[0].options.threads) if len(jobs) > 1 else 1
    with (
        closing(_shown(jobs, not shown.quiet and len(jobs) > 1)) as coming,
        closing(many.results(jobs, workers, watch=manifest, work_on=worked_on)) as results,
    ):
        for _ in coming:
            if course.max_errors is not None and tally.failed >= course.max_errors:
                fail(f"stopped after {count(tally.failed, 'error')}, as --max-errors says")
                break
            tally.add(next(results))


def _shown(jobs: Sequence[FindJob | RestoreJob], shown: bool) -> Generator[FindJob | RestoreJob]:
    """Yield jobs, on a terminal with a progress bar that names the one at work."""
    if not (shown and err.is_terminal):  # the bar's modules cost a hundredth of a second
        yield from jobs
        return
    with progress_bar(shown) as progress:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=job.source.name)
            yield job
            progress.advance(task)


@contextmanager
def _manifest(listing: Listing, jobs: Sequence[FindJob | RestoreJob], course: Course) -> Iterator[Manifest | None]:
    """Open the manifest, if there is to be one, and put it in order if all has been done at the end."""
    if course.manifest is None:
        yield None
        return
    from deepix.jobs.manifest import Manifest

    with Manifest(course.manifest, course.verb, resume=course.resume, overwrite=course.overwrite) as manifest:
        for path, why in listing.passed_over:
            manifest.met(path, "passed over", why)
        for path, why in listing.failed:
            manifest.met(path, "failed", why)
        yield manifest
        if manifest.complete(job.source for job in jobs):
            others = (path for path, _ in (*listing.passed_over, *listing.failed))
            manifest.finish([*(job.source for job in jobs), *others])


def of_other_cells(notes: Iterable[str]) -> bool:
    """Whether a note says that cells were seen which cannot be restored: naming an area would not help."""
    from deepix.pipeline import OTHER_CELLS

    return any(OTHER_CELLS in said for said in notes)


def label(path: Path, stream: str = "input") -> str:
    """Return what messages call a file; `-` is the standard input, or output."""
    return f"standard {stream}" if str(path) == "-" else str(path)


class _Tally:
    """Prints what became of each file, and counts."""

    def __init__(self, listing: Listing, jobs: int, shown: Shown) -> None:
        self._listing = listing
        self._jobs = jobs
        self._shown = shown
        self._done = self._nothing = self._unsure = self._earlier = self.failed = 0

    def __str__(self) -> str:
        text = f"{self._done} {self._shown.done}, {self._nothing} with nothing pixelated, {self.failed} failed"
        for number, what in (
            (self._unsure, "not sure enough"),
            (len(self._listing.passed_over), "passed over"),
            (self._left, "not done"),
        ):
            text += f", {number} {what}" if number else ""
        return text + (f" ({self._earlier} of these by an earlier run)" if self._earlier else "")

    def to_dict(self) -> dict[str, int]:
        """Return the counts as `--summary` prints them."""
        return {
            "done": self._done,
            "nothing": self._nothing,
            "unsure": self._unsure,
            "failed": self.failed,
            "passed_over": len(self._listing.passed_over),
            "not_done": self._left,
            "earlier": self._earlier,
        }

    @property
    def _left(self) -> int:
        met = self._jobs + len(self._listing.failed)
        return met - self._done - self._nothing - self._unsure - self.failed

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
        """Print and count one result; of what an earlier run has done, unless asked, only what gave no result."""
        self._earlier += result.earlier
        if result.error is not None:
            self._fail(result.source, result.error, result.traceback)
            return
        name = label(result.source)
        self._done += bool(result.mosaics)
        self._unsure += not result.mosaics and result.status == "unsure"
        self._nothing += not result.mosaics and result.status != "unsure"
        if self._shown.as_json:
            typer.echo(json.dumps(result.to_dict()))
        elif not self._shown.quiet and (self._shown.again or not (result.earlier and result.mosaics)):
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
