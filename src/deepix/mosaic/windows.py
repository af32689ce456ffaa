"""Windows of a picture around its mosaics, so that the cost of work follows their area, not the picture's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.boxes import Box, grown
from deepix.mosaic.types import Mosaic


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
    todo = [((m.y, m.x, m.y + m.height, m.x + m.width), deque([m])) for m in mosaics]
    # those that are done: their corners, for all to be compared at once, since there may be thousands; and members
    corners = np.empty((2 * len(todo), 4), np.int64)
    groups: list[deque[Mosaic]] = []
    while todo:
        a, members = todo.pop()
        near = np.flatnonzero(_meet(a, corners[: len(groups)], margin))
        if not near.size:
            corners[len(groups)] = a
            groups.append(members)
        else:  # the union may meet further ones: look again
            first = int(near[0])
            b, others = corners[first].tolist(), groups[first]
            corners[first], groups[first] = _NOWHERE, deque()
            others.extendleft(reversed(members))
            todo.append(((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])), others))
    for (y0, x0, y1, x1), members in zip(corners.tolist(), groups, strict=False):
        if members:
            top, left = max(y0 - down, 0), max(x0 - across, 0)
            window = slice(top, min(y1 + down, shape[0])), slice(left, min(x1 + across, shape[1]))
            yield window, [m.moved(-left, -top) for m in members]


_FAR = 1 << 40
_NOWHERE = _FAR, _FAR, -_FAR, -_FAR  # meets nothing


def _meet(a: tuple[int, int, int, int], b: NDArray[np.int64], margin: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which boxes b (N, 4), of first row and column and the ends of both, meet box a with their margins."""
    down, across = 2 * margin[0], 2 * margin[1]
    meet: NDArray[np.bool_] = (
        (a[0] < b[:, 2] + down) & (b[:, 0] < a[2] + down) & (a[1] < b[:, 3] + across) & (b[:, 1] < a[3] + across)
    )
    return meet


def around(mosaics: Sequence[Mosaic], by: int, shape: tuple[int, ...]) -> Box:
    """Return the part of a picture with some mosaics and so many pixels on each side of them, as far as it has them."""
    rows = slice(min(m.y for m in mosaics), max(m.y + m.height for m in mosaics))
    columns = slice(min(m.x for m in mosaics), max(m.x + m.width for m in mosaics))
    return grown((rows, columns), by, shape)


def crop(mosaics: Sequence[Mosaic], box: Box) -> list[Mosaic]:
    """Return the parts of the mosaics in a box, in its coordinates."""
    top, left = box[0].start, box[1].start
    parts = []
    for m in mosaics:
        y0, y1 = max(m.y, top), min(m.y + m.height, box[0].stop)
        x0, x1 = max(m.x, left), min(m.x + m.width, box[1].stop)
        if y0 < y1 and x0 < x1:
            part = m.part(slice(y0 - m.y, y1 - m.y), slice(x0 - m.x, x1 - m.x))
            if part is not None:
                parts.append(part.moved(-left, -top))
    return parts
