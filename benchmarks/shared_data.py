"""Where the benchmarks' pictures are: beside the checkout, unless `--data` says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def need(*paths: Path, option: str = "--data") -> None:
    """End the program with one line that names what is missing, if anything is, and the option that names others."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        print(f"{', '.join(missing)}: not there; {option} names another place", file=sys.stderr)
        raise SystemExit(2)


def archives(folder: Path, *names: str) -> list[Path]:
    """Return the files of these names in a folder; end the program with one line if one is missing."""
    paths = [folder / name for name in names]
    need(*paths)
    return paths
