"""Examples that are made once: how many of each photo, and the file that a tuple of arrays is kept in."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepix import files
from deepix.errors import InputError, reason

Item = TypeVar("Item")
Arrays = TypeVar("Arrays", bound=tuple[NDArray[Any], ...])


def shared_out(items: Iterable[Item], times: float) -> Iterator[tuple[int, Item, int]]:
    """Yield items, their numbers, and how many examples are drawn of each: `times` on average, a fraction of some."""
    due = 0.0
    for number, item in enumerate(items):
        due += times
        count, due = int(due), due - int(due)
        yield number, item, count


def write(path: Path, arrays: Any) -> None:
    """Write a named tuple of arrays as an .npz file, in the place of one that is there.

    Raises
    ------
    OutputError : it cannot be written
    """
    files.make_folder(path.parent)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays._asdict())
    files.write_bytes(path, buffer.getvalue(), overwrite=True)


def read(path: Path, kind: type[Arrays], whose: str) -> Arrays:
    """Read what `write` wrote of a kind of named tuple; `whose` says of which network the examples are.

    Raises
    ------
    InputError : the file cannot be read, or is none
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return kind(*(stored[name] for name in kind._fields))  # type: ignore[attr-defined]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: no examples of the {whose} ({reason(error)})") from error


def identity(arrays: Iterable[NDArray[Any]]) -> str:
    """Return a checksum: scores can be compared if it is the same."""
    digest = hashlib.sha256()
    for part in arrays:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
