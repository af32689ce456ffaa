"""The same pictures done by our actors, or by Ray Data's: what `benchmarks/cluster.py data` runs and measures.

    python benchmarks/cluster_work.py actors|data SOURCE TARGET

Ray Data gets the same work, `deepix.cluster.actor.do`, as rows in batches of one by a pool of two actors. It prints
how many rows came back and the seconds from the first hand-out to the last result.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepix.cluster import actor, engine, plan, record, storage
from deepix.jobs import RestoreJob
from deepix.options import Options

POISON = "poison.png"
"""The name of a picture that kills its process."""


def do(given: plan.Plan, task: plan.Task, place: Path) -> actor.Outcome:
    """Do as an actor does; but of one picture it dies."""
    if task.entry.name.endswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    return actor.do(given, task, place)


class Ours(actor.Actor):
    """An actor of the engine."""

    def do(self, task: plan.Task) -> actor.Outcome:
        """Work on a picture."""
        with TemporaryDirectory() as name:
            return do(self._plan, task, Path(name))


class Theirs:
    """A worker of Ray Data's pool."""

    def __init__(self, given: plan.Plan) -> None:
        self._plan = given

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on a batch of one picture."""
        with TemporaryDirectory() as name:
            outcomes = [do(self._plan, task, Path(name)) for task in batch["task"]]
        return {"status": [outcome.result["status"] for outcome in outcomes]}


def by_data(given: plan.Plan) -> int:
    """Return how many rows came back."""
    import ray.data

    tasks = [{"task": task} for chunk in plan.tasks(given) for task in chunk if isinstance(task, plan.Task)]
    rows = ray.data.from_items(tasks).map_batches(Theirs, fn_constructor_args=(given,), batch_size=1, concurrency=2)
    back = 0
    try:
        for _ in rows.iter_rows():
            back += 1
    except Exception as error:  # whatever Ray Data makes of a lost actor
        print(f"{type(error).__name__} after {back} rows")
    return back


def main() -> None:
    """Run as the module's text says."""
    way, source, target = sys.argv[1:]
    job = RestoreJob(source=Path(), output=Path(), options=Options(method="smooth", fast=True))
    given = plan.Plan(storage.Folder(source), storage.Folder(target), job)
    with engine.connected(None):
        start = time.perf_counter()
        if way == "data":
            back = by_data(given)
        else:
            vars(engine)["Actor"] = Ours
            kept = record.Record(storage.Folder(f"{target}/.kept"), given, resume=False, overwrite=False)
            back = sum(1 for _ in engine.results(given, kept, engine.Limits(actors=2)))
        print(f"{back} came back in {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
