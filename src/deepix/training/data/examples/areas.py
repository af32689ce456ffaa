"""Random areas on a canvas: whole tiles, and a shape among them or across them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepix.mosaic import Cells, Grid, Mosaic
from deepix.training.data.draws import log_uniform
from deepix.training.data.examples.histories import Geometry
from deepix.training.data.examples.settings import SMALLEST, Settings
from deepix.training.data.examples.shapes import draw_shape
from deepix.training.data.pixels import Bytes

MOST_COVERED = 0.6
"""Share of a mosaic that a later one may cover."""


class Frame(NamedTuple):
    """Whole tiles around an area, in pixels of the canvas, beyond which they may lie: columns x rows tiles."""

    x: int
    y: int
    width: int
    height: int
    columns: int
    rows: int
    shift: float  # of the tiles' edges: ½ in OpenCV's nearest enlargement, which takes pixel ⌊x · tiles / width⌋

    @property
    def grid(self) -> Grid:
        """The grid of the tiles."""
        return Grid(self.x + self.shift, self.y + self.shift, self.width / self.columns, self.height / self.rows)


def draw_frame(
    canvas: tuple[int, int], geometry: Geometry, rng: np.random.Generator, settings: Settings, covers: bool
) -> Frame | None:
    """Draw the cells and how many of them there are, and put them somewhere; None if they do not fit."""
    low, high = settings.cell
    wide = log_uniform(rng, low, high)
    high_cell = wide
    if rng.random() >= settings.square:
        high_cell = log_uniform(rng, max(low, wide / 2), min(high, 2 * wide))
    fractional = rng.random() < settings.fractional
    over_canvas = covers or (fractional and rng.random() < 0.3)
    ratio = math.exp(rng.uniform(-0.8, 0.8))
    places: list[tuple[int, int, int]] = []
    for axis, cell in enumerate((wide, high_cell)):
        scale, side = geometry.scale[axis], canvas[axis]
        least = max(settings.least_side, settings.least_cells * cell) / scale
        most = settings.largest * geometry.size[axis] / scale
        if least > most and not covers:
            return None
        if axis == 0:
            length = first = log_uniform(rng, least, most) if not covers else side
        else:
            length = min(max(first * ratio, least), most)
        own = max(2.0, cell / scale)  # a cell's side on the canvas
        if over_canvas and fractional:
            places.append((0, side, max(1, round(side / own))))
            continue
        whole = max(2, round(own))
        if over_canvas:  # tiles from the corner on, cut at the far ends
            number = math.ceil(side / whole)
            places.append((0, number * whole, number))
            continue
        number = max(math.ceil(least / own - 1e-6), round(length / own))
        length = round(length) if fractional else number * whole
        if length > side:
            return None
        start = int(rng.integers(0, side - length + 1))
        if rng.random() < 0.1:
            start = int(rng.choice((0, side - length)))
        places.append((start, int(length), number))
    (x, w, columns), (y, h, rows) = places
    grid = Frame(x, y, w, h, columns, rows, 0.5 if fractional and rng.random() < 0.3 else 0.0)
    cells = (w / columns * geometry.scale[0], h / rows * geometry.scale[1])
    return grid if min(cells) >= SMALLEST and min(w / columns, h / rows) >= 2 else None


def draw_area(
    frame: Frame,
    shape: str,
    canvas: tuple[int, int],
    others: Sequence[Mosaic],
    rng: np.random.Generator,
    settings: Settings,
) -> Mosaic | None:
    """Draw an area inside the frame, along its tiles or cutting them; None if hardly anything is left of it.

    Parameters
    ----------
    frame : whole tiles
    shape : one of `SHAPES`, or "whole"
    canvas : its width and height, in pixels
    others : mosaics that a rectangle may be put right beside
    rng : decides what `settings` leaves open
    settings : see `Settings`
    """
    if shape == "whole":
        return Mosaic(0, 0, *canvas, frame.grid)
    along = rng.random() < settings.along
    box = _draw_box(frame, shape, canvas, along, rng, settings)
    width, height = box[2] - box[0], box[3] - box[1]
    if min(width, height) < 4:
        return None
    dx = dy = 0
    if shape == "rectangle" and others and rng.random() < settings.touching:
        dx, dy = _beside(others[int(rng.integers(len(others)))], box, rng)
    x, y, grid = box[0] + dx, box[1] + dy, frame.grid.moved(dx, dy)
    if x < 0 or y < 0 or x + width > canvas[0] or y + height > canvas[1]:
        return None
    if shape == "rectangle":
        return Mosaic(x, y, width, height, grid)
    return _cut_out(draw_shape(shape, width, height, rng), x, y, grid, along)


def _draw_box(
    frame: Frame, shape: str, canvas: tuple[int, int], along: bool, rng: np.random.Generator, settings: Settings
) -> list[int]:
    """Draw the box that the shape is to fill: left, top, right and bottom, in pixels of the canvas."""
    box = [frame.x, frame.y, frame.x + frame.width, frame.y + frame.height]
    if frame.width == canvas[0] and frame.height == canvas[1]:  # the tiles of the whole canvas, of which a part shows
        spans = [max(2.0, rng.uniform(0.15, settings.largest) * side) for side in canvas]
        starts = [rng.random() * (side - span) for side, span in zip(canvas, spans, strict=True)]
        box = [round(v) for v in (*starts, starts[0] + spans[0], starts[1] + spans[1])]
        return _snapped(box, frame) if along else box
    if not along and (shape == "rectangle" or rng.random() < 0.5):
        cell = (frame.width // frame.columns, frame.height // frame.rows) * 2
        cuts = [int(rng.integers(0, side)) if rng.random() < 0.6 else 0 for side in cell]
        return [box[0] + cuts[0], box[1] + cuts[1], box[2] - cuts[2], box[3] - cuts[3]]
    return box


def _cut_out(mask: NDArray[np.bool_], x: int, y: int, grid: Grid, along: bool) -> Mosaic | None:
    """Return the largest connected part of a mask (height, width) at x, y as a mosaic, in whole tiles if `along`."""
    height, width = mask.shape
    if along:
        cells = Cells(grid.rows(y, y + height), grid.columns(x, x + width), None)
        inside: Bytes = cells.spread(cells.mean(mask.astype(np.float32)) >= 0.5)
        mask = inside.astype(bool)
    parts, number = ndimage.label(mask)
    if number > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    if number == 0:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    mask = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Mosaic(x + left, y + top, mask.shape[1], mask.shape[0], grid, mask)


def _snapped(box: list[int], frame: Frame) -> list[int]:
    """Return the box moved to the frame's tiles: a pixel belongs to the tile that holds its centre."""
    result = []
    for i, value in enumerate(box):
        axis = i % 2
        cell = (frame.width / frame.columns, frame.height / frame.rows)[axis]
        start = (frame.x, frame.y)[axis] + frame.shift
        edge = math.ceil(start + round((value - start) / cell) * cell - 0.5)
        result.append(min(max(edge, 0), (frame.width, frame.height)[axis]))
    return result


def _beside(other: Mosaic, box: list[int], rng: np.random.Generator) -> tuple[int, int]:
    """Return by how much a box must be moved to touch one side of the other's, starting at the same height."""
    dx, dy = other.x - box[0], other.y - box[1]
    return (
        (dx + other.width, dy),
        (other.x - box[2], dy),
        (dx, dy + other.height),
        (dx, other.y - box[3]),
    )[int(rng.integers(4))]


def shows_enough(m: Mosaic, geometry: Geometry, settings: Settings) -> bool:
    """Whether the final picture shows enough of the area, in its width and in its height."""
    (left, right), (top, bottom) = geometry.seen(0, m.x, m.width), geometry.seen(1, m.y, m.height)
    shown = m.area[top:bottom, left:right]
    for axis, cell in ((0, m.grid.width), (1, m.grid.height)):
        lines = np.flatnonzero(shown.any(axis=axis))
        length = (lines[-1] + 1 - lines[0]) * geometry.scale[axis] if lines.size else 0
        if length < max(settings.least_side, settings.least_cells * cell * geometry.scale[axis]) - 1e-6:
            return False
    return True


def comes_too_near(m: Mosaic, labels: Bytes, gap: int) -> bool:
    """Whether the area comes nearer than the gap to another mosaic."""
    y, x = max(m.y - gap, 0), max(m.x - gap, 0)
    around = labels[y : m.y + m.height + gap, x : m.x + m.width + gap] > 0
    if not around.any():
        return False
    area = np.zeros_like(around)
    area[m.y - y : m.y - y + m.height, m.x - x : m.x - x + m.width] = m.area
    if gap:
        area = ndimage.binary_dilation(area, np.ones((3, 3)), gap)
    return bool((area & around).any())


def leaves_too_little(m: Mosaic, labels: Bytes) -> bool:
    """Whether hardly anything of a mosaic that is there could be seen beside the area; another may be all around it."""
    there, around = labels[m.box], np.bincount(labels.ravel())
    covered = np.bincount(there[m.area], minlength=len(around))
    return bool((covered[1:] > MOST_COVERED * around[1:]).any())
