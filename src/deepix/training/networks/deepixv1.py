"""DeePixV1, the winner of the 64x64 challenge, with its author's earlier architectures and that of the course.

From github.com/Marcus1506/Depixelation (2023). Layers and names in the state dict are its author's, so that the weights
that he published load. All of them map
(B, 2, H, W) = [picture in [0, 1], mask with 1 = known] to (B, 1, H·W), the flattened picture; all convolutions keep the
size (`padding="same"`) and have a bias.

A range of kernel sizes (a, b) is interpolated over n layers or blocks: layer i gets int(a + (b − a)·i / (n − 1)),
minus 1 if even. First and last layers get a and b as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepix.training.networks.base import Network

if TYPE_CHECKING:
    from deepix.training.data.samples import Sample

# He has even kernels in first and last layers; that padding them costs a copy is known and no news to a user.
warnings.filterwarnings("ignore", message="Using padding='same' with even kernel lengths")

INPUTS = 2  # picture and mask
OUTPUTS = 1  # picture


def kernel_sizes(kernels: Sequence[int], count: int) -> list[int]:
    """Return the kernel size of each of `count` layers, interpolated over the range `kernels` = (first, last).

    Raises
    ------
    ValueError : `count` is less than 2 (one layer has no place in a range), or a kernel is smaller than 1
    """
    first, last = _range(kernels)
    if count < 2:
        raise ValueError(f"kernel sizes are interpolated over 2 or more layers, not {count}")
    sizes = [int(first + (last - first) * i / (count - 1)) for i in range(count)]
    return [size - 1 if size % 2 == 0 else size for size in sizes]


def _range(kernels: Sequence[int]) -> tuple[int, int]:
    if isinstance(kernels, int) or len(kernels) != 2 or min(kernels) < 1:
        raise ValueError(f"kernels are a range first,last of sizes from 1, not {kernels}")
    return kernels[0], kernels[1]


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding="same")


def _norm(channels: int, batch_norm: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()


def _conv_stack(channels: int, kernels: Sequence[int], batch_norm: bool) -> nn.Sequential:
    """Return [convolution, batch norm, ReLU] for each kernel, numbered in one row as the author's are."""
    layers: list[nn.Module] = []
    for kernel in kernels:
        layers.append(_conv(channels, channels, kernel))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class PictureAndMask(Network):
    """What these architectures share: the form of input and output, and the composite.

    A composite takes the known pixels from the input and only the unknown ones from the network.
    """

    composite = True

    def estimate_channels(self, x: Tensor) -> Tensor:
        """Map (B, 2, H, W) to the network's own estimate of all pixels (B, 1, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 2, H, W) = [picture, known] to the flattened picture (B, 1, H·W)."""
        estimate = self.estimate_channels(x)
        if self.composite:
            estimate = torch.where(x[:, 1:] == 0, estimate, x[:, :1])
        return estimate.flatten(-2)

    def restore(self, sample: Sample) -> Tensor:
        """Estimate each channel (B, C, H, W) as a grayscale picture of its own."""
        pixelated = sample.pixelated
        channels = pixelated.shape[1]
        known = sample.mosaics.known.repeat_interleave(channels, dim=0)
        x = torch.cat([pixelated.flatten(0, 1).unsqueeze(1), known.to(pixelated.dtype)], dim=1)
        estimate: Tensor = self(x)
        return estimate.reshape(pixelated.shape)


class Chain(PictureAndMask):
    """Layers one after another, under the names they have in the state dict."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._chain = tuple(layers)

    def estimate_channels(self, x: Tensor) -> Tensor:
        """Apply the layers in their order."""
        for name in self._chain:
            x = self.get_submodule(name)(x)
        return x


class BasicCNN(Chain):
    """The course's reference: `length` convolutions of `width` kernels, each with ReLU, and one to the output.

    What is published is "5 layers with 32 kernels of size 3". Assumed here: the output layer comes on top of the
    five, as is usual in such courses; no batch norm, no activation at the end, no composite.
    """

    composite = False

    def __init__(self, length: int = 5, width: int = 32, kernel: int = 3) -> None:
        if length < 1:
            raise ValueError(f"the length must be at least 1, not {length}")
        hidden: list[nn.Module] = []
        for i in range(length):
            hidden += [_conv(width if i else INPUTS, width, kernel), nn.ReLU()]
        super().__init__({"hidden_layers": nn.Sequential(*hidden), "output_layer": _conv(width, OUTPUTS, kernel)})


class SimpleCNN(Chain):
    """Convolutions that keep the two channels of the input."""

    composite = False

    def __init__(self, hidden: int, kernels: Sequence[int], batch_norm: bool = True) -> None:
        first, last = _range(kernels)
        super().__init__(
            {
                "input_layer": _conv(INPUTS, INPUTS, first),
                "input_normalization": _norm(INPUTS, batch_norm),
                "input_activation": nn.ReLU(),
                "hidden_layers": _conv_stack(INPUTS, kernel_sizes(kernels, hidden), batch_norm),
                "output_layer": _conv(INPUTS, OUTPUTS, last),
                "output_normalization": _norm(OUTPUTS, batch_norm),
                "output_activation": nn.ReLU(),
            }
        )


class DepixCNN(SimpleCNN):
    """SimpleCNN with one more convolution, of its output and the input."""

    def __init__(self, hidden: int, kernels: Sequence[int], skip_kernel: int = 5, batch_norm: bool = True) -> None:
        super().__init__(hidden, kernels, batch_norm)
        self.skip_connection = _conv(OUTPUTS + INPUTS, OUTPUTS, skip_kernel)
        self.skip_normalization = _norm(OUTPUTS, batch_norm)

    def estimate_channels(self, x: Tensor) -> Tensor:
        """Join SimpleCNN's estimate with the input."""
        joined = torch.cat([super().estimate_channels(x), x], dim=1)
        return functional.relu(self.skip_normalization(self.skip_connection(joined)))


class SimpleThickCNN(Chain):
    """Convolutions of 32 channels."""

    width = 32

    def __init__(self, length: int, kernels: Sequence[int], batch_norm: bool = True) -> None:
        first, last = _range(kernels)
        super().__init__(
            {
                "input_layer": _conv(INPUTS, self.width, first),
                "bn1": _norm(self.width, batch_norm),
                "relu1": nn.ReLU(),
                "hidden_channels": _conv_stack(self.width, kernel_sizes(kernels, length), batch_norm),
                "output_layer": _conv(self.width, OUTPUTS, last),
                "bn2": _norm(OUTPUTS, batch_norm),
                "relu2": nn.ReLU(),
            }
        )


class _Block(nn.Module):
    """Two convolutions whose result is joined with the block's input, and a third one of both."""

    def __init__(self, inputs: int, joined: int, outputs: int, kernel: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, inputs, kernel)
        self.bn1 = _norm(inputs, batch_norm)
        self.conv2 = _conv(inputs, inputs, kernel)
        self.bn2 = _norm(inputs, batch_norm)
        self.conv3 = _conv(joined, outputs, kernel)
        self.bn3 = _norm(outputs, batch_norm)

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.join(x, self.bn2(self.conv2(y))))
        return functional.relu(self.bn3(self.conv3(y)))


class BasicBlock(_Block):
    """The block that concatenates its input; keeps the number of channels."""

    def __init__(self, channels: int, kernel: int, batch_norm: bool = True) -> None:
        super().__init__(channels, 2 * channels, channels, kernel, batch_norm)

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Concatenate on channels."""
        return torch.cat([x, y], dim=1)


class BasicAddBlock(_Block):
    """The block that adds its input, as ResNet's do."""

    def __init__(self, inputs: int, outputs: int, kernel: int, batch_norm: bool = True) -> None:
        super().__init__(inputs, inputs, outputs, kernel, batch_norm)

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Add."""
        return x + y


class SkipBlock(nn.Module):
    """Two convolutions of an earlier input and the current one; `inputs` counts the channels of both."""

    def __init__(self, inputs: int, outputs: int, kernel: int, batch_norm: bool = True) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, inputs, kernel)
        self.bn1 = _norm(inputs, batch_norm)
        self.conv2 = _conv(inputs, outputs, kernel)
        self.bn2 = _norm(outputs, batch_norm)

    def forward(self, earlier: Tensor, x: Tensor) -> Tensor:
        """Map (B, C1, H, W) and (B, C2, H, W) to (B, outputs, H, W)."""
        y = functional.relu(self.bn1(self.conv1(torch.cat([earlier, x], dim=1))))
        return functional.relu(self.bn2(self.conv2(y)))


def _basic_blocks(blocks: int, kernels: Sequence[int], batch_norm: bool) -> nn.Sequential:
    return nn.Sequential(*[BasicBlock(INPUTS, k, batch_norm) for k in kernel_sizes(kernels, blocks)])


class SimpleDeepixCNN(PictureAndMask):
    """BasicBlocks, and a SkipBlock that joins them with the input."""

    def __init__(self, blocks: int, kernels: Sequence[int], batch_norm: bool = True) -> None:
        super().__init__()
        first, _ = _range(kernels)
        # his forward never uses it, but it is in his state dict; frozen, for processes that train together would
        # wait for its gradients
        self.input_block = BasicBlock(INPUTS, first, batch_norm).requires_grad_(False)
        self.basic_blocks = _basic_blocks(blocks, kernels, batch_norm)
        self.skip_block = SkipBlock(2 * INPUTS, OUTPUTS, first, batch_norm)

    def estimate_channels(self, x: Tensor) -> Tensor:
        """Apply the blocks and join their result with the input."""
        result: Tensor = self.skip_block(x, self.basic_blocks(x))
        return result


class DeepixCNN(Chain):
    """BasicBlocks, and a convolution to the output; he calls it DeepixCNN_noskip."""

    def __init__(self, blocks: int, kernels: Sequence[int], batch_norm: bool = True) -> None:
        first, _ = _range(kernels)
        super().__init__(
            {
                "basic_blocks": _basic_blocks(blocks, kernels, batch_norm),
                "unification_block": _conv(INPUTS, OUTPUTS, first),
            }
        )


class Deepixv1(Chain):
    """BasicAddBlocks of growing width, a sigmoid at the end: rank 1 of the challenge.

    `shape` holds the orders of the widths, at least three: block i maps 2**shape[i] channels to 2**shape[i + 1].
    """

    def __init__(self, shape: Sequence[int], kernels: Sequence[int], batch_norm: bool = True) -> None:
        if isinstance(shape, int) or min(shape, default=-1) < 0:
            raise ValueError(f"the shape holds the orders of the widths, from 0, not {shape}")
        first, last = _range(kernels)
        widths = [2**order for order in shape]
        sizes = kernel_sizes(kernels, len(shape) - 1)
        blocks = [
            BasicAddBlock(inputs, outputs, kernel, batch_norm)
            for inputs, outputs, kernel in zip(widths[:-1], widths[1:], sizes, strict=True)
        ]
        super().__init__(
            {
                "input_layer": _conv(INPUTS, widths[0], first),
                "bn1": _norm(widths[0], batch_norm),
                "input_activation": nn.ReLU(),
                "hidden_layers": nn.Sequential(*blocks),
                "output_layer": _conv(widths[-1], OUTPUTS, last),
                "bn2": _norm(OUTPUTS, batch_norm),
                "output_activation": nn.Sigmoid(),
            }
        )


def recognise(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the `config` of the architecture that a state dict belongs to.

    It is read from the tensors' names and shapes; whether all tensors fit is for the loading to say.

    Raises
    ------
    ValueError : the tensors are of none of these architectures
    """
    try:
        return _recognise(state)
    except (KeyError, ValueError) as error:
        names = ", ".join(list(state)[:5])
        raise ValueError(f"the tensors ({names}, …) are of none of the known architectures") from error


def _recognise(state: Mapping[str, Tensor]) -> dict[str, Any]:
    def kernel(layer: str) -> int:
        return state[f"{layer}.weight"].shape[-1]

    def convolutions(stack: str) -> int:
        return sum(name.startswith(f"{stack}.") and tensor.ndim == 4 for name, tensor in state.items())

    batch_norm = any(name.endswith(".running_mean") for name in state)
    if "basic_blocks.0.conv1.weight" in state:
        blocks = convolutions("basic_blocks") // 3
        name, other = "deepixcnn", "unification_block"
        if "skip_block.conv1.weight" in state:
            name, other = "simpledeepixcnn", "skip_block.conv1"
        first, sizes = kernel(other), [kernel(f"basic_blocks.{i}.conv1") for i in range(blocks)]
        # no layer has the last kernel as it is; if it was even, the last block's is one less
        even = kernel_sizes((first, sizes[-1] + 1), blocks) == sizes != kernel_sizes((first, sizes[-1]), blocks)
        return {"name": name, "blocks": blocks, "kernels": [first, sizes[-1] + even], "batch_norm": batch_norm}
    if "input_layer.weight" not in state:
        width, _, size, _ = state["hidden_layers.0.weight"].shape
        return {"name": "basiccnn", "length": convolutions("hidden_layers"), "width": width, "kernel": size}
    ends = {"kernels": [kernel("input_layer"), kernel("output_layer")], "batch_norm": batch_norm}
    if "hidden_channels.0.weight" in state:
        return {"name": "simplethickcnn", "length": convolutions("hidden_channels"), **ends}
    if "hidden_layers.0.conv1.weight" in state:
        blocks = convolutions("hidden_layers") // 3
        layers = ["input_layer", *(f"hidden_layers.{i}.conv3" for i in range(blocks))]
        orders = [len(state[f"{layer}.weight"]).bit_length() - 1 for layer in layers]
        return {"name": "deepixv1", "shape": orders, **ends}
    simple = {"hidden": convolutions("hidden_layers"), **ends}
    if "skip_connection.weight" in state:
        return {"name": "depixcnn", "skip_kernel": kernel("skip_connection"), **simple}
    return {"name": "simplecnn", **simple}
