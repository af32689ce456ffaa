"""What many pictures cost: the ways to restore a folder, side by side in one run.

    python benchmarks/batch.py [--count 500] [--rounds 3] [--before ../before]

The pictures are cuts of 640 x 480 of scikit-image's photos, each with one mosaic of 120 x 100 pixels in cells of 10.
Each round does, in turn:

- one worker on one core (`taskset -c 0 … --workers 1`; on Linux),
- one process (`--workers 1`),
- two workers (`--workers 2`),
- with --before: the command of another checkout, as it is by default,
- the command once for each of the first 20 pictures,

start-up included. Printed are pictures a second, the median of the rounds and the best one, and the largest resident
set of one process. The results of the first three are compared byte for byte.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from deepix.mosaic import Mosaic, pixelate

WIDTH, HEIGHT = 640, 480
SINGLE = 20


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write pixelated cuts of photos that are scaled to a bit more than the cut's size."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    photos = []
    for name in ("chelsea", "coffee", "astronaut", "rocket"):
        whole = Image.fromarray(np.asarray(getattr(data, name)()))
        scale = max(WIDTH / whole.width, HEIGHT / whole.height) * 1.1
        photos.append(np.asarray(whole.resize((round(whole.width * scale), round(whole.height * scale)))))
    paths = []
    for i in range(count):
        photo = photos[i % len(photos)]
        y, x = rng.integers(0, photo.shape[0] - HEIGHT), rng.integers(0, photo.shape[1] - WIDTH)
        left, top = (int(v) for v in rng.integers(0, (WIDTH - 120, HEIGHT - 100)))
        cut = pixelate(photo[y : y + HEIGHT, x : x + WIDTH], [Mosaic.rectangle(left, top, 120, 100, 10)])
        paths.append(folder / f"{i:04}.png")
        Image.fromarray(cut).save(paths[-1])
    return paths


def measured(command: Sequence[str], checkout: Path | None = None) -> tuple[float, float]:
    """Return the seconds that a command takes, and the largest resident set of its processes, in MiB.

    `checkout` is a folder whose `src` holds the code; None: the code that runs this.
    """
    code = {} if checkout is None else {"PYTHONPATH": str(checkout.resolve() / "src")}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **code}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while process.poll() is None:
        peak = max([peak, *(resident(pid) for pid in family(process.pid))])
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - start, peak


def family(pid: int) -> list[int]:
    """Return a process and its children, on Linux."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid, *map(int, text.split())]


def resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        return 0.0


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def compare(work: Path, count: int, rounds: int, before: Path | None) -> None:
    """Run all ways in turn, and print a table."""
    paths = write_photos(work / "in", count)
    program = [sys.executable, "-m", "deepix", "restore"]
    ways: dict[str, list[str]] = {
        "one worker on one core": ["taskset", "-c", "0", *program, str(work / "in"), "--workers", "1"],
        "--workers 1": [*program, str(work / "in"), "--workers", "1"],
        "--workers 2": [*program, str(work / "in"), "--workers", "2"],
    }
    if shutil.which("taskset") is None:
        del ways["one worker on one core"]
    earlier = "the earlier version"
    if before is not None:
        ways[earlier] = [*program, str(work / "in")]
    rates: dict[str, list[float]] = {name: [] for name in (*ways, "one command each")}
    peaks = dict.fromkeys(rates, 0.0)
    results: dict[str, dict[str, bytes]] = {}
    for _ in range(rounds):
        for name, command in ways.items():
            out = work / "out"
            seconds, peak = measured([*command, "-o", f"{out}/", "--quiet"], before if name == earlier else None)
            rates[name].append(count / seconds)
            peaks[name] = max(peaks[name], peak)
            made = content(out)
            if name != earlier and (results.setdefault(name, made) != made or made != next(iter(results.values()))):
                print(f"{name}: not the same bytes as {next(iter(results))}")
            shutil.rmtree(out)
        few = paths[:SINGLE]
        took = [measured([*program, str(path), "-o", str(work / "one.png"), "--overwrite", "-q"]) for path in few]
        rates["one command each"].append(len(few) / sum(seconds for seconds, _ in took))
        peaks["one command each"] = max([peaks["one command each"], *(peak for _, peak in took)])
    print("| way | pictures a second: median | best | peak of a process, MiB |\n| --- | ---: | ---: | ---: |")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):.2f} | {max(values):.2f} | {peaks[name]:.0f} |")


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier version, to compare with")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{date.today()}: {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory() as work:
        compare(Path(work), arguments.count, arguments.rounds, arguments.before)


if __name__ == "__main__":
    main()
