"""The runs that weights were trained in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepix.errors import InputError, reason
from deepix.training import stages, weights
from deepix.training.engine import description
from deepix.training.engine.description import RUN
from deepix.training.engine.stage import Stage


def stage_of(source: Path | str) -> Stage:
    """Return the stage of a weights file or run folder: of its run, or else the one that trains its network.

    Raises
    ------
    InputError : no weights
    DeepixError : there is no such stage
    """
    config, extra = weights.metadata(source)
    return stages.get(description.stage_of(extra.get("settings", {}), config))


def stage_of_network(network: str) -> Stage:
    """Return the stage that trains what a run starts from: weights, or a network by name.

    Raises
    ------
    InputError, DeepixError : there is no such thing
    """
    if weights.exist(network):
        return stages.of_network(weights.metadata(network).config["name"])
    return stages.of_network(network)


def history(source: Path | str) -> list[dict[str, Any]]:
    """Return the runs that weights were trained in, the first one first, ready for JSON and without folders' names.

    A run began with new weights or went on from a file; that one's runs come before it. Weights that were released
    carry their history; a run's are described by its folder.

    Parameters
    ----------
    source : a weights file, or the folder of a run

    Raises
    ------
    InputError : the file is missing, is no weights file, or its run's description is damaged
    """
    source = Path(source)
    extra = weights.metadata(source).extra
    if "training" in extra:
        return list(extra["training"])
    if "settings" not in extra:
        return []
    start = Path(extra["settings"]["network"])
    # a run that took the place of the one that it went on from would be its own past
    its_own = start.resolve() in (source.resolve(), (source / weights.BEST).resolve())
    before = history(start) if weights.exist(start) and not its_own else []
    entry = {
        "from": start.name,
        "minutes": round(extra["minutes"], 1),
        "steps": int(extra["step"]),
        "epochs": round(extra["epoch"], 2),
        "data": Path(extra["data"]["file"]).name,
        **stage_of(source).trained(extra),
    }
    beside = (source if source.is_dir() else source.parent) / RUN
    if beside.exists():
        try:
            run = json.loads(beside.read_text("utf-8"))
            machine, budget = run["environment"], run["settings"]
            entry |= {"started": run["started"], "budget_minutes": budget["minutes"], "budget_steps": budget["steps"]}
            entry["device"] = machine["gpu"] or machine["machine"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{beside}: cannot be used as a run's description ({reason(error)})") from error
        # released while it trained, then trained on: the later entry replaces the earlier one
        before = [earlier for earlier in before if earlier.get("started") != entry["started"]]
    return [*before, entry]
