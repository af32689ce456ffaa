"""What `perceptual.py` measures without any network: errors, spectra, steps, and a distance of two distributions.

Pictures are (H, W, 3), of 0 … 255; luminances are float64 (H, W) in the same levels (ITU-R BT.601).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from deepix.mosaic import Mosaic

Array = NDArray[Any]
Floats = NDArray[np.float64]
OCTAVES = 4
"""Octaves above the cells' Nyquist frequency."""
FLOOR = 0.5
"""Levels: steps this small are what rounding to integers makes of none."""


def luminance(picture: Array) -> Floats:
    """Return the luminance of a picture, float64 (H, W)."""
    return np.asarray(np.asarray(picture, np.float64) @ np.array([0.299, 0.587, 0.114]))


def squared_error(result: Array, truth: Array, m: Mosaic) -> tuple[float, int]:
    """Return the sum of squared differences over an area's pixels and channels, and their number.

    RMSE is the root of all cases' sums over all their numbers.
    """
    difference = result[m.box].astype(np.float64) - truth[m.box]
    values = difference[m.area]
    return float(np.square(values).sum()), values.size


def ssim(result: Array, truth: Array, m: Mosaic) -> float:
    """Return the mean over an area of the map of structural similarity, channels averaged.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural similarity. IEEE
    Transactions on Image Processing 13 (2004); Gaussian window of 1.5 pixels as there.
    """
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        truth, result, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    return float(similarity[m.box].mean(axis=2)[m.area].mean())


def spectrum(plane: Floats, m: Mosaic) -> Floats:
    """Return the power of a rectangular area in the octaves above its cells' Nyquist frequency.

    The mean is taken off and both sides are tapered by Hann's window, so that the border does not leak. Octave k holds
    the frequencies |f| of 2^k … 2^(k+1) times 1/(2 · cell), up to 1/2 a pixel; it is 0 above that. Divided by the
    truth's, pooled over cases, this is the share of the energy that is there again, whether in the right place or not.

    References
    ----------
    Harris: On the use of windows for harmonic analysis with the discrete Fourier transform. Proceedings of the IEEE 66
    (1978).

    Returns
    -------
    float64 (OCTAVES,), squared levels a pixel
    """
    area = plane[m.box]
    taper = np.outer(*(np.hanning(side + 2)[1:-1] for side in area.shape))
    centred = area - (area * taper).sum() / taper.sum()
    power = np.square(np.abs(np.fft.fft2(centred * taper))) / (np.square(taper).sum() * area.size)
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in area.shape), indexing="ij"))
    nyquist = 0.5 / max(m.grid.width, m.grid.height)
    edges = [nyquist * 2.0**k for k in range(OCTAVES + 1)]
    there = [(radius >= a) & (radius < min(b, 0.5)) for a, b in pairwise(edges)]
    return np.array([power[mask].sum() for mask in there])


def _inner_steps(plane: Floats, m: Mosaic) -> tuple[Floats, Floats]:
    """Return the absolute steps inside an area that cross lines of its cells, and those that do not."""
    values, inside = plane[m.box], m.area
    rows = np.floor((np.arange(m.y, m.y + m.height) + 0.5 - m.grid.y) / m.grid.height)
    columns = np.floor((np.arange(m.x, m.x + m.width) + 0.5 - m.grid.x) / m.grid.width)
    on, off = [], []
    for axis, cells in enumerate((rows[:, None], columns[None])):
        step = np.abs(np.diff(values, axis=axis))
        crosses = np.broadcast_to(np.diff(cells, axis=axis) != 0, step.shape)
        both = np.logical_and(*_neighbours(inside, axis))
        on.append(step[both & crosses])
        off.append(step[both & ~crosses])
    return np.concatenate(on), np.concatenate(off)


def _neighbours(values: Array, axis: int) -> tuple[Array, Array]:
    count = values.shape[axis]
    return values.take(range(count - 1), axis), values.take(range(1, count), axis)


def _contrast(across: Floats, elsewhere: Floats) -> float:
    return float((across.mean() + FLOOR) / (elsewhere.mean() + FLOOR))


def blocks(plane: Floats, m: Mosaic) -> float:
    """Return how much larger steps across the cells' lines are than steps elsewhere in the area: means, plus `FLOOR`.

    1 for a picture that knows nothing of the cells. Stated over the truth's, as the geometric mean over cases.

    References
    ----------
    Wang, Bovik, Evans: Blind measurement of blocking artifacts in images. ICIP 2000, is where steps at a known grid are
    set against those elsewhere; ratio and floor are ours.
    """
    return _contrast(*_inner_steps(plane, m))


def seam(plane: Floats, m: Mosaic) -> float:
    """Return how much larger steps across the area's border are than steps inside it: means, plus `FLOOR`.

    Steps lead from an unknown pixel to a known one beside, above or below it. As `blocks`, over the truth's.
    """
    inside = np.zeros(plane.shape, bool)
    inside[m.box] = m.area
    across = [
        np.abs(np.diff(plane, axis=axis))[np.not_equal(*_neighbours(inside, axis))] for axis in (0, 1)
    ]  # fmt: skip
    return _contrast(np.concatenate(across), np.concatenate(_inner_steps(plane, m)))


class Tiles(NamedTuple):
    """Descriptors of tiles, and of which photo each is.

    Attributes
    ----------
    values : float64 (N, F)
    photos : int (N,)
    """

    values: Floats
    photos: NDArray[np.int64]


def energy_distance(a: Tiles, b: Tiles, scale: Floats | None = None) -> float:
    """Return 2 E|X − Y| − E|X − X'| − E|Y − Y'|, the expectations over tiles of different photos only.

    X are of `a` and Y of `b`. Were tiles of the same photo compared, a restoration would seem near for showing the same
    thing; without, only its statistics count. Every pair of photos has the same weight. 0 where both are alike, up to
    chance on either side of it.

    Parameters
    ----------
    a, b : of the same photos, at least two
    scale : (F,) each descriptor is divided by it, and the distance by √F; default: the deviation of `a`

    References
    ----------
    Székely, Rizzo: Energy statistics: a class of statistics based on distances. Journal of Statistical Planning and
    Inference 143 (2013).

    Raises
    ------
    ValueError : there are fewer than two photos
    """
    if len(set(a.photos.tolist()) | set(b.photos.tolist())) < 2:
        raise ValueError("an energy distance over pairs of different photos needs two photos")
    scale = a.values.std(axis=0) if scale is None else scale
    factor = np.sqrt(a.values.shape[1]) * np.maximum(scale, 1e-12)
    between, within, apart = (
        _mean_distance(x, y, factor) for x, y in ((a, b), (a, a), (b, b))
    )  # fmt: skip
    return 2 * between - within - apart


def _mean_distance(a: Tiles, b: Tiles, factor: Floats) -> float:
    """Return the mean distance over pairs of tiles of different photos, every pair of photos with the same weight."""
    x, y = a.values / factor, b.values / factor
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    weights = np.outer(_shares(a.photos), _shares(b.photos)) * (a.photos[:, None] != b.photos)
    return float((weights * np.sqrt(np.maximum(squares, 0))).sum() / weights.sum())


def _shares(photos: NDArray[np.int64]) -> Floats:
    _, inverse, counts = np.unique(photos, return_inverse=True, return_counts=True)
    return 1.0 / counts[inverse]
