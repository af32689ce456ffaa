"""What a user may ask of a restoration, in one place: checked, compared, sent to other processes, written down.

Nothing is imported here that takes time, so that the command line can check its options before it does anything else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepix import threads as pools
from deepix.errors import DeepixError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix.mosaic import CellValueKind, Mosaic, Rounding

Area = tuple[int, int, int, int] | tuple[int, int, int, int, int]
"""A rectangle (x, y, width, height[, cell]), in pixels."""
Method = Literal["network", "smooth"]
"""Which restorer: `deepix.restorer.network.estimate`, or the training-free `deepix.restorer.smooth.smooth`."""

METHODS = ("network", "smooth")
ROUNDINGS = ("nearest", "truncate")
CELL_VALUES = ("mean", "sample", "min", "max", "linear")
"""As `deepix.mosaic.CELL_VALUES`, which takes time to import."""
TRAINED = (".safetensors", ".ckpt", ".pt", ".pth")
"""Suffixes of what training leaves, which is no model to restore with yet."""
MASKS = ("mask", "foreign")
"""Options that are masks of a picture, written down as run lengths."""
LATER = ("foreign", "cell_value", "detail", "variants", "seed", "restored_map")
"""Options that came later: left at their defaults, they are not in the digest, which stays what it was."""
MOST_VARIANTS, MOST_SEED = 1000, (1 << 63) - 1
"""Of variants, and of their seeds."""
NOT_IN_DIGEST = ("threads", "max_pixels")
"""Options that do not change what comes out (sums in another order may change a level here and there)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Options:
    """How a picture's mosaics are located and restored; can be pickled.

    Attributes
    ----------
    areas : rectangles (x, y, width, height[, cell]) that were pixelated, in pixels
    mask : (H, W), non-zero where the picture was pixelated
    mosaics : areas whose grids are known, as `deepix find` gives them
    foreign : (H, W), non-zero where something was drawn over or beside mosaics: see `Mosaic.foreign`
    cell : the cells' size in pixels, where it is known
    cell_value : what the cells show, a `deepix.mosaic.CellValueKind`; None: told from the picture. Of samples, where in
        a cell they were taken is always told. `mosaics` say it themselves, where nothing is said here
    rounding : how the mosaic's program made integers of means: "nearest" or "truncate"
    method : "network" or "smooth"
    model : "photo" (also None), "challenge", or the path of an .onnx file, as text
    threads : of the processor; None: all cores
    fast : find without the network
    threshold : the least confidence, 0 … 1, with which a mosaic that was found is restored; None: `deepix.finder.SURE`
    force : restore all that was found: a threshold of 0
    detail : 0 … 1: how much plausible detail is added to the most probable picture; all of it is a guess
    variants : how many different plausible restorations are made, of different detail
    seed : of the detail; that of the k-th variant, counted from 0, is k larger
    restored_map : also say where the result still looks restored
    first_frame : use the first picture of an animation, which is refused otherwise
    max_pixels : of a file that is read: larger ones are refused; None: `deepix.images.MAX_PIXELS`

    Raises
    ------
    ValueError : a value that is not one of these; the message is one line
    """

    areas: tuple[Area, ...] = ()
    mask: NDArray[Any] | None = None
    mosaics: tuple[Mosaic, ...] = ()
    foreign: NDArray[Any] | None = None
    cell: int | None = None
    cell_value: CellValueKind | None = None
    rounding: Rounding = "nearest"
    method: Method = "network"
    model: str | PathLike[str] | None = None
    threads: int | None = None
    fast: bool = False
    threshold: float | None = None
    force: bool = False
    detail: float = 0.0
    variants: int = 1
    seed: int = 0
    restored_map: bool = False
    first_frame: bool = False
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "areas", tuple(tuple(int(v) for v in area) for area in self.areas))
        object.__setattr__(self, "mosaics", tuple(self.mosaics))
        if self.model is not None:
            object.__setattr__(self, "model", str(self.model))
        _check_names(self.method, self.cell_value, self.rounding)
        for area in self.areas:
            if len(area) not in (4, 5):
                raise ValueError(f"an area is (x, y, width, height) or (x, y, width, height, cell), not {area}")
        for cell in (self.cell, *(area[4] for area in self.areas if len(area) == 5)):
            if cell is not None and cell < 1:
                raise ValueError(f"cells must be at least 1 pixel wide and high, not {cell}")
        if self.threshold is not None and not (math.isfinite(self.threshold) and 0 <= self.threshold <= 1):
            raise ValueError(f"the threshold is a confidence between 0 and 1, not {self.threshold}")
        _check_detail(self.detail, self.variants, self.seed, self.method)
        if self.max_pixels is not None and self.max_pixels < 1:
            raise ValueError(f"a picture has at least 1 pixel; a limit of {self.max_pixels} would refuse all")
        pools.check(self.threads)

    @property
    def named(self) -> bool:
        """Whether the user says where the picture is pixelated, by areas, a mask or mosaics."""
        return bool(self.areas or self.mosaics) or self.mask is not None

    def check_cells(self, shape: tuple[int, ...]) -> None:
        """Check that the cells asked for are no larger than a picture of this shape.

        Raises
        ------
        DeepixError : naming their size
        """
        height, width = shape[:2]
        for cell in (self.cell, *(area[4] for area in self.areas if len(area) == 5)):
            if cell is not None and cell > max(height, width):
                raise DeepixError(f"cells of {cell} pixels are larger than the picture of {width} x {height}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; `from_dict` reads them back."""
        result = {f.name: getattr(self, f.name) for f in fields(self)}
        result["areas"] = [list(area) for area in self.areas]
        for name in MASKS:
            plane = getattr(self, name)
            result[name] = None if plane is None else _run_lengths(plane)
        del result["mosaics"]
        if self.mosaics:  # else left out: what was written down before there were any stays true
            result["mosaics"] = [m.to_dict() for m in self.mosaics]
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Options:
        """Return the options that `to_dict` described."""
        values = dict(data)
        values["areas"] = tuple(tuple(area) for area in data.get("areas", ()))
        for name in MASKS:
            if values.get(name) is not None:
                values[name] = _from_run_lengths(values[name])
        if "mosaics" in values:
            from deepix.mosaic import Mosaic

            values["mosaics"] = tuple(map(Mosaic.from_dict, values["mosaics"]))
        return cls(**values)

    def digest(self) -> str:
        """Return 64 hexadecimal digits that are the same for options that ask for the same result.

        Stable over processes, machines and versions as long as the options themselves are. A model's name or path
        counts, not its content.
        """
        usual = Options().to_dict()
        asked = {
            key: value
            for key, value in self.to_dict().items()
            if key not in NOT_IN_DIGEST and not (key in LATER and value == usual.get(key))
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _check_names(method: str, cell_value: str | None, rounding: str) -> None:
    for what, name, names in (
        ("method", method, METHODS),
        ("cell value", cell_value or CELL_VALUES[0], CELL_VALUES),
        ("rounding", rounding, ROUNDINGS),
    ):
        if name not in names:
            *first, last = map(repr, names)
            raise ValueError(f"no such {what}: {name!r}; there are {', '.join(first)} and {last}")


def _check_detail(detail: float, variants: int, seed: int, method: str) -> None:
    if not (math.isfinite(detail) and 0 <= detail <= 1):
        raise ValueError(f"the detail is a share between 0 and 1, not {detail}")
    if not 1 <= variants <= MOST_VARIANTS:
        raise ValueError(f"there are 1 to {MOST_VARIANTS} variants, not {variants}")
    if not 0 <= seed <= MOST_SEED - MOST_VARIANTS:
        raise ValueError(f"a seed is a whole number from 0 to 2^63, not {seed}")
    if variants > 1 and not detail:
        raise ValueError("variants differ in their detail only: give a detail above 0")
    if detail and method != "network":
        raise ValueError(f"detail is added to what the network restores, not to method {method!r}")


def check_model(model: str | PathLike[str] | None) -> None:
    """Raise if a model's name is that of what training leaves: a run's folder, or weights.

    Raises
    ------
    InputError : it is, and must be made an .onnx file of first
    """
    if model is None:
        return
    path = Path(model)
    if path.suffix.lower() in TRAINED or path.is_dir():
        raise InputError(
            f"{path}: not a model to restore with; make one: deepix weights export {path} -o model.onnx --name NAME"
        )


def _run_lengths(mask: NDArray[Any]) -> dict[str, Any]:
    """Return a mask as COCO's uncompressed run lengths: row-major, the first run is of zeros."""
    import numpy as np

    flat = (np.asarray(mask) != 0).ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return {"size": list(mask.shape), "runs": np.diff(edges, prepend=0, append=flat.size).tolist()}


def _from_run_lengths(data: Mapping[str, Any]) -> NDArray[np.bool_]:
    import numpy as np

    runs = data["runs"]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(data["size"])
