"""Fit the confidence of located mosaics: `deepix.finder.regions.WEIGHTS`, printed for pasting.

    python benchmarks/confidence.py                 # some minutes

Cases are those of `benchmarks/locating.py`, of training photos, with clean photos and hard negatives. Right is what
has an intersection over union of at least 0.8 with a mosaic, and a grid near to its own. The logistic regression has
a ridge of 1 on weights of measurements in units of their standard deviation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from finding import Photos, overlap
from locating import Array, drawn, near
from numpy.typing import NDArray

from deepix.finder import locator, regions
from deepix.finder.evidence import luminance
from deepix.training.examples import CLASSES
from deepix.training.negatives import NEGATIVES, negative


def located(pixels: Array) -> list[regions.Located]:
    return regions.located(luminance(pixels), locator.maps(pixels, 1), locator.STRIDE, 1)


def cases(photos: Photos, count: int, seed: int) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield what was measured of each located mosaic, and whether it is right."""
    for name in CLASSES:
        for case in drawn(name, photos, count, seed):
            for found in located(case.picture):
                right = any(overlap(found.mosaic, m) >= 0.8 and near(found.mosaic.grid, m) for m in case.mosaics)
                yield found.measured, right
    for i in range(2 * count):
        rng = np.random.default_rng([seed, 99, i])
        for pixels in (photos[20_000 + i], negative(NEGATIVES[i % len(NEGATIVES)], rng, photos[40_000 + i])):
            for found in located(pixels):
                yield found.measured, False


def fitted(measured: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of a logistic regression, by Newton's method."""
    scale = measured.std(axis=0)
    scale[0] = 1
    x = measured / np.maximum(scale, 1e-9)
    ridge = np.ones(x.shape[1])
    ridge[0] = 0
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        curvature = (x.T * (p * (1 - p) + 1e-6)) @ x + np.diag(ridge)
        weights = weights + np.linalg.solve(curvature, x.T @ (right - p) - ridge * weights)
    return np.asarray(weights / np.maximum(scale, 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60, help="pictures of each class")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    rows = list(cases(Photos("train", args.seed), args.cases, args.seed))
    measured, right = np.array([m for m, _ in rows]), np.array([float(r) for _, r in rows])
    weights = fitted(measured, right)
    print(f"{len(right)} located, {int(right.sum())} right")
    print(f"WEIGHTS = np.array({[round(w, 3) for w in weights.tolist()]})")
    p = 1 / (1 + np.exp(-measured @ weights))
    for threshold in (0.25, 0.5, 0.75):
        kept = p >= threshold
        share = right[kept].sum() / right.sum()
        print(
            f"at {threshold}: {right[kept].mean():.3f} of what is kept is right; {share:.3f} of what is right is kept"
        )


if __name__ == "__main__":
    main()
