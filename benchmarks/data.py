"""Where the benchmarks' pictures are: `--data`, beside the checkout unless told otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def existing(folder: Path, *names: str) -> list[Path]:
    """Return the files of these names in a folder; end the program with one line that names those that are missing."""
    paths = [folder / name for name in names]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        print(f"{folder}: has no {', '.join(missing)}; --data names the folder of pictures", file=sys.stderr)
        raise SystemExit(2)
    return paths
