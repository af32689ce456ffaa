"""The networks whose features `perceptual.py` compares: an ImageNet network in PyTorch, and Deepix' locator.

The ImageNet network is EfficientNet-Lite0, see `deepix.training.imagenet`.

References
----------
Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features as a perceptual metric. CVPR 2018
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deepix.training.imagenet import DEVIATION, FEATURES, MEAN, TEXTURE, UNSEEN, installed
from deepix.training.imagenet import ImageNet as Network

__all__ = ["DEVIATION", "FEATURES", "MEAN", "TEXTURE", "UNSEEN", "Distances", "ImageNet", "Locator", "feature_distance",
           "installed", "padded"]  # fmt: skip

Array = NDArray[Any]
LOCATOR = ("stem.0.weight", "downs.0.0.weight", "downs.1.0.weight")
"""The locator's convolutions whose activations are compared, at 1/4, 1/8 and 1/16: features that no loss sees."""
STRIDE = 32
"""Pictures are mirrored at their right and lower ends up to a multiple of it."""


class ImageNet(Network):
    """The network at work on pictures in NumPy."""

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
