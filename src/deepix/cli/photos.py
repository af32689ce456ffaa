"""The verbs for pictures: restore, find, pixelate, demo."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepix.cli.common import err, extra, fail, note, out, progress_bar
from deepix.errors import DeepixError, InputError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix import images
    from deepix.mosaic import Mosaic
    from deepix.options import Area

Inputs = Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Name every mosaic, and show where an unexpected error arose.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each file.")]
Areas = Annotated[
    list[str] | None,
    typer.Option("--area", metavar="X,Y,W,H[,CELL]", help="A rectangle in pixels; may be given several times."),
]
MaskFile = Annotated[
    Path | None, typer.Option("--mask", metavar="FILE", help="A picture of the same size, white where pixelated.")
]
Fast = Annotated[
    bool, typer.Option("--fast", help="Find without the network: only intact rectangles, cells in whole pixels.")
]
Cell = Annotated[int | None, typer.Option("--cell", min=2, help="The cells' size in pixels.", show_default=False)]


class Method(Enum):
    """As `deepix.options.Method`, without importing it."""

    network = "network"
    smooth = "smooth"


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""
    for verb in (restore, find, pixelate, demo):
        app.command()(verb)


def restore(
    inputs: Inputs,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File, or folder for several inputs.", show_default=False),
    ] = None,
    area: Areas = None,
    mask: MaskFile = None,
    cell: Cell = None,
    fast: Fast = False,
    force: Annotated[
        bool, typer.Option("--force", help="Restore also what was found with a confidence below 0.5.")
    ] = False,
    method: Annotated[
        Method, typer.Option(help="A trained network, or the training-free restorer.", show_default=True)
    ] = Method.network,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="photo, challenge, or an .onnx file. [default: photo]", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of the network. [default: all cores]", show_default=False)
    ] = None,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the standard deviation expected of each pixel as a heat map; a folder for several inputs.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="The uncertainty as a 16-bit PNG in units of 1/65536 of the range: 1/256 level of 8 bits."
        ),
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write NAME_compare.png: input | restored | uncertainty.")
    ] = False,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and other lossy output, where named.")] = 95,
    as_json: Json = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Restore the pixelated parts of pictures; the rest stays bit for bit.

    The pixelated areas are found, unless --area or --mask names them. Where it is not sure how the cells lie
    (confidence below 0.5), an area is named and left as it is, unless --force is given.

    A restored picture is written beside its input as NAME_restored, or to OUT; a JPEG becomes a PNG unless OUT says
    otherwise, because a lossy file would change the rest. Of a folder, pictures in which nothing is found are named
    and not copied.

    [bold]Examples[/]

      deepix restore photo.jpg

      deepix restore holidays/ -o restored/ --compare

      deepix restore photo.png --area 120,80,200,150,16 -o better.png

      deepix restore photo.png --uncertainty doubt.png
    """
    from deepix import files, images

    if method is Method.smooth and (model or uncertainty):
        raise typer.BadParameter("--model and --uncertainty are of networks, not of --method smooth")
    if raw and not uncertainty:
        raise typer.BadParameter("--raw says how --uncertainty FILE is written: name the file")
    areas = [_area(text) for text in area or ()]
    mask_array = images.read_mask(mask) if mask else None
    jobs = _jobs(inputs, output)
    doubts = dict(_jobs(inputs, uncertainty)) if uncertainty else {}

    written: set[Path] = set()

    def load_network() -> None:
        if method is Method.network:
            from deepix import runtime

            runtime.load(model or runtime.DEFAULT, threads)

    def one(source: Path, target: Path) -> dict[str, Any]:
        target = target if output and target == output else images.default_output(source, target)
        if target in written:  # of a.jpg and a.png beside each other
            target = target.with_stem(f"{target.stem}_{source.suffix[1:]}")
        written.add(target)
        side = target.with_name(f"{target.stem}_compare.png")
        doubt = doubts.get(source)
        if doubt and doubt != uncertainty:
            doubt = doubt.with_name(f"{doubt.stem}_uncertainty.png")
        if doubt and raw and doubt.suffix.lower() != ".png":
            raise OutputError(f"{doubt}: raw uncertainty is written as .png")
        for path in (target, *([side] if compare else ()), *([doubt] if doubt else ())):
            images.check_target(path, source, overwrite=overwrite)
        start = time.perf_counter()
        picture = _read(source, load_network)
        from deepix import finder, pipeline, views
        from deepix.options import Options

        options = Options(
            areas=tuple(areas), mask=mask_array, cell=cell, force=force, method=method.value, model=model,
            threads=threads, fast=fast,
        )  # fmt: skip
        result = pipeline.run(picture, options)
        unsure = result.unsure
        report: dict[str, Any] = {
            "input": str(source),
            "output": None,
            "mosaics": [
                m.to_dict() | {"uncertainty": None if mean is None else round(mean, 3)}
                for m, mean in zip(result.mosaics, result.mean_uncertainties, strict=True)
            ],
            "unsure": [m.to_dict() for m in unsure],
            "threshold": finder.SURE,
            "method": method.value,
            "consistency": result.consistency,
            "noise": round(result.noise, 3),
            "notes": [*picture.notes, *map(_left, unsure)],
        }
        if result.mosaics:
            files.make_folder(target.parent)
            images.write(result.picture, target, overwrite=overwrite, quality=quality, source=source)
            report["output"] = str(target)
            spread = result.uncertainty
            if spread is not None and spread.ndim == 3:
                spread = spread[..., 0]
            if doubt and spread is not None:
                files.make_folder(doubt.parent)
                images.write(_drawn(spread, picture.pixels, raw), doubt, overwrite=overwrite, source=source)
                report["uncertainty"] = str(doubt)
            if compare:
                pictures = [("input", images.to_pil(picture)), ("restored", images.to_pil(result.picture))]
                if spread is not None:
                    pictures.append(("uncertainty", views.heat_map(spread)))
                images.write(images.from_pil(views.side_by_side(pictures)), side, overwrite=overwrite)
                report["compare"] = str(side)
        report["seconds"] = round(time.perf_counter() - start, 3)
        return report

    def say(report: dict[str, Any]) -> str:
        name = Path(report["input"])
        if not report["mosaics"]:
            if area or mask or report["unsure"]:
                return ""
            return f"{name}: nothing pixelated found; name it with --area or --mask"
        text = f"{name} -> {report['output']}: {_count(len(report['mosaics']), 'mosaic')}"
        text += f", {report['seconds']:.1f} s"
        if report["noise"]:
            text += f"; the tiles are noisy ({report['noise']:.1f} levels), cells agree to {report['consistency']:.0f}"
        if report["output"].lower().endswith((".jpg", ".jpeg")):
            text += f"; JPEG of quality {quality}: the rest of the picture changes slightly"
        return text

    _run(jobs, one, say, "restored", as_json=as_json, quiet=quiet, verbose=verbose)


def find(
    inputs: Inputs,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw what was found; a folder for several inputs.", show_default=False),
    ] = None,
    fast: Fast = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find the pixelated areas of pictures and the grids of their cells.

    The confidence, 0 to 1, is that of area and grid together: what is below 0.5 seems to be pixelated, but `deepix
    restore` leaves it as it is unless told otherwise; what is below 0.4 is not reported.

    [bold]Examples[/]

      deepix find photo.png

      deepix find holidays/ --json > mosaics.jsonl

      deepix find photo.png --overlay found.png
    """
    from deepix import files, images

    jobs = _jobs(inputs, overlay)
    rows: list[tuple[str, ...]] = []

    def one(source: Path, target: Path) -> dict[str, Any]:
        if overlay and target != overlay:
            target = target.with_name(f"{target.stem}_found.png")
        if overlay:
            images.check_target(target, source, overwrite=overwrite)
        picture = _read(source, lambda: None if fast else import_module("onnxruntime"))
        from deepix import finder, pipeline, views
        from deepix.options import Options

        mosaics = pipeline.locate(picture, Options(fast=fast)).mosaics
        if overlay:
            files.make_folder(target.parent)
            drawn = images.from_pil(views.overlay(images.to_pil(picture), mosaics))
            images.write(drawn, target, overwrite=overwrite, source=source)
        rows.extend(_row(source, m) for m in mosaics)
        return {
            "input": str(source),
            "size": [picture.pixels.shape[1], picture.pixels.shape[0]],
            "mosaics": [m.to_dict() for m in mosaics],
            "threshold": finder.SURE,
            "overlay": str(target) if overlay else None,
            "notes": list(picture.notes),
        }

    def say(report: dict[str, Any]) -> str:
        return "" if report["mosaics"] else f"{report['input']}: nothing pixelated found"

    def table() -> None:
        from rich.table import Table

        result = Table("file", "area x, y", "size", "cells from", "cell", "confidence", box=None, pad_edge=False)
        for row in rows:
            result.add_row(*row)
        if rows:
            out.print(result)

    _run(jobs, one, say, "with mosaics", as_json=as_json, quiet=quiet, verbose=verbose, finish=table)


def pixelate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The file to write.")],
    area: Areas = None,
    mask: MaskFile = None,
    cell: Cell = None,
    random: Annotated[int | None, typer.Option(metavar="N", min=1, help="N random areas.", show_default=False)] = None,
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
    import numpy as np

    from deepix import images
    from deepix import mosaic as maths

    if sum((bool(area), mask is not None, random is not None)) != 1:
        raise typer.BadParameter("say what to pixelate: one of --area, --mask, --random")
    areas = [_area(text) for text in area or ()]
    if (mask or any(len(a) == 4 for a in areas)) and cell is None:
        raise typer.BadParameter("say how large the cells are: --cell N")
    images.check_target(output, source, overwrite=overwrite)
    picture = images.read(source)
    try:
        if random is not None:
            cells = (cell, cell) if cell else (4, 48)
            mosaics = maths.random_mosaics(picture.pixels.shape, random, np.random.default_rng(seed), cells)
        elif mask is not None:
            array = images.read_mask(mask)
            if array.shape != picture.pixels.shape[:2]:
                raise InputError(f"{mask}: is not of the size of {source}")
            # the grid starts at the mask's own corner, as selections in paint programs do
            y, x = (int(np.flatnonzero(array.any(axis=axis))[0]) if array.any() else 0 for axis in (1, 0))
            mosaics = [maths.Mosaic.from_mask(array, maths.Grid(x, y, cell or 1, cell or 1))]
        else:
            mosaics = [maths.Mosaic.rectangle(*a[:4], a[4] if len(a) == 5 else cell or 1) for a in areas]
        pixels = maths.pixelate(picture.pixels, mosaics)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    images.write(picture.with_pixels(pixels), output, overwrite=overwrite, quality=quality, source=source)
    if as_json:
        typer.echo(json.dumps({"output": str(output), "mosaics": [m.to_dict() for m in mosaics]}))
    elif not quiet:
        note(f"{source} -> {output}: {_count(len(mosaics), 'area')} pixelated")


def demo(
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Pixelated pictures of your own.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the comparisons.")] = Path(
        "demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Show what Deepix does: pixelate real pictures, find and restore the areas, write comparisons.

    The pictures come with scikit-image; pixelated pictures of your own are restored beside them. What an earlier demo
    left in the folder is replaced.

    [bold]Examples[/]

      deepix demo

      deepix demo my-photo.png -o comparisons
    """
    from rich.table import Table

    from deepix import demonstration

    with extra("demo"):
        rows = list(demonstration.run(output, inputs or [], None if quiet else note))
    table = Table("picture", "mosaics", "found", "RMSE pixelated", "RMSE restored", "comparison", box=None)
    for row in rows:
        table.add_row(
            row.name,
            "?" if row.true is None else str(row.true),
            str(row.found),
            "" if row.before is None else f"{row.before:.2f}",
            "" if row.after is None else f"{row.after:.2f}",
            str(row.comparison) if row.comparison else "",
        )
    if not quiet:
        out.print(table)
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _area(text: str) -> Area:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (4, 5) or min(numbers[2:]) < 1 or (len(numbers) == 5 and numbers[4] < 2):
        raise typer.BadParameter(f"{text}: an area is X,Y,W,H or X,Y,W,H,CELL, in whole pixels")
    return numbers  # type: ignore[return-value]


def _read(source: Path, prepare: Callable[[], object]) -> images.Picture:
    """Read a picture and then prepare, and meanwhile import what finds mosaics, which takes as long."""
    from deepix import images

    def read() -> images.Picture:
        picture = images.read(source)
        prepare()
        return picture

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        from deepix import pipeline  # noqa: F401

        return reading.result()


def _drawn(spread: NDArray[np.float32], pixels: NDArray[Any], raw: bool) -> images.Picture:
    """Return standard deviations as a picture to be written."""
    import numpy as np

    from deepix import images, views

    if not raw:
        return images.from_pil(views.heat_map(spread, "levels"))
    unit = 256.0 ** (2 - pixels.dtype.itemsize)  # one level of 16 bits, 1/256 of one of 8 bits
    return images.from_array(np.rint(np.nan_to_num(spread) * unit).clip(0, 65535).astype(np.uint16))


def _row(source: Path, m: Mosaic) -> tuple[str, ...]:
    cell = f"{m.grid.width:.4g} x {m.grid.height:.4g}"
    shape = f"{m.width} x {m.height}" + ("" if m.mask is None else " (mask)")
    return str(source), f"{m.x}, {m.y}", shape, f"{m.grid.x:.5g}, {m.grid.y:.5g}", cell, f"{m.confidence:.2f}"


def _described(m: dict[str, Any]) -> str:
    (x, y, width, height), grid = m["area"], m["grid"]
    cell = f"cells of {grid['cell_width']:.4g} x {grid['cell_height']:.4g} from {grid['x']:.5g}, {grid['y']:.5g}"
    return f"  {width} x {height} at {x}, {y}: {cell}, confidence {m['confidence']:.2f}"


def _left(m: Mosaic) -> str:
    """Return the line that says that an area was left as it is."""
    box = f"{m.x},{m.y},{m.width},{m.height}"
    return f"{m.width} x {m.height} pixels at {m.x}, {m.y} left as they are: not sure of the cells (confidence " + (
        f"{m.confidence:.2f}); --force restores them, --area {box},CELL with cells of your own"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _jobs(inputs: Iterable[Path], output: Path | None) -> list[tuple[Path, Path]]:
    """Pair each input file with where its result goes: OUT for a single file, a place under OUT, or beside it."""
    from deepix import images

    inputs = list(inputs)
    places: dict[Path, images.Found] = {}
    for path in inputs:
        try:
            ours = images.find_pictures([path])
        except InputError:
            if len(inputs) == 1:
                raise
            ours = [images.Found(path, Path(path.name))]  # its turn comes, and reading it says what is wrong
        for f in ours:
            places.setdefault(f.path.resolve(), f)
    found = list(places.values())
    if output is None:
        return [(f.path, f.beside) for f in found]
    single = len(inputs) == 1 and not inputs[0].is_dir() and not output.is_dir()
    if single and output.suffix:
        return [(f.path, output) for f in found]
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output}: is a file; name a folder for several pictures")
    return [(f.path, output / f.relative) for f in found]


def _run(
    jobs: list[tuple[Path, Path]],
    one: Callable[[Path, Path], dict[str, Any]],
    say: Callable[[dict[str, Any]], str],
    done: str,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    finish: Callable[[], None] = lambda: None,
) -> None:
    """Do the jobs one by one under a progress bar; a file that fails is named and the others are still done."""
    counts = {"done": 0, "nothing": 0, "failed": 0}
    with progress_bar(not quiet and len(jobs) > 1) as progress:
        task = progress.add_task("", total=len(jobs))
        for source, target in jobs:
            progress.update(task, description=source.name)
            try:
                report = one(source, target)
            except DeepixError as error:
                counts["failed"] += 1
                text = str(error)
                text = text if str(source) in text else f"{source}: {text}"
                fail(text)
                if as_json:
                    typer.echo(json.dumps({"input": str(source), "error": text}))
            except Exception as error:
                # one strange file must not stop the others of a batch; it still counts as a failure
                counts["failed"] += 1
                fail(f"{source}: unexpected {type(error).__name__}: {error} (--verbose shows where)")
                if verbose:
                    err.print_exception()
                if as_json:
                    typer.echo(json.dumps({"input": str(source), "error": f"{type(error).__name__}: {error}"}))
            else:
                counts["done" if report["mosaics"] else "nothing"] += 1
                if as_json:
                    typer.echo(json.dumps(report))
                elif not quiet:
                    details = [_described(m) for m in report["mosaics"]] if verbose else []
                    for text in (say(report), *(f"{source}: {n}" for n in report["notes"]), *details):
                        if text:
                            note(text)
            progress.advance(task)
    if not as_json and not quiet:
        finish()
        if len(jobs) != 1:
            note(f"{counts['done']} {done}, {counts['nothing']} with nothing pixelated, {counts['failed']} failed")
    if counts["failed"]:
        raise typer.Exit(1)
