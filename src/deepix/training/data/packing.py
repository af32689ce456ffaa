"""From pictures, wherever they are, to one packed file that is read without decoding anything.

    sources ─ read ─▶ pictures ─ prepare or crops ─▶ FILE (.npy) + FILE.json

FILE is an ordinary NumPy array file of uint8 pictures, (N, H, W) or (N, H, W, 3), mapped into memory when it is opened;
FILE.json says where they came from, how they were prepared and the SHA-256 of the pixels. Pictures go through one at a
time, so that no set is too large.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import deepix
from deepix import challenge, files, sources
from deepix.errors import InputError, OutputError
from deepix.sources import Source
from deepix.training.data.crops import Crops
from deepix.training.data.packed import FORMAT, information_path, open_packed
from deepix.training.data.pixels import Bytes
from deepix.training.data.preparing import Loaded, prepare_batch
from deepix.training.data.scratch import scratch_folder
from deepix.training.data.workers import in_order

Progress = Callable[[int, int | None], None]
"""Called with the number of pictures read so far and, where it is known in advance, their total."""

BATCH = 16
"""Pictures that travel to a process together."""


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
    pictures = _Pictures(paths)
    try:
        with scratch_folder(output) as folder:
            temporary, temporary_information = folder / "pixels", folder / "information"
            with temporary.open("wb") as file:
                pixels = _Pixels(file, crops)
                _write(pixels, pictures, crops, jobs, progress)
            text = json.dumps(_information(pixels, pictures, crops), indent=1, ensure_ascii=False)
            temporary_information.write_text(text + "\n", encoding="utf-8")
            if overwrite:
                information.unlink(missing_ok=True)  # never old words beside new pixels
            files.place(temporary, output, overwrite)
            files.place(temporary_information, information, overwrite)
    except OSError as error:
        raise files.failure(output, error) from error
    return PackReport(output, pixels.shape, pictures.done, pictures.skipped)


class _Pictures:
    """The pictures of the sources, and what became of each.

    Attributes
    ----------
    total : how many there are, where that is known in advance
    done : how many are accounted for
    skipped : one line for each that could not be used
    provenance : what FILE.json says of each source
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._sources = [read(path) for path in paths]
        self.total = sources.total(self._sources)
        self.done = 0
        self.skipped: list[str] = []
        self.provenance: list[dict[str, Any]] = [
            {"path": str(path), "kind": source.kind, "pictures": 0, "used": 0}
            | ({"info": source.info} if source.info else {})
            for path, source in zip(paths, self._sources, strict=True)
        ]
        self._under_way: deque[tuple[int, bool]] = deque()  # each picture's source, and `Item.same`

    def __iter__(self) -> Iterator[Loaded]:
        index = 0
        for number, source in enumerate(self._sources):
            for item in source.items:
                self._under_way.append((number, item.same))
                try:
                    yield Loaded(index, item.name, item.load())
                except InputError as error:
                    yield Loaded(index, item.name, error)
                index += 1

    def account(self, result: Bytes | str) -> bool:
        """Note what became of the next picture; returns its `Item.same`."""
        number, same = self._under_way.popleft()
        record = self.provenance[number]
        record["pictures"] += 1
        self.done += 1
        if isinstance(result, str):
            self.skipped.append(result)
        else:
            record["used"] += 1
        return same


class _Pixels:
    """An array file that grows.

    Attributes
    ----------
    shape : of the array so far
    groups : how many of its entries come from each picture
    digest : of the pixels
    """

    def __init__(self, file: BinaryIO, crops: Crops | None) -> None:
        one = (challenge.SIZE, challenge.SIZE) if crops is None else (crops.size, crops.size)
        self.shape = (0, *one) if crops is None or not crops.colour else (0, *one, 3)
        self.groups: list[int] = []
        self.digest = hashlib.sha256()
        self._file = file
        self._write_header()

    def append(self, pictures: Bytes, same: bool) -> None:
        """Write the entries of one picture; `same`: of the same one as before."""
        if same and self.groups:
            self.groups[-1] += len(pictures)
        else:
            self.groups.append(len(pictures))
        data = np.ascontiguousarray(pictures).data
        self.digest.update(data)
        self._file.write(data)
        self.shape = (self.shape[0] + len(pictures), *self.shape[1:])

    def finish(self) -> None:
        """Write the final shape; NumPy leaves room in the header for the first axis to grow."""
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _write(pixels: _Pixels, pictures: _Pictures, crops: Crops | None, jobs: int, progress: Progress | None) -> None:
    """Prepare all pictures and write them; InputError if none can be used."""
    read_on = iter(pictures)
    batches = iter(lambda: list(islice(read_on, BATCH)), [])
    with closing(in_order(partial(prepare_batch, crops=crops), batches, jobs)) as batches_of_results:
        for results in batches_of_results:
            for result in results:
                same = pictures.account(result)
                if not isinstance(result, str):
                    pixels.append(result, same)
            if progress is not None:
                progress(pictures.done, pictures.total)
    pixels.finish()
    if not pixels.shape[0]:
        raise InputError(f"{pictures.skipped[0]} (and none of the {pictures.done} pictures could be used)")


def _information(pixels: _Pixels, pictures: _Pictures, crops: Crops | None) -> dict[str, Any]:
    """Return what FILE.json says."""
    return {
        "format": FORMAT,
        "version": 1,
        "shape": list(pixels.shape),
        "dtype": "uint8",
        "sha256": pixels.digest.hexdigest(),
        "groups": [[len(list(run)), size] for size, run in groupby(pixels.groups)],
        "preparation": "challenge" if crops is None else {"crops": asdict(crops)},
        "sources": pictures.provenance,
        "skipped": pictures.skipped,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "deepix": deepix.__version__,
    }
