"""Fit how the finder judges lossy proposals: the weights `deepix.finder.tiles.WEIGHTS`.

    python benchmarks/judging.py [--cases 120] [--clean 24]

Pictures as `benchmarks/finding.py` makes them from training photos. Every proposal that reaches the judgement is
measured; it is true if it has exactly the grid of a mosaic and overlaps it by 0.9 (IoU), false if it overlaps none, and
not used otherwise. Prints the logistic regression (ridge 0.01; a false proposal weighs `--caution` times as much as a
true one) and how many of each it gets right.
"""

from __future__ import annotations

import argparse

import finding
import numpy as np
from scipy import optimize, special

from deepix import finder
from deepix.finder import tiles
from deepix.finder.grid import Steps
from deepix.mosaic import Grid, Mosaic

Rows = list[tuple[bool, finding.Array]]


def measured(pixels: finding.Array, truth: list[Mosaic], rows: Rows) -> None:
    """Add the measurements of all that reaches the judgement in a picture."""
    judge = tiles.judge

    def record(p: finding.Array, across: Steps, down: Steps, area: tiles.Seed, exact: bool) -> float:
        cells = tiles._differences(p, area, exact)
        if cells is None or max(cells[0].max(), cells[1].max()) < 5:
            return 0.0
        m = Mosaic(*area.box, Grid(*area.origin, *area.cell))
        best = max((finding.overlap(m, t) for t in truth), default=0.0)
        right = any(finding.overlap(m, t) > 0.9 and area.same_grid(tiles.Seed.of(t)) for t in truth)
        if right or best == 0:
            rows.append((right, tiles.measurements(across, down, area, tiles.support(across, down, area), *cells)))
        return judge(p, across, down, area, exact)

    tiles.judge = record  # type: ignore[assignment]
    try:
        finder.find(pixels, lossy=True)
    finally:
        tiles.judge = judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--clean", type=int, default=24, help="clean pictures of each kind")
    parser.add_argument("--caution", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    photos = finding.Photos("train", options.seed)
    rows: Rows = []
    for case in finding.mosaic_cases(photos, options.cases, options.seed, []):
        if case.kind != "png":
            measured(case.pixels, case.truth, rows)
    for case in finding.clean_cases(photos, options.clean, options.seed):
        measured(case.pixels, [], rows)
    y = np.array([right for right, _ in rows])
    x = np.array([values for _, values in rows])

    def loss(weights: finding.Array) -> float:
        z = x @ weights
        cost = np.where(y, np.logaddexp(0, -z), options.caution * np.logaddexp(0, z))
        return float(cost.sum() + 0.01 * (weights**2).sum())

    weights = optimize.minimize(loss, tiles.WEIGHTS, method="BFGS").x
    for name, values in (("present", tiles.WEIGHTS), ("fitted", weights)):
        sure = special.expit(x @ values) > 0.5
        print(f"{name}: {sure[y].sum()} of {y.sum()} true ones believed, {sure[~y].sum()} of {(~y).sum()} false ones")
    print(f"WEIGHTS = np.array([{', '.join(f'{w:.2f}' for w in weights)}])")


if __name__ == "__main__":
    main()
