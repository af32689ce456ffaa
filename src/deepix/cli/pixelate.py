"""The verb that hides: pixelate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepix.cli import options
from deepix.cli.common import count, note
from deepix.cli.photos import Json, Overwrite, Quiet
from deepix.errors import InputError
from deepix.options import Options

if TYPE_CHECKING:
    from deepix import images
    from deepix.mosaic import Mosaic


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    app.command()(pixelate)


def pixelate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture.", show_default=False, readable=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The file to write.")],
    area: options.Areas = None,
    mask: options.MaskFile = None,
    cell: options.Cell = None,
    cell_value: Annotated[
        options.CellValue,
        typer.Option(
            help="What a cell shows: the mean of its pixels, the middle one (sample), the least or the greatest value, "
            "or the mean of light (linear)."
        ),
    ] = options.CellValue.mean,
    random: Annotated[int | None, typer.Option(metavar="N", min=1, help="N random areas.", show_default=False)] = None,
    first_frame: options.FirstFrame = False,
    max_pixels: options.MaxPixels = None,
    seed: Annotated[int, typer.Option(help="Of the random areas.")] = 0,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and other lossy output.")] = 95,
    as_json: Json = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Pixelate parts of a picture; --json prints where they are.

    [bold]Examples[/]

      deepix pixelate photo.png -o hidden.png --area 120,80,200,150 --cell 16

      deepix pixelate photo.png -o hidden.png --mask face.png --cell 24

      deepix pixelate photo.png -o puzzle.png --random 3 --seed 7
    """
    if sum((bool(area), mask is not None, random is not None)) != 1:
        raise typer.BadParameter("say what to pixelate: one of --area, --mask, --random")
    areas = [options.area(text) for text in area or ()]
    if (mask or any(len(a) == 4 for a in areas)) and cell is None:
        raise typer.BadParameter("say how large the cells are: --cell N")
    from deepix import images
    from deepix import mosaic as maths

    images.check_target(output, source, overwrite=overwrite)
    most = images.MAX_PIXELS if max_pixels is None else max_pixels
    picture = images.read(source, first_frame=first_frame, max_pixels=most)
    Options(areas=tuple(areas), cell=cell).check_cells(picture.pixels.shape)
    try:
        if random is not None:
            mosaics = _drawn(picture, random, seed, cell)
        elif mask is not None:
            mosaics = [_masked(picture, source, mask, cell or 1)]
        else:
            mosaics = [maths.Mosaic.rectangle(*a[:4], a[4] if len(a) == 5 else cell or 1) for a in areas]
        mosaics = [m.showing(maths.CellValue(cell_value.value)) for m in mosaics]
        pixels = maths.pixelate(picture.pixels, mosaics)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    images.write(picture.with_pixels(pixels), output, overwrite=overwrite, quality=quality, source=source)
    if as_json:
        typer.echo(json.dumps({"output": str(output), "mosaics": [m.to_dict() for m in mosaics]}))
    elif not quiet:
        note(f"{source} -> {output}: {count(len(mosaics), 'area')} pixelated")


def _drawn(picture: images.Picture, number: int, seed: int, cell: int | None) -> list[Mosaic]:
    import numpy as np

    from deepix import mosaic as maths

    cells = (cell, cell) if cell else (4, 48)
    return maths.random_mosaics(picture.pixels.shape, number, np.random.default_rng(seed), cells)


def _masked(picture: images.Picture, source: Path, mask: Path, cell: int) -> Mosaic:
    """Return the mosaic of a mask; its grid starts at the mask's own corner, as selections in paint programs do."""
    import numpy as np

    from deepix import images
    from deepix import mosaic as maths

    array = images.read_mask(mask)
    if array.shape != picture.pixels.shape[:2]:
        raise InputError(f"{mask}: is not of the size of {source}")
    y, x = (int(np.flatnonzero(array.any(axis=axis))[0]) if array.any() else 0 for axis in (1, 0))
    return maths.Mosaic.from_mask(array, maths.Grid(x, y, cell, cell))
