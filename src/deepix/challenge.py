"""The 64x64 challenge: its preparation, test set, submission file and score.

The challenge asks for the unknown pixels of 64x64 grayscale pictures, each with one mosaic:

    picture ─ prepare ─▶ truth (64, 64) ─ random_mosaic, pixelate ─▶ pixelated, known ─ restorer ─▶ estimate
    estimate ─ predictions ─▶ unknown pixels of each picture ─ serialise ─▶ submission ─ score ◀─ truths

Its ranges and rounding rules are the constants below; nothing else defines them. Pictures are uint8
unless a function says otherwise, x to the right and y down.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from deepix import mosaic
from deepix.errors import DeepixError, InputError, OutputError
from deepix.mosaic import Mosaic, Rounding

SIZE = 64
"""Width and height of the challenge's pictures, in pixels."""
AREA = (4, 32)
"""Least and greatest width and height of an area, in pixels; both are drawn."""
CELL = (4, 16)
"""Least and greatest cell size, in pixels; both are drawn."""
ROUNDING: Rounding = "truncate"
"""How the challenge makes an integer of a cell's mean."""
COUNT = 6635
"""Pictures in the challenge's own test set."""

Bytes = NDArray[np.uint8]
Progress = Callable[[int], None]
"""Called with the number of pictures done since the last call."""
Restorer = Callable[[Bytes, Sequence[Mosaic], Progress | None], NDArray[np.float32]]
"""(pixelated (N, H, W), each picture's mosaic, progress) → estimates float32 (N, H, W), 0 … 255."""


# ── preparation ──────────────────────────────────────────────────────────────────────────────────


def prepare(image: Image.Image | Bytes | str | Path) -> Bytes:
    """Return a picture as the challenge prepares it: 64x64, grayscale.

    The shorter side is resized to 64 (bilinear with antialiasing, on 8-bit values; the longer one to
    int(64 · long / short)), the middle cut out, and the colours turned into luminance by `to_grayscale`.

    The challenge opened files as they are stored, so an EXIF orientation is *not* applied. Its pictures were
    8-bit grayscale or RGB; others are turned into one of these first: palettes and CMYK by Pillow,
    16 bits by dividing by 257, and what is transparent is laid on white.

    Parameters
    ----------
    image : a picture, an array uint8 (H, W) or (H, W, 3), or a file's path

    Returns
    -------
    uint8 (64, 64)

    Raises
    ------
    InputError : the file cannot be read as a picture
    ValueError : the picture is of a kind that has no 8-bit form, or more than 1000 times as long as wide

    Examples
    --------
    >>> prepare(np.full((100, 200, 3), (255, 0, 0), np.uint8))[0, :2]
    array([127, 127], dtype=uint8)
    """
    if isinstance(image, str | Path):
        return prepare_bytes(_read(Path(image)), str(image))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ValueError(f"a picture must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
        image = Image.fromarray(image)
    image = _eight_bits(image)
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if short < 1 or long > 1000 * short:
        raise ValueError(f"a picture of {width} x {height} pixels cannot be cut to a square")
    if short != SIZE:
        longer = int(SIZE * long / short)
        image = image.resize((SIZE, longer) if width <= height else (longer, SIZE), Image.Resampling.BILINEAR)
    left, top = (round((side - SIZE) / 2) for side in image.size)
    image = image.crop((left, top, left + SIZE, top + SIZE))
    return to_grayscale(np.asarray(image))


def prepare_bytes(data: bytes, name: str) -> Bytes:
    """Return the picture in an encoded file's bytes as `prepare` does; errors are `InputError`s about `name`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return prepare(image)
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture") from None
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, ValueError, struct.error …
    except Exception as error:
        raise InputError(f"{name}: cannot be read as a picture ({_one_line(error)})") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(values).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"Pillow mode {image.mode} says nothing about the values' range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def to_grayscale(image: NDArray[Any]) -> NDArray[Any]:
    """Return the luminance of an sRGB picture, as the challenge computes it.

    Linear light c/12.92 (c ≤ 0.04045), else ((c + 0.055)/1.055)^2.4; Y = 0.2126 R + 0.7152 G + 0.0722 B
    (ITU-R BT.709); back by the inverse of the first step (IEC 61966-2-1).

    Parameters
    ----------
    image : (H, W), returned as a copy, or (H, W, 3); values 0 … 255 in any type

    Returns
    -------
    (H, W) of the same type; integers are rounded
    """
    if image.ndim == 2:
        return image.copy()
    c = image / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = 0.2126 * linear[..., 0] + 0.7152 * linear[..., 1] + 0.0722 * linear[..., 2]
    gray = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055) * 255
    return (np.rint(gray) if image.dtype.kind in "iu" else gray).astype(image.dtype)


def random_mosaic(
    rng: np.random.Generator,
    size: int = SIZE,
    area: tuple[int, int] = AREA,
    cell: tuple[int, int] = CELL,
) -> Mosaic:
    """Draw a mosaic: width, height and cell size uniform, then x and y uniform where the area fits.

    Parameters
    ----------
    rng : numbers are taken from it in the order width, height, x, y, cell size
    size : the picture's width and height, in pixels
    area, cell : least and greatest, both included, in pixels
    """
    width, height = (int(rng.integers(*area, endpoint=True)) for _ in range(2))
    x, y = (int(rng.integers(0, size - side, endpoint=True)) for side in (width, height))
    return Mosaic.rectangle(x, y, width, height, int(rng.integers(*cell, endpoint=True)))


def pixelate(image: NDArray[Any], m: Mosaic) -> NDArray[Any]:
    """Return the picture with a mosaic by the challenge's rule: means of integers are cut off."""
    return mosaic.pixelate(image, [m], ROUNDING)


# ── sets of pictures ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Examples:
    """Pictures with a mosaic each, and what is under it.

    Attributes
    ----------
    images : uint8 (N, 64, 64), the truth
    mosaics : N rectangles
    """

    images: Bytes
    mosaics: list[Mosaic]

    def pixelated(self) -> Bytes:
        """Return what a restorer is given, uint8 (N, 64, 64)."""
        return np.stack([pixelate(image, m) for image, m in zip(self.images, self.mosaics, strict=True)])

    def known(self) -> NDArray[np.bool_]:
        """Return bool (N, 64, 64), True outside the mosaic."""
        return np.stack([~mosaic.unknown([m], (SIZE, SIZE)) for m in self.mosaics])

    def truths(self) -> list[Bytes]:
        """Return each picture's true unknown pixels, flat in row-major order."""
        return [image[~known] for image, known in zip(self.images, self.known(), strict=True)]

    def test_set(self) -> TestSet:
        """Return the pictures without the truth, as the challenge hands them out."""
        return TestSet(self.pixelated()[:, None], self.known()[:, None])


@dataclass(frozen=True)
class TestSet:
    """What the challenge hands out.

    Attributes
    ----------
    pixelated : uint8 (N, 1, 64, 64)
    known : bool (N, 1, 64, 64), True where a pixel is the truth
    """

    __test__ = False  # it is no test, whatever pytest makes of its name
    pixelated: Bytes
    known: NDArray[np.bool_]


def infer_mosaic(pixelated: Bytes, known: NDArray[np.bool_]) -> Mosaic:
    """Return the mosaic of a picture of which only the known pixels are stated.

    The area is the rectangle of the unknown pixels. A cell size fits if values change only at the cells' edges,
    which are multiples of it: if it divides every position where two neighbouring columns or rows differ.
    Of the sizes 4 … 16 that fit, the greatest is the likeliest, for a smaller one would need cells that are
    equal by chance. It may be greater than the true one only where that changes no cell, or cells were equal.

    Parameters
    ----------
    pixelated : uint8 (H, W)
    known : bool (H, W)

    Raises
    ------
    ValueError : the unknown pixels are not a full rectangle, or no cell size fits
    """
    unknown = ~known
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    if not rows.size:
        raise ValueError("every pixel is known")
    y, x = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - y, int(columns[-1]) + 1 - x
    if not unknown[y : y + height, x : x + width].all():
        raise ValueError("the unknown pixels are not a rectangle")
    box = pixelated[y : y + height, x : x + width]
    column_edges = np.flatnonzero((box[:, 1:] != box[:, :-1]).any(axis=0)) + 1
    row_edges = np.flatnonzero((box[1:] != box[:-1]).any(axis=1)) + 1
    divisor = math.gcd(*column_edges.tolist(), *row_edges.tolist())
    for cell in range(CELL[1], CELL[0] - 1, -1):
        if divisor % cell == 0:
            return Mosaic.rectangle(x, y, width, height, cell)
    raise ValueError(f"no cells of {CELL[0]} … {CELL[1]} pixels fit the unknown pixels")


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
    OutputError : the file exists and `overwrite` is False, or it cannot be written
    ValueError : the mosaics cannot be shared out evenly
    """
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
    write(path, buffer.getvalue(), overwrite)


def read_test_set(path: str | Path) -> TestSet:
    """Read a test set in the challenge's format: a pickled dict of `pixelated_images` and `known_arrays`.

    Protocols 2 to 5 are read. Only arrays of numbers in plain containers are admitted; a pickle that holds anything
    else is refused, and nothing that it names is ever called.

    Raises
    ------
    InputError : the file cannot be read, holds something else, or was refused
    """
    path = Path(path)
    content = _unpickle(_read(path), str(path))
    keys = ("pixelated_images", "known_arrays")
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a challenge test set ({_name(content)}, not dict)")
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
    if recognise(_read(path)) == "npz":
        examples = read_examples(path)
        return examples.pixelated(), examples.known(), examples.mosaics
    test_set = read_test_set(path)
    return test_set.pixelated[:, 0], test_set.known[:, 0], infer_mosaics(path, test_set)


def write_test_set(path: str | Path, test_set: TestSet, overwrite: bool = False) -> None:
    """Write a test set in the challenge's format.

    Raises
    ------
    OutputError : the file exists and `overwrite` is False, or it cannot be written
    """
    content = {"pixelated_images": tuple(test_set.pixelated), "known_arrays": tuple(test_set.known)}
    write(path, pickle.dumps(content, protocol=4), overwrite)


def read_truths(path: str | Path) -> list[Bytes]:
    """Read the true unknown pixels of a test set's pictures, flat uint8 arrays in its order.

    The file may be an .npz as of `read_examples`, a submission file, or a pickle of a sequence of flat
    uint8 arrays.

    Raises
    ------
    InputError : the file cannot be read, or is none of these
    """
    path = Path(path)
    kind = recognise(_read(path))
    if kind == "npz":
        return read_examples(path).truths()
    if kind == "submission":
        return read_submission(path)
    content = _unpickle(_read(path), str(path))
    if not isinstance(content, list | tuple):
        raise InputError(f"{path}: not a sequence of true pixels ({_name(content)}, not list or tuple)")
    truths = []
    for i, item in enumerate(content):
        if not isinstance(item, _Array) or item.array.dtype != np.uint8 or item.array.ndim != 1:
            raise InputError(f"{path}: item {i} is {_name(item)}, not a flat uint8 array")
        truths.append(item.array)
    return truths


def recognise(data: bytes) -> Literal["npz", "pickle", "submission"]:
    """Say by its first bytes what a file of the challenge is.

    A submission begins with a length's length, which is neither a zip's P nor a pickle's 0x80.
    """
    if data.startswith(b"PK"):
        return "npz"
    return "pickle" if data.startswith(b"\x80") else "submission"


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    data = _read(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return dict(archive)
    # a broken archive raises BadZipFile, ValueError, EOFError, zlib.error, NotImplementedError, SyntaxError …
    except Exception as error:
        raise InputError(f"{path}: not an .npz file that can be read ({_one_line(error)})") from error


# ── pickles, read without running them ───────────────────────────────────────────────────────────
#
# A pickle is a program for a small machine that can call anything by its name. `_unpickle` is such a machine with
# nothing to call: it knows only the operations that containers of arrays consist of (pickletools splits them), and
# does the four calls that a pickled array asks for itself, on checked arguments. NumPy's own functions for them
# stay out of it, since forged arguments make them misbehave (arrays of objects, types with false sizes).


class _Refused(Exception):
    """A pickle holds more than arrays of numbers in plain containers."""


class _Name(str):
    """The name of a function or class, "module.name"."""

    __slots__ = ()


@dataclass
class _Dtype:
    dtype: np.dtype[Any]


@dataclass(eq=False)
class _Array:
    array: NDArray[Any]


def _unpickle(data: bytes, name: str) -> Any:
    """Return a pickle's containers, with `_Array`s in them; InputError about `name` if it holds anything else."""
    if not data:
        raise InputError(f"{name}: the file is empty")
    try:
        return _run(data)
    except _Refused as error:
        raise InputError(f"{name}: refused, for this pickle may be unsafe: {_one_line(error)}") from None
    # a broken pickle makes pickletools raise ValueError, struct.error, UnicodeDecodeError …, and stacks run empty
    except Exception as error:
        raise InputError(f"{name}: not a pickle that can be read ({_one_line(error)})") from error


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    below: list[list[Any]] = []  # what lies under each mark
    memo: dict[int, Any] = {}
    argument: Any
    for operation, argument, _ in pickletools.genops(data):
        match operation.name:
            case "PROTO" | "FRAME":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "SHORT_BINUNICODE" | "BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation.name])
            case "MARK":
                below.append(stack)
                stack = []
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operation.name[-1])
                stack[-count:] = [_taken(stack, count)]
            case "TUPLE":
                items, stack = tuple(stack), below.pop()
                stack.append(items)
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                target, item = _taken(stack, 2)
                stack.pop()
                _of(list, target).append(item)
            case "APPENDS":
                new, stack = stack, below.pop()
                _of(list, stack[-1]).extend(new)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                target, key, value = _taken(stack, 3)
                del stack[-2:]
                _of(dict, target)[_of(str, key)] = value
            case "SETITEMS":
                new, stack = stack, below.pop()
                for key, value in zip(new[::2], new[1::2], strict=True):
                    _of(dict, stack[-1])[_of(str, key)] = value
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_Name(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                module, name = _taken(stack, 2)
                stack[-2:] = [_Name(f"{module}.{name}")]
            case "REDUCE":
                function, arguments = _taken(stack, 2)
                stack[-2:] = [_call(_of(_Name, function), _of(tuple, arguments))]
            case "BUILD":
                target, state = _taken(stack, 2)
                stack.pop()
                _build(target, _of(tuple, state))
            case "STOP":
                (result,) = stack
                return result
            case other:
                raise _Refused(f"it holds more than arrays and plain containers (pickle operation {other})")
    raise ValueError("it has no end")


def _taken(stack: list[Any], count: int) -> tuple[Any, ...]:
    if len(stack) < count:
        raise ValueError("its stack runs empty")
    return tuple(stack[-count:])


def _of(kind: type, item: Any) -> Any:
    if not isinstance(item, kind):
        raise _Refused(f"it uses a {type(item).__name__} as a {kind.__name__.lstrip('_').lower()}")
    return item


def _call(function: _Name, arguments: tuple[Any, ...]) -> object:
    """Do what a pickled array asks for: NumPy 2 has put an underscore before `core`."""
    match function.replace("numpy._core.", "numpy.core."), arguments:
        case "numpy.dtype", (str(name), *_) if re.fullmatch(r"b1|[iu][1248]|f[248]", name):
            return _Dtype(np.dtype(name))
        case "numpy.dtype", (name, *_):
            raise _Refused(f"it holds an array of {name!r}, not of numbers")
        case "numpy.core.multiarray._reconstruct", (_Name("numpy.ndarray"), (0,), b"b"):
            return _Array(np.empty(0))
        case "numpy.core.numeric._frombuffer", (raw, dtype, shape, "C" | "F" as order):
            return _Array(_array(raw, dtype, shape, order))
        case "numpy.core.numeric._frombuffer", (raw, dtype, shape, "K", tuple(axes)):
            # memory in another order of the axes: `shape` is that of memory
            return _Array(_array(raw, dtype, shape, "C").transpose(axes))
        case "_codecs.encode", (str(text), "latin1"):
            return text.encode("latin1")  # how Python 3 writes bytes in protocol 2
    raise _Refused(f"it calls {function}, which no array of numbers does")


def _build(target: object, state: tuple[Any, ...]) -> None:
    match target, state:
        case _Dtype(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
            target.dtype = target.dtype.newbyteorder(order)
        case _Array(), (int(), shape, dtype, bool(fortran), raw):
            target.array = _array(raw, dtype, shape, "F" if fortran else "C")
        case _:
            raise _Refused("it sets the state of something that is no array of numbers")


def _array(raw: object, dtype: object, shape: object, order: Literal["C", "F"]) -> NDArray[Any]:
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise _Refused("it holds an array of objects")
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise _Refused("it holds an array of a forged shape")
    if math.prod(shape) * dtype.dtype.itemsize != len(raw):
        raise _Refused(f"it holds an array of shape {shape} in {len(raw)} bytes")
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order=order)


def _stack(items: object, dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Return (N, *shape) from an unpickled sequence of arrays, or from one array."""
    if isinstance(items, _Array) and items.array.ndim:
        arrays = list(items.array)
    elif isinstance(items, list | tuple):
        arrays = [item.array if isinstance(item, _Array) else item for item in items]
    else:
        raise InputError(f"{what} must be a tuple of arrays, not {_name(items)}")
    if not arrays:
        raise InputError(f"{what} is empty")
    for i, item in enumerate(arrays):
        if not isinstance(item, np.ndarray) or item.dtype != dtype or item.shape != shape:
            raise InputError(f"{what}: picture {i} must be {dtype} {shape}, not {_name(item)}")
    return np.stack(arrays)


def _name(item: object) -> str:
    if isinstance(item, _Array):
        item = item.array
    return f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__


# ── restoring ────────────────────────────────────────────────────────────────────────────────────


def restorer(name: str, device: str = "auto", batch: int = 64) -> Restorer:
    """Return what estimates a test set's pictures.

    Parameters
    ----------
    name : "identity" (the mosaic as it is), "smooth" (the training-free restorer), or a trained network: the path of
        its weights or of the folder it was trained in, which needs the extra `train`
    device, batch : for networks: "auto", "cpu", "cuda" …, and how many pictures at once

    Returns
    -------
    A function of pixelated uint8 (N, 64, 64), N mosaics and a progress callback (or None); it
    returns estimates float32 (N, 64, 64), 0 … 255.

    Raises
    ------
    InputError : no such restorer, or weights that cannot be read
    ModuleNotFoundError : the extra `train` is missing
    """
    if name == "identity":
        return _each(lambda pixelated, m: pixelated)
    if name == "smooth":
        from deepix.smooth import smooth

        return _each(lambda pixelated, m: smooth(pixelated, [m], rounding=ROUNDING))
    if not Path(name).exists():
        raise InputError(f"{name}: no such model: 'identity', 'smooth', or a path to weights or a training run")
    from deepix.training import weights
    from deepix.training.predict import choose_device, predict

    network = weights.load(name, choose_device(device))

    def run(pixelated: Bytes, mosaics: Sequence[Mosaic], progress: Progress | None = None) -> NDArray[np.float32]:
        return predict(network, pixelated, mosaics, batch, device, progress)

    return run


def _each(restore: Callable[[Bytes, Mosaic], NDArray[Any]]) -> Restorer:
    def run(pixelated: Bytes, mosaics: Sequence[Mosaic], progress: Progress | None = None) -> NDArray[np.float32]:
        result = np.empty(pixelated.shape, np.float32)
        for i, m in enumerate(mosaics):
            result[i] = restore(pixelated[i], m)
            if progress:
                progress(1)
        return result

    return run


def predictions(
    estimates: NDArray[np.float32], known: NDArray[np.bool_], rounding: Rounding = "nearest"
) -> list[Bytes]:
    """Return each picture's unknown pixels as integers, flat in row-major order: what a submission holds.

    Parameters
    ----------
    estimates : float (N, H, W), 0 … 255; what lies outside is clipped
    known : bool (N, H, W)
    rounding : "truncate" is what the ancestor did

    Raises
    ------
    DeepixError : an estimate is not a number
    """
    if not np.isfinite(estimates).all():
        raise DeepixError("the model's estimates hold values that are not numbers; its training has diverged")
    rounded = np.floor(estimates) if rounding == "truncate" else np.rint(estimates)
    integers = np.clip(rounded, 0, 255).astype(np.uint8)
    return [picture[~mask] for picture, mask in zip(integers, known, strict=True)]


# ── submission and score ─────────────────────────────────────────────────────────────────────────


def serialise(predictions: Sequence[Bytes]) -> bytes:
    """Return a submission file.

    Byte 1 is L = ceil(log2(longest) / 8); then each prediction: its length − 1, unsigned big-endian in L bytes, and
    its bytes.

    Parameters
    ----------
    predictions : flat uint8 arrays of at least one pixel

    Raises
    ------
    ValueError : there are none, one is empty or not flat uint8, or the longest has 1 pixel (L would be 0, and the
        file could not be read back)
    """
    for i, prediction in enumerate(predictions):
        if prediction.dtype != np.uint8 or prediction.ndim != 1 or not prediction.size:
            raise ValueError(
                f"prediction {i} must be a flat uint8 array of at least one pixel, "
                f"not {prediction.dtype} {prediction.shape}"
            )
    longest = max((len(p) for p in predictions), default=0)
    if longest < 2:
        raise ValueError(
            "a submission needs a prediction of 2 pixels or more: its format cannot hold "
            + ("single pixels alone" if longest else "none")
        )
    width = _length_bytes(longest)
    parts = [bytes([width])]
    for prediction in predictions:
        parts += [(len(prediction) - 1).to_bytes(width, "big"), prediction.tobytes()]
    return b"".join(parts)


def _length_bytes(longest: int) -> int:
    return ((longest - 1).bit_length() + 7) // 8  # ceil(log2(longest) / 8) without floats


def deserialise(data: bytes) -> list[Bytes]:
    """Return the predictions of a submission file's bytes.

    Raises
    ------
    ValueError : the file is empty, ends early, or its first byte is not what its longest prediction asks for
    """
    if not data:
        raise ValueError("the file is empty")
    width = data[0]
    if not 1 <= width <= 8:
        raise ValueError(f"not a submission: its first byte says that lengths have {width} bytes")
    if len(data) == 1:
        raise ValueError("the submission holds no prediction")
    result: list[Bytes] = []
    position = 1
    while position < len(data):
        start = position + width
        if start > len(data):
            raise ValueError(f"it ends within the length of prediction {len(result)}")
        end = start + int.from_bytes(data[position:start], "big") + 1
        if end > len(data):
            raise ValueError(
                f"it ends within prediction {len(result)}: {end - start} pixels are announced, "
                f"{len(data) - start} are there"
            )
        result.append(np.frombuffer(data, np.uint8, end - start, start))
        position = end
    needed = max(1, _length_bytes(max(map(len, result))))
    if needed != width:
        raise ValueError(f"not a submission: lengths have {width} bytes where {needed} would do")
    return result


def read_submission(path: str | Path) -> list[Bytes]:
    """Read a submission file; InputError if it is not one."""
    try:
        return deserialise(_read(Path(path)))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def write_submission(path: str | Path, predictions: Sequence[Bytes], overwrite: bool = False) -> None:
    """Write a submission file.

    Raises
    ------
    OutputError : the predictions cannot be serialised (see `serialise`), the file exists and `overwrite` is False,
        or it cannot be written
    """
    try:
        data = serialise(predictions)
    except ValueError as error:
        raise OutputError(f"{path}: {error}") from None
    write(path, data, overwrite)


@dataclass(frozen=True)
class Score:
    """Root mean square errors over unknown pixels, on the scale 0 … 255. Lower is better.

    The challenge does not say which of the two its score is.

    Attributes
    ----------
    pooled : over all pictures' pixels together
    per_picture : the mean of each picture's own
    count : number of pictures
    pixels : number of unknown pixels
    """

    pooled: float
    per_picture: float
    count: int
    pixels: int


def score(predictions: Sequence[NDArray[Any]], truths: Sequence[NDArray[Any]]) -> Score:
    """Compare predictions with the truth.

    Parameters
    ----------
    predictions, truths : each picture's unknown pixels, flat, 0 … 255 in any type

    Raises
    ------
    ValueError : the numbers of pictures differ, or those of a picture's pixels; or there are none

    Examples
    --------
    >>> score([np.array([3.0]), np.array([0.0, 0.0])], [np.array([0.0]), np.array([0.0, 0.0])])
    Score(pooled=1.7320508075688772, per_picture=1.5, count=2, pixels=3)
    """
    _check_lengths([len(p) for p in predictions], [len(t) for t in truths])
    squares = np.empty(len(truths))
    for i, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        squares[i] = ((prediction.astype(np.float64) - truth.astype(np.float64)) ** 2).sum()
    lengths = np.array([len(t) for t in truths])
    return Score(
        float(np.sqrt(squares.sum() / lengths.sum())),
        float(np.sqrt(squares / lengths).mean()),
        len(truths),
        int(lengths.sum()),
    )


def score_file(path: str | Path, truth: str | Path) -> Score:
    """Score a submission file against a file that `read_truths` reads.

    Raises
    ------
    InputError : a file cannot be read, or the submission does not fit the truth
    """
    ours, theirs = read_submission(path), read_truths(truth)
    try:
        return score(ours, theirs)
    except ValueError as error:
        raise InputError(f"{path}: does not fit {truth}: {error}") from None


def _check_lengths(ours: list[int], theirs: list[int]) -> None:
    """Raise ValueError where predictions' lengths are not those of the unknown pixels."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} predictions for {len(theirs)} pictures")
    if not theirs:
        raise ValueError("there are no pictures")
    for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our != their or not their:
            raise ValueError(f"prediction {i} has {our} pixels, but picture {i} has {their} unknown ones")


def inspect(path: str | Path, against: str | Path | None = None) -> dict[str, Any]:
    """Say what a file of the challenge holds.

    Parameters
    ----------
    path : a submission, a test set, or an .npz file of true pictures
    against : a test set or a file of truths that a submission must fit

    Returns
    -------
    `kind` ("submission", "test set" or "true pictures"), `count`, `pixels` (unknown ones), and [least, greatest] of
    the predictions' `length`, or of the mosaics' `width`, `height` and `cell`

    Raises
    ------
    InputError : the file is none of these or broken, or the submission does not fit
    """
    path = Path(path)
    kind = recognise(_read(path))
    if kind == "submission":
        lengths = [len(p) for p in read_submission(path)]
        if against is not None:
            try:
                _check_lengths(lengths, _unknown_counts(Path(against)))
            except ValueError as error:
                raise InputError(f"{path}: does not fit {against}: {error}") from None
        return {"kind": kind, "count": len(lengths), "pixels": sum(lengths), "length": _range(lengths)}
    if against is not None:
        raise InputError(f"{path}: not a submission, so it cannot be held against {against}")
    if kind == "npz":
        mosaics, description = read_examples(path).mosaics, "true pictures"
    else:
        mosaics, description = infer_mosaics(path, read_test_set(path)), "test set"
    return {
        "kind": description,
        "count": len(mosaics),
        "pixels": sum(m.width * m.height for m in mosaics),
        "width": _range([m.width for m in mosaics]),
        "height": _range([m.height for m in mosaics]),
        "cell": _range([int(m.grid.width) for m in mosaics]),
    }


def _unknown_counts(path: Path) -> list[int]:
    """Return how many unknown pixels each picture of a test set, or of a file of truths, has."""
    data = _read(path)
    if recognise(data) == "pickle" and isinstance(_unpickle(data, str(path)), dict):
        return [int(n) for n in (~read_test_set(path).known).sum(axis=(1, 2, 3))]
    return [len(t) for t in read_truths(path)]


def _range(values: list[int]) -> list[int]:
    return [min(values), max(values)]


# ── looking ──────────────────────────────────────────────────────────────────────────────────────


def sample_sheet(examples: Examples, estimates: Mapping[str, NDArray[np.float32]], scale: int = 4) -> Image.Image:
    """Draw pictures in rows: truth, pixelated, and each model's prediction; errors stand below.

    Parameters
    ----------
    examples : the N pictures
    estimates : of each model by its name, float (N, 64, 64), 0 … 255
    scale : screen pixels for one of the picture's
    """
    known, truths, pixelated = examples.known(), examples.truths(), examples.pixelated()
    columns: list[tuple[str, Bytes]] = [("truth", examples.images), ("pixelated", pixelated)]
    for name, estimate in estimates.items():
        pictures = pixelated.copy()
        pictures[~known] = np.concatenate(predictions(estimate, known))
        columns.append((name, pictures))
    tile, gap, text = SIZE * scale, 8, 20
    font = ImageFont.load_default(13)
    width = gap + len(columns) * (tile + gap)
    height = text + len(pixelated) * (tile + text) + gap
    sheet = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(sheet)
    for c, (name, pictures) in enumerate(columns):
        x = gap + c * (tile + gap)
        while font.getlength(name) > tile:
            name = "…" + name[2:]  # of a path, the end says most
        draw.text((x, 3), name, fill=0, font=font)
        for r, picture in enumerate(pictures):
            y = text + r * (tile + text)
            sheet.paste(Image.fromarray(picture).resize((tile, tile), Image.Resampling.NEAREST), (x, y))
            if name != "truth":
                error = score([picture[~known[r]]], [truths[r]]).pooled
                draw.text((x, y + tile + 2), f"RMSE {error:.1f}", fill=0, font=font)
    return sheet


def png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def find_pictures(sources: Sequence[str | Path]) -> list[tuple[Path, str | None]]:
    """List the pictures in files, folders (with all below) and zip archives.

    Returns
    -------
    (file, None), or (archive, member), in the order of `sources`, sorted by name within each. In
    folders and archives only names with a picture's extension count.

    Raises
    ------
    InputError : a source is missing or a broken archive, or there are no pictures
    """
    extensions = set(Image.registered_extensions())
    found: list[tuple[Path, str | None]] = []
    for source in map(Path, sources):
        if source.is_dir():
            paths = (p for p in source.rglob("*") if p.suffix.lower() in extensions and p.is_file())
            found += [(path, None) for path in sorted(paths)]
        elif source.suffix.lower() == ".zip":
            with _open_zip(source) as archive:
                names = sorted(n for n in archive.namelist() if Path(n).suffix.lower() in extensions)
            found += [(source, name) for name in names]
        elif source.exists():
            found.append((source, None))
        else:
            raise InputError(f"{source}: no such file or folder")
    if not found:
        raise InputError(f"{', '.join(map(str, sources))}: no pictures found")
    return found


def prepare_all(found: Sequence[tuple[Path, str | None]]) -> Iterator[Bytes | InputError]:
    """Prepare what `find_pictures` listed, one by one; a picture that cannot be read gives its error instead."""
    with ExitStack() as stack:
        archives: dict[Path, zipfile.ZipFile] = {}
        for path, member in found:
            if member is not None and path not in archives:
                archives[path] = stack.enter_context(_open_zip(path))
            try:
                if member is None:
                    yield prepare(path)
                else:
                    yield prepare_bytes(_read_member(archives[path], member), f"{path}/{member}")
            except InputError as error:
                yield error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a zip archive that can be read ({_one_line(error)})") from error


def _read_member(archive: zipfile.ZipFile, member: str) -> bytes:
    try:
        return archive.read(member)
    # broken and encrypted members: BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError …
    except Exception as error:
        raise InputError(f"{archive.filename}/{member}: cannot be read ({_one_line(error)})") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {_one_line(error.strerror or error)}") from error


def check_output(path: str | Path, overwrite: bool) -> None:
    """Raise OutputError if a file may not be written there; for the time before the work for it is done."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")


def write(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OutputError : the file exists and `overwrite` is False, or it cannot be written
    """
    path = Path(path)
    check_output(path, overwrite)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_one_line(error.strerror or error)})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _one_line(error: object) -> str:
    """Return an error's text on one line, its kind if it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
