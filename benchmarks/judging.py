"""Fit how the finder judges lossy pictures: `WEIGHTS` of `deepix.finder.tile_corners` and `deepix.finder.noisy_tiles`.

    python benchmarks/judging.py [--cases 240] [--clean 24] [--data DIR]

Pictures as `benchmarks/finding.py` makes them, from training photos. A corner is true if it lies on lines of a mosaic
in both directions and its tiles lie in it, false if its tiles touch no mosaic, and not used otherwise. An area is true
if it has exactly the grid of a mosaic and overlaps it by 0.9 (IoU), false if it overlaps none, or on another grid by
less than 0.7, and not used otherwise.

Each logistic regression goes on from the present weights: they are what a ridge holds it to, so that what other
pictures taught is not forgotten. Prints it, and how many of each it gets right; a false area or corner where no mosaic
is weighs `--caution` times as much as a true one; the corners of a mosaic count together like those of a picture.
"""

from __future__ import annotations

import argparse

import finding
import numpy as np
from scipy import optimize, special

from deepix.finder import noisy_tiles, tile_corners
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.luminance import luminance

Array = finding.Array
RIDGE = 1.0
"""What holds the weights, of measurements in standard deviations, where they are."""
PARTLY = 0.7
"""The overlap below which an area is not that of a mosaic."""
ASTRAY = 0.3
"""What an area counts that overlaps a mosaic so, on another grid; the mosaic is lost at worst, it is no false alarm."""
EVERY = 4
"""Corners are so many that those of every fourth picture do."""


class Examples:
    """Measurements with whether they are true and how much they count."""

    def __init__(self) -> None:
        self.rows: list[Array] = []
        self.true: list[Array] = []
        self.weight: list[Array] = []

    def add(self, rows: Array, true: bool, weight: float) -> None:
        """Add rows of measurements that count for `weight` together."""
        self.rows.append(rows)
        self.true.append(np.full(len(rows), true))
        self.weight.append(np.full(len(rows), weight / max(len(rows), 1)))

    def fit(self, present: Array, name: str) -> None:
        """Print the logistic regression, and how well it and the present one tell the examples apart."""
        x, y, weight = np.concatenate(self.rows), np.concatenate(self.true), np.concatenate(self.weight)
        scale = np.maximum(x.std(axis=0), 1e-9)
        scale[0] = 1  # the constant
        z, before = x / scale, present * scale

        def loss(w: Array) -> tuple[float, Array]:
            odds = z @ w
            cost = weight * np.where(y, np.logaddexp(0, -odds), np.logaddexp(0, odds))
            slope = z.T @ (weight * (special.expit(odds) - y))
            return float(cost.sum() + RIDGE * ((w - before) ** 2).sum()), slope + 2 * RIDGE * (w - before)

        fitted = optimize.minimize(loss, before, jac=True, method="L-BFGS-B").x / scale
        for which, w in (("present", present), ("fitted", fitted)):
            sure = x @ w > 0
            print(
                f"{name}, {which}: believed {sure[y].sum()} of {y.sum()} true, {sure[~y].sum()} of {(~y).sum()} false"
            )
        print(f"WEIGHTS = np.array([{', '.join(f'{w:.4f}' for w in fitted)}])")


def add_corners(examples: Examples, likelihood: LikelihoodMaps, case: finding.Case, caution: float) -> None:
    places, measured = tile_corners.corners(likelihood)
    rows = np.column_stack([np.ones(len(measured)), measured])
    x, y, w, h = places.T
    touching = np.zeros(len(rows), bool)
    for m in case.truth:
        g = m.grid
        touching |= (x - w < m.x + m.width) & (x + w > m.x) & (y - h < m.y + m.height) & (y + h > m.y)
        inside = (x - w >= m.x) & (x + w <= m.x + m.width) & (y - h >= m.y) & (y + h <= m.y + m.height)
        true = inside & ((x - g.x) % g.width == 0) & ((y - g.y) % g.height == 0)
        examples.add(rows[true], True, 20)
    examples.add(rows[~touching], False, 20 * caution)


def add_areas(examples: Examples, likelihood: LikelihoodMaps, case: finding.Case, caution: float) -> None:
    for value, _, area in noisy_tiles.followed(likelihood):
        m = area.mosaic
        overlaps = [finding.overlap(m, t) for t in case.truth]
        best = max(overlaps, default=0.0)
        ours = [v for v, t in zip(overlaps, case.truth, strict=True) if finding.same_grid(m.grid, t.grid)]
        right = max(ours, default=0.0) > 0.9
        if right or (best < PARTLY and not any(ours)):
            rows = noisy_tiles.products(noisy_tiles.measurements(likelihood, area, value))[None]
            examples.add(rows, right, 1.0 if right else ASTRAY if best else caution)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=240)
    parser.add_argument("--clean", type=int, default=24, help="clean pictures of each kind")
    parser.add_argument("--caution", type=float, default=10.0)
    finding.add_data(parser)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    photos = finding.Photos("train", options.seed, options.data)
    corners, areas = Examples(), Examples()
    cases = [
        *finding.mosaic_cases(photos, options.cases, options.seed, []),
        *finding.clean_cases(photos, options.clean, options.seed),
    ]
    for number, case in enumerate(case for case in cases if case.lossy):
        likelihood = LikelihoodMaps.of(luminance(case.pixels))
        if number % EVERY == 0:
            add_corners(corners, likelihood, case, options.caution)
        add_areas(areas, likelihood, case, options.caution)
    corners.fit(tile_corners.WEIGHTS, "corners")
    areas.fit(noisy_tiles.WEIGHTS, "areas")


if __name__ == "__main__":
    main()
