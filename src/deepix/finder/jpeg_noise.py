"""What a JPEG file does to tiles of one colour: how much noise it leaves, block by block.

JPEG rounds the cosine coefficients of 8 x 8 blocks to multiples of the quality's steps q_k. A block that lies in one
tile has no coefficient but its mean and stays flat; a block cut by tiles has noise that grows with the number of its
coefficients that are not 0. Both can be seen in the decoded picture: the quality by the multiples its coefficients
gather at, and each block's number of coefficients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.finder.fast_filters import BLOCK, block_cosines

Array = NDArray[Any]

SIDE = BLOCK
"""Pixels along a block."""
STEPS_AT_50 = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""The steps of luminance at quality 50: ITU-T T.81, table K.1, which most programs scale (libjpeg's rule)."""
QUALITIES = range(70, 100)
"""JPEG qualities at which tiles are nearly intact."""
COARSE = range(8, 70)
"""JPEG qualities that only `saved_quality` tells."""
BLOCKS = 3000
"""Blocks whose coefficients are looked at to find the quality, at most: random ones."""
VALUES = 10_000
"""Coefficients of these that are tried with coarse qualities, at most."""
FIRST = 2_000
"""Coefficients that are tried with all qualities."""
BEST = 4
"""Qualities, the best of these, that are tried with all coefficients."""
LARGE = 1.5
"""The least size of coefficients, in levels, that are looked at to find the quality."""
SPREAD = 0.45
"""Standard deviation, in levels, of what rounding pixels to integers adds to coefficients."""
PEAK = np.float32(np.sqrt(2 * np.pi) * SPREAD)
"""By how much a normal density of this standard deviation is lower, in the middle, than 1."""
ANYWHERE = 0.05
"""The share of coefficients that clipping and the like have moved anywhere."""
LEAST_FIT = -0.1
"""The mean log-likelihood ratio, in nats, that a picture's coefficients need at least for a quality of the file."""
LEAST_SECOND_FIT = 0.05
"""The same of the coefficients that did not fit the steps of a coarser file which the picture came from."""
USUAL = 92
"""The quality that is assumed where none can be made out."""
STANDARD = 0.05
"""The mean difference of logarithms below which a table is `STEPS_AT_50`, scaled and rounded."""
ACTIVE = (1, 3, 6, 10, 15, 24, 36, 64)
"""Numbers of a block's coefficients that are not 0, for `SHARE`."""
SHARE = (0.002, 0.025, 0.042, 0.05, 0.14, 0.33, 0.72, 1.2)
"""The noise's variance in blocks with `ACTIVE` coefficients, relative to what rounding all of them evenly would leave.

Measured on mosaics in training photos at qualities 90 to 95, where it hardly depends on the quality or the cell size.
"""
FLAT = 0.01
"""What a pixel of a flat block counts for a mosaic, in nats: just enough for an area to hold its own flat cells."""
ROUNDING = 0.08
"""The variance that rounding to integers leaves, in levels squared: about 1/12."""


def coefficients(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine coefficients of the picture's blocks: (rows, columns, 8, 8), orthonormal."""
    height, width = luminance.shape
    padded = np.pad(luminance, ((0, -height % SIDE), (0, -width % SIDE)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // SIDE, SIDE, padded.shape[1] // SIDE, SIDE).swapaxes(1, 2)
    return block_cosines(blocks - np.float32(128))


@cache
def steps_of(quality: int) -> NDArray[np.float64]:
    """Return the steps of luminance at a quality of 50 to 100: float64 (8, 8)."""
    steps = np.asarray(np.clip((STEPS_AT_50 * (200 - 2 * quality) + 50) // 100, 1, 255), np.float64)
    steps.setflags(write=False)
    return steps


@cache
def _flat_steps(quality: int) -> NDArray[np.float32]:
    """Return the steps of a block's 64 coefficients."""
    return np.asarray(steps_of(quality).ravel(), np.float32)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Some of a picture's cosine coefficients that are not small, (N,), with their places in a block, 1 … 63."""

    value: NDArray[np.float32]
    place: NDArray[np.int64]

    @classmethod
    def of(cls, luminance: NDArray[np.float32]) -> Coefficients:
        """Return those of at most `BLOCKS` random blocks of a picture, (H, W)."""
        rows, columns = (side // SIDE for side in luminance.shape)
        if not rows or not columns:
            return cls(np.zeros(0, np.float32), np.zeros(0, np.int64))
        blocks = luminance[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
        chosen = np.random.default_rng(0).permutation(rows * columns)[:BLOCKS]
        row, column = np.divmod(chosen, columns)
        values = coefficients(blocks[row, :, column].reshape(-1, SIDE)).reshape(-1, SIDE * SIDE)[:, 1:]
        there = np.abs(values) > LARGE
        return cls(values[there], np.nonzero(there)[1] + 1)

    def __getitem__(self, which: Array | slice) -> Coefficients:
        return Coefficients(self.value[which], self.place[which])

    def rest(self, quality: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return how far the values are from multiples of the quality's steps, in units of `SPREAD`, and the steps."""
        step = _flat_steps(quality)[self.place]
        rest = self.value / step
        np.rint(rest, out=rest)
        rest *= step
        np.subtract(self.value, rest, out=rest)
        np.abs(rest, out=rest)
        rest /= np.float32(SPREAD)
        return rest, step

    def fit(self, quality: int) -> float:
        """Return the mean log-likelihood ratio of "multiples of the steps, or anything" to "anything", in nats."""
        rest, step = self.rest(quality)
        density = np.float32(-0.5) * rest
        density *= rest
        np.exp(density, out=density)
        step /= PEAK
        density *= step
        density *= np.float32(1 - ANYWHERE)
        density += np.float32(ANYWHERE)
        return float(np.log(density, out=density).mean())

    def odd(self, quality: int) -> NDArray[np.bool_]:
        """Return which values are no multiples of the quality's steps."""
        return self.rest(quality)[0] > 2.5

    def quality(self) -> int:
        """Return which of `QUALITIES` fits.

        At the right steps coefficients are multiples of them, but for the rounding of pixels. So are many at the steps
        of a coarser file that the photo came from; but what does not fit those, as in mosaics, fits those of the last.
        """
        left, result, qualities = self, USUAL, QUALITIES
        while len(left.value) >= 50 and len(qualities):
            fit, best = left.best(qualities)
            if fit < (LEAST_FIT if qualities is QUALITIES else LEAST_SECOND_FIT):
                break
            result, qualities = best, range(best + 1, qualities.stop)
            left = left[left.odd(result)]
        return result

    def best(self, qualities: Iterable[int]) -> tuple[float, int]:
        """Return how well the quality fits that fits best, and that; of equally good ones the least."""
        likely = sorted(qualities, key=self[:FIRST].fit, reverse=True)[:BEST]
        return max(((self.fit(quality), quality) for quality in likely), key=lambda b: (b[0], -b[1]))


def estimated_quality(luminance: NDArray[np.float32]) -> int:
    """Return which of `QUALITIES` a decoded picture was last saved with, as far as some of its blocks tell.

    Parameters
    ----------
    luminance : (H, W) in levels, with the file's blocks beginning at its upper left corner
    """
    return Coefficients.of(luminance).quality()


def saved_quality(luminance: NDArray[np.float32], table: Sequence[int] | None = None) -> int:
    """Return the quality of the save that has disturbed a decoded picture's tiles most, as far as one can tell.

    A file's table is what it was saved with last; its coefficients may show that it was saved with coarser steps before
    (at 60 and then at 95, say). The coarser of the two counts, and the table where they agree but for 1.

    Parameters
    ----------
    luminance : (H, W) in levels, with the file's blocks beginning at its upper left corner
    table : the file's steps of luminance, as for `table_quality`; None: not known
    """
    seen = _seen_quality(luminance)
    told = None if table is None else table_quality(table)
    return seen if told is None or seen < told - 1 else told


def table_quality(table: Sequence[int]) -> int | None:
    """Return the quality whose steps are nearest, in the mean of their logarithms, to those of a JPEG file's table.

    Of a table that is no multiple of `STEPS_AT_50` (many cameras and programs have their own) this is a rough figure.
    None if it would be one of `COARSE`: that ends the search for nearly intact tiles, and cost more mosaics than it
    gained.

    Parameters
    ----------
    table : 64 steps of luminance, row after row from the mean to the finest, as in `deepix.images.Picture.quantization`
    """
    steps = np.log(np.maximum(np.asarray(table, np.float64).reshape(SIDE, SIDE), 1))
    ratios = {quality: steps - np.log(steps_of(quality)) for quality in range(min(COARSE), 101)}
    quality = min(ratios, key=lambda q: abs(float(ratios[q].mean())))
    if quality not in COARSE or np.abs(ratios[quality]).mean() < STANDARD:
        return quality
    return None


def _seen_quality(luminance: NDArray[np.float32]) -> int:
    """Return the quality that coefficients show: `estimated_quality`, or one of `COARSE`."""
    some = Coefficients.of(luminance)
    known = some.quality()
    some = some[:VALUES]
    if len(some.value) < 200:
        return known
    fit, best = some.best(COARSE)
    if fit <= max(some.fit(known), 0.0):
        return known
    # what does not fit a coarse file, as mosaics do not, fits the finer one that it was saved in later
    left = some[some.odd(best)]
    return known if len(left.value) >= 50 and left.fit(known) > LEAST_SECOND_FIT else best


def noise(luminance: NDArray[np.float32], quality: int) -> tuple[Array, Array, Array]:
    """Return what a JPEG file has left of tiles of one colour, for each pixel: three float32 (H, W).

    Parameters
    ----------
    luminance : (H, W), 0 … 255, with the file's blocks beginning at its upper left corner
    quality : the file's

    Returns
    -------
    the noise's variance; how much of a square deviation counts, because a block with few coefficients has noise of few
    degrees of freedom; and what a tile's pixel then pays for its noise on the average
    """
    blocks = coefficients(luminance)
    step = steps_of(quality)
    active = np.abs(blocks) > 0.6 * step.astype(np.float32)
    active[..., 0, 0] = True
    number = np.count_nonzero(active, axis=(2, 3))
    variance = ROUNDING + (step**2).sum() / (12 * SIDE**2) * np.interp(number, ACTIVE, SHARE)
    weight = np.minimum((number + 1) / 20, 1)
    paid = np.where(number > 2, 0.5 * weight, FLAT)
    height, width = luminance.shape
    maps = [
        np.repeat(np.repeat(v.astype(np.float32), SIDE, axis=0), SIDE, axis=1)[:height, :width]
        for v in (variance, weight, paid)
    ]
    return maps[0], maps[1], maps[2]
