"""The search for mosaics: candidates, from all that can tell of them, to one decision.

Rectangles of intact tiles (`intact_tiles`), areas in the regions that the locator's map outlines (`region_mosaics`),
what intact tiles grow to in these (`intact_shapes`), and, where nothing of that explains the picture, rectangles of
nearly intact tiles (`noisy_tiles`). `decision` compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder import decision, hidden_parts, intact_shapes, intact_tiles, noisy_tiles, region_mosaics
from deepix.finder.candidates import Candidate
from deepix.finder.fast_filters import dilated
from deepix.finder.geometry import whole_pixels
from deepix.finder.grid_box import GridBox
from deepix.finder.jpeg_noise import QUALITIES, SIDE, saved_quality
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.luminance import luminance
from deepix.finder.thresholds import CERTAIN_INTACT, MAP_NOTHING, MAP_PIXELATED, SURE
from deepix.mosaic import Mosaic
from deepix.mosaic.boxes import Box, grown
from deepix.mosaic.windows import around
from deepix.threads import limit, pool

if TYPE_CHECKING:
    from deepix.inference.models import Models

Array = NDArray[Any]
Map = NDArray[np.float32]

LARGE = 4_000_000
"""Pixels above which a lossless picture with intact tiles is searched around these only, for the time it takes."""
OUTSIDE = 256
"""Pixels around intact tiles that are searched in large pictures."""
SMALL = 400_000
"""Pixels up to which a whole lossy picture is searched for nearly intact tiles, whatever the map shows."""
UNEXPLAINED = 1_000_000
"""Pixels of a larger lossy picture, at most, that are searched for them where the map shows what no mosaic explains."""
SHOWN = 0.8
"""The value of the map that a tenth of the places of such a part reach at least: most parts that are no mosaic stay
below it, and hardly any that is one."""
JOINED = 128
"""Pixels around unexplained places that are searched with them."""
SETTLED = 0.9
"""The least confidence of a rectangle in whole pixels from the map that is not searched for nearly intact tiles."""
FINEST_COARSE = min(QUALITIES)
"""The least JPEG quality at which tiles are nearly intact."""
BLURRED = 2
"""Places of the map around those that show something where a corner of tiles still is likely."""
CONTINUED = 1.15
"""How much larger the areas of intact tiles become, at least, by nearly intact ones around them in a lossy file."""


def find(
    pixels: Array,
    *,
    lossy: bool | None = None,
    fast: bool = False,
    threads: int | None = None,
    models: Models | None = None,
    quantization: Mapping[int, Sequence[int]] | None = None,
) -> list[Mosaic]:
    """Return the mosaics of a picture.

    Areas of any shape, of at least about 2 x 2 cells, with cells of 3 to 128 pixels a side, cut by the area's border or
    not, whole numbers or (in resized pictures) not. A picture without mosaics gives an empty list.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W) or (H, W, C): gray, or colour with R, G, B first
    lossy : whether the picture went through a lossy file after it was pixelated, so that tiles are not of exactly
        one colour any more; None decides from the pixels
    fast : without the network: only rectangles of cells in whole pixels, whose tiles are intact or nearly so
    threads : of the processor; None: all
    models : that open the network; None: the process's own
    quantization : the tables of the JPEG file that was read, as `deepix.images.Picture` has them; None: not known, or
        another file. They add to what the pixels tell of its quality; not used when `fast`

    Returns
    -------
    mosaics that do not overlap, sorted by y, then x, with confidences above `REPORTED`; below `SURE` something seems to
    be pixelated there, but its area or grid could not be made out with certainty

    Raises
    ------
    ValueError : the array is no picture of these types
    DeepixError : the network is missing from the installation
    """
    if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a picture must be uint8 or uint16 (H, W) or (H, W, C), not {pixels.dtype} {pixels.shape}")
    if min(pixels.shape[:2]) < 6 or (pixels.ndim == 3 and not pixels.shape[2]):
        return []
    table = (quantization or {}).get(0)  # that of brightness
    with limit(threads):
        intact = [] if lossy else intact_tiles.candidates(pixels)
        if fast:
            return _without_locator(pixels, intact, lossy)
        return _with_locator(pixels, intact, lossy, models, table)


def _with_locator(
    pixels: Array,
    intact: Sequence[Candidate],
    lossy: bool | None,
    models: Models | None,
    table: Sequence[int] | None,
) -> list[Mosaic]:
    """Return the mosaics of all kinds: see `find`."""
    certain = [c for c in intact if c.log_ratio >= CERTAIN_INTACT]
    if lossy is False and pixels.shape[0] * pixels.shape[1] > LARGE and certain:
        # where tiles are intact, all are: the locator need only see which shape their areas have
        box = _around([c.mosaic for c in intact], pixels.shape)
        left, top = box[1].start, box[0].start
        there = [c.moved(-left, -top) for c in intact]
        return [m.moved(left, top) for m in _compared(pixels[box], there, lossy, models, table)]
    return _compared(pixels, intact, lossy, models, table)


def _around(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Box:
    """Return the part of a picture with the mosaics and what is around them; it begins where a JPEG's blocks do."""
    rows, columns = around(mosaics, OUTSIDE, shape)
    return slice(rows.start // OUTSIDE * OUTSIDE, rows.stop), slice(columns.start // OUTSIDE * OUTSIDE, columns.stop)


def _without_locator(pixels: Array, intact: Sequence[Candidate], lossy: bool | None) -> list[Mosaic]:
    """Return the mosaics that need no network to be found: see `find`."""
    if not lossy:
        found = decision.decide_without_map(intact)
        certain = any(c.log_ratio >= CERTAIN_INTACT for c in intact)
        if lossy is False or (certain and not _continues(found, pixels)):
            return found
    return decision.decide_without_map([*intact, *noisy_tiles.candidates(LikelihoodMaps.of(luminance(pixels)))])


def _continues(found: Sequence[Mosaic], pixels: Array) -> bool:
    """Whether mosaics of exactly equal pixels continue in merely similar ones: the file is lossy after all."""
    height, width = pixels.shape[:2]
    ours = theirs = 0
    for m in found:
        reach = 2 * int(max(m.grid.width, m.grid.height)) + SIDE
        left, top = (max(v - reach, 0) // SIDE * SIDE for v in (m.x, m.y))
        window = pixels[top : min(m.y + m.height + reach, height), left : min(m.x + m.width + reach, width)]
        likelihood = LikelihoodMaps.of(luminance(window))
        result = noisy_tiles.follow(likelihood, GridBox.of(m.moved(-left, -top)))
        ours += m.width * m.height
        theirs += min(result[1].box[2] * result[1].box[3], 2 * m.width * m.height) if result else 0
    return theirs > CONTINUED * ours


def _compared(
    pixels: Array,
    intact: Sequence[Candidate],
    lossy: bool | None,
    models: Models | None,
    table: Sequence[int] | None,
) -> list[Mosaic]:
    """Return the mosaics of a picture, given the candidates of intact tiles: all others, and the decision."""
    from deepix.finder import locator

    plane, stride = luminance(pixels), locator.STRIDE
    with pool(1) as worker:  # the network leaves a core idle at times
        saved = None if lossy is False else worker.submit(saved_quality, plane, table)
        maps = locator.maps(plane, models)
        quality = saved.result() if saved else None
    # in lossless files of these nothing can be made out better
    certain = [c.mosaic for c in intact if c.log_ratio >= CERTAIN_INTACT]
    located = region_mosaics.located(plane, maps, stride, quality, certain if lossy is False else (), certain)
    regions = [
        Candidate.of_noisy_tiles(one.log_ratio, one.mosaic, outlined=True, foreign=one.foreign) for one in located
    ]
    candidates = _on_map([*intact, *regions], maps.pixelated, stride)
    outlined = [c for c in candidates if c.outlined and decision.is_credible(c)]
    shapes = intact_shapes.grown(pixels, outlined, decision.standing_tiles(candidates))
    candidates += _on_map(shapes, maps.pixelated, stride)
    if quality is not None and quality >= FINEST_COARSE:
        explained = decision.prevailing(candidates)
        tiles = _nearly_intact(plane, quality, maps.pixelated, stride, explained)
        tiles = hidden_parts.uncovered(plane, quality, tiles, explained, maps.pixelated, stride)
        candidates += _on_map(tiles, maps.pixelated, stride)
    return decision.decide(candidates, plane, pixels)


def _on_map(candidates: Sequence[Candidate], pixelated: Map, stride: int) -> list[Candidate]:
    """Return candidates with what the map says of them."""
    return [c.on_map(pixelated, stride) for c in candidates]


def _nearly_intact(
    plane: NDArray[np.float32], quality: int, pixelated: Map, stride: int, explained: Sequence[Candidate]
) -> list[Candidate]:
    """Return the rectangles of nearly intact tiles in a lossy picture.

    Of a large picture only parts are searched: where the map shows what none of the candidates that are `explained`
    by other means does.
    """
    boxes: list[Box] = [(slice(0, plane.shape[0]), slice(0, plane.shape[1]))]
    if plane.size > SMALL:
        boxes = _unexplained(pixelated, stride, [c.mosaic for c in explained], plane.shape)
    settled = [c.mosaic for c in explained if not c.intact and _is_settled(c.mosaic)]
    nothing = ~dilated(pixelated >= MAP_NOTHING, BLURRED)
    result: list[Candidate] = []
    for rows, columns in boxes:
        unlikely = nothing.repeat(stride, axis=0)[rows].repeat(stride, axis=1)[:, columns]
        known = [GridBox.of(m.moved(-columns.start, -rows.start)) for m in settled]
        likelihood = LikelihoodMaps.of(plane[rows, columns], quality)
        result += [c.moved(columns.start, rows.start) for c in noisy_tiles.candidates(likelihood, unlikely, known)]
    return result


def _is_settled(m: Mosaic) -> bool:
    """Whether a mosaic is a rectangle of whole pixels that need not be looked for again."""
    return m.confidence >= SETTLED and m.mask is None and whole_pixels(m)


def _unexplained(
    pixelated: NDArray[np.float32], stride: int, mosaics: Sequence[Mosaic], shape: tuple[int, ...]
) -> list[Box]:
    """Return the parts of a picture with what the network sees of none of the mosaics that one can be sure of.

    They begin where a JPEG's blocks do. What it sees badly is left out; of more than `UNEXPLAINED` pixels in all, those
    that it sees best remain.
    """
    left = pixelated > MAP_PIXELATED
    for m in mosaics:
        if m.confidence >= SURE:
            rows, columns = grown(m.box, stride, shape)
            left[
                rows.start // stride : -(-rows.stop // stride), columns.start // stride : -(-columns.stop // stride)
            ] = 0
    labels, _ = ndimage.label(dilated(left, JOINED // stride))
    boxes: list[tuple[float, Box]] = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        places = pixelated[left & (labels == number)]
        if np.quantile(places, 0.9) < SHOWN:
            continue
        seen = float(places.sum())
        box = slice(rows.start * stride, rows.stop * stride), slice(columns.start * stride, columns.stop * stride)
        rows, columns = grown(box, JOINED, shape)
        step = math.lcm(SIDE, stride)
        boxes.append(
            (seen, (slice(rows.start // step * step, rows.stop), slice(columns.start // step * step, columns.stop)))
        )
    result = []
    pixels = 0
    for _, (rows, columns) in sorted(boxes, key=lambda b: -b[0]):
        pixels += (rows.stop - rows.start) * (columns.stop - columns.start)
        if pixels > UNEXPLAINED:
            break
        result.append((rows, columns))
    return result
