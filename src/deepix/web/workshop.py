"""The queue of tasks, and the process that works it off, one task at a time and in fair order.

A task is done in a process of its own, so that it can be given up at any moment, and so that a picture that takes all
memory, or brings a decoder down, costs that process only: another one is started.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from deepix.errors import DeepixError
from deepix.processes import Gone, Team, Worker
from deepix.web.tasks import CONTINUE, Bench, Continue, End, Event, Failed, Task, Warm

_log = logging.getLogger(__name__)
_number = itertools.count()


class Full(DeepixError):
    """No further task is taken on at the moment."""


class Ticket:
    """A task that was handed in.

    Attributes
    ----------
    task : what is to be done
    owner : the visitor whom it is done for
    finished : set when nothing more will be heard of it
    cancelled : it was given up
    """

    def __init__(self, task: Task, owner: str, tell: Callable[[Event], None]) -> None:
        self.task = task
        self.owner = owner
        self.finished = asyncio.Event()
        self.cancelled = False
        self.number = next(_number)
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    def hand(self, event: Event) -> None:
        """Tell the visitor's side of an event; from any thread."""
        with suppress(RuntimeError):  # the server has stopped meanwhile
            self._loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: Event) -> None:
        if not self.cancelled:
            self._tell(event)
        if isinstance(event, End | Failed):
            self.finished.set()


class Workshop:
    """Takes tasks on and has them done.

    Parameters
    ----------
    waiting : tasks that may wait, beside the one that is being done
    """

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._changed = threading.Condition()
        self._waiting: list[Ticket] = []
        self._current: Ticket | None = None
        self._worker: Worker[Task | Continue, Event] | None = None
        self._served: dict[str, int] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="deepix-workshop", daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker, whatever it does; no task is done any more. Blocks until it has ended."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._kill()
            self._changed.notify_all()
        self._thread.join()

    def submit(self, task: Task, owner: str, tell: Callable[[Event], None]) -> Ticket:
        """Hand a task in; `tell` is called in the event loop with what becomes of it.

        Raises
        ------
        Full : too many tasks wait already
        """
        ticket = Ticket(task, owner, tell)
        with self._changed:
            if len(self._waiting) >= self._most:
                raise Full(f"the server is busy: {self._most} tasks wait already; try again in a minute")
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give a task up, at once; of one that is done already nothing changes."""
        with self._changed:
            if ticket.finished.is_set() or ticket.cancelled:
                return
            ticket.cancelled = True
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.hand(End())
            elif ticket is self._current:
                self._kill()

    def ahead(self, ticket: Ticket) -> int:
        """Return how many tasks are done before this one; 0 for one that is being done."""
        with self._changed:
            if ticket not in self._waiting:
                return 0
            return self._waiting.index(ticket) + (self._current is not None)

    def _kill(self) -> None:
        if self._worker is not None:
            # its pipe stays open until the thread that waits for it has seen its end
            with suppress(ProcessLookupError):
                os.kill(self._worker.pid, signal.SIGTERM)

    # ── the thread that hands the worker its tasks ───────────────────────────────────────────────

    def _work(self) -> None:
        while not self._stopped:
            try:
                with Team[Task | Continue, Event](Bench()) as team:
                    self._with(team.start())
            except Gone as gone:
                if not self._failed(f"the picture took more than the machine could give ({gone}): use a smaller one"):
                    self._pause()
            except DeepixError as error:  # no process can be started; whoever waits must be told
                self._next()
                self._failed(str(error))

    def _with(self, worker: Worker[Task | Continue, Event]) -> None:
        """Let a worker do tasks until the shop closes.

        Raises
        ------
        Gone : it ended, by itself or because its task was given up
        """
        with self._changed:
            self._worker = worker
        try:
            worker.send(Warm())
            worker.receive()
            while (ticket := self._next()) is not None:
                self._do(ticket, worker)
                with self._changed:
                    self._current = None
                    if ticket.cancelled:  # too late: the worker has been told to end
                        worker.receive()
        finally:
            with self._changed:
                self._worker = None

    def _do(self, ticket: Ticket, worker: Worker[Task | Continue, Event]) -> None:
        worker.send(ticket.task)
        while True:
            event = worker.receive()
            ticket.hand(event)
            if isinstance(event, End | Failed):
                return
            worker.send(CONTINUE)

    def _next(self) -> Ticket | None:
        """Wait for a task: the oldest of the visitor who was served longest ago; None when the shop closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            if self._stopped:
                return None
            ticket = min(self._waiting, key=lambda t: (self._served.get(t.owner, -1), t.number))
            self._waiting.remove(ticket)
            self._current = ticket
            self._served[ticket.owner] = next(_number)
            return ticket

    def _failed(self, error: str) -> bool:
        """Tell whoever is concerned that a worker ended; return False if nobody is."""
        with self._changed:
            ticket, self._current = self._current, None
        if ticket is None:
            return False
        if not ticket.cancelled:
            _log.warning("%s", error)
        ticket.hand(End() if ticket.cancelled else Failed(error=error))
        return True

    def _pause(self) -> None:
        """Do not start workers without end that end by themselves."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, timeout=0.5)

    def forget(self, owner: str) -> None:
        """Forget when a visitor who has gone was served."""
        with self._changed:
            self._served.pop(owner, None)
