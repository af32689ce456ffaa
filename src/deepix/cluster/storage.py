"""Folders wherever fsspec reaches: local ones, shared disks, s3://, gs://, az://, hf://, zip://; listed piece by piece.

Local files are used in place; others are fetched and stored whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError, reason

MARK = "ray."
"""Of the temporary files of cluster runs: see `deepix.files.marked`."""
PAGE = 1000
"""Names that an object store lists at once."""


class Entry(NamedTuple):
    """A file in a folder.

    Attributes
    ----------
    name : below the folder that is searched, with slashes
    size : in bytes
    state : what changes when the file does: its time of change or its digest
    """

    name: str
    size: int
    state: str


class Unreadable(NamedTuple):
    """A folder that cannot be listed.

    Attributes
    ----------
    name : of the folder
    why : one line
    """

    name: str
    why: str


Chunk = list[Entry]
"""Files of one folder, in the order of their names, those that differ in the suffix only together."""


@dataclass(frozen=True)
class Folder:
    """A folder named by a path or a URL; can be pickled.

    Attributes
    ----------
    url : as the user named it
    """

    url: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            system, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise DeepixError(f"{self.url}: {reason(error)}") from error
        except (ValueError, OSError) as error:
            raise InputError(f"{self.url}: cannot be opened ({reason(error)})") from error
        return system, str(root).rstrip("/")

    @property
    def local(self) -> Path | None:
        """The folder on this machine's disks; None if it is not there."""
        system, root = self._place
        protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
        return Path(root or "/") if "file" in protocols else None

    def named(self, name: str) -> str:
        """Return what messages call a file of the folder."""
        if self.local is not None:
            return str(self.local / name)
        if self.url.startswith("zip:") and "::" in self.url:
            inner, _, outer = self.url.partition("::")
            return f"{inner.rstrip('/')}/{name}::{outer}"
        return f"{self.url.rstrip('/')}/{name}"

    # ── listing ──────────────────────────────────────────────────────────────────────────────────

    def chunks(self) -> Iterator[Chunk | Unreadable]:
        """Yield what is in the folder, one of its folders after the other, an object store's names a page at a time.

        Hidden files and folders are left out. In memory is one folder's listing, on S3 one page.

        Raises
        ------
        InputError : there is no such folder
        """
        system, root = self._place
        try:
            if hasattr(system, "call_s3"):
                yield from _pages(system, root)
                return
            there = system.isdir(root)
        except DeepixError:
            raise
        except Exception as error:  # each store has errors of its own
            raise InputError(f"{self.url}: cannot be listed ({reason(error)})") from error
        if not there:
            raise InputError(f"{self.url}: no such folder")
        yield from self._walked(system, root)

    def check(self) -> None:
        """Raise if there is nothing to be listed.

        Raises
        ------
        InputError : there is no such folder, it is empty, or cannot be looked into
        """
        if next(self.chunks(), None) is None:
            raise InputError(f"{self.url}: no pictures in this folder")

    def _walked(self, system: Any, root: str) -> Iterator[Chunk | Unreadable]:
        failed: list[OSError] = []
        for path, folders, found in system.walk(root, detail=True, on_error=failed.append):
            below = str(path)[len(root) :].strip("/")
            for name in [name for name in folders if name.startswith(".")]:
                del folders[name]
            chunk = [
                _entry(_join(below, name), info) for name, info in sorted(found.items()) if name[:1] not in ("", ".")
            ]
            if chunk:
                yield chunk
            while failed:
                yield Unreadable(self.url, f"a folder cannot be looked into ({reason(failed.pop())})")
        for error in failed:
            yield Unreadable(self.url, f"a folder cannot be looked into ({reason(error)})")

    # ── files ────────────────────────────────────────────────────────────────────────────────────

    def fetch(self, name: str, into: Path) -> Path:
        """Return a file on this machine with the content of a file of the folder: itself, or a copy in `into`.

        Raises
        ------
        InputError : it cannot be read
        """
        if self.local is not None:
            return self.local / name
        path = into / PurePosixPath(name).name
        system, root = self._place
        try:
            path.write_bytes(system.cat_file(_join(root, name)))
        except Exception as error:  # each store has errors of its own
            raise InputError(f"{self.named(name)}: cannot be read ({reason(error)})") from error
        return path

    def store(self, name: str, data: bytes, *, overwrite: bool) -> None:
        """Write a file of the folder, whole or not at all; the same content there already is as good.

        Raises
        ------
        OutputError : another file is there and `overwrite` is False, or it cannot be written
        """
        try:
            old = self.read(name)
            if old == data:
                return
            if old is not None and not overwrite:
                raise files.failure(Path(self.named(name)), FileExistsError())
            self._put(name, data)
        except DeepixError:
            raise
        except Exception as error:
            raise OutputError(f"{self.named(name)}: cannot be written ({reason(error)})") from error

    def _put(self, name: str, data: bytes) -> None:
        if self.local is not None:
            path = self.local / name
            files.make_folder(path.parent)
            with files.marked(MARK):
                files.write_bytes(path, data, overwrite=True)
            return
        system, root = self._place
        system.pipe_file(_join(root, name), data)

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is none."""
        system, root = self._place
        try:
            data: bytes = system.cat_file(_join(root, name))
        except FileNotFoundError:
            return None
        return data

    def names(self, below: str) -> list[str]:
        """Return the names of the files right in a folder of this one, sorted; none if there is no such folder."""
        system, root = self._place
        try:
            found = system.ls(_join(root, below), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).name for path in found)

    def present(self, names: Collection[str]) -> set[str]:
        """Return which of these files, all of one folder of this one, are there.

        Of an object store only what lies between the first and the last of them in order is listed.
        """
        if self.local is not None or not names:
            return {name for name in names if self.local is not None and os.path.lexists(self.local / name)}
        first, last = min(names), max(names)
        below = first.rpartition("/")[0]
        system, root = self._place
        if not hasattr(system, "call_s3"):
            return {_join(below, name) for name in self.names(below)} & set(names)
        start = len(_join(root.partition("/")[2], "x")) - 1
        there = set()
        after = _join(root, first).partition("/")[2][:-1]  # what comes right before it
        for key in _keys(system, _join(root, below), after):
            if (name := key[start:]) > last:
                break
            there.add(name)
        return there & set(names)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file of the folder, on S3 at least never over another one; return whether there was none."""
        system, root = self._place
        path = _join(root, name)
        if system.exists(path):
            return False
        try:
            system.pipe_file(path, data, mode="create")
        except OSError:
            if system.exists(path):  # made meanwhile
                return False
            raise
        return True

    def remove(self, name: str) -> None:
        """Remove a file of the folder, if it is there."""
        system, root = self._place
        with suppress(FileNotFoundError):
            system.rm_file(_join(root, name))

    def tidy(self, below: str) -> None:
        """Remove the temporary files that a killed run left in a folder of this one: no run may be at work."""
        if self.local is not None:
            files.remove_marked(self.local / below, MARK)

    def holds(self, other: Folder) -> bool:
        """Whether the other folder is this one, or lies in it."""
        if self.local is not None and other.local is not None:
            return Path(os.path.realpath(other.local)).is_relative_to(os.path.realpath(self.local))
        return f"{other.url.rstrip('/')}/".startswith(f"{self.url.rstrip('/')}/")


def _pages(system: Any, root: str) -> Iterator[Chunk]:
    """List an S3 bucket, or what is below a prefix, a page at a time, in the order of the keys."""
    bucket, _, prefix = root.partition("/")
    prefix = f"{prefix}/" if prefix else ""
    held: list[dict[str, Any]] = []
    met = False
    for found, last in _listed(system, bucket, prefix):
        held += found
        met = met or bool(held)
        # a stem may go on on the next page
        stem = "" if last or not held else _first(held[-1]["Key"])
        cut = len(held) if last else next(i for i, one in enumerate(held) if _first(one["Key"]) == stem)
        yield from _by_folder(held[:cut], prefix)
        held = held[cut:]
    if not met:
        raise InputError(f"s3://{root}: no such folder, or it is empty")


def _keys(system: Any, root: str, after: str) -> Iterator[str]:
    """List what is right in a folder of an S3 bucket behind a key, in order."""
    bucket, _, prefix = root.partition("/")
    prefix = f"{prefix}/" if prefix else ""
    for found, _last in _listed(system, bucket, prefix, StartAfter=after, Delimiter="/"):
        yield from (one["Key"] for one in found)


def _listed(system: Any, bucket: str, prefix: str, **more: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """List what is below a prefix of an S3 bucket, in the keys' order; yields pages, and whether it is the last one."""
    listed: Callable[..., dict[str, Any]] = system.call_s3
    last = False
    while not last:
        page = listed("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **more)
        last = not page.get("IsTruncated")
        yield page.get("Contents", []), last
        if not last:
            more["ContinuationToken"] = page["NextContinuationToken"]


def _by_folder(page: list[dict[str, Any]], prefix: str) -> Iterator[Chunk]:
    chunks: dict[str, Chunk] = {}
    for one in page:
        name = one["Key"][len(prefix) :]
        if name and not name.endswith("/") and not any(part.startswith(".") for part in name.split("/")):
            entry = Entry(name, one["Size"], one["ETag"].strip('"'))
            chunks.setdefault(name.rpartition("/")[0], []).append(entry)
    yield from chunks.values()


def _first(key: str) -> str:
    folder, _, name = key.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _entry(name: str, info: dict[str, Any]) -> Entry:
    changed = (info.get(key) for key in ("ETag", "etag", "md5Hash", "CRC", "mtime", "LastModified", "last_modified"))
    state = next((str(value) for value in changed if value is not None), "")
    return Entry(name, int(info.get("size") or 0), state)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name
