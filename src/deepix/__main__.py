"""The command `deepix`, and `python -m deepix`: Ctrl-C is one line also while modules are imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Import the command line and run it."""
    try:
        from deepix.cli import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("error: interrupted\n")
            sys.stderr.flush()
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
