"""Mosaics and the mathematics that everything rests on.

A picture x was pixelated on an area that a grid cuts into cells C_1 … C_n:

    (A x)_k = mean of x over C_k            the cells' values
    A† y    = y_k in every pixel of C_k     the mosaic one sees
    pixelate(x)  = A† A x                   inside the area, x outside
    project(z)   = z + A†(y − A z)          inside the area, the input outside

A†A is an orthogonal projection, so among all pictures that would have given the input, `project`
returns the one nearest to z; the truth is such a picture, hence projecting never increases the
squared error to it.

When a pixelated picture was resized, a pixel on the line between two cells holds a mixture of both
(`Grid.blended`). With C_ik the share of pixel i in cell k and D = diag(Cᵀ1),

    A  = D⁻¹Cᵀ                             means in which a pixel counts by its share
    A† = Aᵀ(AAᵀ)⁻¹ = C(CᵀC)⁻¹D             its pseudo-inverse: AA† = 1, and A†A is an orthogonal projection
    y  = (CᵀΩC)⁻¹CᵀΩp                      the cells' values, fitted to the input p; Ω trusts the tiles' middles
    pixelate(x) = C A x                    the mosaic one sees

and `project` is as above. Where no pixel straddles a line, C is 0 or 1, A† = C and y = A p as above.

Arrays are pictures (H, W) or (H, W, C), x to the right and y down, in whatever unit they come; integer
pictures have cells rounded to integers, and the functions here know by which rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[Any]
Rounding = Literal["nearest", "truncate"]
"""How a cell's mean became an integer: to the nearest (halves up) or cut off, as the challenge does."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where cells lie: one cell's left and top edge, and the cells' width and height, in pixels of the picture.

    Sizes and origin may be fractional. A pixel belongs to the cell that holds its centre; if the grid is `blended`
    (a pixelated picture that was resized afterwards), to each cell by the share of the pixel's square in it.
    """

    x: float
    y: float
    width: float
    height: float
    blended: bool = False

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.height >= 1):
            raise ValueError(f"cells must be at least 1 pixel wide and high, not {self.width} x {self.height}")

    def columns(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the cell column of each pixel column in start … stop − 1, counted from the origin's."""
        return _bands(start, stop, self.x, self.width)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the cell row of each pixel row in start … stop − 1, counted from the origin's."""
        return _bands(start, stop, self.y, self.height)

    def moved(self, dx: float, dy: float) -> Grid:
        """Return the grid moved by (dx, dy) pixels."""
        return replace(self, x=self.x + dx, y=self.y + dy)


def _bands(start: int, stop: int, origin: float, size: float) -> NDArray[np.int64]:
    index: NDArray[np.int64] = np.floor((np.arange(start, stop) + 0.5 - origin) / size).astype(np.int64)
    return index


class Cells:
    """The cells of one mosaic (grid ∩ area) as the operators A and A† on the area's bounding box.

    Arrays of the box are (height, width) or (height, width, C); arrays of cells are (rows, columns) or
    (rows, columns, C). A cell that the area leaves empty has count 0 and mean 0.
    """

    def __init__(self, rows: NDArray[np.int64], columns: NDArray[np.int64], mask: NDArray[np.bool_] | None):
        self._row_starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
        self._column_starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
        self.row_index = rows - rows[0]
        self.column_index = columns - columns[0]
        self.mask = mask
        inside = np.ones((len(rows), len(columns)), bool) if mask is None else mask
        self.counts: NDArray[np.int64] = self._reduce(inside, np.dtype(np.int64))

    def _reduce(self, values: Array, dtype: np.dtype[Any]) -> Array:
        by_row = np.add.reduceat(values, self._row_starts, axis=0, dtype=dtype)
        by_cell: Array = np.add.reduceat(by_row, self._column_starts, axis=1, dtype=dtype)
        return by_cell

    def sum(self, values: Array) -> Array:
        """Return each cell's sum: int64 (exact) for integers, else float64."""
        dtype = np.dtype(np.float64 if values.dtype.kind == "f" else np.int64)
        if self.mask is not None:
            values = np.where(_as_channels(self.mask, values), values, np.zeros((), values.dtype))
        return self._reduce(values, dtype)

    def mean(self, values: Array) -> NDArray[np.float64]:
        """Return A x: each cell's mean, float64."""
        total = self.sum(values)
        return np.asarray(total / _as_channels(np.maximum(self.counts, 1), total), np.float64)

    def spread(self, cell_values: Array) -> Array:
        """Return A† y: each cell's value in all its pixels (the box's pixels outside the area get one too)."""
        pixels: Array = cell_values.take(self.row_index, axis=0).take(self.column_index, axis=1)
        return pixels

    def paint(self, cell_values: Array) -> Array:
        """Return the mosaic one sees of cells with these values; it differs from A† y in `BlendedCells` only."""
        return self.spread(cell_values)

    def fit(self, pixels: Array) -> NDArray[np.float64]:
        """Return y: the values of the cells whose mosaic is nearest to these pixels, float64."""
        return self.mean(pixels)


class BlendedCells(Cells):
    """The cells of a mosaic some of whose pixels straddle the lines between cells: the operators A, A†, C and the fit.

    `rows` and `columns` say how the box's pixel rows and columns lie in the cells. Only cells that hold a pixel's
    centre are cells; the shares of pixels in others (cut by the area) are counted to those that the pixels lie in.
    """

    def __init__(self, rows: _Shares, columns: _Shares, mask: NDArray[np.bool_] | None):
        super().__init__(rows.index, columns.index, mask)
        self._rows, self._columns = rows, columns
        self._scale: NDArray[np.float64] | None = None
        if mask is not None:
            # a pixel in the area has at least a quarter of its square in its own cell, which exists
            shares = _on_both(rows.matrix, columns.matrix, (self.counts > 0).astype(np.float64))
            self._scale = np.where(mask, 1 / np.maximum(shares, 0.25), 0.0)
        self._total = self._sum(np.ones((len(rows.index), len(columns.index))), rows.matrix, columns.matrix)

    def _sum(self, pixels: Array, rows: csr_array, columns: csr_array) -> NDArray[np.float64]:
        if self._scale is not None:
            pixels = pixels * _as_channels(self._scale, pixels)
        total = _on_both(rows.T, columns.T, pixels)
        return total * _as_channels(self.counts > 0, total)

    def mean(self, values: Array) -> NDArray[np.float64]:
        """Return A x: each cell's mean in which a pixel counts by its share, float64."""
        total = self._sum(values, self._rows.matrix, self._columns.matrix)
        return total / _as_channels(np.where(self.counts > 0, self._total, 1), total)

    def spread(self, cell_values: Array) -> Array:
        """Return A† y: the smallest picture (sum of squares) whose cells have these means; 0 outside the area."""
        shares = self._solve(_as_channels(self._total, cell_values) * cell_values)
        return self.paint(shares.astype(cell_values.dtype))

    def paint(self, cell_values: Array) -> Array:
        """Return C y: each pixel the mean of its cells' values by its shares in them; 0 outside the area."""
        dtype = cell_values.dtype
        present = _as_channels(self.counts > 0, cell_values)
        pixels = _on_both(self._rows.matrix.astype(dtype), self._columns.matrix.astype(dtype), cell_values * present)
        if self._scale is not None:
            pixels *= _as_channels(self._scale.astype(dtype), pixels)
        return pixels

    def fit(self, pixels: Array) -> NDArray[np.float64]:
        """Return y: the values of the cells whose mosaic is nearest to these pixels, float64.

        Near the lines a resized picture is blurred and rings, more or less by its program's filter: nearness is a sum
        of squares in which pixels weigh the more the farther they are from lines (see `TRUSTED`).
        """
        return self._solve_fit(self._sum(pixels, self._rows.trusted, self._columns.trusted))

    @cached_property
    def _solve(self) -> Callable[[Array], NDArray[np.float64]]:
        return self._inverse(self._rows.matrix, self._columns.matrix)

    @cached_property
    def _solve_fit(self) -> Callable[[Array], NDArray[np.float64]]:
        return self._inverse(self._rows.trusted, self._columns.trusted)

    def _inverse(self, rows: csr_array, columns: csr_array) -> Callable[[Array], NDArray[np.float64]]:
        """Return how to solve CᵀΩC y = b, for ΩC of separable weights; only neighbouring cells share pixels."""
        from scipy.sparse import coo_array
        from scipy.sparse.linalg import splu

        if self._scale is None:  # the Kronecker product of a matrix for the rows and one for the columns
            down = splu((rows.T @ self._rows.matrix).tocsc()).solve
            across = splu((columns.T @ self._columns.matrix).tocsc()).solve
            return lambda b: _on_columns(across, _on_rows(down, b))
        squares = self._scale**2
        below, beside = ((a[:, :-1] * b.matrix[:, 1:]) for a, b in ((rows, self._rows), (columns, self._columns)))
        same_row, same_column = rows * self._rows.matrix, columns * self._columns.matrix
        number = np.arange(self.counts.size).reshape(self.counts.shape)
        diagonal = _on_both(below.T, beside.T, squares)
        parts = [
            (number, number, _on_both(same_row.T, same_column.T, squares) / 2),
            (number[:, :-1], number[:, 1:], _on_both(same_row.T, beside.T, squares)),
            (number[:-1], number[1:], _on_both(below.T, same_column.T, squares)),
            (number[:-1, :-1], number[1:, 1:], diagonal),
            (number[:-1, 1:], number[1:, :-1], diagonal),
        ]
        i, j, share = (np.concatenate([part[k].ravel() for part in parts]) for k in range(3))
        present = (self.counts > 0).ravel()
        share = share * present[i] * present[j]
        half = coo_array((share, (i, j)), shape=(number.size, number.size))
        absent = np.flatnonzero(~present)
        whole = half + half.T + coo_array((np.ones(len(absent)), (absent, absent)), shape=half.shape)
        solve = splu(whole.tocsc()).solve
        return lambda b: solve(b.reshape(number.size, -1)).reshape(b.shape)


LEAST_SHARE = 1e-6
"""A smaller share of a pixel in a cell is taken for the grid's rounding error."""
TRUSTED = 0.25, 1.5
"""Distances (pixels) of a pixel's centre from the nearest line between which its weight in `fit` grows in proportion.

Restorations hardly depend on it: with weights that grow with the square or cube, scikit-image's astronaut, resized to
cells of 3.65 pixels, came up to 0.2 % nearer to the truth, and after JPEG of quality 75 up to 1 % less near.
"""


@dataclass(frozen=True, eq=False)
class _Shares:
    """How the pixels of one axis of a box lie in the cells.

    Attributes
    ----------
    index : the cell of each pixel's centre
    matrix : (pixels, cells), each pixel's shares in the cells
    trusted : the same, each pixel's shares times how much it is trusted
    """

    index: NDArray[np.int64]
    matrix: csr_array
    trusted: csr_array

    @classmethod
    def of(cls, start: int, stop: int, origin: float, size: float) -> _Shares:
        """Return the shares of pixels start … stop − 1 in cells of this size, one of which begins at the origin."""
        from scipy.sparse import csr_array, diags_array

        bands = _bands(start, stop, origin, size)
        index = bands - bands[0]
        centre = np.arange(start, stop) + 0.5 - origin
        # what lies beyond the first and last cell is counted to them
        left = np.where(index > 0, centre - bands * size, np.inf)
        right = np.where(index < index[-1], (bands + 1) * size - centre, np.inf)
        distance = np.minimum(left, right)
        # a cell is at least as wide as a pixel, which thus straddles one line at most
        part = np.maximum(0.5 - distance, 0.0)
        part[part < LEAST_SHARE] = 0
        at = np.flatnonzero(part)
        pixels = np.arange(len(index))
        matrix = csr_array(
            (
                np.concatenate([1 - part, part[at]]),
                (np.concatenate([pixels, at]), np.concatenate([index, index[at] + np.where(right < left, 1, -1)[at]])),
            ),
            shape=(len(index), int(index[-1]) + 1),
        )
        return cls(index, matrix, diags_array(np.clip(distance, *TRUSTED)) @ matrix)


def _on_rows(operator: Callable[[Array], Array], values: Array) -> Array:
    """Apply an operator of (n, m) arrays along the first axis."""
    result = operator(values.reshape(len(values), -1))
    return result.reshape(len(result), *values.shape[1:])


def _on_columns(operator: Callable[[Array], Array], values: Array) -> Array:
    return _on_rows(operator, values.swapaxes(0, 1)).swapaxes(0, 1)


def _on_both(rows: csr_array, columns: csr_array, values: Array) -> Array:
    """Apply matrices along the first and the second axis, first the one that makes the array smaller."""
    if rows.shape[0] < rows.shape[1]:
        return _on_columns(columns.__matmul__, _on_rows(rows.__matmul__, values))
    return _on_rows(rows.__matmul__, _on_columns(columns.__matmul__, values))


def _as_channels(plane: Array, like: Array) -> Array:
    """Give a (H, W) array a channel axis if `like` has one."""
    return plane[..., None] if like.ndim == 3 else plane


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
    def from_mask(cls, mask: NDArray[np.bool_], grid: Grid, confidence: float = 1.0) -> Mosaic:
        """Return the mosaic of an area given as a bool (H, W) mask of the whole picture.

        Raises
        ------
        ValueError : the mask is empty
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            raise ValueError("the mask is empty")
        y, x = int(rows[0]), int(columns[0])
        height, width = int(rows[-1]) + 1 - y, int(columns[-1]) + 1 - x
        return cls(x, y, width, height, grid, mask[y : y + height, x : x + width].copy(), confidence)

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
            rows = _Shares.of(self.y, bottom, grid.y, grid.height)
            columns = _Shares.of(self.x, right, grid.x, grid.width)
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
        """Return the mosaic that `to_dict` described."""
        x, y, width, height = data["area"]
        grid = data["grid"]
        mask = None
        if "mask" in data:
            runs = data["mask"]
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
    """Check that the mosaics lie in a picture of this shape and do not overlap.

    Raises
    ------
    ValueError : naming the mosaic that does not
    """
    height, width = shape[:2]
    for m in mosaics:
        if m.x < 0 or m.y < 0 or m.x + m.width > width or m.y + m.height > height:
            raise ValueError(
                f"the area {m.x},{m.y},{m.width},{m.height} does not lie in the picture of {width} x {height} pixels"
            )
    for a, b in combinations(mosaics, 2):
        x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
        y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
        if x0 >= x1 or y0 >= y1:
            continue
        ours = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
        theirs = b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
        if (ours & theirs).any():
            raise ValueError(f"the areas {a.x},{a.y},{a.width},{a.height} and {b.x},{b.y},{b.width},{b.height} overlap")


def random_mosaics(
    shape: tuple[int, ...], count: int, rng: np.random.Generator, cells: tuple[int, int] = (4, 48)
) -> list[Mosaic]:
    """Draw rectangles of square cells that do not overlap, as many of `count` as find room.

    Cell sizes are drawn log-uniformly between the two of `cells` (at most an eighth of the picture's shorter side),
    areas of 2 to 12 cells a side (at most half of the picture's), places uniformly.
    """
    height, width = shape[:2]
    least, most = cells[0], max(cells[0], min(cells[1], min(height, width) // 8))
    if min(height, width) < 4 * least:
        raise ValueError(f"a picture of {width} x {height} pixels is too small for random areas")
    taken = np.zeros((height, width), bool)
    result: list[Mosaic] = []
    for _ in range(100 * count):
        if len(result) == count:
            break
        cell = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        w, h = (int(rng.integers(2 * cell, max(2 * cell, min(12 * cell, side // 2)) + 1)) for side in (width, height))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        around = taken[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
        if not around.any():
            taken[y : y + h, x : x + w] = True
            result.append(Mosaic.rectangle(x, y, w, h, cell))
    return result


def unknown(mosaics: Sequence[Mosaic], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return bool (H, W): True at the pixels inside any of the mosaics."""
    result = np.zeros(shape[:2], bool)
    for m in mosaics:
        result[m.box] |= m.area
    return result


def pixelate(image: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Replace every cell of the mosaics by its mean; pixels that straddle cells of blended grids by a mixture of them.

    Parameters
    ----------
    image : (H, W) or (H, W, C), any integer or float type; not changed
    mosaics : areas must not overlap
    rounding : how means become integers, for integer pictures

    Returns
    -------
    A new array of the image's shape and type; pixels outside the mosaics are the image's own.

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two overlap

    Examples
    --------
    >>> pixelate(np.array([[1, 2, 9]], np.uint8), [Mosaic.rectangle(0, 0, 2, 1, cell=2)])
    array([[2, 2, 9]], dtype=uint8)
    """
    check(mosaics, image.shape)
    result = image.copy()
    for m in mosaics:
        if isinstance(m.cells, BlendedCells):
            _paste(result, m, _in_type(m.cells.paint(m.cells.mean(image[m.box])), image.dtype, rounding))
        else:
            _paste(result, m, m.cells.paint(_means(image[m.box], m.cells, rounding)))
    return result


def _means(box: Array, cells: Cells, rounding: Rounding) -> Array:
    """Return the means of cells that share no pixels, in the type of the box; those of integers exactly."""
    if box.dtype.kind == "f":
        return cells.mean(box).astype(box.dtype)
    total = cells.sum(box)
    counts = _as_channels(np.maximum(cells.counts, 1), total)
    values: Array = (2 * total + counts) // (2 * counts) if rounding == "nearest" else total // counts
    return values.astype(box.dtype)


def _in_type(values: NDArray[np.float64], dtype: np.dtype[Any], rounding: Rounding) -> Array:
    """Return values in a picture's type; those within 1e-6 below an integer may be it but for rounding errors."""
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        values = np.floor(values + (0.5 if rounding == "nearest" else 0.0) + 1e-6).clip(limits.min, limits.max)
    return values.astype(dtype)


def _paste(picture: Array, m: Mosaic, values: Array) -> None:
    if m.mask is None:
        picture[m.box] = values
    else:
        picture[m.box][m.mask] = values[m.mask]


def cell_values(pixelated: Array, m: Mosaic, rounding: Rounding = "nearest") -> NDArray[np.float64]:
    """Return y: what the input says of each cell's true mean, float64 (rows, columns[, C]), in the input's unit.

    It is the mean of the cell's pixels (all equal in an intact mosaic, so that a lossy file's noise averages
    out), or the fit to them where cells share pixels; integers that were cut off get ½ added, the middle of what they
    may have been.
    """
    values = m.cells.fit(pixelated[m.box])
    return values + 0.5 if rounding == "truncate" and pixelated.dtype.kind != "f" else values


def project(
    estimate: Array,
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    rounding: Rounding = "nearest",
    bounds: tuple[float, float] | None = None,
) -> Array:
    """Move an estimate to the nearest picture that agrees with the input.

    Outside the mosaics the input's own pixels are returned; inside, each cell is shifted so that its
    mean (in which a pixel counts by its share, where cells share pixels) is what `pixelated` says. This is the
    orthogonal projection onto the pictures that would have given `pixelated`, so it never increases the squared error
    to the truth. With `bounds`, it is the projection onto those of them that also keep within the bounds.

    Parameters
    ----------
    estimate : float (H, W) or (H, W, C), in the unit of `pixelated`
    pixelated : same shape, integers or floats; what was observed
    mosaics : areas must not overlap
    rounding : how integer cells came about: the true mean of a cell cut off to y is y + ½
    bounds : (lowest, highest) value of a pixel; without, values may leave the range that pictures have

    Returns
    -------
    The type and shape of `estimate`

    Raises
    ------
    ValueError : shapes differ, a mosaic lies outside the picture, or two overlap

    Examples
    --------
    >>> m = [Mosaic.rectangle(0, 0, 2, 1, cell=2)]
    >>> project(np.array([[4.0, 2.0, 7.0]]), np.array([[5.0, 5.0, 9.0]]), m)
    array([[6., 4., 9.]])
    """
    if estimate.shape != pixelated.shape:
        raise ValueError(f"the estimate's shape {estimate.shape} is not the input's {pixelated.shape}")
    if estimate.dtype.kind != "f":
        raise ValueError(f"the estimate must be of a float type, not {estimate.dtype}")
    check(mosaics, pixelated.shape)
    result = pixelated.astype(estimate.dtype)
    for m in mosaics:
        y = cell_values(pixelated, m, rounding)
        if bounds is None:
            values = project_box(estimate[m.box], y, m.cells)
        else:
            values = _project_bounded(estimate[m.box], y, m.cells, *bounds)
        _paste(result, m, values)
    return result


def project_box(box: Array, y: NDArray[np.float64], cells: Cells) -> Array:
    """Return z + A†(y − A z) for one mosaic's bounding box z, in the type of z; for loops that project often."""
    projected: Array = box + cells.spread((y - cells.mean(box)).astype(box.dtype))
    return projected


def _project_bounded(box: Array, y: NDArray[np.float64], cells: Cells, low: float, high: float) -> Array:
    """Project onto {A z = y} ∩ [low, high]: clip(z + s_k) with the shift s_k that gives cell k its mean.

    The Karush–Kuhn–Tucker conditions give that form; the mean is monotone and piecewise linear in s_k, so that
    Newton's method, kept inside a bracket by bisection, ends.
    """
    if isinstance(cells, BlendedCells):
        return _project_blended(box, np.clip(y, low, high), cells, low, high)
    target = np.clip(y, low, high)
    target[cells.counts == 0] = 0
    lowest = np.full_like(y, low - box.max())
    highest = np.full_like(y, high - box.min())
    shift = np.clip(y - cells.mean(box), lowest, highest)
    tolerance = 1e-7 * (high - low)
    for _ in range(100):
        moved = box + cells.spread(shift)
        clipped = np.clip(moved, low, high)
        error = target - cells.mean(clipped)
        error[cells.counts == 0] = 0
        if np.abs(error).max() <= tolerance:
            break
        lowest = np.where(error > 0, shift, lowest)
        highest = np.where(error < 0, shift, highest)
        free = cells.mean((moved == clipped).astype(np.float64))
        newton = shift + error / np.maximum(free, 1e-9)
        shift = np.where((newton > lowest) & (newton < highest), newton, (lowest + highest) / 2)
    result: Array = clipped.astype(box.dtype)
    return result


BOUNDED_STEPS = 50
"""Most steps of `_project_blended`. On photos at 0.73 and 1.31 times their size 50 leave single cells up to 0.2 levels
from their values (not counting those that no picture attains): less than integers do."""


def _project_blended(box: Array, y: NDArray[np.float64], cells: BlendedCells, low: float, high: float) -> Array:
    """Project onto {A z = y} ∩ [low, high] where cells share pixels: clip(z + A†s) with the s that gives the means y.

    Steps s += y − A clip(z + A†s) climb the dual problem along its gradient in the metric of AAᵀ; they are exact where
    nothing is clipped and never too long. Nesterov's momentum, begun anew when it points downhill (O'Donoghue and
    Candès, 2015), speeds them up. Cells beside each other may have values, near both ends of the range, that no picture
    within it has: then the result is within the bounds and near to the values.
    """
    at = previous = box.astype(np.float64)
    age = 0
    for _ in range(BOUNDED_STEPS):
        clipped = np.clip(at, low, high)
        error = y - cells.mean(clipped)
        error[cells.counts == 0] = 0
        if np.abs(error).max() <= 1e-6 * (high - low):
            break
        step = cells.spread(error)
        moved = at + step
        age = age + 1 if np.vdot(step, moved - previous) > 0 else 0
        at = moved + age / (age + 3) * (moved - previous)
        previous = moved
    return clipped.astype(box.dtype)


def quantize(estimate: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Return the estimate as a picture of integers that pixelates to the input, exactly.

    The estimate is projected within the range of the input's type and rounded; where a cell's rounded sum would
    pixelate to another value, the pixels that were rounded furthest in the wrong direction move by one.
    For an intact input `pixelate(quantize(…), mosaics, rounding)` is the input; for a lossy one each cell's
    mean is within ½ of the mean of the input's. In blended grids pixels are just rounded, which leaves each cell's
    mean within ½ of `cell_values`, but for cells that no picture attains: near both ends of the range side by side.

    Parameters
    ----------
    estimate : float (H, W) or (H, W, C), in the unit of `pixelated`
    pixelated : same shape, integers
    mosaics : areas must not overlap
    rounding : how the input's cells came about

    Returns
    -------
    The type and shape of `pixelated`

    Raises
    ------
    ValueError : as `project`, or `pixelated` is not of integers
    """
    if pixelated.dtype.kind not in "iu":
        raise ValueError(f"the input must be of integers, not {pixelated.dtype}")
    if estimate.shape != pixelated.shape:
        raise ValueError(f"the estimate's shape {estimate.shape} is not the input's {pixelated.shape}")
    check(mosaics, pixelated.shape)
    highest = int(np.iinfo(pixelated.dtype).max)
    result = pixelated.copy()
    for m in mosaics:
        box = estimate[m.box].astype(np.float64)
        box = _project_bounded(box, cell_values(pixelated, m, rounding), m.cells, 0, highest)
        if isinstance(m.cells, BlendedCells):
            _paste(result, m, np.rint(box).astype(pixelated.dtype))
            continue
        planes = box.reshape(m.height, m.width, -1)
        observed = pixelated[m.box].reshape(planes.shape)
        rounded = np.stack(
            [_round_cells(planes[..., c], observed[..., c], m, rounding) for c in range(planes.shape[2])],
            axis=2,
        )
        _paste(result, m, rounded.reshape(box.shape).astype(pixelated.dtype))
    return result


def _round_cells(plane: Array, observed: Array, m: Mosaic, rounding: Rounding) -> NDArray[np.int64]:
    cells = m.cells
    total = cells.sum(observed)
    below = cells.counts // 2 if rounding == "nearest" else np.zeros_like(cells.counts)
    least = total - below  # the sums that pixelate to the input: least … least + count − 1
    most = least + cells.counts - 1
    rounded = np.rint(plane).astype(np.int64)
    sums = cells.sum(rounded)
    missing = np.where(sums < least, least - sums, np.where(sums > most, most - sums, 0))
    missing[cells.counts == 0] = 0
    if not missing.any():
        return rounded
    labels = m.labels()
    wanted = missing.ravel()
    flat = np.flatnonzero((labels >= 0) & (wanted[labels] != 0))
    label = labels.ravel()[flat]
    sign = np.sign(wanted[label])
    order = np.lexsort((-sign * (plane.ravel()[flat] - rounded.ravel()[flat]), label))
    flat, label, sign = flat[order], label[order], sign[order]
    rank = np.arange(len(label)) - np.searchsorted(label, label)
    moved = rank < np.abs(wanted[label])
    rounded.ravel()[flat[moved]] += sign[moved]
    return rounded


def consistency(restored: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> float:
    """Return the largest difference that re-pixelating the restoration leaves to the input's cells.

    In the pictures' unit, of the cells' values: 0 says that the restoration pixelates to the input, exactly.
    """
    worst = 0.0
    for m in mosaics:
        if isinstance(m.cells, BlendedCells):
            ours = _in_type(m.cells.mean(restored[m.box]), restored.dtype, rounding)
            theirs = _in_type(m.cells.fit(pixelated[m.box]), pixelated.dtype, rounding)
        else:
            ours, theirs = (_means(picture[m.box], m.cells, rounding) for picture in (restored, pixelated))
        worst = max(worst, float(np.abs(ours.astype(np.float64) - theirs).max()))
    return worst


def noise(pixelated: Array, mosaics: Sequence[Mosaic]) -> float:
    """Return the root mean square deviation of the input's pixels from the mosaic of its cells: 0 when it is intact.

    In the picture's unit. It is what a lossy file added, and how far "pixelates to the input" can be held to it.
    """
    squares, count = 0.0, 0
    for m in mosaics:
        box = pixelated[m.box].astype(np.float64)
        deviation = (box - m.cells.paint(m.cells.fit(box)))[m.area]
        squares += float((deviation**2).sum())
        count += deviation.size
    return (squares / count) ** 0.5 if count else 0.0


def fit_blending(pixelated: Array, m: Mosaic) -> Mosaic:
    """Return the mosaic with its grid blended or not, whichever explains the input's pixels better.

    Where the lines between cells fall between pixels both are the same; then, as whenever both explain the pixels
    equally well, the grid is not blended.
    """
    sharp, blended = (replace(m, grid=replace(m.grid, blended=b)) for b in (False, True))
    return blended if noise(pixelated, [blended]) < noise(pixelated, [sharp]) else sharp
