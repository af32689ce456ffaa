"""Whole commands of two checkouts, in turns: what a change of the code does to the time that a user waits.

    git worktree add ../before COMMIT
    python benchmarks/commands.py ../before . --rounds 10

Wall-clock and processor seconds (user and system, all threads), each the smallest and the median of the rounds. On a
machine that does other work besides, compare processor seconds. The pictures are made from scikit-image's `coffee`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from deepix.mosaic import Mosaic, pixelate

SIZES = {"small.png": (640, 480), "middle.jpg": (1200, 833), "large.jpg": (4000, 3000), "large.png": (4000, 3000)}
"""File name and size of the pictures."""
COMMANDS = (
    "--help",
    "find middle.jpg",
    "restore small.png -o out.png --overwrite -q",
    "restore large.jpg -o out.png --overwrite -q",
    "restore large.png -o out.png --overwrite -q",
)


def pictures(folder: Path) -> None:
    """Write the pictures: one mosaic of 16-pixel cells in each, a fifth of the picture wide and high."""
    photo = data.coffee()  # type: ignore[no-untyped-call]
    for name, (width, height) in SIZES.items():
        picture = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))
        cells = width // 5 // 16, height // 5 // 16
        mosaic = Mosaic.rectangle(width // 2, height // 3, 16 * cells[0], 16 * cells[1], 16)
        Image.fromarray(pixelate(picture, [mosaic])).save(folder / name, quality=90)


def timed(checkout: Path, command: str, folder: Path) -> tuple[float, float]:
    """Return the wall-clock and processor seconds of one command by the code of a checkout."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "deepix", *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", type=Path, help="folders that hold src/deepix")
    parser.add_argument("--rounds", type=int, default=10, help="of each command (default: 10)")
    parser.add_argument("--only", help="commands that contain this text")
    given = parser.parse_args()
    checkouts = [folder.resolve() for folder in given.checkouts]
    print(f"| {'command':40} | {'checkout':12} | wall, least | median | processor, least | median |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder)
        for command in (c for c in COMMANDS if given.only is None or given.only in c):
            times: dict[Path, list[tuple[float, float]]] = {checkout: [] for checkout in checkouts}
            for number in range(given.rounds):
                for checkout in checkouts if number % 2 else checkouts[::-1]:
                    times[checkout].append(timed(checkout, command, folder))
            for checkout, measured in times.items():
                wall, cpu = zip(*measured, strict=True)
                figures = [f(seconds) for seconds in (wall, cpu) for f in (min, statistics.median)]
                print(f"| {command:40} | {checkout.name:12} | {' | '.join(f'{v:.3f}' for v in figures)} |", flush=True)


if __name__ == "__main__":
    main()
