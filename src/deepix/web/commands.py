"""The command line that does what was done on the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path

from deepix.images import MARKER
from deepix.mosaic import CellValueKind, Mosaic


@dataclass(frozen=True)
class Command:
    """A command line, for a POSIX shell.

    Attributes
    ----------
    text : to copy
    areas : the name of the file with the areas that it reads; None if it reads none
    """

    text: str
    areas: str | None = None


def command(
    name: str,
    found: Sequence[Mosaic],
    chosen: Sequence[Mosaic],
    *,
    sure: float,
    cell_value: CellValueKind | None = None,
) -> Command:
    """Return what restores the chosen areas of a file, without detail.

    Parameters
    ----------
    name : the file's
    found : what `deepix.find` finds in it
    chosen : what was restored: of these, or others, in this order
    sure : the least confidence with which the command line restores what it finds
    cell_value : what the visitor said that cells show; a file with areas has it in it
    """
    file = f"./{name}" if name.startswith("-") else name
    rest = by_confidence(found, chosen, sure)
    areas = None
    if rest is None:
        rest = _by_areas(chosen)
    if rest is not None and cell_value is not None:
        rest = [*rest, "--cell-value", cell_value]
    if rest is None:
        areas = f"{Path(name).stem}_areas.json"
        rest = ["--mosaics", f"./{areas}" if areas.startswith("-") else areas]
    return Command(shlex.join(["deepix", "restore", file, *rest]), areas)


def restored_name(name: str) -> Path:
    """Return what the restored picture is called beside its input, before its format is known."""
    path = Path(name)
    return path.with_name(f"{path.stem}{MARKER}{path.suffix}")


def by_confidence(found: Sequence[Mosaic], chosen: Sequence[Mosaic], sure: float) -> list[str] | None:
    """Return the options that choose these of all that was found; None if none do."""
    least = min((m.confidence for m in chosen), default=1.0)
    if not chosen or list(chosen) != [m for m in found if m.confidence >= least]:
        return None
    left = max((m.confidence for m in found if m.confidence < least), default=-1.0)
    if left < sure <= least:
        return []
    if left < 0:
        return ["--force"]
    short = floor(least * 100) / 100
    return ["--threshold", repr(short if short > left else least)]


def _by_areas(chosen: Sequence[Mosaic]) -> list[str] | None:
    """Return the options that name these areas exactly; None if a grid is one that they cannot say."""
    result = []
    for m in chosen:
        g = m.grid
        plain = m.mask is None and not g.blended and (g.x, g.y) == (m.x, m.y)
        if not plain or g.width != g.height or g.width < 2 or g.width != int(g.width):
            return None
        result += ["--area", f"{m.x},{m.y},{m.width},{m.height},{int(g.width)}"]
    return result
