"""Pictures in quantity: from folders, archives and arrays, one after the other.

    folder, zip, tar, STL-10 .bin, .npy, .npz, picture ─ read ─▶ Source ─▶ items ─ load ─▶ bytes or pixels

Nothing is decoded here, and a picture is not read before it is asked for.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepix.errors import InputError, reason

Bytes = NDArray[np.uint8]

STL10_SIZE = 96
"""Width and height of STL-10's pictures."""

MAX_BYTES = 1 << 28
"""A file or a member of an archive with more bytes, 256 MiB, is no picture to train on, and is not read."""

_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


class Item(NamedTuple):
    """One picture of a source.

    Attributes
    ----------
    name : what messages call it
    load : returns the encoded file, or pixels uint8 (H, W) or (H, W, 3), or raises InputError; to be called, if at
        all, before the next item is taken
    same : it shows a part of the same picture as the item before it
    """

    name: str
    load: Callable[[], bytes | Bytes]
    same: bool = False


class Source(NamedTuple):
    """Pictures to read.

    Attributes
    ----------
    kind : "folder", "picture", "zip", "tar", "STL-10", "array", or another reader's own
    total : number of pictures; None where only reading to the end tells
    items : the pictures, in an order that does not depend on the machine
    info : what is known of where they come from
    """

    kind: str
    total: int | None
    items: Iterator[Item]
    info: dict[str, Any] | None = None


def read(path: str | Path) -> Source:
    """Open a folder, a zip or tar archive, an STL-10 binary, a NumPy array file or a single picture.

    Folders and archives are searched to any depth for files with the name of a picture format that Pillow reads; hidden
    files are left out. Folders and zip archives are read in the order of names, tar archives in their own. NumPy files
    hold uint8 arrays (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W), an .npz one of them, or one called `images`.

    Raises
    ------
    InputError : the path does not exist, is of another kind, damaged, or holds no picture; damage inside an archive
        may only show while its items are read
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if not path.is_file():
            raise InputError(f"{path}: neither a folder nor a regular file")
        return _open(path)
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a picture, folder, zip or tar archive, STL-10 .bin, .npy or .npz") from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except MemoryError:  # an array in an .npz may state any size
        raise InputError(f"{path}: its array is larger than the memory; split it") from None


def _open(path: Path) -> Source:
    """Return the source in a file, by its name, else by its content."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return from_array(path, np.load(path, mmap_mode="r", allow_pickle=False))
    if suffix == ".npz":
        return _npz(path)
    if suffix == ".bin":
        return _stl10(path)
    if suffix in _suffixes():
        return _picture(path)
    if suffix == ".zip" or zipfile.is_zipfile(path):
        return _zip(path)
    if ".tar" in path.suffixes or suffix == ".tgz" or tarfile.is_tarfile(path):
        return Source("tar", None, _tar(path))
    with Image.open(path):
        return _picture(path)


def total(opened: Iterable[Source]) -> int | None:
    """Return how many pictures sources hold together; None where one does not tell."""
    totals = [source.total for source in opened]
    return None if None in totals else sum(count or 0 for count in totals)


@cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN) - {".bin"}


def _is_picture(name: str) -> bool:
    parts = PurePosixPath(name).parts  # without the "./" that `tar c .` puts before every name
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and Path(name).suffix.lower() in _suffixes()


def _picture(path: Path) -> Source:
    return Source("picture", 1, iter([_file(path)]))


def _file(path: Path) -> Item:
    return _item(str(path), lambda: path.stat().st_size, path.read_bytes)


def _item(name: str, size: Callable[[], int], load: Callable[[], bytes]) -> Item:
    """Return the item of an encoded file, which is not read if it is larger than `MAX_BYTES`."""

    def checked() -> bytes:
        try:
            if size() > MAX_BYTES:
                raise InputError(f"{name}: {size()} bytes; a picture to train on has at most {MAX_BYTES >> 20} MiB")
            return load()
        # RuntimeError: a zip's member is encrypted, or compressed by an unknown method
        except (*_DAMAGE, RuntimeError) as error:
            raise InputError(f"{name}: cannot be read ({reason(error)})") from error

    return Item(name, checked)


def _folder(path: Path) -> Source:
    files = sorted(
        (file for file in path.rglob("*") if _is_picture(file.relative_to(path).as_posix()) and file.is_file()),
        key=lambda file: file.relative_to(path).as_posix(),
    )
    _need(files, path)
    return Source("folder", len(files), (_file(file) for file in files))


def _zip(path: Path) -> Source:
    archive = zipfile.ZipFile(path)
    members = [info for info in archive.infolist() if not info.is_dir() and _is_picture(info.filename)]
    members.sort(key=lambda info: info.filename)
    _need(members, path)

    def items() -> Iterator[Item]:
        with archive:
            for info in members:
                # `read` gives no more than the size that is stated
                yield _item(f"{path}:{info.filename}", partial(int, info.file_size), partial(archive.read, info))

    return Source("zip", len(members), items())


def _tar(path: Path) -> Iterator[Item]:
    found = False
    try:
        with tarfile.open(path) as archive:
            for info in archive:
                if not (info.isfile() and _is_picture(info.name)):
                    continue
                member = archive.extractfile(info)
                assert member is not None  # it is a file
                found = True
                yield _item(f"{path}:{info.name}", partial(int, info.size), member.read)
    except _DAMAGE as error:
        raise InputError(f"{path}: a damaged archive ({reason(error)})") from error
    _need(found, path)


def _stl10(path: Path) -> Source:
    count, rest = divmod(path.stat().st_size, 3 * STL10_SIZE**2)
    if rest or not count:
        raise InputError(f"{path}: not STL-10 pictures: {path.stat().st_size} bytes, no multiple of 3 · 96 · 96")
    # a plane lies column after column: (N, channel, x, y)
    planes = np.memmap(path, np.uint8, "r", shape=(count, 3, STL10_SIZE, STL10_SIZE))
    return Source("STL-10", count, _rows(path, planes.transpose(0, 3, 2, 1)))


def _npz(path: Path) -> Source:
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        name = "images" if "images" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise InputError(f"{path}: no array called images (found: {', '.join(names) or 'none'})")
        return from_array(path, arrays[name])


def from_array(path: Path, array: NDArray[Any]) -> Source:
    """Return the pictures of an array that was read from `path`; InputError if it is not one of pictures."""
    if array.dtype != np.uint8:
        raise InputError(f"{path}: pictures must be uint8, not {array.dtype}")
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)) or not array.size:
        raise InputError(f"{path}: an array of pictures is (N, H, W) or (N, H, W, 3), not {array.shape}")
    return Source("array", len(array), _rows(path, array))


def _rows(path: Path, array: Bytes) -> Iterator[Item]:
    return (Item(f"{path}[{i}]", partial(np.ascontiguousarray, row)) for i, row in enumerate(array))


def _need(pictures: object, path: Path) -> None:
    if not pictures:
        raise InputError(f"{path}: no pictures in it")
