"""What training, prediction, export and the scoreboard know of a network: it describes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from deepix.errors import DeepixError

if TYPE_CHECKING:
    from deepix.training.data.samples import Sample


class Estimate(NamedTuple):
    """Restorations float32 (B, C, H, W), and the predicted standard deviations of their errors, if there are any."""

    picture: Tensor
    deviation: Tensor | None = None


class Exported(NamedTuple):
    """What of a network is in its ONNX file, as `torch.onnx.export` takes it.

    Attributes
    ----------
    module : in evaluation mode, on the CPU
    example : of its input
    inputs, outputs : their names in the file
    shapes : which sides may differ
    """

    module: nn.Module
    example: Tensor
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Any]


class Network(nn.Module):
    """A network; to add one, derive from this and enter it in the registry (or in a stage's `families`).

    One that restores has `restore` or `estimate`; one that can be exported describes what its ONNX file holds.

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

    def parameter_count(self) -> int:
        """Return how many parameters there are."""
        return sum(p.numel() for p in self.parameters())

    def about(self) -> dict[str, Any]:
        """Return what the user of the ONNX file has to know of the network, ready for JSON.

        Raises
        ------
        DeepixError : it cannot be exported; why
        """
        raise DeepixError("only a restorer with smooth start, grid and projection, or a locator, can be exported")

    def exported(self) -> Exported:
        """Return what is in the ONNX file."""
        raise NotImplementedError

    def multiply_adds_per_pixel(self) -> int:
        """Return the multiplications and additions for each pixel of the input."""
        raise NotImplementedError
