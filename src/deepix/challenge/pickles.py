"""Arrays in pickles, read without running the pickle.

A pickle is a program for a small machine that can call anything by its name. `load` is such a machine with nothing to
call: it knows only the operations that containers of arrays consist of (pickletools splits them), and does the four
calls that a pickled array asks for itself, on checked arguments. NumPy's own functions for them stay out of it, since
forged arguments make them misbehave (arrays of objects, types with false sizes).
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepix.errors import InputError, reason


class _Refused(Exception):
    """A pickle holds more than arrays of numbers in plain containers."""


class _Name(str):
    """The name of a function or class, "module.name"."""

    __slots__ = ()


@dataclass
class _Dtype:
    dtype: np.dtype[Any]


@dataclass(eq=False)
class Array:
    """An array as it stands among what `load` returns; its `array` is read-only."""

    array: NDArray[Any]


def load(data: bytes, name: str) -> Any:
    """Return a pickle's containers, with `Array`s in them; InputError about `name` if it holds anything else."""
    if not data:
        raise InputError(f"{name}: the file is empty")
    try:
        return _run(data)
    except _Refused as error:
        raise InputError(f"{name}: refused, for this pickle may be unsafe: {reason(error)}") from None
    # a broken pickle makes pickletools raise ValueError, struct.error, UnicodeDecodeError …, and stacks run empty
    except Exception as error:
        raise InputError(f"{name}: not a pickle that can be read ({reason(error)})") from error


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
            return Array(np.empty(0))
        case "numpy.core.numeric._frombuffer", (raw, dtype, shape, "C" | "F" as order):
            return Array(_array(raw, dtype, shape, order))
        case "numpy.core.numeric._frombuffer", (raw, dtype, shape, "K", tuple(axes)):
            # memory in another order of the axes: `shape` is that of memory
            return Array(_array(raw, dtype, shape, "C").transpose(axes))
        case "_codecs.encode", (str(text), "latin1"):
            return text.encode("latin1")  # how Python 3 writes bytes in protocol 2
    raise _Refused(f"it calls {function}, which no array of numbers does")


def _build(target: object, state: tuple[Any, ...]) -> None:
    match target, state:
        case _Dtype(), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
            target.dtype = target.dtype.newbyteorder(order)
        case Array(), (int(), shape, dtype, bool(fortran), raw):
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


def describe(item: object) -> str:
    """Return what kind of thing `load` returned: an array's type and shape, else the type's name."""
    if isinstance(item, Array):
        item = item.array
    return f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__
