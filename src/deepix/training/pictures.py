"""Pictures to train on: from folders, archives and arrays to one packed file that is read without decoding anything.

    sources ─ read ─▶ pictures ─ prepare or crops ─▶ FILE (.npy) + FILE.json

FILE is an ordinary NumPy array file of uint8 pictures, (N, H, W) or (N, H, W, 3), mapped into memory when it is opened;
FILE.json says where they came from, how they were prepared and the SHA-256 of the pixels. Pictures go through one at a
time, so that no set is too large.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

import deepix
from deepix import challenge, files, sources, views
from deepix.errors import InputError, OutputError, reason
from deepix.sources import Source

Bytes = NDArray[np.uint8]
Progress = Callable[[int, int | None], None]
"""Called with the number of pictures read so far and, where it is known in advance, their total."""

FORMAT = "deepix packed pictures"
_BATCH = 16  # pictures that travel to a process together
_ATTEMPTS = 10  # draws of a crop before a square one is taken, as in torchvision's RandomResizedCrop


# ── sources ──────────────────────────────────────────────────────────────────────────────────────


def read(path: str | Path) -> Source:
    """Open what `sources.read` opens, or a packed file, which can be packed again, alone or with others.

    Raises
    ------
    InputError : as `sources.read` and `open_packed`
    """
    if Path(path).suffix.lower() != ".npy" or not information_path(path).exists():
        return sources.read(path)
    packed = open_packed(path)
    same = np.diff(packed.groups, prepend=-1) == 0
    rows = sources.from_array(packed.path, packed.pixels).items
    items = (item._replace(same=bool(like)) for item, like in zip(rows, same, strict=True))
    info = {name: packed.info[name] for name in ("sources", "preparation", "sha256")}
    return Source("packed", len(packed), items, info)


# ── preparation ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Crops:
    """Random resized crops: parts of a picture, each brought to the same size.

    A crop's area is a uniform share of the picture's and its width : height log-uniform; its place is uniform. Crops
    that do not fit, or would be enlarged more than allowed, are drawn anew, and after 10 draws a square takes their
    place whose side is uniform between the smallest allowed and the picture's shorter side.

    Attributes
    ----------
    number : crops of each picture
    size : width and height of the result, in pixels
    scale : least and greatest share of the picture's area
    ratio : least and greatest width : height; other than 1 it distorts
    enlarge : by how much a crop may be enlarged at most; a picture with a shorter side below size / enlarge is skipped
    colour : RGB; else gray by `challenge.to_grayscale`
    seed : picture i of all pictures read draws from the i-th stream of it

    Raises
    ------
    ValueError : a number is out of range
    """

    number: int = 1
    size: int = challenge.SIZE
    scale: tuple[float, float] = (0.1, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    enlarge: float = 1.0
    colour: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 1 or self.size < 1 or self.seed < 0:
            raise ValueError("number and size of crops must be at least 1, and the seed at least 0")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"the scale must be 0 < least ≤ greatest ≤ 1, not {self.scale[0]} … {self.scale[1]}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"the ratio must be 0 < least ≤ greatest, not {self.ratio[0]} … {self.ratio[1]}")
        if not 1 <= self.enlarge < math.inf:
            raise ValueError(f"crops can be enlarged by 1 or more, not {self.enlarge}")

    @property
    def smallest(self) -> int:
        """The least width and height of a crop, in pixels of its picture."""
        return math.ceil(self.size / self.enlarge)


def crop(image: Image.Image, crops: Crops, rng: np.random.Generator) -> Bytes:
    """Return random resized crops of a picture: uint8 (number, size, size) or, in colour, (number, size, size, 3).

    Resized as the challenge does it: bilinear with antialiasing, on 8-bit values, before colours become gray.

    Parameters
    ----------
    image : 8-bit grayscale or RGB
    crops : how
    rng : where the crops lie

    Raises
    ------
    ValueError : the picture is too small
    """
    if min(image.size) < crops.smallest:
        raise ValueError(f"{image.width} x {image.height} pixels, but crops need {crops.smallest} x {crops.smallest}")
    results = []
    for _ in range(crops.number):
        x, y, width, height = _place(*image.size, crops, rng)
        size = (crops.size, crops.size)
        part = image.resize(size, Image.Resampling.BILINEAR, (x, y, x + width, y + height))
        pixels = np.asarray(part.convert("RGB") if crops.colour else part)
        results.append(pixels if crops.colour else challenge.to_grayscale(pixels))
    return np.stack(results)


def _place(width: int, height: int, crops: Crops, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return x, y, width and height of a random crop of a picture of width x height pixels."""
    for _ in range(_ATTEMPTS):
        area = rng.uniform(*crops.scale) * width * height
        ratio = math.exp(rng.uniform(*np.log(crops.ratio)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if crops.smallest <= w <= width and crops.smallest <= h <= height:
            break
    else:
        w = h = int(rng.integers(crops.smallest, min(width, height), endpoint=True))
    return int(rng.integers(0, width - w, endpoint=True)), int(rng.integers(0, height - h, endpoint=True)), w, h


class _Loaded(NamedTuple):
    """A picture on its way to a process."""

    number: int
    name: str
    content: bytes | Bytes | InputError


def _prepare(picture: _Loaded, crops: Crops | None) -> Bytes | str:
    """Return the results of one picture, or the line that says why there are none."""
    content = picture.content
    if isinstance(content, InputError):
        return str(content)
    try:
        if crops is None:
            return challenge.prepare_content(content, picture.name)[None]
        if isinstance(content, bytes):
            with Image.open(io.BytesIO(content)) as file:
                image = views.eight_bits(ImageOps.exif_transpose(file))
        else:
            image = Image.fromarray(content)
        seed = np.random.SeedSequence(crops.seed, spawn_key=(picture.number,))
        return crop(image, crops, np.random.default_rng(seed))
    except InputError as error:
        return str(error)
    except UnidentifiedImageError:
        return f"{picture.name}: not a picture"
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, ValueError, struct.error …
    except Exception as error:
        return f"{picture.name}: {reason(error)}"


def _prepare_batch(batch: Sequence[_Loaded], crops: Crops | None) -> list[Bytes | str]:
    return [_prepare(picture, crops) for picture in batch]


def _results(items: Iterator[_Loaded], crops: Crops | None, jobs: int) -> Iterator[list[Bytes | str]]:
    """Prepare pictures in `jobs` processes; yields the results of one batch after the other, in order."""
    batches = iter(lambda: list(islice(items, _BATCH)), [])
    if jobs == 1:
        for batch in batches:
            yield _prepare_batch(batch, crops)
        return
    # spawn, since a process with threads (a progress bar's, PyTorch's) must not be forked
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting: deque[Future[list[Bytes | str]]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(_prepare_batch, batch, crops))
                if len(waiting) > 3 * jobs:  # no more pictures in memory than keep the processes busy
                    yield waiting.popleft().result()
            for future in waiting:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


# ── the packed file ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PackReport:
    """What `pack` did.

    Attributes
    ----------
    path : the packed file
    shape : of its array
    read : pictures found in the sources
    skipped : one line for each picture that could not be used, with its name
    """

    path: Path
    shape: tuple[int, ...]
    read: int
    skipped: list[str]


def information_path(path: str | Path) -> Path:
    """Return where a packed file's provenance lies: FILE.json."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def pack(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    crops: Crops | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PackReport:
    """Write the pictures of the sources to one packed file, which `open_packed` opens.

    The file depends on the sources and the settings only, not on `jobs`. With several jobs, a script that calls this
    needs the `if __name__ == "__main__"` that multiprocessing asks for.

    Parameters
    ----------
    paths : see `read`
    output : name of the file, *.npy; FILE.json is written beside it
    crops : without, each picture is prepared as the challenge does it: gray, 64x64
    jobs : processes that decode and resize
    overwrite : replace the files
    progress : see `Progress`

    Returns
    -------
    What was done. Pictures that could not be used are skipped and named in it.

    Raises
    ------
    InputError : see `read`; or none of the pictures could be used
    OutputError : the output exists, is not called *.npy, or cannot be written
    ValueError : no paths, or jobs is below 1
    """
    if not paths or jobs < 1:
        raise ValueError("there must be a source and a job")
    output = Path(output)
    information = information_path(output)
    if output.suffix != ".npy":
        raise OutputError(f"{output}: a packed file is a NumPy array file; call it {output.stem or 'pictures'}.npy")
    for path in (output, information):
        files.check_output(path, overwrite)
    opened = [read(path) for path in paths]
    total = sources.total(opened)

    provenance: list[dict[str, Any]] = [
        {"path": str(path), "kind": source.kind, "pictures": 0, "used": 0}
        | ({"info": source.info} if source.info else {})
        for path, source in zip(paths, opened, strict=True)
    ]
    skipped: list[str] = []
    under_way: deque[tuple[int, bool]] = deque()  # each picture's source, and Item.same
    groups: list[int] = []  # entries that come from the same picture

    def items() -> Iterator[_Loaded]:
        index = 0
        for number, source in enumerate(opened):
            for item in source.items:
                under_way.append((number, item.same))
                try:
                    yield _Loaded(index, item.name, item.load())
                except InputError as error:
                    yield _Loaded(index, item.name, error)
                index += 1

    shape_of_one = (
        (challenge.SIZE, challenge.SIZE) if crops is None else (crops.size, crops.size, 3)[: 3 if crops.colour else 2]
    )
    count = done = 0
    digest = hashlib.sha256()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
            temporary = Path(folder) / "pixels"
            with temporary.open("wb") as file:
                _write_header(file, (0, *shape_of_one))
                for batch in _results(items(), crops, jobs):
                    for result in batch:
                        number, same = under_way.popleft()
                        record = provenance[number]
                        record["pictures"] += 1
                        done += 1
                        if isinstance(result, str):
                            skipped.append(result)
                            continue
                        record["used"] += 1
                        count += len(result)
                        if same and groups:
                            groups[-1] += len(result)
                        else:
                            groups.append(len(result))
                        digest.update(np.ascontiguousarray(result).data)
                        file.write(np.ascontiguousarray(result).data)
                    if progress is not None:
                        progress(done, total)
                # NumPy leaves room in the header for the first axis to grow
                file.seek(0)
                _write_header(file, (count, *shape_of_one))
            if not count:
                raise InputError(f"{skipped[0]} (and none of the {done} pictures could be used)")
            info = {
                "format": FORMAT,
                "version": 1,
                "shape": [count, *shape_of_one],
                "dtype": "uint8",
                "sha256": digest.hexdigest(),
                "groups": [[len(list(run)), size] for size, run in groupby(groups)],
                "preparation": "challenge" if crops is None else {"crops": asdict(crops)},
                "sources": provenance,
                "skipped": skipped,
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "deepix": deepix.__version__,
            }
            temporary_information = Path(folder) / "information"
            temporary_information.write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            if overwrite:
                information.unlink(missing_ok=True)  # never old words beside new pixels
            files.place(temporary, output, overwrite)
            files.place(temporary_information, information, overwrite)
    except OSError as error:
        raise files.failure(output, error) from error
    return PackReport(output, (count, *shape_of_one), done, skipped)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


@dataclass(frozen=True)
class Packed:
    """A packed file.

    Attributes
    ----------
    path : its name
    pixels : uint8 (N, H, W) or (N, H, W, 3), a read-only map of the file
    info : what FILE.json says
    """

    path: Path
    pixels: Bytes
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """From which picture each entry comes: int64 (N,), 0, 0 … 1, 1 …; no split may separate those of one."""
        sizes = np.concatenate([np.full(number, size) for number, size in self.info["groups"]])
        return np.repeat(np.arange(len(sizes)), sizes)

    def check(self) -> None:
        """Compare the pixels with their checksum.

        Raises
        ------
        InputError : they differ
        """
        digest = hashlib.sha256()
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.pixels[start : start + 1024]).data)
        if digest.hexdigest() != self.info["sha256"]:
            raise InputError(f"{self.path}: damaged: its pixels are not those that were packed; pack it again")


def open_packed(path: str | Path) -> Packed:
    """Open what `pack` wrote, without reading the pixels.

    Raises
    ------
    InputError : a file is missing, damaged, or not a packed one
    """
    path = Path(path)
    information = information_path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not information.is_file():
        raise InputError(f"{path}: not a packed file: {information.name} is missing; make one with deepix data pack")
    try:
        info = json.loads(information.read_text(encoding="utf-8"))
        if not isinstance(info, dict) or info.get("format") != FORMAT or info.get("version") != 1:
            raise InputError(f"{information}: does not describe a packed file of a kind that this Deepix reads")
        shape, dtype = tuple(info["shape"]), info["dtype"]
        missing = {"sha256", "groups", "preparation", "sources", "skipped"} - info.keys()
        if missing:
            raise InputError(f"{information}: incomplete: no {', '.join(sorted(missing))}")
        grouped = sum(number * size for number, size in info["groups"])
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(f"{path}: not a packed file, or damaged ({reason(error)})") from error
    if not isinstance(pixels, np.ndarray) or pixels.shape != shape or pixels.dtype != dtype or dtype != "uint8":
        raise InputError(f"{path}: does not fit {information.name}, which tells of {dtype} {shape}; pack it again")
    if grouped != len(pixels):
        raise InputError(f"{information}: its groups do not add up to {len(pixels)} pictures; pack it again")
    return Packed(path, pixels, info)


def contact_sheet(pixels: Bytes, columns: int = 10, rows: int = 10, gap: int = 2) -> Image.Image:
    """Return pictures in rows and columns, evenly taken from all of them, on white.

    Parameters
    ----------
    pixels : uint8 (N, H, W) or (N, H, W, 3)
    columns, rows : at most
    gap : between pictures, in pixels

    Raises
    ------
    ValueError : no pictures, columns or rows
    """
    if not len(pixels) or columns < 1 or rows < 1:
        raise ValueError("a contact sheet needs a picture, a column and a row")
    number = min(columns * rows, len(pixels))
    chosen = np.linspace(0, len(pixels) - 1, number).round().astype(int)
    columns = min(columns, number)
    rows = -(-number // columns)
    height, width = pixels.shape[1:3]
    sheet = Image.new(
        "RGB" if pixels.ndim == 4 else "L",
        (columns * (width + gap) + gap, rows * (height + gap) + gap),
        "white",
    )
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        corner = (gap + column * (width + gap), gap + row * (height + gap))
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels[index])), corner)
    return sheet
