"""What a refiner's training depends on besides what every stage's does."""

from __future__ import annotations

from dataclasses import dataclass

from deepix.training.engine.settings import LEARNING, Settings, option


@dataclass(frozen=True, kw_only=True)
class RefinerSettings(Settings):
    """See `Settings`. `data` and `validate` are files that `examples.prepare` wrote; losses: see `losses`."""

    stage: str = option("refiner")
    features: float = option(12.0, "Weight of the distance of an ImageNet network's features.", panel=LEARNING, low=0)
    texture: float = option(0.3, "Weight of the distance of the features' statistics.", panel=LEARNING, low=0)
    steps_energy: float = option(
        0.3, "Weight of the difference of how large the steps between pixels are.", panel=LEARNING, low=0
    )
    fidelity: float = option(0.1, "Weight of the error of the mean of two variants.", panel=LEARNING, low=0)
    shift: float = option(
        0.16, "Mean square of what is added, over that of the restoration's error, that costs nothing.",
        panel=LEARNING, low=0,
    )  # fmt: skip
    spread: float = option(
        0.45, "Root mean square difference of two variants, over the predicted deviation, to be reached.",
        panel=LEARNING, low=0,
    )  # fmt: skip
    adversarial: float = option(0.05, "Weight of the adversary's loss at the end.", panel=LEARNING, low=0)
    adversary_from: int = option(
        1000, "Step in which the adversary begins to learn; its weight grows over as many.", panel=LEARNING, low=1
    )
    adversary_lr: float = option(2e-4, "The adversary's learning rate.", panel=LEARNING, low=1e-12)
    wait: float = option(
        0.9, "Share of the pixels that the adversary tells right above which it waits.", panel=LEARNING, low=0, high=1
    )


SETTINGS = RefinerSettings
