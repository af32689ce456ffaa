"""Where to begin in a lossy picture: places where four tiles meet.

Every mosaic of 2 x 2 cells or more has a corner that four tiles share. For a few sizes of tiles the evidence for
four of them around each corner is computed everywhere, from sums over boxes; tiles of other sizes hold smaller ones.
What a corner is worth following for, a logistic regression tells (`benchmarks/judging.py` fits it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.grid_box import GridBox
from deepix.finder.likelihood import TAU, LikelihoodMaps
from deepix.finder.stripes import in_stripes

Array = NDArray[Any]

SIDES = (3, 5, 9, 16)
"""Widths and heights of the tiles that are tried, in pixels, where neither is more than twice the other. Seven sides,
each a third more than the last, led to 1 more of 289 mosaics in training photos, in three times the time."""
APART = 24
"""Pixels along a square from which at most one corner of each size is taken."""
LEAST = 15.0
"""Evidence, in nats, below which a corner is not looked at."""
WORTH = -0.5
"""The log-odds of a corner below which it is not followed."""
WEIGHTS = np.array(
    [-5.951, -0.022, -4.975, 6.798, 7.461, 0.686, 1.825, 0.906, 1.433, 0.687, -0.602, -1.310, -1.338, -0.279, -0.279]
)
"""Of 1 and what is measured at a corner: a logistic regression, printed by `benchmarks/judging.py`."""


def corners(likelihood: LikelihoodMaps) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the most likely corners: int64 (n, 4) of x, y, width, height, and what is measured there.

    Pixel (x, y) is the first one right of and below the corner; the tiles around it are of width x height.
    Measured, (n, 14): the evidence and its logarithms, as a whole and for each pixel; how much the tiles differ; the
    noise; whether the corner lies on the lines of a JPEG file's blocks, or halfway between.
    """
    height, width = likelihood.gain.shape
    p, u = likelihood.luminance.astype(np.float64), likelihood.weight.astype(np.float64)
    up = u * p
    fixed = _running(_running(likelihood.gain - 0.5 * up * p, 0), 1)
    weights, firsts = _running(u, 0), _running(up, 0)
    places, measured = [np.zeros((0, 4), np.int64)], [np.zeros((0, 14))]
    for h in (s for s in SIDES if 2 * s <= height):
        weight_rows = _running(weights[h:] - weights[:-h], 1)
        first_rows = _running(firsts[h:] - firsts[:-h], 1)
        box = fixed[2 * h :] - fixed[: -2 * h]
        for w in (s for s in SIDES if 2 * s <= width and s <= 2 * h and h <= 2 * s):
            weight = (weight_rows[:, w:] - weight_rows[:, :-w]).astype(np.float32)
            mean = (first_rows[:, w:] - first_rows[:, :-w]).astype(np.float32)
            tile = mean * mean
            tile /= weight
            mean /= weight
            weight *= np.float32(TAU**2)
            weight += 1
            tile -= np.log(weight)
            pair = tile[:-h] + tile[h:]
            value = pair[:, :-w] + pair[:, w:]
            value *= np.float32(0.5)
            value += box[:, 2 * w :] - box[:, : -2 * w]
            y, x = _peaks(value)
            four = mean[y, x], mean[y, x + w], mean[y + h, x], mean[y + h, x + w]
            places.append(np.stack([x + w, y + h, np.full_like(x, w), np.full_like(x, h)], axis=1))
            noise = likelihood.variance[y + h, x + w]
            measured.append(_measurements(value[y, x].astype(np.float64), w, h, x + w, y + h, four, noise))
    return np.concatenate(places), np.concatenate(measured)


def _running(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the sums of the first values along an axis: of none, one, two …"""
    total = np.zeros([side + (k == axis) for k, side in enumerate(values.shape)])
    np.cumsum(values, axis=axis, out=total[1:] if axis == 0 else total[:, 1:])
    return total


def _peaks(value: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return y and x of the largest value in each square of `APART` pixels, of those above `LEAST`."""
    height, width = value.shape
    rows, columns = -(-height // APART), -(-width // APART)
    padded = np.full((rows * APART, columns * APART), -np.inf, np.float32)
    padded[:height, :width] = value
    squares = padded.reshape(rows, APART, columns, APART)
    j, i = np.nonzero(squares.max(axis=1).max(axis=2) > LEAST)
    dy, dx = np.divmod(squares[j, :, i].reshape(len(j), APART * APART).argmax(axis=1), APART)
    return j * APART + dy, i * APART + dx


def _measurements(
    value: NDArray[np.float64], w: int, h: int, x: Array, y: Array, four: tuple[Array, ...], variance: Array
) -> NDArray[np.float64]:
    a, b, c, d = four
    across, down = np.stack([abs(a - b), abs(c - d)]), np.stack([abs(a - c), abs(b - d)])
    differences = (across.min(axis=0), across.max(axis=0), down.min(axis=0), down.max(axis=0), abs(a + d - b - c))
    return np.stack(
        [
            value,
            np.log(value),
            np.log(value / (4 * w * h)),
            np.full(len(value), np.log(w * h)),
            *(np.log(0.3 + v) for v in differences),
            0.5 * np.log(variance),
            *(v % size == 0 for size in (8, 4) for v in (x, y)),
        ],
        axis=1,
    ).astype(np.float64)


def ranked(likelihood: LikelihoodMaps) -> list[tuple[float, GridBox]]:
    """Return log-odds and proposals, the most promising first, of all that are worth following up."""
    height = len(likelihood.gain)

    def of_stripe(rows: slice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        places, measured = corners(likelihood[rows.start : rows.stop + 2 * max(SIDES), :])
        places[:, 1] += rows.start
        return places, WEIGHTS[0] + measured @ WEIGHTS[1:]

    stripes = in_stripes(of_stripe, height)
    places, log_odds = (np.concatenate([s[i] for s in stripes]) for i in (0, 1))
    order = np.argsort(-log_odds, kind="stable")
    return [
        (float(log_odds[i]), GridBox((x - w, y - h, 2 * w, 2 * h), (w, h), (x, y)))
        for i in order[log_odds[order] > WORTH]
        for x, y, w, h in (tuple(int(v) for v in places[i]),)
    ]
