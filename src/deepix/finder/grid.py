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

SMALLEST = 3
"""The smallest cells that are looked for, in pixels."""
LARGEST = 128
"""The largest cells that are looked for, in pixels."""
MAXIMUM = 512
"""The largest cells that `fit_grid` looks for in an area that is given, in pixels."""
FLOOR = 0.1
"""What the root of a step is at least taken for, in √levels: combs without any step off their lines compare equal."""
ROOTS = np.rint(16 * np.sqrt(np.arange(256))).clip(0, 255).astype(np.uint8)
"""Sixteen times the root of a step: with roots, one strong edge does not weigh more than a comb."""


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


def lines_ratio(total: Array, count: Array, floor: float, lines: Array | slice) -> float:
    """Return the log-likelihood ratio of some lines to "one mean everywhere": see `comb`."""
    on, on_pairs = total[lines].sum(), count[lines].sum()
    return float(_ratio(on[None], on_pairs[None], float(total.sum()), float(count.sum()), floor)[0])


def _ratio(on: Array, on_pairs: Array, everything: float, pairs: float, floor: float) -> NDArray[np.float64]:
    off_pairs = np.maximum(pairs - on_pairs, 1e-9)
    on_mean = on / np.maximum(on_pairs, 1e-9) + floor
    off_mean = np.maximum(everything - on, 0) / off_pairs + floor
    ratio = pairs * np.log(everything / pairs + floor) - on_pairs * np.log(on_mean) - off_pairs * np.log(off_mean)
    ratio[(on_pairs == 0) | (on_mean <= off_mean)] = -np.inf
    return np.asarray(ratio, np.float64)


def fit_grid(
    pixels: Array, area: NDArray[np.bool_] | tuple[int, int, int, int], cell: tuple[int, int] | None = None
) -> tuple[Grid, float]:
    """Return the grid of an area that is known to be pixelated.

    Integer sizes are tried first; then sizes that divide the area's box into a whole number of cells (a program that
    scaled a region down and up again leaves cells that are a pixel uneven). Of grids that explain the area equally well
    the one with the smallest cells is returned; where there is no line at all, one cell as large as the area.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C), uint8 or uint16; intact or from a lossy file
    area : bool (H, W) mask of the whole picture, or a box (x, y, width, height)
    cell : the cells' width and height where they are known: only the origin is looked for

    Returns
    -------
    the grid, in pixels of the picture, with its origin in the cell at the area's upper left corner; and a
    confidence 0 … 1: how much larger the steps on its lines are than off them, in the worse of both directions

    Raises
    ------
    ValueError : the area is empty or does not lie in the picture, or the cell is smaller than 1 pixel
    """
    box, mask = _box_of(area, pixels.shape)
    if cell is not None and min(cell) < 1:
        raise ValueError(f"cells must be at least 1 pixel wide and high, not {cell[0]} x {cell[1]}")
    x, y, w, h = box
    inside = pixels[y : y + h, x : x + w]
    best: tuple[float, list[tuple[float, float]]] = (-1.0, [])
    for lossy in (False, True):
        across, down = steps(inside, lossy)
        fits = []
        for g, size, axis in ((across, cell[0] if cell else None, 1), (down, cell[1] if cell else None, 0)):
            fits.append(_fit_lines(g if axis == 1 else g.T, mask if axis == 1 else mask.T, size))
        confidence = min(fit[2] for fit in fits)
        if confidence > best[0]:
            best = (confidence, [(fit[0], fit[1]) for fit in fits])
        if confidence > 0.98:  # hardly any step off the lines: the file is not lossy
            break
    (width, left), (height, top) = best[1]
    return Grid(x + left, y + top, width, height), max(best[0], 0.0)


def _box_of(
    area: NDArray[np.bool_] | tuple[int, int, int, int], shape: tuple[int, ...]
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
    if isinstance(area, np.ndarray):
        if area.shape != shape[:2]:
            raise ValueError(f"the mask's shape {area.shape} is not the picture's {shape[:2]}")
        rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
        if not rows.size:
            raise ValueError("the mask is empty")
        y, x, h, w = int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        return (x, y, w, h), area[y : y + h, x : x + w]
    x, y, w, h = area
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > shape[1] or y + h > shape[0]:
        raise ValueError(f"the area {x},{y},{w},{h} does not lie in the picture of {shape[1]} x {shape[0]} pixels")
    return (x, y, w, h), np.ones((h, w), bool)


def _fit_lines(g: Steps, mask: NDArray[np.bool_], size: int | None) -> tuple[float, float, float]:
    """Return size, offset of the first line and confidence of the comb across the columns of an area."""
    pairs = mask[:, 1:] & mask[:, :-1]
    total = np.where(pairs, ROOTS[g[:, 1:]], 0).sum(axis=0, dtype=np.float64) / 16
    count = pairs.sum(axis=0, dtype=np.float64)
    side = mask.shape[1]
    if total.sum() == 0:
        return float(size or side), 0.0, 0.0
    sizes = range(size, size + 1) if size else range(2, min(side, MAXIMUM) + 1)
    width, phase, ratio = comb(total, count, FLOOR, sizes)
    best = (float(width), float((phase + 1) % width), ratio, np.arange(side - 1) % width == phase)
    if size is None:
        for number in range(2, side // SMALLEST + 1):
            if side % number:
                band = np.floor((np.arange(side) + 0.5) * number / side)
                lines = np.diff(band) > 0
                ratio = lines_ratio(total, count, FLOOR, lines)
                if ratio > best[2] + 1:
                    best = (side / number, 0.0, ratio, lines)
    if not np.isfinite(best[2]):
        return float(size or side), 0.0, 0.0
    lines = best[3]
    on = total[lines].sum() / max(count[lines].sum(), 1)
    off = total[~lines].sum() / max(count[~lines].sum(), 1)
    confidence = (on - off) / (on + off) * (1 - np.exp(-best[2] / 10))
    offset = best[1] - best[0] if best[1] > 0 else 0.0
    return best[0], offset, float(max(confidence, 0.0))
