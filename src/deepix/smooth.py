"""Temporary: `deepix.restorer.smooth` and its neighbours under their old names."""

from deepix.restorer.blur import blurred
from deepix.restorer.energy import EDGE_CONTRAST as CONTRAST
from deepix.restorer.energy import MIXED_WEIGHT as TWIST
from deepix.restorer.energy import PRECONDITIONER_SIGMA as SPREAD
from deepix.restorer.energy import PRECONDITIONER_WEIGHT as SPREAD_WEIGHT
from deepix.restorer.energy import TENSOR_SIGMA as RADIUS
from deepix.restorer.parallel import bands
from deepix.restorer.rectangles import smooth_each
from deepix.restorer.smooth import in_tiles, smooth, smooth_along, smooth_at_one_size

__all__ = [
    "CONTRAST",
    "RADIUS",
    "SPREAD",
    "SPREAD_WEIGHT",
    "TWIST",
    "bands",
    "blurred",
    "in_tiles",
    "smooth",
    "smooth_along",
    "smooth_at_one_size",
    "smooth_each",
]
