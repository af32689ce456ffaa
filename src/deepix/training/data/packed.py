"""The packed file: an array file of pictures, mapped into memory, and FILE.json, which says whence they came."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError, reason
from deepix.training.data.pixels import Bytes

FORMAT = "deepix packed pictures"


def information_path(path: str | Path) -> Path:
    """Return where a packed file's provenance lies: FILE.json."""
    path = Path(path)
    return path.with_name(path.name + ".json")


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
