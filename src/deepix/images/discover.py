"""Which files are meant: folders searched for pictures, what is no picture and why, and what results are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deepix.errors import InputError, reason
from deepix.images import recognition
from deepix.images.opening import UNREADABLE

MARKER = "_restored"
"""What the name of a restored file gets by default, before the suffix."""

RESULT_SUFFIXES = (MARKER, "_compare", "_uncertainty", "_found", "_restored_map")
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
    links to nothing, files of other kinds, and what an earlier run made of a picture (see `made_of`) that lies anywhere
    below the same folder.

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


def made_of(stem: str) -> set[str]:
    """Return the stems of the pictures that a file of this stem may have been made of; empty if its name says nothing.

    NAME_restored, NAME_compare, NAME_restored_compare, NAME_uncertainty, NAME_restored_map and NAME_found are made of
    NAME, each perhaps with NAME's suffix or a number: NAME_restored_jpg, NAME_2_found. `deepix.jobs.names` chooses
    them.
    """
    side = re.fullmatch(f"(.+)(?:{'|'.join(RESULT_SUFFIXES[1:])})", stem)
    result = set()
    for body, whole in ((stem, True), *(((side[1], False),) if side else ())):
        variant = re.fullmatch(r"(.+)_(\w+?)", body)
        numbered = variant and (variant[2].isdecimal() or f".{variant[2].lower()}" in readable_suffixes())
        for name in (body, variant[1] if variant and numbered else body):
            if name.endswith(MARKER) and name != MARKER:
                result.add(name.removesuffix(MARKER))
            if not whole:
                result.add(name)
    return result


def _met(root: Path) -> Iterator[Found | Skipped]:
    """Walk through a folder; a file gives itself."""
    if not root.is_dir():
        if not root.exists():
            raise InputError(f"{root}: no such file or folder")
        yield Found(root, Path(root.name))
        return
    suffixes = readable_suffixes()
    unreadable: list[OSError] = []
    pictures = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if Path(folder, name).is_symlink():  # os.walk does not follow it
                yield Skipped(Path(folder, name), "a link to a folder, which is not followed")
        paths = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        for path in paths:
            if (said := no_picture(path, suffixes)) is not None:
                yield Skipped(path, said)
            else:
                pictures.append(path)
    yield from _without_results(pictures, root)
    for error in unreadable:
        yield Skipped(Path(error.filename), f"the folder cannot be looked into ({reason(error)})")


def _without_results(pictures: Sequence[Path], root: Path) -> Iterator[Found | Skipped]:
    """Tell pictures from what an earlier run made of one of them."""
    stems = {path.stem for path in pictures}
    for path in pictures:
        if stems.isdisjoint(made_of(path.stem)):
            yield Found(path, path.relative_to(root))
        else:
            yield Skipped(path, "the result of an earlier run; name it on the command line to use it")


def no_picture(path: Path, suffixes: frozenset[str]) -> str | None:
    """Return why a file in a folder is no picture to read, as far as its name, and if need be its beginning, tells.

    Parameters
    ----------
    suffixes : `readable_suffixes`
    """
    if not path.is_file():
        if path.exists():
            return "a link to a folder, which is not followed" if path.is_dir() else "not a regular file"
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
