"""The verbs of the command line, imported when one of them is wanted: half of a small picture's time is imports."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

VERBS = {
    "restore": "photos",
    "find": "photos",
    "pixelate": "pixelate",
    "demo": "demo",
    "web": "web",
    "train": "training",
    "plot": "training",
    "summary": "summary",
    "challenge": "challenge",
    "data": "data",
    "weights": "weights",
}
"""By name, in the order of the help: the module of `deepix.cli` whose `register` adds it to an app."""


class _Commands(MutableMapping[str, Any]):
    """The verbs' commands; each is made when it is asked for first."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            part = typer.Typer(rich_markup_mode="rich")
            import_module(f"deepix.cli.{VERBS[name]}").register(part)
            _unwrap(part)
            self._made.update(typer.main.get_group(part).commands)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError("verbs are declared in VERBS")

    def __delitem__(self, name: str) -> None:
        raise TypeError("verbs are declared in VERBS")

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class Verbs(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()


def _unwrap(commands: typer.Typer) -> None:
    """Let the terminal wrap the help's paragraphs, which are wrapped in the code already; examples stay lines."""
    for command in commands.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", None) or "")
        command.help = re.sub(r"(?<=[^\n])\n(?=[^\s])", " ", text)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _unwrap(group.typer_instance)
