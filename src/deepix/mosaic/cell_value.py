"""What the cells of a mosaic show of their pixels: not every program takes means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

CellValueKind = Literal["mean", "sample", "min", "max", "linear"]
CELL_VALUES: tuple[CellValueKind, ...] = get_args(CellValueKind)


@dataclass(frozen=True, slots=True)
class CellValue:
    """How the value that a cell shows was made of the cell's pixels.

    Attributes
    ----------
    kind : "mean"; "sample", one of the pixels (getpixel, nearest neighbour, ImageMagick's -sample); "min" or "max", the
        least or greatest value, in each channel for itself (ffmpeg's pixelize); "linear", the mean of light, encoded to
        sRGB again (GEGL and GIMP)
    at : where in a cell the sample was taken, across and down, in cells: (0, 0) is its first pixel, (0.5, 0.5) its
        middle one, the later of two. Where the area does not hold that pixel, the nearest to it that it holds
    confidence : how sure it is that the cells show that, 0 … 1; below 1, restorations of means keep nearer to the
        mosaic. Values of different confidence are equal

    Raises
    ------
    ValueError : no such kind, a place outside the cell, or no confidence
    """

    kind: CellValueKind = "mean"
    at: tuple[float, float] = (0.5, 0.5)
    confidence: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in CELL_VALUES:
            raise ValueError(f"cells show one of {', '.join(CELL_VALUES)}, not {self.kind!r}")
        if not all(0 <= place < 1 for place in self.at):
            raise ValueError(
                f"a sample lies in its cell, from 0 to 1 (of the next cell) across and down, not at {self.at}"
            )
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"a confidence lies between 0 and 1, not at {self.confidence}")

    @property
    def is_mean(self) -> bool:
        """Whether the cells show plain means."""
        return self.kind == "mean"

    @property
    def told(self) -> bool:
        """Whether this was told from a picture, which is never wholly sure, and not given."""
        return self.confidence < 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; `from_dict` reads them back."""
        place = {"at": list(self.at)} if self.kind == "sample" else {}
        return {"kind": self.kind, **place, "confidence": self.confidence, "told": self.told}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CellValue:
        """Return what `to_dict` described."""
        across, down = data.get("at", (0.5, 0.5))
        return cls(data["kind"], (float(across), float(down)), float(data.get("confidence", 1.0)))


MEAN = CellValue()
"""What cells show unless something else is said of them."""
