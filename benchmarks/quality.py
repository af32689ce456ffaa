"""How near restorers come to the truth, on the 64x64 challenge's task.

    python benchmarks/quality.py                    # the table
    python benchmarks/quality.py --cases 200        # quicker

The cases are those of `../shared/data/challenge-val.npz`, or of --data. Means are cut off to integers, as the challenge
does; every method's output is rounded to the nearest integers and clipped to 0 … 255. "pooled" is
the RMSE over all unknown pixels of all cases, "per picture" the mean of the cases' RMSEs; "projected" is the
same output after `deepix.mosaic.project`, which makes it agree with the cells.

The inpainting methods do not use what the mosaic shows inside the area until they are projected.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse.linalg import spsolve
from shared_data import DATA, need
from skimage.restoration import inpaint_biharmonic

from deepix import challenge
from deepix.mosaic import Mosaic, cell_values, project, unknown
from deepix.restorer.each import estimate_each
from deepix.restorer.smooth import smooth

Array = NDArray[Any]
CASES = DATA / "challenge-val.npz"


def identity(pixelated: Array, m: Mosaic) -> Array:
    return pixelated.astype(np.float64)


def ours(pixelated: Array, m: Mosaic) -> Array:
    return smooth(pixelated, [m], challenge.ROUNDING)


def network(pixelated: Array, m: Mosaic) -> Array:
    return np.asarray(estimate_each(pixelated[None], [m], "challenge", challenge.ROUNDING)[0][0])


def least_energy(order: int) -> Callable[[Array, Mosaic], Array]:
    """Return the exact minimiser of ‖∇u‖² (order 1) or ‖Δu‖² (order 2) that agrees with the cells."""
    n = challenge.SIZE
    difference = sp.diags([-np.ones(n - 1), np.ones(n - 1)], [0, 1], shape=(n - 1, n))
    second = (difference.T @ difference).tocsr()
    laplacian = sp.kronsum(second, second, format="csr")
    energy = laplacian if order == 1 else (laplacian @ laplacian).tocsr()

    def restore(pixelated: Array, m: Mosaic) -> Array:
        free = unknown([m], pixelated.shape).ravel()
        inside, outside = np.flatnonzero(free), np.flatnonzero(~free)
        labels = m.labels().ravel()
        counts = m.cells.counts.ravel()
        means = sp.csr_matrix((1 / counts[labels], (labels, np.arange(len(labels)))), shape=(len(counts), len(labels)))
        result = pixelated.astype(np.float64).ravel()
        force = -energy[inside][:, outside] @ result[outside]
        system = sp.bmat([[energy[inside][:, inside], means.T], [means, None]], format="csc")
        target = cell_values(pixelated, m, challenge.ROUNDING).ravel()
        result[inside] = spsolve(system, np.concatenate([force, target]))[: len(inside)]
        return np.asarray(result.reshape(pixelated.shape))

    return restore


def inpaint(method: int) -> Callable[[Array, Mosaic], Array]:
    def restore(pixelated: Array, m: Mosaic) -> Array:
        mask = unknown([m], pixelated.shape).astype(np.uint8)
        return np.asarray(cv2.inpaint(pixelated, mask, 3, method), np.float64)

    return restore


def biharmonic(pixelated: Array, m: Mosaic) -> Array:
    mask = unknown([m], pixelated.shape)
    return np.asarray(inpaint_biharmonic(pixelated / 255, mask), np.float64) * 255


def bicubic(pixelated: Array, m: Mosaic) -> Array:
    """Enlarge the picture of the cells' values; cells cut by the area's right and lower border count as whole."""
    values = cell_values(pixelated, m, challenge.ROUNDING).astype(np.float32)
    size = (round(values.shape[1] * m.grid.width), round(values.shape[0] * m.grid.height))
    large = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    result = pixelated.astype(np.float64)
    result[m.box] = large[: m.height, : m.width]
    return result


METHODS: dict[str, Callable[[Array, Mosaic], Array]] = {
    "identity": identity,
    "OpenCV Telea": inpaint(cv2.INPAINT_TELEA),
    "OpenCV Navier–Stokes": inpaint(cv2.INPAINT_NS),
    "skimage biharmonic": biharmonic,
    "bicubic of the cells": bicubic,
    "membrane ‖∇u‖², exact": least_energy(1),
    "bending ‖Δu‖², exact": least_energy(2),
    "deepix smooth": ours,
    "deepix network": network,
}


def measure(restore: Callable[[Array, Mosaic], Array], examples: challenge.Examples) -> list[str]:
    """Return a row's cells: pooled and per picture, plain and projected, and milliseconds for each picture."""
    pixelated, known, truths = examples.pixelated(), examples.known(), examples.truths()
    start = time.perf_counter()
    estimates = np.stack([restore(p, m) for p, m in zip(pixelated, examples.mosaics, strict=True)])
    seconds = (time.perf_counter() - start) / len(pixelated)
    projected = np.stack(
        [
            project(e.astype(np.float64), p, [m], challenge.ROUNDING, bounds=(0, 255))
            for e, p, m in zip(estimates, pixelated, examples.mosaics, strict=True)
        ]
    )
    row: list[str] = []
    for output in (estimates, projected):
        score = challenge.score(challenge.predictions(output, known), truths)
        row += [f"{score.pooled:.3f}", f"{score.per_picture:.3f}"]
    return [*row, f"{1000 * seconds:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=CASES, help="an .npz file as challenge-val.npz")
    parser.add_argument("--cases", type=int, help="how many cases at most, spread evenly; all when left out")
    arguments = parser.parse_args()
    need(arguments.data)
    examples = challenge.read_examples(arguments.data)
    if arguments.cases and arguments.cases < len(examples.mosaics):
        chosen = np.linspace(0, len(examples.mosaics), arguments.cases, endpoint=False).astype(int)
        examples = challenge.Examples(examples.images[chosen], [examples.mosaics[i] for i in chosen])
    print(f"{arguments.data.name}: {len(examples.mosaics)} cases, {int((~examples.known()).sum())} unknown pixels\n")
    print("| method | pooled | per picture | pooled, projected | per picture, projected | ms per picture |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, restore in METHODS.items():
        print(f"| {name} | {' | '.join(measure(restore, examples))} |", flush=True)


if __name__ == "__main__":
    main()
