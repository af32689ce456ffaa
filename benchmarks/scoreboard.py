"""The scoreboard of the 64x64 challenge: networks trained alike for the same minutes, and scored alike.

    deepix data pack PHOTOS… -o data/train.npy --crops 30 --scale 0.2 1 --ratio 0.8 1.25
    python benchmarks/scoreboard.py --data data/train.npy --minutes 10

Each network is trained by `deepix train NETWORK --data FILE --minutes N --validate …` with its default settings into
a folder of --runs; a run that is there already is only scored again, so that a table can grow run by run. Scores are
RMSE over the unknown pixels of challenge-val, predictions rounded to the nearest integer, but for DeePixV1's
published weights, whose author cut them off. --output writes the table.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from deepix import challenge
from deepix.mosaic import Rounding
from deepix.training import networks, summary, weights
from deepix.training.engine import description

SHARED = Path(__file__).resolve().parents[2] / "shared"
NETWORKS = (
    "basiccnn:5:32:3",
    "simplecnn:14:6,2",
    "depixcnn:14:6,2:3",
    "simpledeepixcnn:6:6,3",
    "deepixcnn:7:6,3",
    "simplethickcnn:5:6,3",
    "deepixv1:5,5,5:3,5",
    "deepixv1:5,5,6,7:3,5",
    "deepixv1:5,5,6,6,7,7,8:3,5",
    "restorer:small",
)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    score: challenge.Score
    parameters: int = 0
    multiply_adds: float = 0.0
    rates: tuple[float, float] | None = None
    seen: int | None = None


def train(name: str, run: Path, options: argparse.Namespace) -> int:
    """Train a network by the command that users have, unless that is done; return how many pictures it saw."""
    command: list[str | Path] = [sys.executable, "-m", "deepix", "train"]
    if not run.exists():
        command += [name, "--data", options.data, "--validate", options.examples]
        command += ["--minutes", str(options.minutes), "--output", run]
    else:
        command += ["--resume", run]
    if not result(run).get("finished"):
        subprocess.run(command, check=True)
    return int(result(run)["steps"]) * description.read(run).batch


def result(run: Path) -> dict[str, Any]:
    """Return what a run's file says came of it; nothing as long as it goes on."""
    path = run / description.RUN
    found: dict[str, Any] = json.loads(path.read_text("utf-8")).get("result", {}) if path.exists() else {}
    return found


def cost(network: networks.Network, seconds: float) -> tuple[int, float, tuple[float, float]]:
    """Return parameters, multiply-adds for one picture, and pictures per second at batch 1 and 64."""
    multiply_adds = summary.count(network, batch=1).total_mult_adds
    rates = summary.measure(network, seconds=seconds).inference_rates
    return network.parameter_count(), multiply_adds, (rates[1], rates[64])


def table(rows: list[Row]) -> str:
    """Return the table in Markdown, best last."""
    lines = [
        "| restorer | parameters | multiply-adds | RMSE pooled | per picture | pictures/s, 1 | of 64 | pictures seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(rows, key=lambda row: -row.score.pooled):
        speed = [f"{rate:.1f}" for rate in row.rates] if row.rates else ["", ""]
        cells = [
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e6:,.1f} M" if row.multiply_adds else "",
            f"{row.score.pooled:.3f}",
            f"{row.score.per_picture:.3f}",
            *speed,
            f"{row.seen:,}" if row.seen else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed pictures to train on")
    parser.add_argument("--minutes", type=float, default=10, help="of training, for each network")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--examples", type=Path, default=SHARED / "data" / "challenge-val.npz")
    parser.add_argument(
        "--published", type=Path, help="the weights that DeePixV1's author published, to be scored as well"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/scoreboard"))
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement of speed")
    parser.add_argument("--output", type=Path, help="write the table to this file")
    options = parser.parse_args()
    for path, flag in ((options.data, "--data"), (options.examples, "--examples"), (options.published, "--published")):
        if path is not None and not path.exists():
            parser.error(f"{path}: no such file; give another with {flag}")

    examples = challenge.read_examples(options.examples)
    pixelated, known, truths = examples.pixelated(), examples.known(), examples.truths()

    def scored(model: str, rounding: Rounding = "nearest") -> challenge.Score:
        estimates = challenge.restorer(model)(pixelated, examples.mosaics, None)
        return challenge.score(challenge.predictions(estimates, known, rounding), truths)

    rows = [Row(name, scored(name)) for name in ("identity", "smooth", "challenge")]  # the last is the shipped model
    for name in options.networks:
        run = options.runs / name.replace(":", "_").replace(",", "-")
        seen = train(name, run, options)
        rows.append(Row(name, scored(str(run)), *cost(networks.create(name), options.seconds), seen))
    if options.published is not None:
        network = weights.import_pickle(options.published)
        imported = options.runs / "published.safetensors"
        weights.save(network, imported, overwrite=True)
        name = "deepixv1:5,5,6,7:3,5, its author's published weights"
        rows.append(Row(name, scored(str(imported), "truncate"), *cost(network, options.seconds)))

    text = (
        f"{options.minutes:g} minutes of training each on {torch.get_num_threads()} threads ({platform.machine()}), "
        f"PyTorch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}; "
        f"scored on the {len(pixelated):,} cases of {options.examples.name}.\n\n{table(rows)}\n"
    )
    print(text)
    if options.output:
        options.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
