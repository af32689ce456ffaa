"""Temporary: `deepix.draw` under its old name."""

from deepix.draw import displayable, eight_bits, heat_map, overlay, sheet, side_by_side

__all__ = ["displayable", "eight_bits", "heat_map", "overlay", "sheet", "side_by_side"]
