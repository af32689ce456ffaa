"""From a picture to its mosaics: where the tiles are, and which grid they lie on.

`exact` finds tiles of exactly one colour. A network (`locator`) says where the others are, and about how large their
cells; `regions` makes mosaics of its maps. `lossy` alone, without a network, finds rectangles in lossy files of good
quality. What they find is put together by the evidence for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.finder import areas, exact, lossy, regions
from deepix.finder.evidence import Evidence, luminance
from deepix.finder.grid import fit_grid
from deepix.finder.noise import QUALITIES, SIDE, saved_quality
from deepix.finder.seeds import Seed
from deepix.mosaic import Mosaic
from deepix.windows import Box, around, grown

__all__ = ["REPORTED", "SURE", "find", "fit_grid"]

INTACT = 5.0
"""How much more evidence a mosaic of nearly equal pixels needs to replace one of equal pixels."""
REPORTED = 0.4
"""The least confidence of a mosaic that is reported."""
SURE = 0.5
"""The least confidence of area and grid with which a mosaic is restored without being told to."""
WEAK = 60.0
"""Nats of evidence below which a mosaic is not reported without that: about twice what chance reaches in a photo."""
SMALL = 400_000
"""Pixels up to which a picture is searched (`lossy`) for mosaics that the network may not see …"""
UNEXPLAINED = 1_000_000
"""… and those of larger ones that are searched where the network sees what no mosaic explains …"""
SEEN = 0.8
"""… well: nine tenths of the places are below it in most regions that are none, and hardly in any that is one …"""
JOINED = 128
"""… with what lies so many pixels around."""
LARGE = 4_000_000
"""Pixels from which on a lossless picture with intact tiles is searched around these only, for the time it takes."""
OUTSIDE = 256
"""Pixels around them."""
SETTLED = 0.9
"""The least confidence of a rectangle in whole pixels that the network sees, with which it is not searched again."""
FINE = min(QUALITIES)
"""The least quality of files for which `lossy` is made."""
UNSEEN = 0.985
"""The least confidence of a nearly intact mosaic, too small or too coarse for the network, of which it sees nothing."""
DOUBTFUL = 0.8
"""… and of one that it sees, but not well enough, or otherwise."""
BESIDE = ((0, 0), (-4, 0), (4, 0), (0, -4), (0, 4))
"""Moves, in pixels, after which a mosaic overlaps with one that it is beside of."""
UNLIKELY = 0.1
"""The least mean of the network's map over tiles: less says pixel art, a chart, the blocks of a file, or the like."""
TRAINED = 64
"""Pixels of the largest cells that the network has seen."""
EQUAL = 0.6
"""The share of an area as the network sees it that intact tiles cover at least."""
AROUND = 5
"""Pixels by which the network may be wrong about where an area ends."""
FEW = 4
"""Equal pixels beside each other, at least, that may belong to a tile."""
COVERED = (0.75, 0.45)
"""The share of an area that nearly intact rectangles in it cover at least, to take its place together: of an area that
seems to have been resized, and of others."""
ALONE = 0.85
"""The share that one of them covers at least, and is covered of it, where it is sure that the area was resized."""
TWICE = 2.0
"""How much more evidence is far more."""
ALTERNATING = (0.1, 0.7)
"""The share of a chequerboard's variance within its two colours at most; that of neighbours that differ, at least."""
BLOCKS = 32
"""The largest cells that are taken for the blocks of a file, or some of them that are alike."""
STEPPED = 0.5
"""The share of neighbours across grid lines that differ at least, where an area goes on around intact tiles."""
ODD = 0.2
"""The largest share of an area in which intact tiles lie on another grid than the others."""
TRIMMED = 0.2
"""The largest share of an area that may be given to others which it overlaps with, and that have more evidence."""
GROWN = 1.3
"""How much larger than what `exact` has found in it an area is, to take its place."""


def find(
    pixels: NDArray[Any], *, lossy: bool | None = None, fast: bool = False, threads: int | None = None
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
    threads : of the processor for the network; None: all

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
    intact = [] if lossy else exact.candidates(pixels)
    if fast:
        return _without_network(pixels, intact, lossy)
    if lossy is False and pixels.shape[0] * pixels.shape[1] > LARGE and any(e >= exact.SURE for e, _ in intact):
        # where tiles are intact, all are: the network need only see which shape their areas have
        box = _around([m for _, m in intact], pixels.shape)
        left, top = box[1].start, box[0].start
        moved = [(evidence, m.moved(-left, -top)) for evidence, m in intact]
        return [m.moved(left, top) for m in _with_network(pixels[box], moved, lossy, threads)]
    return _with_network(pixels, intact, lossy, threads)


def _around(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> Box:
    """Return the part of a picture with the mosaics and what is around them; it begins where a JPEG's blocks do."""
    rows, columns = around(mosaics, OUTSIDE, shape)
    return slice(rows.start // OUTSIDE * OUTSIDE, rows.stop), slice(columns.start // OUTSIDE * OUTSIDE, columns.stop)


def _without_network(pixels: NDArray[Any], intact: Sequence[tuple[float, Mosaic]], lossy: bool | None) -> list[Mosaic]:
    """Return the mosaics that need no network to be found: see `find`."""
    found = settle(intact)
    if not lossy:
        sure = found and max(evidence for evidence, _ in intact) >= exact.SURE
        if lossy is False or (sure and not _go_on(found, pixels)):
            return found
    return settle([(INTACT * evidence, m) for evidence, m in intact] + lossy_mosaics(luminance(pixels)))


def _with_network(
    pixels: NDArray[Any], intact: Sequence[tuple[float, Mosaic]], lossy: bool | None, threads: int | None
) -> list[Mosaic]:
    """Return the mosaics that the network sees, and what is sure without it: see `find`."""
    from deepix.finder import locator

    plane = luminance(pixels)
    with ThreadPoolExecutor(1) as pool:  # the network leaves a core idle at times
        saved = None if lossy is False else pool.submit(saved_quality, plane)
        maps = locator.maps(plane, threads)
        quality = saved.result() if saved else None
    # in lossless files of these nothing can be made out better
    known = [m for evidence, m in intact if lossy is False and evidence >= exact.SURE]
    located = regions.located(plane, maps, locator.STRIDE, quality, threads, known)
    least = [REPORTED if f.evidence >= WEAK else SURE for f in located]
    seen = [(f.evidence * f.mosaic.confidence, f.mosaic) for f in located]
    seen = [one for one, confidence in zip(seen, least, strict=True) if one[1].confidence >= confidence]
    stride = locator.STRIDE
    found = [m for m in settle(intact) if not _clear(m, stride) or _looked(m, maps.pixelated, stride) >= UNLIKELY]
    candidates = [(INTACT * evidence, m) for evidence, m in intact if m in found]
    taken = []
    for evidence, m in seen:
        inner = [other for other in found if 2 * regions.overlapping(m, other) > int(other.area.sum())]
        if inner:
            better = _instead(pixels, m, inner)
            if better is not None:
                replaced = [c for c in candidates if any(c[1] is other for other in inner)]
                candidates = [c for c in candidates if all(c is not other for other in replaced)]
                candidates.append((max(INTACT * evidence, sum(c[0] for c in replaced)), better))
            continue
        taken.append((evidence, m))
    unseen: list[tuple[float, Mosaic]] = []
    if quality is not None and quality >= FINE:
        boxes: list[Box] = [(slice(0, plane.shape[0]), slice(0, plane.shape[1]))]
        if plane.size > SMALL:
            boxes = _unexplained(maps.pixelated, stride, [m for _, m in candidates + taken], plane.shape)
        settled = [m for _, m in taken if m.confidence >= SETTLED and m.mask is None and _whole(m)]
        nothing = ~areas.dilated(maps.pixelated >= UNLIKELY, 2)
        for rows, columns in boxes:
            unlikely = nothing.repeat(stride, axis=0)[rows].repeat(stride, axis=1)[:, columns]
            there = [m.moved(-columns.start, -rows.start) for m in settled]
            for evidence, m in lossy_mosaics(plane[rows, columns], quality, unlikely, there):
                unseen.append((evidence * m.confidence, m.moved(columns.start, rows.start)))
    whole = sum(evidence for evidence, m in unseen + taken if _whole(m))
    resized = sum(evidence for evidence, m in candidates + taken if m.confidence >= SURE and not _whole(m)) > whole
    kept = []
    for one in taken:
        pieces = _instead_of(one, unseen)
        candidates += pieces or [one]
        kept += [] if pieces else [one[1]]
    for one in unseen:
        if resized or any(one is c for c in candidates):
            continue
        near = any(regions.overlapping(one[1].moved(*by), other) for other in kept for by in BESIDE)
        if not near and _believed(one[1], maps.pixelated, stride):
            candidates.append(one)
    return settle([c for c in candidates if not _chequered(plane, c[1])], TRIMMED)


def _instead_of(one: tuple[float, Mosaic], unseen: Sequence[tuple[float, Mosaic]]) -> list[tuple[float, Mosaic]]:
    """Return the nearly intact rectangles that take the place of an area which the network sees; none if it stays.

    They have more evidence, and cover enough of it. Of an area that was resized, whose uneven cells are even here and
    there, only a rectangle of about its size takes the place, or one with far more evidence.
    """
    evidence, m = one
    size = int(m.area.sum())
    parts = [(regions.overlapping(c[1], m), int(c[1].area.sum()), c) for c in unseen]
    parts = [part for part in parts if 2 * part[0] > min(part[1], size)]
    best = max((c[0] for _, _, c in parts), default=0.0)
    if not _whole(m) and m.confidence >= SURE and best < TWICE * evidence:
        parts = [part for part in parts if part[0] >= ALONE * max(part[1], size)]
    pieces = [c for _, _, c in parts]
    enough = sum(common for common, _, _ in parts) >= COVERED[_whole(m)] * size
    return pieces if enough and sum(c[0] for c in pieces) > evidence else []


def _believed(m: Mosaic, pixelated: NDArray[np.float32], stride: int) -> bool:
    """Whether a nearly intact mosaic is believed that lies where the network has located nothing."""
    looked = _looked(m, pixelated, stride)
    if looked > SURE:
        return True
    if _of_blocks(m) or (looked < UNLIKELY and _clear(m, stride)):
        return False
    return m.confidence >= (UNSEEN if looked < UNLIKELY else DOUBTFUL)


def _unexplained(
    pixelated: NDArray[np.float32], stride: int, mosaics: Sequence[Mosaic], shape: tuple[int, ...]
) -> list[Box]:
    """Return the parts of a picture with what the network sees of none of the mosaics that one can be sure of.

    They begin where a JPEG's blocks do. What it sees badly is left out; of more than `UNEXPLAINED` pixels in all, those
    that it sees best remain.
    """
    left = pixelated > SURE
    for m in mosaics:
        if m.confidence >= SURE:
            rows, columns = grown(m.box, stride, shape)
            left[
                rows.start // stride : -(-rows.stop // stride), columns.start // stride : -(-columns.stop // stride)
            ] = 0
    labels, _ = ndimage.label(areas.dilated(left, JOINED // stride))
    boxes: list[tuple[float, Box]] = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        places = pixelated[left & (labels == number)]
        if np.quantile(places, 0.9) < SEEN:
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


def _clear(m: Mosaic, stride: int) -> bool:
    """Whether a mosaic is large enough, and its cells small enough, for the network to see it."""
    small = min(m.width / m.grid.width, m.height / m.grid.height) < 3 or min(m.width, m.height) < 4 * stride
    return not small and max(m.grid.width, m.grid.height) <= TRAINED


def _looked(m: Mosaic, pixelated: NDArray[np.float32], stride: int) -> float:
    """Return the mean of the network's map over a mosaic's box."""
    rows = slice(m.y // stride, -(-(m.y + m.height) // stride))
    columns = slice(m.x // stride, -(-(m.x + m.width) // stride))
    return float(pixelated[rows, columns].mean())


def _instead(pixels: NDArray[Any], m: Mosaic, inner: Sequence[Mosaic]) -> Mosaic | None:
    """Return what takes the place of rectangles of intact tiles in an area that the network sees; None if nothing does.

    That is the area itself if it was resized, so that the rectangles are pieces of uneven cells; or a larger area on
    the grid of the largest rectangle, where it has another shape.
    """
    largest = max(inner, key=lambda other: int(other.area.sum()))
    odd = [other for other in inner if _off(largest, other)]
    g = m.grid
    if odd and not _whole(m):
        sizes = [(abs(other.grid.width - g.width), abs(other.grid.height - g.height)) for other in inner]
        if max(max(size) for size in sizes) < 1:
            return m
    whole = int(m.area.sum())
    if sum(int(other.area.sum()) for other in odd) > ODD * whole:
        return None
    grown = _flat_shape(pixels, m, largest)
    same = [other for other in inner if other not in odd]
    if grown is None or int(grown.area.sum()) <= GROWN * sum(int(other.area.sum()) for other in same):
        return None
    return grown if _stepped(pixels, grown, same) >= STEPPED else None


def _stepped(pixels: NDArray[Any], m: Mosaic, inner: Sequence[Mosaic]) -> float:
    """Return the share of neighbours across a mosaic's lines that differ, where others do not cover it.

    Flat surroundings of a mosaic look like more of its tiles, but for that.
    """
    box = pixels[m.box].reshape(m.height, m.width, -1)
    beyond = m.area.copy()
    for other in inner:
        moved = other.moved(-m.x, -m.y)
        rows, columns = (slice(max(v.start, 0), max(v.stop, 0)) for v in moved.box)
        beyond[rows, columns] = False
    differ = count = 0
    for axis, index in ((0, m.cells.row_index), (1, m.cells.column_index)):
        line = np.diff(index) != 0
        first, second = slice(None, -1), slice(1, None)
        before = (first,) if axis == 0 else (slice(None), first)
        after = (second,) if axis == 0 else (slice(None), second)
        pairs = m.area[before] & m.area[after] & (beyond[before] | beyond[after])
        pairs &= line[:, None] if axis == 0 else line
        steps = np.any(box[before] != box[after], axis=2)
        differ += int(np.count_nonzero(steps & pairs))
        count += int(np.count_nonzero(pairs))
    return differ / max(count, 1)


def _flat_shape(pixels: NDArray[Any], m: Mosaic, like: Mosaic) -> Mosaic | None:
    """Return the area around another one, on its grid, in which pixels equal their neighbours in the same cell."""
    height, width = pixels.shape[:2]
    top, left = max(m.y - AROUND, 0), max(m.x - AROUND, 0)
    box = slice(top, min(m.y + m.height + AROUND, height)), slice(left, min(m.x + m.width + AROUND, width))
    here = pixels[box].reshape(box[0].stop - top, box[1].stop - left, -1)
    flat = np.ones(here.shape[:2], bool)
    for axis, cells in ((0, like.grid.rows(top, box[0].stop)), (1, like.grid.columns(left, box[1].stop))):
        equal = np.all(np.diff(here, axis=axis) == 0, axis=2)
        same = np.diff(cells) == 0
        equal &= same[:, None] if axis == 0 else same
        before, after = np.zeros_like(flat), np.zeros_like(flat)
        if axis == 0:
            before[1:], after[:-1] = equal, equal
        else:
            before[:, 1:], after[:, :-1] = equal, equal
        flat &= before | after
    seen = np.zeros_like(flat)
    seen[m.y - top : m.y - top + m.height, m.x - left : m.x - left + m.width] = m.area
    flat &= areas.dilated(seen, AROUND)
    labels, number = ndimage.label(flat)
    sizes = np.bincount(labels[seen], minlength=number + 1)
    sizes[0] = 0
    # single equal neighbours in a photo are small
    shape = areas.filled(np.isin(labels, np.flatnonzero(sizes >= FEW)))
    if np.count_nonzero(shape & seen) < EQUAL * np.count_nonzero(seen):
        return None
    whole = np.zeros((height, width), bool)
    whole[box] = shape
    return Mosaic.from_mask(whole, like.grid, like.confidence)


def _chequered(plane: NDArray[np.float32], m: Mosaic) -> bool:
    """Whether cells are of two kinds, dark and bright, that take turns in both directions: a chequerboard's squares."""
    means, there = m.cells.mean(plane[m.box]), m.cells.counts > 0
    low, high = np.quantile(means[there], (0.1, 0.9))
    if low == high:
        return False
    bright = means > (low + high) / 2
    left = np.where(bright, means - means[bright & there].mean(), means - means[~bright & there].mean())
    if left[there].var() > ALTERNATING[0] * means[there].var():
        return False
    turns = (np.diff(bright, axis=axis) for axis in (0, 1))
    pairs = (there[1:] & there[:-1], there[:, 1:] & there[:, :-1])
    return all(float(t[p].mean()) > ALTERNATING[1] for t, p in zip(turns, pairs, strict=True) if p.any())


def _of_blocks(m: Mosaic) -> bool:
    """Whether cells lie as a JPEG file's blocks do, in one direction at least."""
    sides = ((m.grid.x, m.grid.width), (m.grid.y, m.grid.height))
    return any(origin % SIDE == 0 == size % SIDE and size <= BLOCKS for origin, size in sides)


def _whole(m: Mosaic) -> bool:
    """Whether a mosaic's cells are in whole pixels."""
    return all(float(v).is_integer() for v in (m.grid.x, m.grid.y, m.grid.width, m.grid.height))


def _off(a: Mosaic, b: Mosaic) -> bool:
    """Whether two grids are not the same."""
    return (a.grid.width, a.grid.height) != (b.grid.width, b.grid.height) or any(
        (p - q) % size != 0 for p, q, size in ((a.grid.x, b.grid.x, a.grid.width), (a.grid.y, b.grid.y, a.grid.height))
    )


def lossy_mosaics(
    plane: NDArray[np.float32],
    quality: int | None = None,
    unlikely: NDArray[np.bool_] | None = None,
    known: Sequence[Mosaic] = (),
) -> list[tuple[float, Mosaic]]:
    """Return `lossy.found` of a picture's luminance, saved with a quality (None: as its pixels tell)."""
    return lossy.found(Evidence.of(plane, quality), unlikely, [Seed.of(m) for m in known])


def _go_on(found: Sequence[Mosaic], pixels: NDArray[Any]) -> bool:
    """Whether mosaics of exactly equal pixels go on in merely similar ones: the file is lossy after all."""
    height, width = pixels.shape[:2]
    ours = theirs = 0
    for m in found:
        reach = 2 * int(max(m.grid.width, m.grid.height)) + SIDE
        left, top = (max(v - reach, 0) // SIDE * SIDE for v in (m.x, m.y))
        window = pixels[top : min(m.y + m.height + reach, height), left : min(m.x + m.width + reach, width)]
        moved = m.moved(-left, -top)
        result = lossy.follow(Evidence.of(luminance(window)), Seed.of(moved))
        ours += m.width * m.height
        theirs += min(result[1].box[2] * result[1].box[3], 2 * m.width * m.height) if result else 0
    return theirs > 1.15 * ours


def settle(candidates: Sequence[tuple[float, Mosaic]], overlap: float = 0.0) -> list[Mosaic]:
    """Return the candidates, those with more evidence first, as far as they do not overlap; sorted by y, then x.

    Of what overlaps with better ones by at most this share of its area, the rest remains.
    """
    found: list[Mosaic] = []
    for _, m in sorted(candidates, key=lambda c: -c[0]):
        left = regions.without(m, found, overlap)
        if left is not None:
            found.append(left)
    return sorted(found, key=lambda m: (m.y, m.x))
