"""The verbs for pictures that are pixelated: restore, find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepix.cli.batch import Course, Shown, label, of_other_cells, work
from deepix.cli.cluster import cluster_of, work_on_cluster
from deepix.cli.common import count, out, show_log
from deepix.cli.options import takes_options
from deepix.errors import DeepixError, OutputError
from deepix.options import Options

if TYPE_CHECKING:
    from deepix.jobs import JobResult
    from deepix.jobs.inputs import Listing
    from deepix.jobs.names import Destination
    from deepix.mosaic import Mosaic

Inputs = Annotated[
    list[str],  # a path would make s3:/bucket of s3://bucket
    typer.Argument(
        metavar="INPUTS...",
        help="Pictures, or folders of them; - is standard input. With --engine ray one folder, or its URL.",
        show_default=False,
    ),
]
Engine = Annotated[
    Literal["ray"] | None,
    typer.Option(
        help="Let a Ray cluster do it, between folders, shared disks, or buckets: s3://, gs://, az://, hf://, zip://. "
        "A manifest is kept in OUT.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help=r"Of the Ray cluster, as HOST:PORT, or auto. \[default: a cluster of this machine alone]",
        show_default=False,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.001,
        help=r"With --engine ray: give a picture up that three times takes longer. \[default: 600]",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="File for one input; folder for several, or if it ends with a slash. A file named without a suffix gets "
        "one. - is standard output.",
        show_default=False,
    ),
]
UncertaintyFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Write how far off each pixel may be (standard deviation) as a heat map; a folder for several inputs.",
        show_default=False,
    ),
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw", help="The uncertainty as a 16-bit PNG in units of 1/65536 of the range: 1/256 level of 8 bits."
    ),
]
RestoredMap = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Write where the result still looks restored, as a network sees it; a folder for several inputs.",
        show_default=False,
    ),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare", help="Also write NAME_compare.png: input | restored | refined, with detail | uncertainty."
    ),
]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and other lossy output, if OUT asks for it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist, but never an input.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Name every mosaic, and show where an unexpected error arose.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each file.")]

Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1024,
        help=r"Processes that work side by side; the threads are divided among them. \[default: as many as pay]",
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where a run that was interrupted, or killed, left off; keeps a manifest."),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="Write down what becomes of each file, in lines of JSON. "
        r"\[default with --resume: in the output folder, or hidden beside the inputs]",
        show_default=False,
    ),
]
MaxErrors = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Stop after so many failures.", show_default=False)
]
Summary = Annotated[bool, typer.Option("--summary", help="At the end, print one JSON object with the counts.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""
    for verb in (restore, find):
        app.command()(verb)


@takes_options(
    *("areas", "mask", "mosaics", "foreign", "cell", "cell_value", "fast", "threshold", "force"),
    *("method", "model", "detail", "variants", "seed", "threads", "first_frame", "max_pixels"),
)
def restore(
    inputs: Inputs,
    *,
    output: Output = None,
    options: Options,
    uncertainty: UncertaintyFile = None,
    raw: Raw = False,
    restored_map: RestoredMap = None,
    compare: Compare = False,
    quality: Quality = 95,
    workers: Workers = None,
    resume: Resume = False,
    manifest: ManifestFile = None,
    max_errors: MaxErrors = None,
    engine: Engine = None,
    address: Address = None,
    time_limit: TimeLimit = None,
    as_json: Json = False,
    summary: Summary = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Restore the pixelated parts of pictures; the rest stays as it is, bit for bit.

    The pixelated areas are found, unless --area, --mask or --mosaics names them. An area is left as it is, and named,
    where it is not sure enough how the cells lie (a confidence below --threshold).

    A restored picture is written beside its input as NAME_restored, or to OUT. A JPEG becomes a PNG unless OUT names
    another format, because saving it as JPEG again would change the rest of the picture. Pictures in which nothing is
    found are named, and not copied.

    [bold]Examples[/]

      deepix restore photo.jpg

      deepix restore holidays/ -o restored/ --compare

      deepix restore archive/ -o restored/ --resume

      deepix restore s3://bucket/archive -o s3://bucket/restored --engine ray --resume

      deepix restore photo.png --area 120,80,200,150,16 -o better.png

      deepix restore photo.png --uncertainty doubt.png

      deepix restore - < photo.png > better.png
    """
    if options.method == "smooth" and (options.model or uncertainty):
        raise typer.BadParameter("--model and --uncertainty are of networks, not of --method smooth")
    if raw and not uncertainty:
        raise typer.BadParameter("--raw says how --uncertainty FILE is written: name the file")
    from deepix.jobs import RestoreJob, names

    cluster = cluster_of(inputs, engine, address, time_limit)
    if cluster:
        if uncertainty or restored_map:
            raise typer.BadParameter("--uncertainty and --restored-map do not go with --engine ray")
        job = RestoreJob(source=Path(), output=Path(), options=options, quality=quality, overwrite=overwrite)
        shown = Shown("restored", lambda _: "", as_json, quiet, verbose, summary)
        course = Course("restore", workers, manifest, resume, overwrite, max_errors)
        work_on_cluster(cluster, job, output, shown, course, compare=compare)
        return
    listing = _listed(inputs)
    target = _target(output, listing)
    if as_json and target and str(target.path) == "-":
        raise typer.BadParameter("--json and the picture cannot both go to standard output: name a file with -o")
    doubt = _destination(uncertainty, listing)
    if options.variants > 1 and target and str(target.path) == "-":
        raise typer.BadParameter("standard output takes one picture: name a file or a folder for --variants with -o")
    seen = _destination(restored_map, listing)
    options = replace(options, restored_map=seen is not None)
    settled = names.for_restoring(
        listing.inputs, target, compare=compare, uncertainty=doubt, restored_map=seen, variants=options.variants
    )
    job = RestoreJob(source=Path(), output=Path(), options=options, raw=raw, quality=quality, overwrite=overwrite)
    jobs = [replace(job, source=one.path, **vars(name)) for one, name in zip(listing.inputs, settled, strict=True)]
    shown = Shown("restored", lambda r: _restored(r, quality), as_json, quiet, verbose, summary)
    place = _place_of_manifest("restore", manifest, resume, listing, target)
    course = Course("restore", workers, place, resume, overwrite, max_errors)
    with show_log(quiet, verbose=verbose):
        work(listing, jobs, shown, course)


@takes_options("fast", "threads", "first_frame", "max_pixels")
def find(
    inputs: Inputs,
    *,
    options: Options,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw what was found; a folder for several inputs.", show_default=False),
    ] = None,
    workers: Workers = None,
    resume: Resume = False,
    manifest: ManifestFile = None,
    max_errors: MaxErrors = None,
    engine: Engine = None,
    address: Address = None,
    time_limit: TimeLimit = None,
    as_json: Json = False,
    summary: Summary = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find the pixelated areas of pictures and the grids of their cells.

    The confidence, from 0 to 1, is that of area and grid together. What is below 0.5 seems to be pixelated, but deepix
    restore leaves it as it is unless told otherwise; what is below 0.4 is not reported.

    [bold]Examples[/]

      deepix find photo.png

      deepix find holidays/ --json > mosaics.jsonl

      deepix find photo.png --overlay found.png
    """
    from deepix.jobs import FindJob, names

    cluster = cluster_of(inputs, engine, address, time_limit)
    if cluster:
        shown = Shown("with mosaics", lambda _: "", as_json, quiet, verbose, summary)
        course = Course("find", workers, manifest, resume, overwrite, max_errors)
        work_on_cluster(cluster, FindJob(source=Path(), options=options, overwrite=overwrite), overlay, shown, course)
        return
    listing = _listed(inputs)
    target = _destination(overlay, listing)
    settled = names.for_finding(listing.inputs, target)
    jobs = [
        FindJob(source=one.path, options=options, overlay=name, overwrite=overwrite)
        for one, name in zip(listing.inputs, settled, strict=True)
    ]
    rows: list[tuple[str, ...]] = []

    def line(result: JobResult) -> str:
        rows.extend(_row(result.source, m) for m in result.mosaics)
        if result.mosaics or of_other_cells(result.notes):
            return ""
        return f"{label(result.source)}: nothing pixelated found"

    def table() -> None:
        from rich.table import Table

        result = Table("file", "area x, y", "size", "cells from", "cell", "confidence", box=None, pad_edge=False)
        result.columns[0].overflow = "fold"
        for row in rows:
            result.add_row(*row)
        if rows:
            out.print(result, markup=False)

    shown = Shown("with mosaics", line, as_json, quiet, verbose, summary, again=True)
    place = _place_of_manifest("find", manifest, resume, listing, target)
    course = Course("find", workers, place, resume, overwrite, max_errors)
    with show_log(quiet, verbose=verbose):
        work(listing, jobs, shown, course, table)


def _listed(inputs: list[str]) -> Listing:
    from deepix.jobs import inputs as files
    from deepix.jobs.job import STANDARD

    if str(STANDARD) in inputs and len(inputs) > 1:
        raise typer.BadParameter("- (standard input) is one picture, and comes alone")
    return files.listed(inputs)


def _destination(text: str | None, listing: Listing) -> Destination | None:
    from deepix.jobs import names
    from deepix.jobs.job import STANDARD

    if text is None:
        return None
    found = names.destination(text, single=listing.single)
    if found.path == STANDARD:
        raise OutputError("only the restored picture goes to standard output (-o -); name a file")
    return found


def _place_of_manifest(
    verb: str, given: Path | None, resume: bool, listing: Listing, target: Destination | None
) -> Path | None:
    """Return where the manifest is, if there is one: by default in the output folder, or hidden beside the inputs."""
    if given is None and not resume:
        return None
    from deepix.jobs import manifest
    from deepix.jobs.job import STANDARD

    if any(one.path == STANDARD for one in listing.inputs) or (target and target.path == STANDARD):
        raise typer.BadParameter("--resume and --manifest are for files, not for standard input or output")
    if given is not None or not listing.inputs:
        return given
    return manifest.place(verb, listing.inputs, target)


def _target(text: str | None, listing: Listing) -> Destination | None:
    """Return where restored pictures go; that of standard input goes to standard output."""
    from deepix.jobs import names
    from deepix.jobs.job import STANDARD

    piped = [one.path for one in listing.inputs] == [STANDARD]
    if text is not None:
        found = names.destination(text, single=listing.single)
        if piped and found.folder:
            raise OutputError(f"{found.path}: is a folder; name a file for what comes from standard input")
    elif not piped:
        return None
    else:
        found = names.Destination(STANDARD, folder=False)
    if found.path == STANDARD:
        import sys

        if sys.stdout is not None and sys.stdout.isatty():
            raise DeepixError(
                "a picture is not written to a terminal: name a file with -o, or send it elsewhere with >"
            )
    return found


def _restored(result: JobResult, quality: int) -> str:
    """Return the line for a picture that was restored, or was not."""
    name = label(result.source)
    if not result.mosaics:
        if result.unsure or result.other_sizes or of_other_cells(result.notes):
            return ""  # the notes say more
        return f"{name}: nothing pixelated found; name it with --area or --mask"
    output = result.written["output"]
    text = f"{name} -> {label(output, 'output')}: {count(len(result.mosaics), 'mosaic')}, {result.seconds:.1f} s"
    if result.noise:
        # of blended grids the cells' values are fitted: no deviation can be stated below a level
        agreement = max(result.consistency, float(any(m.grid.blended for m in result.mosaics)))
        text += f"; the tiles are noisy ({result.noise:.1f} levels), cells agree to {agreement:.0f}"
    if output.suffix.lower() in (".jpg", ".jpeg"):
        text += f"; JPEG of quality {quality}: the rest of the picture changes slightly"
    return text


def _row(source: Path, m: Mosaic) -> tuple[str, ...]:
    cell = f"{m.grid.width:.4g} x {m.grid.height:.4g}"
    shape = f"{m.width} x {m.height}" + ("" if m.mask is None else " (mask)")
    return str(source), f"{m.x}, {m.y}", shape, f"{m.grid.x:.5g}, {m.grid.y:.5g}", cell, f"{m.confidence:.2f}"
