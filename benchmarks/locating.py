"""How well Deepix finds mosaics, and their grids, in pictures of which nothing is known: the targets of the locator.

    python benchmarks/locating.py                          # all tables, validation photos
    python benchmarks/locating.py --cases 60 --only 2      # quicker; only what begins with 2
    python benchmarks/locating.py --pictures train         # other photos, to tune on
    python benchmarks/locating.py --data DIR               # the photos' archives are there, not in ../shared/data

Cases are drawn by `deepix.training.data.examples` (its `CLASSES`): photos with 1 to 4 mosaics, as people post them.
Class 1: rectangles of cells in whole pixels, lossless or JPEG 90 to 100. Class 2: JPEG 50 to 89, or resized by 0.6 to
1.7 and then JPEG 75 to 100. Class 3: ellipses and blobs. A mosaic is found if one that is reported has an intersection
over union of at least 0.8 with it; precision is the share of reported ones that are some mosaic's. A grid is exact if
cells are as large, and lie where they should, to the pixel; it is near if the cells' sizes are right within 2 % and the
lines nearest to the area's upper left corner within 1 pixel. "sure": only reported ones of confidence ≥
`deepix.finder.SURE`, which `deepix restore` restores.

Clean pictures are photos (as they are; half of them saved again as JPEG of quality 50 to 95) and the hard negatives of
`deepix.training.data.negatives`; an alarm is any report at all. End to end: RMSE over the truly unknown pixels after
`deepix.find` and `deepix.restore` against that after `deepix.restore` with the true mosaics. Time and peak memory are
of one picture each, in processes of their own.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from finding import Photos, add_data, overlap
from numpy.typing import NDArray
from PIL import Image

from deepix import api, pipeline
from deepix import mosaic as maths
from deepix.finder import SURE, find
from deepix.mosaic import Grid, Mosaic
from deepix.training.data.examples import CLASSES, Example, example
from deepix.training.data.negatives import NEGATIVES, negative

Array = NDArray[Any]
NEAR_SIZE, NEAR_PIXELS = 0.02, 1.0
"""Within these a grid is near: a share of the cell's size, and pixels."""


def drawn(name: str, photos: Photos, count: int, seed: int) -> Iterator[Example]:
    """Yield the cases of a class."""
    number = list(CLASSES).index(name)
    for i in range(count):
        rng = np.random.default_rng([seed, number, i])
        yield example(photos[1000 * number + i], rng, CLASSES[name])


def line_off(found: tuple[float, float], true: tuple[float, float], at: float) -> float:
    """Return how far the found lines lie from the true line nearest to a place; both (origin, size)."""
    place = true[0] + round((at - true[0]) / true[1]) * true[1]
    return abs(found[0] + round((place - found[0]) / found[1]) * found[1] - place)


def near(found: Grid, truth: Mosaic) -> bool:
    """Whether the cells' sizes are right within 2 %, and the first lines in the area within 1 pixel."""
    true = truth.grid
    for size, other in ((found.width, true.width), (found.height, true.height)):
        if abs(size / other - 1) > NEAR_SIZE:
            return False
    across = line_off((found.x, found.width), (true.x, true.width), truth.x)
    down = line_off((found.y, found.height), (true.y, true.height), truth.y)
    return max(across, down) <= NEAR_PIXELS


def exact(found: Grid, true: Grid) -> bool:
    """Whether the cells are as large and lie at the same places, to the pixel."""
    same = (found.width, found.height) == (true.width, true.height)
    return same and (found.x - true.x) % true.width == 0 and (found.y - true.y) % true.height == 0


def told(history: str) -> bool | None:
    """Return what the command line tells the finder of the file: whether it is lossy."""
    return any(word in history for word in ("jpeg", "webp"))


def rmse(estimate: Array, truth: Array, unknown: Array) -> tuple[float, int]:
    """Return the sum of squares over unknown pixels, and their number (channels counted)."""
    difference = estimate[unknown].astype(np.float64) - truth[unknown]
    return float((difference**2).sum()), difference.size


class Tally:
    """What was found in the cases of one class."""

    def __init__(self) -> None:
        self.true = self.found = self.reported = self.right = 0
        self.exact = self.near = 0
        self.sure = self.sure_right = self.sure_found = self.sure_near = 0
        self.common = self.union = 0
        self.overlaps: list[float] = []
        self.seconds: list[float] = []
        self.chain = np.zeros((3, 2))  # squares and pixels: found, true mosaics, the mosaics themselves

    def add(self, case: Example, reported: list[Mosaic]) -> list[str]:
        """Count one case; return a line for each miss."""
        misses = []
        self.true += len(case.mosaics)
        self.reported += len(reported)
        self.sure += sum(m.confidence >= SURE for m in reported)
        for m in reported:
            hit = max((overlap(m, t) for t in case.mosaics), default=0.0) >= 0.8
            self.right += hit
            self.sure_right += hit and m.confidence >= SURE
            if not hit:
                misses.append(f"false: {brief(m)}")
        for t in case.mosaics:
            best = max(reported, key=lambda m: overlap(m, t), default=None)
            value = overlap(best, t) if best else 0.0
            self.overlaps.append(value)
            if best is None or value < 0.8:
                misses.append(f"missed ({value:.2f}): {brief(t)}" + (f"; best {brief(best)}" if best else ""))
                continue
            self.found += 1
            self.exact += exact(best.grid, t.grid)
            close = near(best.grid, t)
            self.near += close
            if best.confidence >= SURE:
                self.sure_found += 1
                self.sure_near += close
            if not close:
                misses.append(f"grid: {brief(t)}; found {brief(best)}")
        truth, ours = case.labels > 0, maths.unknown(reported, case.labels.shape)
        self.common += int((truth & ours).sum())
        self.union += int((truth | ours).sum())
        return misses

    def chained(self, case: Example, reported: list[Mosaic]) -> None:
        """Restore with what was found and with the true mosaics."""
        sure = [m for m in reported if m.confidence >= SURE]
        unknown = case.labels > 0
        true = [pipeline.blended(case.picture, m) for m in case.mosaics]
        for k, mosaics in enumerate((sure, true)):
            restored = api.restore(case.picture, mosaics, threads=2).image if mosaics else case.picture
            self.chain[k] += rmse(restored, case.clean, unknown)
        self.chain[2] += rmse(case.picture, case.clean, unknown)


def brief(m: Mosaic) -> str:
    g = m.grid
    shape = "" if m.mask is None else " mask"
    cells = f"{g.width:.2f}x{g.height:.2f} at {g.x % g.width:.2f},{g.y % g.height:.2f}"
    return f"{m.x},{m.y},{m.width},{m.height}{shape} cells {cells} ({m.confidence:.2f})"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def classes(args: argparse.Namespace, photos: Photos) -> None:
    """Print what was found in each class."""
    tallies: dict[str, Tally] = {}
    for name in CLASSES:
        if not name.startswith(args.only):
            continue
        tally = tallies[name] = Tally()
        for number, case in enumerate(drawn(name, photos, args.cases, args.seed)):
            start = time.perf_counter()
            reported = find(case.picture, lossy=told(case.history), fast=args.fast)
            tally.seconds.append(time.perf_counter() - start)
            for miss in tally.add(case, reported):
                if args.misses:
                    print(f"{name} {number} ({case.history}) {case.picture.shape}: {miss}", flush=True)
            if number < args.chain and name[0] in "12":
                tally.chained(case, reported)
    heads = (
        "class", "mosaics", "recall", "precision", "grid exact", "grid near", "mean IoU", "pixel IoU", "restored",
        "sure: precision, near", "s a picture",
    )  # fmt: skip
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name, t in tallies.items():
        cells = (
            name, str(t.true), percent(t.found, t.true), percent(t.right, t.reported), percent(t.exact, t.found),
            percent(t.near, t.found), f"{np.mean(t.overlaps):.3f}", f"{t.common / max(t.union, 1):.3f}",
            percent(t.sure_found, t.true), f"{percent(t.sure_right, t.sure)}, {percent(t.sure_near, t.sure_found)}",
            f"{np.mean(t.seconds):.2f}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)
    if args.chain:
        end_to_end(tallies)


def end_to_end(tallies: dict[str, Tally]) -> None:
    """Print how near to the truth restoring with what was found comes, and with the true mosaics."""
    print("\n| end to end | as pixelated | true mosaics | found mosaics | more |\n| --- | --- | --- | --- | --- |")
    for group in "12":
        total = sum((t.chain for name, t in tallies.items() if name[0] == group), np.zeros((3, 2)))
        if total[0, 1]:
            found, true, before = np.sqrt(total[:, 0] / total[:, 1])
            print(f"| class {group} | {before:.2f} | {true:.2f} | {found:.2f} | {100 * (found / true - 1):+.1f} % |")


def clean(args: argparse.Namespace, photos: Photos) -> None:
    """Print how many clean pictures raise an alarm."""
    rows: dict[str, list[bool]] = {}
    loud: list[str] = []

    def look(kind: str, pixels: Array, lossy: bool) -> None:
        reported = find(pixels, lossy=lossy, fast=args.fast)
        rows.setdefault(kind, []).append(bool(reported))
        loud.extend(f"{kind} {len(rows[kind]) - 1} {pixels.shape}: {brief(m)}" for m in reported)

    for i in range(args.photos):
        rng = np.random.default_rng([args.seed, 98, i])
        pixels = photos[20_000 + i]
        if i % 2:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
            pixels = np.asarray(Image.open(buffer))
        look("photos", pixels, True)
    for i in range(args.negatives):
        rng = np.random.default_rng([args.seed, 99, i])
        kind = NEGATIVES[i % len(NEGATIVES)]
        pixels = negative(kind, rng, photos[40_000 + i])
        saved = kind == "blocky JPEG" or rng.random() < 0.5
        if saved and kind != "blocky JPEG":
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
            pixels = np.asarray(Image.open(buffer))
        look(f"hard negatives: {kind}", pixels, saved)
    print("\n| clean pictures | number | with an alarm |\n| --- | --- | --- |")
    groups = {"photos": rows.get("photos", [])}
    groups["hard negatives"] = [a for kind, alarms in rows.items() if kind != "photos" for a in alarms]
    for name, alarms in groups.items():
        if alarms:
            print(f"| {name} | {len(alarms)} | {sum(alarms)} ({percent(sum(alarms), len(alarms))}) |")
    noisy = [f"{kind[16:]} {sum(a)}/{len(a)}" for kind, a in rows.items() if kind != "photos" and any(a)]
    if noisy:
        print(f"\nAlarms among hard negatives: {', '.join(noisy)}.")
    if args.misses:
        print("\n".join(loud))


SIZES = {"0.3 MP": (640, 480), "1 MP": (1152, 864), "12 MP": (4000, 3000)}


def measure(size: tuple[int, int], photos: Photos, seed: int, saved: bool) -> None:
    """Find the mosaics of one picture, twice; print the second time and the process's peak memory."""
    photo = Image.fromarray(photos[3]).resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(photo)
    mosaics = maths.random_mosaics(pixels.shape, 4, np.random.default_rng(seed), (size[0] // 100, size[0] // 40))
    pixels = maths.pixelate(pixels, mosaics)
    if saved:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
        pixels = np.asarray(Image.open(buffer))
    find(pixels[:256, :256], lossy=saved)  # the network is read
    before = time.process_time()
    start = time.perf_counter()
    found = find(pixels, lossy=saved)
    wall, cpu = time.perf_counter() - start, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    right = sum(any(overlap(m, t) >= 0.8 for m in found) for t in mosaics)
    print(f"{wall:.2f} s | {cpu:.2f} s | {peak:.0f} MiB | {right} of {len(mosaics)}")


def speed(args: argparse.Namespace) -> None:
    """Print times and memory, each measured in a process of its own."""
    print("\n| picture | time | processor | peak memory | found |\n| --- | --- | --- | --- | --- |")
    for name in SIZES:
        for kind in ("png", "jpeg 80"):
            command = [sys.executable, __file__, "--measure", name, kind, "--pictures", args.pictures]
            command += ["--data", str(args.data), "--seed", str(args.seed)]
            result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
            print(f"| {name}, {kind} | {result.stdout.strip() or result.stderr.strip()[-200:]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="pictures of each class")
    parser.add_argument("--chain", type=int, default=60, help="of these are restored, too, in classes 1 and 2")
    parser.add_argument("--photos", type=int, default=500, help="clean photos")
    parser.add_argument("--negatives", type=int, default=112, help="hard negatives")
    parser.add_argument("--only", default="", help="only classes whose names begin so; 'clean' or 'speed': only that")
    parser.add_argument("--fast", action="store_true", help="without the network")
    parser.add_argument("--pictures", choices=("train", "val"), default="val", help="which photos")
    add_data(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--misses", action="store_true", help="also list every miss and false alarm")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    photos = Photos(args.pictures, args.seed, args.data)
    if args.measure:
        measure(SIZES[args.measure[0]], photos, args.seed, args.measure[1] != "png")
        return
    print(f"Photos: {args.pictures} ({photos.source}), seed {args.seed}, {args.cases} pictures of each class.")
    if args.only not in ("clean", "speed"):
        classes(args, photos)
    if args.only in ("", "clean"):
        clean(args, photos)
    if args.only in ("", "speed"):
        speed(args)


if __name__ == "__main__":
    main()
