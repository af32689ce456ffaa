"""Where the messages of training go: the logger "deepix.training", of the first process only."""

from __future__ import annotations

import logging

from lightning.fabric.utilities.rank_zero import rank_zero_only


def first_process() -> bool:
    """Return whether this is the process that writes and reports, of those that train together."""
    return not rank_zero_only.rank  # type: ignore[attr-defined]


log = logging.getLogger("deepix.training")
"""Every message of training is reported here once, however many processes train."""

log.addFilter(lambda record: first_process())
