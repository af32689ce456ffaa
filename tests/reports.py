"""What training reports, for tests that listen, or that stop it at a line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepix.training.engine import run as engine
from deepix.training.engine.settings import Settings

Hear = Callable[[str], None]


class _Ear(logging.Handler):
    def __init__(self, hear: Hear) -> None:
        super().__init__()
        self.hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(record.getMessage())


@contextmanager
def heard_by(hear: Hear) -> Iterator[None]:
    """Call `hear` with each line that training reports; what it raises stops training."""
    logger, ear = logging.getLogger("deepix.training"), _Ear(hear)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)


def silent(line: str) -> None:
    """Hear nothing."""


def fit(settings: Settings, hear: Hear = silent) -> engine.Result:
    with heard_by(hear):
        return engine.fit(settings)


def resume(run: Path, hear: Hear = silent, **budget: Any) -> engine.Result:
    with heard_by(hear):
        return engine.resume(run, **budget)
