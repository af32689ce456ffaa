"""How much memory a picture takes while it is worked on, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path

BASE = 350 << 20
"""Bytes of a process that has its models loaded and works on a small picture."""
PER_PIXEL = 100
"""Bytes for each pixel of the picture, if up to a quarter of it is to be restored (see docs/scale.md)."""
SHARE = 0.75
"""Of the memory that is free when the work begins, what it may take."""


def needed(pixels: int) -> int:
    """Return the bytes that a process takes that works on a picture of so many pixels."""
    return BASE + PER_PIXEL * pixels


def room() -> int:
    """Return the bytes that all processes together may take: `SHARE` of what is free, in a container of what it has."""
    return int(SHARE * min([_free(), *_allowed()]))


def _free() -> int:
    """Return the bytes that are free, or could be; where the system does not say, all that there are, else 4 GiB."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass  # no Linux
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 4 << 30


def _allowed() -> list[int]:
    """Return what the container that this process runs in may take beyond what it holds, where it is told (cgroups)."""
    for most, taken in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            return [max(0, int(Path(most).read_text()) - int(Path(taken).read_text()))]
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return []
