"""ONNX models by name or path: found, opened once, described by themselves, and run.

Nothing here knows what a model is for. A room that needs a restorer or a locator reads what it needs from
`Network.about`.
"""

from __future__ import annotations

import json
import stat
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from os import PathLike
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from deepix import files
from deepix.errors import DeepixError, InputError, reason
from deepix.inference.session import Session, open_session
from deepix.threads import check, limit, limited

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


KEPT = 6
"""Opened models that a `Models` keeps: the last ones that were asked for."""


@dataclass(frozen=True, eq=False)
class Network:
    """An opened model that describes itself; may be run by several threads at once.

    Attributes
    ----------
    name : what messages call it: the file's path, or a shipped file's name
    about : what the file says of itself under "deepix" in its metadata; empty where it says nothing
    inputs, outputs : their names, in the model's order
    """

    name: str
    about: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    _session: Session = field(repr=False)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the model's outputs, in the order of `outputs`.

        Raises
        ------
        DeepixError : the model cannot be run on these inputs, or returns numbers that are not finite
        """
        try:
            results = self._session.run(None, dict(inputs))
        except Exception as error:  # ONNX Runtime's exceptions are derived from Exception only
            raise DeepixError(f"{self.name}: the model cannot be run ({reason(error)})") from error
        for name, values in zip(self.outputs, results, strict=True):
            if not np.isfinite(values).all():
                raise DeepixError(f"{self.name}: the model is broken, its output '{name}' is not finite")
        return list(results)


class Models:
    """The models that come with Deepix, and other ONNX files, each opened once; may be used by several threads at once.

    Parameters
    ----------
    threads : that one run of a model may use; None: what `deepix.threads.limit` says where the model is opened

    Raises
    ------
    ThreadsError : no possible number of threads

    Examples
    --------
    >>> with Models(threads=1) as models:
    ...     models.open("photo").about["stride"]
    8
    """

    def __init__(self, threads: int | None = None) -> None:
        check(threads)
        self._threads = threads
        self._lock = Lock()
        self._opened: OrderedDict[Hashable, _Opening] = OrderedDict()

    def open(self, model: str | PathLike[str]) -> Network:
        """Return an opened model; the last few are kept, until their file changes.

        Parameters
        ----------
        model : the name of one that comes with Deepix ("photo", "challenge", "locator"), or the path of an .onnx file

        Raises
        ------
        InputError : no such model, or not an ONNX model that can be used
        """
        with limit(self._threads):
            number = limited()
        identity, name, read = _found(model)
        with self._lock:
            opening = self._opened.setdefault((*identity, number), _Opening())
            self._opened.move_to_end((*identity, number))
            while len(self._opened) > KEPT:
                self._opened.popitem(last=False)
        # outside the lock: nobody waits for a model that someone else asked for
        return opening.network(lambda: _open(read(), name, number))

    def close(self) -> None:
        """Let go of all models; one that is asked for afterwards is opened anew."""
        with self._lock:
            self._opened.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Opening:
    """A model that the first one who needs it opens, while others who need it wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._network: Network | None = None

    def network(self, make: Callable[[], Network]) -> Network:
        with self._lock:
            if self._network is None:
                self._network = make()
            return self._network


@lru_cache(maxsize=1)
def default() -> Models:
    """Return the process's own `Models`, for callers that bring none."""
    return Models()


def shipped() -> tuple[str, ...]:
    """Return the names of the models that come with Deepix."""
    return tuple(sorted(place.name.removesuffix(".onnx") for place in _places() if place.name.endswith(".onnx")))


def _places() -> list[Traversable]:
    folder = resources.files("deepix") / "weights"
    return list(folder.iterdir()) if folder.is_dir() else []


def _found(model: str | PathLike[str]) -> tuple[tuple[Hashable, ...], str, Callable[[], bytes]]:
    """Return what tells a model from others, what to call it, and how to read it."""
    if isinstance(model, str):
        place = resources.files("deepix") / "weights" / f"{model}.onnx"
        if model in shipped():
            return (model,), place.name, place.read_bytes
    path = Path(model)
    try:
        about = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        known = ", ".join(shipped())
        if isinstance(model, str) and model.isidentifier():
            raise InputError(
                f"the model '{model}' is missing from this installation (there are: {known or 'none'}): "
                "name one of these or the path of an .onnx file, or install Deepix anew"
            ) from error
        raise InputError(f"{path}: no such model: {known}, or the path of an .onnx file") from error
    if not stat.S_ISREG(about.st_mode):  # reading a device may never end
        raise InputError(f"{path}: not a file")
    return (path.absolute(), about.st_mtime_ns, about.st_size), str(path), lambda: files.read_bytes(path)


def _open(content: bytes, name: str, number: int | None) -> Network:
    session = open_session(content, name, number)
    text = session.get_modelmeta().custom_metadata_map.get("deepix", "{}")
    try:
        about = json.loads(text)
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise InputError(f"{name}: not a model of Deepix (its metadata hold no description that can be read)")
    inputs = tuple(value.name for value in session.get_inputs())
    outputs = tuple(value.name for value in session.get_outputs())
    return Network(name, MappingProxyType(about), inputs, outputs, session)
