"""What a process of the cluster does with a picture: the same work as on one machine, between two folders anywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepix import files, threads
from deepix.cluster.plan import Plan, Task, job_of
from deepix.errors import DeepixError
from deepix.jobs import JobResult, run


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    name : of the picture, below the source
    result : its record: see `deepix.jobs.JobResult.to_record`
    report : what `--json` prints of it
    written : what was written below the target, by what it is
    traceback : where an unexpected error arose
    """

    name: str
    result: Mapping[str, Any]
    report: Mapping[str, Any]
    written: Mapping[str, str]
    traceback: str | None = None

    @property
    def error(self) -> str | None:
        """What went wrong, on one line."""
        said: str | None = self.result["error"]
        return said


def failed(plan: Plan, task: Task, error: str, kind: str) -> Outcome:
    """Return the outcome of a task that gave no result."""
    source = Path(plan.source.named(task.entry.name))
    result = JobResult(source=source, status="failed", error=error, error_kind=kind)
    return _outcome(plan, task, result, {})


class Actor:
    """A process of the cluster, which keeps its models open from one picture to the next.

    Parameters
    ----------
    plan : what is to be done with each picture
    share : threads that this process may use
    """

    def __init__(self, plan: Plan, share: int) -> None:
        self._plan, self._share = plan, share

    def about(self) -> tuple[str, int]:
        """Return the node that this process is on, and its number there."""
        import ray

        return ray.get_runtime_context().get_node_id(), os.getpid()

    def do(self, task: Task) -> Outcome:
        """Work on a picture; whatever goes wrong with it is in the outcome."""
        with threads.limit(self._share), TemporaryDirectory(prefix="deepix-") as name:
            return do(self._plan, task, Path(name))


def do(plan: Plan, task: Task, folder: Path) -> Outcome:
    """Work on a picture, with copies in this folder."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    try:
        source = plan.source.fetch(task.entry.name, folder / "in")
        result = run(job_of(plan, task, source, folder / "out"))
        written = _stored(plan, task, result)
    except DeepixError as error:
        return failed(plan, task, str(error), type(error).__name__)
    return _outcome(plan, task, result, written, {str(source): plan.source.named(task.entry.name)})


def _stored(plan: Plan, task: Task, result: JobResult) -> dict[str, str]:
    """Store what was made; return the names below the target."""
    written = {}
    for what, path in result.written.items():
        if plan.target is not None:
            name = task.named(what, path.suffix)
            plan.target.store(name, files.read_bytes(path), overwrite=task.overwrite)
            written[what] = name
    return written


def _outcome(
    plan: Plan, task: Task, result: JobResult, written: dict[str, str], said: Mapping[str, str] | None = None
) -> Outcome:
    """Return an outcome in which files are called as the user knows them."""
    target = plan.target
    places = {what: target.named(name) for what, name in written.items()} if target else {}
    calls = dict(said or {}) | {str(path): places[what] for what, path in result.written.items() if what in places}
    report = _called(result.to_dict(), calls) | {"input": plan.source.named(task.entry.name)}
    record = _called(result.to_record(), calls)
    return Outcome(task.entry.name, record, report, written, result.traceback)


def _called(value: Any, calls: Mapping[str, str]) -> Any:
    """Return plain values in which copies are called as what they are copies of."""
    if isinstance(value, dict):
        return {key: _called(one, calls) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_called(one, calls) for one in value]
    if isinstance(value, str):
        for here, there in calls.items():
            value = value.replace(here, there)
    return value
