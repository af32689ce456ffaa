"""How long Deepix takes, and how much memory: whole commands, start-up included.

    python benchmarks/speed.py

Each row is `python -m deepix restore FILE -o OUT`, for PNG files, run several times after one that does not count: the
median and the least wall-clock time, the median of the processor's (user and system, all threads), and the largest
resident set. As after an installation by pip, modules are compiled. The large photo has 12 megapixels (4000 x 3000,
colour): scikit-image's `coffee` (600 x 400) enlarged by Lanczos interpolation to 4500 x 3000 and cut to the middle; the
small one is the same for 640 x 480. "Found" says that area and grid of the one mosaic came out exactly.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from deepix import challenge
from deepix.mosaic import Mosaic, pixelate

LARGE, SMALL = (4000, 3000), (640, 480)
AREAS = ((250, 200), (500, 400), (1000, 800), (2000, 1600))
CELLS = (8, 100)
PICTURES = 256
HELP = "import sys; sys.argv = ['deepix', '--help']; from deepix.cli import main; main()"


class Run(NamedTuple):
    """Seconds, MiB, and what was printed."""

    wall: float
    processor: float
    peak: float
    output: str


def run(arguments: Sequence[str], environment: dict[str, str]) -> Run:
    """Run Python in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as one:
        output = one.stdout.read() if one.stdout else ""
        _, status, usage = os.wait4(one.pid, 0)
        one.returncode = os.waitstatus_to_exitcode(status)
    if one.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {output}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, peak, output)


def photo(name: str) -> NDArray[np.uint8]:
    return np.asarray(getattr(data, name)())


def write_photo(path: Path, size: tuple[int, int], m: Mosaic) -> None:
    width, height = size
    large = Image.fromarray(photo("coffee")).resize((height * 3 // 2, height), Image.Resampling.LANCZOS)
    left = (large.width - width) // 2
    truth = np.asarray(large.crop((left, 0, left + width, height)))
    Image.fromarray(pixelate(truth, [m])).save(path, compress_level=1)


def restored(size: tuple[int, int], m: Mosaic, method: str, runs: int, environment: dict[str, str]) -> str:
    """Return the row of a photo with one mosaic."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.png"
        # in another process: the peak of one that is forked counts from its parent's
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(write_photo, source, size, m).result()
        command = ["-m", "deepix", "restore", str(source), "-o", str(source.with_stem("restored"))]
        command += ["--method", method, "--overwrite", "--json"]
        done = [run(command, environment) for _ in range(runs + 1)][1:]
    found = [
        {key: one[key] for key in ("area", "grid")} for one in json.loads(done[0].output.splitlines()[-1])["mosaics"]
    ]
    exactly = found == [{key: m.to_dict()[key] for key in ("area", "grid")}]
    wall = [one.wall for one in done]
    return (
        f"| {size[0]} x {size[1]} | {m.width} x {m.height} | {m.grid.width} | {method} "
        f"| {statistics.median(wall):.2f} | {min(wall):.2f} | {statistics.median(one.processor for one in done):.2f} "
        f"| {max(one.peak for one in done):.0f} | {'yes' if exactly else 'no'} |"
    )


def small_pictures(name: str, runs: int) -> list[float]:
    """Return how many 64x64 challenge pictures a restorer restores in a second, in each run."""
    rng = np.random.default_rng(0)
    image = challenge.prepare(photo("astronaut"))
    mosaics = [challenge.random_mosaic(rng) for _ in range(PICTURES)]
    pixelated = np.stack([challenge.pixelate(image, m) for m in mosaics])
    restore = challenge.restorer(name, batch=64)
    restore(pixelated[:64], mosaics[:64], None)
    rates = []
    for _ in range(runs):
        start = time.perf_counter()
        restore(pixelated, mosaics, None)
        rates.append(PICTURES / (time.perf_counter() - start))
    return rates


def processor() -> str:
    """Return the processor's name, as Linux tells it, else as Python does."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """Return a line on the machine and the versions that were measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("deepix", "numpy", "scipy", "pillow", "onnxruntime")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{date.today()}: {processor()}, {cores} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(f"{machine()}\n")
    print("| photo | area | cells | method | wall, s: median | least | processor, s | peak, MiB | found |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as compiled:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        wanted = [(LARGE, Mosaic.rectangle(1111, 777, *AREAS[2], 25)), (SMALL, Mosaic.rectangle(301, 203, 64, 64, 8))]
        wanted += [(LARGE, Mosaic.rectangle(1111, 777, *area, 25)) for area in AREAS if area != AREAS[2]]
        wanted += [(LARGE, Mosaic.rectangle(1111, 777, *AREAS[2], cell)) for cell in CELLS]
        for size, m in wanted:
            for method in ("network", "smooth"):
                print(restored(size, m, method, runs, environment), flush=True)
        print()
        for name, command in (("import deepix", "import deepix"), ("deepix --help", HELP), ("Python alone", "pass")):
            wall = [run(["-c", command], environment).wall for _ in range(2 * runs + 1)][1:]
            print(f"{name}: {1000 * statistics.median(wall):.0f} ms, at least {1000 * min(wall):.0f}")
    print()
    for name in ("challenge", "smooth"):
        rates = small_pictures(name, runs)
        median, most = statistics.median(rates), max(rates)
        print(f"64x64 pictures in batches of 64, {name}: {median:.0f} a second, at most {most:.0f}")


if __name__ == "__main__":
    main()
