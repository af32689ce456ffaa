"""The verb `summary`, registered on the main app."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from deepix.cli.common import extra, note, out


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    app.command()(summary)


def summary(
    network: Annotated[str, typer.Argument(help="A network's name, such as deepixv1:5,5,6,7:3,5.", show_default=False)],
    batch: Annotated[int, typer.Option(min=1, help="Pictures in a step.")] = 64,
    size: Annotated[int, typer.Option(min=4, help="Width and height of the pictures, in pixels.")] = 64,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures in an epoch.")] = 135_000,
    device: Annotated[str, typer.Option(help="auto (an accelerator if there is one), cpu, cuda …")] = "auto",
    seconds: Annotated[float, typer.Option(min=0, help="How long to repeat each measurement.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a network's layers, parameters, multiply-adds and memory, and how fast it trains and restores here.

    Of unknown names it says which there are.

    [bold]Example[/]

      deepix summary deepixv1:5,5,6,7:3,5 --batch 64 --pictures 34635
    """
    with extra("train"):
        from deepix.training import networks
        from deepix.training import summary as costs
        from deepix.training.predict import choose_device

    net = networks.create(network)
    net.to(choose_device(device))
    statistics = costs.count(net, batch, size)
    if not as_json:
        # torchinfo means "(M)" but prints "(Units.MEGABYTES)" since Python 3.11
        out.print(re.sub(r"Units\.(\w)\w*", r"\1", str(statistics)), markup=False)
        note("measuring …")
    speed = costs.measure(net, batch, size, seconds)
    epoch = speed.epoch_seconds(pictures)
    if as_json:
        report = {"network": net.config, "batch": batch, "size": size, **costs.to_dict(statistics)}
        report |= {"measured": speed.to_dict(), "epoch": {"pictures": pictures, "seconds": epoch}}
        print(json.dumps(report))
        return
    out.print(f"measured on {speed.device}, {size}x{size} pictures, float32:", markup=False)
    out.print(f"  training step of {batch}: {speed.step_seconds:.3f} s = {speed.training_rate:.1f} pictures/s")
    out.print(f"  an epoch over {pictures:,} pictures: {_duration(epoch)}")
    for number, rate in speed.inference_rates.items():
        out.print(f"  restoring, batch of {number}: {rate:.1f} pictures/s")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
