"""Pictures of pictures: areas drawn over a picture, numbers as colours, pictures in rows and columns."""

from deepix.draw.areas import overlay
from deepix.draw.heat import heat_map
from deepix.draw.screen import displayable, eight_bits
from deepix.draw.sheets import sheet, side_by_side

__all__ = ["displayable", "eight_bits", "heat_map", "overlay", "sheet", "side_by_side"]
