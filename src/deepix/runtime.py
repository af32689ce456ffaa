"""Networks at work: what they are given and how their answers are used, in NumPy, with ONNX Runtime in between.

    z = smooth(y)                              the training-free restoration, at one size
    r, s = network(features)                   see `features`
    restoration = project(z + c · r)           c: the local contrast
    deviation = c · exp(s) · calibration       standard deviation of its error, per pixel

Networks know cells up to some size. A mosaic of larger ones is looked at through a lattice of larger pixels: each holds
the mean of what it covers, cells are whole numbers of them, and the result is interpolated and projected at the
picture's own size.

Of a picture in colour the network restores the luminance; what is left, two differences of colours, follows its edges
(`deepix.smooth.smooth_along`). All of this is linear and keeps the cells' means, so that the result agrees with the
input in every channel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepix import files
from deepix.errors import DeepixError, InputError, reason
from deepix.mosaic import Array, Grid, Mosaic, Rounding, cell_values, check, project, unknown
from deepix.smooth import blurred, in_tiles, smooth, smooth_along, smooth_at_one_size, smooth_each
from deepix.windows import Box, crop, grown, tiles, windows, within

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

ROUNDS: tuple[int, ...] = (3, 3, 3)
"""Steps of the smooth start, see `deepix.smooth.smooth_at_one_size`."""
CONTEXT = 6.0
"""Standard deviation (pixels) of the Gaussian under which local means and contrasts are taken."""
FLOOR = 0.02
"""Added to the contrast, so that a flat surrounding is not blown up: about 5 levels of 255."""
CELL_UNIT = 16.0
"""Pixels in one unit of the cells' width and height in a network's input: the challenge's largest cell."""

SHIPPED = ("challenge", "photo")
"""Models that lie in the package."""
DEFAULT = "photo"
WORKING = 13
"""Pixels of the lattice to the longer side of a cell that is too large for the network."""
SHORTEST = 8
"""Pixels of the lattice to the shorter side, where the cell has as many."""
MARGIN = 16
"""Known pixels (of the lattice) that the network sees around the unknown ones, where the picture has them."""
TILE, HALO = 512, 48
"""About the side (pixels) of the network's tiles, and by how much each sees more than it restores."""
REACH = 2 * math.ceil(4 * CONTEXT)
"""Pixels from which on nothing changes the local contrast: the mean's Gaussian, and the contrast's after it."""
BATCH_PIXELS = 1 << 18
"""Pixels that the network is given at a time, at least a tile: bounds memory."""
ALONG = (3, 8)
"""Steps for the differences of colours, see `deepix.smooth.smooth_along`."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Of the encoded red, green and blue (ITU-R BT.601)."""
WINDOW, KNOWN = 48, 4
"""Side (pixels) of the windows of `estimate_each`, and pixels at least around the unknown ones: as in training."""
PROVIDERS: dict[str, dict[str, str]] = {
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},  # the same result each time
    "ROCMExecutionProvider": {},
    "DmlExecutionProvider": {},
    "CoreMLExecutionProvider": {},
    "OpenVINOExecutionProvider": {},
    "CPUExecutionProvider": {},
}
"""ONNX Runtime's devices, the first that is installed is used; with options."""
INPUT, OUTPUTS = "features", ["residual", "log_deviation"]


# ── models ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to work.

    Attributes
    ----------
    name : as its file has it
    session : ONNX Runtime's
    stride : heights and widths of its input are multiples of it
    cells : least and greatest side of the cells that it was trained on, in pixels
    rounds : of the smooth start
    calibration : factor of its deviations
    """

    name: str
    session: InferenceSession
    stride: int
    cells: tuple[float, float]
    rounds: tuple[int, ...]
    calibration: float

    def __call__(self, planes: Floats) -> tuple[Floats, Floats]:
        """Return what is to be added to z, and the deviation, in units of the contrast.

        Parameters
        ----------
        planes : float32 (N, 7, H, W), see `features`

        Returns
        -------
        Two of float32 (N, H, W)
        """
        height, width = planes.shape[2:]
        padded = np.pad(planes, ((0, 0), (0, 0), (0, -height % self.stride), (0, -width % self.stride)))
        residual, deviation = (y[:, 0, :height, :width] for y in self.session.run(OUTPUTS, {INPUT: padded}))
        return residual, np.exp(deviation.clip(-8, 8)) * np.float32(self.calibration)


def load(model: str | PathLike[str] = DEFAULT, threads: int | None = None) -> Model:
    """Return a model; the last few are kept.

    Parameters
    ----------
    model : "photo", "challenge", or the path of an .onnx file that `deepix weights export` wrote
    threads : of the processor; None: all

    Raises
    ------
    DeepixError : a shipped model is not there
    InputError : no such file, or not a model of ours
    """
    if model in SHIPPED:
        return _shipped(str(model), threads)
    path = Path(model)
    if not path.exists():
        raise InputError(f"{path}: no such model: {', '.join(SHIPPED)}, or the path of an .onnx file")
    about = path.stat()
    return _from_file(path, threads, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _shipped(model: str, threads: int | None) -> Model:
    place = resources.files("deepix") / "weights" / f"{model}.onnx"
    if not place.is_file():
        raise DeepixError(f"the model '{model}' is missing from this installation: install Deepix anew")
    return _opened(place.read_bytes(), f"{model}.onnx", threads)


@lru_cache(maxsize=4)
def _from_file(path: Path, threads: int | None, changed: int, size: int) -> Model:
    """Open a file as it was when it was last changed (time in ns) and had this size (bytes)."""
    return _opened(files.read_bytes(path), str(path), threads)


def session(content: bytes, name: str, threads: int | None = None) -> InferenceSession:
    """Open an ONNX model on the first of `PROVIDERS` that is installed; the same results on every run.

    Parameters
    ----------
    content : the file's
    name : what messages call it
    threads : of the processor; None: all

    Raises
    ------
    InputError : not a model that ONNX Runtime can use
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False  # inputs differ in size
    options.log_severity_level = 3
    # threads that wait for work take the processor from the NumPy between two runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    providers = [(provider, settings) for provider, settings in PROVIDERS.items() if provider in available]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    # ONNX Runtime has an exception of its own for each kind of damage, all of them derived from Exception only
    except Exception as error:
        raise InputError(f"{name}: not an ONNX model that can be used ({reason(error)})") from error


def _opened(content: bytes, name: str, threads: int | None) -> Model:
    opened = session(content, name, threads)
    ours = [i.name for i in opened.get_inputs()] == [INPUT] and [o.name for o in opened.get_outputs()] == OUTPUTS
    try:
        about = json.loads(opened.get_modelmeta().custom_metadata_map["deepix"])
        model = Model(
            str(about["name"]),
            opened,
            int(about["stride"]),
            (float(about["cells"][0]), float(about["cells"][1])),
            tuple(int(steps) for steps in about["rounds"]),
            float(about["calibration"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{name}: not a model of Deepix (its metadata lack what 'deepix' should say)") from error
    if not ours or not model.rounds:
        raise InputError(f"{name}: not a restorer of Deepix")
    return model


def features(z: Floats, pixelated: Floats, mosaics: Sequence[Mosaic]) -> tuple[Floats, Floats]:
    """Return what a network sees of one plane, and the local contrast that its answer is in units of.

    Parameters
    ----------
    z : float32 (H, W), values in [0, 1]: the smooth start
    pixelated : float32 (H, W), values in [0, 1]
    mosaics : in it

    Returns
    -------
    float32 (7, H, W): z and the mosaic, less the local mean and over the local contrast; 1 where known; u, v, and the
    cells' width and height in units of `CELL_UNIT` pixels, 0 where known (see `Mosaic.coordinates`)
    float32 (H, W): the local contrast: the mosaic's standard deviation under a Gaussian, plus `FLOOR`
    """
    mean = blurred(pixelated, CONTEXT)
    contrast = np.sqrt(blurred(np.square(pixelated - mean), CONTEXT)) + np.float32(FLOOR)
    planes = np.zeros((7, *pixelated.shape), np.float32)
    planes[0] = (z - mean) / contrast
    planes[1] = (pixelated - mean) / contrast
    planes[2] = ~unknown(mosaics, pixelated.shape)
    for m in mosaics:
        widths, heights = (np.bincount(i)[i] / CELL_UNIT for i in (m.cells.column_index, m.cells.row_index))
        grid = (*m.coordinates(), np.broadcast_to(widths, m.area.shape), heights[:, None])
        for plane, values in zip(planes[3:], grid, strict=True):
            plane[m.box] += np.where(m.area, values, 0)
    return planes, contrast


# ── photos ───────────────────────────────────────────────────────────────────────────────────────


def estimate(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = DEFAULT,
    rounding: Rounding = "nearest",
    threads: int | None = None,
) -> tuple[Floats, Floats]:
    """Restore the mosaics of a picture by a network.

    Only windows around the mosaics are computed, large ones in tiles. Cells that are smaller than the network knows are
    left to `deepix.smooth.smooth`.

    Parameters
    ----------
    pixelated : (H, W) or (H, W, C), integers of their type's whole range, or floats of 0 … 255; not changed. Three
        channels are red, green and blue; of other numbers each is restored by itself
    mosaics : areas must not overlap
    model, threads : as for `load`
    rounding : how integer cells came about

    Returns
    -------
    float32, shape and unit of `pixelated`: equal to it outside the mosaics, with its cells' means inside
    float32 (H, W), same unit: standard deviation of the estimate's error as the network expects it (in colour: of the
    luminance's); 0 on known pixels, not a number where `smooth` restored

    Raises
    ------
    ValueError : a mosaic lies outside the picture, or two overlap
    DeepixError, InputError : as for `load`
    """
    check(mosaics, pixelated.shape)
    network = load(model, threads)
    white = _white(pixelated)
    small = [m for m in mosaics if min(m.grid.width, m.grid.height) < network.cells[0]]
    groups: dict[tuple[int, int], list[Mosaic]] = {}  # those that share a lattice
    for m in sorted(set(mosaics) - set(small), key=lambda m: (-m.width * m.height, m.y, m.x)):
        pitch = _pitch(m.grid, network)
        groups.setdefault((round(10 * math.log(pitch[0])), round(10 * math.log(pitch[1]))), []).append(m)

    painted = pixelated.astype(np.float32)
    deviation = np.zeros(pixelated.shape[:2], np.float32)
    for m in mosaics:
        _paste(painted[m.box], m.cells.spread(cell_values(pixelated, m, rounding)), m.area)
    for m in small:
        deviation[m.box][m.area] = np.nan
    strangers = [*small, *_strangers(list(groups.values()), network)]
    result = smooth(pixelated, strangers, rounding) if strangers else painted
    offset = 0.5 / white if rounding == "truncate" and pixelated.dtype.kind in "iu" else 0.0
    parts = []
    for members in groups.values():
        pitch = _pitch(members[0].grid, network)
        margin = math.ceil(MARGIN * pitch[0]), math.ceil(MARGIN * pitch[1])
        for window, inside in windows(members, pixelated.shape, margin):
            inside = [m.moved(window[1].start, window[0].start) for m in inside]
            parts.append(_part(inside, members, window, pitch, painted, result, white, network))
    _run(network, (job for part in parts for job in part.jobs(offset)))
    for part in parts:
        planes, deviations = part.restored(white)
        mask = unknown(part.inside, part.shape)
        observed = pixelated[part.box]
        _paste(result[part.box], project(planes.reshape(observed.shape), observed, part.inside, rounding), mask)
        _paste(deviation[part.box], deviations, mask)
    return result, deviation


def _paste(picture: Floats, values: Array, mask: Bools) -> None:
    """Put values, of the picture's shape, into a picture (H, W[, C]) where the mask (H, W) is True."""
    np.copyto(picture, values, "same_kind", mask.reshape(*mask.shape, *(1,) * (picture.ndim - 2)))


def _white(pixelated: Array) -> float:
    return float(np.iinfo(pixelated.dtype).max) if pixelated.dtype.kind in "iu" else 255.0


def _pitch(grid: Grid, network: Model) -> tuple[float, float]:
    """Return the height and width of the lattice's pixels: 1 for cells that the network knows."""
    longer = max(grid.width, grid.height)
    if longer <= network.cells[1]:
        return 1.0, 1.0
    down, across = (
        side / max(round(side * WORKING / longer), min(SHORTEST, math.floor(side)))
        for side in (grid.height, grid.width)
    )
    return down, across


def _strangers(groups: Sequence[Sequence[Mosaic]], network: Model) -> list[Mosaic]:
    """Return the mosaics that windows of another group may show."""
    result = []
    for group in groups:
        for m in group:
            if any(_shows(other, _pitch(other.grid, network), m) for g in groups if g is not group for other in g):
                result.append(m)
    return result


def _shows(m: Mosaic, pitch: tuple[float, float], other: Mosaic) -> bool:
    down, across = (2 * MARGIN * p for p in pitch)
    return (
        m.x - across < other.x + other.width
        and other.x < m.x + m.width + across
        and m.y - down < other.y + other.height
        and other.y < m.y + m.height + down
    )


@dataclass(frozen=True)
class _Axis:
    """One axis of a lattice: its pixel i covers the picture's origin + pitch · (i … i + 1), i = start … stop − 1."""

    origin: float
    pitch: float
    start: int
    stop: int
    length: int  # of the picture

    @classmethod
    def over(cls, part: slice, length: int, origin: float, pitch: float) -> _Axis:
        """Return the axis over some of a picture's pixels and a few more: windows of equal size go together."""
        if pitch == 1:
            origin = 0.0
        least, most = math.floor(1e-6 - origin / pitch), math.ceil((length - origin) / pitch - 1e-6)
        start = max(least, math.floor((part.start - origin) / pitch))
        stop = min(most, math.ceil((part.stop - origin) / pitch))
        missing = -(stop - start) % MARGIN
        stop = min(most, stop + missing // 2)
        start = max(least, stop - (-(-(stop - start) // MARGIN) * MARGIN))
        return cls(origin, pitch, start, stop, length)

    @property
    def pixels(self) -> slice:
        """The picture's pixels that the lattice covers."""
        first, last = (self.origin + self.pitch * i for i in (self.start, self.stop))
        return slice(max(math.floor(first + 1e-6), 0), min(math.ceil(last - 1e-6), self.length))

    def reduced(self, values: Array, axis: int) -> Floats:
        """Return the means of `values` (of `pixels`) over the lattice's pixels; at the picture's edge it goes on."""
        if self.pitch == 1:
            return np.asarray(values, np.float32)
        values = np.moveaxis(values, axis, 0)
        # from the covered pixels on, so that it does not matter how much of a picture lies before them
        edges = self.origin - self.pixels.start + self.pitch * np.arange(self.start, self.stop + 1)
        sums = np.zeros((len(values) + 1, *values.shape[1:]))
        np.cumsum(values, axis=0, out=sums[1:])
        whole = np.floor(edges).astype(np.int64).clip(0, len(values) - 1)
        fraction = (edges - whole).reshape(-1, *(1,) * (values.ndim - 1))
        integral = sums[whole] + fraction * values[whole]
        return np.moveaxis((np.diff(integral, axis=0) / self.pitch).astype(np.float32), 0, axis)

    def enlarged(self, values: Floats, axis: int) -> Floats:
        """Return the lattice's values at the centres of `pixels`, by cubic interpolation (Keys, 1981)."""
        if self.pitch == 1:
            return values
        place = (np.arange(self.pixels.start, self.pixels.stop) + 0.5 - self.origin) / self.pitch - self.start - 0.5
        first = np.floor(place).astype(np.int64)
        t = (place - first).astype(np.float32)
        weights = (
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        )
        shape = [1] * values.ndim
        shape[axis] = -1
        result = np.zeros((*values.shape[:axis], len(t), *values.shape[axis + 1 :]), np.float32)
        for k, weight in enumerate(weights):
            index = (first + k - 1).clip(0, values.shape[axis] - 1)
            result += weight.reshape(shape) * values.take(index, axis=axis)
        return result


@dataclass(eq=False)
class _Part:
    """Mosaics that are restored together, on a lattice over their window.

    Attributes
    ----------
    inside : the mosaics, in the coordinates of the box
    box : the picture's pixels that the lattice covers
    rows, columns : the lattice
    mosaics : those in it, in its coordinates: `inside`, and what else it shows of mosaics with the same lattice
    start : float32 (h, w, C), in units of white: the planes; unknown pixels have their cells' values
    z : float32 (h, w, K): the first K planes, smooth
    change, deviation : float32 (h, w, K): the network's answer
    """

    inside: list[Mosaic]
    box: Box
    rows: _Axis
    columns: _Axis
    mosaics: list[Mosaic]
    start: Floats
    z: Floats
    change: Floats
    deviation: Floats
    stride: int

    @property
    def shape(self) -> tuple[int, int]:
        """Of the box."""
        return self.box[0].stop - self.box[0].start, self.box[1].stop - self.box[1].start

    def jobs(self, offset: float) -> Iterator[_Job]:
        """Yield what the network has to do; `offset` is what the cells were raised by."""
        size = self.z.shape[:2]
        free = unknown(self.mosaics, size)
        for k in range(self.z.shape[2]):
            seen = np.where(free, self.start[..., k] - np.float32(offset), self.start[..., k])
            for core, tile, inside in tiles(size, TILE, HALO, self.stride):
                if free[core].any():
                    outer = grown(tile, REACH, size)
                    planes, contrast = features(self.z[*outer, k], seen[outer], crop(self.mosaics, outer))
                    cut = within(tile, outer)
                    yield _Job(planes[:, *cut], self, (*core, k), inside, contrast[cut][inside])

    def restored(self, white: float) -> tuple[Floats, Floats]:
        """Return the picture's channels (H, W, C) and deviations (H, W) in the box."""
        planes = self.start.copy()
        known = self.z.shape[2]
        planes[..., :known] = project(self.z + self.change, self.start[..., :known], self.mosaics)
        if planes.shape[2] > known:
            planes = in_tiles(_colours_along, planes, self.mosaics)
        planes = _each_plane(self._enlarged, planes)
        deviation = self._enlarged(self.deviation.mean(axis=2)).clip(0)
        return _from_planes(planes) * np.float32(white), deviation * np.float32(white)

    def _enlarged(self, plane: Floats) -> Floats:
        return self.columns.enlarged(self.rows.enlarged(plane, 0), 1)


@dataclass(frozen=True, eq=False)
class _Job:
    """Planes (7, h, w) for the network; of its answer `inside` belongs into the part's `core`, times the contrast."""

    planes: Floats
    part: _Part
    core: tuple[slice, slice, int]
    inside: Box
    contrast: Floats


def _part(
    inside: Sequence[Mosaic],
    members: Sequence[Mosaic],
    window: Box,
    pitch: tuple[float, float],
    painted: Floats,
    around: Floats,
    white: float,
    network: Model,
) -> _Part:
    grid = max(inside, key=lambda m: m.width * m.height).grid
    rows = _Axis.over(window[0], painted.shape[0], grid.y, pitch[0])
    columns = _Axis.over(window[1], painted.shape[1], grid.x, pitch[1])
    box = rows.pixels, columns.pixels
    shown = crop(members, box)
    there = unknown(shown, (box[0].stop - box[0].start, box[1].stop - box[1].start))
    view = around[box].copy()
    _paste(view, painted[box], there)
    planes = _to_planes(view.reshape(*view.shape[:2], -1) / np.float32(white))
    if pitch != (1.0, 1.0):
        planes = _each_plane(lambda plane: columns.reduced(rows.reduced(plane, 0), 1), planes)
        shown = _on_lattice(shown, rows, columns, planes.shape)
        for m in shown:
            planes[m.box][m.area] = m.cells.spread(m.cells.mean(planes[m.box]))[m.area]
    count = 1 if planes.shape[2] == 3 else planes.shape[2]

    def solve(start: Floats, mosaics: Sequence[Mosaic]) -> Floats:
        if min(start.shape[:2]) < 2:  # a line of pixels has no corners
            return start
        return smooth_at_one_size(start, mosaics, network.rounds)

    z = np.concatenate([in_tiles(solve, planes[..., k : k + 1], shown) for k in range(count)], axis=2)
    moved = [m.moved(-box[1].start, -box[0].start) for m in inside]
    return _Part(moved, box, rows, columns, shown, planes, z, np.zeros_like(z), np.zeros_like(z), network.stride)


def _each_plane(work: Callable[[Floats], Floats], planes: Floats) -> Floats:
    """Return `work` of each channel of (H, W, C), done side by side."""
    with ThreadPoolExecutor(planes.shape[2]) as pool:
        return np.stack(list(pool.map(work, np.moveaxis(planes, 2, 0))), axis=2)


def _on_lattice(mosaics: Sequence[Mosaic], rows: _Axis, columns: _Axis, shape: tuple[int, ...]) -> list[Mosaic]:
    """Return the mosaics (of the covered pixels) on the lattice; its pixels that are partly unknown become unknown."""
    height, width = rows.pixels.stop - rows.pixels.start, columns.pixels.stop - columns.pixels.start
    first_row, first_column = (axis.pixels.start for axis in (rows, columns))
    known = np.ones(shape[:2], bool)
    result = []
    for m in mosaics:
        there = unknown([m], (height, width)).astype(np.float32)
        mask = (columns.reduced(rows.reduced(there, 0), 1) > 1e-3) & known
        if mask.any():
            known &= ~mask
            grid = Grid(
                (m.grid.x + first_column - columns.origin) / columns.pitch - columns.start,
                (m.grid.y + first_row - rows.origin) / rows.pitch - rows.start,
                m.grid.width / columns.pitch,
                m.grid.height / rows.pitch,
            )
            result.append(Mosaic.from_mask(mask, grid))
    return result


def _run(network: Model, jobs: Iterator[_Job]) -> None:
    """Do the jobs, those of equal size together."""
    waiting: dict[tuple[int, ...], list[_Job]] = {}

    def done(group: list[_Job]) -> None:
        for job, change, deviation in zip(group, *network(np.stack([job.planes for job in group])), strict=True):
            job.part.change[job.core] = change[job.inside] * job.contrast
            job.part.deviation[job.core] = deviation[job.inside] * job.contrast
        group.clear()

    for job in jobs:
        group = waiting.setdefault(job.planes.shape, [])
        group.append(job)
        if (len(group) + 1) * job.planes[0].size > BATCH_PIXELS:
            done(group)
    for group in waiting.values():
        if group:
            done(group)


# ── colours ──────────────────────────────────────────────────────────────────────────────────────


def _to_planes(pixels: Floats) -> Floats:
    """Return luminance, blue less luminance, red less luminance of (H, W, 3); other numbers of channels as they are."""
    if pixels.shape[2] != 3:
        return pixels
    luminance = pixels @ np.array(LUMINANCE, np.float32)
    return np.stack([luminance, pixels[..., 2] - luminance, pixels[..., 0] - luminance], axis=2)


def _from_planes(planes: Floats) -> Floats:
    """Invert `_to_planes`."""
    if planes.shape[2] != 3:
        return planes
    luminance, blue, red = np.moveaxis(planes, 2, 0)
    green = -(LUMINANCE[0] * red + LUMINANCE[2] * blue) / LUMINANCE[1]
    pixels: Floats = np.stack([red, green, blue], axis=2) + luminance[..., None]
    return pixels


def _colours_along(planes: Floats, mosaics: Sequence[Mosaic]) -> Floats:
    """Return planes whose first one is restored, with the others restored too."""
    result = planes.copy()
    if mosaics and min(planes.shape[:2]) > 1:
        result[..., 1:] = smooth_along(planes[..., 1:], mosaics, planes[..., 0], ALONG)
    return result


# ── many small pictures ──────────────────────────────────────────────────────────────────────────


def estimate_each(
    pixelated: Array,
    mosaics: Sequence[Mosaic],
    model: str | PathLike[str] = "challenge",
    rounding: Rounding = "truncate",
    threads: int | None = None,
) -> tuple[Floats, Floats]:
    """Restore many gray pictures of one size, each with one rectangle, at once.

    Parameters
    ----------
    pixelated : (N, H, W), integers of their type's whole range, or floats of 0 … 255; not changed
    mosaics : N rectangles
    model, threads : as for `load`
    rounding : how integer cells came about

    Returns
    -------
    Two of float32 (N, H, W), as `estimate` returns them

    Raises
    ------
    ValueError : a mosaic is no rectangle, or does not lie in the pictures
    DeepixError, InputError : as for `load`
    """
    network = load(model, threads)
    white = np.float32(_white(pixelated))
    shape = pixelated.shape[1:]
    for m in mosaics:
        check([m], shape)
        if m.mask is not None:
            raise ValueError("pictures of one batch have rectangles only")
    fits = all(max(m.width, m.height) + 2 * KNOWN <= WINDOW for m in mosaics)
    height, width = (min(n, WINDOW) if fits else n for n in shape)
    result, deviation = pixelated.astype(np.float32), np.zeros(pixelated.shape, np.float32)
    boxes: list[Box] = []
    moved = []
    for m in mosaics:
        top, left = (
            min(max((2 * first + length - size) // 2, 0), whole - size)
            for first, length, size, whole in (
                (m.y, m.height, height, shape[0]),
                (m.x, m.width, width, shape[1]),
            )
        )
        boxes.append((slice(top, top + height), slice(left, left + width)))
        moved.append(m.moved(-left, -top))
    seen = np.stack([picture[box] / white for picture, box in zip(result, boxes, strict=True)])
    start = seen.copy()
    for picture, plane, m, there in zip(pixelated, start, mosaics, moved, strict=True):
        plane[there.box] = there.cells.spread((cell_values(picture, m, rounding) / white).astype(np.float32))
    z = smooth_each(start, moved, network.rounds)
    inputs, contrast = (
        np.stack(a) for a in zip(*(features(a, b, [m]) for a, b, m in zip(z, seen, moved, strict=True)), strict=True)
    )
    change, spread = network(inputs)
    for k, (box, there, m) in enumerate(zip(boxes, moved, mosaics, strict=True)):
        deviation[k][m.box] = (spread[k] * contrast[k] * white)[there.box]
        restored = (z[k] + change[k] * contrast[k]) * white
        result[k][m.box] = project(restored, pixelated[k][box], [there], rounding)[there.box]
    return result, deviation
