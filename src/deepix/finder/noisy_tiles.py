"""Mosaics in lossy pictures: tiles of nearly one colour.

1. *Proposal.* `tile_corners.ranked`: corners of four tiles.
2. *Area and grid, together.* `follow` finds the span of columns and their grid that explain the picture best, given the
   rows; then the rows, given the columns; and so on (coordinate ascent on `likelihood`, each step an exact maximum).
3. *Judgement.* An area must have more evidence than `chance` finds somewhere in a picture of this size. `log_odds`: a
   logistic regression of what is measured in the area (`benchmarks/judging.py` fits it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from deepix.finder import tile_corners
from deepix.finder.candidates import Candidate
from deepix.finder.column_span import NEVER, best_span
from deepix.finder.grid import LARGEST, SMALLEST
from deepix.finder.grid_box import GridBox, shared
from deepix.finder.likelihood import LikelihoodMaps, starts
from deepix.mosaic import Grid, Mosaic

Array = NDArray[Any]

FOLLOWED = 20
"""Proposals that are followed in one picture, at most: in training photos the 18th was the last to lead anywhere."""
UNLIKELY = 4
"""Proposals, at most, where the locator's map shows nothing: in training photos the third was the last to lead
anywhere."""
GROWING = 8
"""The largest cells that a proposal may lead to, in units of its own tiles."""
GROWN = 48
"""The least such limit, in pixels."""
AGAIN = 2
"""How often corners that do not lie on its grid are followed in an area that was found."""
SIZES = 2
"""How many sizes of tiles are followed at the same corner."""
RING = 8
"""Pixels around an area that are measured, too."""
LEAST = 5.0
"""The evidence, in nats, below which an area is nothing; of an area that is judged, beyond what `chance` reaches."""
BELIEVED = 1.0
"""The log-odds above which an area is a candidate, more than even: a false alarm is worse than a missed mosaic."""
TIE = 20.0
"""How much less evidence, in nats, is nearly as much."""
TIED = 0.01
"""How much less evidence, as a share, is nearly as much."""
BETTER = 1.0
"""How much better log-odds are better: those of grids that share most lines are alike."""
HOPELESS = -5.0
"""The log-odds below which it does not help that cells are square."""
FEW = 4
"""Lines of an area that are tried as those of another grid."""
ITERATIONS = 10
"""Steps of the ascent, in columns and rows by turns, at most."""
# fmt: off
WEIGHTS = np.array([
    -9.8937, -0.0996, 0.8246, 1.6994, 1.4508, 0.5493, 1.1403, -1.2605, -1.1544, 0.3625, 0.0136, -0.1975, 1.6708,
    -0.4981, -0.0038, -0.0235, 0.0647, 0.0595, -0.0637, 0.0149, -0.0767, -0.1240, -0.0835, 0.0715, 0.0302, 0.1372,
    -0.0846, 0.3688, -0.2910, -0.3766, -0.0477, -0.3478, 0.3557, 0.4221, 1.1966, -0.2148, 0.0383, -0.0282, 0.2682,
    -0.0357, -0.3104, -0.3928, -0.4132, -0.0697, 0.0302, 0.7114, 0.2397, 0.3713, 0.5850, 0.0281, -0.5209, -0.0307,
    -0.0771, -0.1497, 0.5352, 0.8574, 0.8450, 0.4325, 1.0666, 0.6291, -0.3443, -0.1406, -0.2888, 0.1387, -0.1667,
    0.1942, 0.1389, 0.5420, 0.4119, -0.2954, -0.2845, 0.1038, 0.5719, 0.5079, 0.3290, 0.7652, 0.4692, -0.9745, -0.7922,
    -0.8627, -0.5038, -0.3354, -1.7851, 0.2128, -0.0843, 0.7851, -0.1875, -0.2620, 0.4917, -0.0087, 0.1374, -0.2464,
    -0.0504, 0.5159, 0.0148, 0.1131, 0.0669, 0.9375, 0.2237, 0.0251, 0.5023, -0.0631, -0.9712, 1.0135, -0.2403,
])
# fmt: on
"""Of the products of the `measurements`: a logistic regression that `benchmarks/judging.py` goes on with."""


def follow(likelihood: LikelihoodMaps, proposal: GridBox, most: int = LARGEST) -> tuple[float, GridBox] | None:
    """Return the area and grid that a proposal leads to, with the evidence for it; None where it leads to nothing.

    Its cells are at most `most` pixels wide and high. Of the proposal, the area is known but for some pixels.
    """
    areas = path(likelihood, proposal, set(), most, begin=2)
    value = likelihood.log_ratio(areas[-1]) if areas else 0.0
    return (value, areas[-1]) if value >= LEAST else None


def path(
    likelihood: LikelihoodMaps,
    proposal: GridBox,
    seen: set[tuple[bool, bool, GridBox]],
    most: int = LARGEST,
    begin: int = 0,
) -> list[GridBox]:
    """Return the areas with grids that a proposal leads to, step by step; none where it leads to nothing.

    The first turns look at whole cells of the other direction only, which are the same whether the area's ends are
    right already or not: the first four, less `begin`. The path ends where another one, which has left its steps in
    `seen`, was before.
    """
    turned = likelihood.turned
    result: list[GridBox] = []
    for turn in range(begin, ITERATIONS):
        whole = turn < 4
        if (turn % 2 == 0, whole, proposal) in seen:
            break
        seen.add((turn % 2 == 0, whole, proposal))
        (x, y, w, h), (width, height), (left, top) = proposal.box, proposal.cell, proposal.origin
        if turn % 2 == 0:
            found = _columns(likelihood, (x, x + w), _core((y, y + h), height, top, whole), height, top, width, most)
        else:
            found = _columns(turned, (y, y + h), _core((x, x + w), width, left, whole), width, left, height, most)
        if found is None:
            return []
        (a, b), size, line = found
        if turn % 2 == 0:
            proposal = GridBox((a, y, b - a, h), (size, height), (line, top))
        else:
            proposal = GridBox((x, a, w, b - a), (width, size), (left, line))
        if turn > 4 and proposal == result[-1]:
            break
        if turn > begin:
            result = [area for area in result if area != proposal] + [proposal]
    return result


def _core(span: tuple[int, int], size: int, origin: int, whole: bool) -> tuple[int, int]:
    """Return the part of a span that whole cells fill; the span itself if there are less than two, or not `whole`."""
    first = span[0] + (origin - span[0]) % size
    last = span[1] - (span[1] - origin) % size
    return (first, last) if whole and last - first >= 2 * size else span


def _columns(
    likelihood: LikelihoodMaps,
    span: tuple[int, int],
    rows: tuple[int, int],
    height: int,
    top: int,
    width: int,
    most: int,
) -> tuple[tuple[int, int], int, int] | None:
    """Return `best_span` in a window around the present span that widens while the span touches it."""
    total = likelihood.gain.shape[1]
    reach = max(2 * width, 3 * height // 2, 24)
    low, high = max(span[0] - reach, 0), min(span[1] + reach, total)
    cells = starts(*rows, height, top)
    while True:
        value, (a, b), size, line = best_span(likelihood, (low, high), rows, cells, most)
        if value < LEAST:
            return None
        more = (high - low) // 2
        left, right = a <= low + 1 and low > 0, b >= high - 1 and high < total
        if not (left or right):
            return (a, b), size, line
        low, high = max(low - more, 0) if left else low, min(high + more, total) if right else high


def measurements(likelihood: LikelihoodMaps, area: GridBox, value: float) -> NDArray[np.float64]:
    """Return what tells a lossy mosaic from a photo: (14,), the first of them 1; see the code for each.

    The evidence must be positive; `value` is that of the area.
    """
    m = area.mosaic
    p, variance = likelihood.luminance[m.box], likelihood.variance[m.box]
    means = m.cells.mean(p)
    rows, columns = np.abs(np.diff(means, axis=0)), np.abs(np.diff(means, axis=1))
    saddle = np.abs(np.diff(np.diff(means, axis=0), axis=1))
    noise = float(np.sqrt(variance.mean()))
    residual = m.cells.mean(np.square(p - m.cells.spread(means)) / variance)  # of each cell, 1 for mere noise
    pixels = m.width * m.height
    lines = len(rows) * m.width + columns.shape[1] * m.height
    x0, y0, x1, y1 = max(m.x - RING, 0), max(m.y - RING, 0), m.x + m.width + RING, m.y + m.height + RING
    around = likelihood.gain[y0:y1, x0:x1]
    outside = float(around.sum(dtype=np.float64) - likelihood.gain[m.box].sum(dtype=np.float64))
    outside /= max(around.size - pixels, 1)
    return np.array(
        [
            1.0,
            np.log(max(value - chance(likelihood), 1.0)),
            np.log(value / pixels),
            np.log(value / lines),
            np.log(0.1 + min(float(np.median(rows)), float(np.median(columns))) / noise),
            np.log(0.1 + min(float(rows.mean()), float(columns.mean()))),
            np.log(0.1 + float(np.median(saddle)) / noise),
            np.log(0.05 + float((residual * m.cells.counts).sum()) / pixels),
            np.log(0.05 + float(np.quantile(residual, 0.9))),
            np.log(noise),
            np.log(min(len(rows), columns.shape[1])),  # grid lines in the direction that has fewer
            np.log(means.size),
            np.log(0.1 + max(outside, 0.0)),  # how much of a photo there is around
            float(sum(size % 8 == 0 and start % 8 == 0 for size, start in zip(area.cell, area.origin, strict=True))),
        ]
    )


def log_odds(likelihood: LikelihoodMaps, area: GridBox, value: float) -> float:
    """Return the log-odds that this is a mosaic, with this area and grid."""
    return float(WEIGHTS @ products(measurements(likelihood, area, value)))


def products(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of any two of (…, n) measurements, the first of which is 1: (…, n (n + 1) / 2)."""
    i, j = np.triu_indices(measured.shape[-1])
    return np.asarray(measured[..., i] * measured[..., j])


def chance(likelihood: LikelihoodMaps) -> float:
    """Return the evidence, in nats, that the best of all areas and cells reaches by chance: the number of those tried.

    Any two pixels are an area's corners, and cells have any width and height; where they start is paid in `CUT`.
    """
    return float(2 * np.log(likelihood.gain.size / 2 * (LARGEST - SMALLEST + 1)))


def followed(
    likelihood: LikelihoodMaps, unlikely: NDArray[np.bool_] | None = None, known: Sequence[GridBox] = ()
) -> list[tuple[float, float, GridBox]]:
    """Return the areas that the best proposals lead to, of at least 1.5 x 1.5 cells: evidence, log-odds and area.

    Of each path its last area, or the last one that is believed: the ascent may have gone on into flat surroundings, or
    to a part of the cells' size. In an area that is believed, or at its border, corners are followed again only `AGAIN`
    times, and only those that do not lie on its grid: the search may have ended in a local maximum. Of corners that are
    `unlikely`, (H, W), only `UNLIKELY` are followed; of those in areas that are `known`, none.
    """
    result: list[tuple[float, float, GridBox]] = []
    believed = list(known)
    again = [AGAIN] * len(known)
    seen: set[tuple[bool, bool, GridBox]] = set()
    judged: set[GridBox] = set()
    least = chance(likelihood) + LEAST
    tried: Counter[tuple[int, int]] = Counter()
    left = UNLIKELY
    for _, proposal in tile_corners.ranked(likelihood):
        if tried.total() >= FOLLOWED:
            break
        corner = (proposal.origin[0] - 2, proposal.origin[1] - 2, 4, 4)
        near = [i for i, area in enumerate(believed) if shared(corner, area.box)]
        if tried[proposal.origin] >= SIZES or (
            near and (again[near[0]] >= AGAIN or any(_on_grid(believed[i], proposal.origin) for i in near))
        ):
            continue
        if unlikely is not None and unlikely[proposal.origin[::-1]]:
            if not left:
                continue
            left -= 1
        if near:
            again[near[0]] += 1
        tried[proposal.origin] += 1
        for area in reversed(path(likelihood, proposal, seen, max(GROWING * max(proposal.cell), GROWN))):
            small = any(side < 1.5 * size for side, size in zip(area.box[2:], area.cell, strict=True))
            value = NEVER if small or area in judged else likelihood.log_ratio(area)
            judged.add(area)
            if value < least:
                continue
            result.append(_plainer(likelihood, value, area))
            area = result[-1][2]
            if result[-1][1] > BELIEVED:
                believed.append(area)
                again.append(0)
                break
    return result


def _plainer(likelihood: LikelihoodMaps, value: float, area: GridBox) -> tuple[float, float, GridBox]:
    """Return the area's evidence, log-odds and itself; or another one's with square or twice as wide or high cells.

    Few lines can lie on many grids. Such a one takes the area's place if it has nearly as much evidence and better
    odds. One of the area's lines is one of its own.
    """
    found = value, log_odds(likelihood, area, value), area
    better: list[tuple[float, float, GridBox]] = []
    if found[1] < HOPELESS:
        return found
    width, height = area.cell
    for cell in ((width, width), (height, height), (2 * width, height), (width, 2 * height)):
        if cell == area.cell or any(side < 1.5 * size for side, size in zip(area.box[2:], cell, strict=True)):
            continue
        axis = 0 if cell[0] != width else 1
        start, old = area.box[axis], area.cell[axis]
        first = start + (area.origin[axis] - start) % old
        for line in range(first, min(first + FEW * old, start + area.box[2 + axis]), old):
            origin = (line, area.origin[1]) if axis == 0 else (area.origin[0], line)
            other = GridBox(area.box, cell, origin)
            theirs = likelihood.log_ratio(other)
            if theirs >= value - max(TIE, TIED * value):
                better.append((theirs, log_odds(likelihood, other, theirs), other))
    best = max(better, key=lambda b: b[1], default=found)
    return best if best[1] > found[1] + BETTER else found


def _on_grid(area: GridBox, corner: tuple[int, int]) -> bool:
    """Whether a corner lies on lines of an area's grid in both directions."""
    return all((c - o) % size == 0 for c, o, size in zip(corner, area.origin, area.cell, strict=True))


def candidates(
    likelihood: LikelihoodMaps, unlikely: NDArray[np.bool_] | None = None, known: Sequence[GridBox] = ()
) -> list[Candidate]:
    """Return the rectangles of nearly one-coloured tiles of a lossy picture, which do not overlap.

    `unlikely`: bool (H, W), where a network sees nothing; `known`: areas with grids that are known already.
    """
    result: list[Candidate] = []
    taken: list[GridBox] = []
    for value, log_odds, area in sorted(followed(likelihood, unlikely, known), key=lambda c: -c[0]):
        if log_odds > BELIEVED and not any(shared(area.box, other.box) for other in taken):
            taken.append(area)
            grid = Grid(*area.origin, *area.cell)
            m = Mosaic(*area.box, grid, confidence=float(special.expit(log_odds)))
            result.append(Candidate.of_noisy_tiles(value, m))
    return result
