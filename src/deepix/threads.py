"""How many threads the program may use: one number that every pool obeys.

>>> with limit(2):
...     count()
2

The number holds for the thread that sets it, and for the work that this thread hands to a `pool`. Models that are
opened where it holds run with as many threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import lru_cache, partial
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from deepix.errors import DeepixError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")

MOST = 1024
"""The largest number of threads that is taken for meant."""

_limit: ContextVar[int | None] = ContextVar("deepix.threads", default=None)

HOLDER = "deepix-blas"
"""Name of the thread that holds NumPy's BLAS to one thread; it only waits."""
_ARRAYS = ("numpy", "scipy.linalg")
"""Modules that bring a BLAS of their own."""


class ThreadsError(DeepixError, ValueError):
    """A number of threads that cannot be meant."""


@contextmanager
def limit(threads: int | None, *, blas: bool = True) -> Iterator[None]:
    """Let what happens inside use at most so many threads.

    Limits nest: the smallest holds. NumPy's BLAS works in one thread inside, whatever the number: its products differ
    in the last bit with the number of its threads, so that a restoration would depend on the machine; and they are
    small, so that threads cost more than they bring (two restorations of 180x180: 0.80 s of processor time, not 2.16).

    Parameters
    ----------
    threads : 1 … `MOST`; None sets no limit of its own: what holds outside goes on to hold, else all cores are used
    blas : False leaves NumPy's BLAS alone, where nothing is computed inside

    Raises
    ------
    ThreadsError : the number is not between 1 and `MOST`; it is a `DeepixError` and a ValueError
    """
    check(threads)
    outer = _limit.get()
    token = _limit.set(threads if outer is None else outer if threads is None else min(outer, threads))
    try:
        with _blas if blas else nullcontext():
            yield
    finally:
        _limit.reset(token)


class _OneThread:
    """Holds NumPy's BLAS to one thread from the first thread of ours that enters until the last one has left.

    Threadpoolctl lets one thread of a program set this number for as long as that thread lives, and ignores all others.
    So a thread of its own sets it, which ends when all have left; a caller that has set the number itself is obeyed.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._left, self._holder = Event(), Thread()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._left, held = Event(), Event()
                self._holder = Thread(target=_hold, args=(held, self._left), name=HOLDER, daemon=True)
                self._holder.start()
                held.wait()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._left.set()
                self._holder.join()


def _hold(held: Event, left: Event) -> None:
    try:
        loaded = tuple(name for name in _ARRAYS if name in sys.modules)
        with _controller(loaded).limit(limits=1, user_api="blas") if loaded else nullcontext():
            held.set()
            left.wait()
    finally:
        held.set()


_blas = _OneThread()


@lru_cache(maxsize=1)
def _controller(loaded: tuple[str, ...]) -> ThreadpoolController:
    """Return what knows the libraries of the modules that are loaded; it takes milliseconds to look for them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def check(threads: int | None) -> None:
    """Check a number of threads that someone asked for.

    Raises
    ------
    ThreadsError : it is not between 1 and `MOST`
    """
    if threads is not None and not 1 <= threads <= MOST:
        raise ThreadsError(f"the number of threads must be between 1 and {MOST}, not {threads}")


def limited() -> int | None:
    """Return the limit that holds here; None when there is none."""
    return _limit.get()


def count() -> int:
    """Return how many threads may be used here: the limit, else the number of cores that this process may run on."""
    return _limit.get() or _cores()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or a batch job may have been given some of the cores only
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def pool(most: int | None = None) -> ThreadPoolExecutor:
    """Return a pool of `count()` threads, whose work sees the same limit as its caller.

    With a limit of one thread, work is done at once by the thread that submits it.

    Parameters
    ----------
    most : workers that there is work for, at least 1; None: any number

    Raises
    ------
    ValueError : `most` is less than 1
    """
    if most is not None and most < 1:
        raise ValueError(f"a pool needs at least one worker, not {most}")
    if _limit.get() == 1:
        return _AtOnce(1)
    return _Pool(count() if most is None else min(most, count()))


class _Pool(ThreadPoolExecutor):
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # a context can be entered by one thread at a time: each work has a copy of its own
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


class _AtOnce(ThreadPoolExecutor):
    """One thread means one: a worker beside the thread that waits for it would be a second."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(copy_context().run(fn, *args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
