"""How near restorers come to the truth on colour photos, by the size of the cells.

    python benchmarks/photos.py                    # the tables
    python benchmarks/photos.py --photos 60        # quicker
    python benchmarks/photos.py --only faces text  # these tables alone, with --methods of your choice

Photos are those of `../shared/data/{bsds500-val,imagenet-sample-val-200}.zip`, and apart from them those of
photos-val.zip and the faces, text and number plates of special-val.zip; or, all together, those of --data. In each, 1
to 4 rectangles
are pixelated by `deepix.mosaic.random_mosaics`: square cells of 4 to 48 pixels, drawn log-uniformly up to an eighth of
the photo's shorter side, areas of 2 to 12 cells a side up to half the photo's, means rounded to the nearest integer.
Every restorer is given the true mosaics, and its output is rounded to integers and clipped to 0 … 255.

RMSE (0–255) is over the unknown pixels and channels of a class of cells, all pooled; PSNR is that of this RMSE; SSIM
(Wang et al. 2004, as scikit-image computes it, Gaussian window, colour channels averaged) is the mean of the map over
the same pixels. "projected" is the same output after `deepix.mosaic.project`. The inpainting methods do not see what
the mosaic shows until they are projected. "within" is the share of pixels at which the network's estimate of the
luminance is off by at most 1 | 2 of the standard deviations that it predicts: 68 | 95 % were they Gaussian.
"""

from __future__ import annotations

import argparse
import io
import re
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
from deepix.restorer.colour import to_planes
from deepix.restorer.network import estimate
from deepix.restorer.smooth import smooth

Array = NDArray[Any]
Restorer = Callable[[Array, Sequence[Mosaic]], Array]
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "photos": (("bsds500-val.zip", "imagenet-sample-val-200.zip"), ("",)),
    "photos-val": (("photos-val.zip",), ("",)),
    "faces": (("special-val.zip",), ("faces", "azure", "materialkit", "nowui")),
    "text": (("special-val.zip",), ("text",)),
    "plates": (("special-val.zip",), ("plates",)),
}
"""Archives, and how the names of their files begin, of each table."""
CLASSES = ((4, 6), (7, 10), (11, 16), (17, 28), (29, 48))


def photos(paths: Sequence[Path], count: int | None, beginning: tuple[str, ...] = ("",)) -> Iterator[Array]:
    """Yield RGB photos whose file names begin so, spread evenly over the archives."""

    def items() -> Iterator[sources.Item]:
        every = (item for path in paths for item in sources.read(path).items)
        return (item for item in every if re.split("[:/]", item.name)[-1].startswith(beginning))

    every = sum(1 for _ in items())
    chosen = set(np.linspace(0, every - 1, min(count or every, every)).round().astype(int).tolist())
    for number, item in enumerate(items()):
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


METHODS: dict[str, Restorer] = {
    "the mosaic itself": lambda pixelated, mosaics: pixelated,
    "OpenCV Telea": inpaint(cv2.INPAINT_TELEA),
    "OpenCV Telea, projected": projected(inpaint(cv2.INPAINT_TELEA)),
    "OpenCV Navier–Stokes, projected": projected(inpaint(cv2.INPAINT_NS)),
    "bicubic of the cells": bicubic,
    "bicubic of the cells, projected": projected(bicubic),
    "deepix smooth": projected(smooth),
    "deepix network": projected(lambda pixelated, mosaics: estimate(pixelated, mosaics)[0]),
}


class Table:
    """What the restorers reach on the photos of a table, by classes of cells."""

    def __init__(self, methods: Sequence[str]) -> None:
        # for each method and class: squares, values, SSIM, pixels
        self.sums = {name: np.zeros((len(CLASSES), 4)) for name in methods}
        self.seconds = dict.fromkeys(methods, 0.0)
        self.within = np.zeros((len(CLASSES), 3), np.int64)  # 1 deviation, 2 deviations, pixels
        self.mosaics = np.zeros(len(CLASSES), int)
        self.photos = 0

    def add(self, truth: Array, mosaics: Sequence[Mosaic]) -> None:
        """Restore a photo by all methods."""
        classes = [next(k for k, (a, b) in enumerate(CLASSES) if a <= m.grid.width <= b) for m in mosaics]
        np.add.at(self.mosaics, classes, 1)
        self.photos += 1
        pixelated = pixelate(truth, mosaics)
        for name, sums in self.sums.items():
            start = time.perf_counter()
            output = np.clip(np.rint(METHODS[name](pixelated, mosaics)), 0, 255).astype(np.uint8)
            self.seconds[name] += time.perf_counter() - start
            _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
                truth, output, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
            )
            for k, m in zip(classes, mosaics, strict=True):
                squares = np.square(output[m.box].astype(float) - truth[m.box])[m.area]
                there_ = similarity[m.box].mean(axis=2)[m.area]
                sums[k] += squares.sum(), squares.size, there_.sum(), there_.size
        if "deepix network" in self.sums:
            restored, deviation = estimate(pixelated, mosaics)
            off = np.abs(to_planes(restored)[..., 0] - to_planes(truth.astype(np.float32))[..., 0])
            for k, m in zip(classes, mosaics, strict=True):
                error, spread = off[m.box][m.area], deviation[m.box][m.area]
                self.within[k] += (error <= spread).sum(), (error <= 2 * spread).sum(), error.size

    def show(self, title: str) -> None:
        """Print it."""
        print(f"\n{title}: {self.photos} photos, {self.mosaics.sum()} mosaics; RMSE / PSNR (dB) / SSIM\n")
        heads = [f"{a}–{b} px ({n})" for (a, b), n in zip(CLASSES, self.mosaics, strict=True)]
        print(f"| restorer | {' | '.join(heads)} | all | s per photo |")
        print(f"| --- | {'--- | ' * (len(CLASSES) + 2)}")
        for name, rows in self.sums.items():
            cells = [_cell(row) for row in (*rows, rows.sum(axis=0))]
            print(f"| {name} | {' | '.join(cells)} | {self.seconds[name] / max(self.photos, 1):.2f} |", flush=True)
        if self.within.any():
            shares = [_share(row) for row in (*self.within, self.within.sum(axis=0))]
            print(f"| … within 1 and 2 deviations | {' | '.join(shares)} | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--photos", type=int, help="of a table, how many at most, spread evenly; all when left out")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="of the tables")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="of the restorers")
    parser.add_argument("--seed", type=int, default=0, help="of the mosaics")
    arguments = parser.parse_args()
    groups: dict[str, tuple[Sequence[Path], tuple[str, ...]]] = {
        name: (archives(DATA, *GROUPS[name][0]), GROUPS[name][1]) for name in ([] if arguments.data else arguments.only)
    }
    if arguments.data:
        need(*arguments.data)
        groups = {" and ".join(path.name for path in arguments.data): (arguments.data, ("",))}
    for name, (paths, beginning) in groups.items():
        table = Table(list(arguments.methods))
        for i, truth in enumerate(photos(paths, arguments.photos, beginning)):
            rng = np.random.default_rng([arguments.seed, i])
            table.add(truth, random_mosaics(truth.shape, int(rng.integers(1, 5)), rng))
        table.show(f"{name} ({', '.join(path.name for path in paths)}, seed {arguments.seed})")


def _share(row: Array) -> str:
    one, two, pixels = row.tolist()
    return f"{100 * one / pixels:.1f} \\| {100 * two / pixels:.1f} %" if pixels else "–"


def _cell(row: Array) -> str:
    squares, values, similarity, pixels = row
    if not pixels:
        return "–"
    rmse = float(np.sqrt(squares / values))
    return f"{rmse:.2f} / {20 * np.log10(255 / max(rmse, 1e-9)):.2f} / {similarity / pixels:.4f}"


if __name__ == "__main__":
    main()
