from __future__ import annotations

from dataclasses import dataclass

from deepix.training.engine.settings import LEARNING, Settings, option


@dataclass(frozen=True, kw_only=True)
class ToySettings(Settings):
    stage: str = option("toy")
    adversary: float = option(0.1, "Weight of the adversary's loss.", panel=LEARNING, low=0)


SETTINGS = ToySettings
