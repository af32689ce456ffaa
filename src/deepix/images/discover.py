"""Which files are meant: folders searched for pictures, and what a restoration is called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deepix.errors import InputError
from deepix.images.decoding import UNREADABLE

MARKER = "_restored"
"""What the name of a restored file gets by default, before the suffix."""


class Found(NamedTuple):
    """A file to work on.

    Attributes
    ----------
    path : the file
    relative : its path below the folder that was searched; its name, if it was named itself
    """

    path: Path
    relative: Path

    @property
    def beside(self) -> Path:
        """The name of its restoration beside it, before `default_output` has chosen the suffix."""
        return self.path.with_stem(self.path.stem + MARKER)


def find_pictures(inputs: Iterable[str | os.PathLike[str]]) -> list[Found]:
    """List the files that are meant by files and folders, each once, in the order given and sorted within folders.

    Files that are named are taken as they are. Folders are searched through and through for the suffixes that
    Pillow reads; hidden files and folders and links to folders are left out, and so is a restoration
    (NAME_restored, NAME_restored_compare) that lies beside its original.

    Raises
    ------
    InputError : an input does not exist, or a folder holds no pictures
    """
    found: dict[Path, Found] = {}
    for root in map(Path, inputs):
        if not root.is_dir():
            if not root.exists():
                raise InputError(f"{root}: no such file or folder")
            found.setdefault(root.resolve(), Found(root, Path(root.name)))
            continue
        below = _search(root)
        if not below:
            raise InputError(f"{root}: no pictures in this folder")
        for path in below:
            found.setdefault(path.resolve(), Found(path, path.relative_to(root)))
    return list(found.values())


def _search(root: Path) -> list[Path]:
    suffixes = readable_suffixes()
    result = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        pictures = [
            path
            for path in (Path(folder, name) for name in sorted(names))
            if not path.name.startswith(".") and path.suffix.lower() in suffixes and path.is_file()
        ]
        stems = {path.stem for path in pictures}
        result += [path for path in pictures if _original(path.stem) not in stems]
    return result


def _original(stem: str) -> str | None:
    match = re.fullmatch(rf"(.+){re.escape(MARKER)}(_compare)?", stem)
    return match[1] if match else None


def readable_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that `read` knows, in lower case, with their dots."""
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    blocked = {suffix for suffix, kind in Image.registered_extensions().items() if kind in UNREADABLE}
    return frozenset(known - blocked | {".mpo"})  # MPO is opened as a kind of JPEG
