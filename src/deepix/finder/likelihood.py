"""How much better a mosaic explains a lossy picture than "a photo" does: one likelihood for area and grid together.

The evidence is a log-likelihood ratio, in nats, of "tiles with the noise that a file leaves" to "a photo". With p the
luminance, σ² that noise (`jpeg_noise`), photo(p) what a photo's pixel costs (`photo_model`) and C the cells it is

    Σ_area [photo(p) − ½ log 2πσ²] − ½ min_c Σ (p − c_C)² / σ² − ½ Σ_C log(1 + τ² Σ_C 1/σ²)

that is, what each pixel costs in a photo less what it costs as a noisy tile, where each tile's colour costs as much as
its prior variance τ² makes it. It is a sum over cells, and of each cell over sums of pixels. So, for given rows of
cells, the best of all column grids with the best of all spans of columns is found exactly (`column_span`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.grid_box import GridBox
from deepix.finder.jpeg_noise import SIDE, estimated_quality, noise
from deepix.finder.photo_model import photo_cost
from deepix.finder.stripes import in_stripes

Array = NDArray[Any]

TAU = 25.0
"""Standard deviation of the prior of a tile's colour, in levels: what a new tile costs."""
BORDER = 0.75
"""The share of an area's border that counts: pixels beside it need not be predicted from those inside."""
EDGE = 8.0
"""What an area gains where it ends at the picture's edge, in nats: many do, and photos are predicted badly there."""
CUT = 2.0
"""What a cut column or row of cells costs, in nats, for each unit of the natural logarithm of the size it was cut
from: as many starts are possible."""


@dataclass(frozen=True)
class LikelihoodMaps:
    """The maps that evidence is summed up from: all float32 (H, W)."""

    luminance: Array
    """levels, 0 in the middle"""
    variance: Array
    """of the noise, in levels squared"""
    weight: Array
    """how much a squared deviation from a tile's colour counts: at most 1 / variance"""
    gain: Array
    """what a pixel of a tile costs less than one of a photo, in nats, before its deviation is paid"""
    tilt: Array
    """what a photo's pixel costs less, in nats, when it need not be predicted from the left and above; < 0: more"""

    @classmethod
    def of(cls, luminance: NDArray[np.float32], quality: int | None = None) -> LikelihoodMaps:
        """Return the maps of a picture's luminance, (H, W) in levels 0 … 255; in stripes, side by side."""
        height = len(luminance)
        quality = estimated_quality(luminance) if quality is None else quality
        maps = [np.empty(luminance.shape, np.float32) for _ in range(5)]

        def fill(rows: slice) -> None:
            low = max(rows.start - SIDE, 0)
            stripe = luminance[low : min(rows.stop + SIDE, height)]
            variance, share, paid = noise(stripe, quality)
            cost, tilt = photo_cost(stripe, variance)
            cost -= 0.5 * np.log(2 * np.pi * variance) - paid
            parts: tuple[Array, ...] = (stripe - np.float32(128), variance, share / variance, cost, tilt)
            for whole, part in zip(maps, parts, strict=True):
                whole[rows] = part[rows.start - low : rows.stop - low]

        in_stripes(fill, height)
        return cls(*maps)

    @property
    def turned(self) -> LikelihoodMaps:
        """The same with rows and columns exchanged: views, no copies."""
        return LikelihoodMaps(self.luminance.T, self.variance.T, self.weight.T, self.gain.T, self.tilt.T)

    def __getitem__(self, index: tuple[slice, slice]) -> LikelihoodMaps:
        maps = (self.luminance, self.variance, self.weight, self.gain, self.tilt)
        return LikelihoodMaps(*(a[index] for a in maps))

    def log_ratio(self, area: GridBox) -> float:
        """Return the evidence for an area with its grid, in nats."""
        x, y, w, h = area.box
        here = self[y : y + h, x : x + w]
        columns = starts(x, x + w, area.cell[0], area.origin[0])
        rows = starts(y, y + h, area.cell[1], area.origin[1])

        def cells(a: Array) -> Array:
            return np.asarray(np.add.reduceat(np.add.reduceat(a, rows, axis=0), columns, axis=1))

        p, u = here.luminance.astype(np.float64), here.weight.astype(np.float64)
        weight, first = cells(u), cells(u * p)
        second = float((u * p * p).sum() - (first * first / weight).sum())
        value = float(here.gain.sum(dtype=np.float64)) - 0.5 * second - 0.5 * float(np.log1p(TAU**2 * weight).sum())
        ends = ((x, w, area.cell[0], area.origin[0]), (y, h, area.cell[1], area.origin[1]))
        cuts = sum(
            np.log(size) * (((start - origin) % size != 0) + ((start + length - origin) % size != 0))
            for start, length, size, origin in ends
        )
        height, width = self.gain.shape
        edges = (x == 0) + (y == 0) + (x + w == width) + (y + h == height)
        return value + self._border(area) + float(EDGE * edges - CUT * cuts)

    def _border(self, area: GridBox) -> float:
        x, y, w, h = area.box
        total = float(self.tilt[y : y + h, x + w : x + w + 1].sum() + self.tilt[y + h : y + h + 1, x : x + w].sum())
        if x:
            total -= float(self.tilt[y : y + h, x - 1].sum())
        if y:
            total -= float(self.tilt[y - 1, x : x + w].sum())
        return BORDER * total


def starts(low: int, high: int, size: int, origin: int) -> NDArray[np.int64]:
    """Return where the cells of [low, high) start, counted from `low`: the first is 0."""
    lines = np.arange(origin + (low - origin) // size * size, high, size)
    return np.maximum(lines - low, 0)
