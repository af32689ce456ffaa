"""Files of pictures: the challenge's test sets (pickle), and true pictures with their mosaics (.npz)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepix import files, mosaic
from deepix.challenge import pickles
from deepix.challenge.protocol import SIZE, Bytes, Examples, TestSet, infer_mosaic
from deepix.challenge.reading import MOST, check_count, read_bytes
from deepix.errors import InputError, OutputError, reason
from deepix.mosaic import Mosaic


def infer_mosaics(path: str | Path, test_set: TestSet) -> list[Mosaic]:
    """Return the mosaic of each picture of a test set that was read from `path`.

    Raises
    ------
    InputError : naming the picture, counted from 0, that has none by `infer_mosaic`
    """
    result: list[Mosaic] = []
    for pixelated, known in zip(test_set.pixelated[:, 0], test_set.known[:, 0], strict=True):
        try:
            result.append(infer_mosaic(pixelated, known))
        except ValueError as error:
            raise InputError(f"{path}: picture {len(result)}: {error}") from None
    return result


def read_examples(path: str | Path) -> Examples:
    """Read an .npz file of true pictures and their mosaics.

    It holds `images` uint8 (M, 64, 64), `params` integers (N, 5): x, y, width, height and cell size, and, where
    a picture has several mosaics in turn, `index` (N,): which picture each row of `params` belongs to.

    Raises
    ------
    InputError : the file cannot be read, or holds something else
    """
    path = Path(path)
    arrays = _read_npz(path)
    missing = [repr(key) for key in ("images", "params") if key not in arrays]
    if missing:
        found = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError(f"{path}: not a set of true pictures (no {' and no '.join(missing)}; found: {found})")
    images, params = arrays["images"], arrays["params"]
    check_count(path, len(params) if params.ndim else 0)
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE):
        raise InputError(f"{path}: 'images' must be uint8 (N, {SIZE}, {SIZE}), not {images.dtype} {images.shape}")
    if params.dtype.kind not in "iu" or params.ndim != 2 or params.shape[1] != 5 or not len(params):
        raise InputError(f"{path}: 'params' must be integers (N, 5), not {params.dtype} {params.shape}")
    index = arrays.get("index", np.arange(len(params)))
    if index.dtype.kind not in "iu" or index.shape != (len(params),):
        raise InputError(f"{path}: 'index' must be integers ({len(params)},), not {index.dtype} {index.shape}")
    if "index" not in arrays and len(images) != len(params):
        raise InputError(f"{path}: {len(images)} 'images', but {len(params)} 'params' and no 'index'")
    if index.min() < 0 or index.max() >= len(images):
        raise InputError(f"{path}: 'index' names pictures that are not among the {len(images)} 'images'")
    mosaics: list[Mosaic] = []
    for row in params.tolist():
        try:
            m = Mosaic.rectangle(*row)
            mosaic.check([m], (SIZE, SIZE))
        except ValueError as error:
            raise InputError(f"{path}: row {len(mosaics)} of 'params': {error}") from None
        mosaics.append(m)
    return Examples(images[index], mosaics)


def write_examples(path: str | Path, images: Bytes, mosaics: Sequence[Mosaic], overwrite: bool = False) -> None:
    """Write what `read_examples` reads; picture i has the mosaics i·k … i·k + k − 1, k = len(mosaics)/len(images).

    Raises
    ------
    OutputError : the file exists and `overwrite` is False, it cannot be written, or would be too large to be read
    ValueError : the mosaics cannot be shared out evenly
    """
    _check_writable(path, len(mosaics))
    if not len(images) or len(mosaics) % len(images):
        raise ValueError(f"{len(mosaics)} mosaics cannot be shared out evenly among {len(images)} pictures")
    params = [(m.x, m.y, m.width, m.height, int(m.grid.width)) for m in mosaics]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=images,
        params=np.array(params, np.int16),
        index=np.repeat(np.arange(len(images), dtype=np.int32), len(mosaics) // len(images)),
    )
    files.write_bytes(path, buffer.getvalue(), overwrite=overwrite)


def read_test_set(path: str | Path) -> TestSet:
    """Read a test set in the challenge's format: a pickled dict of `pixelated_images` and `known_arrays`.

    Protocols 2 to 5 are read. Only arrays of numbers in plain containers are admitted; a pickle that holds anything
    else is refused, and nothing that it names is ever called.

    Raises
    ------
    InputError : the file cannot be read, holds something else, or was refused
    """
    path = Path(path)
    content = pickles.load(read_bytes(path), str(path))
    keys = ("pixelated_images", "known_arrays")
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a challenge test set ({pickles.describe(content)}, not dict)")
    missing = [repr(key) for key in keys if key not in content]
    if missing:
        found = ", ".join(map(repr, list(content)[:8])) or "nothing"
        raise InputError(f"{path}: not a challenge test set (no {' and no '.join(missing)}; found: {found})")
    shape = (1, SIZE, SIZE)
    pixelated = _stack(content[keys[0]], np.dtype(np.uint8), shape, f"{path}: '{keys[0]}'")
    known = _stack(content[keys[1]], np.dtype(bool), shape, f"{path}: '{keys[1]}'")
    if len(pixelated) != len(known):
        raise InputError(f"{path}: {len(pixelated)} '{keys[0]}', but {len(known)} '{keys[1]}'")
    complete = np.flatnonzero(known.all(axis=(1, 2, 3)))
    if complete.size:
        raise InputError(f"{path}: picture {complete[0]} has no unknown pixel")
    return TestSet(pixelated, known)


def read_task(path: str | Path) -> tuple[Bytes, NDArray[np.bool_], list[Mosaic]]:
    """Return what `predict` needs of a test set, or of an .npz of true pictures: pixelated, known, mosaics.

    Returns
    -------
    uint8 (N, 64, 64), bool (N, 64, 64), and N mosaics

    Raises
    ------
    InputError : the file is neither, or a picture of it has no mosaic
    """
    path = Path(path)
    data = read_bytes(path)
    kind = recognise(data)
    if kind == "submission" and data:
        raise InputError(f"{path}: neither a test set (a pickle) nor true pictures (.npz)")
    if kind == "npz":
        examples = read_examples(path)
        return examples.pixelated(), examples.known(), examples.mosaics
    test_set = read_test_set(path)
    return test_set.pixelated[:, 0], test_set.known[:, 0], infer_mosaics(path, test_set)


def write_test_set(path: str | Path, test_set: TestSet, overwrite: bool = False) -> None:
    """Write a test set in the challenge's format.

    Raises
    ------
    OutputError : the file exists and `overwrite` is False, it cannot be written, or would be too large to be read
    """
    _check_writable(path, len(test_set.pixelated))
    content = {"pixelated_images": tuple(test_set.pixelated), "known_arrays": tuple(test_set.known)}
    files.write_bytes(path, pickle.dumps(content, protocol=4), overwrite=overwrite)


def recognise(data: bytes) -> Literal["npz", "pickle", "submission"]:
    """Say by its first bytes what a file of the challenge is.

    A submission begins with a length's length, which is neither a zip's P nor a pickle's 0x80.
    """
    if data.startswith(b"PK"):
        return "npz"
    return "pickle" if data.startswith(b"\x80") else "submission"


def _check_writable(path: str | Path, count: int) -> None:
    if count > MOST:
        raise OutputError(f"{path}: {count:,} pictures are more than a file of the challenge holds ({MOST:,} at most)")


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file, those that `read_examples` does not ask for without their content."""
    data = read_bytes(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            unpacked = sum(member.file_size for member in archive.zip.infolist() if member.filename in _MEMBERS)
            if unpacked > _MOST_UNPACKED:
                raise InputError(f"{path}: unpacks to {unpacked:,} bytes; it may hold {MOST:,} pictures at most")
            return {name: archive[name] if f"{name}.npy" in _MEMBERS else np.empty(0) for name in archive.files}
    except InputError:
        raise
    # a broken archive raises BadZipFile, ValueError, EOFError, zlib.error, NotImplementedError, SyntaxError …
    except Exception as error:
        raise InputError(f"{path}: not an .npz file that can be read ({reason(error)})") from error


_MEMBERS = ("images.npy", "params.npy", "index.npy")
_MOST_UNPACKED = MOST * (SIZE**2 + 6 * 8) + 3 * 4096
"""Bytes of `MOST` pictures with their `params` and `index` as 64-bit integers, and of three headers."""


def _stack(items: object, dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Return (N, *shape) from an unpickled sequence of arrays, or from one array."""
    if isinstance(items, pickles.Array) and items.array.ndim:
        check_count(what, len(items.array))
        arrays = list(items.array)
    elif isinstance(items, list | tuple):
        check_count(what, len(items))
        arrays = [item.array if isinstance(item, pickles.Array) else item for item in items]
    else:
        raise InputError(f"{what} must be a tuple of arrays, not {pickles.describe(items)}")
    if not arrays:
        raise InputError(f"{what} is empty")
    for i, item in enumerate(arrays):
        if not isinstance(item, np.ndarray) or item.dtype != dtype or item.shape != shape:
            raise InputError(f"{what}: picture {i} must be {dtype} {shape}, not {pickles.describe(item)}")
    return np.stack(arrays)
