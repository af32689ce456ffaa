"""What `run.json` says of a run: its settings, what it trains on, where and when, and what came of it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import deepix
from deepix import files
from deepix.errors import DeepixError, InputError, reason
from deepix.training import stages
from deepix.training.engine.settings import Settings, declarations
from deepix.training.networks import Network

RUN = "run.json"
"""The file in a run's folder that holds its settings and what else it takes to repeat it."""

PACKAGES = ("torch", "lightning", "numpy", "pillow")


def describe(settings: Settings, network: Network, data: dict[str, Any]) -> dict[str, Any]:
    """Return what is written when a run begins."""
    return {
        "settings": asdict(settings),
        "command": sys.argv,
        "network": {"config": network.config, "parameters": network.parameter_count()},
        "data": data,
        "environment": {
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "deepix": deepix.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def resumed(description: dict[str, Any], run: Path, step: int) -> dict[str, Any]:
    """Return what is written of a run that goes on after a step: how it began, and how it was resumed."""
    try:
        before = json.loads((run / RUN).read_text("utf-8"))
        budget = {name: before["settings"][name] for name in ("minutes", "steps", "epochs")}
        first = {name: before[name] for name in ("command", "started")}
        same = before["data"]["sha256"] == description["data"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / RUN}: damaged ({type(error).__name__}: {reason(error)})") from error
    if not same:
        raise InputError(
            f"{description['data']['file']}: other pictures than the run began with; put those back, or begin a new run"
        )
    again = {name: description[name] for name in first} | {"after_step": step, "budget_before": budget}
    return {**description, **first, "resumed": [*before.get("resumed", []), again]}


def write(run: Path, content: dict[str, Any]) -> None:
    """Write a run's description, in one step."""
    files.write_bytes(run / RUN, (json.dumps(content, indent=2) + "\n").encode(), overwrite=True)


def read(run: Path | str) -> Settings:
    """Return the settings in a run's `run.json` (give the folder or the file).

    Raises
    ------
    InputError : there is none, or it is damaged
    """
    path = Path(run) / RUN if Path(run).is_dir() else Path(run)
    try:
        content = json.loads(path.read_text("utf-8"))
        stored = content["settings"]
        kind = stages.get(stage_of(stored, content["network"]["config"])).settings
        return kind(**{name: stored[name] for name in declarations(kind) if name in stored})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is this the folder of a run?") from None
    except (OSError, ValueError, KeyError, TypeError, DeepixError) as error:
        raise InputError(f"{path}: cannot be used as a run's settings ({error})") from error


def stage_of(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the name of the stage of a run with these settings; older ones leave it to the network to say."""
    return str(settings.get("stage") or stages.of_network(config["name"]).name)
