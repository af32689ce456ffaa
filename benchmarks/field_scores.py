"""What counts in a row of the field, and whether it reaches its bar.

A mosaic is found if one that is reported with confidence ≥ `deepix.finder.SURE` has an intersection over union of at
least 0.8 with its visible pixels; it is right if its cells' width and height are the truth's within 2 %, too. "any
confidence" counts what `deepix find` reports as unsure, as well. A report is extra if it is no mosaic's: IoU below 0.5
with all of them, or another report has a larger one with the same. An alarm is any report in a picture without mosaics.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from field_case import Case
from finding import brief, overlap
from numpy.typing import NDArray
from typer.testing import CliRunner

from deepix import images, pipeline
from deepix.cli import app
from deepix.finder import SURE
from deepix.mosaic import Mosaic
from deepix.options import Options

Array = NDArray[Any]
OVERLAP, SIZE, OWN, WORSE = 0.8, 0.02, 0.5, 1.01
TABLE = ("┏", "┃", "┡", "│", "└", "┌", "├", "╭", "╰")
"""How lines of tables begin, which are no messages."""
OPTIONS = Options(threads=1)

Bars = dict[str, float]
"""Shares in percent that a row must reach (`AT_LEAST`), or must not exceed (all others)."""
AT_LEAST = ("found", "right", "found and right", "nearer")


def percent(part: float, whole: float) -> float | None:
    """Return a share in percent, None of nothing."""
    return 100 * part / whole if whole else None


class Found:
    """What was found of mosaics."""

    def __init__(self) -> None:
        self.pictures = self.true = self.found = self.right = self.unsure = self.extra = self.shared = 0

    def add(self, case: Case) -> tuple[list[str], list[Mosaic]]:
        """Find the mosaics of a case; return a line for each fault, and the reports."""
        picture = images.load(case.content)
        reported = list(pipeline.locate(picture, OPTIONS).mosaics)
        return self.count(case, reported, picture.pixels.shape), reported

    def count(self, case: Case, reported: list[Mosaic], shape: tuple[int, ...]) -> list[str]:
        """Count what was reported."""
        faults = []
        self.pictures += 1
        self.true += len(case.truth)
        sure = [m for m in reported if m.confidence >= SURE]
        owned = set()
        for truth in case.truth:
            best = max(reported, key=lambda m, t=truth: overlap(m, t), default=None)  # type: ignore[misc]
            value = overlap(best, truth) if best else 0.0
            if best is None or value < OVERLAP:
                what = f"; best {brief(best)} ({best.confidence:.2f})" if best and value else ""
                faults.append(f"missed ({value:.2f}): {brief(truth)}{what}")
                continue
            self.unsure += 1
            if best.confidence < SURE:
                faults.append(f"unsure ({best.confidence:.2f}): {brief(truth)}; {brief(best)}")
                continue
            self.found += 1
            if same_cells(best, truth):
                self.right += 1
            else:
                faults.append(f"cells: {brief(truth)}; found {brief(best)} ({best.confidence:.2f})")
        for truth in case.truth:
            best = max(sure, key=lambda m, t=truth: overlap(m, t), default=None)  # type: ignore[misc]
            if best is not None and overlap(best, truth) >= OWN:
                owned.add(id(best))
        others = [m for m in sure if id(m) not in owned]
        self.extra += len(others)
        faults += [f"extra: {brief(m)} ({m.confidence:.2f})" for m in others]
        claimed = np.zeros(shape[:2], np.uint8)
        for m in reported:
            claimed[m.box] += m.area
        self.shared += bool((claimed > 1).any())
        return faults

    def figures(self) -> dict[str, float | None]:
        """Return the row's figures, in percent."""
        return {
            "mosaics": self.true,
            "found": percent(self.found, self.true),
            "right": percent(self.right, self.found),
            "found and right": percent(self.right, self.true),
            "any confidence": percent(self.unsure, self.true),
            "extra": percent(self.extra, self.true),
            "shared": percent(self.shared, self.pictures),
        }


def same_cells(found: Mosaic, truth: Mosaic) -> bool:
    """Whether the cells are as wide and as high as they should be, within 2 %."""
    sizes = ((found.grid.width, truth.grid.width), (found.grid.height, truth.grid.height))
    return all(abs(size / true - 1) <= SIZE for size, true in sizes)


class Alarms:
    """What was reported where nothing is."""

    def __init__(self) -> None:
        self.pictures = self.alarms = self.sure = 0

    def add(self, case: Case) -> tuple[list[str], list[Mosaic]]:
        """Look for mosaics in a clean picture; return a line for each that is reported, and the reports."""
        reported = list(pipeline.locate(images.load(case.content), OPTIONS).mosaics)
        self.pictures += 1
        self.alarms += bool(reported)
        self.sure += any(m.confidence >= SURE for m in reported)
        return [f"alarm: {brief(m)} ({m.confidence:.2f})" for m in reported], reported

    def figures(self) -> dict[str, float | None]:
        """Return the row's figures, in percent."""
        return {
            "alarms": percent(self.alarms, self.pictures),
            "sure alarms": percent(self.sure, self.pictures),
        }


class Restored:
    """How near to the truth restorations come, and how near the mosaics were."""

    def __init__(self) -> None:
        self.found = Found()
        self.ratios: list[float] = []

    def add(self, case: Case) -> tuple[list[str], list[Mosaic]]:
        """Restore a case as `deepix restore` does; return faults, and what was reported."""
        assert case.target is not None
        picture = images.load(case.content)
        located = pipeline.locate(picture, OPTIONS)
        reported = list(located.mosaics)
        faults = self.found.count(case, reported, picture.pixels.shape)
        restored = pipeline.restore(picture, pipeline.decide(located, OPTIONS)[0], OPTIONS).picture.pixels
        before, after = (squares(pixels, case.target) for pixels in (picture.pixels, restored))
        self.ratios.append(float(np.sqrt(after / max(before, 1e-9))))
        if self.ratios[-1] >= 1:
            faults.append(f"RMSE {self.ratios[-1]:.3f} times that of the mosaic")
        return faults, reported

    def figures(self) -> dict[str, float | None]:
        """Return the row's figures, in percent, but for the ratio of RMSEs."""
        ratios = np.array(self.ratios)
        return {
            **self.found.figures(),
            "nearer": percent(float((ratios < 1).sum()), len(ratios)),
            "worse": percent(float((ratios > WORSE).sum()), len(ratios)),
            "median ratio": float(np.median(ratios)) if len(ratios) else None,
        }


def squares(pixels: Array, target: Array) -> float:
    """Return the sum of squared differences of a picture, gray or in colour, to the target in colour."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return float(((pixels[..., :3].astype(np.float64) - target) ** 2).sum())


class Told:
    """What `deepix restore` says and does where the cells are none that it knows."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.cases = self.restored = self.worse = self.nearer = self.advised = 0

    def add(self, case: Case) -> tuple[list[str], list[Mosaic]]:
        """Run the command on a case; return what it said, and what it finds."""
        assert case.target is not None
        with tempfile.TemporaryDirectory(prefix="field-") as folder:
            source, output = Path(folder) / f"picture{case.suffix}", Path(folder) / "restored.png"
            source.write_bytes(case.content)
            result = CliRunner().invoke(app, ["restore", str(source), "-o", str(output), "--threads", "1"])
            restored = images.read(output).pixels if output.exists() else None
        said = [line.strip() for line in result.output.replace(f"{folder}/", "").splitlines() if line.strip()]
        said = [line for line in said if not line.startswith(TABLE)]
        self.cases += 1
        self.messages.update(re.sub(r"\d+(\.\d+)?", "N", line) for line in said)
        self.advised += any("name it with --area" in line for line in said)
        if restored is not None:
            before, after = (squares(p, case.target) for p in (images.load(case.content).pixels, restored))
            ratio = float(np.sqrt(after / max(before, 1e-9)))
            self.restored += 1
            self.worse += ratio > WORSE
            self.nearer += ratio < 1
            said.append(f"RMSE {ratio:.3f} times that of the mosaic")
        return said, list(pipeline.locate(images.load(case.content), OPTIONS).mosaics)

    def figures(self) -> dict[str, float | None]:
        """Return the row's figures, in percent."""
        return {
            "restored": percent(self.restored, self.cases),
            "nearer": percent(self.nearer, self.cases),
            "worse": percent(self.worse, self.cases),
            "told of --area": percent(self.advised, self.cases),
        }


Score = Found | Alarms | Restored | Told


def verdicts(figures: dict[str, float | None], bars: Bars) -> dict[str, bool | None]:
    """Return whether each bar is reached; None where there is no figure."""
    result: dict[str, bool | None] = {}
    for name, bar in bars.items():
        value = figures.get(name)
        result[name] = None if value is None else value >= bar if name in AT_LEAST else value <= bar
    return result
