"""Flags of the command line, made from where the settings of training are declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from deepix.training.engine.settings import Option, Settings, declarations


def with_settings(kinds: Iterable[type[Settings]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for a command whose `**given` stands for the flags of all settings of these kinds."""
    flags: dict[str, inspect.Parameter] = {}
    for kind in kinds:
        for name, (type_, default, option) in declarations(kind).items():
            if option.help is not None:
                flags.setdefault(name, _parameter(name, type_, default, option))
        for name, (type_, default, option) in kind.FLAGS.items():
            flags.setdefault(name, _parameter(name, type_, default, option))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        changed: Any = command
        changed.__signature__ = signature.replace(parameters=[*own, *flags.values()])
        changed.__annotations__ = {p.name: p.annotation for p in (*own, *flags.values())}
        return command

    return decorate


def _parameter(name: str, type_: Any, default: Any, option: Option) -> inspect.Parameter:
    if isinstance(default, dict):  # given as NAME=VALUE, any number of them
        type_, default = list[str] | None, None
    shown: Any = False if default is None and option.shown is True else option.shown
    described = typer.Option(
        *([option.flag] if option.flag else []),
        help=option.help,
        rich_help_panel=option.panel,
        metavar=option.metavar,
        show_default=shown,
        min=option.least,
    )
    annotation: Any = Annotated[type_, described]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def chosen(kind: type[Settings], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the flags that this kind of settings has."""
    return {name: value for name, value in given.items() if name in declarations(kind) or name in kind.FLAGS}
