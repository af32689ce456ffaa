"""What the cells of a mosaic show, told from the picture: means, samples, or extremes.

Two things tell. Along the border of the area the known pixels go on into the cells: there each kind predicts a cell's
value (a mean lies near that of the line of pixels beside it, a minimum below, a sample near the known pixel that is
nearest to it), and the likelihoods of the values add up over all cells of the border. And samples are rougher than
means: what neighbouring cells differ by, at the second difference and crosswise against the first, is compared with
what it would be around the area, where the picture can be pixelated in both ways. Means of light are not told from
plain ones: what they differ by, a few levels, is far less than what a mean differs by from what is predicted.

The constants were fitted to photos of the training archives, pixelated in each way, and the thresholds chosen on
validation photos. docs/design.md tells what share is told right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import MEAN, Array, CellValue, CellValueKind, Mosaic, cell_values, known, sampled, white
from deepix.mosaic.boxes import Box, grown

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

SAMPLES = {"corner": CellValue("sample", (0.0, 0.0)), "middle": CellValue("sample", (0.5, 0.5))}
"""Where programs take samples: in the first pixel of a cell, or in the middle one."""
EXTREMES = ("min", "max")
OTHERS = {**SAMPLES, "min": CellValue("min"), "max": CellValue("max")}
KINDS = ("mean", *OTHERS)
DEEPEST = 32
"""Lines of known pixels beside a cell that are looked at, at most: as many as the cell has pixels."""
AROUND = 4
"""Cells around the area in which the picture is pixelated for comparison."""
LEAST_SHARE = 0.5
"""Share of a cell's side that must lie on the border; and 0.9 of a cell's pixels must be known around the area."""
FLOOR = 2.0
"""Levels (of 255) added to the contrast that deviations are measured in."""
FREEDOM = 4
"""Degrees of freedom of Student's t, by which cells deviate from what is predicted."""


PREDICTED: dict[tuple[str, int], tuple[tuple[float, ...], float]] = {
    ("mean", 0): ((0.174, -0.122, 0.092, 0.097), 0.597),
    ("corner", 0): ((0.260, -0.027, 0.017, 0.015, 0.915), 0.377),
    ("corner", 2): ((0.140, -0.167, 0.097, 0.111, 0.379), 1.194),
    ("corner", 1): ((0.299, -0.039, 0.053, 0.066, 0.659), 0.842),
    ("middle", 1): ((0.160, -0.111, 0.043, 0.055, 0.131), 0.906),
    ("middle", 0): ((0.405, 0.028, -0.007, -0.003, 0.766), 0.356),
    ("min", 0): ((0.206, -0.456, 0.834, -0.084), 0.848),
    ("max", 0): ((0.161, -0.426, -0.108, 0.827), 0.848),
}
"""For each kind, and each distance of a sample from what is known, the weights of `predictors` and the scale of what
they leave."""
ROUGH_MEANS, ROUGH_SAMPLES = (0.32, -0.15), (0.49, 0.14)
"""`roughness` of means and of samples on average, where nothing around the area tells."""
SAMPLED = {
    "corner": (0.280, 4.27, 0.40, 4.85, 2.56, -1.60, 3.03),
    "middle": (0.167, 4.07, 3.21, 5.60, 1.10, -0.10, -0.03),
}
"""Of the logarithm of the odds that samples were taken there, and not means: weights of the likelihoods' ratio, of the
roughness less what it is around, twice, less what it is on average, twice; 1; and how much the cells' number counts."""
TEMPERED = 0.35, 1.4
"""Shares of the likelihoods' ratio that count for extremes, the latter over the root of the number of cells along the
border; the smaller one counts. Neighbouring cells are no independent witnesses: what is darker than its surroundings
looks like minima all along its border."""
CELLS = 30
"""Number of cells at which half of the variance of their roughness is chance."""
ENOUGH = {"corner": 3.5, "middle": 3.0, "min": 3.5, "max": 3.5}
"""Logarithm of the odds above which it is told that cells show that, and not means."""
WITNESSES = 8
"""Cells along the border that must be seen beside known pixels: roughness alone tells too little, as where a frame lies
around the mosaic."""
STEEPNESS, PRIOR = 2.0, 1.0
"""How doubtful means are: the logarithm of the odds against them, less the latter, times the former, is that of their
doubt. Chosen on 91 mosaics of means, 97 of samples and 109 of extremes: 1 of the samples comes out more than 1 % worse
than the mosaic; means are restored to 0.770 of its error, to 0.758 without doubt."""
SURE_OF_MEANS, LEAST_SURE = 0.9, 0.5
"""Above this confidence, means are taken for sure; below the other, restorations come no nearer to the mosaic."""


@dataclass(frozen=True, eq=False)
class Beside:
    """The cells along the border, side by side, and known pixels beside them; arrays are (cells, channels), in levels.

    Attributes
    ----------
    values : what the cells show
    line, second : means of the first and second line of known pixels beside each cell
    mean, deviation, least, greatest : of as many lines as the cell is deep
    nearest : for each of `SAMPLES` the known pixel in the first line that is nearest to the sample
    distance : for each of `SAMPLES` (cells,), how far it is from the sample, in pixels
    depth : (cells,), how deep they are, in pixels
    """

    values: Floats
    line: Floats
    second: Floats
    mean: Floats
    deviation: Floats
    least: Floats
    greatest: Floats
    nearest: dict[str, Floats]
    distance: dict[str, Floats]
    depth: Floats

    @classmethod
    def joined(cls, sides: Sequence[Beside]) -> Beside:
        """Return several sides as one."""

        def along(name: str) -> Any:
            parts = [getattr(side, name) for side in sides]
            if isinstance(parts[0], dict):
                return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
            return np.concatenate(parts)

        return cls(**{field.name: along(field.name) for field in fields(cls)})


def beside(pixels: Array, m: Mosaic, known: Bools, values: Floats) -> Beside | None:
    """Return what lies beside the cells of a mosaic on its four sides; None where nothing does.

    Parameters
    ----------
    pixels : (H, W, C), of any unit
    m : in it; its grid is not blended
    known : bool (H, W), where pixels are the scene's own
    values : (rows, columns, C), what its cells show
    """
    values = values.reshape(-1, pixels.shape[2])
    inside = m.labels()
    labels = np.full(known.shape, -1)
    labels[m.box] = inside
    at = {}
    for name, value in SAMPLES.items():
        rows, columns = np.nonzero(sampled(m.showing(value)))
        at[name] = np.zeros((len(values), 2), np.int64)
        at[name][inside[rows, columns]] = np.stack([rows + m.y, columns + m.x], axis=1)
    sides = []
    for axis, step in ((0, -1), (0, 1), (1, -1), (1, 1)):
        strip = Strip.of(pixels, labels, known, axis, step, (m.grid.height, m.grid.width)[axis])
        if strip is not None:
            enough = strip.counts >= LEAST_SHARE * (m.grid.width, m.grid.height)[axis]
            if enough.any():
                sides.append(_told_beside(strip, values, at, enough))
    return Beside.joined(sides) if sides else None


@dataclass(frozen=True, eq=False)
class Strip:
    """The pixels of an area that lie at one side of its border, and the lines of known pixels that they go on into.

    Attributes
    ----------
    axis : 0 for the upper and the lower side, 1 for the left and the right one
    depth : of the cells, in pixels
    place : (pixels, 2), their rows and columns
    cells : the cells at the border; index : (pixels,), the number among them; counts : pixels of each
    seen : (lines, pixels, channels), the lines; good : bool (lines, pixels), which of them are known up to there
    """

    axis: int
    depth: float
    place: Indices
    cells: Indices
    index: Indices
    counts: Indices
    seen: Floats
    good: Bools

    @classmethod
    def of(cls, pixels: Array, labels: Indices, known: Bools, axis: int, step: int, depth: float) -> Strip | None:
        """Return the strip beyond one side; None where nothing is known there."""
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        inside, outside = (after, before) if step < 0 else (before, after)
        border = np.zeros(known.shape, bool)
        border[tuple(inside)] = (labels[tuple(inside)] >= 0) & known[tuple(outside)]
        place = np.argwhere(border)
        if not len(place):
            return None
        lines = np.arange(1, max(2, min(round(depth), DEEPEST)) + 1)
        there = np.repeat(place.T[:, None], len(lines), axis=1)
        there[axis] += step * lines[:, None]
        beyond = (there[axis] < 0) | (there[axis] >= known.shape[axis])
        there[axis] = there[axis].clip(0, known.shape[axis] - 1)
        good = np.logical_and.accumulate(known[there[0], there[1]] & ~beyond)
        seen = pixels[there[0], there[1]].astype(np.float64)
        cells, index, counts = np.unique(labels[place[:, 0], place[:, 1]], return_inverse=True, return_counts=True)
        return cls(axis, depth, place, cells, index, counts, seen, good)

    def total(self, values: Floats) -> Floats:
        """Return the sums (cells, channels) of values (pixels, channels)."""
        return np.stack([np.bincount(self.index, column, len(self.cells)) for column in values.T], axis=1)


def _told_beside(strip: Strip, values: Floats, at: dict[str, Indices], enough: Bools) -> Beside:
    """Return what lies beside those cells of a strip that have enough of their side there, and two lines beyond it."""
    axis, index, seen, weight = strip.axis, strip.index, strip.seen, strip.good[..., None]
    number = strip.total(np.repeat(weight.sum(axis=0), seen.shape[2], axis=1).astype(np.float64))
    mean = strip.total((seen * weight).sum(axis=0)) / number
    deviation = np.sqrt(np.maximum(strip.total((seen**2 * weight).sum(axis=0)) / number - mean**2, 0))
    least, greatest = np.full(mean.shape, np.inf), np.full(mean.shape, -np.inf)
    np.minimum.at(least, index, np.where(weight, seen, np.inf).min(axis=0))
    np.maximum.at(greatest, index, np.where(weight, seen, -np.inf).max(axis=0))
    enough = enough & (np.bincount(index, strip.good[1], len(strip.cells)) == strip.counts)
    nearest, distance = {}, {}
    for name, where in at.items():
        apart = np.abs(strip.place - where[strip.cells][index])
        order = np.lexsort((apart[:, 1 - axis], index))
        first = order[np.searchsorted(index[order], np.arange(len(strip.cells)))]
        nearest[name] = seen[0][first][enough]
        distance[name] = apart[first, axis][enough] + 1.0
    line, second = (strip.total(seen[k]) / strip.counts[:, None] for k in (0, 1))
    return Beside(
        values[strip.cells][enough],
        line[enough],
        second[enough],
        mean[enough],
        deviation[enough],
        least[enough],
        greatest[enough],
        nearest,
        distance,
        np.full(enough.sum(), strip.depth),
    )


def predictors(b: Beside, kind: str) -> tuple[Floats, Floats, Floats, Indices]:
    """Return what predicts cells' values if they are of a kind, in units of the contrast beside them.

    Returns
    -------
    (cells, channels, predictors), counted from the line of pixels beside the cell
    (cells, channels), the values themselves, counted so
    (cells, channels), the unit
    (cells,), how far a sample is from what is known: 0 right beside it, 1 about half a cell, 2 a cell; 0 otherwise
    """
    unit = b.deviation + FLOOR
    parts = [b.line - b.second, b.mean - b.line, b.least - b.line, b.greatest - b.line]
    far = np.zeros(len(unit), np.int64)
    if kind in SAMPLES:
        parts.append(b.nearest[kind] - b.line)
        far = np.where(b.distance[kind] <= 1.5, 0, np.where(b.distance[kind] < 0.75 * b.depth, 1, 2))
    return (np.stack(parts, axis=-1) / unit[..., None]).clip(-5, 5), (b.values - b.line) / unit, unit, far


def roughness(values: Floats) -> Floats:
    """Return how rough a lattice of cells is: second and crosswise differences over first ones, logarithms.

    Parameters
    ----------
    values : (rows, columns, channels), not a number where there is none

    Returns
    -------
    (2,); not a number where too little is there
    """

    def size(*differences: Floats) -> float:
        norms = np.concatenate([np.sqrt(np.einsum("ijc,ijc->ij", d, d) / d.shape[2]).ravel() for d in differences])
        norms = norms[np.isfinite(norms)]
        return float(norms.mean()) if norms.size else np.nan

    down, across = np.diff(values, axis=0), np.diff(values, axis=1)
    first = size(down, across)
    if not first > 0:
        return np.full(2, np.nan)
    return np.log(
        np.maximum([size(np.diff(down, axis=0), np.diff(across, axis=1)), size(np.diff(down, axis=1))], 0.01 * first)
        / first
    )


def lattices(pixels: Array, m: Mosaic, known: Bools, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return `roughness` of a mosaic's cells, and of those around it, pixelated by means and by their middle pixels."""
    around = _around(m, known.shape)
    y, x = around[0].start, around[1].start
    inside = np.where((m.cells.counts == 0)[..., None], np.nan, values)
    if not known[around].any():
        return roughness(inside), np.full(2, np.nan), np.full(2, np.nan)
    outer = Mosaic.from_mask(known[around], m.grid, x=x, y=y)
    outer = outer.showing(SAMPLES["middle"])
    view = pixels[outer.box].astype(np.float64)
    few = outer.cells.counts < 0.9 * m.grid.width * m.grid.height
    means, samples = outer.cells.mean(view), np.full((*few.shape, view.shape[2]), np.nan)
    at = sampled(outer)
    samples.reshape(few.size, -1)[outer.labels()[at]] = view[at]
    means[few], samples[few] = np.nan, np.nan
    return roughness(inside), roughness(means), roughness(samples)


def _around(m: Mosaic, shape: tuple[int, ...]) -> Box:
    return grown(m.box, round(AROUND * max(m.grid.width, m.grid.height)), shape)


def told(pixels: Array, m: Mosaic, scene: Bools) -> CellValue:
    """Return what a mosaic's cells show: means, unless the picture strongly says something else.

    Parameters
    ----------
    pixels : (H, W, C), in levels of 255
    m : in it; its grid is not blended
    scene : bool (H, W), where pixels are the scene's own
    """
    values = cell_values(pixels, m)
    likelihood, witnesses = likelihoods(pixels, m, scene, values)
    scores = odds(likelihood, witnesses, lattices(pixels, m, scene, values), m.cells.counts.size)
    possible: tuple[str, ...] = EXTREMES if max(OTHERS, key=likelihood.__getitem__) in EXTREMES else tuple(SAMPLES)
    best = max(possible, key=lambda kind: scores[kind] - ENOUGH[kind])
    clear = scores[best]
    if best in EXTREMES:  # the border speaks for samples, too: what of it does tells nothing
        clear -= _share(witnesses) * max(likelihood[kind] - likelihood["mean"] for kind in SAMPLES)
        clear = min(clear, scores[best])
    if clear > ENOUGH[best] and witnesses >= WITNESSES:
        # what was told is never wholly sure
        return replace(OTHERS[best], confidence=min(_probability(clear), 0.9999))
    doubt = _probability(STEEPNESS * (max(scores.values()) - PRIOR))
    return MEAN if 1 - doubt > SURE_OF_MEANS else CellValue(confidence=max(1 - doubt, LEAST_SURE))


def likelihoods(pixels: Array, m: Mosaic, scene: Bools, values: Floats) -> tuple[dict[str, float], int]:
    """Return the logarithm of the likelihood of the cells along the border, for each kind, and how many they are."""
    result = dict.fromkeys(KINDS, 0.0)
    border = beside(pixels, m, scene, values)
    if border is None:
        return result, 0
    for kind in KINDS:
        parts, values, _, far = predictors(border, kind)
        for distance in np.unique(far).tolist():
            there = far == distance
            weights, scale = PREDICTED.get((kind, distance), PREDICTED[kind, min(distance, 1)])
            deviation = (values[there] - parts[there] @ np.array(weights)) / scale
            density = -(FREEDOM + 1) / 2 * np.log1p(deviation**2 / FREEDOM) - math.log(scale)
            result[kind] += float(density.mean(axis=1).sum())
    return result, len(border.values)


def odds(
    likelihood: dict[str, float], witnesses: int, rough: tuple[Floats, Floats, Floats], cells: int
) -> dict[str, float]:
    """Return the logarithm of the odds against means, for each of the other kinds.

    Parameters
    ----------
    likelihood, witnesses : of the border, as of `likelihoods`
    rough : as of `lattices`
    cells : how many there are
    """
    ratio = {kind: likelihood[kind] - likelihood["mean"] for kind in KINDS if kind != "mean"}
    inside, means, samples = rough
    if not np.isfinite([means, samples]).all():
        means, samples = np.array(ROUGH_MEANS), np.array(ROUGH_SAMPLES)
    between = (means + samples) / 2
    inside = inside if np.isfinite(inside).all() else between
    weight = math.sqrt(cells / (cells + CELLS))
    usual = (np.array(ROUGH_MEANS) + ROUGH_SAMPLES) / 2
    seen = np.concatenate([weight * (inside - between), weight * (inside - usual), [1, weight]])
    result = {kind: float(weights[0] * ratio[kind] + seen @ weights[1:]) for kind, weights in SAMPLED.items()}
    result.update((kind, _share(witnesses) * ratio[kind]) for kind in EXTREMES)
    return result


def _share(witnesses: int) -> float:
    """Return the share of the likelihoods' ratio that counts for extremes."""
    return min(TEMPERED[0], TEMPERED[1] / math.sqrt(max(witnesses, 1)))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -500 else 0.0


def with_cell_values(
    pixels: Array, mosaics: Sequence[Mosaic], kind: CellValueKind | None = None, given: int = 0
) -> list[Mosaic]:
    """Return mosaics told what their cells show.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), integers of their type's whole range
    mosaics : in it
    kind : what they show, where that is known: then only where samples were taken is told. Blended grids are of means,
        unless it says otherwise
    given : how many, the first ones, have been told already and stay as they are
    """
    result = list(mosaics[:given])
    if kind not in (None, "sample"):
        return [*result, *(m.showing(CellValue(kind)) for m in mosaics[given:])]
    if given >= len(mosaics):  # most pictures have none, and the whole picture in floats is large
        return result
    scene = known(mosaics, pixels.shape)
    for m in mosaics[given:]:
        # nothing farther away is looked at, and a photo is large
        box = _around(m, scene.shape)
        planes = pixels[box].reshape(*scene[box].shape, -1) * (255 / white(pixels.dtype))
        near = m.moved(-box[1].start, -box[0].start)
        if kind == "sample":
            result.append(m.showing(_place_of_samples(planes, near.showing(CellValue(kind)), scene[box])))
        else:
            result.append(m if m.grid.blended else m.showing(told(planes, near, scene[box])))
    return result


def _place_of_samples(pixels: Array, m: Mosaic, scene: Bools) -> CellValue:
    likelihood, _ = likelihoods(pixels, m, scene, cell_values(pixels, m))
    return SAMPLES[max(SAMPLES, key=likelihood.__getitem__)]
