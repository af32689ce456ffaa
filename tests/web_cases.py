"""A server of the page, run as a user runs it, and visitors of it, for the tests of `deepix.web`."""

from __future__ import annotations

import os
import re
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
from PIL import Image
from skimage import data

import deepix
from deepix import Mosaic

CUP, SPOON = Mosaic.rectangle(120, 96, 128, 96, 12), Mosaic.rectangle(330, 230, 120, 100, 10)


def photo() -> np.ndarray:
    """A photo, uint8 (400, 600, 3), with two pixelated areas."""
    return deepix.pixelate(data.coffee(), [CUP, SPOON])


def saved(path: Path, pixels: np.ndarray | None = None, **options: Any) -> Path:
    Image.fromarray(photo() if pixels is None else pixels).save(path, **options)
    return path


@contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `deepix web` with its temporary files in a folder; yields its address and the process."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(deepix.__file__).parents[1])}
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
