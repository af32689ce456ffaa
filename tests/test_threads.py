"""One number of threads that all pools obey."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy  # noqa: F401  (whose BLAS it is)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from deepix import threads
from deepix.errors import DeepixError


def test_a_limit_holds_inside_and_ends_with_it() -> None:
    assert threads.limited() is None
    cores = threads.count()
    assert cores >= 1
    with threads.limit(3):
        assert threads.limited() == threads.count() == 3
        with threads.limit(None):
            assert threads.count() == 3
        with threads.limit(2):
            assert threads.count() == 2
        with threads.limit(9):
            assert threads.count() == 3
    assert threads.limited() is None
    assert threads.count() == cores


@pytest.mark.parametrize("number", [0, -1, 1025, 20000])
def test_impossible_numbers_are_refused_before_any_thread_starts(number: int) -> None:
    before = threading.active_count()
    with pytest.raises(DeepixError, match="threads must be between 1 and 1024") as caught, threads.limit(number):
        pass
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert threading.active_count() == before
    assert threads.limited() is None


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture
def two() -> Iterator[set[int]]:
    """The numbers of BLAS threads, which are 2 meanwhile; set by threads that end, as one that lives keeps control."""

    def in_a_thread(number: int) -> None:
        setting = threading.Thread(target=threadpool_limits, args=(number, "blas"))
        setting.start()
        setting.join()

    (before,) = blas_threads()
    in_a_thread(2)
    yield blas_threads()
    in_a_thread(before)


def test_numpys_blas_works_in_one_thread_inside_a_limit(two: set[int]) -> None:
    assert two == {2}
    with threads.limit(4), threads.limit(None), threads.pool() as pool:
        assert blas_threads() == {1}
        assert pool.submit(blas_threads).result() == {1}
    assert blas_threads() == two
    with threads.limit(2, blas=False):
        assert blas_threads() == two
    with threads.limit(None):
        assert blas_threads() == {1}
    with pytest.raises(RuntimeError), threads.limit(2):
        raise RuntimeError
    assert blas_threads() == two


def test_the_last_thread_that_leaves_gives_numpys_blas_its_threads_back(two: set[int]) -> None:
    first_left, second_in = threading.Event(), threading.Event()

    def second() -> set[int]:
        with threads.limit(None):
            second_in.set()
            first_left.wait()
            return blas_threads()

    with ThreadPoolExecutor(1) as pool:
        with threads.limit(None):
            inside = pool.submit(second)
            second_in.wait()
        first_left.set()
        assert inside.result() == {1}
        assert blas_threads() == two
        assert pool.submit(second).result() == {1}  # while the thread that was the first to enter still lives


def test_a_limit_ends_when_its_work_fails() -> None:
    with pytest.raises(RuntimeError), threads.limit(2):
        raise RuntimeError
    assert threads.limited() is None


@pytest.mark.parametrize("number", [1, 2, 5])
def test_work_in_pools_sees_the_limit_also_in_pools_of_pools(number: int) -> None:
    def inner(_: int) -> int:
        return threads.count()

    def outer(k: int) -> list[int]:
        with threads.pool() as pool:
            return list(pool.map(inner, range(k)))

    with threads.limit(number), threads.pool() as pool:
        assert pool._max_workers == number
        assert list(pool.map(outer, [3, 4, 1, 2])) == [[number] * k for k in (3, 4, 1, 2)]
        assert pool.submit(threads.limited).result() == number


def test_another_thread_of_the_caller_is_not_limited() -> None:
    seen: list[int | None] = []
    with threads.limit(2):
        other = threading.Thread(target=lambda: seen.append(threads.limited()))
        other.start()
        other.join()
    assert seen == [None]


def test_a_pool_has_no_more_workers_than_there_is_work_for() -> None:
    with threads.limit(4):
        assert threads.pool(2)._max_workers == 2
        assert threads.pool(8)._max_workers == 4
    with pytest.raises(ValueError, match="at least one"):
        threads.pool(0)


def test_never_more_threads_are_at_work_than_the_limit_says() -> None:
    gate, most, now = threading.Lock(), 0, 0
    both = threading.Event()

    def work(_: int) -> None:
        nonlocal most, now
        with gate:
            now += 1
            most = max(most, now)
            if now == 2:
                both.set()
        both.wait(10)  # so that two are indeed at work together
        with gate:
            now -= 1

    with threads.limit(2), threads.pool() as pool:
        list(pool.map(work, range(6)))
    assert most == 2


def test_with_one_thread_the_caller_does_the_work_itself() -> None:
    def fail() -> None:
        raise KeyError("lost")

    with threads.limit(1), threads.pool(8) as pool:
        before = threading.active_count()
        assert set(pool.map(lambda _: threading.get_ident(), range(5))) == {threading.get_ident()}
        assert threading.active_count() == before
        failed: Future[None] = pool.submit(fail)
        with pytest.raises(KeyError, match="lost"):
            failed.result()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or os.cpu_count() == 1, reason="needs Linux and two cores")
def test_a_process_held_to_one_core_opens_models_for_that_core() -> None:
    program = """
import os
from pathlib import Path
os.sched_setaffinity(0, {0})
from deepix.inference.models import Models
models = Models()
opened = models.open("locator")
print(*{line for task in Path("/proc/self/task").iterdir() for line in (task / "status").read_text().splitlines()
        if line.startswith("Cpus_allowed_list")})
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["Cpus_allowed_list:", "0"]
