"""Pictures in and out of files without losing anything: orientation, alpha, depth, ICC profile, EXIF, resolution.

    file, bytes, PIL image or array ─ load ─▶ Picture ─ to_array, to_pil, write ─▶ array, PIL image or file

A `Picture` is upright (an EXIF orientation has been applied to the pixels and removed from the metadata), has its
alpha channel apart, and holds what a writer needs to make the same kind of file again. What cannot be read
exactly is refused, or said in `Picture.notes`. A file is written whole or not at all, never over the input, and
never in a format that would change pixels, except where that format (JPEG, AVIF) was asked for by its suffix.

- `types`: `Picture`, and from arrays and back
- `decoding`: from files, bytes and PIL images; `metadata`: what they say beside the pixels
- `encoding`: to files and PIL images
- `discover`: which files are meant; `mask`: which pixels are
"""

from deepix.images.decoding import MAX_PIXELS, from_pil, load, read
from deepix.images.discover import MARKER, Found, find_pictures, readable_suffixes
from deepix.images.encoding import (
    PNG_LEVEL,
    QUALITY,
    check_target,
    default_output,
    to_pil,
    writable_suffixes,
    write,
)
from deepix.images.mask import read_mask
from deepix.images.types import Array, Picture, from_array, to_array

__all__ = [
    "MARKER",
    "MAX_PIXELS",
    "PNG_LEVEL",
    "QUALITY",
    "Array",
    "Found",
    "Picture",
    "check_target",
    "default_output",
    "find_pictures",
    "from_array",
    "from_pil",
    "load",
    "read",
    "read_mask",
    "readable_suffixes",
    "to_array",
    "to_pil",
    "writable_suffixes",
    "write",
]
