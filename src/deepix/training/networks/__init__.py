"""The networks: one file for each family, and the registry that makes them by name.

A name is a family, or `family:size`; a size is one of the family's named ones, or numbers for its `arguments` in their
order, parts separated by colons and ranges by commas: `deepixv1:5,5,6,7:3,5` has the shape (5, 5, 6, 7) and the kernels
(3, 5). To add a family, write its file and enter it in `FAMILIES` if it restores, else in the `families` of its stage.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepix.errors import DeepixError
from deepix.training import stages
from deepix.training.networks import deepixv1
from deepix.training.networks.base import Network
from deepix.training.networks.restorer import Restorer

__all__ = ["FAMILIES", "Family", "Network", "create", "names"]


@dataclass(frozen=True)
class Family:
    """An entry of the registry.

    Attributes
    ----------
    network : the class
    arguments : which arguments of the constructor the numbers in a name are for
    sizes : the named sizes, each with its arguments of the constructor
    """

    network: type[Network]
    arguments: tuple[str, ...] = ()
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _numbers(arguments: tuple[str, ...], size: str) -> dict[str, Any]:
    """Read "5,5,6,7:3,5" as the arguments' values: an int, or a tuple of ints where there is a comma."""
    parts = size.split(":")
    if len(parts) > len(arguments):
        raise ValueError(f"no size is called {size!r}")
    try:
        values = [tuple(int(n) for n in part.split(",")) for part in parts]
    except ValueError:
        raise ValueError(f"{size!r} is neither a named size nor numbers") from None
    return {name: value if len(value) > 1 else value[0] for name, value in zip(arguments, values, strict=False)}


def _family(network: type[Network], arguments: tuple[str, ...], *sizes: str) -> Family:
    return Family(network, arguments, {size: _numbers(arguments, size) for size in sizes})


FAMILIES: dict[str, Family] = {
    "basiccnn": _family(deepixv1.BasicCNN, ("length", "width", "kernel"), "5:32:3"),
    "simplecnn": _family(deepixv1.SimpleCNN, ("hidden", "kernels"), "14:2,6", "14:6,2"),
    "depixcnn": _family(deepixv1.DepixCNN, ("hidden", "kernels", "skip_kernel"), "14:6,2:3"),
    "simpledeepixcnn": _family(deepixv1.SimpleDeepixCNN, ("blocks", "kernels"), "6:6,3"),
    "deepixcnn": _family(deepixv1.DeepixCNN, ("blocks", "kernels"), "10:7,3", "7:6,3"),
    "simplethickcnn": _family(deepixv1.SimpleThickCNN, ("length", "kernels"), "5:3,6", "5:3,3", "5:6,3"),
    "deepixv1": _family(
        deepixv1.Deepixv1,
        ("shape", "kernels"),
        "5,5,5:3,5",
        "4,5,7,3:3,3",
        "5,5,6,7:3,5",
        "5,5,6,7,8:3,5",
        "5,7,9:3,5",
        "5,5,6,6,7,7,8:3,5",
    ),
    "restorer": Family(
        Restorer,
        ("widths", "blocks"),
        {
            "small": {"widths": (48, 96, 128), "blocks": (2, 2, 2)},
            "base": {"widths": (64, 128, 192), "blocks": (2, 2, 3)},
        },
    ),
}


def names() -> list[str]:
    """Return the restorers' named sizes, as `family:size`, and the families without any."""
    return [name for family, f in FAMILIES.items() for name in ([f"{family}:{s}" for s in f.sizes] or [family])]


def _find(name: str) -> Family | None:
    """Return a family: a restorer's, or one of any stage."""
    if name in FAMILIES:
        return FAMILIES[name]
    every = (stages.get(stage).families for stage in stages.names())
    return next((families[name] for families in every if name in families), None)


def create(name: str, **overrides: Any) -> Network:
    """Return a new network.

    Parameters
    ----------
    name : "family" or "family:size", see the module's text; case does not matter
    overrides : arguments of the family's constructor; they win over those the name gives

    Raises
    ------
    DeepixError : no such family or size, or values that the family cannot have

    Examples
    --------
    >>> create("DeePixV1:5,5,5:3,5").config
    {'name': 'deepixv1', 'shape': [5, 5, 5], 'kernels': [3, 5], 'batch_norm': True}
    """
    family_name, _, size = name.strip().lower().partition(":")
    family = _find(family_name)
    if family is None:
        raise DeepixError(f"no network is called {name!r}; there are {', '.join(names())}")
    signature = inspect.signature(family.network)
    try:
        given = family.sizes[size] if size in family.sizes else _numbers(family.arguments, size) if size else {}
        bound = signature.bind(**{**given, **overrides})
        network = family.network(*bound.args, **bound.kwargs)
    except (TypeError, ValueError) as error:
        known = ", ".join(n for n in names() if n.partition(":")[0] == family_name)
        raise DeepixError(
            f"network {name!r}: {error}; {family_name} takes {', '.join(signature.parameters)}, as in {known}"
        ) from error
    bound.apply_defaults()
    # as JSON gives it back
    arguments = {key: list(v) if isinstance(v, tuple) else v for key, v in bound.arguments.items()}
    network.config = {"name": family_name, **arguments}
    return network
