"""How well `deepix.find` finds mosaics, and how quiet it is on clean pictures.

    python benchmarks/finding.py                       # the whole table: validation pictures
    python benchmarks/finding.py --pictures train      # other pictures, to tune on
    python benchmarks/finding.py --data DIR            # the photos' archives are there, not in ../shared/data

Mosaics. Each case is a photo with 1 to 4 areas pixelated by `deepix.mosaic.pixelate`, written as PNG or JPEG
(quality 90 to 95, chroma halved or not) and read back. Cells are 3 to 128 pixels wide and high (log-uniform; half of
them square), an area holds at least 2 x 2 whole cells and up to what the photo holds (log-uniform), and may
be cut by its border on every side. One fifth of the areas touch an edge of the photo; one quarter of the photos is
gray.
A mosaic counts as found when a reported one has exactly its grid (the same cell size, the same origin modulo
the cell) and its area's intersection over union is at least 0.95.

What cannot be decided by anyone is not asked: an area whose outermost line of pixels does not change when it is
pixelated (a flat wall looks the same inside and outside), and one with a grid line across which nothing changes
(two columns of equal cells are one column of wider cells). Such draws are thrown away and drawn again, which also
leaves out the flattest subjects; the table says how many. The thresholds are on luminance: a mean change of 1 level
(in a JPEG file 3 levels, about the noise that quality 90 leaves in a pixel of a tile) on each outermost line of an area
and across each of its grid lines.

Clean pictures. The same photos untouched, with letterbox bars, overexposed; drawn screenshots, brick walls and
gradients; each as PNG and as JPEG. Every mosaic reported there is a false alarm.
"""

from __future__ import annotations

import argparse
import io
import math
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deepix.finder import find
from deepix.mosaic import Grid, Mosaic, pixelate

Array = NDArray[Any]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ARCHIVES = {
    "val": ("bsds500-val.zip", "imagenet-sample-val-200.zip", "clothing-val-300.zip"),
    "train": ("bsds500-train.zip", "imagenet-sample-500.zip", "clothing-1500.zip"),
    "field": ("bsds500-val.zip", "imagenet-sample-val-200.zip", "photos-val.zip", "special-val.zip"),
}
FORMATS = ("png", "jpeg 4:2:0", "jpeg 4:4:4")
BANDS = ((3, 4), (5, 8), (9, 16), (17, 32), (33, 64), (65, 128))
LEAST_CHANGE = {"png": 1.0, "jpeg 4:2:0": 3.0, "jpeg 4:4:4": 3.0}  # levels of luminance: see the module's text


class Photos:
    """Photos from archives in a folder: all of `ARCHIVES`, in an order that the seed gives."""

    def __init__(self, which: str, seed: int, data: Path = DATA):
        paths = [data / name for name in ARCHIVES[which]]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise SystemExit(f"{missing[0]}: no such file: name the folder of the photos' archives with --data")
        self._archives = [zipfile.ZipFile(path) for path in paths]
        entries = [
            (archive, name)
            for archive in self._archives
            for name in archive.namelist()
            if name.lower().endswith((".jpg", ".jpeg", ".png", ".webp"))
        ]
        order = np.random.default_rng(seed).permutation(len(entries))
        self._entries = [entries[i] for i in order]
        self.source = ", ".join(path.name for path in paths)

    def __getitem__(self, index: int) -> Array:
        """Return photo number `index` (they repeat) as uint8 (H, W, 3)."""
        archive, name = self._entries[index % len(self._entries)]
        return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))


def add_data(parser: argparse.ArgumentParser) -> None:
    """Let the folder of the photos' archives be named."""
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help=f"folder with the archives ({DATA})")


@dataclass
class Case:
    """A picture with the mosaics that are in it."""

    kind: str
    pixels: Array
    truth: list[Mosaic]
    lossy: bool  # the file's format, which the finder is told as the command line tells it


def luminance(pixels: Array) -> Array:
    return pixels.astype(np.float64) @ (0.299, 0.587, 0.114) if pixels.ndim == 3 else pixels.astype(np.float64)


def stored(pixels: Array, kind: str, rng: np.random.Generator) -> Array:
    """Return the pixels as they come back from a file of this kind."""
    if kind == "png":
        return pixels
    buffer = io.BytesIO()
    subsampling = 0 if kind.endswith("4:4:4") else 2
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(90, 96)), subsampling=subsampling)
    return np.asarray(Image.open(buffer))


def draw_area(shape: tuple[int, ...], rng: np.random.Generator) -> Mosaic | None:
    """Draw an area with its grid, or None where it does not fit into the picture."""
    height, width = shape[:2]
    low, high = math.log(2.5), math.log(128.5)
    cell_width = max(3, round(math.exp(rng.uniform(low, high))))
    cell_height = cell_width
    if rng.random() < 0.5:
        cell_height = round(math.exp(rng.uniform(max(low, math.log(cell_width / 2)), math.log(2.0 * cell_width))))
        cell_height = min(max(cell_height, 3), 128)
    spans = []
    for cell, side in ((cell_width, width), (cell_height, height)):
        if side < 2 * cell:
            return None
        whole = int(math.exp(rng.uniform(math.log(2), math.log(side / cell + 1e-9))))
        first, last = (int(rng.integers(0, cell)) if rng.random() < 0.6 else 0 for _ in range(2))
        length = first + whole * cell + last
        if length > side:
            return None
        start = int(rng.integers(0, side - length + 1))
        if rng.random() < 0.1:
            start = int(rng.choice([0, side - length]))
        spans.append((start, length, start + first))
    (x, w, grid_x), (y, h, grid_y) = spans
    return Mosaic(x, y, w, h, Grid(grid_x, grid_y, cell_width, cell_height))


def decidable(photo: Array, pixelated: Array, m: Mosaic, least: float) -> bool:
    """Whether the area's border and each of its grid lines can be seen at all."""
    return lines_show(photo[m.box], pixelated[m.box], m.cells.column_index, m.cells.row_index, least)


def lines_show(photo: Array, pixelated: Array, column_index: Array, row_index: Array, least: float) -> bool:
    """Whether the border of a rectangle and the lines between its cells can be seen at all; both are its pixels."""
    before, after = luminance(photo), luminance(pixelated)
    change = np.abs(after - before)
    sides = (change[0], change[-1], change[:, 0], change[:, -1])
    if min(side.mean() for side in sides) < least:
        return False
    columns, rows = np.diff(column_index) > 0, np.diff(row_index) > 0
    if not columns.any() or not rows.any():
        return False
    across = np.abs(np.diff(after, axis=1))[:, columns].mean(axis=0)
    down = np.abs(np.diff(after, axis=0))[rows].mean(axis=1)
    return bool(min(across.min(), down.min()) >= least)


def apart(a: Mosaic, b: Mosaic) -> bool:
    return (
        a.x + a.width < b.x or b.x + b.width < a.x or a.y + a.height < b.y or b.y + b.height < a.y
    )  # at least one pixel of photo between them


def mosaic_cases(photos: Photos, count: int, seed: int, refused: list[int]) -> Iterator[Case]:
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        photo = photos[index]
        kind = FORMATS[index % len(FORMATS)]
        if rng.random() < 0.25:
            photo = np.asarray(Image.fromarray(photo).convert("L"))
        truth: list[Mosaic] = []
        wanted = int(rng.integers(1, 5))
        for _ in range(200):
            m = draw_area(photo.shape, rng)
            if m is None or not all(apart(m, other) for other in truth):
                continue
            if not decidable(photo, pixelate(photo, [m]), m, LEAST_CHANGE[kind]):
                refused.append(index)
                continue
            truth.append(m)
            if len(truth) == wanted:
                break
        if truth:
            yield Case(kind, stored(pixelate(photo, truth), kind, rng), truth, kind != "png")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


WORDS = ("open", "file", "edit", "view", "save", "cancel", "the", "quick", "brown", "fox", "mosaic", "of", "1024", "ok")


def screenshot(rng: np.random.Generator) -> Array:
    """Draw a desktop with windows, buttons, tables and text."""
    width, height = int(rng.integers(500, 1000)), int(rng.integers(400, 800))
    image = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.integers(0, width - 150)), int(rng.integers(0, height - 120))
        w, h = int(rng.integers(150, width)), int(rng.integers(120, height))
        dark = rng.random() < 0.4
        back = tuple(int(v) for v in (rng.integers(20, 60, 3) if dark else rng.integers(220, 256, 3)))
        ink = (230, 230, 230) if dark else (20, 20, 20)
        draw.rectangle((x, y, x + w, y + h), fill=back, outline=(120, 120, 120))
        draw.rectangle((x, y, x + w, y + 24), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
        draw.text((x + 8, y + 4), " ".join(rng.choice(WORDS, 3)), fill=(255, 255, 255), font=_font(14))
        size = int(rng.integers(9, 22))
        top = y + 34
        while top < min(y + h, height) - size:
            line = " ".join(rng.choice(WORDS, max(1, w // (size * 4))))
            draw.text((x + 10, top), line, fill=ink, font=_font(size))
            top += round(size * 1.4)
        if rng.random() < 0.5:  # a table
            columns, rows, cw, ch = (int(v) for v in (*rng.integers(2, 6, 2), *rng.integers(30, 90, 2)))
            for i in range(rows):
                for j in range(columns):
                    box = (x + 12 + j * cw, y + 40 + i * ch, x + 12 + (j + 1) * cw, y + 40 + (i + 1) * ch)
                    draw.rectangle(box, fill=back, outline=(150, 150, 150))
                    draw.text((box[0] + 4, box[1] + 4), str(rng.integers(0, 1000)), fill=ink, font=_font(11))
        for _ in range(int(rng.integers(0, 6))):  # buttons
            bx, by = x + int(rng.integers(0, w)), y + int(rng.integers(24, h))
            fill = tuple(int(v) for v in rng.integers(100, 256, 3))
            draw.rectangle((bx, by, bx + 70, by + 22), fill=fill, outline=(90, 90, 90))
            draw.text((bx + 8, by + 4), str(rng.choice(WORDS)), fill=(0, 0, 0), font=_font(12))
    return np.asarray(image)


def brick_wall(rng: np.random.Generator) -> Array:
    """Draw a wall of bricks of slightly different colours with mortar lines, with or without texture."""
    width, height = int(rng.integers(300, 700)), int(rng.integers(300, 600))
    bw, bh, mortar = int(rng.integers(18, 80)), int(rng.integers(8, 40)), int(rng.integers(1, 5))
    wall = np.full((height, width, 3), rng.integers(120, 220), np.float64)
    base = rng.integers(60, 200, 3)
    bond = int(rng.choice([0, bw // 2]))
    for row, y in enumerate(range(0, height, bh + mortar)):
        for x in range(-(row % 2) * bond, width, bw + mortar):
            wall[y : y + bh, max(x, 0) : max(x + bw, 0)] = base + rng.normal(0, 14, 3)
    noise = rng.choice([0.0, 2.0, 8.0])
    wall += rng.normal(0, 1, wall.shape) * noise
    return np.clip(np.rint(wall), 0, 255).astype(np.uint8)


def gradient(rng: np.random.Generator) -> Array:
    """Draw a smooth ramp of colours, in one or two directions or around a point."""
    y, x = np.mgrid[0 : int(rng.integers(200, 500)), 0 : int(rng.integers(200, 700))]
    x, y = x / x.max(), y / y.max()
    planes = []
    for _ in range(3):
        ramp = (x, y, (x + y) / 2, x * y, np.hypot(x - 0.5, y - 0.5))[int(rng.integers(5))]
        low, high = rng.integers(0, 256, 2)
        planes.append(low + ramp * (int(high) - int(low)))
    return np.asarray(np.clip(np.rint(np.stack(planes, axis=2)), 0, 255), np.uint8)


def letterboxed(photo: Array, rng: np.random.Generator) -> Array:
    bar, side = (int(v) for v in rng.integers(8, 60, 2))
    return np.pad(photo, ((bar, bar), (side * int(rng.integers(2)),) * 2, (0, 0)))


def overexposed(photo: Array, rng: np.random.Generator) -> Array:
    brighter = photo * rng.uniform(1.5, 4.0) - rng.uniform(0, 120)
    return np.asarray(np.clip(brighter, 0, 255), np.uint8)


def doubled(photo: Array, _: np.random.Generator) -> Array:
    return np.repeat(np.repeat(photo[:200, :200], 2, axis=0), 2, axis=1)


def shipped(index: int) -> Array:
    """Return one of scikit-image's pictures of text, pages and bricks."""
    import skimage.data

    picture: Array = getattr(skimage.data, ("text", "page", "brick")[index % 3])()
    return picture


def clean_cases(photos: Photos, count: int, seed: int) -> Iterator[Case]:
    """Yield `count` clean pictures of each kind of photo, and half as many of each drawn kind."""
    drawn: dict[str, Callable[[int, np.random.Generator], Array]] = {
        "photo": lambda i, rng: photos[i],
        "gray photo": lambda i, rng: np.asarray(Image.fromarray(photos[i]).convert("L")),
        "letterboxed": lambda i, rng: letterboxed(photos[i], rng),
        "overexposed": lambda i, rng: overexposed(photos[i], rng),
        "nearest x2": lambda i, rng: doubled(photos[i], rng),
        "screenshot": lambda i, rng: screenshot(rng),
        "brick wall": lambda i, rng: brick_wall(rng),
        "gradient": lambda i, rng: gradient(rng),
        "text, page, brick": lambda i, rng: shipped(i),
    }
    shares = {"photo": 2.0, "gray photo": 0.5, "nearest x2": 0.25, "text, page, brick": 0.15}
    for number, (name, make) in enumerate(drawn.items()):
        for index in range(max(3, round(count * shares.get(name, 0.5)))):
            rng = np.random.default_rng([seed, number, index])
            pixels = make(5000 + 997 * number + index, rng)
            kind = FORMATS[index % len(FORMATS)]
            yield Case(name, stored(pixels, kind, rng), [], kind != "png")


def overlap(a: Mosaic, b: Mosaic) -> float:
    """Return the intersection over union of two areas."""
    x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
    if x0 >= x1 or y0 >= y1:
        return 0.0
    common = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x] & b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
    both = int(common.sum())
    return both / (int(a.area.sum()) + int(b.area.sum()) - both)


def same_grid(a: Grid, b: Grid) -> bool:
    """Whether the cells are as large and lie at the same places, exactly."""
    return (a.width, a.height) == (b.width, b.height) and (a.x - b.x) % a.width == 0 and (a.y - b.y) % a.height == 0


def matches(found: Mosaic, truth: Mosaic) -> bool:
    return same_grid(found.grid, truth.grid) and overlap(found, truth) >= 0.95


def band(m: Mosaic) -> str:
    smaller = min(m.grid.width, m.grid.height)
    low, high = next(b for b in BANDS if smaller <= b[1])
    return f"{low}–{high}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=360, help="pictures with mosaics")
    parser.add_argument("--clean", type=int, default=80, help="clean pictures: this many, times about 5")
    parser.add_argument("--pictures", choices=("train", "val"), default="val", help="which photos")
    add_data(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="find without the network")
    parser.add_argument("--misses", action="store_true", help="also list every miss and false alarm")
    args = parser.parse_args()

    photos = Photos(args.pictures, args.seed, args.data)
    refused: list[int] = []
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    reported = wrong = 0
    seconds = 0.0
    misses = []
    for number, case in enumerate(mosaic_cases(photos, args.cases, args.seed, refused)):
        start = time.perf_counter()
        found = find(case.pixels, lossy=case.lossy, fast=args.fast)
        seconds += time.perf_counter() - start
        reported += len(found)
        wrong += sum(not any(matches(f, t) for t in case.truth) for f in found)
        for t in case.truth:
            hit = any(matches(f, t) for f in found)
            right[band(t), case.kind].append(hit)
            if not hit:
                best = max(found, key=lambda f: overlap(f, t), default=None)
                iou = overlap(best, t) if best else 0.0
                misses.append(
                    f"case {number} {case.kind} {case.pixels.shape}: {brief(t)}; best {iou:.2f} "
                    f"{brief(best) if best and iou else 'nothing'}"
                )

    print(f"Photos: {args.pictures} ({photos.source}), seed {args.seed}.\n")
    print("| cells (shorter side) | " + " | ".join(FORMATS) + " | all |")
    print("| --- |" + " --- |" * (len(FORMATS) + 1))
    for low, high in BANDS:
        print(row(f"{low}–{high}", [right[f"{low}–{high}", f] for f in FORMATS]))
    bands = [f"{low}–{high}" for low, high in BANDS]
    print(row("all", [[hit for b in bands for hit in right[b, f]] for f in FORMATS]))
    print(
        f"\nMosaics reported: {reported}, of which not exactly right: {wrong}. "
        f"Draws refused as undecidable: {len(refused)}. Time per picture: {seconds / args.cases:.2f} s.\n"
    )

    alarms: dict[str, list[int]] = defaultdict(list)
    for case in clean_cases(photos, args.clean, args.seed):
        found = find(case.pixels, lossy=case.lossy, fast=args.fast)
        alarms[case.kind].append(len(found))
        misses += [
            f"alarm in {case.kind} {len(alarms[case.kind]) - 1} {case.pixels.shape}: {brief(f)} {f.confidence:.2f}"
            for f in found
        ]
    print("| clean pictures | number | with a false alarm |\n| --- | --- | --- |")
    for name, counts in alarms.items():
        print(f"| {name} | {len(counts)} | {sum(c > 0 for c in counts)} |")
    everything = [c for counts in alarms.values() for c in counts]
    print(f"| all | {len(everything)} | {sum(c > 0 for c in everything)} |")
    if args.misses:
        print("\n" + "\n".join(misses))


def row(name: str, groups: list[list[bool]]) -> str:
    groups = [*groups, [hit for group in groups for hit in group]]
    shares = [f"{100 * sum(g) / len(g):.1f} % of {len(g)}" if g else "–" for g in groups]
    return f"| {name} | " + " | ".join(shares) + " |"


def brief(m: Mosaic) -> str:
    g = m.grid
    return f"{m.x},{m.y},{m.width},{m.height} cells {g.width:g}x{g.height:g} at {g.x % g.width:g},{g.y % g.height:g}"


if __name__ == "__main__":
    main()
