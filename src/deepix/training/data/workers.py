"""Work shared among several processes, which end when the process that started them does, however it ends.

Each worker holds one end of a pipe and works on one task at a time. It ends when the other end closes: when nothing is
left to do, and just as well when the process that holds it is killed. There are no queues, hence no semaphores that
could be left behind.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from deepix.errors import DeepixError, reason

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
    with _team(work, len(first)) as idle:
        at_work: dict[Connection, int] = {}
        results: dict[int, Result] = {}
        due = 0

        def collect() -> None:
            for ready in connection.wait(list(at_work)):
                assert isinstance(ready, Connection)
                results[at_work.pop(ready)] = _receive(ready)
                idle.append(ready)

        for number, task in enumerate(chain(_taken(first), tasks)):
            while not idle or number - due >= most_ahead:
                collect()
                while due in results:
                    yield results.pop(due)
                    due += 1
            worker = idle.pop()
            _send(worker, task)
            at_work[worker] = number
        while at_work:
            collect()
        yield from (results[number] for number in sorted(results))


def _taken(tasks: list[Task]) -> Iterator[Task]:
    """Yield what a list holds, and keep none of it."""
    tasks.reverse()
    while tasks:
        yield tasks.pop()


@contextmanager
def _team(work: Callable[[Any], object], number: int) -> Iterator[list[Connection]]:
    """Start processes; yields the pipes to them. At the end, come what may, there are none of them left."""
    # spawn, since a process with threads (a progress bar's, PyTorch's) must not be forked
    context = get_context("spawn")
    processes: list[SpawnProcess] = []
    pipes: list[Connection] = []
    try:
        with _interrupts_held_back():
            for _ in range(number):
                ours, theirs = context.Pipe()
                pipes.append(ours)
                process = context.Process(target=_serve, args=(theirs, work), daemon=True)
                try:
                    process.start()
                except OSError as error:
                    raise DeepixError(
                        f"no further worker process can be started ({reason(error)}); use fewer jobs"
                    ) from error
                processes.append(process)
                theirs.close()  # so that our end tells when the worker has gone
        yield list(pipes)
    finally:
        for process in processes:
            process.terminate()  # a worker writes nothing, and may have long to go
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start processes that Ctrl-C at a terminal, which reaches all of them, does not disturb: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: Callable[[Any], object]) -> None:
    """Work on what comes through a pipe until it closes: then whoever gave the work has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        result = work(task)
        try:
            pipe.send(result)
        except OSError:
            return


def _send(worker: Connection, task: object) -> None:
    try:
        worker.send(task)
    except OSError as error:
        raise _gone() from error


def _receive(worker: Connection) -> Any:
    try:
        return worker.recv()
    except (EOFError, OSError) as error:
        raise _gone() from error


def _gone() -> DeepixError:
    return DeepixError("a worker process ended unexpectedly, perhaps out of memory; use fewer jobs")
