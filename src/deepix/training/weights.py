"""Weights as files: safetensors that rebuild their network, and DeePixV1's pickles, read without running code.

A file's metadata hold `config`, the network's family and constructor arguments, and `extra`, whatever else is worth
keeping (scores, training data), both as JSON.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError
from deepix.training import networks
from deepix.training.networks import Network, deepixv1

SUFFIX = ".safetensors"
BEST = "best" + SUFFIX
"""The file in a run's folder that holds its best weights."""


class Metadata(NamedTuple):
    """What a weights file says of itself."""

    config: dict[str, Any]
    extra: dict[str, Any]


def save(
    network: Network, path: Path | str, *, overwrite: bool = False, extra: Mapping[str, Any] | None = None
) -> None:
    """Write a network's weights, with what rebuilds it, in one step.

    Parameters
    ----------
    network : made by `networks.create` (its `config` is stored)
    path : of a .safetensors file
    overwrite : replace an existing file
    extra : ready for JSON; kept beside the weights

    Raises
    ------
    OutputError : the file exists or cannot be written, or has another suffix
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise OutputError(f"{path}: weights are written as {SUFFIX}; choose such a name")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {"config": json.dumps(network.config), "extra": json.dumps(dict(extra or {}))}
    files.write_bytes(path, safetensors.torch.save(tensors, metadata), overwrite=overwrite)


def exist(name: Path | str) -> bool:
    """Return whether a name is that of a weights file, or of a folder with weights, and not that of a network.

    A folder without weights counts if it is given as a path, for then it is meant.
    """
    path = Path(name)
    return path.is_file() or (path / BEST).is_file() or (path.is_dir() and len(path.parts) > 1)


def load(path: Path | str, device: torch.device | str = "cpu", options: Mapping[str, Any] | None = None) -> Network:
    """Rebuild a network from its weights file.

    Parameters
    ----------
    path : of a file that `save` wrote, or of a run's folder, whose best weights are taken
    device : where the network is to be
    options : arguments of its constructor that are to replace the file's; those that change its tensors do not fit

    Returns
    -------
    The network in evaluation mode

    Raises
    ------
    InputError : the file is missing, is no weights file, or its tensors are not those of its network; they are named
    """
    path = _file(path)
    config, _, state = _read(path)
    if not isinstance(config.get("name"), str):
        raise InputError(f"{path}: its metadata name no network")
    network = _create({**config, **(options or {})}, path)
    _fill(network, state, path)
    return network.to(device).eval()


def metadata(path: Path | str) -> Metadata:
    """Return what a weights file (or a run folder's best one) says of itself; raises as `load`."""
    return Metadata(*_read(_file(path))[:2])


def _file(path: Path | str) -> Path:
    path = Path(path)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise InputError(f"{path}: the folder holds no {BEST}")
        return path / BEST
    return path


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Return config, extra and tensors."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        hint = "; `deepix weights import` reads those of DeePixV1's author" if path.suffix in (".pt", ".pth") else ""
        raise InputError(f"{path}: not a {SUFFIX} file ({error}){hint}") from error
    if "config" not in texts:
        raise InputError(f"{path}: does not say which network it is for (no 'config' in its metadata)")
    try:
        config, extra = json.loads(texts["config"]), json.loads(texts.get("extra", "{}"))
    except ValueError as error:
        raise InputError(f"{path}: its metadata are damaged ({error})") from error
    if not isinstance(config, dict) or not isinstance(extra, dict):
        raise InputError(f"{path}: its metadata are damaged (no JSON objects)")
    return config, extra, state


def _create(config: Mapping[str, Any], path: Path) -> Network:
    try:
        return networks.create(**config)
    except DeepixError as error:
        raise InputError(f"{path}: {error}") from error


def _fill(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict; say all that does not fit."""
    ours = network.state_dict()
    faults = []
    for title, wrong in (
        ("missing", [name for name in ours if name not in state]),
        ("unexpected", [name for name in state if name not in ours]),
        (
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
                for name, tensor in ours.items()
                if name in state and state[name].shape != tensor.shape
            ],
        ),
    ):
        if wrong:
            faults.append(f"{title}: {', '.join(wrong)}")
    if faults:
        raise InputError(f"{path}: its tensors are not those of {network.config}; {'; '.join(faults)}")
    network.load_state_dict(dict(state))


class _Pickled:
    """Stands in for every class of a pickle: takes the attributes it had, has none of its methods."""


# What the files of DeePixV1's author are made of. Under these names only `_Pickled` is ever made; other names are
# refused, but for those that PyTorch itself allows (tensors and plain containers).
_CLASSES = [
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.activation.Sigmoid",
    "torch.nn.modules.flatten.Flatten",
    "torch.nn.modules.container.Sequential",
    *(
        f"{module}.{name}"
        for module in ("architectures", "__main__")
        for name in (
            "SimpleCNN",
            "DepixCNN",
            "BasicBlock",
            "SkipBlock",
            "SimpleDeepixCNN",
            "DeepixCNN_noskip",
            "SimpleThickCNN",
            "BasicAddBlock",
            "Deepixv1",
        )
    ),
]


def import_pickle(path: Path | str) -> Network:
    """Read a whole network that DeePixV1's author pickled with `torch.save`, without running anything in it.

    PyTorch's restricted unpickler reads the file, with an empty class in place of each of its classes and of the
    layers they use; what the file refers to beyond them is refused. Family and sizes are recognised from the
    tensors' names and shapes. A pickled state dict is read too.

    Parameters
    ----------
    path : of a zip file as `torch.save` writes since PyTorch 1.6

    Returns
    -------
    The network in evaluation mode, on the CPU

    Raises
    ------
    InputError : the file is missing, asks for code, is of another architecture, or has other tensors than it; they are
        named
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals([(_Pickled, name) for name in _CLASSES]):
            module = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever bytes can make an unpickler raise
        raise InputError(f"{path}: refused, {_refusal(path, str(error))}") from error
    try:
        state = dict(_tensors(module))
        if not state:
            raise ValueError("it holds no tensors of a network")
        config = deepixv1.recognise(state)
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    network = _create(config, path)
    _fill(network, state, path)
    return network.eval()


def _refusal(path: Path, message: str) -> str:
    """Say why PyTorch did not read a file, without its advice to read it another way."""
    if name := re.search(r"GLOBAL (\S+)", message):
        return f"it refers to {name[1]}, which no network of DeePixV1's author does"
    if not zipfile.is_zipfile(path):
        return "not in the zip format that torch.save writes since PyTorch 1.6"
    reason = re.search(r"WeightsUnpickler error:\s*(.+)", message)
    return f"not a network of DeePixV1's author ({reason[1] if reason else message.partition(chr(10))[0]})"


def _tensors(module: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the state dict of a pickled module, or of a state dict itself."""
    if isinstance(module, Mapping):
        parts: Mapping[str, object] = {"_parameters": module}
    else:
        parts = vars(module) if isinstance(module, _Pickled) else {}
    for key in ("_parameters", "_buffers", "_modules"):
        entries = parts.get(key)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if isinstance(entry, Tensor):
                yield f"{prefix}{name}", entry.detach()
            elif isinstance(entry, _Pickled):
                yield from _tensors(entry, f"{prefix}{name}.")
