"""Where a grid's lines lie, to a fraction of a pixel, in a region that is known to be pixelated, roughly.

1. *Period and phase.* In a mosaic neighbouring pixels differ across lines and hardly elsewhere. Of the mean root of the
   steps between neighbouring columns, the comb is taken that explains it best (`grid.comb_ratio`'s likelihood), its
   lines as wide as what resizing leaves of a step: sizes between `LEAST` and `MOST` times the guess, any phase.
2. *Lines.* Between cells of values a and b a line at t leaves Σ p = a (t − l) + b (r − t) in a window l … r around it,
   however symmetrically it was blurred. So each line's place follows from the sum of its window, and size and
   origin from the line through all places (weighted least squares): for columns within the rows of cells that the other
   direction's grid says, and the other way round, in turn.
3. *Integers.* A size and an origin that are whole numbers within their standard errors are taken for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Grid

Array = NDArray[Any]

LEAST = 0.7
"""The smallest cell size that is looked at, in units of the guess."""
MOST = 1.43
"""The largest cell size that is looked at, in units of the guess."""
SPREAD = 0.22
"""How far guesses are off: the standard deviation of their natural logarithm."""
REACH = 1.0
"""Pixels beside a line over which resizing spreads its step."""
BINNED = 16
"""Pixels of a cell's side for each pixel of the bins in which large cells are looked for first."""
TOGETHER = 50_000
"""Sizes times pixels that are worked on at a time, for the processor's cache."""
PHASES = 4
"""Phases that are tried for each pixel of a cell's side."""
WINDOW = 24
"""Cells of the window in the region's middle where period and phase are looked for, and lines to begin with."""
FLOOR = 0.15
"""What the root of a step is at least taken for, in √levels: as `grid.FLOOR`, for regions of lossy pictures."""
EDGE = 2.5
"""Pixels beside a line that its window holds at most: blur and ringing end there."""
NOISE = 3.0
"""Standard deviation, in levels, of what files leave in the mean of a row of cells, for weighing lines."""
MODEL = 0.12
"""Standard deviation, in pixels, of a line's place when there is no noise at all."""
LEAST_ERROR = 0.02
"""The least standard error of a size or an origin, in pixels."""
EVEN = 3.0
"""The most that one number speaks for whole pixels, as log-odds."""
UNLIKELY = 30.0
"""The most that the numbers of one axis speak against whole pixels, as log-odds."""
SHARP = 0.82
"""The sharpness of lines that says nothing about resizing."""
STEEP = 25.0
"""The log-odds of whole pixels for each unit of sharpness more than `SHARP`."""
LEAST_SHARP = -3.0
"""The least log-odds of whole pixels by sharpness."""
MOST_SHARP = 5.0
"""The largest log-odds of whole pixels by sharpness."""
USUAL = 0.0
"""The prior log-odds that a grid is in whole pixels."""
END = 0.5
"""Standard deviation, in pixels, of where an area's end is seen."""
ENDS = 0.3
"""Distance from a line, in cells, up to which an area's end may lie on it."""
SQUARE = 1.5
"""Difference of width and height, in standard errors, up to which they are taken for the same."""


@dataclass(frozen=True)
class AxisFit:
    """The lines along one axis.

    Attributes
    ----------
    size, origin : of the cells, in pixels of the picture; the origin is a line near the region's middle
    error, place : the standard errors of both, in pixels
    sharpness : how much of the steps across the lines lies between the two pixels beside them; 1: all
    contrast : how much larger steps are on the lines than elsewhere: (on − off) / (on + off) of their roots
    number : how many lines there are in the region
    """

    size: float
    origin: float
    error: float
    place: float
    sharpness: float
    contrast: float
    number: int

    @property
    def rounded(self) -> tuple[float, float]:
        """Size and origin, rounded to whole pixels."""
        return float(max(round(self.size), 2)), float(round(self.origin))

    @property
    def log_odds(self) -> float:
        """The log-odds that size and origin are whole numbers, of the places alone."""
        size, origin = self.rounded
        result = 0.0
        for off, error in ((self.size - size, self.error), (self.origin - origin, self.place)):
            error = float(np.hypot(error, LEAST_ERROR))
            if error < 1:  # else it may be anywhere between two whole numbers
                # a normal density around whole numbers, against an even one
                near = np.exp(-0.5 * ((off + np.arange(-3, 4)) / error) ** 2).sum() / (error * np.sqrt(2 * np.pi))
                result += min(float(np.log(max(near, 1e-30))), EVEN)
        return max(result, -UNLIKELY)

    def with_ends(self, start: float, stop: float) -> AxisFit:
        """Return the line as it is if the area's ends, where they are about on lines, are such (a Kalman filter)."""
        size, origin = self.size, self.origin
        if not np.isfinite([self.error, self.place]).all():
            return self
        covariance = np.diag([max(self.error, LEAST_ERROR) ** 2, max(self.place, LEAST_ERROR) ** 2])
        for end in (start, stop):
            number = round((end - origin) / size)
            off = end - origin - number * size
            row = np.array([number, 1.0])
            variance = float(row @ covariance @ row) + END**2
            if abs(off) > min(2 * variance**0.5, ENDS * size):
                continue
            gain = covariance @ row / variance
            size, origin = size + gain[0] * off, origin + gain[1] * off
            covariance = covariance - np.outer(gain, row @ covariance)
        error, place = np.sqrt(np.diag(covariance))
        return replace(self, size=float(size), origin=float(origin), error=float(error), place=float(place))


@dataclass(frozen=True)
class GridFit:
    """The lines across and down, as they were measured, with how sure it is that there are such lines, 0 … 1."""

    across: AxisFit
    down: AxisFit

    def moved(self, x: float, y: float) -> GridFit:
        """Return the lines x to the right and y further down."""
        across, down = self.across, self.down
        return GridFit(replace(across, origin=across.origin + x), replace(down, origin=down.origin + y))

    @property
    def log_odds(self) -> float:
        """The log-odds that the grid is in whole pixels: nothing was resized after it was made."""
        sharp = float(np.clip(STEEP * (self.sharpness - SHARP), LEAST_SHARP, MOST_SHARP))
        return self.across.log_odds + self.down.log_odds + sharp + USUAL

    @property
    def sharpness(self) -> float:
        """How much of the steps across the lines lies between the two pixels beside them; 1: all."""
        number = self.across.number, self.down.number
        return float(np.average([self.across.sharpness, self.down.sharpness], weights=np.maximum(number, 1)))

    def grid(self, whole: bool | None = None) -> Grid:
        """Return the grid, in whole pixels or not (None: as the odds are); `fit_blending` tells if it is blended."""
        if self.log_odds > 0 if whole is None else whole:
            sizes = [line.rounded for line in (self.across, self.down)]
        else:
            sizes = [(line.size, line.origin) for line in self._square()]
        (width, x), (height, y) = sizes
        return Grid(float(x), float(y), float(width), float(height))

    def _square(self) -> tuple[AxisFit, AxisFit]:
        """Return the lines with one size for both directions if they differ by less than their errors."""
        a, b = self.across, self.down
        errors = [max(line.error, LEAST_ERROR) for line in (a, b)]
        if not np.isfinite(errors).all() or abs(a.size - b.size) > SQUARE * float(np.hypot(errors[0], errors[1])):
            return a, b
        size = float(np.average([a.size, b.size], weights=[e**-2 for e in errors]))
        return replace(a, size=size), replace(b, size=size)

    @property
    def confidence(self) -> float:
        """How sure one can be of the grid: how much larger steps are on its lines, in the worse direction."""
        return float(np.clip(min(self.across.contrast, self.down.contrast), 0, 1))


def fit(luminance: NDArray[np.float32], region: NDArray[np.bool_], about: tuple[float, float]) -> GridFit:
    """Return the lines of a pixelated region's grid.

    Parameters
    ----------
    luminance : float32 (H, W), 0 … 255
    region : bool (H, W), where the picture is pixelated, within a few pixels
    about : the cells' width and height, within some 30 %

    Raises
    ------
    ValueError : the region is empty
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        raise ValueError("the region is empty")
    top, left = int(rows[0]), int(columns[0])
    box = slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
    views = [(luminance[box], region[box]), (luminance[box].T, region[box].T)]
    profiles = [profile(*view) for view in views]
    found = [Period(*coarse_period(*profiles[axis], about[axis])) for axis in (0, 1)]
    for _ in range(3):
        for axis in (0, 1):
            strips = cell_row_means(*views[axis], found[1 - axis])
            found[axis] = refined_period(*strips, found[axis])
    lines = []
    for axis, start in ((0, left), (1, top)):
        places = found[axis]
        strips = cell_row_means(*views[axis], found[1 - axis])
        contrast, number = _contrast(*profiles[axis], places)
        middle = places.origin + round((len(profiles[axis][0]) / 2 - places.origin) / places.size) * places.size
        lines.append(
            AxisFit(
                places.size, start + middle, places.error, places.place, sharpness(*strips, places), contrast, number
            )
        )
    return GridFit(*lines)


@dataclass(frozen=True)
class Period:
    """Size and origin in a region's box, and their standard errors."""

    size: float
    origin: float
    error: float = np.inf
    place: float = np.inf


def profile(p: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of the roots of the steps into each column, and their number: (W,); none into the first."""
    pairs = inside[:, 1:] & inside[:, :-1]
    roots = np.sqrt(np.abs(np.diff(p, axis=1))) * pairs
    total, count = np.zeros(p.shape[1]), np.zeros(p.shape[1])
    total[1:], count[1:] = roots.sum(axis=0, dtype=np.float64), pairs.sum(axis=0)
    return total, count


def coarse_period(total: NDArray[np.float64], count: NDArray[np.float64], about: float) -> tuple[float, float]:
    """Return the size and the origin (a line near the middle) of the comb that explains a profile best.

    For large cells first in bins of several pixels, then around what was found there.
    """
    bins = int(about / BINNED)
    if bins < 2:
        return _comb(total, count, about, (LEAST * about, MOST * about))
    starts = np.arange(0, len(total), bins)
    summed = [np.add.reduceat(v, starts) for v in (total, count)]
    size, _ = _comb(summed[0], summed[1], about / bins, (LEAST * about / bins, MOST * about / bins))
    off = 2 * _finer(WINDOW * about / bins) * size * bins
    return _comb(total, count, about, (size * bins - off, size * bins + off))


def _finer(extent: float) -> float:
    """Return by how much, relatively, the next size is larger that is tried over so many pixels."""
    return min(0.6 / max(extent, 2), 0.05)


def _comb(
    total: NDArray[np.float64], count: NDArray[np.float64], about: float, between: tuple[float, float]
) -> tuple[float, float]:
    """Return `coarse_period` of sizes between two."""
    weight = np.cumsum(count)
    middle = int(np.searchsorted(weight, weight[-1] / 2))
    reach = max(int(WINDOW * about / 2), 24)
    low, high = max(middle - reach, 0), min(middle + reach, len(total))
    total, count = total[low:high], count[low:high]
    at = np.arange(low, high) - float(middle)
    sizes = [max(between[0], 2.0)]
    while sizes[-1] < between[1]:
        sizes.append(sizes[-1] * (1 + _finer(high - low)))
    best = (-np.inf, about, 0.0)
    for some in np.array_split(sizes, -(-len(sizes) * len(at) // TOGETHER)):
        for size, ratio, phase in zip(some, *_best_phases(at, total, count, some), strict=True):
            value = ratio - 0.5 * (np.log(size / about) / SPREAD) ** 2 * (1 + 0.05 * max(best[0], 0))
            if value > best[0]:
                best = (float(value), float(size), float(phase))
    return best[1], middle + best[2]


def _best_phases(
    at: Array, total: Array, count: Array, sizes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each size how well its best comb explains a profile (`_ratio`), and where that begins."""
    everything, pairs = float(total.sum()), float(count.sum())
    numbers = np.maximum(np.rint(PHASES * sizes), 2).astype(np.int64)
    starts = np.cumsum(numbers) - numbers
    place = (at / sizes[:, None]) % 1.0 * numbers[:, None]
    first = place.astype(np.int64)
    share = place - first
    first %= numbers[:, None]
    after = first + 1
    after[after == numbers[:, None]] = 0
    first += starts[:, None]
    after += starts[:, None]
    profiles = [
        np.bincount(first.ravel(), (v * (1 - share)).ravel(), numbers.sum())
        + np.bincount(after.ravel(), (v * share).ravel(), numbers.sum())
        for v in (total, count)
    ]
    # each phase's line takes what lies within REACH of it, the less the farther
    number, start = np.repeat(numbers, numbers), np.repeat(starts, numbers)
    phase = np.arange(len(number)) - start
    apart = np.repeat(sizes / numbers, numbers) / REACH
    on, on_pairs = np.zeros(len(number)), np.zeros(len(number))
    reach = int(np.ceil(1 / apart.min()))
    for step in range(-reach, reach + 1):
        weight = np.maximum(1 - abs(step) * apart, 0)
        index = start + (phase + step) % number
        on += weight * profiles[0][index]
        on_pairs += weight * profiles[1][index]
    ratios = _ratio(on, on_pairs, everything, pairs)
    best = np.maximum.reduceat(ratios, starts)
    chosen = np.flatnonzero(ratios == np.repeat(best, numbers))
    first_of = chosen[np.searchsorted(chosen, starts)]
    return best, (first_of - starts) * sizes / numbers


def _ratio(on: Array, on_pairs: Array, everything: float, pairs: float) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of "one mean on, one off the lines" to "one mean", per row of the region."""
    off_pairs = np.maximum(pairs - on_pairs, 1e-9)
    on_mean = on / np.maximum(on_pairs, 1e-9) + FLOOR
    off_mean = np.maximum(everything - on, 0) / off_pairs + FLOOR
    ratio = pairs * np.log(everything / max(pairs, 1e-9) + FLOOR)
    ratio = ratio - on_pairs * np.log(on_mean) - off_pairs * np.log(off_mean)
    return np.where((on_pairs > 0) & (on_mean > off_mean), ratio, -np.inf)


def cell_row_means(
    p: NDArray[np.float32], inside: NDArray[np.bool_], other: Period
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each row of cells, column by column, and the number of pixels in it: two (rows of cells, W).

    `other` says how the rows lie. Pixel rows that straddle a line are left out where there are others.
    """
    size = other.size
    centre = np.arange(len(p)) + 0.5 - other.origin
    band = np.floor(centre / size).astype(np.int64)
    distance = np.minimum(centre - band * size, (band + 1) * size - centre)
    use = distance >= min(1.5, 0.5 * size - 0.5) - 1e-6
    band -= band.min()
    sums = np.zeros((int(band.max()) + 1, p.shape[1]))
    counts = np.zeros_like(sums)
    weights = inside[use].astype(np.float64)
    first = np.flatnonzero(np.diff(band[use], prepend=-1))  # the rows of a band lie beside each other
    sums[band[use][first]] = np.add.reduceat(p[use] * weights, first, axis=0)
    counts[band[use][first]] = np.add.reduceat(weights, first, axis=0)
    return sums / np.maximum(counts, 1), counts


def refined_period(strips: NDArray[np.float64], counts: NDArray[np.float64], start: Period) -> Period:
    """Return size and origin from the places of the lines themselves.

    From the middle outwards: first the lines of `WINDOW` cells, then twice as many, and so on.
    """
    width = strips.shape[1]
    running = _Running.of(strips, counts)
    found = start
    reach = WINDOW / 2
    while True:
        first, last = ((edge - found.origin) / found.size for edge in (1, width - 1))
        number = np.arange(max(np.ceil(first), -reach), min(np.floor(last), reach) + 1)
        fitted = _fitted_lines(_LineSteps.across(running, found, number), found)
        if fitted is None:
            return found
        found = fitted
        if reach * found.size > width:
            return found
        reach *= 2


class _Running(NamedTuple):
    """Strips, (rows of cells, W), and running sums along them: of what they show, and of how much, (rows, W + 1)."""

    strips: Array
    value: Array
    there: Array

    @classmethod
    def of(cls, strips: Array, counts: Array) -> _Running:
        shape = strips.shape[0], strips.shape[1] + 1
        value, there, seen = np.zeros(shape), np.zeros(shape, np.int64), counts > 0
        np.cumsum(strips * seen, axis=1, out=value[:, 1:])
        np.cumsum(seen, axis=1, out=there[:, 1:])
        return cls(strips, value, there)


@dataclass(frozen=True)
class _LineSteps:
    """The steps across lines that have tiles on both sides.

    Attributes
    ----------
    number : (lines,), counted from the origin
    step : (rows of cells, lines), from the tile on the left to that on the right; 0 where one is missing
    moved : the same, times how far it lies to the right of where it is expected
    sharp : how much of it lies between the two pixels beside the line
    """

    number: Array
    step: Array
    moved: Array
    sharp: Array

    @classmethod
    def across(cls, running: _Running, found: Period, number: Array) -> _LineSteps:
        strips, value, there = running
        size, width = found.size, strips.shape[1]
        place = found.origin + number * size
        half = min(size / 2 - 0.5, EDGE)
        low = np.floor(place - half + 1e-6).astype(np.int64)
        high = np.ceil(place + half - 1e-6).astype(np.int64)
        good = (low >= 1) & (high <= width - 1)
        number, place, low, high = (v[good] for v in (number, place, low, high))
        before = np.maximum(np.minimum(np.ceil(place - size + half - 1e-6).astype(np.int64), low - 1), 0)
        after = np.minimum(np.maximum(np.floor(place + size - half + 1e-6).astype(np.int64), high + 1), width)
        pixels = there[:, low] - there[:, before], there[:, after] - there[:, high]
        full = (there[:, high] - there[:, low] == high - low) & (pixels[0] > 0) & (pixels[1] > 0)
        a = (value[:, low] - value[:, before]) / np.maximum(pixels[0], 1)
        b = (value[:, after] - value[:, high]) / np.maximum(pixels[1], 1)
        moved = b * (high - place) - a * (low - place) - (value[:, high] - value[:, low])
        nearest = np.clip(np.rint(place).astype(np.int64), 1, width - 1)
        sharp = strips[:, nearest] - strips[:, nearest - 1]
        return cls(number, (b - a) * full, moved * full, sharp * full)


def _fitted_lines(steps: _LineSteps, found: Period) -> Period | None:
    """Return the places of lines at equal distances that are nearest to where the steps are; None without two."""
    number = steps.number
    strength = np.maximum((steps.step**2).sum(axis=0), 1e-9)
    offset = (steps.step * steps.moved).sum(axis=0) / strength
    weight = 1 / (MODEL**2 + NOISE**2 / strength)
    weight = weight * (np.abs(offset) < max(0.45 * found.size, 1.0))
    for _ in range(2):
        if np.count_nonzero(weight) < 2:
            return None
        total = weight.sum()
        mean = (weight * number).sum() / total
        spread = (weight * (number - mean) ** 2).sum()
        centre = (weight * offset).sum() / total
        slope = (weight * (number - mean) * offset).sum() / spread
        rest = offset - centre - slope * (number - mean)
        scale = max(float(np.sqrt((weight * rest**2).sum() / total)), 0.1)
        final, weight = weight, weight * (np.abs(rest) < 3 * scale)
    variance = max(float((final * rest**2).sum() / max(np.count_nonzero(final) - 2, 1)), 1.0)
    slope = float(np.clip(slope, -0.1 * found.size, 0.1 * found.size))
    origin = float(found.origin + centre - slope * mean)
    return Period(found.size + slope, origin, float(np.sqrt(variance / spread)), float(np.sqrt(variance / total)))


def sharpness(strips: NDArray[np.float64], counts: NDArray[np.float64], found: Period) -> float:
    """Return how much of the steps across the lines lies between the two pixels beside them: 1 in intact mosaics."""
    width = strips.shape[1]
    number = np.arange(np.ceil((1 - found.origin) / found.size), np.floor((width - 1 - found.origin) / found.size) + 1)
    steps = _LineSteps.across(_Running.of(strips, counts), found, number)
    strength = float((steps.step**2).sum())
    return float((steps.step * steps.sharp).sum() / strength) if strength else 0.0


def _contrast(total: Array, count: Array, found: Period) -> tuple[float, int]:
    """Return how much larger steps are on the lines than elsewhere, and the number of lines."""
    at = np.arange(len(total)) - found.origin
    distance = np.abs(at - np.rint(at / found.size) * found.size)
    near = np.maximum(1 - distance / REACH, 0)
    far = distance >= min(1.5, 0.3 * found.size)
    on = (total * near).sum() / max((count * near).sum(), 1e-9)
    off = (total * far).sum() / max((count * far).sum(), 1e-9)
    return float((on - off) / (on + off + 2 * FLOOR)), int(np.count_nonzero(distance[1:] <= 0.5))
