"""A server of the page, run as a user runs it, and visitors of it, for the tests of `deepix.web`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from image_cases import exif_block
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import deepix
from deepix import Mosaic
from deepix.cli import app

CUP, SPOON = Mosaic.rectangle(120, 96, 128, 96, 12), Mosaic.rectangle(330, 230, 120, 100, 10)


def photo() -> np.ndarray:
    """A photo, uint8 (400, 600, 3), with two pixelated areas."""
    return deepix.pixelate(data.coffee(), [CUP, SPOON])


def saved(path: Path, pixels: np.ndarray | None = None, **options: Any) -> Path:
    Image.fromarray(photo() if pixels is None else pixels).save(path, **options)
    return path


def turned(path: Path) -> Path:
    lying = np.rot90(photo())  # a camera that was held upright, and says so
    return saved(path, np.ascontiguousarray(lying), quality=93, exif=exif_block(6))


def transparent(path: Path) -> Path:
    alpha = np.linspace(0, 255, 600).astype(np.uint8)[None, :].repeat(400, 0)
    return saved(path, np.dstack([photo(), alpha]))


def deep(path: Path) -> Path:
    pixels = data.coffee().astype(np.uint16) * 257
    picture = deepix.images.from_array(deepix.pixelate(pixels, [CUP, SPOON]))
    deepix.images.write(picture, path)
    return path


def slow(path: Path) -> Path:
    """A picture that takes a worker a while."""
    big = np.asarray(Image.fromarray(data.coffee()).resize((3000, 2000), Image.Resampling.BICUBIC))
    areas = [deepix.Mosaic.rectangle(600, 480, 640, 480, 32), deepix.Mosaic.rectangle(1650, 1150, 600, 500, 20)]
    return saved(path, deepix.pixelate(big, areas), quality=92)


def package(folder: Path, refiner: Path | None) -> Path:
    """Copy the package, this refiner or none in the place of what it ships; return the folder to import it from."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.safetensors", "training")
    shutil.copytree(Path(deepix.__file__).parent, folder / "deepix", ignore=unwanted)
    place = folder / "deepix" / "weights" / "refiner.onnx"
    place.unlink(missing_ok=True)
    if refiner is not None:
        shutil.copyfile(refiner, place)
    return folder


@contextmanager
def server(
    folder: Path, *options: str, imported: Path = Path(deepix.__file__).parents[1]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `deepix web` with its temporary files in a folder; yields its address and the process.

    Parameters
    ----------
    imported : where the package is imported from
    """
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(imported)}
    command = [sys.executable, "-m", "deepix", "web", "--port", "0", "--no-open", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"Deepix is at (http://\S+)/", said)):
            line = process.stderr.readline()
            assert line, f"the server has ended: {said}"
            said += line
        yield found[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


class Visitor:
    """A visitor without a browser."""

    def __init__(self, address: str, **options: Any) -> None:
        self.client = httpx.Client(base_url=address, timeout=None, **options)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()

    def send(self, path: Path, name: str | None = None) -> int:
        """Send a file; return the picture's number."""
        answer = self.client.post("/api/pictures", params={"name": name or path.name}, content=path.read_bytes())
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def told(self, number: int) -> dict[str, Any]:
        """Return what is known of a picture once nothing is done with it."""
        address, seen = f"/api/pictures/{number}", ""
        while True:
            answer = self.client.get(address + seen)
            assert answer.status_code == 200, answer.text
            known: dict[str, Any] = answer.json()
            if known["stage"] in ("ready", "failed"):
                return known
            seen = f"?seen={known['version']}"

    def ask(self, number: int, what: str, **values: Any) -> dict[str, Any]:
        """Ask for something to be done with a picture; return what is known of it then."""
        answer = self.client.post(f"/api/pictures/{number}/{what}", json=values)
        assert answer.is_success, answer.text
        return self.told(number)

    def result(self, number: int) -> bytes:
        answer = self.client.get(f"/api/pictures/{number}/result")
        assert answer.status_code == 200, answer.text
        return answer.content


def until(condition: Any) -> Any:
    """Wait until something is so; return it."""
    while not (value := condition()):
        time.sleep(0.05)
    return value


def by_command(command: str, source: Path, areas: str | None) -> tuple[str, bytes]:
    """Run a command line as it was shown, beside a file; return the name and the content of what it writes."""
    words = shlex.split(command)
    assert words[:2] == ["deepix", "restore"]
    if areas is not None:
        (source.parent / words[words.index("--mosaics") + 1]).write_text(areas)
    before = set(source.parent.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source.parent)
        result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    (written,) = set(source.parent.iterdir()) - before
    content = written.read_bytes()
    written.unlink()
    return written.name, content


def check_against_command(
    visitor: Visitor, number: int, known: dict, source: Path, detail: float = 0, seed: int = 0
) -> None:
    """The downloaded file is what the command line that is shown writes, name and bytes."""
    result = known["result"]
    further = f" --detail {detail} --seed {seed}" if detail else ""
    areas = None
    if result["areasFile"]:
        areas = visitor.client.get(f"/api/pictures/{number}/areas.json").text
    name, content = by_command(result["command"] + further, source, areas)
    assert name == result["file"]
    answer = visitor.client.get(f"/api/pictures/{number}/result", params={"detail": detail, "seed": seed})
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    assert answer.content == content
