"""What a restoration began with, kept in a folder: a picture of other detail is then made in a fraction of the time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deepix.pipeline import Estimate


def keep(estimate: Estimate, folder: Path) -> None:
    """Keep an estimate in a folder that has none."""
    rows, columns = estimate.box
    place = [rows.start, rows.stop, columns.start, columns.stop]
    spread = np.empty(0, np.float32) if estimate.spread is None else estimate.spread
    np.savez(_file(folder), values=estimate.values, spread=spread, place=place, noise=estimate.noise)


def kept(folder: Path) -> Estimate:
    """Return the estimate that is kept in a folder.

    Raises
    ------
    OSError : there is none
    """
    from deepix.pipeline import Estimate

    with np.load(_file(folder)) as arrays:
        top, bottom, left, right = arrays["place"].tolist()
        spread = arrays["spread"]
        box = slice(top, bottom), slice(left, right)
        return Estimate(box, arrays["values"], spread if spread.size else None, float(arrays["noise"]))


def _file(folder: Path) -> Path:
    return folder / "estimate.npz"
