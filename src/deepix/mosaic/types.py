"""The type that every part of the program speaks: an area of a picture with the grid of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.mosaic.blended import BlendedCells, Shares
from deepix.mosaic.cells import Array, Cells
from deepix.mosaic.grid import Grid


@dataclass(frozen=True, eq=False)
class Mosaic:
    """An area of a picture that was pixelated, with the grid of its cells.

    Attributes
    ----------
    x, y, width, height : the area's bounding box, in pixels
    grid : where the cells lie
    mask : bool (height, width), True where the area is; None when the area is the whole box
    confidence : how sure a finder is of it, 0 … 1
    """

    x: int
    y: int
    width: int
    height: int
    grid: Grid
    mask: NDArray[np.bool_] | None = None
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an area must be at least 1 pixel wide and high, not {self.width} x {self.height}")
        if self.mask is None:
            return
        if self.mask.shape != (self.height, self.width) or self.mask.dtype != bool:
            raise ValueError(
                f"the mask must be bool {(self.height, self.width)}, not {self.mask.dtype} {self.mask.shape}"
            )
        if not self.mask.any():
            raise ValueError("the mask is empty")
        if self.mask.all():
            object.__setattr__(self, "mask", None)

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
        cls, mask: NDArray[np.bool_], grid: Grid, confidence: float = 1.0, *, x: int = 0, y: int = 0
    ) -> Mosaic:
        """Return the mosaic of an area given as a mask.

        Parameters
        ----------
        mask : bool (H, W), of the whole picture or a part of it; not changed
        grid : where the cells lie, in pixels of the picture
        confidence : how sure a finder is of it, 0 … 1
        x, y : where the mask's top left pixel lies in the picture

        Raises
        ------
        ValueError : the mask is empty
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            raise ValueError("the mask is empty")
        top, left = int(rows[0]), int(columns[0])
        height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
        part = mask[top : top + height, left : left + width].copy()
        return cls(x + left, y + top, width, height, grid, part, confidence)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mosaic):
            return NotImplemented
        mine, theirs = self.mask, other.mask
        same_mask = (mine is None and theirs is None) or (
            mine is not None and theirs is not None and np.array_equal(mine, theirs)
        )
        return same_mask and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.x, self.y, self.width, self.height, self.grid, self.confidence)

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

        A pixel's centre counts, so that a cell of n pixels has −1 + 1/n … 1 − 1/n; cells cut by the box are
        measured as cut. 0 outside the area.
        """
        u = _position_in_band(self.cells.column_index)
        v = _position_in_band(self.cells.row_index)
        zero = np.float32(0)
        return np.where(self.area, u[None, :], zero), np.where(self.area, v[:, None], zero)

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
        if self.mask is not None:
            # run lengths in row-major order, the first run False, as COCO's uncompressed masks
            edges = np.flatnonzero(np.diff(self.mask.ravel().astype(np.int8), prepend=0))
            result["mask"] = np.diff(edges, prepend=0, append=self.mask.size).tolist()
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
        mask = None
        if "mask" in data:
            runs = data["mask"]
            if sum(runs) != width * height:  # before any memory is taken
                raise ValueError(f"the mask's runs hold {sum(runs)} pixels, not {width} x {height}")
            mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        return cls(
            x,
            y,
            width,
            height,
            Grid(grid["x"], grid["y"], grid["cell_width"], grid["cell_height"], grid.get("blended", False)),
            mask,
            data.get("confidence", 1.0),
        )


def _position_in_band(index: NDArray[np.int64]) -> NDArray[np.float32]:
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
    ValueError : a mosaic lies outside the picture, or two overlap; they are named
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
        ours = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
        theirs = b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
        if (ours & theirs).any():
            raise ValueError(f"the areas {a.x},{a.y},{a.width},{a.height} and {b.x},{b.y},{b.width},{b.height} overlap")


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
