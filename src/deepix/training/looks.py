"""What one looks at while a network learns: its log, curves of one or more runs, and sheets of samples."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deepix import files, images
from deepix.errors import InputError, OutputError
from deepix.training.mosaics import Sample

LOG = "log.csv"
"""The log in a run's folder: a row for each validation."""

COLUMNS = ("step", "epoch", "minutes", "lr", "loss", "train_rmse", "val_rmse", "val_rmse_per_picture")
"""Of the log. `loss` and `train_rmse` are means since the row before; RMSE is of unknown pixels, on the 0–255 scale."""

MANY = 4
"""Runs up to which their training errors are drawn, too."""
ERROR_GAIN = 3
"""How much brighter than it is a sample sheet shows the error."""

Row = Mapping[str, float]

_GAP, _MARGIN, _CAPTION = 4, 8, 20


def read_log(run: Path | str) -> list[dict[str, float]]:
    """Return the rows of a run's log, each with the `COLUMNS`.

    Raises
    ------
    InputError : there is no log, or it is none of ours
    """
    path = Path(run) / LOG
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: not the log of a run (its first line is not {','.join(COLUMNS)})")
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is this the folder of a run that has validated?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    try:
        return [{name: float(row[name]) for name in COLUMNS} for row in rows]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a damaged row ({error})") from error


def write_log(run: Path | str, rows: Sequence[Row]) -> None:
    """Write a run's log anew, in one step."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(Path(run) / LOG, text.getvalue().encode(), overwrite=True)


def can_draw() -> bool:
    """Return whether curves can be drawn: matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def curves(runs: Sequence[Path | str], output: Path | str, against: str = "minutes") -> None:
    """Draw the training and validation errors of runs into one picture.

    Parameters
    ----------
    runs : folders; each gets a colour, training is dashed and validation drawn through, its best marked; of more than
        `MANY` runs only the validation is drawn, each with a colour and dashes of its own, and outliers are cut off
    output : a file whose name ends as matplotlib knows it (.png, .svg, .pdf …); an existing one is replaced
    against : what stands on the x axis: "minutes", "step" or "epoch"

    Raises
    ------
    InputError : a folder has no log
    OutputError : the picture cannot be written
    """
    from matplotlib.figure import Figure

    output = Path(output)
    logs = [read_log(run) for run in runs]
    many = len(runs) > MANY
    figure = Figure(figsize=(12, 6) if many else (9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    shown: list[float] = []
    for i, (run, rows) in enumerate(zip(runs, logs, strict=True)):
        if not rows:
            continue
        x = [row[against] for row in rows]
        train, validation = ([row[name] for row in rows] for name in ("train_rmse", "val_rmse"))
        best = min(range(len(rows)), key=validation.__getitem__)
        name, colour = Path(run).resolve().name, f"C{i % 10}"
        if not many:
            axes.plot(x, train, "--", color=colour, linewidth=1, alpha=0.7, label=f"{name}: training")
            shown += train[len(train) // 10 :]  # the first values are far above all others
        label = f"{name}: {'' if many else 'validation, '}best {validation[best]:.2f}"
        dashes = ("-", "--", ":", "-.")[i // 10 % 4]
        axes.plot(x, validation, dashes, color=colour, marker="." if len(rows) < 3 else "", label=label)
        axes.plot(x[best], validation[best], "o", color=colour)
        shown += validation[len(validation) // 10 :]
    if shown:
        low, high = np.quantile(shown, (0, 0.9 if many else 1))
        axes.set_ylim(low - 0.05 * (high - low) - 0.1, high + 0.05 * (high - low) + 0.1)
    axes.set_xlabel({"minutes": "minutes of training", "step": "steps", "epoch": "epochs"}[against])
    axes.set_ylabel("RMSE over unknown pixels (0–255)")
    axes.grid(alpha=0.3)
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


def sample_sheet(sample: Sample, prediction: Tensor, caption: str) -> Image.Image:
    """Return a picture of samples: truth, pixelated, prediction and error side by side, a row for each.

    The error is the absolute difference, `ERROR_GAIN` times as bright; beside it stands its RMSE over unknown pixels.

    Parameters
    ----------
    sample : with its truth; B pictures
    prediction : (B, C, H, W), values in [0, 1]
    caption : the line above
    """
    if sample.truth is None:
        raise ValueError("a sample sheet needs the truth")
    truth, pixelated, predicted = (
        t.detach().float().cpu().clamp(0, 1) for t in (sample.truth, sample.pixelated, prediction)
    )
    unknown = ~sample.mosaics.known.cpu()
    difference = (predicted - truth).abs()
    squares = (difference.square() * unknown).sum(dim=(1, 2, 3))
    rmse = 255 * (squares / (unknown.sum(dim=(1, 2, 3)) * truth.shape[1]).clamp(min=1)).sqrt()
    columns = {
        "truth": truth,
        "pixelated": pixelated,
        "prediction": predicted,
        f"error x {ERROR_GAIN}": difference.mul(ERROR_GAIN).clamp(max=1),
    }
    count, _, height, width = truth.shape
    factor = max(1, 160 // width)
    wide, high = width * factor + _GAP, height * factor + _GAP
    font = ImageFont.load_default(14)
    top = _MARGIN + 2 * _CAPTION
    sheet = Image.new("RGB", (_MARGIN + len(columns) * wide + 64, top + count * high + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), caption, "black", font)
    for column, (title, pictures) in enumerate(columns.items()):
        x = _MARGIN + column * wide
        draw.text((x + width * factor / 2, top - _CAPTION / 2), title, "black", font, anchor="mm")
        for row, pixels in enumerate(_bytes(pictures)):
            image = Image.fromarray(pixels).convert("RGB")
            image = image.resize((width * factor, height * factor), Image.Resampling.NEAREST)
            sheet.paste(image, (x, top + row * high))
    draw.text((_MARGIN + len(columns) * wide + _GAP, top - _CAPTION / 2), "RMSE", "black", font, anchor="lm")
    for row, value in enumerate(rmse.tolist()):
        place = (_MARGIN + len(columns) * wide + _GAP, top + row * high + height * factor / 2)
        draw.text(place, f"{value:.1f}", "black", font, anchor="lm")
    return sheet


def _bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Return floats (B, C, H, W) in [0, 1] as uint8 (B, H, W) or (B, H, W, 3)."""
    levels = pictures.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return levels[..., 0] if levels.shape[3] == 1 else levels


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture; its folder is made.

    Raises
    ------
    OutputError : it cannot be written
    """
    files.make_folder(path.parent)
    images.write(images.from_pil(image), path, overwrite=True)
