"""Jobs by several worker processes: results in the jobs' order, memory bounded, broken workers replaced.

Each worker loads the models once. The threads that may be used are divided among the workers. A picture waits until
there is room for it in memory beside those that are being worked on; one that is larger than all of it comes alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deepix import files, threads
from deepix.errors import DeepixError
from deepix.jobs import locks, memory
from deepix.jobs.job import JobResult
from deepix.jobs.many import BROKEN, AnyJob, Watch
from deepix.jobs.work import pixels_of, run, targets_of
from deepix.processes import Gone, Team, Worker, ready

AHEAD = 16
"""Results for each worker that may wait for an earlier one."""
TRIES = 2
"""How often a job is tried whose worker ends by itself."""
DEATHS = 12
"""So many workers that end one after the other, without a single result in between, are no matter of the pictures."""


def by_workers(
    jobs: Sequence[AnyJob], workers: int, watch: Watch, room: int, work: Callable[..., JobResult] | None = None
) -> Generator[JobResult, None, None]:
    """Do jobs by this many workers, in so many bytes of memory; yields their results in order; see `many.results`.

    Parameters
    ----------
    jobs, workers, watch, room : as there
    work : what workers do; None: `do`
    """
    with threads.limit(jobs[0].options.threads, blas=False):
        share = max(1, threads.count() // workers)
    crew = None
    try:
        with Team(partial(work or do, share=share, mark=watch.mark, lock=watch.lock)) as team:
            crew = _Crew(team, workers, watch, room)
            for number, job in enumerate(jobs):
                result = watch.earlier(job)
                need = 0 if result else memory.needed(pixels_of(job))
                while not crew.may_begin(number, need):
                    crew.collect()
                    yield from crew.due()
                if result:
                    crew.results[number] = result
                else:
                    crew.begin(number, job, need)
                yield from crew.due()
            while crew.at_work:
                crew.collect()
                yield from crew.due()
    finally:
        if crew is not None:
            for task in crew.at_work.values():  # their workers were ended
                _tidy(task.job, watch.mark)


@dataclass
class _Task:
    """A job at work.

    Attributes
    ----------
    number : its place among all
    again : the job as it is to be tried again
    need : bytes
    tries : how often it was given to a worker
    """

    number: int
    job: AnyJob
    again: AnyJob
    need: int
    tries: int = 0


class _Crew:
    """Workers, what each works on, and results that wait for earlier ones."""

    def __init__(self, team: Team[AnyJob, JobResult], most: int, watch: Watch, room: int) -> None:
        self._team, self._most, self._watch, self._room = team, most, watch, room
        self._idle: list[Worker[AnyJob, JobResult]] = []
        self._next = 0
        self._deaths = 0
        self.at_work: dict[Worker[AnyJob, JobResult], _Task] = {}
        self.results: dict[int, JobResult] = {}

    def may_begin(self, number: int, need: int) -> bool:
        """Whether there is a worker for this job, and room; or nothing that could be waited for."""
        if not self.at_work:
            return True
        taken = sum(task.need for task in self.at_work.values())
        ahead = number - self._next >= AHEAD * self._most
        return not ahead and len(self.at_work) < self._most and taken + need <= self._room

    def begin(self, number: int, job: AnyJob, need: int) -> None:
        """Let a worker do a job."""
        begun = self._watch.begin(job)
        # what the worker leaves, should it end, is ours if nothing was there before
        again = replace(begun, overwrite=begun.overwrite or not _any_there(begun))
        self._give(_Task(number, begun, again, need))

    def _give(self, task: _Task) -> None:
        while True:
            worker = self._idle.pop() if self._idle else self._team.start()
            task.tries += 1
            self.at_work[worker] = task
            try:
                worker.send(task.job)
            except Gone as gone:
                if not self._lost(worker, gone):
                    return
            else:
                return

    def collect(self) -> None:
        """Wait for at least one result, or for a worker to end."""
        for worker in ready(list(self.at_work)):
            try:
                result = worker.receive()
            except Gone as gone:
                task = self.at_work[worker]
                if self._lost(worker, gone):
                    self._give(task)
                continue
            self._deaths = 0
            task = self.at_work.pop(worker)
            self._idle.append(worker)
            self.results[task.number] = self._watch.end(task.job, result)

    def _lost(self, worker: Worker[AnyJob, JobResult], gone: Gone) -> bool:
        """Take note of a worker that ended by itself; return whether its job is to be tried again."""
        task = self.at_work.pop(worker)
        _tidy(task.job, f"{self._watch.mark}.{worker.pid}.")
        self._deaths += 1
        if self._deaths >= DEATHS:
            raise DeepixError(
                f"worker processes end again and again ({gone}), perhaps out of memory; use fewer: --workers 1"
            )
        if task.tries < TRIES:
            task.job = task.again
            return True
        error = f"{task.job.source}: the process that worked on it ended {TRIES} times ({gone}), perhaps out of memory"
        result = JobResult(source=task.job.source, status="failed", error=error, error_kind=BROKEN)
        self.results[task.number] = self._watch.end(task.job, result)
        return False

    def due(self) -> Iterator[JobResult]:
        """Yield the results that wait for no earlier one any more."""
        while self._next in self.results:
            yield self.results.pop(self._next)
            self._next += 1


def _any_there(job: AnyJob) -> bool:
    try:
        return any(os.path.lexists(path) for path in targets_of(job).values())
    except DeepixError:
        return False


def _tidy(job: AnyJob, mark: str) -> None:
    """Remove what a worker that has ended left half-written."""
    for folder in {path.parent for path in job.named.values()}:
        files.remove_marked(folder, mark)


_held: list[object] = []
"""The lock that this worker holds as long as it lives."""


def do(job: AnyJob, *, share: int, mark: str, lock: Path | None) -> JobResult:
    """Do a job in a worker."""
    if lock is not None and not _held:
        _held.append(locks.share(lock))
    with threads.limit(share), files.marked(f"{mark}.{os.getpid()}."):
        return run(job)
