"""Curves of one or more runs, and pictures written small."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from deepix import files, images
from deepix.errors import OutputError

if TYPE_CHECKING:
    from deepix.training.engine.stage import Line, Panel, Row, Stage

MANY = 4
"""Runs up to which their training errors are drawn, too."""
AXES = {"minutes": "minutes of training", "step": "steps", "epoch": "epochs"}
"""What may stand at the x axis: columns of the log, and their labels."""


def can_draw() -> bool:
    """Return whether curves can be drawn: matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def curves(logs: Mapping[str, Sequence[Row]], stage: Stage, output: Path | str, against: str = "minutes") -> None:
    """Draw the curves of runs of one stage into one picture.

    Parameters
    ----------
    logs : rows of the log by the runs' names; each gets a colour, training is dashed and validation drawn through, its
        best marked; of more than `MANY` runs only the validation is drawn, each with a colour and dashes of its own,
        and outliers are cut off
    stage : whose panels are drawn
    output : a file whose name ends as matplotlib knows it (.png, .svg, .pdf …); an existing one is replaced
    against : what stands on the x axis, see `AXES`

    Raises
    ------
    OutputError : the picture cannot be written
    """
    from matplotlib.figure import Figure

    output = Path(output)
    many = len(logs) > MANY
    width = 9 + 3 * many + 4 * (len(stage.panels) - 1)
    figure = Figure(figsize=(width, 6 if many else 5.5), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(stage.panels), squeeze=False)[0], stage.panels, strict=True):
        _draw(axes, panel, logs, stage, against)
        if axes.get_legend_handles_labels()[0]:
            if many:
                figure.legend(loc="outside right upper")
            else:
                axes.legend()
    drawn = BytesIO()
    try:
        figure.savefig(drawn, dpi=120, format=output.suffix[1:] or "png")
    except ValueError as error:  # a suffix that matplotlib does not know
        raise OutputError(f"{output}: {error}") from error
    files.write_bytes(output, drawn.getvalue(), overwrite=True)


def _draw(axes: Any, panel: Panel, logs: Mapping[str, Sequence[Row]], stage: Stage, against: str) -> None:
    """Draw a panel."""
    many = len(logs) > MANY
    shown: list[float] = []
    drawn = [line for line in panel.lines if not (many and line.of_training)]
    for i, (name, rows) in enumerate((n, rows) for n, rows in logs.items() if rows):
        for k, line in enumerate(drawn):
            colour = f"C{(i if line.of_training or line.decides else i + k) % 10}"
            dashes = "--" if line.of_training else ("-", "--", ":", "-.")[i // 10 % 4]
            shown += _draw_line(axes, line, name, rows, stage, (against, colour, dashes))
    if panel.bounds:
        axes.set_ylim(*panel.bounds)
    elif shown:
        low, high = np.quantile(shown, (0, 0.9 if many else 1))
        margin = 0.05 * (high - low) + 0.005 * abs(low)
        axes.set_ylim(low - margin, high + margin)
    axes.set_xlabel(AXES[against])
    axes.set_ylabel(panel.label)
    axes.grid(alpha=0.3)


def _draw_line(
    axes: Any, line: Line, name: str, rows: Sequence[Row], stage: Stage, style: tuple[str, str, str]
) -> list[float]:
    """Draw a line of a run; return the values that should be seen: the first ones are far above all others."""
    against, colour, dashes = style
    x, y = [row[against] for row in rows], [line.value(row) for row in rows]
    if line.of_training:
        axes.plot(x, y, dashes, color=colour, linewidth=1, alpha=0.7, label=f"{name}: {line.label}")
    else:
        label = f"{name}: {line.label}"
        if line.decides:
            best = rows.index(stage.criterion.best(rows))
            axes.plot(x[best], y[best], "o", color=colour)
            label += f", best {y[best]:.2f}"
        axes.plot(x, y, dashes, color=colour, marker="." if len(rows) < 3 else "", label=label)
    return y[len(y) // 10 :]


def write_small(drawn: Image.Image, path: Path) -> None:
    """Write a drawing as a small PNG file, in few colours."""
    buffer = BytesIO()
    drawn.convert("RGB").quantize(32).save(buffer, "PNG", optimize=True)
    files.write_bytes(path, buffer.getvalue(), overwrite=True)


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture; its folder is made.

    Raises
    ------
    OutputError : it cannot be written
    """
    files.make_folder(path.parent)
    images.write(images.from_pil(image), path, overwrite=True)
