"""The proof that our DeePixV1 is its author's: his published weights, imported, give his scores.

    python benchmarks/import_proof.py [--weights FILE.pt|FILE.safetensors] [--data FILE.npz]

Inputs are scaled by 1/255, predictions × 255 are cut off to integers, as he did. Exits with 1 if a score is off.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from shared_data import DATA, need

from deepix import challenge
from deepix.training import weights
from deepix.training.predict import predict

EXPECTED = (20.203, 15.978)
TOLERANCE = 0.01


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, default=DATA.parent / "seed" / "Deepixv1(5,5,6,7)(3,5)_extensive.pt")
    parser.add_argument("--data", "--challenge-val", type=Path, default=DATA / "challenge-val.npz")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    need(options.weights, option="--weights")
    need(options.data)

    load = weights.load if options.weights.suffix == weights.SUFFIX else weights.import_pickle
    network = load(options.weights)
    examples = challenge.read_examples(options.data)
    pixelated, known, truths = examples.pixelated(), examples.known(), examples.truths()
    start = time.perf_counter()
    estimates = predict(network, pixelated, examples.mosaics, options.batch, options.device)
    rate = len(pixelated) / (time.perf_counter() - start)
    ours = challenge.score(challenge.predictions(estimates, known, "truncate"), truths)
    identity = challenge.score([picture[~k] for picture, k in zip(pixelated, known, strict=True)], truths)
    met = max(abs(ours.pooled - EXPECTED[0]), abs(ours.per_picture - EXPECTED[1])) <= TOLERANCE

    print(f"{network.config}: {sum(p.numel() for p in network.parameters()):,} parameters")
    print(f"{ours.count:,} pictures, {ours.pixels:,} unknown pixels; RMSE pooled | per picture")
    print(f"  identity  {identity.pooled:.3f} | {identity.per_picture:.3f}")
    print(f"  imported  {ours.pooled:.3f} | {ours.per_picture:.3f}")
    print(f"  expected  {EXPECTED[0]:.3f} | {EXPECTED[1]:.3f}, within {TOLERANCE}: {'yes' if met else 'NO'}")
    print(f"{rate:.1f} pictures/s on {next(network.parameters()).device}, batches of {options.batch}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
