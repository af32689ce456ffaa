"""Worker processes, which end when the process that started them does, however it ends.

Each worker holds one end of a pipe and works on one task at a time. It ends when nothing is left to do, and at once
when the process that holds the other end has gone. There are no queues, hence no semaphores that could be left behind.

What is done about a worker that ends by itself is for whoever leads the team to say.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Self, TypeVar

from deepix.errors import DeepixError, reason

Task = TypeVar("Task")
Result = TypeVar("Result")


class Gone(Exception):
    """A worker ended by itself.

    Attributes
    ----------
    code : its exit code; the negative number of the signal that killed it
    """

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        if self.code is not None and self.code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"


class Worker(Generic[Task, Result]):
    """A process of a `Team`."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self._process = process
        self.pipe = pipe

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid or 0

    def send(self, task: Task) -> None:
        """Let it work on a task.

        Raises
        ------
        Gone : it ended
        """
        try:
            self.pipe.send(task)
        except OSError:
            raise self._gone() from None

    def receive(self) -> Result:
        """Return what it made of its task, once it has.

        Raises
        ------
        Gone : it ended
        """
        try:
            result: Result = self.pipe.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        return result

    def _gone(self) -> Gone:
        self._process.join()
        self.pipe.close()
        return Gone(self._process.exitcode)

    def terminate(self) -> None:
        """Let it end at once, whatever it does; `join` waits until it has."""
        self._process.terminate()
        self.pipe.close()

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.join()


class Team(Generic[Task, Result]):
    """Worker processes; at the end of the `with` block, come what may, there are none of them left.

    Parameters
    ----------
    work : what each does with a task: a function of a module, or a `functools.partial` of one; is pickled
    """

    def __init__(self, work: Callable[[Task], Result]) -> None:
        self._work = work
        self._workers: list[Worker[Task, Result]] = []

    def start(self) -> Worker[Task, Result]:
        """Start a further worker.

        Raises
        ------
        DeepixError : the system starts no further process
        """
        # spawn, since a process with threads (a progress bar's, PyTorch's) must not be forked
        context = get_context("spawn")
        with _interrupts_held_back():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
            try:
                process.start()
            except OSError as error:
                ours.close()
                raise DeepixError(
                    f"no further worker process can be started ({reason(error)}); use fewer of them"
                ) from error
            finally:
                theirs.close()  # so that our end tells when the worker has gone
            worker = Worker[Task, Result](process, ours)
            self._workers.append(worker)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()


def ready(workers: list[Worker[Task, Result]]) -> list[Worker[Task, Result]]:
    """Wait until at least one of these workers has a result, or has ended; return those."""
    pipes = connection.wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in pipes]


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
    threading.Thread(target=_end_with_parent, daemon=True).start()
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


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended: nobody waits for what it does."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
