"""How the page's server does with several visitors at once, and how long a visitor waits beyond the work itself.

    python benchmarks/web_load.py [--visitors 8] [--pictures 2] [--megapixels 2]

Runs `deepix web` and real HTTP clients on this machine. Every visitor sends pictures of their own, restores what is
found, and compares each pixel with what `deepix.restore` gives: a wrong picture, or anybody else's, ends the benchmark.
Printed are the times, and the most memory that the server and its worker took. Then, with one visitor, how much later
areas and restoration can be shown than `deepix.find` and `deepix.restore` of the same file take in one process.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import deepix


@contextmanager
def served() -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """Run the server; yields its address, its process and the seconds until its page came."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "deepix", "web", "--port", "0", "--no-open"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = re.search(r"http://\S+/", process.stderr.readline())
        assert found is not None
        httpx.get(found[0]).raise_for_status()
        yield found[0], process, time.perf_counter() - start
    finally:
        process.terminate()
        process.communicate()


class Memory(threading.Thread):
    """Looks at the memory of a process and its children ten times a second."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.most = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look until it is ended."""
        while not self.ended.wait(0.1):
            self.most = max(self.most, sum(resident(number) for number in family(self.process)))


def family(process: int) -> list[int]:
    """Return a process and those that it started."""
    try:
        text = [path.read_text(encoding="ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:  # it, or one of its threads, has ended meanwhile
        return [process]
    return [process, *(inner for child in " ".join(text).split() for inner in family(int(child)))]


def resident(process: int) -> int:
    """Return the bytes of memory of a process; 0 of one that has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def photo(seed: int, megapixels: float) -> NDArray[Any]:
    """Return a photo with two pixelated areas, another one for each seed."""
    coffee: NDArray[Any] = data.coffee()  # type: ignore[no-untyped-call]
    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    turned = Image.fromarray(np.roll(coffee, (53 * seed, 91 * seed), (0, 1)))
    pixels = np.asarray(turned.resize((width, width * 2 // 3), Image.Resampling.BICUBIC))
    first = deepix.Mosaic.rectangle(width // 5, width // 6, width // 6, width // 8, 16 + seed % 9)
    second = deepix.Mosaic.rectangle(width // 2, width // 3, width // 8, width // 8, 12)
    return np.asarray(deepix.pixelate(pixels, [first, second]))


class Visit:
    """A visitor, who keeps how long each step took."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=None)
        self.seconds: dict[str, list[float]] = {"areas": [], "shown": [], "file": []}

    def follow(self, number: int, done: str) -> dict[str, Any]:
        """Return what is known of a picture once it was looked at ("areas"), can be seen restored, or be fetched."""
        seen = ""
        while True:
            known: dict[str, Any] = self.client.get(f"/api/pictures/{number}{seen}").raise_for_status().json()
            assert known["error"] is None, known["error"]
            result = known["result"]
            ready = {"areas": known["areas"], "shown": result, "file": result and result["file"]}
            if ready[done]:
                return known
            seen = f"?seen={known['version']}"

    def go(self, file: Path) -> bytes:
        """Take a picture the whole way."""
        start = time.perf_counter()
        answer = self.client.post("/api/pictures", params={"name": file.name}, content=file.read_bytes())
        number = answer.raise_for_status().json()["id"]
        areas = self.follow(number, "areas")["areas"]
        self.seconds["areas"].append(time.perf_counter() - start)
        while self.client.get(f"/api/pictures/{number}").json()["stage"] != "ready":
            time.sleep(0.02)
        start = time.perf_counter()
        body = {"areas": [area["id"] for area in areas if area["sure"]]}
        self.client.post(f"/api/pictures/{number}/restore", json=body).raise_for_status()
        self.follow(number, "shown")
        self.client.get(f"/api/pictures/{number}/views/after").raise_for_status()
        self.seconds["shown"].append(time.perf_counter() - start)
        self.follow(number, "file")
        content = self.client.get(f"/api/pictures/{number}/result").raise_for_status().content
        self.seconds["file"].append(time.perf_counter() - start)
        return content


def crowd(folder: Path, visitors: int, pictures: int, megapixels: float) -> None:
    """Let visitors come all at once, and check each picture that they get."""
    files = [[folder / f"{v}-{p}.png" for p in range(pictures)] for v in range(visitors)]
    for number, file in enumerate(file for theirs in files for file in theirs):
        Image.fromarray(photo(number, megapixels)).save(file, compress_level=1)

    def visit(theirs: list[Path]) -> tuple[Visit, list[bytes]]:
        one = Visit(address)
        return one, [one.go(file) for file in theirs]

    with served() as (address, process, seconds):
        print(f"start to page: {seconds:.1f} s")
        memory = Memory(process.pid)
        memory.start()
        start = time.perf_counter()
        with ThreadPoolExecutor(visitors) as pool:
            visits = list(pool.map(visit, files))
        seconds = time.perf_counter() - start
        memory.ended.set()
    for theirs, (_, contents) in zip(files, visits, strict=True):
        for file, content in zip(theirs, contents, strict=True):
            restored = np.asarray(Image.open(BytesIO(content)))
            if not np.array_equal(restored, np.asarray(deepix.restore(file).image)):
                raise SystemExit(f"{file.name}: a wrong picture")
    count = visitors * pictures
    print(f"{visitors} visitors with {pictures} pictures of {megapixels:g} megapixels each: {seconds:.1f} s,", end=" ")
    print(f"{seconds / count:.2f} s a picture, all of them right; memory at most {memory.most / 2**20:.0f} MiB")
    for step, words in (("areas", "areas seen after"), ("shown", "restoration seen after")):
        times = sorted(t for one, _ in visits for t in one.seconds[step])
        print(f"  {words} {statistics.median(times):.1f} s (median), {times[-1]:.1f} s (last)")


def alone(folder: Path, megapixels: float, repeats: int) -> None:
    """Compare what one visitor waits with what the work takes, by turns."""
    file = folder / "alone.jpg"
    Image.fromarray(photo(1, megapixels)).save(file, quality=92)
    later: dict[str, list[float]] = {"areas": [], "shown": []}
    deepix.restore(file)  # what is done once, is
    with served() as (address, _, _):
        one = Visit(address)
        one.go(file)
        for _ in range(repeats):
            for step, call in (("areas", deepix.find), ("shown", deepix.restore)):
                start = time.perf_counter()
                call(file)
                later[step].append(-(time.perf_counter() - start))
            one.go(file)
            for step, values in later.items():
                values[-1] += one.seconds[step][-1]
    print(
        f"one visitor, {megapixels:g} megapixels: areas {statistics.median(later['areas']):+.2f} s later than", end=" "
    )
    print(f"deepix.find, restoration {statistics.median(later['shown']):+.2f} s later than deepix.restore takes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=8, help="0: none")
    parser.add_argument("--pictures", type=int, default=2, help="of each")
    parser.add_argument("--megapixels", type=float, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of the comparison with the work itself; 0: none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.visitors:
            crowd(Path(name), asked.visitors, asked.pictures, asked.megapixels)
        if asked.repeats:
            alone(Path(name), 12, asked.repeats)


if __name__ == "__main__":
    main()
