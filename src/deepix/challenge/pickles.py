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
from collections.abc import Callable
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
    machine = _Machine()
    for operation, argument, _ in pickletools.genops(data):
        if operation.name == "STOP":
            (result,) = machine.stack
            return result
        step = _OPERATIONS.get(operation.name)
        if step is None:
            raise _Refused(f"it holds more than arrays and plain containers (pickle operation {operation.name})")
        step(machine, argument)
    raise ValueError("it has no end")


class _Machine:
    """What a pickle works on: each method does one of its operations, or several that differ in their arguments."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what lies under each mark
        self.memo: dict[int, Any] = {}

    def nothing(self, argument: Any) -> None:
        pass

    def push(self, argument: Any) -> None:
        self.stack.append(argument)

    def mark(self, argument: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """Take what was put on the stack since the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def tuple_of(self, count: int) -> None:
        self.stack[-count:] = [_taken(self.stack, count)]

    def tuple_since_mark(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append(tuple(items))

    def append(self, argument: Any) -> None:
        target, item = _taken(self.stack, 2)
        self.stack.pop()
        _of(list, target).append(item)

    def appends(self, argument: Any) -> None:
        items = self.since_mark()
        _of(list, self.stack[-1]).extend(items)

    def set_item(self, argument: Any) -> None:
        target, key, value = _taken(self.stack, 3)
        del self.stack[-2:]
        _of(dict, target)[_of(str, key)] = value

    def set_items(self, argument: Any) -> None:
        items = self.since_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            _of(dict, self.stack[-1])[_of(str, key)] = value

    def memoize(self, argument: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, argument: Any) -> None:
        self.memo[argument] = self.stack[-1]

    def get(self, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    def name(self, argument: Any) -> None:
        self.stack.append(_Name(argument.replace(" ", ".")))

    def name_on_stack(self, argument: Any) -> None:
        module, name = _taken(self.stack, 2)
        self.stack[-2:] = [_Name(f"{module}.{name}")]

    def call(self, argument: Any) -> None:
        function, arguments = _taken(self.stack, 2)
        self.stack[-2:] = [_call(_of(_Name, function), _of(tuple, arguments))]

    def build(self, argument: Any) -> None:
        target, state = _taken(self.stack, 2)
        self.stack.pop()
        _build(target, _of(tuple, state))


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Machine.nothing),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _Machine.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": _Machine.tuple_since_mark,
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}


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
