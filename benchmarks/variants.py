"""Variants of refined pictures: how they differ, what their mean is worth, what they cost, and honest deviations.

    python benchmarks/variants.py                 # the first 24 cases of perceptual.py, 8 variants each
    python benchmarks/variants.py --cases 8 --variants 4

Errors are over the unknown pixels' channels of all cases. The uncertainty is that of `deepix.restore(…, detail=T)`: the
standard deviation of the error of what is shown at detail T. Times are of the processor, restorations with and without
detail in turns, each picture's best of --rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import perceptual
from numpy.typing import NDArray

import deepix
from deepix.inference.models import shipped
from deepix.mosaic import pixelate
from deepix.restorer.refine_model import REFINER

Array = NDArray[Any]
DETAILS = (0.0, 0.37, 1.0)
"""At which the deviations are compared with the errors."""


def coverage(case: perceptual.Case, pixelated: Array, detail: float, seed: int) -> tuple[Array, Array]:
    """Return the absolute errors of a case's unknown pixels, and their predicted deviations, over the channels."""
    made = deepix.restore(pixelated, [case.mosaic], detail=detail, seed=seed)
    m = case.mosaic
    error = np.abs(np.asarray(made.image, np.float32)[m.box] - np.asarray(case.truth, np.float32)[m.box])
    deviation = np.asarray(made.uncertainty, np.float32)[m.box]
    if deviation.ndim < error.ndim:
        deviation = np.broadcast_to(deviation[..., None], error.shape)
    return error[m.area], deviation[m.area]


def seconds(case: perceptual.Case, pixelated: Array, rounds: int) -> tuple[float, float]:
    """Return the processor's seconds of a restoration without and with detail: the least of the rounds."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for k, detail in enumerate((0.0, 1.0)):
            start = time.process_time()
            deepix.restore(pixelated, [case.mosaic], detail=detail)
            best[k] = min(best[k], time.process_time() - start)
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--cases", type=int, default=24, help="how many; 24 when left out")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--variants", type=int, default=8, help="of each; 8 when left out")
    parser.add_argument("--rounds", type=int, default=3, help="of the times")
    arguments = parser.parse_args()
    if REFINER not in shipped():
        sys.exit("variants.py: this installation has no trained refiner")
    squares = dict.fromkeys(("restored", "one", "mean", "apart", "deviation"), 0.0)
    covered: dict[float, list[tuple[Array, Array]]] = {detail: [] for detail in DETAILS}
    spent, count = np.zeros(2), 0
    paths = perceptual.sources_of(arguments.data)
    for number, case in enumerate(perceptual.cases(paths, arguments.cases, arguments.seed)):
        m, pixelated = case.mosaic, pixelate(case.truth, [case.mosaic])
        truth = np.asarray(case.truth, np.float64)[m.box][m.area]
        plain = deepix.restore(pixelated, [m])
        many = [
            np.asarray(deepix.restore(pixelated, [m], detail=1, seed=100 * number + k).image, np.float64)[m.box][m.area]
            for k in range(arguments.variants)
        ]
        deviation = np.asarray(plain.uncertainty, np.float64)[m.box][m.area]
        squares["restored"] += float(np.square(np.asarray(plain.image, np.float64)[m.box][m.area] - truth).sum())
        squares["one"] += float(np.mean([np.square(v - truth).sum() for v in many]))
        squares["mean"] += float(np.square(np.mean(many, axis=0) - truth).sum())
        # the added detail is one plane for all channels
        squares["apart"] += float(np.mean([np.square(a - b).sum() for a, b in pairwise(many)]))
        squares["deviation"] += float(np.square(deviation).sum()) * (
            1 if deviation.ndim == truth.ndim else truth.shape[-1]
        )
        for detail in DETAILS:
            covered[detail].append(coverage(case, pixelated, detail, number))
        spent += seconds(case, pixelated, arguments.rounds)
        count += 1
        print(f"{count}: {case.name}", file=sys.stderr, flush=True)
    root = {name: value**0.5 for name, value in squares.items()}
    print(f"{count} areas, {arguments.variants} variants of each, seed {arguments.seed}")
    print(f"RMSE of one variant over the restoration's: {root['one'] / root['restored']:.3f}")
    print(f"RMSE of the mean of {arguments.variants} over one's: {root['mean'] / root['one']:.3f}")
    print(f"root mean square difference of two over the predicted deviation: {root['apart'] / root['deviation']:.3f}")
    for detail, pairs in covered.items():
        error, deviation = (np.concatenate([pair[k] for pair in pairs]) for k in range(2))
        within = [100 * float((error <= times * deviation).mean()) for times in (1, 2)]
        print(f"detail {detail:g}: {within[0]:.1f} % within 1 deviation, {within[1]:.1f} % within 2")
    print(f"processor seconds: {spent[0]:.2f} restored, {spent[1]:.2f} refined: {spent[1] / spent[0]:.2f} times")


if __name__ == "__main__":
    main()
