"""Which grid: the cells' size and origin, from the steps between neighbouring pixels.

In a mosaic neighbouring pixels differ only across grid lines. Let p(x) be the mean step between columns x − 1 and x
over an area. If steps are exponentially distributed with one mean on the lines of a comb (size w, phase x0) and
another off them, the comb's log-likelihood ratio to "one mean everywhere" is, per row,

    n log m − n_on log m_on − n_off log m_off                    (m: mean steps of all, on and off the comb)

A comb of half the size has lines without steps, one of double the size has steps off its lines: both lose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Grid

Array = NDArray[Any]
Steps = NDArray[np.uint8]

SMALLEST, LARGEST = 3, 128
"""Cell sizes that are looked for, in pixels."""


def steps(pixels: Array, lossy: bool) -> tuple[Steps, Steps]:
    """Return how much each pixel differs from its left and from its upper neighbour.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16
    lossy : take luminance, which lossy files keep best; else the largest difference of any channel

    Returns
    -------
    two uint8 (H, W), in levels of 8 bits; 0 in the first column or row, and, unless `lossy`, otherwise only
    where the pixels are equal
    """
    height, width = pixels.shape[:2]
    across, down = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    if lossy:
        pixels = luminance(pixels)
    for start in range(0, height, 256):  # stripes, for the processor's cache
        stop = min(start + 256, height)
        stripe = pixels[start:stop]
        across[start:stop, 1:] = _difference(stripe[:, 1:], stripe[:, :-1])
        first = max(start, 1)
        down[first:stop] = _difference(pixels[first:stop], pixels[first - 1 : stop - 1])
    return across, down


def _difference(a: Array, b: Array) -> Steps:
    if a.ndim == 3:
        result = _difference(a[..., 0], b[..., 0])
        for c in range(1, a.shape[2]):
            np.maximum(result, _difference(a[..., c], b[..., c]), out=result)
        return result
    levels = np.maximum(a, b) - np.minimum(a, b)
    if levels.dtype == np.uint8:
        return levels
    return np.asarray((levels.astype(np.uint32) + 256) // 257, np.uint8)  # rounded up: 0 only where equal


def luminance(pixels: Array) -> Array:
    """Return the luminance (Rec. 601 weights, as JPEG has) of the picture, in its own type: (H, W)."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] < 3:
        return np.ascontiguousarray(pixels[..., 0])
    result = np.empty(pixels.shape[:2], pixels.dtype)
    for start in range(0, len(pixels), 256):
        red, green, blue = (pixels[start : start + 256, :, c].astype(np.uint32) for c in range(3))
        result[start : start + 256] = (77 * red + 150 * green + 29 * blue + 128) >> 8
    return result


def comb(
    total: NDArray[np.float64],
    count: NDArray[np.float64],
    floor: float,
    sizes: range = range(SMALLEST, LARGEST + 1),
) -> tuple[int, int, float]:
    """Return the comb that explains a profile of steps best: its size, phase and log-likelihood ratio.

    Parameters
    ----------
    total, count : (n,) sum of steps and number of pixel pairs at each position
    floor : what a step is at least taken for: the rounding, or the noise
    sizes : the sizes to try

    Returns
    -------
    size, phase (of positions in the profile) and log-likelihood ratio (in nats, summed over the pairs); of combs that
    explain it equally well the smallest size. The ratio is −inf where no comb has a line in the profile.
    """
    n = len(total)
    everything, pairs = float(total.sum()), float(count.sum())
    tried = np.arange(sizes.start, min(sizes.stop, n + 1))
    if not pairs or not tried.size:
        return sizes.start, 0, -np.inf
    first = np.cumsum(tried) - tried  # the bins of size s are first … first + s − 1, one for each phase
    bins = (first[:, None] + np.arange(n) % tried[:, None]).ravel()
    number = int(tried.sum())
    on = np.bincount(bins, np.tile(total, len(tried)), number)
    on_pairs = np.bincount(bins, np.tile(count, len(tried)), number)
    ratio = _ratio(on, on_pairs, everything, pairs, floor)
    best = int(np.argmax(ratio >= ratio.max() - 1e-6 * pairs))  # the first, hence smallest, of the equally good
    index = int(np.searchsorted(first, best, side="right")) - 1
    return int(tried[index]), int(best - first[index]), float(ratio[best])


def comb_ratio(total: Array, count: Array, floor: float, size: int, phase: int) -> float:
    """Return the log-likelihood ratio of one comb: see `comb`."""
    on, on_pairs = total[phase::size].sum(), count[phase::size].sum()
    return float(_ratio(on[None], on_pairs[None], float(total.sum()), float(count.sum()), floor)[0])


def _ratio(on: Array, on_pairs: Array, everything: float, pairs: float, floor: float) -> NDArray[np.float64]:
    off_pairs = np.maximum(pairs - on_pairs, 1e-9)
    on_mean = on / np.maximum(on_pairs, 1e-9) + floor
    off_mean = np.maximum(everything - on, 0) / off_pairs + floor
    ratio = pairs * np.log(everything / pairs + floor) - on_pairs * np.log(on_mean) - off_pairs * np.log(off_mean)
    ratio[(on_pairs == 0) | (on_mean <= off_mean)] = -np.inf
    return np.asarray(ratio, np.float64)


def comb_in(
    across: Steps, down: Steps, cell: tuple[int, int] | None, floor: float, cap: int
) -> tuple[Grid, float]:
    """Placeholder."""
    raise NotImplementedError
