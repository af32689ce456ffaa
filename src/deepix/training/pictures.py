"""Temporary: until the rooms are merged. See `deepix.training.data.crops`, `…packing`, `…packed`, `…contact_sheets`."""

from deepix.training.data.contact_sheets import contact_sheet
from deepix.training.data.crops import Crops, crop
from deepix.training.data.packed import Packed, information_path, open_packed
from deepix.training.data.packing import PackReport, Progress, pack, read

__all__ = [
    "Crops",
    "PackReport",
    "Packed",
    "Progress",
    "contact_sheet",
    "crop",
    "information_path",
    "open_packed",
    "pack",
    "read",
]
