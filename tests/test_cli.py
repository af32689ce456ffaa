"""The verbs for pictures, run as a user runs them."""

import json
import os
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
