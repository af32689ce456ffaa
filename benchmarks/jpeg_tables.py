"""What the finder gains by a JPEG file's own table of steps, beside what the pixels tell of its quality.

    python benchmarks/jpeg_tables.py                      # the table: validation photos
    python benchmarks/jpeg_tables.py --cases 10           # quicker
    python benchmarks/jpeg_tables.py --data DIR           # the photos' archives are there, not in ../shared/data

Each photo, and a part of another of 40 to 140 pixels a side, is saved as in `STEPS`, chroma halved or not: with up to
2 mosaics that `finding.py` draws, and without. A mosaic counts as found when a reported one has an intersection over
union of at least 0.8 with it; wrong is a report of which that holds for no mosaic. Where the table does not change the
quality that is taken for the file's, both ways are one, and it is searched once.
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from finding import Photos, add_data, apart, decidable, draw_area, overlap
from locating import exact
from numpy.typing import NDArray
from PIL import Image

from deepix.finder import SURE, find
from deepix.finder.jpeg_noise import saved_quality
from deepix.finder.luminance import luminance
from deepix.mosaic import Mosaic, pixelate

Array = NDArray[Any]
Quality = int | str
Tables = dict[int, list[int]]
STEPS: tuple[tuple[Quality, ...], ...] = (
    *((q,) for q in (50, 60, 75, 85, 90, 95, 100)),
    *((60, 95), (90, 70), (75, 85)),
    (60, "pixelate", 95),
    (60, "crop", 95),
    *((name,) for name in ("web_low", "web_medium", "web_high", "web_very_high", "medium", "high")),
)
"""What a pixelated photo goes through: qualities it is saved with, or Pillow's names of Photoshop's tables.

"pixelate": only now, not at first; "crop": by 5 and 3 pixels, so that the first file's blocks lie elsewhere.
"""
CROP = 5, 3


def saved(pixels: Array, quality: Quality, subsampling: int) -> tuple[Array, Tables]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    image = Image.open(buffer)
    return np.asarray(image), dict(image.quantization)  # type: ignore[attr-defined]  # only JPEG files have it


def goes_through(
    photo: Array, mosaics: list[Mosaic], steps: Sequence[Quality], subsampling: int
) -> tuple[Array, Tables, list[Mosaic]]:
    """Return the picture as it is read from the last file, that file's tables, and its mosaics."""
    pixels = photo if "pixelate" in steps else pixelate(photo, mosaics)
    tables: Tables = {}
    for step in steps:
        if step == "pixelate":
            pixels = pixelate(pixels, mosaics)
        elif step == "crop":
            left, top = CROP
            pixels = np.ascontiguousarray(pixels[top:, left:])
            mosaics = [m.moved(-left, -top) for m in mosaics]
        else:
            pixels, tables = saved(pixels, step, subsampling)
    return pixels, tables, mosaics


def draws(photo: Array, rng: np.random.Generator) -> list[Mosaic]:
    """Draw up to 2 mosaics that can be seen and that stay in the picture when it is cropped."""
    mosaics: list[Mosaic] = []
    for _ in range(60):
        m = draw_area(photo.shape, rng)
        if m is None or m.x < CROP[0] or m.y < CROP[1] or not all(apart(m, other) for other in mosaics):
            continue
        if decidable(photo, pixelate(photo, [m]), m, 3.0):
            mosaics.append(m)
        if len(mosaics) == 2:
            break
    return mosaics


def pictures(photos: Photos, count: int, seed: int) -> Iterator[tuple[Array, list[Mosaic], np.random.Generator]]:
    """Yield photos and parts of others, each with mosaics and without any."""
    for index in range(2 * count):
        rng = np.random.default_rng([seed, index])
        photo = photos[index]
        if index % 2:
            side = int(rng.integers(40, 141))
            y, x = (int(rng.integers(0, n - side + 1)) for n in photo.shape[:2])
            photo = np.ascontiguousarray(photo[y : y + side, x : x + side])
        mosaics = draws(photo, rng)
        if mosaics:
            yield photo, mosaics, rng
        yield photo, [], rng


def counts(found: Sequence[Mosaic], truth: Sequence[Mosaic]) -> NDArray[np.int64]:
    """Return how many mosaics are found, have the exact grid and are restored, and how many reports are wrong."""
    result = np.zeros(4, np.int64)
    for t in truth:
        best = max(found, key=lambda m: overlap(m, t), default=None)
        if best is not None and overlap(best, t) >= 0.8:
            result += (1, exact(best.grid, t.grid), best.confidence >= SURE, 0)
    result[3] = sum(max((overlap(m, t) for t in truth), default=0.0) < 0.8 for m in found)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40, help="photos, and as many small parts of others")
    parser.add_argument("--seed", type=int, default=1)
    add_data(parser)
    args = parser.parse_args()
    photos = Photos("val", args.seed, args.data)
    print(f"Photos: val ({photos.source}), seed {args.seed}, {args.cases} and as many small parts.\n")

    totals: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros((2, 5), np.int64))
    files: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(3, np.int64))
    for photo, mosaics, rng in pictures(photos, args.cases, args.seed):
        for steps in STEPS:
            pixels, tables, truth = goes_through(photo, mosaics, steps, 2 * int(rng.integers(2)))
            plane = luminance(pixels)
            changed = saved_quality(plane) != saved_quality(plane, tables[0])
            without = find(pixels, lossy=True)
            within = find(pixels, lossy=True, quantization=tables) if changed else without
            name = ", ".join(map(str, steps))
            files[name] += 1, changed, len(truth)
            for row, found in enumerate((without, within)):
                totals[name][row, :4] += counts(found, truth)
                totals[name][row, 4] += bool(found) and not truth

    heads = ("saved", "files", "other quality", "mosaics", "found", "grid exact", "restored", "wrong", "alarm in clean")
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name, (before, after) in totals.items():
        pairs = [f"{a} → {b}" if a != b else str(a) for a, b in zip(before, after, strict=True)]
        print(f"| {' | '.join([name, *map(str, files[name]), *pairs])} |")


if __name__ == "__main__":
    main()
