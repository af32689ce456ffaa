"""Windows around mosaics, and tiles of windows: the cost follows the mosaics' area, and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deepix.mosaic import Mosaic

Box = tuple[slice, slice]
Corners = tuple[int, int, int, int]


def windows(
    mosaics: Sequence[Mosaic], shape: tuple[int, ...], margin: tuple[int, int]
) -> Iterator[tuple[Box, list[Mosaic]]]:
    """Yield disjoint windows of a picture, each with the mosaics in it, moved to the window's coordinates.

    Parameters
    ----------
    mosaics : in the picture; those whose windows meet share one
    shape : of the picture
    margin : pixels (down, across) that a window shows around its mosaics, where the picture has them
    """
    down, across = margin
    todo: list[tuple[Corners, list[Mosaic]]] = [((m.y, m.x, m.y + m.height, m.x + m.width), [m]) for m in mosaics]
    done: list[tuple[Corners, list[Mosaic]]] = []
    while todo:
        a, members = todo.pop()
        near = next((i for i, (b, _) in enumerate(done) if _meet(a, b, margin)), None)
        if near is None:
            done.append((a, members))
        else:  # the union may meet further ones: look again
            b, others = done.pop(near)
            todo.append(((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])), members + others))
    for (y0, x0, y1, x1), members in done:
        top, left = max(y0 - down, 0), max(x0 - across, 0)
        window = slice(top, min(y1 + down, shape[0])), slice(left, min(x1 + across, shape[1]))
        yield window, [m.moved(-left, -top) for m in members]


def _meet(a: Corners, b: Corners, margin: tuple[int, int]) -> bool:
    down, across = 2 * margin[0], 2 * margin[1]
    return a[0] < b[2] + down and b[0] < a[2] + down and a[1] < b[3] + across and b[1] < a[3] + across


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


def around(mosaics: Sequence[Mosaic], by: int, shape: tuple[int, ...]) -> Box:
    """Return the part of a picture with some mosaics and so many pixels on each side of them, as far as it has them."""
    rows = slice(min(m.y for m in mosaics), max(m.y + m.height for m in mosaics))
    columns = slice(min(m.x for m in mosaics), max(m.x + m.width for m in mosaics))
    return grown((rows, columns), by, shape)


def within(box: Box, outer: Box) -> Box:
    """Return the box as an index into another one that holds it."""
    rows, columns = (slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, outer, strict=True))
    return rows, columns


def crop(mosaics: Sequence[Mosaic], box: Box) -> list[Mosaic]:
    """Return the parts of the mosaics in a box, in its coordinates."""
    top, left = box[0].start, box[1].start
    parts = []
    for m in mosaics:
        y0, y1 = max(m.y, top), min(m.y + m.height, box[0].stop)
        x0, x1 = max(m.x, left), min(m.x + m.width, box[1].stop)
        if y0 < y1 and x0 < x1:
            if (x0, y0, x1, y1) == (m.x, m.y, m.x + m.width, m.y + m.height):
                parts.append(m.moved(-left, -top))
                continue
            mask = m.area[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x]
            if mask.any():
                part = replace(m, x=x0, y=y0, width=x1 - x0, height=y1 - y0, mask=mask)
                parts.append(part.moved(-left, -top))
    return parts
