"""Rows of the field about mosaics that Deepix does not restore, or not as they are: what does it say?

Rotated grids, hexagons, crystals (each pixel belongs to the nearest of random points) and mosaics through which the
picture shines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from field_case import TRIES, Canvas, Case, Rng, draw_box, fitted, log_whole
from field_mosaics import Box, Cell
from field_programs import encoded
from numpy.typing import NDArray
from scipy import ndimage, spatial

from deepix.mosaic import Grid, Mosaic, pixelate

Array = NDArray[Any]
Kind = Callable[[tuple[int, int], int, Rng], tuple[Array, str]]
"""What gives each pixel of (height, width) the number of its cell, for cells of a size, and how."""


def rotated(shape: tuple[int, int], side: int, rng: Rng) -> tuple[Array, str]:
    """Square cells, turned by 5 to 45 degrees."""
    angle = np.deg2rad(rng.uniform(5, 45) * rng.choice((-1, 1)))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    column = np.floor((x * np.cos(angle) + y * np.sin(angle)) / side).astype(int)
    row = np.floor((y * np.cos(angle) - x * np.sin(angle)) / side).astype(int)
    return _numbered(column, row), f"rotated by {np.rad2deg(angle):.0f} degrees"


def hexagons(shape: tuple[int, int], side: int, rng: Rng) -> tuple[Array, str]:
    """Regular hexagons of this width."""
    height = side * np.sqrt(3) / 2
    rows, columns = np.arange(-1, shape[0] / height + 2), np.arange(-1, shape[1] / side + 2)
    centres = [((c + 0.5 * (r % 2)) * side, r * height) for r in rows for c in columns]
    return _nearest(np.array(centres), shape), "hexagons"


def crystals(shape: tuple[int, int], side: int, rng: Rng) -> tuple[Array, str]:
    """The cells of random points, as many as squares of this size would be."""
    number = max(4, round(shape[0] * shape[1] / side**2))
    return _nearest(rng.random((number, 2)) * (shape[1], shape[0]), shape), "crystals"


def _nearest(points: Array, shape: tuple[int, int]) -> Array:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    nearest: Array = spatial.cKDTree(points).query(np.column_stack([x.ravel(), y.ravel()]))[1]
    return np.unique(nearest, return_inverse=True)[1].reshape(shape)  # cells beyond the area have no pixels


def _numbered(column: Array, row: Array) -> Array:
    keys = (row - row.min()) * (int(np.ptp(column)) + 1) + column - column.min()
    return np.unique(keys, return_inverse=True)[1].reshape(column.shape)


def other_cells(kind: Kind) -> Callable[[Array, Rng], Case | None]:
    """Return what draws an area of other cells than upright squares, in a lossless file."""

    def make(photo: Array, rng: Rng) -> Case | None:
        photo = fitted(photo, rng)
        for _ in range(TRIES):
            side = log_whole(rng, 6, 32)
            box = draw_box(photo.shape, (side, side), rng, whole=False, least=5)
            if box is None:
                continue
            x, y, w, h = box
            there = slice(y, y + h), slice(x, x + w)
            cells, how = kind((h, w), side, rng)
            pixels = photo.copy()
            number = np.arange(cells.max() + 1)
            for channel in range(3):
                means = ndimage.mean(photo[there][..., channel], cells, number)
                pixels[there][..., channel] = np.rint(means)[cells]
            if np.abs(pixels[there].astype(int) - photo[there]).mean() >= 4:
                return _case(photo, pixels, box, (side, side), how)
        return None

    return make


def translucent(photo: Array, rng: Rng) -> Case | None:
    """Draw a mosaic through which 10 to 30 % of the picture shines, in a lossless file."""
    photo = fitted(photo, rng)
    for _ in range(TRIES):
        side = log_whole(rng, 6, 32)
        box = draw_box(photo.shape, (side, side), rng, whole=False, least=4)
        if box is None:
            continue
        m, weight = Mosaic.rectangle(*box, side), float(rng.uniform(0.7, 0.9))
        hidden = pixelate(photo, [m])
        pixels = np.rint(weight * hidden + (1 - weight) * photo).astype(np.uint8)
        if np.abs(pixels[m.box].astype(int) - photo[m.box]).mean() >= 4:
            return _case(photo, pixels, box, (side, side), f"translucent, weight {weight:.2f}")
    return None


def _case(photo: Array, pixels: Array, box: Box, cell: Cell, how: str) -> Case:
    x, y, w, h = box
    canvas = Canvas(photo, pixels, np.zeros(photo.shape[:2], np.uint8), [Grid(x, y, *cell)], programs={"NumPy"})
    canvas.labels[y : y + h, x : x + w] = 1
    canvas.how.append(f"{how}, cells of {cell[0]} in {x},{y},{w},{h}")
    return canvas.case(encoded(pixels, "PNG"), ".png")
