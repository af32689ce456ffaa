"""The options of a restoration on the command line: each declared once, for every verb that takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from deepix.options import MASKS, MOST_VARIANTS, Area, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix.mosaic import Mosaic


class Method(Enum):
    """As `deepix.options.Method`."""

    network = "network"
    smooth = "smooth"


class CellValue(Enum):
    """As `deepix.mosaic.CellValueKind`."""

    mean = "mean"
    sample = "sample"
    min = "min"
    max = "max"
    linear = "linear"


class _Flag(NamedTuple):
    """A field of `Options` as an option of the command line.

    Attributes
    ----------
    name : the parameter's
    type : of the parameter, annotated with the option
    default : of the parameter
    value : makes the field's value of the parameter's
    """

    name: str
    type: Any
    default: Any = None
    value: Callable[[Any], Any] = lambda given: given


def area(text: str) -> Area:
    """Return the area that X,Y,W,H or X,Y,W,H,CELL means.

    Raises
    ------
    BadParameter : it is neither
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (4, 5) or min(numbers[2:]) < 1 or (len(numbers) == 5 and numbers[4] < 2):
        raise typer.BadParameter(f"{text}: an area is X,Y,W,H or X,Y,W,H,CELL, in whole pixels")
    return numbers  # type: ignore[return-value]


def mask(path: Path | None, max_pixels: int | None = None) -> NDArray[np.bool_] | None:
    """Return the mask in a file; None without a file."""
    if path is None:
        return None
    from deepix import images

    return images.read_mask(path, max_pixels=images.MAX_PIXELS if max_pixels is None else max_pixels)


def mosaics(path: Path | None) -> tuple[Mosaic, ...]:
    """Return the mosaics that a file describes; none without a file."""
    if path is None:
        return ()
    from deepix.named_areas import read_mosaics

    return tuple(read_mosaics(path))


Areas = Annotated[
    list[str] | None,
    typer.Option("--area", metavar="X,Y,W,H[,CELL]", help="A rectangle in pixels; may be given several times."),
]
MaskFile = Annotated[
    Path | None, typer.Option("--mask", metavar="FILE", help="A picture of the same size, white where pixelated.")
]
ForeignFile = Annotated[
    Path | None,
    typer.Option(
        "--foreign",
        metavar="FILE",
        help="A picture of the same size, white where something was drawn over or beside mosaics: a frame, a caption.",
    ),
]
MosaicsFile = Annotated[
    Path | None,
    typer.Option(
        "--mosaics",
        metavar="FILE",
        help="Areas with their grids, as deepix find --json prints those of a picture.",
        show_default=False,
    ),
]
FirstFrame = Annotated[
    bool,
    typer.Option("--first-frame", help="Of an animation (GIF, WebP, APNG), use the first frame; else it is refused."),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help=r"Refuse pictures with more pixels, for the memory they take. \[default: 200 million]",
        show_default=False,
    ),
]
Cell = Annotated[int | None, typer.Option("--cell", min=2, help="The cells' size in pixels.", show_default=False)]

CellValueOption = Annotated[
    CellValue | None,
    typer.Option(
        "--cell-value",
        help="What a cell shows: the mean of its pixels, one of them (sample), the least or the greatest value, or the "
        r"mean of light (linear). \[default: told from the picture]",
        show_default=False,
    ),
]

FLAGS = {
    "areas": _Flag("area", Areas, None, lambda given: tuple(area(text) for text in given or ())),
    "mask": _Flag("mask", MaskFile),
    "foreign": _Flag("foreign", ForeignFile),
    "mosaics": _Flag("mosaics", MosaicsFile),
    "cell": _Flag("cell", Cell),
    "cell_value": _Flag("cell_value", CellValueOption, None, lambda given: given and given.value),
    "fast": _Flag(
        "fast",
        Annotated[
            bool,
            typer.Option("--fast", help="Find without the network: only intact rectangles, cells in whole pixels."),
        ],
        False,
    ),
    "threshold": _Flag(
        "threshold",
        Annotated[
            float | None,
            typer.Option(
                metavar="T",
                min=0,
                max=1,
                help=r"Restore what was found with at least this confidence. \[default: 0.5]",
                show_default=False,
            ),
        ],
    ),
    "force": _Flag(
        "force",
        Annotated[
            bool, typer.Option("--force", help="Restore everything that was found, however unsure: a threshold of 0.")
        ],
        False,
    ),
    "method": _Flag(
        "method",
        Annotated[Method, typer.Option(help="A trained network, or the training-free restorer.", show_default=True)],
        Method.network,
        lambda given: given.value,
    ),
    "model": _Flag(
        "model",
        Annotated[
            str | None,
            typer.Option(
                metavar="NAME|FILE", help=r"photo, challenge, or an .onnx file. \[default: photo]", show_default=False
            ),
        ],
    ),
    "threads": _Flag(
        "threads",
        Annotated[
            int | None,
            typer.Option(
                metavar="N", min=1, help=r"Threads of the processor to use. \[default: all cores]", show_default=False
            ),
        ],
    ),
    "detail": _Flag(
        "detail",
        Annotated[
            float,
            typer.Option(
                metavar="T",
                min=0,
                max=1,
                help="Add plausible detail, none (0) to all (1). It is a guess, and never contradicts the mosaic.",
            ),
        ],
        0.0,
    ),
    "variants": _Flag(
        "variants",
        Annotated[
            int,
            typer.Option(
                metavar="N", min=1, max=MOST_VARIANTS, help="Restorations of different detail: NAME, NAME_2 to NAME_N."
            ),
        ],
        1,
    ),
    "seed": _Flag(
        "seed",
        Annotated[
            int, typer.Option(metavar="S", min=0, help="Of the detail; that of each further variant is 1 larger.")
        ],
        0,
    ),
    "first_frame": _Flag("first_frame", FirstFrame, False),
    "max_pixels": _Flag("max_pixels", MaxPixels),
}
"""The fields of `Options` that the command line offers."""


def takes_options(*fields: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator: the verb's parameter `options` becomes these options of the command line."""
    flags = {field: FLAGS[field] for field in fields}

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(verb, eval_str=True).parameters.values():
            if parameter.name != "options":
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
                continue
            parameters += [
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
                for f in flags.values()
            ]

        @wraps(verb)
        def command(**given: Any) -> None:
            asked = {field: flag.value(given.pop(flag.name)) for field, flag in flags.items()}
            for name in MASKS:
                if asked.get(name):
                    asked[name] = mask(asked[name], asked.get("max_pixels"))
            if "mosaics" in asked:
                asked["mosaics"] = mosaics(asked["mosaics"])
            try:
                options = Options(**asked)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
            verb(options=options, **given)

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
