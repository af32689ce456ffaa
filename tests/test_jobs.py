"""Jobs: what is meant, how results are called, and what becomes of each file, in this process and in others."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

import deepix
from deepix import Mosaic, finder, images
from deepix.errors import OutputError
from deepix.jobs import FindJob, RestoreJob, inputs, names, run
from deepix.jobs.inputs import Input
from deepix.jobs.job import STANDARD
from deepix.jobs.names import Destination
from deepix.mosaic import Grid
from deepix.options import Options


@pytest.fixture(scope="module")
def pixelated():
    return deepix.pixelate(data.chelsea(), [Mosaic.rectangle(30, 40, 96, 80, 12)])


@pytest.fixture
def photo(pixelated, tmp_path):
    Image.fromarray(pixelated).save(tmp_path / "a.png")
    return tmp_path / "a.png"


SMOOTH = Options(method="smooth", fast=True)


# ── what is meant ────────────────────────────────────────────────────────────────────────────────


def test_every_file_met_is_told_of(photo, tmp_path):
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("b.png", "deep/a.JPG", ".hidden/c.png", ".d.png", "b_restored.png", "deep/b_restored_jpg_compare.png"):
        (root / name).write_bytes(photo.read_bytes())
    (root / "notes.txt").write_text("x")
    (root / "README").write_text("x")
    (root / "nowhere.png").symlink_to(root / "gone.png")
    (root / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.png")
    listing = inputs.listed([root, photo, root / "b.png", tmp_path / "none.png"])
    assert [(str(i.relative), i.root) for i in listing.inputs] == [
        ("b.png", root),
        ("deep/a.JPG", root),
        ("a.png", None),
    ]
    earlier = "the result of an earlier run; name it on the command line to use it"
    assert {p.path.name: p.reason for p in listing.passed_over} == {
        "notes.txt": "no picture that Deepix reads, by its name (.txt)",
        "README": "no picture that Deepix reads, by its name (without a suffix)",
        "nowhere.png": "a link to a file that does not exist",
        "elsewhere": "a link to a folder, which is not followed",
        "pipe.png": "not a regular file",
        "b_restored.png": earlier,
        "b_restored_jpg_compare.png": earlier,
    }
    assert [(p.path.name, p.reason) for p in listing.failed] == [("none.png", "no such file or folder")]


def test_a_folder_without_pictures_and_one_that_is_shut_are_told_apart(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert inputs.listed([tmp_path / "empty"]).failed[0].reason == "no pictures in this folder"
    real = os.scandir

    def shut(path):
        if str(path).endswith("empty"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", shut)
    (failed,) = inputs.listed([tmp_path]).failed
    assert failed.path == tmp_path / "empty"
    assert "Permission denied" in failed.reason


@pytest.mark.parametrize(
    ("stem", "originals"),
    [
        ("a", set()),
        ("a_restored", {"a"}),
        ("a_restored_compare", {"a", "a_restored"}),
        ("a_restored_jpg", {"a"}),
        ("a_restored_2_compare", {"a", "a_restored", "a_restored_2"}),
        ("a_found", {"a"}),
        ("a_2_uncertainty", {"a", "a_2"}),
        ("lost", set()),
        ("_restored", set()),
    ],
)
def test_names_say_what_they_were_made_of(stem, originals):
    assert images.made_of(stem) == originals


# ── names ────────────────────────────────────────────────────────────────────────────────────────

PLAIN = ["a", "A", "b", "a.b", "a_2", "a_png", "é", "e\u0301", "ß", "ss"]
MADE = ["a_restored", "a_restored_png", "a_compare", "a_uncertainty", "b_found", "x_restored_compare"]
STEMS = st.sampled_from([*PLAIN, *MADE])
SUFFIXES = st.sampled_from([".png", ".PNG", ".jpg", ".tif", ""])
FOLDERS = st.sampled_from(["/in", "/in/deep", "/IN", "/other", "/out", "/in/out"])


@st.composite
def several_inputs(draw):
    result = []
    for folder, stem, suffix in draw(st.lists(st.tuples(FOLDERS, STEMS, SUFFIXES), max_size=9, unique=True)):
        path = Path(folder) / (stem + suffix)
        searched = folder.startswith("/in") and draw(st.booleans())
        result.append(
            Input(path, path.relative_to("/in") if searched else Path(path.name), Path("/in") if searched else None)
        )
    return result


def seen(path):
    """A name as a file system sees it that ignores case and how letters are composed."""
    return unicodedata.normalize("NFD", str(path).casefold())


@given(
    several_inputs(),
    st.none() | FOLDERS.map(lambda f: Destination(Path(f), folder=True)),
    st.none() | FOLDERS.map(lambda f: Destination(Path(f), folder=True)),
    st.booleans(),
)
def test_no_two_results_and_no_result_and_an_input_have_the_same_name(listed, output, uncertainty, compare):
    settled = names.for_restoring(listed, output, compare=compare, uncertainty=uncertainty)
    results = []
    for one in settled:
        assert not one.as_named
        # whatever suffix the content asks for in the end
        results.append(seen(one.output.with_suffix("") if one.output.suffix else one.output))
        results += [seen(path.with_suffix("")) for path in (one.compare, one.uncertainty) if path]
    assert len(set(results)) == len(results)
    assert set(results).isdisjoint(seen(i.path.with_suffix("") if i.path.suffix else i.path) for i in listed)
    assert settled == names.for_restoring(listed, output, compare=compare, uncertainty=uncertainty)


@given(several_inputs(), FOLDERS)
def test_no_two_overlays_have_the_same_name(listed, folder):
    results = [seen(name) for name in names.for_finding(listed, Destination(Path(folder), folder=True))]
    assert len(set(results)) == len(results)
    assert set(results).isdisjoint(seen(i.path) for i in listed)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "deep"]), STEMS, st.sampled_from([".png", ".jpg"])), min_size=1, unique=True
    ),
    st.sampled_from([None, "", "out", "deep", "deep/out"]),
    st.booleans(),
)
def test_a_result_never_looks_like_an_input_to_the_next_run(files, output, compare):
    root = Path("/in")
    paths = [root / folder / (stem + suffix) for folder, stem, suffix in files]
    stems = {path.stem for path in paths}
    listed = [Input(p, p.relative_to(root), root) for p in paths if stems.isdisjoint(images.made_of(p.stem))]
    where = None if output is None else Destination(root / output, folder=True)
    for one in names.for_restoring(listed, where, compare=compare, uncertainty=where):
        for path in (one.output, one.compare, one.uncertainty):
            assert path is None or not stems.isdisjoint(images.made_of(path.stem)), path


def test_the_rules_of_names(tmp_path):
    def restored(*paths, output=None, **options):
        given = [Input(Path(p), Path(Path(p).name)) for p in paths]
        where = names.destination(output, single=len(given) == 1) if output else None
        return [str(one.output) for one in names.for_restoring(given, where, **options)]

    assert restored("x/a.jpg", "x/a.png", "x/a.PNG") == [
        "x/a_restored.jpg",
        "x/a_restored_png.png",
        "x/a_restored_2.PNG",
    ]
    assert restored("x/a.png", "y/a.png", "z/a.png", output="out") == ["out/a.png", "out/a_2.png", "out/a_3.png"]
    assert restored("x/a.png", output="x/") == ["x/a_restored.png"]
    assert restored("x/a.png", output="better.tif") == ["better.tif"]
    assert restored("x/a.jpg", output="better") == ["better.jpg"]
    assert restored("x/a.jpg", output="better/") == ["better/a.jpg"]
    assert restored("x/a.jpg", output=str(tmp_path)) == [str(tmp_path / "a.jpg")]
    assert restored("x/a.b.png", output="o/") == ["o/a.b.png"]
    assert restored("x/a.png", "x/b.png", output="o.png") == ["o.png/a.png", "o.png/b.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        restored("x/a.png", "x/b.png", output=str(tmp_path / "file"))
    with pytest.raises(OutputError, match="one picture only"):
        restored("x/a.png", "x/b.png", output="-")
    with pytest.raises(OutputError, match="named for two results"):
        restored("x/a.png", output="o.png", uncertainty=Destination(Path("O.png"), folder=False))


# ── what becomes of a file ───────────────────────────────────────────────────────────────────────


def test_a_restore_job_writes_what_was_asked_for(photo, pixelated, tmp_path):
    out = tmp_path / "out"
    job = RestoreJob(
        source=photo,
        output=out / "a.jpg",
        compare=out / "a_compare.png",
        uncertainty=out / "a_uncertainty.png",
        options=Options(fast=True),
    )
    result = run(job)
    assert result.status == "done"
    assert result.error is None
    assert result.written == {
        "output": out / "a.png",  # a JPEG would change the rest
        "compare": out / "a_compare.png",
        "uncertainty": out / "a_uncertainty.png",
    }
    assert {p.name for p in out.iterdir()} == {"a.png", "a_compare.png", "a_uncertainty.png"}
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a.png")), deepix.restore(pixelated, fast=True).image)
    assert result.consistency == result.noise == 0
    assert result.seconds > 0
    assert result.size == (451, 300)
    assert 1 < result.uncertainties[0] < 60
    as_named = run(replace(job, output=out / "b.jpg", as_named=True, compare=None, uncertainty=None))
    assert as_named.written == {"output": out / "b.jpg"}


def test_nothing_is_written_where_nothing_is_sure(photo, pixelated, tmp_path, monkeypatch):
    job = RestoreJob(source=photo, output=tmp_path / "o.png", options=replace(SMOOTH, cell=20))
    result = run(job)
    assert result.status == "nothing"
    assert [m.grid.width for m in result.other_sizes] == [12]
    assert "12 x 12" in result.notes[0]
    assert result.skipped == ("output",)
    doubtful = Mosaic(30, 40, 96, 80, Grid(30, 40, 12, 12), confidence=0.45)
    monkeypatch.setattr(finder, "find", lambda *args, **options: [doubtful])
    result = run(replace(job, options=SMOOTH))
    assert result.status == "unsure"
    assert result.unsure == (doubtful,)
    assert not result.written
    assert not (tmp_path / "o.png").exists()
    assert run(replace(job, options=replace(SMOOTH, threshold=0.4))).status == "done"
    clean = tmp_path / "clean.png"
    Image.fromarray(data.chelsea()).save(clean)
    monkeypatch.undo()
    assert run(replace(job, source=clean, options=SMOOTH, overwrite=True)).status == "nothing"


def test_targets_are_checked_before_the_work_begins(photo, tmp_path, monkeypatch):
    def never(*args, **options):
        raise AssertionError("the work began")

    monkeypatch.setattr(finder, "find", never)
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    job = RestoreJob(source=photo, output=tmp_path / "o.png", options=SMOOTH)
    for changed, message in (
        ({"output": tmp_path / "there.png"}, "exists already"),
        ({"compare": tmp_path / "there.png"}, "exists already"),
        ({"uncertainty": tmp_path / "there.png"}, "exists already"),
        ({"output": photo, "overwrite": True}, "is the input"),
        ({"output": tmp_path / "file" / "o.png"}, "file"),
    ):
        result = run(replace(job, **changed))
        assert result.status == "failed"
        assert result.error_kind == "OutputError"
        assert message in result.error
    result = run(FindJob(source=photo, overlay=tmp_path / "there.png"))
    assert "exists already" in result.error
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_whatever_goes_wrong_is_in_the_result(photo, tmp_path, monkeypatch):
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:999])
    result = run(FindJob(source=tmp_path / "broken.png"))
    assert (result.status, result.error_kind, result.traceback) == ("failed", "InputError", None)
    assert result.error.startswith(str(tmp_path / "broken.png"))

    def breaks(*args, **options):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(finder, "find", breaks)
    result = run(FindJob(source=photo))
    assert (result.status, result.error_kind, result.error) == (
        "failed",
        "ZeroDivisionError",
        "ZeroDivisionError: surprise",
    )
    assert "in breaks" in result.traceback
    with pytest.raises(TypeError):
        run("a.png")


@pytest.mark.parametrize("name", ["run", "weights.safetensors"])
def test_what_training_leaves_is_no_model(name, photo, tmp_path):
    place = tmp_path / name
    place.mkdir() if name == "run" else place.write_bytes(b"x")
    options = replace(SMOOTH, method="network", model=place)
    result = run(RestoreJob(source=photo, output=tmp_path / "o.png", options=options))
    assert result.error.startswith(f"{photo}: {place}: ")
    assert f"deepix weights export {place}" in result.error


def test_standard_input_and_output(photo, pixelated, tmp_path):
    sink = io.BytesIO()
    job = RestoreJob(source=STANDARD, output=STANDARD, options=SMOOTH)
    result = run(job, stdin=io.BytesIO(photo.read_bytes()), stdout=sink)
    assert result.status == "done"
    assert (result.source, dict(result.written)) == (STANDARD, {"output": STANDARD})
    expected = deepix.restore(pixelated, method="smooth", fast=True).image
    np.testing.assert_array_equal(np.asarray(Image.open(sink)), expected)
    found = run(FindJob(source=STANDARD, options=SMOOTH), stdin=io.BytesIO(photo.read_bytes()))
    assert found.mosaics == result.mosaics
    for data_, message in ((b"", "standard input is empty"), (b"not a picture", "standard input: not a picture")):
        failed = run(job, stdin=io.BytesIO(data_), stdout=sink)
        assert message in failed.error
        assert failed.status == "failed"
    to_file = run(replace(job, output=tmp_path / "o.png"), stdin=io.BytesIO(photo.read_bytes()))
    assert to_file.written == {"output": tmp_path / "o.png"}


def test_jobs_and_results_cross_processes(photo, tmp_path):
    jobs = [
        RestoreJob(source=photo, output=tmp_path / "o.png", options=SMOOTH),
        RestoreJob(
            source=photo,
            output=tmp_path / "p.png",
            options=replace(SMOOTH, areas=((30, 40, 96, 80, 12),), mask=None),
        ),
        FindJob(source=photo, options=Options(fast=True), overlay=tmp_path / "f.png"),
        FindJob(source=tmp_path / "none.png"),
    ]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(run, jobs)
    here = [run(replace(job, overwrite=True)) for job in jobs]
    for one, other in zip(there, here, strict=True):
        assert replace(one, seconds=0) == replace(other, seconds=0)
        assert json.loads(json.dumps(one.to_dict()))
        for m in pickle.loads(pickle.dumps(other)).mosaics:
            assert "cells" not in vars(m)  # what was worked out on the way stays where it was


def test_results_of_blended_grids_can_be_sent_and_say_what_is_promised(tmp_path):
    image = Image.fromarray(deepix.pixelate(data.chelsea(), [Mosaic.rectangle(40, 40, 160, 160, 16)]))
    image.resize((320, 213), Image.Resampling.BOX).save(tmp_path / "r.png")
    result = run(RestoreJob(source=tmp_path / "r.png", output=tmp_path / "o.png"))
    assert result.status == "done"
    assert any(m.grid.blended for m in result.mosaics)
    assert any("agree to 1 level" in note for note in result.notes)
    assert pickle.loads(pickle.dumps(result)) == result


def test_many_jobs_leave_nothing_behind(photo, tmp_path):
    result = run(RestoreJob(source=photo, output=tmp_path / "o.png", options=SMOOTH))
    arrays = [v for v in vars(result).values() if isinstance(v, np.ndarray)]
    assert not arrays
    assert len(pickle.dumps(result)) < 5000
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".deepix")]
