"""Which files are meant by what was named: files as they are, folders searched for pictures, with every file told of.

The rules of a search: hidden files and folders are left out, links to folders are not followed; what has not the suffix
of a picture format that is read, is no regular file, or leads nowhere, is passed over, and so is what an earlier run
made of a picture that lies below the same folder (see `made_of`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from deepix import images
from deepix.errors import reason
from deepix.jobs.job import STANDARD

RESTORED, COMPARE, UNCERTAINTY, FOUND = "_restored", "_compare", "_uncertainty", "_found"
"""What is added to a picture's name, before the suffix, for what is made of it."""


class Input(NamedTuple):
    """A file to work on.

    Attributes
    ----------
    path : the file
    relative : its path below the folder that was searched; its name, if it was named itself
    root : the folder that was searched; None if it was named itself
    """

    path: Path
    relative: Path
    root: Path | None = None


class PassedOver(NamedTuple):
    """A file that was met, but is not worked on, and why."""

    path: Path
    reason: str


@dataclass
class Listing:
    """What is meant by the files and folders that were named.

    Attributes
    ----------
    inputs : the files to work on, each once, in the order given and sorted within folders
    passed_over : files that were met in folders, but are not worked on
    results : as many of them were made by an earlier run
    failed : what was named, or met, and cannot be looked into
    named : how many files and folders were named
    """

    inputs: list[Input] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)
    failed: list[PassedOver] = field(default_factory=list)
    named: int = 0

    @property
    def single(self) -> bool:
        """Whether one file was named, and no folder."""
        return self.named == 1 and all(one.root is None for one in self.inputs)


def listed(named: Iterable[str | os.PathLike[str]]) -> Listing:
    """Return what is meant by files and folders; `STANDARD` stands for itself."""
    listing = Listing()
    known: set[Path] = set()
    for root in map(Path, named):
        listing.named += 1
        try:
            folder, there = root.is_dir(), root == STANDARD or os.path.lexists(root)
        except (OSError, ValueError) as error:  # a folder above it may not be looked into, a NUL
            listing.failed.append(PassedOver(root, f"cannot be opened ({reason(error)})"))
            continue
        if root == STANDARD or (there and not folder):
            found = [Input(root, Path(root.name))]
        elif folder:
            found = _searched(root, listing)
        else:
            listing.failed.append(PassedOver(root, "no such file or folder"))
            continue
        for one in found:
            place = one.path.resolve()
            if place not in known:
                known.add(place)
                listing.inputs.append(one)
    return listing


def _searched(root: Path, listing: Listing) -> list[Input]:
    """Return the pictures below a folder; put into the listing what else was met there."""
    suffixes = images.readable_suffixes()
    pictures: list[Path] = []
    failed = len(listing.failed)

    def shut(error: OSError) -> None:
        listing.failed.append(PassedOver(Path(error.filename), f"the folder cannot be opened ({reason(error)})"))

    for folder, subfolders, names in os.walk(root, onerror=shut):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in subfolders:
            if (path := Path(folder, name)).is_symlink():
                listing.passed_over.append(PassedOver(path, "a link to a folder"))
        for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            if why := _unfit(path, suffixes):
                listing.passed_over.append(PassedOver(path, why))
            else:
                pictures.append(path)
    stems = {path.stem for path in pictures}
    made = {path for path in pictures if not stems.isdisjoint(made_of(path.stem, suffixes))}
    listing.results += [path for path in pictures if path in made]
    found = [Input(path, path.relative_to(root), root) for path in pictures if path not in made]
    if not found and len(listing.failed) == failed:
        listing.failed.append(PassedOver(root, "no pictures in this folder"))
    return found


def _unfit(path: Path, suffixes: Collection[str]) -> str | None:
    """Return why a file is no picture to work on; None for one that is."""
    try:
        if not path.exists():
            return "a link that leads nowhere"
        if not path.is_file():
            return "not a regular file"
    except OSError as error:
        return f"cannot be looked at ({reason(error)})"
    if path.suffix.lower() not in suffixes:
        return f"not a picture format that is read ({path.suffix or 'no suffix'})"
    return None


def made_of(stem: str, suffixes: Collection[str]) -> set[str]:
    """Return the stems of the pictures that a file of this stem may have been made of; empty if its name says nothing.

    See `deepix.jobs.names` for the names: NAME_restored, NAME_compare, NAME_restored_compare, NAME_uncertainty,
    NAME_found, each perhaps with NAME's suffix or a number: NAME_restored_jpg, NAME_2_found.
    """
    side = re.fullmatch(f"(.+)(?:{COMPARE}|{UNCERTAINTY}|{FOUND})", stem)
    result = set()
    for body, whole in ((stem, True), *(((side[1], False),) if side else ())):
        variant = re.fullmatch(r"(.+)_(\w+?)", body)
        bare = variant[1] if variant and (variant[2].isdecimal() or f".{variant[2].lower()}" in suffixes) else body
        for name in (body, bare):
            if name.endswith(RESTORED) and name != RESTORED:
                result.add(name.removesuffix(RESTORED))
            if not whole:
                result.add(name)
    return result
