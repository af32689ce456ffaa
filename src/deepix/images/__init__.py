"""Pictures in and out of files without losing anything: orientation, alpha, depth, ICC profile, EXIF, resolution.

    file, bytes, PIL image or array ─ load ─▶ Picture ─ to_array, to_pil, write ─▶ array, PIL image or file

A `Picture` is upright (an EXIF orientation has been applied to the pixels and removed from the metadata), has its
alpha channel apart, and holds what a writer needs to make the same kind of file again. What cannot be read
exactly is refused, or said in `Picture.notes`. A file is written whole or not at all, never over the input, and
never in a format that would change pixels, except where that format (JPEG, AVIF) was asked for by its suffix.

- `types`: `Picture`, and from arrays and back
- `opening`: files opened within `limits`, Pillow made strict; `recognition`: what a file is by its content
- `decoding`: from files, bytes and PIL images; `metadata`: what they say beside pixels; `jpeg`: files without end
- `encoding`: to files, bytes and PIL images; `deep`: colours of 16 bits; `animation`: frames
- `discover`: which files are meant; `mask`: which pixels are
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepix.images.animation import Animation, encode_frames, is_animated, read_frames, write_frames
    from deepix.images.decoding import from_pil, load, read, read_stream
    from deepix.images.discover import (
        MARKER,
        RESULT_SUFFIXES,
        Found,
        Search,
        Skipped,
        made_of,
        no_picture,
        readable_suffixes,
        search,
    )
    from deepix.images.encoding import (
        PNG_LEVEL,
        QUALITY,
        check_target,
        default_output,
        encode,
        preview,
        to_pil,
        writable_suffixes,
        write,
    )
    from deepix.images.limits import MAX_BYTES, MAX_PIXELS
    from deepix.images.mask import read_mask
    from deepix.images.types import Array, Picture, from_array, to_array

__all__ = [
    "MARKER",
    "MAX_BYTES",
    "MAX_PIXELS",
    "PNG_LEVEL",
    "QUALITY",
    "RESULT_SUFFIXES",
    "Animation",
    "Array",
    "Found",
    "Picture",
    "Search",
    "Skipped",
    "check_target",
    "default_output",
    "encode",
    "encode_frames",
    "from_array",
    "from_pil",
    "is_animated",
    "load",
    "made_of",
    "no_picture",
    "preview",
    "read",
    "read_frames",
    "read_mask",
    "read_stream",
    "readable_suffixes",
    "search",
    "to_array",
    "to_pil",
    "writable_suffixes",
    "write",
    "write_frames",
]

_HOMES = {
    **dict.fromkeys(("Animation", "encode_frames", "is_animated", "read_frames", "write_frames"), "animation"),
    **dict.fromkeys(("from_pil", "load", "read", "read_stream"), "decoding"),
    **dict.fromkeys(("MARKER", "RESULT_SUFFIXES", "Found", "Search", "Skipped"), "discover"),
    **dict.fromkeys(("made_of", "no_picture", "readable_suffixes", "search"), "discover"),
    **dict.fromkeys(("PNG_LEVEL", "QUALITY", "check_target", "default_output", "encode"), "encoding"),
    **dict.fromkeys(("preview", "to_pil", "writable_suffixes", "write"), "encoding"),
    **dict.fromkeys(("MAX_BYTES", "MAX_PIXELS"), "limits"),
    "read_mask": "mask",
    **dict.fromkeys(("Array", "Picture", "from_array", "to_array"), "types"),
}


def __getattr__(name: str) -> Any:
    """Import the names when they are first used, so that nobody waits for what is not needed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
