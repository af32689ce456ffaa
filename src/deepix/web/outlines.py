"""Areas as paths of SVG, in pixels of the picture: what to fill, and the line around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic import Mosaic


def outline(m: Mosaic) -> tuple[str, str]:
    """Return the paths of an area: its inside, and its edges."""
    if m.mask is None:
        path = f"M{m.x} {m.y}h{m.width}v{m.height}h{-m.width}z"
        return path, path
    rows = _runs(m.mask)
    edges = _edges(m.mask, m.x, m.y, "h") + _edges(m.mask.T, m.y, m.x, "v")
    return "".join(f"M{m.x + a} {m.y + y}h{b - a}v{h}h{a - b}z" for y, h, a, b in rows), "".join(edges)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return rectangles that make up a mask: first row, rows, first column, column behind the last."""
    changed = np.flatnonzero((mask[1:] != mask[:-1]).any(axis=1)) + 1
    result = []
    for top, bottom in zip([0, *changed.tolist()], [*changed.tolist(), len(mask)], strict=True):
        steps = np.flatnonzero(np.diff(mask[top].astype(np.int8), prepend=0, append=0)).tolist()
        result += [(top, bottom - top, a, b) for a, b in zip(steps[::2], steps[1::2], strict=True)]
    return result


def _edges(mask: NDArray[np.bool_], x: int, y: int, direction: str) -> list[str]:
    """Return the lines between rows of a mask where they differ; of its transpose, those between columns."""
    padded = np.pad(mask, ((1, 1), (0, 0))).astype(np.int8)
    lines = np.abs(np.diff(padded, axis=0))
    result = []
    for row in np.flatnonzero(lines.any(axis=1)).tolist():
        steps = np.flatnonzero(np.diff(lines[row], prepend=0, append=0)).tolist()
        for a, b in zip(steps[::2], steps[1::2], strict=True):
            start = f"{x + a} {y + row}" if direction == "h" else f"{y + row} {x + a}"
            result.append(f"M{start}{direction}{b - a}")
    return result
