"""Packing in several processes: results in order, and no process left behind, however it ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepix.errors import DeepixError
from deepix.training.data.packed import open_packed
from deepix.training.data.workers import in_order

PACK = (sys.executable, "-m", "deepix", "data", "pack")
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


# ── results ──────────────────────────────────────────────────────────────────────────────────────


def work(task: int, sleepy: int = 0) -> tuple[int, int]:
    """Return the task and who did it; the first of every few takes longer than those after it."""
    if sleepy and task % sleepy == 0:
        time.sleep(0.05)
    return task, os.getpid()


def ends(task: int) -> int:
    if task == 3:
        os._exit(1)
    return task


def test_results_come_in_order_from_other_processes() -> None:
    done = list(in_order(partial(work, sleepy=5), range(40), 3))
    assert [task for task, _ in done] == list(range(40))
    workers = {process for _, process in done}
    assert 1 < len(workers) <= 3
    assert os.getpid() not in workers


@pytest.mark.parametrize(("tasks", "jobs"), [(20, 1), (1, 4), (0, 4)])
def test_no_process_for_one_job_or_one_task(tasks: int, jobs: int) -> None:
    assert list(in_order(work, range(tasks), jobs)) == [(task, os.getpid()) for task in range(tasks)]


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for task in range(1000):
            taken += 1
            yield task

    with closing(in_order(work, tasks(), 2)) as results:
        for _ in range(5):
            next(results)
        assert taken < 20


def test_large_tasks_and_results() -> None:
    """More than a pipe holds, in both directions at once."""
    tasks = [bytes([i]) * 3_000_000 for i in range(8)]
    assert list(in_order(bytes, tasks, 2)) == tasks


def test_a_worker_that_ends_by_itself_is_told() -> None:
    with pytest.raises(DeepixError, match=r"ended unexpectedly.*fewer jobs"):
        list(in_order(ends, range(10), 2))


# ── the command, through a pipe ──────────────────────────────────────────────────────────────────


def photos(folder: Path, number: int = 40, broken: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(number):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), np.uint8)).save(file, "PNG")
        (folder / f"{i:03}.png").write_bytes(file.getvalue()[: 100 if i < broken else None])
    return folder


def endless(folder: Path) -> Path:
    """Make a file of more pictures than anyone waits for; it has holes instead of bytes."""
    path = folder / "endless.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (2_000_000, 64, 64))
    return path


def pack(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `deepix data pack`; returns when nobody holds its output open any more, which workers would."""
    command = [*PACK, *map(str, arguments), "--jobs", "2"]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def test_success_through_a_pipe(tmp_path: Path) -> None:
    result = pack(photos(tmp_path / "in"), "-o", tmp_path / "out.npy")
    assert result.returncode == 0
    assert result.stdout == f"{tmp_path / 'out.npy'}: 40 pictures, 64x64, gray from 40 pictures\n"
    open_packed(tmp_path / "out.npy").check()


def test_broken_pictures_through_a_pipe(tmp_path: Path) -> None:
    source = photos(tmp_path / "in", broken=3)
    result = pack(source, "-o", tmp_path / "out.npy")
    assert result.returncode == 0
    *skipped, last = result.stdout.splitlines()
    assert [line.split(":")[:2] for line in skipped] == [["skipped", f" {source}/00{i}.png"] for i in range(3)]
    assert last == f"{tmp_path / 'out.npy'}: 37 pictures, 64x64, gray from 40 pictures (3 skipped)"


def test_nothing_but_broken_pictures_through_a_pipe(tmp_path: Path) -> None:
    source = photos(tmp_path / "in", broken=40)
    result = pack(source, "-o", tmp_path / "out.npy")
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"error: {source}/000.png: ")
    assert line.endswith("(and none of the 40 pictures could be used)")
    assert list(tmp_path.iterdir()) == [source]


def begun(folder: Path) -> subprocess.Popen[str]:
    """Start to pack an endless file; returns when the workers have sent their first results."""
    command = [*PACK, str(endless(folder)), "-o", str(folder / "out.npy"), "--jobs", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while not any(file.stat().st_size > 1 << 17 for file in folder.glob(".out.npy.*/pixels")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


@posix_only
def test_ctrl_c_at_a_terminal_ends_everything(tmp_path: Path) -> None:
    with begun(tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes in the foreground
        said, _ = process.communicate()
        assert process.returncode == 130
    assert said in ("", "error: interrupted\n")  # nothing of the workers
    assert [file.name for file in tmp_path.iterdir()] == ["endless.npy"]


@posix_only
def test_an_interrupt_of_the_command_alone_ends_everything(tmp_path: Path) -> None:
    with begun(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
        assert process.returncode == 130
    assert said in ("", "error: interrupted\n")  # nothing of the workers


@posix_only
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_command_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    with begun(tmp_path) as process:
        process.send_signal(how)
        said, _ = process.communicate()  # waits for the workers too: they hold the same pipe
        assert process.returncode == -how
    assert said == ""


@posix_only
def test_what_is_not_finished_goes_with_the_command_or_with_the_next_one(tmp_path: Path) -> None:
    def left() -> list[Path]:
        return list(tmp_path.glob(".out.npy.*"))

    with begun(tmp_path) as process:
        process.terminate()
        process.communicate()
    assert left() == []
    with begun(tmp_path) as process:
        process.kill()
        process.communicate()
    (stale,) = left()
    source = photos(tmp_path / "in", 2)
    (tmp_path / ".out.npy.mine").mkdir()  # by someone else
    with begun(tmp_path / "in") as process:
        at_work = tmp_path / "in" / "out.npy"
        assert pack(source / "000.png", "-o", at_work).returncode == 0  # beside one that is at work
        assert process.poll() is None
        process.terminate()
        process.communicate()
    result = pack(source, "-o", tmp_path / "out.npy")
    assert result.returncode == 0
    assert left() == [tmp_path / ".out.npy.mine"]
    assert f"{stale}: removed" in result.stdout
