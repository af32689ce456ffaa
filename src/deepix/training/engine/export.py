"""A trained network as the ONNX file that is used without PyTorch, compared with PyTorch before it is written.

The network says what is in the file (`Network.exported`). The metadata hold, under `deepix`, as JSON, what its user has
to know: `name`, what the network says of itself and the stage knows of it, `parameters`, `multiply_adds_per_pixel`,
`scores`, and under `training` the runs it was trained in, one after the other.
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
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from deepix import files
from deepix.errors import DeepixError, InputError, reason
from deepix.inference.session import open_session
from deepix.training import weights
from deepix.training.engine.history import history, stage_of
from deepix.training.engine.stage import Assessment, Stage
from deepix.training.networks import Network

KEY = "deepix"
"""Of the file's metadata."""

Run = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
"""An exported model at work: from its inputs by name to all its outputs."""


def export(
    source: Path | str, path: Path | str, name: str, *, assessment: Assessment | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write a trained network as an ONNX file, after comparing it with PyTorch.

    Parameters
    ----------
    source : its weights, or the folder of the run
    path : of the .onnx file
    name : what the model is called
    assessment : for the metadata; default: what the weights' file says, if they were released
    overwrite : replace an existing file

    Returns
    -------
    The file's metadata, and `difference`: the largest between the two, as `Stage.compare` has it

    Raises
    ------
    InputError : no weights, or of a network that cannot be exported
    OutputError : the file exists or cannot be written
    DeepixError : the two differ by more than the stage tolerates
    """
    files.check_output(path, overwrite)
    stage = stage_of(source)
    network = load(source, stage)
    about = describe(stage, network, name, assessment or _known(source), history(source))
    model = to_onnx(network, about)
    difference = stage.compare(runner(model), network)
    files.write_bytes(path, model, overwrite=overwrite)
    return {**about, "difference": difference}


def _known(source: Path | str) -> Assessment:
    """Return what released weights say of themselves, see `deepix.training.engine.release`; of others nothing."""
    extra = dict(weights.metadata(source).extra)
    scores = extra.pop("scores", {})
    return Assessment(scores, extra if extra.pop("training", None) else {})


def load(source: Path | str, stage: Stage) -> Network:
    """Return the network of a weights file or run folder, in evaluation mode on the CPU.

    Raises
    ------
    InputError : no weights, or of a network that is not the stage's or cannot be exported
    """
    network = weights.load(source)
    if network.config["name"] not in stage.families:
        raise InputError(f"{source}: not a {stage.name}'s weights")
    try:
        network.about()
    except DeepixError as error:
        raise InputError(f"{source}: {error}") from error
    return network


def describe(
    stage: Stage,
    network: Network,
    name: str,
    assessment: Assessment,
    trained: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the metadata of a model, see the module's text; `trained` as of `history`."""
    return {
        "name": name,
        **network.about(),
        **stage.describe(network, trained),
        **assessment.further,
        "parameters": network.parameter_count(),
        "multiply_adds_per_pixel": network.multiply_adds_per_pixel(),
        "scores": assessment.scores,
        "training": list(trained),
    }


def to_onnx(network: Network, about: Mapping[str, Any]) -> bytes:
    """Return the network as an ONNX file with these metadata, without a word of the exporter's or of our sources."""
    given = network.exported()
    chatter = logging.getLogger("torch.onnx")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                given.module,
                (given.example,),
                input_names=list(given.inputs),
                output_names=list(given.outputs),
                dynamic_shapes=given.shapes,
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
    model.metadata_props.add(key=KEY, value=json.dumps(about))
    content: bytes = model.SerializeToString()
    return content


COMPANION_TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime's results and PyTorch's of a model that is released beside another."""


def companion(network: Network, name: str) -> bytes:
    """Return the ONNX file of a part that is released beside its network, after comparing it with PyTorch on noise.

    Raises
    ------
    DeepixError : the two differ by more than `COMPANION_TOLERANCE`
    """
    about = {"name": name, **network.about(), "parameters": network.parameter_count(),
             "multiply_adds_per_pixel": network.multiply_adds_per_pixel()}  # fmt: skip
    model, given = to_onnx(network, about), network.exported()
    noise = torch.rand(given.example.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs = given.module(noise).numpy()
    difference = float(np.abs(runner(model)({given.inputs[0]: noise.numpy()})[0] - theirs).max())
    if not difference <= COMPANION_TOLERANCE:
        raise DeepixError(f"{name}: ONNX Runtime's result differs from PyTorch's by {difference:.3g}: not exported")
    return model


def runner(content: bytes) -> Run:
    """Return a model at work, by ONNX Runtime on the CPU, in one thread."""
    session = open_session(content, "the exported model", 1, ["CPUExecutionProvider"])

    def run(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        outputs: list[NDArray[Any]] = session.run(None, dict(inputs))
        return outputs

    return run


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


def synthetic(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Return a picture of smooth shades, texture and hard edges: float32 (H, W), whole levels of 255 in [0, 1]."""
    noise = rng.standard_normal((3, height, width))
    shades, edges = gaussian_filter(noise[0], 8), gaussian_filter(noise[1], 4)
    picture = 0.5 + 0.15 * shades / shades.std() + 0.15 * (edges > 0) + 0.03 * noise[2]
    levels: NDArray[np.float32] = np.rint(picture.clip(0, 1) * 255).astype(np.float32)
    return levels / np.float32(255)
