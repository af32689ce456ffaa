"""Many pictures: by several processes, killed and gone on with, with workers that break; run as a user runs them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import many_cases as cases
import pytest

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError
from deepix.jobs import RestoreJob, crew, many, memory, run
from deepix.jobs.job import JobResult
from deepix.jobs.manifest import Manifest
from deepix.options import Options

SMOOTH = Options(method="smooth", fast=True)
MANIFEST = "deepix-restore.jsonl"
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, and a broken one of each kind; only to be read."""
    root = cases.photos(tmp_path_factory.mktemp("many") / "photos", 32)
    for way in range(cases.BROKEN):
        cases.broken(root / "00" / f"{3 * way + 1:05}.png", way)
    return root


@pytest.fixture(scope="module")
def expected(folder):
    """What one process makes of the folder, with a manifest, uninterrupted."""
    out = folder.parent / "expected"
    done = cases.call("restore", folder, "-o", out, "--workers", 1, "--resume", *cases.FAST, "--summary", code=1)
    return out, done


def jobs_of(folder: Path, out: Path, number: int = 8) -> list[RestoreJob]:
    sources = sorted(folder.rglob("*.png"))[-number:]
    return [RestoreJob(source=path, output=out / path.name, options=SMOOTH) for path in sources]


# ── in order, the same ───────────────────────────────────────────────────────────────────────────


def test_several_workers_give_the_same_bytes_in_the_same_order(folder, expected, tmp_path):
    out, one = expected
    several = cases.call("restore", folder, "-o", tmp_path, "--workers", 3, "--resume", *cases.FAST, code=1)
    assert cases.content(tmp_path) == cases.content(out)
    assert cases.entries(tmp_path / MANIFEST) == cases.entries(out / MANIFEST)

    def lines(text: str, place: Path) -> list[str]:
        return [line.replace(str(place), "OUT").partition(": 1 mosaic")[0] for line in text.splitlines()]

    assert lines(several.stderr, tmp_path) == lines(one.stderr, out)


def test_workers_restore_by_the_network_to_the_same_bytes(tmp_path):
    root = cases.photos(tmp_path / "in", 4, size=160)
    for workers in (1, 2):
        cases.call("restore", root, "-o", tmp_path / str(workers), "--workers", workers, "--compare")
    assert cases.content(tmp_path / "1") == cases.content(tmp_path / "2")
    assert cases.content(tmp_path / "1")


def test_find_by_workers_prints_the_same(folder, tmp_path):
    first, second = (cases.call("find", folder, "--fast", "--json", "--workers", n, code=1).stdout for n in (1, 2))
    assert first == second
    assert len(first.splitlines()) > 20


def test_every_file_is_accounted_for(folder, expected):
    """Each file that gave no result is named once, with its reason; the counts add up."""
    out, done = expected
    lines = done.stderr.splitlines()
    met = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    without = [path for path in met if not (out / path.relative_to(folder)).exists()]
    assert len(without) > cases.BROKEN
    for path in without:
        assert sum(str(path) in line for line in lines) == 1, path
    summary = json.loads(done.stdout)["summary"]
    assert sum(summary[what] for what in ("done", "nothing", "unsure", "failed", "passed_over")) == len(met)
    assert summary["done"] == len(cases.content(out))
    assert summary["not_done"] == summary["earlier"] == 0
    written = cases.entries(out / MANIFEST)
    assert sorted(one["input"] for one in written[1:]) == sorted(map(str, met))


def test_few_pictures_need_no_process(monkeypatch):
    monkeypatch.setattr(memory, "room", lambda: 16 << 30)
    assert many.workers_that_pay(2 * many.PAYS - 1, 4) == 1
    assert many.workers_that_pay(10_000, 1) == 1
    with many.threads.limit(2):
        assert many.workers_that_pay(10_000) == min(2, many.threads.count())
    monkeypatch.setattr(memory, "room", lambda: 1)
    assert many.workers_that_pay(10_000, 64) == 1


def test_the_summary_is_the_last_object_and_only_when_asked_for(folder):
    done = cases.call("find", folder, "--fast", "--json", "--summary", code=1)
    *others, last = map(json.loads, done.stdout.splitlines())
    assert list(last) == ["summary"]
    assert all("input" in one for one in others)


# ── memory ───────────────────────────────────────────────────────────────────────────────────────


def test_a_large_picture_waits_for_room_and_comes_alone(folder, tmp_path):
    """With room for one picture, one is at work at a time; with room for several, several are."""

    class Counting(many.Nobody):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = 0

        def begin(self, job):
            self.now += 1
            self.most = max(self.most, self.now)
            return job

        def end(self, job, result):
            self.now -= 1
            return result

    for room, most in ((1, 1), (2 * memory.needed(120 * 120), 2), (1 << 40, 3)):
        watch = Counting()
        jobs = jobs_of(folder, tmp_path / str(room), 9)
        results = list(many.results(jobs, 3, watch=watch, room=room))
        assert [r.source for r in results] == [job.source for job in jobs]
        assert watch.most == most
    assert memory.needed(100_000_000) > memory.needed(1_000_000) > 0
    assert memory.room() > 0


# ── killed, and gone on with ─────────────────────────────────────────────────────────────────────


@posix_only
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_killed_at_any_moment_is_gone_on_with(folder, expected, tmp_path, workers):
    out, _ = expected
    command = ("restore", folder, "-o", tmp_path, "--workers", workers, "--resume", *cases.FAST)
    struck = cases.killed(command, random.Random(workers), 3, 2, tmp_path / MANIFEST)
    done = cases.call(*command, code=1)
    assert struck
    assert cases.content(tmp_path) == cases.content(out)
    assert cases.entries(tmp_path / MANIFEST) == cases.entries(out / MANIFEST)
    assert "exists already" not in done.stderr
    again = cases.call(*command, code=1)
    assert "of these by an earlier run)" in again.stderr
    assert " -> " not in again.stderr  # nothing is done twice


def finished(tmp_path: Path) -> tuple[Path, Path]:
    """Make a few photos, and restore them."""
    root, out = cases.photos(tmp_path / "photos", 6), tmp_path / "out"
    cases.broken(root / "00" / "00005.png", 0)
    cases.call("restore", root, "-o", out, "--resume", *cases.FAST, code=1)
    return root, out


def test_only_what_changed_is_done_anew(tmp_path):
    root, out = finished(tmp_path)
    command = ("restore", root, "-o", out, "--resume", *cases.FAST)
    before = cases.content(out)
    names = sorted(before)
    shutil.copy(root / names[0], root / names[1])  # another picture
    (out / names[2]).unlink()  # a result that is there no more
    done = cases.call(*command, code=1)
    assert [line.partition(" -> ")[0] for line in done.stderr.splitlines() if " -> " in line] == [
        str(root / name) for name in names[1:3]
    ]
    after = cases.content(out)
    assert after == {**before, names[1]: before[names[0]]}
    other = cases.call(*command, "--threshold", 0.1, "--compare", code=1)  # other options: all are done anew
    assert sum(" -> " in line for line in other.stderr.splitlines()) == len(names)
    assert "exists already" not in other.stderr
    assert len(cases.content(out)) == 2 * len(names)


def test_what_the_user_has_changed_is_not_overwritten(tmp_path):
    root, out = finished(tmp_path)
    names = sorted(cases.content(out))
    (out / names[0]).write_bytes(b"mine")
    done = cases.call("restore", root, "-o", out, "--resume", *cases.FAST, "--compare", code=1)
    assert f"{out / names[0]}: exists already" in done.stderr
    assert (out / names[0]).read_bytes() == b"mine"


def test_a_torn_line_and_lines_that_say_nothing_are_tolerated(tmp_path):
    root, out = finished(tmp_path)
    manifest = out / MANIFEST
    whole = manifest.read_bytes()
    lines = whole.splitlines(keepends=True)
    for torn in (whole[:-40], whole[:20], b"", b"".join((*lines[:-3], b"\0\0\n", b"[1]\n", *lines[-3:-1]))):
        manifest.write_bytes(torn)
        for name in cases.content(out) if len(torn) < 50 else ():
            (out / name).unlink()
        cases.call("restore", root, "-o", out, "--resume", *cases.FAST, code=1)
        assert [cases.timeless(json.loads(x), out) for x in lines] == cases.entries(manifest)


def test_a_file_that_is_no_manifest_is_left_alone(folder, tmp_path):
    precious = tmp_path / "diary.jsonl"
    precious.write_text("dear diary\n")
    done = cases.call("restore", folder, "-o", tmp_path / "o", "--resume", "--manifest", precious, code=1)
    said = done.stderr.splitlines()[-1]
    assert said == f"error: {precious}: not a manifest of Deepix; name another file with --manifest"
    done = cases.call("restore", folder, "-o", tmp_path / "o", "--manifest", precious, code=1)
    assert "exists already" in done.stderr
    assert precious.read_text() == "dear diary\n"
    Manifest(tmp_path / "m", "find").close()
    with pytest.raises(InputError, match="the manifest of deepix find"):
        Manifest(tmp_path / "m", "restore", resume=True)


@posix_only
def test_one_manifest_is_used_by_one_run(tmp_path):
    photo = next(cases.photos(tmp_path / "in", 2).rglob("*1.png"))
    with Manifest(tmp_path / "m", "restore") as manifest:
        manifest.met(photo, "failed", "why")
        with cases.started("restore", photo, "--manifest", tmp_path / "m", "--resume", *cases.FAST) as other:
            _, said = other.communicate()
        assert said == f"error: {tmp_path / 'm'}: another run is using it; wait until it has ended\n"
        assert other.returncode == 1
    cases.call("restore", photo, "--manifest", tmp_path / "m", "--resume", *cases.FAST)


def test_where_the_manifest_is_by_default(tmp_path):
    root = cases.photos(tmp_path / "in", 2)
    photo = root / "00" / "00001.png"
    for arguments, name in (
        ((root,), root / ".deepix-restore.jsonl"),
        ((photo, "-o", tmp_path / "one.png"), tmp_path / ".deepix-restore.jsonl"),
        ((root, "-o", tmp_path / "out"), tmp_path / "out" / MANIFEST),
        ((root, "-o", root / "out"), root / "out" / f".{MANIFEST}"),
    ):
        cases.call("restore", *arguments, "--resume", *cases.FAST)
        assert name.exists()
    cases.call("restore", "-", "--resume", code=2)
    assert "no such file" in cases.call("find", tmp_path / "none.png", "--resume", code=1).stderr


def test_what_was_found_earlier_is_in_the_table_again(tmp_path):
    root = cases.photos(tmp_path / "in", 3)
    first, second = (cases.call("find", root, "--fast", "--resume") for _ in range(2))
    assert first.stdout == second.stdout
    assert "00001.png" in first.stdout
    assert second.stderr.endswith("(3 of these by an earlier run)\n")


def test_results_are_the_same_when_read_back(folder, expected):
    from_manifest = cases.call("restore", folder, "-o", expected[0], "--resume", *cases.FAST, "--json", code=1)
    fresh = [run(replace(job, overwrite=True)) for job in jobs_of(folder, expected[0].parent / "fresh")]
    for result in fresh:
        assert JobResult.from_record(result.source, json.loads(json.dumps(result.to_record()))) == result
    reports = {one["input"]: one for one in map(json.loads, from_manifest.stdout.splitlines())}
    for result in fresh:
        old, new = reports[str(result.source)], result.to_dict()
        assert {k: old[k] for k in ("mosaics", "notes", "method", "noise")} == {
            k: new[k] for k in ("mosaics", "notes", "method", "noise")
        }


def test_temporary_files_of_others_stay(tmp_path):
    with files.marked("ab12."):
        ours = files.temporary_beside(tmp_path / "x.png")
    theirs = files.temporary_beside(tmp_path / "x.png")
    for path in (ours, theirs):
        path.touch()
    files.remove_marked(tmp_path, "ab12.")
    assert list(tmp_path.iterdir()) == [theirs]


# ── errors, interruptions, workers that break ────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [1, 2])
def test_after_so_many_errors_it_stops(folder, tmp_path, workers):
    command = ("restore", folder, "-o", tmp_path, "--workers", workers, "--resume", *cases.FAST)
    done = cases.call(*command, "--max-errors", 2, code=1)
    lines = done.stderr.splitlines()
    assert lines[-2] == "error: stopped after 2 errors, as --max-errors says"
    assert "2 failed" in lines[-1]
    assert "not done" in lines[-1]
    assert "not done" not in cases.call(*command, code=1).stderr


@posix_only
@pytest.mark.parametrize("group", [True, False])
def test_ctrl_c_ends_the_workers_in_one_line_and_can_be_gone_on_with(folder, expected, tmp_path, group):
    command = ("restore", folder, "-o", tmp_path, "--workers", 2, "--resume", "-q", *cases.FAST)
    with cases.started(*command) as process:
        while not (tmp_path / MANIFEST).exists() or b'"result"' not in (tmp_path / MANIFEST).read_bytes():
            assert process.poll() is None
            time.sleep(0.002)
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        _, said = process.communicate()  # waits for the workers too: they hold the same pipe
    assert process.returncode == 130
    *_, last = said.splitlines()
    assert last.startswith("error: interrupted: ")
    assert last.endswith("; go on with --resume")
    assert not list(tmp_path.rglob(".deepix-*.tmp"))
    cases.call(*command, code=1)
    assert cases.content(tmp_path) == cases.content(expected[0])


def breaks(job, *, share, mark, lock):
    """Do as a worker does; but of some pictures it dies, of one the first time only."""
    if job.source.stem in ("poison", "once"):
        if job.source.stem == "once":
            run(job)
        if job.source.stem == "poison" or not job.overwrite:
            with files.marked(f"{mark}.{os.getpid()}."):
                files.temporary_beside(job.output).write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    return crew.do(job, share=share, mark=mark, lock=lock)


@posix_only
def test_a_worker_that_is_killed_takes_nothing_with_it(folder, tmp_path):
    """Its picture is tried once more, then set apart; the others are done; nothing half-written is left."""
    root = tmp_path / "in"
    shutil.copytree(folder / "00", root, symlinks=True)
    good = sorted(root.glob("*.png"))[-6:]
    good[1].rename(root / "poison.png")
    good[3].rename(root / "once.png")
    sources = [good[0], root / "poison.png", good[2], root / "once.png", *good[4:]]
    jobs = [RestoreJob(source=path, output=tmp_path / "out" / path.name, options=SMOOTH) for path in sources]
    (tmp_path / "out").mkdir()
    with closing(crew.by_workers(jobs, 2, many.Nobody(), 1 << 40, breaks)) as stream:
        results = list(stream)
    assert [r.source for r in results] == sources
    failed = [r for r in results if r.error]
    assert [r.source.stem for r in failed] == ["poison"]
    assert failed[0].error_kind == many.BROKEN
    assert "ended 2 times (killed by SIGKILL)" in failed[0].error
    assert not list((tmp_path / "out").glob(".*"))


def always_dies(job, **_):
    os._exit(3)


def test_workers_that_die_of_every_picture_end_the_run(folder, tmp_path):
    jobs = jobs_of(folder, tmp_path, 12)
    with pytest.raises(DeepixError, match=r"again and again \(exit code 3\)"):
        list(crew.by_workers(jobs, 2, many.Nobody(), 1 << 40, always_dies))


def test_a_full_disk_is_one_line(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no such device")
    with Manifest(tmp_path / "m", "restore") as manifest:
        os.dup2(os.open(full, os.O_RDWR), manifest._file)
        with pytest.raises(OutputError, match="No space left"):
            manifest.met(tmp_path / "x", "failed", "why")
