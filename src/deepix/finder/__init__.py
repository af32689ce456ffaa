"""From a picture to its mosaics: where the tiles are, and which grid they lie on.

`search` collects candidates, each with the evidence for it, and `decision` compares those of one place.
"""

from __future__ import annotations

from deepix.finder.cell_values import with_cell_values
from deepix.finder.grid import fit_grid
from deepix.finder.other_cells import other_cells
from deepix.finder.search import find
from deepix.finder.thresholds import REPORTED, SURE

__all__ = ["REPORTED", "SURE", "find", "fit_grid", "other_cells", "with_cell_values"]
