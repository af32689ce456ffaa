"""The engine: tasks handed to actors of a Ray cluster, a few at a time, and given to others where an actor is lost.

Plain actors rather than Ray Data, whose unit of failure is a block: there an actor that dies fails or repeats all
pictures of its block, one picture has no time limit of its own, and a resumed run reads its input again
(docs/scale.md).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from deepix.cluster.actor import Actor, Outcome, failed
from deepix.cluster.plan import Met, Plan, Task, tasks
from deepix.cluster.record import Record
from deepix.errors import DeepixError, reason
from deepix.jobs.many import BROKEN

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: nothing is sent anywhere
import ray

Started = TypeVar("Started")

TRIES = 3
"""How often a picture is tried that its process does not survive, or does not end with."""
DEATHS = 20
"""So many processes that end one after the other, without a result in between, are no matter of the pictures."""
STARTS = 5
"""How often a node is started that does not come up in time."""
STORE = 200 << 20
"""Bytes of Ray's object store on this machine: what goes through it is records, not pictures."""
TICK = 1.0
"""Seconds after which time limits and the cluster's size are looked at, if nothing else happens."""


@dataclass(frozen=True)
class Earlier:
    """A picture that an earlier run has done.

    Attributes
    ----------
    name : below the source
    status : what that run came to
    """

    name: str
    status: str


@dataclass(frozen=True)
class Limits:
    """How the cluster is used.

    Attributes
    ----------
    actors : processes at most; None: one for each core of the cluster
    seconds : that a picture may take; None: any
    """

    actors: int | None = None
    seconds: float | None = None


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Use the cluster at this address; None: one of this machine alone, which ends with the block.

    Raises
    ------
    DeepixError : there is none, or none can be started
    """
    here: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": STORE}
    try:
        patiently(
            lambda: ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        )
    except Exception as error:  # Ray's nodes that do not come up in time raise just that
        raise DeepixError(
            f"Ray: no cluster {f'at {address}' if address else 'can be started'} ({reason(error)})"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def patiently(start: Callable[[], Started]) -> Started:
    """Start a node of a cluster; where the machine is too busy for it to come up in time, try again.

    Ray 2.60 gives the helpers of a node 15 seconds to come up, whatever its settings say, and aborts the node if they
    do not; the next time their files are in memory already.

    Raises
    ------
    Exception : as Ray does
    """
    for left in reversed(range(STARTS)):
        before = _children()
        try:
            return start()
        except Exception as error:  # Ray raises just that
            for pid in _children() - before:  # Ray would keep what has come up until this process ends
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left or "timed out during startup" not in str(error):
                raise
    raise AssertionError("the last time, too, something is returned or raised")


def _children() -> set[int]:
    """Return the processes that this one has started, on Linux; elsewhere none are known."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found.update(map(int, file.read_text().split()))
    return found


def results(plan: Plan, record: Record, limits: Limits) -> Generator[Outcome | Met | Earlier, None, None]:
    """Do what is planned, by the cluster that is connected; yields what became of each file, in the order of its end.

    Raises
    ------
    DeepixError : processes end again and again
    """
    crew = _Crew(plan, limits)
    tidied = ""
    try:
        for chunk in tasks(plan):
            known = record.earlier(one for one in chunk if isinstance(one, Task))
            for one in chunk:
                if isinstance(one, Met):
                    record.met(one)
                    yield one
                    continue
                if status := known.get(one.entry.name):
                    yield Earlier(one.entry.name, status)
                    continue
                if record.resumed and one.folder != tidied:
                    _tidy(plan, tidied := one.folder)
                crew.put(replace(one, overwrite=one.overwrite or record.ours(one)))
                while crew.full():
                    yield from _noted(crew.collect(), record)
        while crew.busy():
            yield from _noted(crew.collect(), record)
        for folder in crew.disturbed:
            _tidy(plan, folder)
    finally:
        crew.end()
        record.save()


def _noted(ended: list[tuple[Task, Outcome]], record: Record) -> Iterator[Outcome]:
    for task, outcome in ended:
        record.done(task, outcome)
        yield outcome


def _tidy(plan: Plan, folder: str) -> None:
    """Remove what processes that were killed left half-written."""
    if plan.target is not None:
        plan.target.tidy(folder)


@dataclass(eq=False)
class _Try:
    """A task, and what happened to it so far."""

    task: Task
    count: int = 0
    avoid: set[str] = field(default_factory=set)
    why: str = ""


@dataclass(eq=False)
class _Member:
    """An actor: where it is, once it has said so; what it works on, and since when."""

    handle: Any
    call: Any
    node: str = ""
    at_work: _Try | None = None
    since: float = 0.0


class _Crew:
    """The actors of a run, and the tasks that they are given."""

    def __init__(self, plan: Plan, limits: Limits) -> None:
        self._plan, self._limits = plan, limits
        self._members: list[_Member] = []
        self._waiting: list[_Try] = []
        self._deaths, self._looked = 0, -TICK
        self._most = 1
        self.disturbed: set[str] = set()
        """Folders in which processes may have left something half-written."""

    def put(self, task: Task) -> None:
        """Take a task; it begins as soon as an actor is idle."""
        self._waiting.append(_Try(task))
        self._hire()
        self._assign()

    def full(self) -> bool:
        """Whether further tasks would only wait."""
        return len(self._waiting) >= max(1, len(self._members))

    def busy(self) -> bool:
        """Whether anything is still to be done."""
        return bool(self._waiting) or any(member.at_work for member in self._members)

    def end(self) -> None:
        """End the actors at once."""
        for member in self._members:
            ray.kill(member.handle)
        self._members = []

    def collect(self) -> list[tuple[Task, Outcome]]:
        """Wait for something to end, and return what did."""
        self._hire()
        self._assign()
        calls = [member.call for member in self._members if member.call is not None]
        ready = set(ray.wait(calls, num_returns=len(calls), timeout=0)[0]) if calls else set()
        if not ready and calls:
            ready = set(ray.wait(calls, num_returns=1, timeout=TICK)[0])
        elif not calls:  # the cluster has no room for an actor just now
            time.sleep(TICK / 10)
        ended = []
        for member in [member for member in self._members if member.call in ready]:
            ended += self._take(member)
        ended += self._overdue()
        self._assign()
        return ended

    def _take(self, member: _Member) -> list[tuple[Task, Outcome]]:
        call, member.call = member.call, None
        work, member.at_work = member.at_work, None
        try:
            said = ray.get(call)
        except ray.exceptions.RayError as error:
            self._members.remove(member)
            return self._lost(work, member.node, f"its process ended ({_cause(error)})")
        if work is None:  # it has told where it is
            member.node = said[0]
            return []
        self._deaths = 0
        return [(work.task, said)]

    def _overdue(self) -> list[tuple[Task, Outcome]]:
        ended = []
        limit = self._limits.seconds
        for member in list(self._members) if limit is not None else []:
            if member.at_work and time.monotonic() - member.since > (limit or 0):
                work, member.at_work = member.at_work, None
                self._members.remove(member)
                ray.kill(member.handle)
                self._deaths = 0  # of this one we know why
                ended += self._lost(work, member.node, f"it took longer than {limit:g} s")
        return ended

    def _lost(self, work: _Try | None, node: str, why: str) -> list[tuple[Task, Outcome]]:
        """Let a task be tried elsewhere, or set it apart; a node that has gone is no fault of the picture."""
        self._deaths += 1
        if self._deaths >= DEATHS:
            raise DeepixError(
                f"Ray: processes end again and again ({why}), perhaps out of memory; use fewer: --workers 1"
            )
        if work is None:
            return []
        self.disturbed.add(work.task.folder)
        work.avoid.add(node)
        work.count += node in _nodes()
        if work.count < TRIES:
            self._waiting.insert(0, work)
            return []
        name = self._plan.source.named(work.task.entry.name)
        return [(work.task, failed(self._plan, work.task, f"{name}: {why}, {work.count} times", BROKEN))]

    def _assign(self) -> None:
        for work in list(self._waiting):
            idle = [m for m in self._members if m.node and m.at_work is None]
            if not idle:
                return
            member = next((m for m in idle if m.node not in work.avoid), idle[0])
            self._waiting.remove(work)
            member.at_work, member.since = work, time.monotonic()
            member.call = member.handle.do.remote(work.task)

    def _hire(self) -> None:
        """Start actors where there are cores for them: also on machines that join, and in place of what was lost."""
        if time.monotonic() - self._looked >= TICK:
            self._looked = time.monotonic()
            cores = int(ray.cluster_resources().get("CPU", 0))
            self._most = max(1, min(cores, self._limits.actors or cores))
        while len(self._members) < self._most and len(self._waiting) > sum(m.at_work is None for m in self._members):
            # an actor that waits for its picture only: what comes back to it is never tried by Ray itself
            kind = ray.remote(num_cpus=1, num_gpus=_gpus(self._most), max_restarts=0, max_task_retries=0)(Actor)
            handle = kind.remote(self._plan, 1)
            self._members.append(_Member(handle, handle.about.remote()))


def _gpus(actors: int) -> float:
    """Return the share of a GPU that each actor takes, where there are any."""
    there = float(ray.cluster_resources().get("GPU", 0))
    return min(1.0, int(1000 * there / actors) / 1000)


def _nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _cause(error: Exception) -> str:
    """Return the first line of what Ray says of a lost actor that tells something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "cause" in line.lower() or "killed" in line.lower() or "died" in line.lower()]
    return reason((told or lines or [type(error).__name__])[-1])
