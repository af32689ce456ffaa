"""Frames and captions drawn over and beside mosaics: how near restorations come to the truth beside them.

    python benchmarks/foreign.py                 # the table, and whether the bar is reached
    python benchmarks/foreign.py --cases 20      # quicker

In a part of a photo of `../shared/data/{bsds500-val,photos-val}.zip`, or of --data, one rectangle is pixelated (cells
of 4 to 24 pixels, log-uniform; 4 to 12 cells a side as far as it fits), and then something is drawn over or beside it
by `deepix.training.data.overlays`: frames of any colour, 1 to 5 pixels thick and 0 to 2 from the area, also
translucent, dashed or rounded, captions and watermarks over it. Each row has --cases of these; in the second table the
picture went through a JPEG of quality 80. The restorer is given the true area, its grid, and what was drawn.

RMSE (0–255) is over the unknown pixels that can be seen, in RGB; ratio is that of the restoration to the mosaic
itself. The bar: nearer to the truth than the mosaic in 95 % of the cases, and never 20 % farther. "as scene" is the
same without naming the foreign pixels: those around the area are taken for scene, and those in it for cells.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photos import photos
from PIL import Image
from shared_data import DATA, archives, need

from deepix.mosaic import Mosaic, pixelate, quantize, unknown
from deepix.restorer.network import estimate
from deepix.restorer.smooth import smooth
from deepix.training.data.overlays import KINDS

Array = NDArray[Any]
ARCHIVES = ("bsds500-val.zip", "photos-val.zip")
SIDE = 200
"""Pixels of a part of a photo, at most."""
CELLS = 4, 24
MARGIN = 12
"""Pixels around the area, at least."""
ROWS = ("frame", "translucent frame", "dashed frame", "rounded frame", "caption", "watermark")
QUALITY = 80
NEARER, WORST = 0.95, 1.2


def cases(
    paths: Sequence[Path], count: int, kind: str, seed: int, jpeg: bool
) -> Iterator[tuple[Array, Array, Mosaic, Mosaic]]:
    """Yield truths, pictures, and their mosaic with and without its foreign pixels."""
    for i, photo in enumerate(photos(paths, count)):
        rng = np.random.default_rng([seed, ROWS.index(kind), i])
        y, x = (int(rng.integers(0, max(n - SIDE, 0) + 1)) for n in photo.shape[:2])
        truth = np.ascontiguousarray(photo[y : y + SIDE, x : x + SIDE])
        height, width = truth.shape[:2]
        cell = round(float(np.exp(rng.uniform(*np.log(CELLS)))))
        w, h = (_length(n - 2 * MARGIN, cell, rng) for n in (width, height))
        left, top = (int(rng.integers(MARGIN, n - m - MARGIN + 1)) for n, m in ((width, w), (height, h)))
        plain = Mosaic.rectangle(left, top, w, h, cell)
        overlay = KINDS[kind]((height, width), (left, top, w, h), rng)
        picture = overlay.over(pixelate(truth, [plain]))
        if jpeg:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
            picture = np.asarray(Image.open(buffer))
        yield truth, picture, plain.with_foreign(overlay.foreign), plain


def _length(room: int, cell: int, rng: np.random.Generator) -> int:
    return int(rng.integers(4 * cell, min(12 * cell, room) + 1)) if 4 * cell < room else room


def rmse(picture: Array, truth: Array, m: Mosaic) -> float:
    area = unknown([m], truth.shape)
    return float(np.sqrt(np.square(picture[area].astype(float) - truth[area]).mean()))


def restored(how: str, picture: Array, m: Mosaic) -> Array:
    made = smooth(picture, [m]) if how == "smooth" else estimate(picture, [m])[0]
    return quantize(made, picture, [m])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--cases", type=int, default=100, help="of each row")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--methods", nargs="+", default=["smooth", "network"], choices=["smooth", "network"])
    parser.add_argument("--as-scene", action="store_true", help="also without naming the foreign pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    paths = arguments.data or archives(DATA, *ARCHIVES)
    need(*paths)
    reached = True
    for jpeg in (False, True):
        what = f"JPEG of quality {QUALITY}" if jpeg else "Lossless"
        print(f"\n{what}; {arguments.cases} cases a row, seed {arguments.seed}\n")
        print("| drawn | restorer | mosaic's RMSE | RMSE | ratio: median | worst | nearer than the mosaic | bar |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for kind in arguments.rows:
            errors: dict[str, list[tuple[float, float]]] = {}
            for truth, picture, m, plain in cases(paths, arguments.cases, kind, arguments.seed, jpeg):
                mosaic = rmse(picture, truth, m)
                for method in arguments.methods:
                    errors.setdefault(method, []).append((mosaic, rmse(restored(method, picture, m), truth, m)))
                    if arguments.as_scene:
                        made = rmse(restored(method, picture, plain), truth, m)
                        errors.setdefault(f"{method}, as scene", []).append((mosaic, made))
            for name, pairs in errors.items():
                before, after = np.array(pairs).T
                ratio = after / before
                ok = (ratio < 1).mean() >= NEARER and ratio.max() <= WORST
                reached &= ok or "as scene" in name
                mean = [math.sqrt((e**2).mean()) for e in (before, after)]
                print(
                    f"| {kind} | {name} | {mean[0]:.2f} | {mean[1]:.2f} | {np.median(ratio):.3f} | {ratio.max():.3f} "
                    f"| {100 * (ratio < 1).mean():.0f} % | {'yes' if ok else 'no'} |",
                    flush=True,
                )
    print(f"\nThe bar is {'reached' if reached else 'not reached'}.")


if __name__ == "__main__":
    main()
