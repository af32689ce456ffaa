"""What the training loop, prediction and the scoreboard know of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

if TYPE_CHECKING:
    from deepix.training.mosaics import Sample


class Estimate(NamedTuple):
    """Restorations float32 (B, C, H, W), and the predicted standard deviations of their errors, if there are any."""

    picture: Tensor
    deviation: Tensor | None = None


class Network(nn.Module):
    """A network that restores; to add one, derive from this, write `restore` and enter it in the registry.

    Attributes
    ----------
    config : the family's `name` in the registry and the constructor's arguments, ready for JSON; `create` sets it, and
        `create(**config)` builds the same network again
    """

    config: dict[str, Any]

    def restore(self, sample: Sample) -> Tensor:
        """Estimate the pictures of a sample, float (B, C, H, W) in about [0, 1], from all but its truth."""
        raise NotImplementedError

    def estimate(self, sample: Sample) -> Estimate:
        """Return what `restore` does, with the predicted standard deviations (0 on known pixels) if there are any."""
        return Estimate(self.restore(sample))
