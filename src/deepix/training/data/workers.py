"""Work shared among several processes: results in the order of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from deepix.errors import DeepixError
from deepix.processes import Gone, Team, Worker, ready

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 3
"""Results for each worker that may wait for an earlier one: bounds memory."""


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Generator[Result, None, None]:
    """Work on tasks in several processes; yields the results in the tasks' order.

    Every process has ended when the iterator has, is closed, or has raised an error.

    Parameters
    ----------
    work : a function of a module, or a `functools.partial` of one
    tasks : taken as they are needed, from this process; tasks and results are pickled
    jobs : processes at most; with 1, and for a single task, no process is started

    Raises
    ------
    DeepixError : a process cannot be started, or ended unexpectedly
    """
    tasks = iter(tasks)
    first = list(islice(tasks, jobs))
    if jobs == 1 or len(first) == 1:
        yield from map(work, chain(first, tasks))
        return
    most_ahead = _AHEAD * len(first)
    try:
        with Team(work) as team:
            idle = [team.start() for _ in first]
            at_work: dict[Worker[Task, Result], int] = {}
            results: dict[int, Result] = {}
            due = 0

            def collect() -> None:
                for worker in ready(list(at_work)):
                    results[at_work.pop(worker)] = worker.receive()
                    idle.append(worker)

            for number, task in enumerate(chain(_taken(first), tasks)):
                while not idle or number - due >= most_ahead:
                    collect()
                    while due in results:
                        yield results.pop(due)
                        due += 1
                worker = idle.pop()
                worker.send(task)
                at_work[worker] = number
            while at_work:
                collect()
            yield from (results[number] for number in sorted(results))
    except Gone as error:
        raise DeepixError("a worker process ended unexpectedly, perhaps out of memory; use fewer jobs") from error


def _taken(tasks: list[Task]) -> Iterator[Task]:
    """Yield what a list holds, and keep none of it."""
    tasks.reverse()
    while tasks:
        yield tasks.pop()
