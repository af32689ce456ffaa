"""Which files are meant: folders searched for pictures, what is no picture and why, and what results are called."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deepix.errors import InputError, reason
from deepix.images import recognition
from deepix.images.opening import UNREADABLE

MARKER = "_restored"
"""What the name of a restored file gets by default, before the suffix."""

RESULT_SUFFIXES = (MARKER, "_compare", "_uncertainty", "_found")
"""What the names of files that are made of a picture get, one or several, before the suffix."""


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


class Skipped(NamedTuple):
    """A file or folder that a search met and left.

    Attributes
    ----------
    path : what was met
    reason : why it is no picture to work on, as it stands after the name and a colon
    """

    path: Path
    reason: str


class Search(NamedTuple):
    """What a search met.

    Attributes
    ----------
    found : the pictures, each once, in the order given and sorted within folders
    skipped : all else but what is hidden, in the order met
    """

    found: tuple[Found, ...]
    skipped: tuple[Skipped, ...]


def search(inputs: Iterable[str | os.PathLike[str]]) -> Search:
    """List the files that are meant by files and folders, and what else lies in the folders.

    Files that are named are taken as they are. Folders are searched through and through for the suffixes that
    `read` knows. Hidden files and folders are not looked at. Skipped are links to folders, what cannot be looked into,
    links to nothing, files of other kinds, and results of earlier runs that lie beside their originals.

    Raises
    ------
    InputError : an input does not exist
    """
    found: dict[Path, Found] = {}
    skipped: list[Skipped] = []
    for root in map(Path, inputs):
        for met in _met(root):
            if isinstance(met, Skipped):
                skipped.append(met)
            else:
                found.setdefault(met.path.resolve(), met)
    return Search(tuple(found.values()), tuple(skipped))


def find_pictures(inputs: Iterable[str | os.PathLike[str]]) -> list[Found]:
    """List the files that are meant by files and folders; `search`, without what was skipped.

    Raises
    ------
    InputError : an input does not exist, or a folder holds no pictures
    """
    found: dict[Path, Found] = {}
    for root in map(Path, inputs):
        ours, others = search([root])
        if not ours:
            also = f"; {others[0].path.name}: {others[0].reason}" if others else ""
            raise InputError(f"{root}: no pictures in this folder{also}")
        for one in ours:
            found.setdefault(one.path.resolve(), one)
    return list(found.values())


def is_result_name(stem: str, originals: Collection[str]) -> bool:
    """Say whether a file's name is that of a result of another file.

    Parameters
    ----------
    stem : the name without its suffix
    originals : such names of the pictures in the same folder; alone, `photo_restored` is a picture like any other
    """
    while ending := next((s for s in RESULT_SUFFIXES if stem.endswith(s) and stem != s), None):
        stem = stem.removesuffix(ending)
        if stem in originals:
            return True
    return False


def _met(root: Path) -> Iterator[Found | Skipped]:
    """Walk through a folder; a file gives itself."""
    if not root.is_dir():
        if not root.exists():
            raise InputError(f"{root}: no such file or folder")
        yield Found(root, Path(root.name))
        return
    suffixes = readable_suffixes()
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if Path(folder, name).is_symlink():  # os.walk does not follow it
                yield Skipped(Path(folder, name), "a link to a folder, which is not followed")
        paths = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        why = {path: _no_picture(path, suffixes) for path in paths}
        stems = {path.stem for path in paths if why[path] is None}
        for path in paths:
            if (said := why[path]) is not None:
                yield Skipped(path, said)
            elif is_result_name(path.stem, stems):
                yield Skipped(path, "the result of an earlier run; name it on the command line to use it")
            else:
                yield Found(path, path.relative_to(root))
    for error in unreadable:
        yield Skipped(Path(error.filename), f"the folder cannot be looked into ({reason(error)})")


def _no_picture(path: Path, suffixes: frozenset[str]) -> str | None:
    """Return why a file in a folder is no picture to read, as far as its name, and if need be its beginning, tells."""
    if not path.is_file():
        if path.exists():
            return "not a regular file"
        return "a link to a file that does not exist" if path.is_symlink() else "cannot be looked at"
    suffix = path.suffix.lower()
    if suffix in suffixes:
        return None
    try:
        with path.open("rb") as file:
            beginning = file.read(recognition.LENGTH)
    except OSError as error:
        return f"cannot be opened ({reason(error)})"
    if kind := recognition.kind_of(beginning):
        return recognition.advice(kind)
    if known := recognition.read_as(beginning):
        return f"a {known} picture by its content, but not by its name; rename it, or name it on the command line"
    return f"no picture that Deepix reads, by its name ({suffix or 'without a suffix'})"


def readable_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that `read` knows, in lower case, with their dots."""
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    blocked = {suffix for suffix, kind in Image.registered_extensions().items() if kind in UNREADABLE}
    for kind in (recognition.HEIF, recognition.JPEG_XL):
        if kind.plugin and kind.plugin.installed:
            known |= set(kind.suffixes)
    return frozenset(known - blocked | {".mpo"})  # MPO is opened as a kind of JPEG
