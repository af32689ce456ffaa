"""A small network of our own kind with random weights, and its ONNX file: for tests of what is around networks."""

from __future__ import annotations

import json
from functools import cache

import onnx
import torch

from deepix.training import networks
from deepix.training.engine import export

ABOUT = {"name": "small", "stride": 4, "cells": [2, 16], "rounds": [5, 5, 5], "calibration": 1.0}


def small_network(offset=0.0):
    """The same weights each time; `offset` is not among them."""
    torch.manual_seed(0)
    network = networks.create("restorer", widths=(16, 24), blocks=(1, 1), offset=offset, rounds=ABOUT["rounds"])
    for parameter in network.parameters():  # the last layers start at zero: then nothing would depend on the rest
        torch.nn.init.normal_(parameter, std=0.05)
    assert network.stride == ABOUT["stride"]
    return network.eval()


@cache
def _exported():
    return export.to_onnx(small_network(), {})


def write_model(path, **changes):
    """Write the small network's ONNX file; `changes` are to its metadata, None leaves something out."""
    model = onnx.load_model_from_string(_exported())
    about = {key: value for key, value in (ABOUT | changes).items() if value is not None}
    onnx.helper.set_model_props(model, {"deepix": json.dumps(about)})
    path.write_bytes(model.SerializeToString())
    return path
