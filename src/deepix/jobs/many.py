"""Many jobs: their results in order, whoever does them, and one who is told of each."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Protocol

from deepix import files, threads
from deepix.jobs import memory
from deepix.jobs.job import FindJob, JobResult, RestoreJob
from deepix.jobs.work import Unwritten, worked_on

AnyJob = FindJob | RestoreJob

PAYS = 8
"""Jobs for each worker at least, unless the user says how many workers: else starting them takes more than it saves."""
SMALL = 4_000_000
"""Pixels of a picture that is written while the next one is begun; of a larger one the memory and the result count."""
BROKEN = "WorkerError"
"""The `error_kind` of a job whose worker ended by itself each time."""


class Watch(Protocol):
    """Who is told of jobs as they begin and end, and may know their results already."""

    mark: str
    """Of this run's temporary files: see `deepix.files.marked`."""
    lock: Path | None
    """What workers hold a lock of, so that a later run can wait until they have ended."""

    def earlier(self, job: AnyJob) -> JobResult | None:
        """Return the result of a job that need not be done again."""

    def begin(self, job: AnyJob) -> AnyJob:
        """Take note that a job is about to be done; return it, perhaps allowed to overwrite what is ours."""

    def end(self, job: AnyJob, result: JobResult) -> JobResult:
        """Take note of a job's result; return it, perhaps with further notes."""


class Nobody:
    """A `Watch` that knows of nothing."""

    lock: Path | None = None

    def __init__(self) -> None:
        self.mark = secrets.token_hex(6)

    def earlier(self, job: AnyJob) -> JobResult | None:
        """Return None."""

    def begin(self, job: AnyJob) -> AnyJob:
        """Return the job."""
        return job

    def end(self, job: AnyJob, result: JobResult) -> JobResult:
        """Return the result."""
        return result


def workers_that_pay(jobs: int, most_threads: int | None = None) -> int:
    """Return how many processes so many jobs are best done by: 1 means this process.

    Parameters
    ----------
    jobs : how many there are
    most_threads : that all processes together may use; None: all cores
    """
    with threads.limit(most_threads, blas=False):
        cores = threads.count()
    if cores == 1 or jobs < 2 * PAYS:
        return 1
    return max(1, min(cores, jobs // PAYS, memory.room() // memory.needed(1_000_000)))


def results(
    jobs: Sequence[AnyJob],
    workers: int,
    *,
    watch: Watch | None = None,
    room: int | None = None,
    work_on: Callable[[AnyJob], Unwritten] = worked_on,
) -> Generator[JobResult, None, None]:
    """Do jobs; yields their results in order.

    When the iterator has ended, is closed, or has raised an error, no process is left, and no temporary file.

    Parameters
    ----------
    jobs : what to do
    workers : processes at most; with 1, and for a single job, this process does them
    watch : is told of each job
    room : bytes of memory that the workers may take together; None: `deepix.jobs.memory.room`
    work_on : what does a job in this process, but for what is to be written

    Raises
    ------
    DeepixError : no process can be started, or processes end again and again
    """
    watch = watch or Nobody()
    if min(workers, len(jobs)) > 1:
        from deepix.jobs.crew import by_workers  # not needed for a single picture, and its imports take time

        yield from by_workers(jobs, min(workers, len(jobs)), watch, memory.room() if room is None else room)
        return
    yield from _in_turn(jobs, watch, work_on)


def _in_turn(
    jobs: Sequence[AnyJob], watch: Watch, work_on: Callable[[AnyJob], Unwritten]
) -> Generator[JobResult, None, None]:
    """Do jobs one after the other, each small picture being written while the next one is worked on."""
    with threads.limit(jobs[0].options.threads if jobs else None, blas=False):
        pool = threads.pool(1)
    with pool:
        writing: Callable[[], JobResult] | None = None
        for job in jobs:
            result = watch.earlier(job)
            if result is None:
                begun = watch.begin(job)
                try:
                    with files.marked(f"{watch.mark}."):
                        done = work_on(begun)
                except KeyboardInterrupt:
                    if writing is not None:
                        yield writing()  # what is done counts
                    raise
            if writing is not None:
                yield writing()
                writing = None
            if result is not None:
                yield result
                continue
            with files.marked(f"{watch.mark}."):
                written = pool.submit(done.written)
            writing = partial(_ended, watch, begun, written)
            if job is jobs[-1] or done.write is None or math.prod(done.result.size or ()) > SMALL:
                yield writing()
                writing = None


def _ended(watch: Watch, job: AnyJob, written: Future[JobResult]) -> JobResult:
    return watch.end(job, written.result())
