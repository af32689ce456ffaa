"""What a network costs: its layers and multiply-adds as torchinfo counts them, and its speed as measured here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchinfo import ModelStatistics
from torchinfo import summary as torchinfo_summary
from torchinfo.layer_info import LayerInfo

from deepix.training.data import samples
from deepix.training.data.samples import Sample
from deepix.training.networks import Network


class _Restoration(nn.Module):
    """A network's `restore` as the `forward` that torchinfo calls."""

    def __init__(self, network: Network, sample: Sample) -> None:
        super().__init__()
        self.network = network
        self._sample = sample

    def forward(self, pixelated: Tensor) -> Tensor:
        return self.network.restore(self._sample._replace(pixelated=pixelated))


def count(network: Network, batch: int = 64, size: int = 64) -> ModelStatistics:
    """Return torchinfo's statistics of restoring a batch; printed, they are the table of layers.

    Parameters
    ----------
    network : on any device
    batch : number of pictures
    size : their width and height, in pixels

    Returns
    -------
    ModelStatistics : `str` of it is the table of layers, `to_dict` its numbers
    """
    sample = _sample(network, batch, size)
    wrapped = _Restoration(network, sample)
    training = network.training
    try:
        return torchinfo_summary(
            wrapped,
            input_data=sample.pixelated,
            col_names=("output_size", "kernel_size", "num_params", "mult_adds"),
            depth=4,
            verbose=0,
        )
    finally:
        network.train(training)


def to_dict(statistics: ModelStatistics) -> dict[str, Any]:
    """Return the statistics as plain numbers and strings, ready for JSON; bytes and multiply-adds are the batch's.

    `passes` are the bytes of all layers' outputs and their gradients; layers are those that hold no others.
    """
    return {
        "parameters": statistics.total_params,
        "mult_adds": statistics.total_mult_adds,
        "bytes": {
            "input": statistics.total_input,
            "passes": statistics.total_output_bytes,
            "parameters": statistics.total_param_bytes,
        },
        "layers": [
            {
                "name": ".".join(_path(layer)),
                "kind": layer.class_name,
                "output": list(layer.output_size),
                "parameters": layer.num_params,
                "mult_adds": layer.macs,
            }
            for layer in statistics.summary_list
            if layer.is_leaf_layer
        ],
    }


def _path(layer: LayerInfo) -> list[str]:
    """Return the layer's name in the state dict, in parts; the wrapper and the network itself have none."""
    if layer.depth < 2 or layer.parent_info is None:
        return []
    return [*_path(layer.parent_info), layer.var_name]


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes
    ----------
    device : its name; CPU with its number of threads
    batch : pictures in a training step
    step_seconds : a training step: restoring, mean squared error, gradients, Adam
    training_rate : pictures per second in training
    inference_rates : pictures per second without gradients, by batch
    """

    device: str
    batch: int
    step_seconds: float
    training_rate: float
    inference_rates: dict[int, float]

    def epoch_seconds(self, pictures: int) -> float:
        """Return what an epoch over so many pictures takes, its last incomplete batch counted as a whole one."""
        return -(-pictures // self.batch) * self.step_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and strings, ready for JSON."""
        return asdict(self)


def measure(network: Network, batch: int = 64, size: int = 64, seconds: float = 5.0) -> Speed:
    """Measure training steps and inference on the network's device, in float32, after a warm-up each.

    The network's weights change: measure on one that is not needed afterwards.

    Parameters
    ----------
    network : on the device to measure
    batch : pictures in a training step
    size : width and height of the pictures, in pixels
    seconds : how long to repeat each measurement; the median counts. It is done once at least
    """
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(network.parameters())
    sample = _sample(network, batch, size)
    assert sample.truth is not None
    truth = sample.truth

    def step() -> None:
        optimizer.zero_grad()
        functional.mse_loss(network.restore(sample), truth).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    step_seconds = _time(network.train(), step, seconds)
    rates = {}
    network.eval()
    with torch.inference_mode():
        for pictures in (1, 64):
            restore = partial(network.restore, _sample(network, pictures, size))
            rates[pictures] = pictures / _time(network, restore, seconds)
    return Speed(_name(device), batch, step_seconds, batch / step_seconds, rates)


def _time(network: Network, task: Callable[[], object], seconds: float) -> float:
    """Return the median time of a task, in seconds."""
    device = next(network.parameters()).device

    def once() -> float:
        start = time.perf_counter()
        task()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return time.perf_counter() - start

    once()
    times: list[float] = []
    while not times or sum(times) < seconds:
        times.append(once())
    return median(times)


def _sample(network: Network, batch: int, size: int) -> Sample:
    """Return random pictures with one mosaic each, as in the challenge, on the network's device."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(batch, 1, size, size, generator=generator)
    sample = samples.sample(truth, generator=generator)
    device = next(network.parameters()).device
    return Sample(truth.to(device), sample.pixelated.to(device), sample.mosaics.to(device))


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
