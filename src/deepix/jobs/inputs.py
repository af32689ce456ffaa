"""Which files are meant by what was named: files as they are, folders searched for pictures, with every file told of.

`deepix.images.search` says what is met in a folder, and what of it is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from deepix import images
from deepix.errors import reason
from deepix.images import Skipped
from deepix.jobs.job import STANDARD

RESTORED, COMPARE, UNCERTAINTY, FOUND, MAP = images.RESULT_SUFFIXES
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


@dataclass
class Listing:
    """What is meant by the files and folders that were named.

    Attributes
    ----------
    inputs : the files to work on, each once, in the order given and sorted within folders
    passed_over : what was met in folders, but is not worked on, and why
    failed : what was named, or met, and cannot be looked into
    named : how many files and folders were named
    """

    inputs: list[Input] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)
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
            listing.failed.append(Skipped(root, f"cannot be opened ({reason(error)})"))
            continue
        if root == STANDARD or (there and not folder):
            found = [Input(root, Path(root.name))]
        elif folder:
            found = _searched(root, listing)
        else:
            listing.failed.append(Skipped(root, "no such file or folder"))
            continue
        for one in found:
            place = one.path.resolve()
            if place not in known:
                known.add(place)
                listing.inputs.append(one)
    return listing


def _searched(root: Path, listing: Listing) -> list[Input]:
    """Return the pictures below a folder; put into the listing what else was met there."""
    met = images.search([root])
    shut = [one for one in met.skipped if one.path.is_dir() and not one.path.is_symlink()]
    listing.failed += shut
    listing.passed_over += [one for one in met.skipped if one not in shut]
    found = [Input(one.path, one.relative, root) for one in met.found]
    if not found and not shut:
        listing.failed.append(Skipped(root, "no pictures in this folder"))
    return found
