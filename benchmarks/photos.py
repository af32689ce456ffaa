"""How near restorers come to the truth on colour photos, by the size of the cells.

    python benchmarks/photos.py                    # the table
    python benchmarks/photos.py --photos 60        # quicker

Photos are those of `../shared/data/{bsds500-val,imagenet-sample-val-200}.zip`, or of --data. In each, 1 to 4 rectangles
are pixelated by `deepix.mosaic.random_mosaics`: square cells of 4 to 48 pixels, drawn log-uniformly up to an eighth of
the photo's shorter side, areas of 2 to 12 cells a side up to half the photo's, means rounded to the nearest integer.
Every restorer is given the true mosaics, and its output is rounded to integers and clipped to 0 … 255.

RMSE (0–255) is over the unknown pixels and channels of a class of cells, all pooled; PSNR is that of this RMSE; SSIM
(Wang et al. 2004, as scikit-image computes it, Gaussian window, colour channels averaged) is the mean of the map over
the same pixels. "projected" is the same output after `deepix.mosaic.project`. The inpainting methods do not see what
the mosaic shows until they are projected.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shared_data import DATA, archives, need
from skimage.metrics import structural_similarity

from deepix import sources
from deepix.mosaic import Mosaic, cell_values, pixelate, project, quantize, random_mosaics, unknown
from deepix.restorer.network import estimate
from deepix.restorer.smooth import smooth

Array = NDArray[Any]
Restorer = Callable[[Array, Sequence[Mosaic]], Array]
ARCHIVES = ("bsds500-val.zip", "imagenet-sample-val-200.zip")
CLASSES = ((4, 6), (7, 10), (11, 16), (17, 28), (29, 48))


def photos(paths: Sequence[Path], count: int | None) -> Iterator[Array]:
    """Yield RGB photos, spread evenly over the archives."""
    every = sum(1 for path in paths for _ in sources.read(path).items)
    chosen = set(np.linspace(0, every - 1, min(count or every, every)).round().astype(int).tolist())
    for number, item in enumerate(item for path in paths for item in sources.read(path).items):
        if number in chosen:
            content = item.load()
            image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else Image.fromarray(content)
            yield np.asarray(image.convert("RGB"))


def inpaint(method: int) -> Restorer:
    def restore(pixelated: Array, mosaics: Sequence[Mosaic]) -> Array:
        return np.asarray(cv2.inpaint(pixelated, unknown(mosaics, pixelated.shape).astype(np.uint8), 3, method))

    return restore


def bicubic(pixelated: Array, mosaics: Sequence[Mosaic]) -> Array:
    """Enlarge the picture of the cells' values; cells cut by the area's right and lower border count as whole."""
    result = pixelated.astype(np.float32)
    for m in mosaics:
        values = cell_values(pixelated, m).astype(np.float32)
        size = (round(values.shape[1] * m.grid.width), round(values.shape[0] * m.grid.height))
        for c in range(3):
            large = Image.fromarray(values[..., c]).resize(size, Image.Resampling.BICUBIC)
            result[m.box][..., c] = np.asarray(large)[: m.height, : m.width]
    return result


def projected(restore: Restorer) -> Restorer:
    def both(pixelated: Array, mosaics: Sequence[Mosaic]) -> Array:
        return quantize(project(restore(pixelated, mosaics).astype(np.float32), pixelated, mosaics), pixelated, mosaics)

    return both


def network(pixelated: Array, mosaics: Sequence[Mosaic]) -> Array:
    return quantize(estimate(pixelated, mosaics)[0], pixelated, mosaics)


METHODS: dict[str, Restorer] = {
    "the mosaic itself": lambda pixelated, mosaics: pixelated,
    "OpenCV Telea": inpaint(cv2.INPAINT_TELEA),
    "OpenCV Telea, projected": projected(inpaint(cv2.INPAINT_TELEA)),
    "OpenCV Navier–Stokes, projected": projected(inpaint(cv2.INPAINT_NS)),
    "bicubic of the cells": bicubic,
    "bicubic of the cells, projected": projected(bicubic),
    "deepix smooth": projected(smooth),
    "deepix network": network,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--photos", type=int, help="how many at most, spread evenly; all when left out")
    parser.add_argument("--seed", type=int, default=0, help="of the mosaics")
    arguments = parser.parse_args()
    paths = arguments.data or archives(DATA, *ARCHIVES)
    need(*paths)
    # for each method and class: squares, values, SSIM, pixels
    sums = {name: np.zeros((len(CLASSES), 4)) for name in METHODS}
    seconds = dict.fromkeys(METHODS, 0.0)
    mosaics_of = np.zeros(len(CLASSES), int)
    seen = 0
    for i, truth in enumerate(photos(paths, arguments.photos)):
        rng = np.random.default_rng([arguments.seed, i])
        mosaics = random_mosaics(truth.shape, int(rng.integers(1, 5)), rng)
        classes = [next(k for k, (a, b) in enumerate(CLASSES) if a <= m.grid.width <= b) for m in mosaics]
        np.add.at(mosaics_of, classes, 1)
        pixelated = pixelate(truth, mosaics)
        seen += 1
        for name, restore in METHODS.items():
            start = time.perf_counter()
            output = np.clip(np.rint(restore(pixelated, mosaics)), 0, 255).astype(np.uint8)
            seconds[name] += time.perf_counter() - start
            _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
                truth, output, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
            )
            for k, m in zip(classes, mosaics, strict=True):
                squares = np.square(output[m.box].astype(float) - truth[m.box])[m.area]
                there_ = similarity[m.box].mean(axis=2)[m.area]
                sums[name][k] += squares.sum(), squares.size, there_.sum(), there_.size
    source = " and ".join(p.name for p in paths)
    print(f"{seen} photos of {source}, {mosaics_of.sum()} mosaics, seed {arguments.seed}; RMSE / PSNR (dB) / SSIM\n")
    heads = [f"{a}–{b} px ({n})" for (a, b), n in zip(CLASSES, mosaics_of, strict=True)]
    print(f"| restorer | {' | '.join(heads)} | all | s per photo |")
    print(f"| --- | {'--- | ' * (len(CLASSES) + 2)}")
    for name, rows in sums.items():
        cells = [_cell(row) for row in (*rows, rows.sum(axis=0))]
        print(f"| {name} | {' | '.join(cells)} | {seconds[name] / max(seen, 1):.2f} |", flush=True)


def _cell(row: Array) -> str:
    squares, values, similarity, pixels = row
    if not pixels:
        return "–"
    rmse = float(np.sqrt(squares / values))
    return f"{rmse:.2f} / {20 * np.log10(255 / max(rmse, 1e-9)):.2f} / {similarity / pixels:.4f}"


if __name__ == "__main__":
    main()
