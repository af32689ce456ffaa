"""Temporary: `deepix.mosaic.boxes` and `deepix.mosaic.windows` under their old name."""

from deepix.mosaic.boxes import Box, grown, tiles, within
from deepix.mosaic.windows import around, crop, windows

__all__ = ["Box", "around", "crop", "grown", "tiles", "windows", "within"]
