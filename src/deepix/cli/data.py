"""deepix data …: training pictures, packed into one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepix import threads
from deepix.cli.common import note, out, progress_bar, show_log
from deepix.errors import DeepixError

if TYPE_CHECKING:
    from deepix.training.data.crops import Crops
    from deepix.training.data.packing import Progress

app = typer.Typer(no_args_is_help=True, help="Pack training pictures into one file, and inspect it.")


def register(to: typer.Typer) -> None:
    """Add the verb, which has verbs of its own, to another app."""
    to.add_typer(app, name="data")


_SHOWN = 10  # skipped pictures that are named on the screen; FILE.json names all


Sources = Annotated[
    list[Path],
    typer.Argument(metavar="SOURCE", help="Folders, zip or tar archives, STL-10 .bin, .npy, .npz or pictures."),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the packed file, *.npy.")]
Number = Annotated[
    int | None,
    typer.Option(
        "--crops",
        min=1,
        help="Random resized crops to take from each picture, instead of the challenge's preparation.",
    ),
]
Size = Annotated[int | None, typer.Option(min=1, show_default="64", help="Width and height of a crop, in pixels.")]
Scale = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LEAST GREATEST", show_default="0.1 1", help="Range of a crop's share of the picture's area."),
]
Ratio = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LEAST GREATEST", show_default="0.75 1.333", help="Range of a crop's aspect ratio."),
]
Enlarge = Annotated[
    float | None, typer.Option(min=1, show_default="1", help="Largest factor by which a crop may be enlarged.")
]
OwnSize = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        min=0,
        max=1,
        show_default="0",
        help="Share of the crops that are squares of a picture's own pixels, for which the three above do not count.",
    ),
]
Colour = Annotated[bool, typer.Option("--colour", "--color", help="Keep the colours; otherwise crops are grayscale.")]
Seed = Annotated[int | None, typer.Option(min=0, show_default="0", help="Seed of the random crops.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, max=256, show_default="all cores", help="Processes that decode and resize."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


@app.command()
def pack(
    sources: Sources,
    output: Output,
    number: Number = None,
    size: Size = None,
    scale: Scale = None,
    ratio: Ratio = None,
    enlarge: Enlarge = None,
    own_size: OwnSize = None,
    colour: Colour = False,
    seed: Seed = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Pack pictures into one file for training.

    Each picture is prepared as the challenge does it (its middle, 64x64,
    grayscale), or --crops takes random parts of larger pictures.

    FILE.json, written beside it, records where the pictures come from.
    Pictures that cannot be used are named there, and the first ones on the
    screen; the exit code is 0 as long as one could be used.

    [bold]Examples[/]

      deepix data pack photos/ stl10/unlabeled_X.bin -o train.npy

      deepix data pack imagenet.zip -o crops.npy --crops 40 --size 128 --colour
    """
    from deepix.training.data.packed import information_path
    from deepix.training.data.packing import pack as write_packed

    given = {"size": size, "scale": scale, "ratio": ratio, "enlarge": enlarge, "own_size": own_size, "seed": seed}
    crops = _crops(number, {**given, "colour": colour or None})
    with show_log(quiet), _progress(quiet) as progress:
        report = write_packed(
            sources,
            output,
            crops=crops,
            jobs=jobs or threads.count(),
            overwrite=overwrite,
            progress=progress,
        )
    if quiet:
        return
    for line in report.skipped[:_SHOWN]:
        note(f"skipped: {line}")
    if len(report.skipped) > _SHOWN:
        note(f"… {len(report.skipped) - _SHOWN} more: see {information_path(output)}")
    skipped = f" ({len(report.skipped)} skipped)" if report.skipped else ""
    out.print(f"{report.path}: {_shape(report.shape)} from {report.read} pictures{skipped}", markup=False)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A file that deepix data pack wrote.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PNG", show_default="FILE.png", help="Where to write the contact sheet."
        ),
    ] = None,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 16,
    rows: Annotated[int, typer.Option(min=1, help="Rows of pictures.")] = 10,
    check: Annotated[bool, typer.Option("--check", help="Verify the checksum of the pixels.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Overwrite an existing contact sheet.")] = False,
) -> None:
    """Draw a contact sheet of a packed file, and print where its pictures come from.

    [bold]Examples[/]

      deepix data show train.npy

      deepix data show train.npy -o sheet.png --columns 8 --rows 4 --check
    """
    from rich.table import Table

    from deepix import images
    from deepix.training.data.contact_sheets import contact_sheet
    from deepix.training.data.packed import open_packed

    packed = open_packed(file)
    target = output or file.with_name(file.name + ".png")
    sheet = contact_sheet(packed.pixels, columns, rows)
    images.write(images.from_pil(sheet), target, overwrite=overwrite)
    if check:
        packed.check()

    table = Table("source", "kind", "pictures", "used", title=f"{file}: {_shape(packed.pixels.shape)}")
    for source in packed.info["sources"]:
        table.add_row(*(str(source[name]) for name in ("path", "kind", "pictures", "used")))
    out.print(table)
    preparation = packed.info["preparation"]
    if preparation == "challenge":
        out.print("prepared as the challenge does it")
    else:
        settings = ", ".join(f"{name} {value}" for name, value in preparation["crops"].items())
        out.print(f"random resized crops: {settings}", markup=False)
    out.print(f"sha256 of the pixels: {packed.info['sha256']}{' (agrees)' if check else ''}")
    out.print(f"contact sheet: {target}", markup=False)


def _crops(number: int | None, given: Mapping[str, Any]) -> Crops | None:
    """Return how crops are taken; None without any. What is None among the settings is left to its default."""
    from deepix.training.data.crops import Crops

    settings = {name: value for name, value in given.items() if value is not None}
    if number is None and settings:
        raise DeepixError(f"--{next(iter(settings))} is about crops: give their number with --crops, too")
    try:
        return None if number is None else Crops(number, **settings)
    except ValueError as error:
        raise DeepixError(str(error)) from error


def _shape(shape: tuple[int, ...]) -> str:
    number, height, width, *colour = shape
    return f"{number:,} pictures, {width}x{height}, {'colour' if colour else 'gray'}"


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """Show a progress bar on standard error; yields the function that moves it."""
    with progress_bar(not quiet) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
