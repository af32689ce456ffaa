"""A trained `Restorer` as the ONNX file that is used without PyTorch.

Only the network is in the file: float32 `features` (N, 7, H, W), H and W multiples of the stride, to `residual` and
`log_deviation` (N, 1, H, W). What is around it (smooth start, features, projection) is `deepix.runtime`'s. The file's
metadata hold, under `deepix`, what that needs to know, as JSON:

    name                      of the model
    stride                    of which height and width are multiples
    cells                     [least, greatest] width of the cells it was trained on, in pixels
    rounds                    of the smooth start, as `deepix.smooth.smooth_at_one_size` takes them
    offset                    what cells lacked on average in training, in units of 1 (255 levels)
    calibration               by which exp(log_deviation) is multiplied, see `deepix.training.calibrate`
    parameters, multiply_adds_per_pixel
    scores, training          what it reaches, and the runs it was trained in, one after the other
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from deepix import challenge, files, runtime
from deepix.errors import DeepixError, InputError, reason
from deepix.mosaic import Mosaic
from deepix.mosaic import project as project_in_numpy
from deepix.runtime import INPUT, OUTPUTS
from deepix.smooth import smooth_at_one_size
from deepix.training import mosaics as maths
from deepix.training import weights
from deepix.training.mosaics import Ranges, Sample
from deepix.training.networks.restorer import Restorer
from deepix.training.settings import RUN

KEY = "deepix"
"""Of the file's metadata."""
TOLERANCE = 1 / 255
"""Largest difference between ONNX Runtime's restoration and PyTorch's, in units of 1."""

Floats = NDArray[np.float32]


def export(
    source: Path | str,
    path: Path | str,
    name: str,
    *,
    calibration: float = 1.0,
    scores: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a trained restorer as an ONNX file, after comparing it with PyTorch.

    Parameters
    ----------
    source : its weights, or the folder of the run
    path : of the .onnx file
    name : what the model is called
    calibration : see the module's text
    scores : ready for JSON
    overwrite : replace an existing file

    Returns
    -------
    The file's metadata, and `difference`: the largest between the two on random mosaics, in units of 1

    Raises
    ------
    InputError : no weights, or of another network than a whole `Restorer`
    OutputError : the file exists or cannot be written
    DeepixError : ONNX Runtime's restorations differ from PyTorch's by more than `TOLERANCE`
    """
    files.check_output(path, overwrite)
    network, trained = load(source), history(source)
    described = describe(network, name, calibration, scores or {}, trained)
    model = to_onnx(network, described)
    difference = compare(model, network)
    files.write_bytes(path, model, overwrite=overwrite)
    return {**described, "difference": difference}


def describe(
    network: Restorer, name: str, calibration: float, scores: Mapping[str, Any], trained: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the metadata of a model, see the module's text; `trained` as of `history`."""
    cells = trained[-1]["mosaics"].get("cell", challenge.CELL) if trained else challenge.CELL
    return {
        "name": name,
        "stride": network.stride,
        "cells": list(cells),
        "rounds": list(network.rounds),
        "offset": network.offset,
        "calibration": calibration,
        "parameters": sum(p.numel() for p in network.body.parameters()),
        "multiply_adds_per_pixel": multiply_adds_per_pixel(network),
        "scores": dict(scores),
        "training": list(trained),
    }


def load(source: Path | str) -> Restorer:
    """Return the restorer of a weights file or run folder, in evaluation mode on the CPU.

    Raises
    ------
    InputError : no weights, or of a network that the runtime has no steps for
    """
    network = weights.load(source)
    if not (isinstance(network, Restorer) and network.grid and network.consistent and network.rounds):
        raise InputError(f"{source}: only a restorer with smooth start, grid and projection can be exported")
    return network


def to_onnx(network: Restorer, about: Mapping[str, Any]) -> bytes:
    """Return the network's body as an ONNX file with these metadata."""
    side = 3 * network.stride
    batch, down, across = (torch.export.Dim(name, min=1) for name in ("batch", "down", "across"))
    shapes = {"x": {0: batch, 2: network.stride * down, 3: network.stride * across}}
    model = convert(network.body, torch.zeros(2, 7, side, side + network.stride), [INPUT], OUTPUTS, shapes)
    model.metadata_props.add(key=KEY, value=json.dumps(about))
    content: bytes = model.SerializeToString()
    return content


def convert(
    module: torch.nn.Module, example: torch.Tensor, inputs: list[str], outputs: list[str], shapes: dict[str, Any]
) -> Any:
    """Return a module as an ONNX model (`onnx.ModelProto`), without a word of the exporter's or of our sources.

    Parameters
    ----------
    module : in evaluation mode, on the CPU
    example : of its input
    inputs, outputs : their names in the model
    shapes : which sides may differ, as `torch.onnx.export` has it
    """
    chatter = logging.getLogger("torch.onnx")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (example,),
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
    finally:
        chatter.setLevel(level)
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # names and places of our sources, of no use to anybody
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def open_model(content: bytes) -> onnxruntime.InferenceSession:
    """Return a session on the CPU, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def about(path: Path | str) -> dict[str, Any]:
    """Return what an exported file says of itself, see the module's text.

    Raises
    ------
    InputError : no such file, or not one that `export` wrote
    """
    import onnx

    try:
        model = onnx.load_model_from_string(files.read_bytes(path))
        stored = {entry.key: entry.value for entry in model.metadata_props}
        content: dict[str, Any] = json.loads(stored[KEY])
    except InputError:
        raise
    except Exception as error:  # whatever protobuf's reader makes of other bytes
        raise InputError(f"{path}: not a model that deepix weights export wrote ({reason(error)})") from error
    return content


def multiply_adds_per_pixel(network: Restorer) -> int:
    """Return the multiplications and additions of the network for each pixel of its input, as torchinfo counts them."""
    from torchinfo import summary

    side = 3 * network.stride
    statistics = summary(network.body, input_size=(1, 7, side, side), verbose=0, device="cpu")
    network.eval()
    per_pixel: int = round(statistics.total_mult_adds / (side * side))
    return per_pixel


# ── what ONNX Runtime makes of it ────────────────────────────────────────────────────────────────


def compare(model: bytes, network: Restorer) -> float:
    """Return the largest difference between restorations (and deviations) by ONNX Runtime and by PyTorch.

    The whole chain is gone through on synthetic pictures with random mosaics: pictures of the network's window, of a
    size that is no multiple of its stride, and of one that windows do not hold.

    Returns
    -------
    In units of 1 (255 levels); at most `TOLERANCE`

    Raises
    ------
    DeepixError : it is larger, or not a number
    """
    session = open_model(model)
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    w = network.window
    largest = 0.0
    for height, width, ranges in (
        (w, w, Ranges(width=(4, w * 2 // 3), height=(4, w * 2 // 3))),
        (w - 3, w - 6, Ranges(width=(4, 20), height=(4, 20), cell=(2, 9), count=(2, 3), square=False, corner=False)),
        (2 * w - 5, 2 * w, Ranges(width=(w, w + 8), height=(w, w + 8), square=False, corner=False)),
    ):
        for _ in range(4):
            truth = torch.from_numpy(synthetic(rng, height, width))[None, None]
            rectangles = maths.draw(1, height, width, ranges, generator)
            there = maths.from_rectangles(rectangles, height, width)
            pixelated = maths.pixelate(truth, there)
            with torch.inference_mode():
                theirs = network.estimate(Sample(None, pixelated, there))
            ours = restore(session, network, pixelated[0, 0].numpy(), maths.to_numpy(rectangles)[0])
            for a, b in zip(ours, theirs, strict=True):
                assert b is not None
                # Python's max would pass over what is not a number; how far values are beyond all range does not matter
                difference = float(np.abs(a.clip(-1, 2) - b[0, 0].numpy().clip(-1, 2)).max())
                if not difference <= TOLERANCE:
                    raise DeepixError(
                        f"ONNX Runtime's result differs from PyTorch's by {255 * difference:.3g} levels of 255 on a "
                        f"picture of {width} x {height}, more than {255 * TOLERANCE:g}: not exported"
                    )
                largest = max(largest, difference)
    return largest


def synthetic(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Return a picture of smooth shades, texture and hard edges: float32 (H, W), whole levels of 255 in [0, 1]."""
    noise = rng.standard_normal((3, height, width))
    shades, edges = gaussian_filter(noise[0], 8), gaussian_filter(noise[1], 4)
    picture = 0.5 + 0.15 * shades / shades.std() + 0.15 * (edges > 0) + 0.03 * noise[2]
    levels: Floats = np.rint(picture.clip(0, 1) * 255).astype(np.float32)
    return levels / np.float32(255)


def restore(
    session: onnxruntime.InferenceSession, network: Restorer, pixelated: Floats, mosaics: Sequence[Mosaic]
) -> tuple[Floats, Floats]:
    """Return the restoration and deviations of one plane as `Restorer.estimate` computes them, in NumPy and ONNX.

    Parameters
    ----------
    session : of the exported network
    network : whose constants are used, not its weights
    pixelated : float32 (H, W), values in [0, 1]
    mosaics : in it
    """
    offset = np.float32(network.offset)
    start = pixelated.copy()
    for m in mosaics:
        start[m.box][m.area] += offset
    z = smooth_at_one_size(start[..., None], mosaics, network.rounds)[..., 0]
    planes, contrast = runtime.features(z, pixelated, mosaics)
    height, width = pixelated.shape
    padded = np.pad(planes, ((0, 0), (0, -height % network.stride), (0, -width % network.stride)))
    residual, deviation = (y[0, 0, :height, :width] for y in session.run(OUTPUTS, {INPUT: padded[None]}))
    picture = project_in_numpy(z + contrast * residual, start, mosaics)
    unknown = ~planes[2].astype(bool)
    return picture, np.where(unknown, contrast * np.exp(deviation.clip(-8, 8)), 0)


# ── how it came about ────────────────────────────────────────────────────────────────────────────


def history(
    source: Path | str, described: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Return the runs that weights were trained in, the first one first, ready for JSON and without folders' names.

    A run began with new weights or went on from a file; that one's runs come before it. Weights that were shipped
    carry their history; a run's are described by its folder.

    Parameters
    ----------
    source : a weights file, or the folder of a run
    described : what else to say of a run, from its weights' `extra`; default: what there is to say of a restorer's

    Raises
    ------
    InputError : the file is missing, is no weights file, or its run's description is damaged
    """
    described = described or _restorers
    source = Path(source)
    extra = weights.metadata(source).extra
    if "training" in extra:
        return list(extra["training"])
    if "settings" not in extra:
        return []
    start = Path(extra["settings"]["network"])
    before = history(start, described) if start.exists() else []
    entry = {
        "from": start.name,
        "minutes": round(extra["minutes"], 1),
        "steps": int(extra["step"]),
        "epochs": round(extra["epoch"], 2),
        "data": Path(extra["data"]["file"]).name,
        **described(extra),
    }
    description = (source if source.is_dir() else source.parent) / RUN
    if description.exists():
        try:
            run = json.loads(description.read_text("utf-8"))
            machine = run["environment"]
            entry["started"], entry["budget_minutes"] = run["started"], run["settings"]["minutes"]
            entry["device"] = machine["gpu"] or machine["machine"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{description}: cannot be used as a run's description ({reason(error)})") from error
        # shipped while it trained, then trained on: the later entry replaces the earlier one
        before = [earlier for earlier in before if earlier.get("started") != entry["started"]]
    return [*before, entry]


def _restorers(extra: dict[str, Any]) -> dict[str, Any]:
    settings, data = extra["settings"], extra["data"]
    return {
        "pictures_seen": extra["step"] * settings["batch"],
        "sha256": data["sha256"],
        "pictures": data["training_pictures"],
        "picture_shape": data["picture_shape"],
        "validated_with": Path(settings["validate"]).name if settings["validate"] else None,
        "mosaics": settings["ranges"],
        **{key: settings[key] for key in ("patch", "truncate", "batch", "optimizer", "lr", "loss", "ema", "seed")},
    }
