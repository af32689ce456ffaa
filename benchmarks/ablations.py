"""What each part of our restorer is worth: networks trained alike but for one thing, and scored alike.

    python benchmarks/ablations.py --data data/challenge.npy

Each variant sees the same number of pictures (--steps times 48) in the same order with the same random mosaics, by
`deepix train restorer:small`, into a folder of --runs; a run that is there already is not repeated, one that was
interrupted goes on. Scores are RMSE over the unknown pixels of a third of challenge-val (or --validate), of the
averaged weights. --other names packed pictures of another kind (Tiny ImageNet, say) to train one variant on. --plot
draws the curves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from deepix.training import networks, stages
from deepix.training.engine import description, record

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BASE = {"optimizer": "muon", "lr": "1e-3", "patch": "40", "mosaics": "1 3", "precision": "bf16-mixed", "batch": "48"}
OTHER = "other pictures"
VARIANTS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "as it is": ({}, {}),
    "start from the mosaic": ({}, {"rounds": []}),
    "18 steps of smoothing, not 9": ({}, {"rounds": [6, 6, 6]}),
    "no grid": ({}, {"grid": False}),
    "no projection": ({}, {"consistent": False}),
    "no normalisation": ({}, {"norm": False}),
    "leaky ReLUs, no gates": ({}, {"gate": False}),
    "tanh as output activation": ({}, {"bounded": True}),
    "attention at the bottom": ({}, {"attention": True}),
    "from full size": ({}, {"widths": [32, 64, 96, 128], "blocks": [1, 2, 2, 2], "down": 1}),
    "from a quarter": ({}, {"widths": [96, 128], "blocks": [3, 3], "down": 4}),
    "wider": ({}, {"widths": [64, 128, 192]}),
    "deeper": ({}, {"blocks": [3, 3, 4]}),
    "shallower": ({}, {"blocks": [1, 1, 1]}),
    "AdamW, 2e-3": ({"optimizer": "adamw", "lr": "2e-3"}, {}),
    "Muon, 3e-3": ({"lr": "3e-3"}, {}),
    "batches of 16, as many pictures": ({"batch": "16"}, {}),
    "one mosaic in a picture": ({"mosaics": "1 1"}, {}),
    "whole pictures, one mosaic": ({"mosaics": "1 1", "patch": "64"}, {}),
    OTHER: ({}, {}),
}
"""Command line options, and arguments of the network, that differ from `BASE`."""


def train(name: str, options: argparse.Namespace) -> Path:
    """Train a variant by the command that users have, unless that is done."""
    changed, arguments = VARIANTS[name]
    given = {**BASE, **changed}
    run = Path(options.runs) / "".join(c if c.isalnum() else "-" for c in name)
    pictures = options.steps * int(BASE["batch"])
    steps = pictures // int(given["batch"])
    if (run / description.RUN).exists():
        if "result" not in json.loads((run / description.RUN).read_text("utf-8")):
            subprocess.run([sys.executable, "-m", "deepix", "train", "--resume", run], check=True)
        return run
    data = options.other if name == OTHER else options.data
    command = [sys.executable, "-m", "deepix", "train", "restorer:small", "-d", data, "-o", run]
    command += ["--validate", options.validate, "--validate-count", str(options.validate_count)]
    command += ["--steps", str(steps), "--validate-every", str(max(1, steps // 4))]
    for option, value in given.items():
        command += [f"--{option}", *value.split()]
    for argument, content in arguments.items():
        command += ["--set", f"{argument}={json.dumps(content)}"]
    subprocess.run(command, check=True)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="packed pictures to train on")
    parser.add_argument("--validate", type=Path, default=SHARED / "challenge-val.npz")
    parser.add_argument("--other", type=Path, help="packed pictures of another kind, for the variant that has them")
    parser.add_argument("--validate-count", type=int, default=600, help="pictures of it")
    parser.add_argument("--steps", type=int, default=256, help="of 48 pictures each")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--plot", type=Path, help="draw the curves into this file")
    options = parser.parse_args()
    for path, flag in ((options.data, "--data"), (options.validate, "--validate"), (options.other, "--other")):
        if path is not None and not path.exists():
            parser.error(f"{path}: no such file; give another with {flag}")
    rows, runs = [], []
    for name in options.variants:
        if name == OTHER and options.other is None:
            continue
        run = train(name, options)
        runs.append(str(run))
        config = json.loads((run / description.RUN).read_text("utf-8"))["network"]["config"]
        log = record.read_log(run, stages.get(stages.DEFAULT))
        rows.append((name, networks.create(**config).parameter_count(), log))
    pictures = options.steps * int(BASE["batch"])
    print(f"\n{pictures:,} pictures each, RMSE on {options.validate_count} of {options.validate.name}\n")
    print("| variant | parameters | after a quarter | after half | at the end | per picture |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, count, log in rows:
        at = [next(r for r in log if r["step"] >= share * log[-1]["step"]) for share in (1 / 4, 1 / 2, 1)]
        scores = " | ".join(f"{r['val_rmse']:.3f}" for r in at)
        print(f"| {name} | {count:,} | {scores} | {at[-1]['val_rmse_per_picture']:.3f} |")
    if options.plot:
        command = [sys.executable, "-m", "deepix", "plot", *runs, "-o", str(options.plot), "--against", "epoch"]
        subprocess.run([*command, "--overwrite"], check=True)


if __name__ == "__main__":
    main()
