"""Many machines: clusters of two nodes on this one, which lose processes and nodes; folders, buckets and archives."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import many_cases as cases
import pytest

if importlib.util.find_spec("ray") is None or importlib.util.find_spec("s3fs") is None:
    pytest.skip("NOT TESTED: many machines; pip install 'deepix[ray]' moto[server]", allow_module_level=True)

import cluster_cases

from deepix.cluster import actor, engine, lock, plan, record, storage
from deepix.errors import OutputError
from deepix.jobs import RestoreJob
from deepix.options import Options

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
slow = pytest.mark.skipif(not os.environ.get("CLUSTER"), reason="make cluster-test runs it")
SMOOTH = Options(method="smooth", fast=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, some of them broken; only to be read."""
    root = cases.photos(tmp_path_factory.mktemp("cluster") / "photos", 24)
    for way in range(cases.BROKEN):
        cases.broken(root / "00" / f"{2 * way + 1:05}.png", way)
    for number, name in ((16, "two words.png"), (17, "new\nline.png"), (18, os.fsdecode(b"no\xffutf8.png"))):
        (root / "00" / f"{number:05}.png").rename(root / "00" / name)
    (root / "00" / "loop").symlink_to(root)
    return root


@pytest.fixture(scope="module")
def alone(folder):
    """What one machine makes of the folder, and its counts."""
    out = folder.parent / "expected"
    done = cases.call("restore", folder, "-o", out, "--workers", 1, "--summary", *cases.FAST, code=1)
    return cases.content(out), json.loads(done.stdout)["summary"]


@pytest.fixture(scope="module")
def expected(alone):
    """What one machine makes of the folder."""
    return alone[0]


@pytest.fixture(scope="module")
def cluster():
    with cluster_cases.cluster(2) as made:
        yield made


def entries(out: Path) -> list[dict]:
    parts = sorted((out / ".deepix-restore").glob("*.jsonl"))
    return [line for part in parts for line in map(json.loads, part.read_text().splitlines()) if "input" in line]


def results(root: Path, out: Path, **limits):
    made = plan.Plan(
        storage.Folder(str(root)), storage.Folder(str(out)), RestoreJob(source=Path(), output=Path(), options=SMOOTH)
    )
    kept = record.Record(storage.Folder(str(out / ".deepix-restore")), made, resume=True, overwrite=False)
    return engine.results(made, kept, engine.Limits(**limits))


def names(root: Path) -> list[str]:
    met = (path for path in root.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path.relative_to(root).as_posix() for path in met)


def redone(said: str) -> list[str]:
    """Return which pictures a run has restored, by what it said."""
    return [line.partition(" -> ")[0] for line in said.splitlines() if " -> " in line]


def test_a_cluster_gives_the_same_bytes_and_accounts_for_every_file(folder, alone, cluster, tmp_path):
    expected, counts = alone
    command = ("restore", folder, "-o", tmp_path, "--engine", "ray", "--address", cluster.address, *cases.FAST)
    done = cases.call(*command, "--summary", code=1)
    assert cases.content(tmp_path) == expected
    assert sorted(entry["input"] for entry in entries(tmp_path)) == names(folder)
    assert json.loads(done.stdout)["summary"] == counts
    assert counts["done"] == len(expected)
    assert sum(counts[what] for what in ("done", "nothing", "unsure", "failed", "passed_over")) == len(names(folder))
    again = cases.call(*command, "--summary", "--resume", code=1)
    assert json.loads(again.stdout)["summary"]["done"] == len(expected)
    assert " -> " not in again.stderr  # nothing is done twice
    assert len(entries(tmp_path)) == len(names(folder))
    assert "there is a manifest; go on with --resume" in cases.call(*command, code=1).stderr
    removed = min(expected)
    (tmp_path / removed).unlink()
    third = cases.call(*command, "--resume", code=1)
    assert redone(third.stderr) == [str(folder / removed)]
    assert cases.content(tmp_path) == expected


def test_the_network_gives_the_same_bytes_by_a_cluster(cluster, tmp_path):
    """By default: found and restored by networks, opened once in each process."""
    root = cases.photos(tmp_path / "in", 4, size=160)
    cases.call("restore", root, "-o", tmp_path / "here", "--workers", 1, "--compare")
    cases.call(
        *("restore", root, "-o", tmp_path / "there", "--compare"), *("--engine", "ray", "--address", cluster.address)
    )
    assert cases.content(tmp_path / "there") == cases.content(tmp_path / "here")
    assert {entry["result"]["method"] for entry in entries(tmp_path / "there")} == {"network"}


@slow
def test_a_node_that_is_killed_loses_nothing(folder, expected, tmp_path):
    """One entry and one output of each input, and what was at work there is done by the other."""
    with cluster_cases.cluster(2) as own, engine.connected(own.address):
        stream = results(folder, tmp_path)
        first = [next(stream) for _ in range(5)]
        own.remove_node(own.workers[0], allow_graceful=False)
        rest = list(stream)
    assert sorted(one.name for one in (*first, *rest)) == names(folder)
    assert sorted(entry["input"] for entry in entries(tmp_path)) == names(folder)
    assert cases.content(tmp_path) == expected


def test_a_program_that_is_killed_is_gone_on_with(folder, expected, cluster, tmp_path):
    """The last entries may be lost with it, their pictures are done again; nothing half-written stays."""
    command = ("restore", folder, "-o", tmp_path, "--engine", "ray", "--address", cluster.address, "--resume")
    with cases.started(*command, *cases.FAST) as process:
        while process.poll() is None and len(list(tmp_path.rglob("*.png"))) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = tmp_path / "00" / f".deepix-{storage.MARK}0123.tmp"
    left.touch()
    cases.call(*command, *cases.FAST, code=1)
    assert cases.content(tmp_path) == expected
    assert sorted(entry["input"] for entry in entries(tmp_path)) == names(folder)


@slow
def test_what_changed_is_done_anew(cluster, tmp_path):
    root, out = cases.photos(tmp_path / "in", 5), tmp_path / "out"
    command = ("restore", root, "-o", out, "--engine", "ray", "--address", cluster.address, "--resume", *cases.FAST)
    cases.call(*command)
    (root / "00" / "00001.png").write_bytes((root / "00" / "00002.png").read_bytes())
    assert redone(cases.call(*command).stderr) == [str(root / "00" / "00001.png")]
    assert (out / "00" / "00001.png").read_bytes() == (out / "00" / "00002.png").read_bytes()
    (out / "00" / "00003.png").write_bytes(b"mine")
    again = cases.call(*command[:-2], "--manifest", tmp_path / "another", *cases.FAST, code=1)
    assert f"error: {out / '00' / '00003.png'}: exists already" in again.stderr
    assert (out / "00" / "00003.png").read_bytes() == b"mine"


def test_a_plan_is_another_with_another_model_or_other_options(tmp_path):
    """By the rule of one machine's manifest: the model's file as it is counts, the number of threads does not."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"1")

    def digest(**options):
        job = RestoreJob(source=Path(), output=Path(), options=Options(**options))
        return plan.Plan(storage.Folder(str(tmp_path)), None, job).digest()

    before = digest(model=str(model))
    assert digest(model=str(model)) == digest(model=str(model), threads=1) == before
    model.write_bytes(b"22")
    assert len({before, digest(model=str(model)), digest(), digest(cell=8), digest(max_pixels=9)}) == 5


def test_only_what_changed_is_done_anew(folder, alone, tmp_path):
    """Without Ray's part: tasks, what an actor does, and the manifest, in this process."""
    kept, out = storage.Folder(str(tmp_path / "kept")), tmp_path / "out"

    def run(**more) -> tuple[list[str], dict[str, int]]:
        job = RestoreJob(source=Path(), output=Path(), options=Options(method="smooth", fast=True, **more))
        made = plan.Plan(storage.Folder(str(folder)), storage.Folder(str(out)), job)
        notes = record.Record(kept, made, resume=True, overwrite=False)
        begun, counts = [], Counter()
        for chunk in plan.tasks(made):
            known = notes.earlier(one for one in chunk if isinstance(one, plan.Task))
            for number, one in enumerate(chunk):
                if isinstance(one, plan.Met):
                    notes.met(one)
                    counts[one.status.replace(" ", "_")] += 1
                elif one.entry.name not in known:
                    begun.append(one.entry.name)
                    (place := tmp_path / f"{len(list(tmp_path.iterdir()))}-{number}").mkdir()
                    outcome = actor.do(made, replace(one, overwrite=notes.ours(one)), place)
                    notes.done(one, outcome)
                    counts[outcome.result["status"]] += 1
        notes.save()
        return begun, dict(counts)

    expected, counts = alone
    begun, first = run()
    assert first == {what: number for what, number in counts.items() if number}
    assert cases.content(out) == expected
    assert run()[0] == []
    removed = max(name for name in expected)
    (out / removed).unlink()
    assert run()[0] == [removed]
    assert cases.content(out) == expected
    assert run(cell=7)[0] == begun


def test_a_result_is_there_wherever_it_is(folder, tmp_path, monkeypatch):
    """Of a disk, of a bucket over several pages, and of any other place."""
    names = [f"00/{stem}.png" for stem in ("a", "b", "b c", "ä", "f")]
    for name in ("00/b.png", "00/ä.png", "00/d.png", "00/e/x.png", "00/f.png", "00/g.png"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(b"1")
    found = {"00/b.png", "00/ä.png", "00/f.png"}
    assert storage.Folder(str(tmp_path / "out")).present(names) == found
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        for name in found:
            archive.write(tmp_path / "out" / name, name)
    assert storage.Folder(f"zip://::{tmp_path / 'out.zip'}").present(names) == found
    monkeypatch.setattr(storage, "PAGE", 2)
    with cluster_cases.bucket(monkeypatch, "there") as store:
        store.put(str(tmp_path / "out"), "there/out", recursive=True)
        for url in ("s3://there/out", "s3://there/out/"):
            assert storage.Folder(url).present(names) == found
            assert storage.Folder(url).present(["00/f.png"]) == {"00/f.png"}
            assert storage.Folder(url).present(["00/c.png"]) == set()


def test_one_run_at_a_time(folder, tmp_path, monkeypatch):
    """A second run on one target is refused in one line; what a killed one left is taken over."""
    command = ("restore", folder, "-o", tmp_path, "--engine", "ray", *cases.FAST)
    for place, more in ((tmp_path / ".deepix-restore", ()), (tmp_path, ("--manifest", tmp_path.parent / "elsewhere"))):
        with lock.held(storage.Folder(str(place))), cases.started(*command, *more) as process:
            said = process.communicate()[1]
        assert process.returncode == 1
        assert said == f"error: {place / lock.NAME}: another run is using it; wait until it has ended\n"
        assert not (place / lock.NAME).exists()
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "BEATS", 50)
    with cluster_cases.bucket(monkeypatch, "locked") as store:
        place = storage.Folder("s3://locked/out")
        with lock.held(place) as mine:
            with pytest.raises(OutputError, match=r"^s3://locked/out/\.deepix-lock: another run is using it"):
                lock.held(place).__enter__()
            assert not mine.lost
            while not mine.lost:  # it may be about to write it anew
                store.pipe_file("locked/out/.deepix-lock", b"somebody else's")
                time.sleep(0.1)
        assert store.cat_file("locked/out/.deepix-lock") == b"somebody else's"
        with lock.held(place):  # nobody writes that any more
            assert store.cat_file("locked/out/.deepix-lock") != b"somebody else's"
        assert store.find("locked/out") == []


def poisoned(given, task, place):
    """Do as a process of the cluster does; but of some pictures it dies, or never ends."""
    if task.entry.name.endswith("poison.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.entry.name.endswith("endless.png"):
        while True:
            time.sleep(1)
    return actor.do(given, task, place)


class Poisoned(actor.Actor):
    def do(self, task):
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as name:
            return poisoned(self._plan, task, Path(name))


@slow
def test_pictures_that_kill_or_never_end_are_set_apart(cluster, tmp_path, monkeypatch):
    import ray.cloudpickle

    monkeypatch.setattr(engine, "Actor", Poisoned)
    import sys

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    root = cases.photos(tmp_path / "in", 6)
    for number, name in ((2, "poison"), (4, "endless")):
        (root / "00" / f"{number:05}.png").rename(root / "00" / f"{name}.png")
    with engine.connected(cluster.address):
        done = {one.name: one for one in results(root, tmp_path / "out", seconds=5)}
    failed = {Path(name).stem: one.error for name, one in done.items() if one.error}
    assert sorted(failed) == ["endless", "poison"]
    assert failed["endless"].endswith("endless.png: it took longer than 5 s, 3 times")
    assert failed["poison"].endswith("3 times")
    assert len(done) == 6
    assert {entry["input"] for entry in entries(tmp_path / "out")} == set(done)


def _plain(name: str) -> bool:
    """Whether a name can be a key: S3 has no names that are no text, and moto's server none of two lines."""
    return name.isascii() and name.isprintable()


def test_a_bucket_an_archive_and_find(folder, expected, tmp_path, monkeypatch):
    """The cluster is of this machine alone; it learns of the server from the environment."""
    with cluster_cases.bucket(monkeypatch, "pictures") as store:
        for name in names(folder):
            if (folder / name).is_file() and _plain(name):
                store.pipe_file(f"pictures/in/{name}", (folder / name).read_bytes())
        options = ("--engine", "ray", "--workers", 2)
        cases.call("restore", "s3://pictures/in", "-o", "s3://pictures/out", *options, *cases.FAST, code=1)
        made = {key.split("/", 2)[2]: store.cat_file(key) for key in store.find("pictures/out")}
    wanted = {name: data for name, data in expected.items() if _plain(name)}
    assert len(wanted) == len(expected) - 2
    assert {name: data for name, data in made.items() if not name.startswith(".deepix")} == wanted
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("00/00004.png", "00/00006.png"):
            archive.write(folder / name, name)
    done = cases.call("find", f"zip://::{tmp_path / 'a.zip'}", *options, "--fast", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    here = {
        Path(one["input"]).name: one
        for one in map(
            json.loads,
            cases.call(
                "find", folder / "00" / "00004.png", folder / "00" / "00006.png", "--fast", "--json"
            ).stdout.splitlines(),
        )
    }
    assert {Path(one["input"].partition("::")[0]).name: one["mosaics"] for one in found} == {
        name: one["mosaics"] for name, one in here.items()
    }


def test_a_page_of_an_object_store_does_not_part_a_stem(monkeypatch):
    """Names that differ in the suffix come together, whatever the pages' ends."""
    keys = ["in/a.jpg", "in/a.png", "in/b.png", "in/c/a.png", "in/c/b.jpg", "in/c/b.png"]

    class Store:
        def call_s3(self, method, Bucket, Prefix, MaxKeys, ContinuationToken="0"):
            start = int(ContinuationToken)
            page = [{"Key": key, "Size": 1, "ETag": '"x"'} for key in keys[start : start + MaxKeys]]
            more = start + MaxKeys < len(keys)
            return {"Contents": page, "IsTruncated": more, "NextContinuationToken": str(start + MaxKeys)}

    for size in range(1, 8):
        monkeypatch.setattr(storage, "PAGE", size)
        chunks = list(storage._pages(Store(), "bucket/in"))
        assert [f"in/{entry.name}" for chunk in chunks for entry in chunk] == keys
        for pair in (("a.jpg", "a.png"), ("c/b.jpg", "c/b.png")):
            assert any({*pair} <= {entry.name for entry in chunk} for chunk in chunks), size


def test_options_that_do_not_go_together(tmp_path):
    (tmp_path / "x").mkdir()
    for arguments in (
        ("restore", "s3://bucket/x"),
        ("restore", tmp_path, "--address", "auto"),
        ("restore", tmp_path, "--engine", "ray"),
        ("restore", tmp_path, tmp_path, "-o", tmp_path / "y", "--engine", "ray"),
    ):
        cases.call(*arguments, code=2)
    inside = cases.call("restore", tmp_path, "-o", tmp_path / "y", "--engine", "ray", code=1)
    assert "a folder apart from the pictures" in inside.stderr


def test_a_source_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    cluster_cases.forget()
    (tmp_path / "empty").mkdir()
    for source, why in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "empty", "no pictures in this folder"),
        (f"zip://::{tmp_path / 'nowhere.zip'}", "cannot be opened"),
        ("nothing://x", "cannot be opened"),
        ("s3://bucket/x", "cannot be listed (Unable to locate credentials)"),
    ):
        said = cases.call("restore", source, "-o", tmp_path / "out", "--engine", "ray", code=1).stderr
        assert said.startswith(f"error: {source}: {why}"), said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
