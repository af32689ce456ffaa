"""Large pictures worked on in pieces, side by side, as far as `deepix.threads` allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from deepix import threads
from deepix.mosaic import Mosaic

Work = Callable[[Callable[[Any], None], Iterable[Any]], object]
"""Calls a function with each of some items."""

STRIP = 1 << 17
"""Values of a picture that are worked on at a time: in float32 half a megabyte, so that they stay in a core's cache."""
BANDS = 8
"""Pieces that a large picture is cut into, whatever the number of threads, so that results do not depend on it."""


def bands(m: Mosaic) -> list[Mosaic]:
    """Return a large mosaic cut into bands of whole rows of cells, to be worked on side by side, if not small."""
    if m.width * m.height < STRIP or m.grid.blended:
        return [m]
    starts = np.flatnonzero(np.diff(m.cells.row_index, prepend=-1))
    edges = [*starts[:: -(-len(starts) // BANDS)].tolist(), m.height]
    parts = (m.part(slice(a, b), slice(0, m.width)) for a, b in pairwise(edges))
    return [part for part in parts if part is not None]


@contextmanager
def workers(values: int) -> Iterator[Work]:
    """Yield what calls a function with each of some items: side by side where there are many values to work on."""
    if values < 2 * STRIP:

        def one_by_one(work: Callable[[Any], None], items: Iterable[Any]) -> None:
            for item in items:
                work(item)

        yield one_by_one
        return
    with threads.pool() as pool:
        yield lambda work, items: list(pool.map(work, items))
