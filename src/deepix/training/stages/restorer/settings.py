"""What a restorer's training depends on besides what every stage's does."""

# ruff: noqa: RUF009 (declarations are made once, as fields are)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from deepix.training.engine.settings import DATA, LEARNING, Flag, Option, Settings, option

Loss = Literal["unknown", "whole", "weighted"]
Augment = Literal["none", "flips", "rotations"]

_PAIR = tuple[int, int] | None
_LEAST_GREATEST = "LEAST GREATEST"


@dataclass(frozen=True, kw_only=True)
class RestorerSettings(Settings):
    """See `Settings`. `data` is a packed file, or pictures in any form that `pictures.pack` takes."""

    FLAGS: ClassVar[Mapping[str, Flag]] = {
        "area": Flag(_PAIR, None, Option(
            "Width and height of the random mosaics, in pixels.",
            DATA, metavar=_LEAST_GREATEST, shown="the challenge's, 4 32",
        )),
        "cell": Flag(_PAIR, None, Option(
            "Width of their cells, in pixels.", DATA, metavar=_LEAST_GREATEST, shown="the challenge's, 4 16"
        )),
        "count": Flag(_PAIR, None, Option(
            "Mosaics in a picture.", DATA, flag="--mosaics", metavar=_LEAST_GREATEST, shown="1 1"
        )),
        "any_grid": Flag(bool, False, Option(
            "Cells start anywhere, not at the area's corner, and need not be square.", DATA, flag="--any-grid"
        )),
    }  # fmt: skip
    """Parts of `ranges`."""

    stage: str = option("restorer")
    crops: int | None = option(
        None,
        "Of pictures packed here: random 64x64 crops of each. Default: each is prepared as the challenge does.",
        panel=DATA, low=1, shown=False,
    )  # fmt: skip
    validate_count: int | None = option(
        None, "Validate with this many of these pictures, evenly spread.",
        panel=DATA, low=1, shown="all; of held-out ones 1000 at most",
    )  # fmt: skip
    augment: Augment = option("flips", "Mirror the pictures at random, or turn them as well.", panel=DATA)
    ranges: dict[str, Any] = option(dict)  # of the mosaics, as `mosaics.Ranges`; default: the challenge's
    truncate: bool = option(
        True, "Cut the cells' means off to integers as the challenge does, or keep them.",
        panel=DATA, flag="--truncate/--exact",
    )  # fmt: skip
    noise: float = option(
        0.0, "Disturb the input as lossy files do: largest standard deviation, in levels.", panel=DATA, low=0, high=255
    )
    overlays: float = option(
        0.0, "Share of the pictures with something drawn over or beside a mosaic: a frame, a caption, a pointer.",
        panel=DATA, low=0, high=1,
    )  # fmt: skip
    jpeg: int | None = option(
        None, "Half of the pictures go through a JPEG of at least this quality, the rest are disturbed by --noise.",
        panel=DATA, low=1, high=100, shown=False,
    )  # fmt: skip
    loss: Loss = option(
        "unknown",
        "Mean squared error over the unknown pixels, or the whole picture; or over the unknown ones, each weighted by "
        "the inverse of its predicted variance.",
        panel=LEARNING,
    )

    @classmethod
    def from_flags(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings that flags of the command line say."""
        ranges: dict[str, Any] = {}
        if given.get("area") is not None:
            ranges |= {"width": given["area"], "height": given["area"]}
        ranges |= {name: given[name] for name in ("cell", "count") if given.get(name) is not None}
        if given.get("any_grid"):
            ranges |= {"corner": False, "square": False}
        return super().from_flags({**given, "ranges": ranges})


SETTINGS = RestorerSettings
