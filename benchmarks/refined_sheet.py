"""The sheet of a refiner's card: parts of validation photos pixelated, restored, refined, and the truth.

    python benchmarks/refined_sheet.py docs/models/refiner-sheet.jpg --skip 12 20
    python benchmarks/refined_sheet.py /tmp/faces.jpg --data ../shared/data/special-val.zip  # never to be committed

The cases are those of `perceptual.py` of sources without people's faces, one after the other, of all sizes of cells.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import perceptual
from numpy.typing import NDArray
from PIL import Image

import deepix
from deepix.inference.models import shipped
from deepix.mosaic import pixelate
from deepix.restorer.refine_model import REFINER

SIDES = 112, 88
"""Width and height of each picture on the sheet, in pixels."""
ACROSS = 3
"""Cases side by side."""
GAP = 4
PIXELS = NDArray[np.uint8]


def strip(case: perceptual.Case, seed: int) -> PIXELS:
    """Return the four pictures of a case: the area and a little around it, the longer side across."""
    m, pixelated = case.mosaic, pixelate(case.truth, [case.mosaic])
    around = max(m.width, m.height) // 12
    box = slice(max(m.y - around, 0), m.y + m.height + around), slice(max(m.x - around, 0), m.x + m.width + around)
    restored, refined = (np.asarray(deepix.restore(pixelated, [m], detail=t, seed=seed).image) for t in (0.0, 1.0))
    parts = []
    for picture in (pixelated, restored, refined, case.truth):
        part = Image.fromarray(picture[box])
        if part.height > part.width:
            part = part.transpose(Image.Transpose.ROTATE_90)
        larger = part.width < SIDES[0]
        parts.append(np.asarray(part.resize(SIDES, Image.Resampling.BICUBIC if larger else Image.Resampling.LANCZOS)))
    return np.concatenate(parts, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a .jpg or .png file, replaced")
    parser.add_argument("--data", type=Path, nargs="+", help="archives or folders of photos")
    parser.add_argument("--cases", type=int, default=24, help="how many; 24 when left out")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument(
        "--skip", type=int, nargs="*", default=[], help="numbers of cases to leave out (people's faces)"
    )
    arguments = parser.parse_args()
    if REFINER not in shipped():
        sys.exit("refined_sheet.py: this installation has no trained refiner")
    # photos of special-val.zip are faces, plates and text
    paths = [p for p in perceptual.sources_of(arguments.data) if arguments.data or "special" not in p.name]
    strips = []
    for number, case in enumerate(perceptual.cases(paths, arguments.cases + len(arguments.skip), arguments.seed)):
        if number not in arguments.skip:
            strips.append(strip(case, number))
            print(f"{number}: {case.name}, cells of {case.mosaic.grid.width:.0f}", file=sys.stderr, flush=True)
    height, width = SIDES[1] + GAP, 4 * SIDES[0] + GAP
    sheet = np.full((-(-len(strips) // ACROSS) * height, ACROSS * width, 3), 255, np.uint8)
    for k, part in enumerate(strips):
        y, x = k // ACROSS * height, k % ACROSS * width
        sheet[y : y + SIDES[1], x : x + 4 * SIDES[0]] = part
    Image.fromarray(sheet).save(arguments.output, quality=85)


if __name__ == "__main__":
    main()
