"""The optimizers by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from deepix.training.engine.muon import Muon
from deepix.training.engine.settings import Optimizer, Settings


def optimizer_of(network: nn.Module, settings: Settings, lr: float | None = None) -> torch.optim.Optimizer:
    """Return the optimizer of a network's parameters; only kernels and matrices decay.

    Parameters
    ----------
    network : or a part of it
    settings : whose optimizer, rate and decay it has
    lr : another rate than that
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    makers: dict[Optimizer, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}
    optimizer: torch.optim.Optimizer = makers[settings.optimizer](groups, lr=settings.lr if lr is None else lr)
    return optimizer
