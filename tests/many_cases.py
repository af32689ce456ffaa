"""Folders of pixelated photos, some of them broken in every way; the program run over them, killed, and run again."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from deepix.cli import app
from deepix.errors import DeepixError
from deepix.mosaic import Mosaic, pixelate

PROGRAM = (sys.executable, "-m", "deepix")
FAST = ("--fast", "--method", "smooth")
TIMES = ("seconds", "mtime_ns")
BROKEN = 8
"""The ways in which `broken` breaks a file."""


def photos(folder: Path, number: int, size: int = 120, seed: int = 0) -> Path:
    """Make pixelated cuts of scikit-image's photos, each with one mosaic; every seventh has none."""
    rng = np.random.default_rng(seed)
    whole = [np.asarray(getattr(data, name)()) for name in ("chelsea", "coffee", "astronaut", "rocket")]
    for i in range(number):
        path = folder / f"{i // 100:02}" / f"{i:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo = whole[i % len(whole)]
        y, x = (int(rng.integers(0, length - size + 1)) for length in photo.shape[:2])
        cut = photo[y : y + size, x : x + size]
        cell = int(rng.integers(5, 10))
        if i % 7:
            left, top = (int(v) for v in rng.integers(0, size // 3, 2))
            cut = pixelate(cut, [Mosaic.rectangle(left, top, 6 * cell, 5 * cell, cell)])
        Image.fromarray(cut).save(path, compress_level=1)
    return folder


def broken(path: Path, way: int) -> None:
    """Break a picture's file, or put something else in its place."""
    whole = path.read_bytes()
    if way == 0:
        path.write_bytes(whole[: len(whole) // 2])
    elif way == 1:
        path.write_bytes(b"")
    elif way == 2:
        path.write_bytes(b"no picture at all")
    elif way == 3:  # a video by another name
        path.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(200))
    elif way == 4:
        path.unlink()
        path.symlink_to(path.with_name("gone.png"))
    elif way == 5:
        path.unlink()
        path.with_suffix(".mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0" + bytes(200))
    elif way == 6:  # it claims 100,000 x 100,000 pixels
        path.write_bytes(whole[:16] + (100_000).to_bytes(4) * 2 + whole[24:])
    else:  # two frames
        frames = [Image.fromarray(np.full((30, 30, 3), value, np.uint8)) for value in (0, 200)]
        file = io.BytesIO()
        frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
        path.write_bytes(file.getvalue())


class Done(NamedTuple):
    stdout: str
    stderr: str


def call(*arguments: object, code: int = 0) -> Done:
    """Run the command line in this process, which saves starting one."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, DeepixError):  # which `main` prints
        assert code == 1, result.exception
        return Done(result.stdout, f"{result.stderr}error: {result.exception}\n")
    assert result.exit_code == code, result.output
    return Done(result.stdout, result.stderr)


def started(*arguments: object) -> subprocess.Popen[str]:
    """Start the program in a session of its own, so that a signal reaches all its processes, as from a terminal."""
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def killed(command: Sequence[object], moments: random.Random, times: int, most: int, manifest: Path) -> int:
    """Kill the program so often, after 1 to `most` more results each time; return how often it was still at work."""

    def results() -> int:
        return manifest.read_bytes().count(b'"result"') if manifest.exists() else 0

    struck = 0
    for _ in range(times):
        enough = results() + moments.randint(1, most)
        with started(*command) as process:
            while process.poll() is None and results() < enough:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.05))
            struck += process.poll() is None
            process.send_signal(signal.SIGKILL)  # this process alone: its workers are to end by themselves
            process.communicate()
    return struck


def content(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder but manifests, hidden ones too, by name."""
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix != ".jsonl"}


def timeless(entry: Any, folder: Path) -> Any:
    """Return a manifest's entry without times, and without the name of the folder that results are in."""
    if isinstance(entry, dict):
        return {key: timeless(value, folder) for key, value in entry.items() if key not in (*TIMES, "options")}
    if isinstance(entry, list):
        return [timeless(value, folder) for value in entry]
    return entry.replace(str(folder), "OUT") if isinstance(entry, str) else entry


def entries(path: Path, folder: Path | None = None) -> list[Any]:
    """Return a manifest's lines, without times."""
    return [timeless(json.loads(line), folder or path.parent) for line in path.read_text().splitlines()]
