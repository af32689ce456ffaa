"""The verbs for pictures, run as a user runs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from deepix.cli import app
from deepix.cli.demo import demo

runner = CliRunner()


def deepix(*arguments, code=0):
    """Run the verb in this process; a DeepixError, which `main` prints, counts as exit code 1."""
    result = runner.invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        from deepix.errors import DeepixError

        assert isinstance(result.exception, DeepixError), result.exception
        assert code == 1
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result


def plain(text):
    """What the help says, without the boxes around it."""
    return re.sub(r"[│╭╮╰╯─]", " ", text)


@pytest.fixture
def folder(tmp_path):
    """Two pixelated photos, a clean one and a broken file."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    Image.fromarray(data.chelsea()).save(root / "clean.png")
    for name, picture in (("a.png", data.chelsea()), ("deep/b.png", data.coffee()[:200, :260])):
        source = tmp_path / "source.png"
        Image.fromarray(picture).save(source)
        deepix("pixelate", source, "-o", root / name, "--area", "30,40,96,80,12", "--overwrite")
    (root / "deep" / "broken.png").write_bytes((root / "a.png").read_bytes()[:999])
    return root


def test_restore_writes_beside_the_input(folder):
    result = deepix("restore", folder / "a.png")
    restored = np.asarray(Image.open(folder / "a_restored.png")).astype(int)
    pixelated, truth = np.asarray(Image.open(folder / "a.png")), data.chelsea()
    assert "1 mosaic" in result.stderr
    inside = (slice(40, 120), slice(30, 126))
    assert ((restored - truth)[inside] ** 2).mean() < ((pixelated[inside].astype(int) - truth[inside]) ** 2).mean()
    outside = np.ones(truth.shape[:2], bool)
    outside[inside] = False
    assert np.array_equal(restored[outside], truth[outside])


def test_restore_of_a_folder_keeps_its_structure_and_names_what_failed(folder, tmp_path):
    out = tmp_path / "out"
    result = deepix("restore", folder, "-o", out, "--compare", code=1)
    files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert files == {"a.png", "a_compare.png", "deep/b.png", "deep/b_compare.png"}
    assert "broken.png" in result.stderr
    assert "clean.png: nothing pixelated found" in result.stderr
    assert "2 restored, 1 with nothing pixelated, 1 failed" in result.stderr
    width = Image.open(folder / "a.png").width
    assert Image.open(out / "a_compare.png").width > 2 * width


def test_restore_json_has_one_object_for_each_file(folder):
    result = deepix("restore", folder, "--json", code=1)
    reports = {r["input"].rsplit("/", 1)[-1]: r for r in map(json.loads, result.stdout.splitlines())}
    assert set(reports) == {"a.png", "b.png", "broken.png", "clean.png"}
    assert reports["a.png"]["mosaics"][0]["area"] == [30, 40, 96, 80]
    assert reports["a.png"]["consistency"] == 0
    assert reports["clean.png"]["output"] is None
    assert "error" in reports["broken.png"]


def test_existing_files_are_replaced_only_when_told(folder):
    (folder / "a_restored.png").write_bytes(b"mine")
    result = deepix("restore", folder / "a.png", code=1)
    assert "a_restored.png" in result.stderr
    assert (folder / "a_restored.png").read_bytes() == b"mine"
    deepix("restore", folder / "a.png", "--overwrite")
    assert (folder / "a_restored.png").read_bytes() != b"mine"
    before = (folder / "a.png").read_bytes()
    result = deepix("restore", folder / "a.png", "-o", folder / "a.png", "--overwrite", code=1)
    assert "is the input" in result.stderr
    assert (folder / "a.png").read_bytes() == before


def test_a_jpeg_becomes_a_png_unless_told_otherwise(folder):
    Image.open(folder / "a.png").save(folder / "c.jpg", quality=95)
    deepix("restore", folder / "c.jpg")
    assert Image.open(folder / "c_restored.png").format == "PNG"
    result = deepix("restore", folder / "c.jpg", "-o", folder / "d.jpg", "--quality", "90")
    assert "quality 90" in result.stderr
    assert Image.open(folder / "d.jpg").format == "JPEG"


def test_mask_and_area_name_what_to_restore(folder):
    mask = np.zeros(data.chelsea().shape[:2], np.uint8)
    mask[40:120, 30:126] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    first = deepix("restore", folder / "a.png", "--mask", folder / "mask.png", "-o", folder / "1.png", "--json")
    second = deepix("restore", folder / "a.png", "--area", "30,40,96,80,12", "-o", folder / "2.png", "--json")
    third = deepix("restore", folder / "a.png", "--area", "30,40,96,80", "--cell", 12, "-o", folder / "3.png", "--json")
    grids = [json.loads(r.stdout)["mosaics"][0]["grid"] for r in (first, second, third)]
    assert [(g["cell_width"], g["cell_height"]) for g in grids] == [(12, 12)] * 3
    pictures = [(folder / f"{k}.png").read_bytes() for k in (1, 2, 3)]
    assert pictures[0] == pictures[1] == pictures[2]


def test_mosaics_that_were_found_are_restored_as_they_are(folder):
    found = deepix("find", folder / "a.png", "--json").stdout
    (folder / "found.json").write_text(found)
    deepix("restore", folder / "a.png", "-o", folder / "1.png")
    again = deepix("restore", folder / "a.png", "--mosaics", folder / "found.json", "-o", folder / "2.png", "--json")
    assert json.loads(again.stdout)["mosaics"][0]["grid"] == json.loads(found)["mosaics"][0]["grid"]
    assert (folder / "1.png").read_bytes() == (folder / "2.png").read_bytes()
    # their grid is what counts, whatever the pixels say
    other = json.loads(found)
    other["mosaics"][0]["grid"]["cell_width"] = 13.5
    (folder / "found.json").write_text(json.dumps(other))
    again = deepix("restore", folder / "a.png", "--mosaics", folder / "found.json", "-o", folder / "3.png", "--json")
    assert json.loads(again.stdout)["mosaics"][0]["grid"]["cell_width"] == 13.5


@pytest.mark.parametrize("text", ["", "[1]", '{"mosaics": [{}]}', '{"mosaics": 3}', '{"a": 1}\n{"a": 2}', "\x00\xff"])
def test_a_file_without_mosaics_is_refused_in_one_line(folder, text):
    (folder / "found.json").write_text(text, encoding="latin-1")
    said = deepix("restore", folder / "a.png", "--mosaics", folder / "found.json", code=1)
    assert (
        said
        == f"{folder / 'found.json'}: not the mosaics of one picture; make such a file with deepix find PICTURE --json"
    )


def test_the_uncertainty_is_reported_and_drawn(folder, tmp_path):
    heat, raw = tmp_path / "heat.png", tmp_path / "raw.png"
    result = deepix("restore", folder / "a.png", "-o", folder / "1.png", "--uncertainty", heat, "--json")
    report = json.loads(result.stdout)
    mean = report["mosaics"][0]["uncertainty"]
    assert 1 < mean < 60
    assert report["uncertainty"] == str(heat)
    drawn = np.asarray(Image.open(heat))
    height, width = data.chelsea().shape[:2]
    assert drawn.shape[0] == height
    assert drawn.shape[1] > width  # the scale stands beside it
    assert not drawn[:40, :width].any()
    assert drawn[40:120, 30:126].any(axis=2).all()
    deepix("restore", folder / "a.png", "-o", folder / "2.png", "--uncertainty", raw, "--raw")
    with Image.open(raw) as image:
        assert image.mode == "I;16"
        values = np.asarray(image) / 256
    assert values.shape == (height, width)
    assert values[40:120, 30:126].mean() == pytest.approx(mean, abs=0.01)
    assert values.sum() == pytest.approx(values[40:120, 30:126].sum())
    assert Image.open(folder / "a.png").tobytes() != Image.open(folder / "1.png").tobytes()
    existing = deepix("restore", folder / "a.png", "-o", folder / "3.png", "--uncertainty", heat, code=1)
    assert "heat.png" in existing.stderr
    assert not (folder / "3.png").exists()


def test_uncertainties_of_a_folder_go_to_a_folder(folder, tmp_path):
    deepix("restore", folder, "-o", tmp_path / "out", "--uncertainty", tmp_path / "doubt", code=1)
    files = {str(p.relative_to(tmp_path / "doubt")) for p in (tmp_path / "doubt").rglob("*.png")}
    assert files == {"a_uncertainty.png", "deep/b_uncertainty.png"}


def test_the_comparison_shows_the_uncertainty_if_there_is_one(folder):
    widths = []
    for method in ("network", "smooth"):
        deepix("restore", folder / "a.png", "--method", method, "--compare", "--overwrite")
        widths.append(Image.open(folder / "a_restored_compare.png").width)
    assert widths[0] > 1.4 * widths[1]


def test_model_and_threads_are_taken_and_a_bad_model_is_one_line(folder, tmp_path):
    pictures = []
    for number, options in enumerate(
        ((), ("--threads", 1), ("--model", "challenge"), ("--method", "smooth"), ("--model", "photo"))
    ):
        out = folder / f"{number}.png"
        report = json.loads(deepix("restore", folder / "a.png", "-o", out, "--json", *options).stdout)
        assert report["method"] == ("smooth" if "smooth" in options else "network")
        assert (report["mosaics"][0]["uncertainty"] is None) == ("smooth" in options)
        pictures.append(np.asarray(Image.open(out)).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1  # sums in another order
    assert np.array_equal(pictures[0], pictures[4])
    assert not np.array_equal(pictures[0], pictures[3])
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for name in ("bad.onnx", "nowhere.onnx"):
        result = deepix("restore", folder / "a.png", "-o", folder / "x.png", "--model", tmp_path / name, code=1)
        assert f"{tmp_path / name}: " in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert not (folder / "x.png").exists()


def test_find_prints_a_table_json_and_an_overlay(folder):
    result = deepix("find", folder / "a.png", "--overlay", folder / "o.png")
    assert "96 x 80" in result.stdout
    assert "12 x 12" in result.stdout
    drawn = np.asarray(Image.open(folder / "o.png").convert("RGB")).astype(int)
    changed = (drawn != np.asarray(Image.open(folder / "a.png"))).any(axis=2)
    assert changed[40:120, 30:126].all()
    assert not changed[:38].any()
    found = json.loads(deepix("find", folder / "a.png", "--json").stdout)
    assert found["mosaics"][0]["area"] == [30, 40, 96, 80]
    assert 0.5 < found["mosaics"][0]["confidence"] <= 1
    assert json.loads(deepix("find", folder / "clean.png", "--json").stdout)["mosaics"] == []


def test_pixelate_by_area_mask_and_chance(folder):
    source = folder / "clean.png"
    one = deepix("pixelate", source, "-o", folder / "r.png", "--random", 2, "--seed", 5, "--json")
    two = deepix("pixelate", source, "-o", folder / "s.png", "--random", 2, "--seed", 5, "--json")
    assert (folder / "r.png").read_bytes() == (folder / "s.png").read_bytes()
    assert json.loads(one.stdout)["mosaics"] == json.loads(two.stdout)["mosaics"]
    mask = np.zeros(data.chelsea().shape[:2], np.uint8)
    mask[50:90, 60:120] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    deepix("pixelate", source, "-o", folder / "m.png", "--mask", folder / "mask.png", "--cell", 10)
    pixels = np.asarray(Image.open(folder / "m.png"))
    assert (pixels[50:60, 60:70] == pixels[50, 60]).all()
    assert np.array_equal(pixels[mask == 0], data.chelsea()[mask == 0])


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore",),
        ("restore", "a.png", "--area", "1,2,3"),
        ("restore", "a.png", "--area", "1,2,x,4"),
        ("restore", "a.png", "--cell", "1"),
        ("restore", "a.png", "--frobnicate"),
        ("restore", "a.png", "--method", "magic"),
        ("restore", "a.png", "--method", "smooth", "--uncertainty", "u.png"),
        ("restore", "a.png", "--method", "smooth", "--model", "photo"),
        ("restore", "a.png", "--raw"),
        ("restore", "a.png", "--threads", "0"),
        ("pixelate", "a.png", "-o", "b.png"),
        ("pixelate", "a.png", "-o", "b.png", "--area", "1,2,30,40"),
        ("pixelate", "a.png", "-o", "b.png", "--random", "2", "--area", "1,2,30,40,5"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    deepix(*arguments, code=2)
    assert not (folder / "b.png").exists()


def test_a_missing_file_is_one_line(tmp_path):
    assert "nowhere.png" in deepix("restore", tmp_path / "nowhere.png", code=1)


def test_a_missing_file_does_not_stop_the_others(folder, tmp_path):
    result = deepix("restore", tmp_path / "nowhere.png", folder / "a.png", "-o", tmp_path / "out", code=1)
    assert "nowhere.png: no such file" in result.stderr
    assert (tmp_path / "out" / "a.png").exists()


def test_an_unreadable_file_does_not_stop_the_others(folder, tmp_path, monkeypatch):
    """As it is for anyone but the administrator, who may read everything."""
    shut = folder / "clean.png"
    real_access, real_open = os.access, Path.open

    def access(path, *arguments, **options):
        return Path(path) != shut and real_access(path, *arguments, **options)

    def opened(path, *arguments, **options):
        if path == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(Path, "open", opened)
    result = deepix("restore", shut, folder / "a.png", "-o", tmp_path / "out", code=1)
    assert f"error: {shut}: cannot be opened (Permission denied)" in result.stderr
    assert "1 restored, 0 with nothing pixelated, 1 failed" in result.stderr
    assert (tmp_path / "out" / "a.png").exists()
    alone = deepix("find", shut, code=1)
    assert alone.stderr.splitlines() == [f"error: {shut}: cannot be opened (Permission denied)"]


def test_what_was_met_in_a_folder_is_named_once_and_counted(folder, monkeypatch):
    (folder / "notes.txt").write_text("x")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "shut").mkdir()
    (folder / "deep" / "broken.png").unlink()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    deepix("restore", folder / "a.png")
    result = deepix("find", folder, code=1)
    lines = result.stderr.splitlines()
    assert lines.count(f"{folder / 'notes.txt'}: passed over: no picture that Deepix reads, by its name (.txt)") == 1
    assert lines.count(f"{folder / 'gone.png'}: passed over: a link to a file that does not exist") == 1
    assert lines.count(f"error: {folder / 'shut'}: the folder cannot be looked into (Permission denied)") == 1
    assert sum("the result of an earlier run" in line for line in lines) == 1
    assert lines[-1] == "2 with mosaics, 1 with nothing pixelated, 1 failed, 3 passed over"
    quiet = deepix("find", folder, "--quiet", code=1)
    assert quiet.stderr.splitlines() == [
        f"error: {folder / 'shut'}: the folder cannot be looked into (Permission denied)"
    ]


def test_results_of_inputs_of_the_same_name_are_all_kept(folder, tmp_path):
    """Three inputs of one name into one folder, and a.png beside a.jpg: nothing is lost."""
    for name in ("x", "y", "z"):
        (tmp_path / name).mkdir()
        Image.open(folder / "a.png").save(tmp_path / name / "a.png")
    Image.open(folder / "a.png").save(tmp_path / "x" / "a.bmp")
    out, doubt, found = (tmp_path / name for name in ("out", "doubt", "found"))
    sources = [tmp_path / "x", tmp_path / "y" / "a.png", tmp_path / "z" / "a.png"]
    deepix("restore", *sources, "-o", out, "--uncertainty", doubt, "--compare", "--overwrite", "--fast")
    stems = ["a", "a_png", "a_2", "a_3"]
    assert {p.name for p in out.iterdir()} == {
        *("a.bmp", "a_png.png", "a_2.png", "a_3.png"),
        *(f"{stem}_compare.png" for stem in stems),
    }
    assert {p.name for p in doubt.iterdir()} == {f"{stem}_uncertainty.png" for stem in stems}
    deepix("find", *sources, "--overlay", found, "--fast")
    assert {p.name for p in found.iterdir()} == {f"{stem}_found.png" for stem in stems}


def test_results_in_the_folder_itself_are_no_inputs_of_the_next_run(folder):
    options = ("--uncertainty", folder / "doubt", "--compare", "--method", "network", "--fast")
    deepix("restore", folder, "-o", folder / "better", *options, code=1)
    deepix("restore", folder / "a.png", "-o", f"{folder}/", "--fast")
    deepix("find", folder, "--overlay", folder, "--fast", code=1)
    made = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {"better/a_restored.png", "better/deep/b_restored.png", "doubt/deep/b_uncertainty.png"} < made
    assert {"a_restored.png", "a_found.png", "deep/b_found.png"} < made
    again = deepix("find", folder, "--json", "--fast", code=1)
    names = {Path(json.loads(line)["input"]).name for line in again.stdout.splitlines()}
    assert names == {"a.png", "b.png", "broken.png", "clean.png"}


def test_cells_of_another_size_are_named(folder):
    result = deepix("restore", folder / "a.png", "--cell", 20)
    assert "96 x 80 pixels at 30, 40 left as they are: their cells are 12 x 12 pixels, not 20" in result.stderr
    assert "nothing pixelated found" not in result.stderr
    assert not (folder / "a_restored.png").exists()


def test_the_threshold_is_stated_and_can_be_chosen(folder, monkeypatch):
    from deepix import finder
    from deepix.mosaic import Grid, Mosaic

    found = Mosaic(30, 40, 96, 80, Grid(30, 40, 12, 12), confidence=0.6)
    monkeypatch.setattr(finder, "find", lambda *arguments, **options: [found])
    options = ("restore", folder / "a.png", "--method", "smooth", "--json", "--overwrite")
    for given, restored, threshold in (
        ((), 1, 0.5),
        (("--threshold", 0.7), 0, 0.7),
        (("--threshold", 0.6), 1, 0.6),
        (("--threshold", 0.7, "--force"), 1, 0.0),
    ):
        report = json.loads(deepix(*options, *given).stdout)
        assert len(report["mosaics"]) == restored
        assert len(report["unsure"]) == 1 - restored
        assert report["threshold"] == threshold
    deepix("restore", folder / "a.png", "--threshold", 1.5, code=2)
    assert finder.SURE == 0.5
    assert "[default: 0.5]" in plain(deepix("restore", "--help").output)


def test_a_name_without_suffix_gets_one(folder):
    deepix("restore", folder / "a.png", "-o", folder / "better", "--uncertainty", folder / "doubt", "--fast")
    assert Image.open(folder / "better.png").size == Image.open(folder / "a.png").size
    assert (folder / "doubt.png").exists()
    assert not (folder / "better").exists()
    deepix("restore", folder / "a.png", "-o", f"{folder / 'better'}/", "--fast")
    assert [p.name for p in (folder / "better").iterdir()] == ["a.png"]


def test_what_training_leaves_is_no_model(folder, tmp_path):
    result = deepix("restore", folder / "a.png", "--model", tmp_path, code=1)
    (line,) = result.stderr.splitlines()
    assert f"deepix weights export {tmp_path}" in line


def test_too_many_threads_are_one_clear_line(folder):
    for verb in ("restore", "find"):
        result = deepix(verb, folder / "a.png", "--threads", 20000, code=2)
        assert "must be between 1 and 1024, not 20000" in plain(result.output)


def test_how_large_a_picture_may_be_can_be_said(folder):
    height, width = data.chelsea().shape[:2]
    for verb in ("restore", "find"):
        result = deepix(verb, folder / "a.png", "--max-pixels", height * width - 1, "--fast", code=1)
        (line,) = result.stderr.splitlines()
        assert "a.png: " in line
        assert "pixels" in line
        deepix(verb, folder / "a.png", "--max-pixels", height * width, "--fast")
    deepix("find", folder / "a.png", "--max-pixels", 0, code=2)


def test_of_an_animation_only_the_first_frame_is_used_if_asked(folder):
    frame = Image.open(folder / "a.png")
    frame.save(folder / "moving.webp", save_all=True, append_images=[frame.rotate(3)], duration=40, lossless=True)
    for arguments in (
        ("restore", folder / "moving.webp", "--fast"),
        ("find", folder / "moving.webp", "--fast"),
        ("pixelate", folder / "moving.webp", "-o", folder / "p.png", "--area", "1,2,30,40,5"),
    ):
        refused = deepix(*arguments, code=1)
        assert "--first-frame" in (refused if isinstance(refused, str) else refused.stderr)
        deepix(*arguments, "--first-frame")
    assert Image.open(folder / "moving_restored.webp").n_frames == 1


def test_a_broken_promise_writes_nothing(folder, monkeypatch):
    from deepix import pipeline

    real = pipeline.quantized
    monkeypatch.setattr(pipeline, "quantized", lambda *arguments: np.roll(real(*arguments), 3, axis=1))
    result = deepix("restore", folder / "a.png", "--fast", "--compare", code=1)
    (line,) = result.stderr.splitlines()
    assert "does not agree with the input" in line
    assert not list(folder.glob("a_*"))


def test_an_interruption_says_what_was_done(folder, tmp_path, monkeypatch):
    from deepix import jobs

    real = jobs.worked_on

    def interrupted(job):
        if job.source.name == "b.png":
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(jobs, "worked_on", interrupted)
    result = deepix("restore", folder, "-o", tmp_path / "out", "--fast", code=130)
    assert result.stderr.splitlines()[-1] == (
        "error: interrupted: 1 restored, 1 with nothing pixelated, 0 failed, 2 not done"
    )
    assert (tmp_path / "out" / "a.png").exists()
    alone = deepix("find", folder / "deep" / "b.png", code=130)
    assert alone.stderr.splitlines() == [f"error: interrupted: {folder / 'deep' / 'b.png'} is not done"]


def test_an_unexpected_error_does_not_stop_the_others(folder, tmp_path, monkeypatch):
    from deepix import finder

    real = finder.find

    def breaks(pixels, **options):
        if pixels.shape[0] == 200:
            raise ZeroDivisionError("surprise")
        return real(pixels, **options)

    monkeypatch.setattr(finder, "find", breaks)
    result = deepix("restore", folder, "-o", tmp_path / "out", code=1)
    assert "b.png: unexpected ZeroDivisionError: surprise" in result.stderr
    assert (tmp_path / "out" / "a.png").exists()


def test_every_verb_has_help_with_an_example():
    for verb in ("restore", "find", "pixelate", "demo"):
        text = deepix(verb, "--help").output
        assert f"deepix {verb}" in text
        assert "Example" in text


def test_the_program_itself(folder):
    """The installed entry point: exit codes and one-line errors as a shell sees them."""
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-c", "from deepix.cli import main; main()"]
    bad = subprocess.run([*command, "restore", "nowhere.png"], capture_output=True, text=True, env=environment)
    assert bad.returncode == 1
    assert bad.stderr.strip() == "error: nowhere.png: no such file or folder"
    good = subprocess.run([*command, "find", folder / "a.png"], capture_output=True, text=True, env=environment)
    assert good.returncode == 0
    assert "96 x 80" in good.stdout
    full = Path("/dev/full")
    if full.exists():
        with full.open("w") as nowhere:
            done = subprocess.run(
                [*command, "find", folder / "a.png"], stdout=nowhere, stderr=subprocess.PIPE, text=True, env=environment
            )
        assert done.returncode == 1
        assert done.stderr.strip() == "error: the output: No space left on device"


PROGRAM = [sys.executable, "-c", "from deepix.cli import main; main()"]


def test_names_are_whole_and_can_be_printed_in_any_encoding(folder, tmp_path):
    path = tmp_path / ("ünï→日 " + 20 * "long " + ".png")
    path.write_bytes((folder / "a.png").read_bytes())
    for encoding, shown in (("utf-8", str(path)), ("cp1252", "ünï\\u2192\\u65e5"), ("ascii", "\\xfcn\\xef\\u2192")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "40"}
        done = subprocess.run([*PROGRAM, "find", path, "--fast"], capture_output=True, env=environment)
        assert done.returncode == 0
        assert shown in done.stdout.decode(encoding)
        assert "96 x 80" in done.stdout.decode(encoding)
        assert not done.stderr
    strange = tmp_path / "no\udcff.png"  # bytes that are no text in any encoding
    done = subprocess.run([*PROGRAM, "find", strange], capture_output=True)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="as POSIX shells close streams")
def test_streams_that_are_closed_are_no_traceback(folder):
    def shell(line):
        command = " ".join(f"'{word}'" for word in PROGRAM)
        return subprocess.run(["sh", "-c", f"{command} {line}"], capture_output=True, text=True, cwd=folder)

    found = shell("find a.png --fast >&-")
    assert (found.returncode, found.stderr) == (1, "error: the output: Bad file descriptor\n")
    assert shell("find a.png --fast 2>&-").returncode == 0
    restored = shell("restore a.png --method smooth --fast >&-")
    assert restored.returncode == 0
    assert "1 mosaic" in restored.stderr
    assert shell("restore a.png --method smooth --fast --overwrite >&- 2>&-").returncode == 0
    assert Image.open(folder / "a_restored.png").size == Image.open(folder / "a.png").size
    assert shell("restore nowhere.png >&- 2>&-").returncode == 1
    nothing = shell("find - <&-")
    assert (nothing.returncode, nothing.stderr) == (1, "error: standard input is closed\n")


def test_standard_input_and_output(folder):
    picture = (folder / "a.png").read_bytes()
    done = subprocess.run([*PROGRAM, "restore", "-", "--fast"], input=picture, capture_output=True)
    assert done.returncode == 0
    assert b"standard input -> standard output: 1 mosaic" in done.stderr
    deepix("restore", folder / "a.png", "--fast")
    assert done.stdout == (folder / "a_restored.png").read_bytes()
    found = subprocess.run([*PROGRAM, "find", "-", "--json", "--fast"], input=picture, capture_output=True)
    assert json.loads(found.stdout)["mosaics"][0]["area"] == [30, 40, 96, 80]
    broken = subprocess.run([*PROGRAM, "restore", "-"], input=picture[:500], capture_output=True, text=False)
    assert broken.returncode == 1
    assert broken.stderr.startswith(b"error: standard input: damaged")
    assert len(broken.stderr.splitlines()) == 1
    assert not broken.stdout
    deepix("restore", "-", folder / "a.png", code=2)
    deepix("restore", "-", "--json", code=2)
    assert "one picture only" in deepix("restore", folder, "-o", "-", code=1)


def test_an_interruption_of_the_program_is_one_line_and_code_130(folder):
    code = (
        "import os, signal; from deepix import jobs; "
        "jobs.worked_on = lambda job: os.kill(os.getpid(), signal.SIGINT); from deepix.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "find", folder], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "error: interrupted: 0 with mosaics, 0 with nothing pixelated, 0 failed, 4 not done\n"


def test_an_interruption_while_modules_are_imported_is_one_line_too():
    code = """
import os, signal, sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "deepix.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupted())
from deepix.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


def test_the_process_is_not_cut_short_while_children_or_threads_are_at_work():
    code = (
        "import sys, threading, time; from deepix import cli\n"
        "def late():\n    time.sleep(0.5)\n    print('done')\n"
        "{start}\n"
        "cli._leave(3)"
    )
    for start in (
        "threading.Thread(target=late).start()",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=late).start()",
    ):
        done = subprocess.run([sys.executable, "-c", code.format(start=start)], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (3, "done\n")


def test_help_keeps_its_defaults_and_lines(folder):
    for verb in ("restore", "find"):
        lines = [line.rstrip() for line in plain(deepix(verb, "--help").output).splitlines()]
        text = " ".join(" ".join(lines).split())
        assert "[default: all cores]" in text
    paragraph = lines[lines.index(next(line for line in lines if "The confidence, from 0 to 1" in line)) :]
    assert len(paragraph[0]) > 60
    assert len(paragraph[1]) > 60


def test_help_and_import_load_nothing_heavy():
    code = (
        "import sys, deepix, deepix.cli; "
        "heavy = ('numpy', 'scipy', 'PIL', 'torch', 'lightning', 'skimage', 'onnxruntime'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_demo_writes_comparisons_and_names_bad_files(folder, tmp_path, monkeypatch):
    from deepix import demonstration

    monkeypatch.setattr(demonstration, "SAMPLES", ("chelsea",))
    out = tmp_path / "demo"
    result = deepix("demo", folder / "a.png", folder / "deep" / "broken.png", "-o", out, code=1)
    assert {p.name for p in out.iterdir()} == {
        "chelsea_pixelated.png",
        "chelsea_restored.png",
        "chelsea_compare.png",
        "astronaut_jpeg_pixelated.jpg",
        "astronaut_jpeg_restored.png",
        "astronaut_jpeg_compare.png",
        "a_restored.png",
        "a_compare.png",
    }
    (row,) = (line for line in result.stdout.splitlines() if line.split()[:1] == ["astronaut_jpeg"])
    made, found, before, after = (float(value) for value in row.split()[1:5])
    assert made == found == 3
    assert after < 0.9 * before
    assert "broken.png" in result.stderr
    deepix("demo", "-o", out)
    assert demo.__doc__


def test_demo_of_a_picture_of_ones_own_needs_no_samples(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    result = deepix("demo", folder / "a.png", "-o", tmp_path / "demo")
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {"a_restored.png", "a_compare.png"}
    assert "scikit-image is not installed" in result.stderr
    assert "pip install 'deepix[demo]'" in deepix("demo", "-o", tmp_path / "demo", code=1)
