"""Files and numbers as strangers bring them: bounded in memory and time, one line where something cannot be done."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer.testing
from PIL import Image
from skimage import data

import deepix
from deepix.cli import app
from deepix.errors import InputError

PROGRAM = (sys.executable, "-m", "deepix")
MOSAIC = deepix.Mosaic.rectangle(96, 64, 128, 96, 16)


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a failure."""
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def program(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


# ── masks with many parts ────────────────────────────────────────────────────────────────────────

RESTORE = """
import resource, sys
import numpy as np
import deepix
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
pixels, mask = np.load(sys.argv[1]), np.load(sys.argv[2])
deepix.restore(pixels[:200], [deepix.Mosaic.rectangle(96, 64, 64, 64, 16)])
before = peak()
result = deepix.restore(pixels, mask=mask)
print(len(result.mosaics), peak() - before, *result.notes)
"""


@pytest.mark.parametrize("kind", ["one", "grid", "noise"])
def test_memory_does_not_grow_with_the_specks_of_a_mask(tmp_path: Path, kind: str) -> None:
    pixels = deepix.pixelate(np.tile(data.astronaut(), (4, 4, 1)), [MOSAIC])
    mask = np.zeros(pixels.shape[:2], bool)
    if kind == "one":
        mask[-9, -9] = True
    elif kind == "grid":
        mask[::4, ::4] = True  # 262,144 single pixels
    else:
        mask |= np.random.default_rng(0).random(mask.shape) < 0.2
    mask[54:170, 86:234] = False
    mask[MOSAIC.box] = True
    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "mask.npy", mask)
    command = [sys.executable, "-c", RESTORE, str(tmp_path / "pixels.npy"), str(tmp_path / "mask.npy")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    restored, grown, note = said.split(maxsplit=2)
    assert restored == "1"
    assert int(grown) < 400  # MiB; an array of the picture's size for each part would be a million of them
    assert re.match(r"\d+ parts? of the mask (is|are) smaller than 2 x 2 cells", note)


# ── numbers and files without bound ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers")
    Image.fromarray(deepix.pixelate(data.astronaut(), [MOSAIC])).save(folder / "a.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        *(["restore", "a.png", "--cell", cell] for cell in (16001, 10**21)),
        *(["restore", "a.png", "--area", f"0,0,100,100,{cell}"] for cell in (16001, 10**21)),
        *(["pixelate", "a.png", "-o", "b.png", "--area", "0,0,100,100", "--cell", cell] for cell in (16001, 10**21)),
        ["pixelate", "a.png", "-o", "b.png", "--random", "3", "--cell", 10**21],
    ],
)
def test_cells_larger_than_the_picture(folder: Path, arguments: list[object]) -> None:
    assert "larger than the picture of 512 x 512" in one_line(program(*arguments, cwd=folder))


def test_too_many_threads(folder: Path) -> None:
    run = program("restore", "a.png", "--threads", 20000, cwd=folder)
    assert run.returncode == 2
    assert "between 1 and 1024, not 20000" in run.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs files as POSIX has them")
@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    "arguments",
    [
        "restore NAME",
        "find NAME",
        "restore a.png --mask NAME",
        "restore a.png --model NAME",
        "pixelate NAME -o b.png --random 2",
        "data pack NAME -o b.npy",
        "challenge predict NAME --model challenge -o b.bin",
        "challenge score NAME NAME",
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(folder: Path, arguments: str, name: str) -> None:
    line = one_line(program(*(name if word == "NAME" else word for word in arguments.split()), cwd=folder))
    assert re.search(r"not a (regular )?file|neither a folder nor a regular file", line)
    assert name in line


def test_16_bits_of_colour_can_be_looked_at(tmp_path: Path) -> None:
    from deepix import images

    pixels = deepix.pixelate(data.astronaut().astype(np.uint16) * 257, [MOSAIC])
    images.write(images.from_array(pixels), tmp_path / "a.png")
    run = program("restore", "a.png", "--fast", "--method", "smooth", "--compare", cwd=tmp_path)
    assert (run.returncode, run.stderr.count("\n")) == (0, 1)
    assert images.read(tmp_path / "a_restored.png").pixels.dtype == np.uint16
    side = images.read(tmp_path / "a_restored_compare.png").pixels
    assert side.dtype == np.uint8
    assert program("find", "a.png", "--fast", "--overlay", "b.png", cwd=tmp_path).returncode == 0
    drawn = images.read(tmp_path / "b.png").pixels
    assert (drawn[300:] == data.astronaut()[300:]).all()


def test_a_picture_to_a_closed_standard_output(folder: Path) -> None:
    if os.name != "posix":
        pytest.skip("as POSIX shells close streams")
    command = " ".join(f"'{word}'" for word in PROGRAM)
    line = f"{command} restore a.png --fast --method smooth -o - >&-"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, cwd=folder)
    assert "standard output: cannot be written" in one_line(run)


# ── from Python ──────────────────────────────────────────────────────────────────────────────────


def test_file_objects_and_bounds_from_python(folder: Path) -> None:
    with (folder / "a.png").open("rb") as file:
        (found,) = deepix.find(file, fast=True)
    assert found.box == MOSAIC.box
    whole = io.BytesIO((folder / "a.png").read_bytes())
    assert isinstance(deepix.pixelate(whole, [MOSAIC]), Image.Image)
    for call in (deepix.restore, deepix.find, lambda image, **given: deepix.pixelate(image, [MOSAIC], **given)):
        with pytest.raises(InputError, match=r"more than 0\.1 megapixels.*max_pixels="):
            call(folder / "a.png", max_pixels=100_000)


def test_the_first_frame_of_an_animation_from_python(tmp_path: Path) -> None:
    first, second = (deepix.pixelate(p[:300, :451], [MOSAIC]) for p in (data.astronaut(), data.chelsea()))
    first, second = Image.fromarray(first), Image.fromarray(second)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second], duration=100)
    with pytest.raises(InputError, match=r"is an animation.*--first-frame.*first_frame=True"):
        deepix.restore(tmp_path / "a.png")
    result = deepix.restore(tmp_path / "a.png", first_frame=True, method="smooth", fast=True)
    assert [m.box for m in result.mosaics] == [MOSAIC.box]
    assert len(deepix.find(tmp_path / "a.png", first_frame=True, fast=True)) == 1


# ── help ─────────────────────────────────────────────────────────────────────────────────────────


def verbs() -> list[tuple[str, ...]]:
    def below(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", {})
        return [path, *(found for name in inner for found in below(inner[name], (*path, name)))]

    return below(typer.main.get_command(app), ())


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_help_shows_every_default_and_wraps_nothing_twice(verb: tuple[str, ...]) -> None:
    command = typer.main.get_command(app)
    for name in verb:
        command = command.commands[name]  # type: ignore[attr-defined]
    wide = {"COLUMNS": "1000", "TERMINAL_WIDTH": "1000"}
    run = typer.testing.CliRunner().invoke(app, [*verb, "--help"], env=wide)
    assert run.exit_code == 0
    text = re.sub(r"\s+", " ", run.stdout.replace("│", " "))
    for parameter in command.params:
        shown = getattr(parameter, "show_default", False)
        said = re.sub(r"\\\[", "[", getattr(parameter, "help", None) or "")
        assert re.sub(r"\s+", " ", said) in text, parameter.name
        value = shown if isinstance(shown, str) else parameter.default
        if shown and value is not None and not isinstance(value, bool) and value != ():
            value = getattr(value, "value", value)
            assert re.search(rf"\[default: \(?{re.escape(str(value))}", text), (parameter.name, value)
    # on a wide terminal a paragraph is one line
    paragraphs = [line.strip() for line in run.stdout.splitlines()]
    prose = [line for line in paragraphs if line and not line.startswith(("│", "╭", "╰", "deepix ", "--", "("))]
    for line, after in pairwise(paragraphs):
        assert line not in prose or not after or after.startswith("╭"), (line, after)
