"""`python -m deepix` is `deepix`."""

from deepix.cli import main

main()
