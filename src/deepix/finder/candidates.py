"""Candidates: mosaics that may be in a picture, each with what speaks for it and what the locator's map says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepix.finder.jpeg_noise import SIDE
from deepix.finder.thresholds import MAP_NOTHING
from deepix.mosaic import Mosaic

Array = NDArray[Any]
T = TypeVar("T")

INTACT = 5.0
"""How much the evidence for tiles of exactly one colour counts, that for all others being 1."""
LEARNED = 64
"""The largest cells, in pixels, that the locator has learned from."""
LONGEST = 12
"""The largest ratio of the cells' sides of a mosaic that the locator surely sees: of 44 x 3 it showed nothing."""
FEWEST = 3
"""The least number of cells along each axis of a mosaic that the locator surely sees."""
NARROWEST = 4
"""The least number of the map's places along each axis of a mosaic that the locator surely sees."""
LARGEST_BLOCK = 32
"""The largest cells, in pixels, that are taken for the blocks of a JPEG file, or for several that are alike."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mosaic that may be in a picture.

    Attributes
    ----------
    mosaic : area, grid and the confidence that both are right, 0 … 1
    log_ratio : the evidence for it: log-likelihood ratio of "mosaic" to "photo", in nats
    score : what the candidates of one place are compared by: the evidence, weighed with the confidence in it
    intact : whether its tiles are of exactly one colour; else nearly so
    outlined : whether the map shows a region like its area, and it was looked for there
    map_mean : mean of the map over its box, 0 … 1; None without a map
    visible : whether it is large enough, and its cells small enough, for the locator to see it
    region : of an area grown in one that the map outlines: that one
    foreign : of tiles that are partly hidden: which pixels of the mosaic's box are not its own; None: all are
    beyond : the same's share of neighbours across its grid's lines that differ, outside of the rectangles it grew from
    """

    mosaic: Mosaic
    log_ratio: float
    score: float
    intact: bool = False
    outlined: bool = False
    map_mean: float | None = None
    visible: bool = False
    region: Candidate | None = field(default=None, repr=False)
    beyond: float = 0.0
    foreign: NDArray[np.bool_] | None = field(default=None, repr=False)

    @classmethod
    def of_intact_tiles(cls, log_ratio: float, mosaic: Mosaic, foreign: NDArray[np.bool_] | None = None) -> Candidate:
        """Return the candidate of a rectangle of tiles of exactly one colour."""
        return cls(mosaic, log_ratio, INTACT * log_ratio, intact=True, foreign=foreign)

    @classmethod
    def of_noisy_tiles(
        cls, log_ratio: float, mosaic: Mosaic, outlined: bool = False, foreign: NDArray[np.bool_] | None = None
    ) -> Candidate:
        """Return the candidate of tiles of nearly one colour, in a region that the map outlines or anywhere."""
        return cls(mosaic, log_ratio, log_ratio * mosaic.confidence, outlined=outlined, foreign=foreign)

    def with_mosaic(self, m: Mosaic) -> Candidate:
        """Return the same candidate with a part of its mosaic."""
        foreign = self.foreign
        if foreign is not None:
            y, x = m.y - self.mosaic.y, m.x - self.mosaic.x
            foreign = foreign[y : y + m.height, x : x + m.width]
        return replace(self, mosaic=m, foreign=foreign)

    def moved(self, dx: int, dy: int) -> Candidate:
        """Return the same candidate in a picture whose origin lies elsewhere."""
        return replace(self, mosaic=self.mosaic.moved(dx, dy))

    def on_map(self, pixelated: NDArray[np.float32], stride: int) -> Candidate:
        """Return the same candidate with what a map, of one place for `stride` pixels each way, says of it."""
        m = self.mosaic
        rows = slice(m.y // stride, -(-(m.y + m.height) // stride))
        columns = slice(m.x // stride, -(-(m.x + m.width) // stride))
        cells = min(m.width / m.grid.width, m.height / m.grid.height)
        large = cells >= FEWEST and min(m.width, m.height) >= NARROWEST * stride
        short, long = sorted((m.grid.width, m.grid.height))
        visible = large and long <= min(LEARNED, LONGEST * short)
        return replace(self, map_mean=float(pixelated[rows, columns].mean()), visible=visible)

    @property
    def contradicted(self) -> bool:
        """Whether the locator would see the mosaic if there were one, and sees nothing."""
        return self.visible and self.map_mean is not None and self.map_mean < MAP_NOTHING

    @property
    def on_jpeg_blocks(self) -> bool:
        """Whether cells lie as a JPEG file's blocks do, in one direction at least."""
        g = self.mosaic.grid
        axes = ((g.x, g.width), (g.y, g.height))
        return any(origin % SIDE == 0 == side % SIDE and side <= LARGEST_BLOCK for origin, side in axes)


def merged(found: Sequence[T], one: Callable[[T, T, Sequence[T]], T | None]) -> list[T]:
    """Return candidates, or mosaics, two that are pieces of one mosaic as one.

    Parameters
    ----------
    found : the candidates, or mosaics
    one : returns what two of them are pieces of, given all of them as they are by then; None if of none
    """
    result = list(found)
    for k in range(len(result) - 1, 0, -1):
        for other in range(k):
            whole = one(result[other], result[k], result)
            if whole is not None:
                result[other] = whole
                del result[k]
                break
    return result
