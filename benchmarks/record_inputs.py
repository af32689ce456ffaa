"""Draws the cases that `record.py` goes through: files of pictures, and what is to be done with each.

A case is a line of `cases.json`: its name, the file, how it is given to Deepix, and the options. Pictures are stored
as the bytes that a user would have, so that the record depends on no generator once they are written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
from finding import apart, brick_wall, decidable, draw_area, gradient, screenshot
from numpy.typing import NDArray
from PIL import Image

from deepix.challenge import pixelate as challenge_pixelate
from deepix.challenge import read_examples, write_examples
from deepix.mosaic import Mosaic, pixelate, random_mosaics
from deepix.training.data.examples import CLASSES, Example, example
from deepix.training.data.negatives import NEGATIVES, negative

Array = NDArray[Any]
Case = dict[str, Any]
ARCHIVES = ("bsds500-val.zip", "imagenet-sample-val-200.zip", "clothing-val-300.zip")
CHALLENGE = "challenge-val.npz"
SEED = 20
QUALITIES = {"1 jpeg 90-100": (90, 100), "2 jpeg 50-89": (50, 89), "3 jpeg 50-89": (50, 89)}
QUALITIES["2 resized, jpeg 75-100"] = (75, 100)
LARGEST = 520
"""Pixels of a photo's longer side: more would only take longer."""


class Photos:
    """Validation photos in an order of their own, made small."""

    def __init__(self, data: Path) -> None:
        self._archives = [ZipFile(data / name) for name in ARCHIVES]
        entries = [(a, n) for a in self._archives for n in sorted(a.namelist()) if n.lower().endswith((".jpg", ".png"))]
        self._entries = [entries[i] for i in np.random.default_rng(SEED).permutation(len(entries))]

    def __getitem__(self, index: int) -> Array:
        archive, name = self._entries[index % len(self._entries)]
        image = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        return np.asarray(image)


class Writer:
    """Writes files into a folder and keeps the list of cases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[Case] = []

    def picture(self, name: str, pixels: Array, kind: str = "png", **options: Any) -> str:
        """Write a picture and return its file's name."""
        file = f"{name.replace('/', '-').replace(' ', '_').replace(',', '')}.{kind}"
        Image.fromarray(pixels).save(self.folder / file, **options)
        return file

    def case(self, name: str, file: str, call: str = "restore", given: str = "path", **options: Any) -> None:
        """Add a case: what is called with the file, how the file is given, and the call's options."""
        self.cases.append({"name": name, "file": file, "call": call, "given": given, "options": options})

    def close(self) -> None:
        """Write the list of cases."""
        """Write the list of cases."""
        text = "[\n" + ",\n".join(json.dumps(case) for case in self.cases) + "\n]\n"
        (self.folder / "cases.json").write_text(text, encoding="utf-8")


def make(data: Path, folder: Path) -> None:
    """Write all files of cases, and `cases.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    writer, photos = Writer(folder), Photos(data)
    locating(writer, photos)
    finding(writer, photos)
    clean(writer, photos)
    files(writer, photos)
    options(writer, photos)
    challenge(writer, data / CHALLENGE)
    commands(writer, photos)
    writer.close()


def locating(writer: Writer, photos: Photos, count: int = 14) -> None:
    """The classes of `locating.py`; lossy files are saved here, so that Deepix sees the file itself."""
    for number, (name, settings) in enumerate(CLASSES.items()):
        low, high = QUALITIES.get(name, (0, 0))
        settings = replace(settings, late=0, side=(200, 460))
        for i in range(count):
            rng = np.random.default_rng([SEED, number, i])
            drawn = example(photos[100 * number + i], rng, settings)
            label = f"locating/{name}/{i:02}"
            if high:
                quality, halved = int(rng.integers(low, high + 1)), 2 * int(rng.random() < 0.7)
                file = writer.picture(label, drawn.picture, "jpg", quality=quality, subsampling=halved)
            else:
                file = writer.picture(label, drawn.picture)
            # an array of a file does not say that it was lossy
            writer.case(label, file, given="array" if i % 5 == 4 else "path")
            if i % 7 == 3:
                writer.case(f"{label} fast", file, "find", fast=True)
            if i % 7 == 5:
                writer.case(f"{label} found", file, "find")


def finding(writer: Writer, photos: Photos, count: int = 24) -> None:
    """Rectangles of cells of every size, as `finding.py` draws them, in PNG and JPEG of good quality."""
    for index in range(count):
        rng = np.random.default_rng([SEED, 70, index])
        photo = photos[700 + index]
        if index % 4 == 0:
            photo = np.asarray(Image.fromarray(photo).convert("L"))
        truth = rectangles(photo, rng, int(rng.integers(1, 5)), 1.0 if index % 3 == 0 else 3.0)
        label = f"finding/{('png', 'jpeg 420', 'jpeg 444')[index % 3]}/{index:02}"
        pixels = pixelate(photo, truth)
        if index % 3 == 0:
            file = writer.picture(label, pixels)
        else:
            quality, halved = int(rng.integers(90, 96)), 2 if index % 3 == 1 else 0
            file = writer.picture(label, pixels, "jpg", quality=quality, subsampling=halved)
        writer.case(label, file)
        writer.case(f"{label} fast", file, "find", fast=True)


def rectangles(photo: Array, rng: np.random.Generator, wanted: int, least: float) -> list[Mosaic]:
    """Draw mosaics whose borders and grid lines can be seen; fewer where there is no room."""
    truth: list[Mosaic] = []
    for _ in range(300):
        m = draw_area(photo.shape, rng)
        if m is None or not all(apart(m, other) for other in truth):
            continue
        if decidable(photo, pixelate(photo, [m]), m, least):
            truth.append(m)
        if len(truth) == wanted:
            break
    return truth


def clean(writer: Writer, photos: Photos) -> None:
    """Pictures without any mosaic: photos, hard negatives, drawings."""
    for i in range(16):
        rng = np.random.default_rng([SEED, 71, i])
        if i % 2:
            file = writer.picture(f"clean/photo/{i:02}", photos[750 + i], "jpg", quality=int(rng.integers(50, 96)))
        else:
            file = writer.picture(f"clean/photo/{i:02}", photos[750 + i])
        writer.case(f"clean/photo/{i:02}", file, "find", given="array" if i % 4 == 2 else "path")
    for i in range(2 * len(NEGATIVES)):
        rng = np.random.default_rng([SEED, 72, i])
        kind = NEGATIVES[i % len(NEGATIVES)]
        size = int(rng.integers(180, 480)), int(rng.integers(180, 480))
        pixels = negative(kind, rng, photos[800 + i], size)
        label = f"negative/{kind}/{i:02}"
        if i >= len(NEGATIVES) or kind == "blocky JPEG":
            file = writer.picture(label, pixels, "jpg", quality=int(rng.integers(50, 96)))
        else:
            file = writer.picture(label, pixels)
        writer.case(label, file, "find")
    for i, draw in enumerate((screenshot, brick_wall, gradient)):
        label = f"clean/{draw.__name__}"
        writer.case(label, writer.picture(label, draw(np.random.default_rng([SEED, 73, i]))), "find")


def files(writer: Writer, photos: Photos) -> None:
    """Kinds of files: saved twice, WebP, 16 bits, alpha, gray, and how a picture can be given to Deepix."""
    rng = np.random.default_rng([SEED, 74])
    for i, (first, second) in enumerate(((60, 95), (75, 92), (50, 90), (90, 60), (85, 85), (95, 98))):
        once = Image.fromarray(drawn(photos, rng, 850 + i).picture)
        buffer = io.BytesIO()
        once.save(buffer, "JPEG", quality=first)
        twice = np.asarray(Image.open(buffer))
        label = f"file/jpeg {first} then {second}"
        writer.case(label, writer.picture(label, twice, "jpg", quality=second))
    for i, quality in enumerate((50, 80, 95)):
        label = f"file/webp {quality}"
        writer.case(label, writer.picture(label, drawn(photos, rng, 860 + i).picture, "webp", quality=quality))
    for i, quality in enumerate((70, 95)):
        buffer = io.BytesIO()
        Image.fromarray(drawn(photos, rng, 865 + i).picture).save(buffer, "JPEG", quality=quality)
        label = f"file/png of a jpeg {quality}"
        writer.case(label, writer.picture(label, np.asarray(Image.open(buffer))))
    for i in range(4):  # 16 bits: gray files, and arrays in colour
        photo = photos[870 + i].astype(np.float64) * 257 + rng.normal(0, 90, photos[870 + i].shape)
        deep = np.clip(np.rint(photo), 0, 65535).astype(np.uint16)
        deep = deep if i % 2 else np.ascontiguousarray(deep[..., 1])
        deep = pixelate(deep, random_mosaics(deep.shape, 2, rng, (6, 30)))
        label = f"file/16 bits {'colour' if i % 2 else 'gray'} {i}"
        if i % 2:
            file = f"16_bits_{i}.png"
            cv2.imwrite(str(writer.folder / file), deep[..., ::-1])
            writer.case(label, file, given="cv2")
        else:
            writer.case(label, writer.picture(label, deep), given=("path", "path", "pil", "pil")[i])
    for i in range(4):
        picture = drawn(photos, rng, 880 + i).picture
        alpha = np.broadcast_to(np.linspace(40, 255, picture.shape[1]).astype(np.uint8), picture.shape[:2])
        if i % 2:
            gray = np.asarray(Image.fromarray(picture).convert("L"))
            pixels = np.stack([gray, alpha], axis=2)
        else:
            pixels = np.dstack([picture, alpha])
        label = f"file/alpha {i}"
        writer.case(label, writer.picture(label, pixels), given=("path", "path", "pil", "array")[i])
    for i, given in enumerate(("bytes", "pil", "array")):
        label = f"file/given as {given}"
        writer.case(label, writer.picture(label, drawn(photos, rng, 890 + i).picture), given=given)
    palette = Image.fromarray(drawn(photos, rng, 895).picture).quantize(200)
    palette.save(writer.folder / "palette.png")
    writer.case("file/palette", "palette.png")


def drawn(photos: Photos, rng: np.random.Generator, index: int, name: str = "1 lossless") -> Example:
    return example(photos[index], rng, replace(CLASSES[name], late=0, side=(200, 420)))


def options(writer: Writer, photos: Photos) -> None:
    """What the user may say: areas, masks, the cell, the method, the model, rounding, threads, force."""
    rng = np.random.default_rng([SEED, 75])
    for i in range(24):
        photo = photos[900 + i]
        cell = (5, 8, 12, 20, 33, 48)[i % 6]
        (m,) = random_mosaics(photo.shape, 1, rng, (cell, cell))
        rounding = "truncate" if i % 8 == 7 else "nearest"
        pixels = pixelate(photo, [m], rounding)  # type: ignore[arg-type]
        label = f"option/{i:02}"
        lossy = i % 4 == 3
        file = writer.picture(label, pixels, "jpg", quality=85) if lossy else writer.picture(label, pixels)
        area = [m.x, m.y, m.width, m.height]
        variants: Sequence[tuple[str, dict[str, Any]]] = (
            ("area with cell", {"areas": [[*area, cell]]}),
            ("area", {"areas": [area]}),
            ("area and cell", {"areas": [area], "cell": cell}),
            ("smooth", {"method": "smooth"}),
            ("mosaics", {"mosaics": [m.to_dict()]}),
            ("one thread", {"threads": 1}),
            ("fast", {"fast": True}),
            ("challenge model", {"areas": [[*area, cell]], "model": "challenge"}),
            ("force", {"force": True}),
            ("cell", {"cell": cell}),
            ("smooth area", {"areas": [area], "method": "smooth"}),
            ("rounding", {"areas": [[*area, cell]], "rounding": "truncate"}),
        )
        for name, chosen in (variants[i % 12], variants[(5 * i + 7) % 12]):
            writer.case(f"{label} {name}", file, **({"rounding": rounding} | chosen))
    masks(writer, photos, rng)
    large(writer, photos, rng)


def masks(writer: Writer, photos: Photos, rng: np.random.Generator) -> None:
    """Areas of free form, named by a mask or found; the mask's own mosaic, too."""
    for i in range(10):
        case = drawn(photos, rng, 930 + i, "3 lossless")
        label = f"mask/{i:02}"
        lossy = i % 3 == 2
        file = writer.picture(label, case.picture, "jpg", quality=88) if lossy else writer.picture(label, case.picture)
        mask = writer.picture(f"{label}_mask", ((case.labels > 0) * 255).astype(np.uint8))
        writer.case(f"{label} named", file, mask=mask, method="smooth" if i % 4 == 1 else "network")
        if i % 2:
            writer.case(f"{label} mosaics", file, mosaics=[m.to_dict() for m in case.mosaics])
        else:
            writer.case(f"{label} found", file, threads=1)
    for i in range(6):  # blended grids: resized after pixelating
        case = example(photos[945 + i], rng, replace(CLASSES["2 resized, jpeg 75-100"], late=0, side=(200, 420)))
        label = f"resized/{i:02}"
        file = writer.picture(label, case.picture)
        writer.case(f"{label} found", file)
        blended = [m.to_dict() for m in case.mosaics]
        for m in blended:
            m["grid"]["blended"] = True
        writer.case(f"{label} mosaics", file, mosaics=blended, method="smooth" if i % 3 == 1 else "network")


def large(writer: Writer, photos: Photos, rng: np.random.Generator) -> None:
    """Cells and areas that are cut into tiles, reduced to a lattice or restored in bands; a larger picture."""
    for i, (cell, low) in enumerate(((64, 0), (96, 1), (110, 0), (3, 1), (4, 0))):
        photo = np.asarray(Image.fromarray(photos[960 + i]).resize((900, 700), Image.Resampling.LANCZOS))
        m = Mosaic.rectangle(40 + low, 30, 700, 560, cell)
        label = f"large/{cell}"
        file = writer.picture(label, pixelate(photo, [m]))
        writer.case(label, file, mosaics=[m.to_dict()])
        writer.case(f"{label} smooth", file, areas=[[m.x, m.y, m.width, m.height, cell]], method="smooth")
    photo = np.asarray(Image.fromarray(photos[970]).resize((1500, 1000), Image.Resampling.LANCZOS))
    pixels = pixelate(photo, random_mosaics(photo.shape, 3, rng, (10, 30)))
    writer.case("large/1.5 MP png", writer.picture("large/1.5 MP png", pixels))
    writer.case("large/1.5 MP jpeg", writer.picture("large/1.5 MP jpeg", pixels, "jpg", quality=92))


def challenge(writer: Writer, path: Path) -> None:
    """The 64x64 challenge: a set through the command line, and single pictures through the library."""
    examples = read_examples(path)
    chosen = np.linspace(0, len(examples.mosaics), 96, endpoint=False).astype(int)
    some = [examples.mosaics[i] for i in chosen]
    write_examples(writer.folder / "challenge.npz", examples.images[chosen], some, overwrite=True)
    for model in ("challenge", "photo", "smooth", "identity"):
        arguments = ["challenge", "predict", "INPUT", "--model", model, "-o", "submission.bin"]
        writer.case(f"challenge/set {model}", "challenge.npz", "command", arguments=arguments)
    arguments = ["challenge", "predict", "INPUT", "--model", "challenge", "--blind", "-o", "submission.bin"]
    writer.case("challenge/set blind", "challenge.npz", "command", arguments=arguments)
    for k in range(20):
        picture, m = examples.images[chosen[4 * k]], some[4 * k]
        label = f"challenge/{k:02}"
        file = writer.picture(label, challenge_pixelate(picture, m))
        extra = ({"model": "challenge"}, {"model": "photo"}, {"method": "smooth"}, {"model": "challenge"})[k % 4]
        writer.case(label, file, mosaics=[m.to_dict()], rounding="truncate", **extra)
        if k % 4 == 3:
            writer.case(f"{label} found", file, rounding="truncate")


def commands(writer: Writer, photos: Photos) -> None:
    """Whole commands: what they print as JSON and the bytes of what they write."""
    rng = np.random.default_rng([SEED, 76])
    case = drawn(photos, rng, 980)
    png = writer.picture("command/png", case.picture)
    jpg = writer.picture("command/jpg", case.picture, "jpg", quality=92, dpi=(72, 72))
    first = case.mosaics[0]
    area = ",".join(map(str, (first.x, first.y, first.width, first.height)))
    mask = writer.picture("command/mask", ((case.labels > 0) * 255).astype(np.uint8))
    for name, file, arguments in _commands(png, jpg, mask, area):
        writer.case(f"command/{name}", file, "command", arguments=arguments)
    deep = np.clip(np.rint(photos[981].astype(np.float64) * 257), 0, 65535).astype(np.uint16)
    deep = pixelate(deep, random_mosaics(deep.shape, 2, rng, (8, 20)))
    cv2.imwrite(str(writer.folder / "deep.png"), deep[..., ::-1])
    writer.case("command/16 bits", "deep.png", "command", arguments=["restore", "INPUT", "-o", "out.png", "--json"])


def _commands(png: str, jpg: str, mask: str, area: str) -> Iterator[tuple[str, str, list[str]]]:
    restore, find = ["restore", "INPUT", "--json", "-o", "out.png"], ["find", "INPUT", "--json"]
    yield "restore", png, [*restore, "--compare", "--uncertainty", "doubt.png"]
    yield "restore raw", png, [*restore, "--uncertainty", "doubt.png", "--raw"]
    yield "restore beside", jpg, ["restore", "INPUT", "--json"]
    yield "restore to jpeg", jpg, ["restore", "INPUT", "--json", "-o", "out.jpg", "--quality", "90"]
    yield "restore area", png, [*restore, "--area", area]
    yield "restore mask", png, [*restore, "--mask", f"FOLDER/{mask}"]
    yield "restore smooth", jpg, [*restore, "--method", "smooth"]
    yield "restore force fast", jpg, [*restore, "--force", "--fast"]
    yield "find", png, [*find, "--overlay", "found.png"]
    yield "find fast", jpg, [*find, "--fast"]
    yield "find clean", mask, find
    yield "pixelate", png, ["pixelate", "INPUT", "-o", "hidden.png", "--random", "3", "--seed", "7", "--json"]
