"""Fit the confidence of located mosaics: `deepix.finder.confidence.WEIGHTS`, printed for pasting.

    python benchmarks/confidence.py                 # a quarter of an hour

Cases are those of `benchmarks/locating.py`, of training photos (resized ones, which are hardest, thrice as many), with
clean photos, hard negatives, and the brick walls of `benchmarks/finding.py`. Right is what has an intersection over
union of at least 0.8 with a mosaic, and a grid near to its own; what is found where there is no mosaic at all counts
twice. The logistic regression has a ridge of 1 on weights of measurements in units of their standard deviation; each
half of the pictures is judged with the weights of the other one, too.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from finding import Photos, add_data, brick_wall, overlap
from locating import Array, drawn, near
from numpy.typing import NDArray
from PIL import Image

from deepix.finder import confidence, locator, region_mosaics
from deepix.finder.luminance import luminance
from deepix.mosaic import Mosaic
from deepix.training.data.examples import CLASSES
from deepix.training.data.negatives import NEGATIVES, negative


def located(pixels: Array) -> list[region_mosaics.Located]:
    plane = luminance(pixels)
    return region_mosaics.located(plane, locator.maps(plane), locator.STRIDE)


class Rows(NamedTuple):
    """What was measured of located mosaics, (N, measurements), and for each of them (N,):

    whether it is right; whether the picture has mosaics at all; and which half of the pictures it is of.
    """

    measured: NDArray[np.float64]
    right: NDArray[np.bool_]
    mosaics: NDArray[np.bool_]
    half: NDArray[np.bool_]


def saved(pixels: Array, rng: np.random.Generator) -> Array:
    """Return the picture as it comes back from a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(buffer))


def pictures(photos: Photos, count: int, seed: int) -> Iterator[tuple[Array, tuple[Mosaic, ...]]]:
    """Yield pictures with their mosaics, and many without."""
    for name in CLASSES:
        for case in drawn(name, photos, 3 * count if "resized" in name else count, seed):
            yield case.picture, tuple(case.mosaics)
    for i in range(5 * count):
        rng = np.random.default_rng([seed, 99, i])
        kind = NEGATIVES[i % len(NEGATIVES)]
        clean = [photos[20_000 + i], negative(kind, rng, photos[40_000 + i]), brick_wall(rng)]
        for pixels in clean[: 3 if i % 2 else 2]:
            yield (saved(pixels, rng) if rng.random() < 0.5 else pixels), ()


def collected(photos: Photos, count: int, seed: int) -> Rows:
    """Return what was measured of all located mosaics of the pictures."""
    rows = []
    for number, (pixels, mosaics) in enumerate(pictures(photos, count, seed)):
        for found in located(pixels):
            right = any(overlap(found.mosaic, m) >= 0.8 and near(found.mosaic.grid, m) for m in mosaics)
            rows.append((found.measured, right, bool(mosaics), number % 2 == 0))
    return Rows(*(np.array(column) for column in zip(*rows, strict=True)))


def fitted(rows: Rows, which: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.float64]:
    """Return the weights of a logistic regression, by Newton's method."""
    measured, right = rows.measured[which], rows.right[which].astype(np.float64)
    counts = np.where(rows.mosaics[which], 1.0, 2.0)
    scale = measured.std(axis=0)
    scale[0] = 1
    x = measured / np.maximum(scale, 1e-9)
    ridge = np.ones(x.shape[1])
    ridge[0] = 0
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        curvature = (x.T * (counts * p * (1 - p) + 1e-6)) @ x + np.diag(ridge)
        weights = weights + np.linalg.solve(curvature, x.T @ (counts * (right - p)) - ridge * weights)
    return np.asarray(weights / np.maximum(scale, 1e-9))


def judged(name: str, rows: Rows, p: NDArray[np.float64]) -> None:
    """Print what is kept at some confidences."""
    for threshold in (0.25, 0.5, 0.75):
        kept = p >= threshold
        print(
            f"{name}, at {threshold}: {rows.right[kept].mean():.3f} of what is kept is right; "
            f"{(rows.right & kept).sum() / rows.right.sum():.3f} of what is right is kept; "
            f"{(kept & ~rows.mosaics).sum()} of {(~rows.mosaics).sum()} without a mosaic"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=160, help="pictures of each class")
    add_data(parser)
    parser.add_argument("--seed", type=int, default=12)
    args = parser.parse_args()
    rows = collected(Photos("train", args.seed, args.data), args.cases, args.seed)
    print(f"{len(rows.right)} located, {rows.right.sum()} right")
    print(f"WEIGHTS = np.array({[round(w, 3) for w in fitted(rows).tolist()]})")
    judged("WEIGHTS of now", rows, 1 / (1 + np.exp(-rows.measured @ confidence.WEIGHTS)))
    crossed = np.empty(len(rows.right))
    for half in (rows.half, ~rows.half):
        crossed[half] = 1 / (1 + np.exp(-rows.measured[half] @ fitted(rows, ~half)))
    judged("of the other half", rows, crossed)


if __name__ == "__main__":
    main()
