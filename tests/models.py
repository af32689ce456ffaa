"""Small networks of our own kinds with random weights, and their ONNX files: for tests of what is around networks."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import onnx
import torch

import deepix
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


def write_refiner(folder):
    """Write the ONNX files of a refiner and an adversary, which know the shipped photo model; return them by name."""
    torch.manual_seed(1)
    network = networks.create("refiner", widths=(8, 16), blocks=(1, 1), adversary=(8, 16)).eval()
    torch.nn.init.normal_(network.generator.head.weight, std=0.1)
    photo = Path(deepix.__file__).parent / "weights" / "photo.onnx"
    known = {"photo": hashlib.sha256(photo.read_bytes()).hexdigest()}
    about = {**network.about(), "name": "refiner", "cells": [3, 16], "growth": 1.2, "restorers": known}
    result = {}
    for name, part, said in (("refiner", network, about), ("adversary", network.adversary, network.adversary.about())):
        result[name] = folder / f"{name}.onnx"
        result[name].write_bytes(export.to_onnx(part, said))
    return result
