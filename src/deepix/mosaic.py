"""Mosaics and the mathematics that everything rests on.

A picture x was pixelated on an area that a grid cuts into cells C_1 … C_n:

    (A x)_k = mean of x over C_k            the cells' values
    A† y    = y_k in every pixel of C_k     the mosaic one sees
    pixelate(x)  = A† A x                   inside the area, x outside
    project(z)   = z + A†(y − A z)          inside the area, the input outside

A†A is an orthogonal projection, so among all pictures that would have given the input, `project`
returns the one nearest to z; the truth is such a picture, hence projecting never increases the
squared error to it.

Arrays are pictures (H, W) or (H, W, C), x to the right and y down, in whatever unit they come; integer
pictures have cells rounded to integers, and the functions here know by which rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rounding = Literal["nearest", "truncate"]
"""How a cell's mean became an integer: to the nearest (halves up) or cut off, as the challenge does."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where cells lie: one cell's left and top edge, and the cells' width and height, in pixels of the picture.

    Sizes and origin may be fractional (a pixelated picture that was resized afterwards); a pixel
    belongs to the cell that holds its centre.
    """

    x: float
    y: float
    width: float
    height: float

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
        return Cells(
            self.grid.rows(self.y, self.y + self.height),
            self.grid.columns(self.x, self.x + self.width),
            self.mask,
        )

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
            Grid(grid["x"], grid["y"], grid["cell_width"], grid["cell_height"]),
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
    """Replace every cell of the mosaics by its mean.

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
        cells = m.cells
        if image.dtype.kind == "f":
            values: Array = cells.mean(image[m.box])
        else:
            total = cells.sum(image[m.box])
            counts = _as_channels(np.maximum(cells.counts, 1), total)
            values = (2 * total + counts) // (2 * counts) if rounding == "nearest" else total // counts
        _paste(result, m, cells.spread(values.astype(image.dtype)))
    return result


def _paste(picture: Array, m: Mosaic, values: Array) -> None:
    if m.mask is None:
        picture[m.box] = values
    else:
        picture[m.box][m.mask] = values[m.mask]


def cell_values(pixelated: Array, m: Mosaic, rounding: Rounding = "nearest") -> NDArray[np.float64]:
    """Return y: what the input says of each cell's true mean, float64 (rows, columns[, C]), in the input's unit.

    It is the mean of the cell's pixels (all equal in an intact mosaic, so that a lossy file's noise averages
    out); integers that were cut off get ½ added, the middle of what they may have been.
    """
    values = m.cells.mean(pixelated[m.box])
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
    mean is what `pixelated` says. This is the orthogonal projection onto the pictures that would have given
    `pixelated`, so it never increases the squared error to the truth. With `bounds`, it is the projection onto
    those of them that also keep within the bounds.

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


def quantize(estimate: Array, pixelated: Array, mosaics: Sequence[Mosaic], rounding: Rounding = "nearest") -> Array:
    """Return the estimate as a picture of integers that pixelates to the input, exactly.

    The estimate is projected within the range of the input's type and rounded; where a cell's rounded sum would
    pixelate to another value, the pixels that were rounded furthest in the wrong direction move by one.
    For an intact input `pixelate(quantize(…), mosaics, rounding)` is the input; for a lossy one each cell's
    mean is within ½ of the mean of the input's.

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

    In the pictures' unit: 0 says that the restoration pixelates to the input, exactly.
    """
    ours, theirs = pixelate(restored, mosaics, rounding), pixelate(pixelated, mosaics, rounding)
    return max(
        (float(np.abs(ours[m.box].astype(np.float64) - theirs[m.box])[m.area].max()) for m in mosaics),
        default=0.0,
    )


def noise(pixelated: Array, mosaics: Sequence[Mosaic]) -> float:
    """Return the root mean square deviation of the input's pixels from their cells' means: 0 when tiles are intact.

    In the picture's unit. It is what a lossy file added, and how far "pixelates to the input" can be held to it.
    """
    squares, count = 0.0, 0
    for m in mosaics:
        box = pixelated[m.box].astype(np.float64)
        deviation = (box - m.cells.spread(m.cells.mean(box)))[m.area]
        squares += float((deviation**2).sum())
        count += deviation.size
    return (squares / count) ** 0.5 if count else 0.0
