"""Work on pictures in stripes of rows, side by side: memory is bounded, and all cores are busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deepix import threads

T = TypeVar("T")

STRIPE = 256
"""Rows of a stripe: whole blocks of a JPEG file."""
FEW = 4
"""The least number of stripes that are worked on side by side: fewer are done sooner than threads start."""


def in_stripes(work: Callable[[slice], T], height: int) -> list[T]:
    """Return `work` of the rows of each stripe of a picture of so many rows, in their order."""
    stripes = [slice(row, min(row + STRIPE, height)) for row in range(0, height, STRIPE)]
    if len(stripes) < FEW:
        return [work(rows) for rows in stripes]
    with threads.pool(len(stripes)) as pool:
        return list(pool.map(work, stripes))
