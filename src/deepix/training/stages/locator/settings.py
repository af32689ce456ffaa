"""What the locator's training depends on: nothing but what every stage's does."""

from __future__ import annotations

from dataclasses import dataclass

from deepix.training.engine.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class LocatorSettings(Settings):
    """See `Settings`. `data` and `validate` are files of `examples.prepare`; `patch` is what a step sees of each."""

    stage: str = option("locator")


SETTINGS = LocatorSettings
