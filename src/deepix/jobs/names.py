"""How results are called: settled once for a whole list of inputs, before anything is written.

1. One input and OUT: OUT is the file. Without a suffix it gets one (.png; the input's own, where that format keeps the
   picture as it is). OUT is a folder if there is one of this name, or if it ends with a slash.
2. Several inputs, or a folder, and OUT: OUT is a folder, in which results have the names, and the folders, that
   their inputs have below the folder that was searched; it is made where it is missing.
3. No OUT: NAME_restored beside the input; and so in OUT, where OUT lies in a folder that was searched, or the name
   would be an input's: a result never looks like an input to the next run (`deepix.images.made_of`).
4. What else is made of a picture is called NAME_compare.png (beside the restored picture, after its name),
   NAME_uncertainty.png, NAME_restored_map.png and NAME_found.png; the variants of a restored picture after the first
   one have its name with _2, _3, ….
5. No two results, and no result and an input, in one folder have the same name before the suffix, upper and lower case
   taken for the same. Where they would, the first one in order keeps the name, and a later one adds its input's
   suffix (NAME_restored_jpg), or, where that is taken or is the same, 2, 3, ….

The names depend on the inputs and their order only, not on what lies in the folders already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePath
from typing import TypeVar

from deepix.errors import OutputError
from deepix.jobs.inputs import COMPARE, FOUND, MAP, RESTORED, UNCERTAINTY, Input
from deepix.jobs.job import STANDARD

_Key = tuple[str, str]
AnyPath = TypeVar("AnyPath", bound=PurePath)


@dataclass(frozen=True)
class Destination:
    """Where results go: one file, or a folder.

    Attributes
    ----------
    path : the file, or folder
    folder : it is a folder
    """

    path: Path
    folder: bool


@dataclass(frozen=True)
class Names:
    """The names of what is made of one input when it is restored; None where there is to be none.

    Attributes
    ----------
    output : of the restored picture
    as_named : its suffix is meant; otherwise it will be chosen by what the picture holds
    compare, uncertainty, restored_map : of what is made beside it
    """

    output: Path
    as_named: bool = False
    compare: Path | None = None
    uncertainty: Path | None = None
    restored_map: Path | None = None


def variant(output: AnyPath, number: int) -> AnyPath:
    """Return the name of a variant of a restored picture: its own of the first one, NAME_2, NAME_3 … of the others."""
    return output if number == 1 else output.with_name(f"{output.stem}_{number}{output.suffix}")


def destination(text: str, *, single: bool) -> Destination:
    """Return what the user means by an output's name: rules 1 and 2.

    Parameters
    ----------
    text : as it was typed
    single : one file was named, and no folder

    Raises
    ------
    OutputError : a folder is needed, and there is a file of this name; or it is empty
    """
    if not text:
        raise OutputError("the name of an output is empty")
    path = Path(text)
    folder = text.endswith((os.sep, os.altsep or os.sep)) or path.is_dir()
    if single and not folder:
        return Destination(path, folder=False)
    if path == STANDARD:
        raise OutputError("standard output takes the result of one picture only; name a folder")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; name a folder for several pictures")
    return Destination(path, folder=True)


def for_restoring(
    inputs: Sequence[Input],
    output: Destination | None = None,
    *,
    compare: bool = False,
    uncertainty: Destination | None = None,
    restored_map: Destination | None = None,
    variants: int = 1,
) -> list[Names]:
    """Return the names of restored pictures and what goes with them; names of further variants are kept free.

    Raises
    ------
    OutputError : two results, of which the user named at least one, would be the same file
    """
    taken = _Taken(inputs)
    result = []
    for one in inputs:
        if output and not output.folder:
            target, as_named = _named(output.path, one), bool(output.path.suffix) or output.path == STANDARD
        else:
            sides = [COMPARE] * compare + [f"_{number}" for number in range(2, variants + 1)]
            target, as_named = _settled(one, output, taken, sides), False
        side = target.with_name(f"{target.stem}{COMPARE}.png") if compare else None
        doubt = _beside(one, uncertainty, UNCERTAINTY, taken)
        seen = _beside(one, restored_map, MAP, taken)
        _differ(*(variant(target, number) for number in range(1, variants + 1)), side, doubt, seen)
        result.append(Names(target, as_named, side, doubt, seen))
    return result


def for_finding(inputs: Sequence[Input], overlay: Destination | None = None) -> list[Path | None]:
    """Return the names of pictures with what was found in them drawn over it; None where there is to be none."""
    taken = _Taken(inputs)
    return [_beside(one, overlay, FOUND, taken) for one in inputs]


def _named(path: Path, one: Input) -> Path:
    """Return a file's name as the user gave it; without a suffix, with one that will be exchanged."""
    if path.suffix or path == STANDARD:
        return path
    return path.with_name(path.name + (one.path.suffix or ".png"))


def _settled(one: Input, output: Destination | None, taken: _Taken, sides: Sequence[str]) -> Path:
    """Return the restored picture's name where the user left it to us, with the input's suffix."""
    folder = output.path / one.relative.parent if output else one.path.parent
    stem = one.path.stem
    if output is None or taken.searched(folder) or taken.input(folder, stem):
        stem += RESTORED
    stem = taken.take(folder, stem, one.path.suffix, ["", *sides])
    return folder / (stem + one.path.suffix)


def _beside(one: Input, where: Destination | None, marker: str, taken: _Taken) -> Path | None:
    """Return the name of what is made beside the restored picture, a PNG file."""
    if where is None:
        return None
    if not where.folder:
        return where.path if where.path.suffix else where.path.with_name(where.path.name + ".png")
    folder = where.path / one.relative.parent
    return folder / f"{taken.take(folder, one.path.stem, one.path.suffix, [marker])}{marker}.png"


def _differ(*paths: Path | None) -> None:
    there = [path for path in paths if path is not None]
    for i, path in enumerate(there):
        if _key(path.parent, path.name) in {_key(other.parent, other.name) for other in there[:i]}:
            raise OutputError(f"{path}: named for two results; choose another name")


class _Taken:
    """The names that are taken in each folder: the inputs' and the results'."""

    def __init__(self, inputs: Iterable[Input]) -> None:
        inputs = list(inputs)
        self._folders: dict[Path, str] = {}
        self._inputs = {self._key(one.path.parent, one.path.stem) for one in inputs}
        self._owners: dict[_Key, str | None] = dict.fromkeys(self._inputs)
        self._roots = {self._folder(one.root) for one in inputs if one.root is not None}

    def searched(self, folder: Path) -> bool:
        """Whether the folder is one that was searched, or lies in one."""
        place = self._folder(folder)
        return any(place == root or place.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)

    def input(self, folder: Path, stem: str) -> bool:
        """Whether that is an input's name."""
        return self._key(folder, stem) in self._inputs

    def take(self, folder: Path, stem: str, suffix: str, markers: Sequence[str]) -> str:
        """Return the name, or a variant of it, that is free with all these markers; from now on it is taken."""
        kind = suffix.lower().removeprefix(".")
        owners = {self._owners.get(self._key(folder, stem + marker), "") for marker in markers}
        by_kind = [f"{stem}_{kind}"] if kind and kind not in owners else []
        for name in chain([stem], by_kind, (f"{stem}_{number}" for number in count(2))):
            keys = [self._key(folder, name + marker) for marker in markers]
            if self._owners.keys().isdisjoint(keys):
                self._owners.update(dict.fromkeys(keys, kind))
                return name
        raise AssertionError("there is always another number")

    def _folder(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = _fold(os.path.realpath(folder))
        return self._folders[folder]

    def _key(self, folder: Path, stem: str) -> _Key:
        return self._folder(folder), _fold(stem)


def _key(folder: Path, name: str) -> _Key:
    return _fold(os.path.realpath(folder)), _fold(name)


def _fold(name: str) -> str:
    """Return what a file system that ignores case and the composition of letters sees of a name."""
    if name.isascii():
        return name.lower()
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
