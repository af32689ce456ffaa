"""deepix data …"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import packing_cases
import pytest
from packing_cases import Arrays, make_folder, make_zip, prepared
from PIL import Image
from typer.testing import CliRunner

from deepix.cli import app
from deepix.errors import DeepixError, OutputError
from deepix.training.data.crops import Crops
from deepix.training.data.packed import open_packed
from deepix.training.data.packing import pack


@pytest.fixture(scope="module")
def photos() -> Arrays:
    return packing_cases.photos()


@pytest.fixture(scope="module")
def files(photos: Arrays) -> dict[str, bytes]:
    return packing_cases.files(photos)


@pytest.fixture
def packed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "packed.npy"
    pack([make_zip(tmp_path / "in", files)], path)
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_pack_and_show(files: dict[str, bytes], photos: Arrays, tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", {**files, "bad.png": b"bad"})
    output = tmp_path / "out.npy"
    said = run("pack", source, "-o", output, "--jobs", 1)
    assert "4 pictures, 64x64, gray from 5 pictures (1 skipped)" in said
    assert f"skipped: {source / 'bad.png'}: not a picture" in said
    np.testing.assert_array_equal(open_packed(output).pixels, prepared(photos))

    said = run("show", output, "--columns", 2, "--check")
    assert "(agrees)" in said
    assert "folder" in said
    with Image.open(tmp_path / "out.npy.png") as sheet:
        assert sheet.size == (2 * 66 + 2, 2 * 66 + 2)
    with pytest.raises(OutputError, match=r"out.npy.png: exists"):
        run("show", output)
    run("show", output, "--overwrite")


def test_pack_crops(files: dict[str, bytes], tmp_path: Path) -> None:
    source = make_zip(tmp_path / "in", files)
    output = tmp_path / "out.npy"
    options = [
        "--crops",
        2,
        "--size",
        32,
        "--scale",
        0.2,
        0.5,
        "--ratio",
        1,
        1,
        "--enlarge",
        2,
        "--colour",
        "--seed",
        3,
    ]
    assert run("pack", source, "-o", output, "--jobs", 1, "--quiet", *options) == ""
    result = open_packed(output)
    assert result.pixels.shape == (8, 32, 32, 3)
    assert result.info["preparation"]["crops"] == {
        "number": 2,
        "size": 32,
        "scale": [0.2, 0.5],
        "ratio": [1, 1],
        "enlarge": 2,
        "colour": True,
        "own_size": 0.0,
        "seed": 3,
    }
    assert "enlarge 2.0, colour True, own_size 0.0, seed 3" in run("show", output)
    own = tmp_path / "own.npy"
    run("pack", source, "-o", own, "--jobs", 1, "--quiet", "--crops", 3, "--size", 24, "--own-size", 1)
    assert open_packed(own).pixels.shape == (12, 24, 24)
    assert "own_size 1.0" in run("show", own)


def test_options_about_crops_need_crops(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepixError, match="--size is about crops"):
        run("pack", packed, "-o", tmp_path / "out.npy", "--size", 32)
    with pytest.raises(DeepixError, match="the scale must be"):
        run("pack", packed, "-o", tmp_path / "out.npy", "--crops", 1, "--scale", 0.5, 0.1)


def test_help_has_examples_and_the_defaults_that_hold() -> None:
    said = run("pack", "--help")
    assert "deepix data pack photos/" in said
    assert "deepix data show train.npy" in run("show", "--help")
    crops = Crops()
    for values in ([crops.size], crops.scale, crops.ratio, [crops.enlarge], [crops.seed]):
        assert f"({' '.join(f'{value:.4g}' for value in values)})" in said
