"""Boxes: rectangular parts of a picture as pairs of slices (rows, columns), and large ones cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator

Box = tuple[slice, slice]


def tiles(shape: tuple[int, ...], side: int, overlap: int, step: int = 1) -> Iterator[tuple[Box, Box, Box]]:
    """Yield the tiles of a window: what each restores, what it sees, and the first as an index into the second.

    Parameters
    ----------
    shape : of the window
    side : about the tiles' width and height
    overlap : pixels that a tile sees beyond what it restores, where the window has them
    step : tiles begin at multiples of it
    """
    height, width = shape[:2]
    down, across = max(1, round(height / side)), max(1, round(width / side))
    for i in range(down):
        for j in range(across):
            rows = slice(*(_edge(height, k, down, step) for k in (i, i + 1)))
            columns = slice(*(_edge(width, k, across, step) for k in (j, j + 1)))
            seen = grown((rows, columns), overlap, shape)
            yield (rows, columns), seen, within((rows, columns), seen)


def _edge(length: int, number: int, count: int, step: int) -> int:
    return length if number == count else length * number // count // step * step


def grown(box: Box, by: int, shape: tuple[int, ...]) -> Box:
    """Return the box grown by so many pixels on each side, as far as a picture of this shape has them."""
    rows, columns = (slice(max(s.start - by, 0), min(s.stop + by, n)) for s, n in zip(box, shape, strict=False))
    return rows, columns


def within(box: Box, outer: Box) -> Box:
    """Return the box as an index into another one that holds it."""
    rows, columns = (slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, outer, strict=True))
    return rows, columns


def outward(box: Box, outer: Box) -> Box:
    """Return an index into another box as one into what that lies in: the inverse of `within`."""
    rows, columns = (slice(o.start + s.start, o.start + s.stop) for s, o in zip(box, outer, strict=True))
    return rows, columns
