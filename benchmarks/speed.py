"""How long Deepix takes, and how much memory.

    python benchmarks/speed.py

The photo has 12 megapixels (4000 x 3000, colour): scikit-image's `coffee` (600 x 400) enlarged 7.5 times by Lanczos
interpolation to 4500 x 3000 and cut to the middle 4000 columns; no noise is added. For each row an area is pixelated,
and found and restored once in a process of its own: times are wall-clock, of the finder and of the restorer with its
integers (`deepix.restoration.restore_picture`) apart; peak memory is the process's largest resident set, which includes
Python, the libraries and the photo itself (36 MB). The photo comes in a file, so that making it does not count.
`smooth` is a further run of the part of the restoration that is `deepix.smooth.smooth`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepix import challenge, finder, images, restoration
from deepix.mosaic import Mosaic, pixelate
from deepix.smooth import smooth

AREAS = ((250, 200), (500, 400), (1000, 800), (2000, 1600))
CELLS = (8, 25, 100)
RUNS = 7


def photo() -> NDArray[np.uint8]:
    large = Image.fromarray(load("coffee")).resize((4500, 3000), Image.Resampling.LANCZOS)
    return np.asarray(large.crop((250, 0, 4250, 3000)))


def load(name: str) -> NDArray[np.uint8]:
    from skimage import data  # not needed by the processes that are measured

    return np.asarray(getattr(data, name)())


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def restore_one(path: str, m: Mosaic) -> dict[str, Any]:
    """Find and restore the mosaic in an .npy file; run in a process of its own."""
    pixels = np.load(path)
    find_seconds, found = timed(lambda: finder.find(pixels))
    picture = images.from_array(pixels)
    restore_seconds, _ = timed(lambda: restoration.restore_picture(picture, [m]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    smooth_seconds, _ = timed(lambda: smooth(pixels, [m]))
    return {
        "find": find_seconds,
        "restore": restore_seconds,
        "smooth": smooth_seconds,
        "peak": peak,
        "found": [other.to_dict()["area"] for other in found] == [[m.x, m.y, m.width, m.height]],
    }


def large_photo(path: Path, width: int, height: int, cell: int, truth: NDArray[np.uint8]) -> str:
    """Return the row of one area."""
    m = Mosaic.rectangle(1111, 777, width, height, cell)
    np.save(path, pixelate(truth, [m]))
    command = [sys.executable, __file__, "--one", str(path), json.dumps(m.to_dict())]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (
        f"| {width} x {height} | {cell} | {result['find']:.2f} | {'yes' if result['found'] else 'no'} "
        f"| {result['restore']:.2f} | {result['smooth']:.2f} | {result['peak'] / 2**20:.0f} |"
    )


def small_pictures(count: int = 200) -> float:
    """Return how many 64x64 challenge pictures `smooth` restores in a second."""
    rng = np.random.default_rng(0)
    image = challenge.prepare(load("astronaut"))
    mosaics = [challenge.random_mosaic(rng) for _ in range(count)]
    pixelated = np.stack([challenge.pixelate(image, m) for m in mosaics])
    run = challenge.restorer("smooth")
    return count / timed(lambda: run(pixelated, mosaics, None))[0]


def start_up() -> tuple[float, float, float]:
    """Return the seconds of `import deepix` (by importtime), of `deepix --help` and of `python -c pass`."""

    def imported() -> float:
        command = [sys.executable, "-X", "importtime", "-c", "import deepix"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
        line = next(line for line in lines if re.search(r"\| deepix$", line))
        return int(line.split("|")[1]) / 1e6

    def process(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return timed(lambda: subprocess.run(command, check=True, capture_output=True))[0]

    cli = "import sys; sys.argv = ['deepix', '--help']; from deepix.cli import main; main()"
    return (
        statistics.median(imported() for _ in range(RUNS)),
        statistics.median(process("-c", cli) for _ in range(RUNS)),
        statistics.median(process("-c", "pass") for _ in range(RUNS)),
    )


def processor() -> str:
    """Return the processor's name, as Linux tells it, else as Python does."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """Return a line on the machine and the versions that were measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in ("deepix", "numpy", "scipy", "pillow"))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{date.today()}: {processor()}, {cores} cores{load}; Python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "MOSAIC"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        path, described = arguments.one
        print(json.dumps(restore_one(path, Mosaic.from_dict(json.loads(described)))))
        return
    print(f"{machine()}\n")
    print(f"64x64 pictures, smooth: {small_pictures():.0f} per second\n")
    print("Photo of 12 megapixels:\n")
    print("| area | cell | find, s | found exactly | restore, s | of it smooth, s | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    truth = photo()
    with tempfile.TemporaryDirectory() as folder:
        for (width, height), cell in [(area, 25) for area in AREAS] + [
            (AREAS[2], cell) for cell in CELLS if cell != 25
        ]:
            print(large_photo(Path(folder) / "photo.npy", width, height, cell, truth), flush=True)
    imported, helped, nothing = start_up()
    print(f"\nStart-up, median of {RUNS}: import deepix {1000 * imported:.1f} ms; deepix --help {1000 * helped:.0f} ms")
    print(f"(of which starting Python {1000 * nothing:.0f} ms)")


if __name__ == "__main__":
    main()
