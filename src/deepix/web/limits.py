"""How much the server takes on: every bound in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused beyond.

    Attributes
    ----------
    max_bytes : of an uploaded file
    max_pixels : of a picture; a worker takes about 350 MiB and 100 bytes for each pixel (`deepix.jobs.memory`)
    waiting : jobs in the queue, beside the one that is worked on
    pictures : of one visitor at a time
    stored : bytes of temporary files, of all visitors together
    idle : seconds after which a visitor who has gone is forgotten
    upload_seconds : that an upload may take
    """

    max_bytes: int = 100 << 20
    max_pixels: int = 50_000_000
    waiting: int = 32
    pictures: int = 20
    stored: int = 8 << 30
    idle: float = 900.0
    upload_seconds: float = 300.0


MAX_REQUEST = 1 << 20
"""Bytes of a request that is not a picture: areas, strokes."""
MOST_VARIANTS = 12
"""Of one restoration, that are kept at a time."""
MAX_CROP = 4_000_000
"""Pixels of a part of a picture that is shown at its full size."""
