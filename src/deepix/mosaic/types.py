"""The type that every part of the program speaks: an area of a picture with the grid of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.blended import BlendedCells, Shares
from deepix.mosaic.boxes import grown, within
from deepix.mosaic.cell_value import MEAN, CellValue
from deepix.mosaic.cells import Array, Cells
from deepix.mosaic.grid import Grid

FOREIGN_REACH = 32
"""Pixels beyond a mosaic's box up to which foreign ones are told to it: restorers hardly see farther."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """An area of a picture that was pixelated, with the grid of its cells.

    Attributes
    ----------
    x, y, width, height : the box that area and foreign pixels lie in, in pixels; without foreign ones the area's
        bounding box
    grid : where the cells lie
    mask : bool (height, width), True where the area is; None when the area is the whole box. What is given as both area
        and foreign is foreign
    confidence : how sure a finder is of it, 0 … 1
    foreign : bool (height, width), True at pixels in or near the area that were drawn after it was pixelated (a frame,
        a caption, a pointer) and belong to neither the scene nor the cells; None: there are none. They come back as
        they are, say nothing of what surrounds them, and a cell is what of it can be seen
    cell_value : what the cells show of their pixels; means, if nothing is said. Only means can be blended
    """

    x: int
    y: int
    width: int
    height: int
    grid: Grid
    mask: NDArray[np.bool_] | None = None
    confidence: float = 1.0
    foreign: NDArray[np.bool_] | None = None
    cell_value: CellValue = MEAN

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an area must be at least 1 pixel wide and high, not {self.width} x {self.height}")
        for name, mask in (("mask", self.mask), ("mask of foreign pixels", self.foreign)):
            if mask is not None and (mask.shape != (self.height, self.width) or mask.dtype != bool):
                raise ValueError(f"the {name} must be bool {(self.height, self.width)}, not {mask.dtype} {mask.shape}")
        if self.grid.blended and not self.cell_value.is_mean:
            raise ValueError(f"cells that show {self.cell_value.kind} have no blended grid: that is one of means")
        mask, foreign = self.mask, self.foreign
        if foreign is not None and not foreign.any():
            foreign = None
        if foreign is not None and (mask is None or (mask & foreign).any()):
            mask = ~foreign if mask is None else mask & ~foreign
        if mask is not None and not mask.any():
            raise ValueError("the mask is empty")
        object.__setattr__(self, "mask", None if mask is None or mask.all() else mask)
        object.__setattr__(self, "foreign", foreign)

    @classmethod
    def rectangle(
        cls,
        x: int,
        y: int,
        width: int,
        height: int,
        cell: float | tuple[float, float],
        confidence: float = 1.0,
    ) -> Mosaic:
        """Return a rectangle whose cells start at its top left corner; `cell` is a size or (width, height)."""
        cell_width, cell_height = cell if isinstance(cell, tuple) else (cell, cell)
        return cls(x, y, width, height, Grid(x, y, cell_width, cell_height), confidence=confidence)

    @classmethod
    def from_mask(
        cls,
        mask: NDArray[np.bool_],
        grid: Grid,
        confidence: float = 1.0,
        *,
        x: int = 0,
        y: int = 0,
        foreign: NDArray[np.bool_] | None = None,
    ) -> Mosaic:
        """Return the mosaic of an area given as a mask.

        Parameters
        ----------
        mask : bool (H, W), of the whole picture or a part of it; not changed
        grid : where the cells lie, in pixels of the picture
        confidence : how sure a finder is of it, 0 … 1
        x, y : where the mask's top left pixel lies in the picture
        foreign : bool (H, W), the foreign pixels, all of which the box will hold; `with_foreign` takes those nearby

        Raises
        ------
        ValueError : the mask is empty, or all of it is foreign
        """
        if foreign is None:
            rows, columns = _extent(mask)
            return cls(*_placed(rows, columns, x, y), grid, mask[rows, columns].copy(), confidence)
        mask = mask & ~foreign
        if not mask.any():
            raise ValueError("the mask is empty")
        rows, columns = _extent(mask | foreign)
        box = _placed(rows, columns, x, y)
        return cls(*box, grid, mask[rows, columns], confidence, foreign[rows, columns].copy())

    def with_foreign(self, foreign: NDArray[np.bool_], reach: int = FOREIGN_REACH) -> Mosaic:
        """Return the mosaic with those pixels of a picture foreign that are in its box or near it.

        Parameters
        ----------
        foreign : bool (H, W), of the whole picture; what is foreign in the mosaic already stays so
        reach : pixels beyond the box up to which foreign ones count

        Raises
        ------
        ValueError : the mosaic does not lie in such a picture, or all of its area is foreign
        """
        check([self], foreign.shape)
        around = grown(self.box, reach, foreign.shape)
        ours = foreign[around].copy()
        area = np.zeros(ours.shape, bool)
        inside = within(self.box, around)
        area[inside] = self.area
        if self.foreign is not None:
            ours[inside] |= self.foreign
        x, y = around[1].start, around[0].start
        result = Mosaic.from_mask(area, self.grid, self.confidence, x=x, y=y, foreign=ours if ours.any() else None)
        return result.showing(self.cell_value)

    def showing(self, cell_value: CellValue) -> Mosaic:
        """Return the mosaic with cells that show this of their pixels.

        Parameters
        ----------
        cell_value : what; of other values than means the grid is not blended any more
        """
        grid = self.grid if cell_value.is_mean else replace(self.grid, blended=False)
        return replace(self, grid=grid, cell_value=cell_value)

    def part(self, rows: slice, columns: slice) -> Mosaic | None:
        """Return what of the mosaic lies in a part of its box; None where nothing of the area does.

        Parameters
        ----------
        rows, columns : of the box, with a start and a stop
        """
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if (height, width) == (self.height, self.width):
            return self
        mask, foreign = (None if plane is None else plane[rows, columns] for plane in (self.mask, self.foreign))
        if mask is not None and not mask.any():
            return None
        x, y = self.x + columns.start, self.y + rows.start
        return replace(self, x=x, y=y, width=width, height=height, mask=mask, foreign=foreign)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mosaic):
            return NotImplemented
        return self._key() == other._key() and _same(self.mask, other.mask) and _same(self.foreign, other.foreign)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.x, self.y, self.width, self.height, self.grid, self.confidence, self.cell_value)

    @property
    def box(self) -> tuple[slice, slice]:
        """The bounding box as an index into a picture."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @cached_property
    def area(self) -> NDArray[np.bool_]:
        """The area inside its box: bool (height, width)."""
        return np.ones((self.height, self.width), bool) if self.mask is None else self.mask

    @cached_property
    def cells(self) -> Cells:
        """The operators A and A† of this mosaic."""
        bottom, right, grid = self.y + self.height, self.x + self.width, self.grid
        if grid.blended:
            rows = Shares.of(self.y, bottom, grid.y, grid.height)
            columns = Shares.of(self.x, right, grid.x, grid.width)
            if rows.matrix.nnz > self.height or columns.matrix.nnz > self.width:
                return BlendedCells(rows, columns, self.mask)
        return Cells(grid.rows(self.y, bottom), grid.columns(self.x, right), self.mask)

    def labels(self) -> NDArray[np.int64]:
        """Return each pixel's cell, int64 (height, width): row · columns + column, −1 outside the area."""
        cells = self.cells
        labels = cells.row_index[:, None] * cells.counts.shape[1] + cells.column_index
        return np.where(self.area, labels, -1)

    def coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (u, v), float32 (height, width): where a pixel lies in its cell, from −1 to 1.

        A pixel's centre counts, so that a cell of n pixels has −1 + 1/n … 1 − 1/n; cells cut by the box (of the area
        alone) are measured as cut. 0 outside the area.
        """
        (down, rows), (across, columns) = self._bands()
        zero, v, u = np.float32(0), np.zeros(self.height, np.float32), np.zeros(self.width, np.float32)
        v[down], u[across] = _position_in_band(rows), _position_in_band(columns)
        return np.where(self.area, u[None, :], zero), np.where(self.area, v[:, None], zero)

    def cell_sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how wide the cell at each column of the box is, (width,), and how high at each row, (height,).

        In pixels; cells cut by the box (of the area alone) are measured as cut, and 0 is beyond that.
        """
        (down, rows), (across, columns) = self._bands()
        heights, widths = np.zeros(self.height, np.int64), np.zeros(self.width, np.int64)
        heights[down], widths[across] = (np.bincount(index - index[0])[index - index[0]] for index in (rows, columns))
        return widths, heights

    def _bands(self) -> tuple[tuple[slice, NDArray[np.int64]], tuple[slice, NDArray[np.int64]]]:
        """Return the rows of the area, and which row of cells each is in; and the same of columns."""
        down, across = (slice(0, self.height), slice(0, self.width)) if self.foreign is None else _extent(self.area)
        return (down, self.cells.row_index[down]), (across, self.cells.column_index[across])

    def moved(self, dx: int, dy: int) -> Mosaic:
        """Return the mosaic moved by (dx, dy) pixels."""
        return replace(self, x=self.x + dx, y=self.y + dy, grid=self.grid.moved(dx, dy))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON; `from_dict` reads them back."""
        result: dict[str, Any] = {
            "area": [self.x, self.y, self.width, self.height],
            "grid": {
                "x": self.grid.x,
                "y": self.grid.y,
                "cell_width": self.grid.width,
                "cell_height": self.grid.height,
            },
            "confidence": self.confidence,
        }
        if self.grid.blended:
            result["grid"]["blended"] = True
        if self.cell_value != MEAN or self.cell_value.told:
            result["cell_value"] = self.cell_value.to_dict()
        for name, plane in (("mask", self.mask), ("foreign", self.foreign)):
            if plane is not None:
                # run lengths in row-major order, the first run False, as COCO's uncompressed masks
                edges = np.flatnonzero(np.diff(plane.ravel().astype(np.int8), prepend=0))
                result[name] = np.diff(edges, prepend=0, append=plane.size).tolist()
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Mosaic:
        """Return the mosaic that `to_dict` described.

        Raises
        ------
        ValueError : the description is not one of a mosaic
        """
        x, y, width, height = data["area"]
        grid = data["grid"]
        planes: dict[str, NDArray[np.bool_]] = {}
        for name in ("mask", "foreign"):
            if (runs := data.get(name)) is not None:
                if sum(runs) != width * height:  # before any memory is taken
                    what = "mask's" if name == "mask" else "foreign pixels'"
                    raise ValueError(f"the {what} runs hold {sum(runs)} pixels, not {width} x {height}")
                planes[name] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        return cls(
            x,
            y,
            width,
            height,
            Grid(grid["x"], grid["y"], grid["cell_width"], grid["cell_height"], grid.get("blended", False)),
            planes.get("mask"),
            data.get("confidence", 1.0),
            planes.get("foreign"),
            CellValue.from_dict(data["cell_value"]) if "cell_value" in data else MEAN,
        )


def _extent(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last in which a mask is True.

    Raises
    ------
    ValueError : there are none
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("the mask is empty")
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _placed(rows: slice, columns: slice, x: int, y: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of rows and columns that are counted from (x, y)."""
    return x + columns.start, y + rows.start, columns.stop - columns.start, rows.stop - rows.start


def _same(a: NDArray[np.bool_] | None, b: NDArray[np.bool_] | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


def _position_in_band(index: NDArray[np.int64]) -> NDArray[np.float32]:
    index = index - index[0]
    lengths = np.bincount(index)
    starts = np.cumsum(lengths) - lengths
    return ((2 * (np.arange(len(index)) - starts[index]) + 1) / lengths[index] - 1).astype(np.float32)


def check(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> None:
    """Check that the mosaics lie in a picture and do not overlap.

    Parameters
    ----------
    mosaics : any number of them; thousands take no longer than their boxes ask for
    shape : of the picture: (H, W, …)

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or the areas of two overlap, or one's area and the other's foreign
        pixels; they are named
    """
    height, width = shape[:2]
    for m in mosaics:
        if m.x < 0 or m.y < 0 or m.x + m.width > width or m.y + m.height > height:
            raise ValueError(
                f"the area {m.x},{m.y},{m.width},{m.height} does not lie in the picture of {width} x {height} pixels"
            )
    for a, b in _pairs_whose_boxes_meet(mosaics):
        x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
        y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
        here, there = (np.s_[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] for m in (a, b))
        ours, theirs = a.area[here], b.area[there]
        both = f"{a.x},{a.y},{a.width},{a.height} and {b.x},{b.y},{b.width},{b.height}"
        if (ours & theirs).any():
            raise ValueError(f"the areas {both} overlap")
        if any(
            m.foreign is not None and (m.foreign[at] & area).any()
            for m, at, area in ((a, here, theirs), (b, there, ours))
        ):
            raise ValueError(f"of the areas {both}, foreign pixels of one lie in the other")


def _pairs_whose_boxes_meet(mosaics: Sequence[Mosaic]) -> Iterator[tuple[Mosaic, Mosaic]]:
    """Yield pairs of mosaics whose boxes share pixels, without comparing all pairs: there may be thousands."""
    above: list[tuple[int, Mosaic]] = []
    for k, m in sorted(enumerate(mosaics), key=lambda numbered: numbered[1].y):
        above = [(i, other) for i, other in above if other.y + other.height > m.y]
        for i, other in above:
            if other.x < m.x + m.width and m.x < other.x + other.width:
                yield (other, m) if i < k else (m, other)
        above.append((k, m))


def unknown(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bool (H, W): True at the pixels inside any of the mosaics."""
    result = np.zeros(shape[:2], bool)
    for m in mosaics:
        result[m.box] |= m.area
    return result


def known(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bool (H, W): True at the scene's own pixels: outside all of the mosaics, and foreign to none."""
    result = np.ones(shape[:2], bool)
    for m in mosaics:
        result[m.box] &= ~(m.area if m.foreign is None else m.area | m.foreign)
    return result


def foreign_pixels(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bool (H, W): True at the foreign pixels of any of the mosaics."""
    result = np.zeros(shape[:2], bool)
    for m in mosaics:
        if m.foreign is not None:
            result[m.box] |= m.foreign
    return result


def paste(picture: Array, m: Mosaic, values: Array) -> None:
    """Put values into a picture where a mosaic's area is.

    Parameters
    ----------
    picture : (H, W[, C]); changed
    m : in it
    values : of the mosaic's box: (height, width[, C])
    """
    if m.mask is None:
        picture[m.box] = values
    else:
        picture[m.box][m.mask] = values[m.mask]
