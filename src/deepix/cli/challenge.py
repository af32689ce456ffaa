"""deepix challenge …: the 64x64 challenge, from pictures to a score."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepix.cli.common import err, extra, fail, note, out, progress_bar
from deepix.errors import DeepixError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix.challenge import Examples
    from deepix.mosaic import Mosaic, Rounding

app = typer.Typer(no_args_is_help=True, help="The 64x64 challenge: make test sets, predict, score, and compare models.")


def register(to: typer.Typer) -> None:
    """Add the verb, which has verbs of its own, to another app."""
    to.add_typer(app, name="challenge")


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="identity, smooth, challenge, an .onnx or weights file, or the folder of a training run.",
    ),
]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="Where a trained network runs: auto, cpu, cuda …")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures that a network processes together.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite existing files.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE…",
        help="Folders, zip or tar archives, STL-10 .bin, .npy, .npz or pictures.",
        show_default=False,
    ),
]
TruePictures = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE.npz",
        help="Where to write the true pictures and their mosaics.",
        show_default=False,
    ),
]


@app.command()
def prepare(
    paths: Sources,
    output: TruePictures,
    test_set: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pkl", help="Also write a test set, which lacks the true pixels.", show_default=False
        ),
    ] = None,
    mosaics: Annotated[
        int, typer.Option(min=1, help="Random mosaics for each picture; each makes a test picture of its own.")
    ] = 1,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Make test pictures: prepare pictures as the challenge does, and draw a random mosaic for each.

    A picture is resized and cropped to 64x64 pixels and converted to
    grayscale. Pictures that cannot be read are named and left out; the files
    are written all the same, but the exit code is 1.

    [bold]Examples[/]

      deepix challenge prepare pictures/ -o truth.npz

      deepix challenge prepare photos.zip -o truth.npz --test-set test_set.pkl --seed 7
    """
    import numpy as np

    from deepix import challenge, files

    if test_set is not None and test_set.resolve() == output.resolve():
        raise typer.BadParameter("the test set and the true pictures need two files", param_hint="--test-set")
    for path in [output] if test_set is None else [output, test_set]:
        files.check_output(path, overwrite)
    images, faults = _prepared(paths)
    rng = np.random.default_rng(seed)
    drawn = [challenge.random_mosaic(rng) for _ in range(len(images) * mosaics)]
    challenge.write_examples(output, images, drawn, overwrite)
    out.print(f"{output}: {len(images)} pictures, {len(drawn)} mosaics", markup=False)
    if test_set is not None:
        examples = challenge.Examples(np.repeat(images, mosaics, axis=0), drawn)
        challenge.write_test_set(test_set, examples.test_set(), overwrite)
        out.print(f"{test_set}: a test set of {len(drawn)} pictures", markup=False)
    if faults:
        note(f"{faults} of {faults + len(images)} pictures left out")
        raise typer.Exit(1)


def _prepared(paths: Sequence[Path]) -> tuple[NDArray[np.uint8], int]:
    """Return the prepared pictures of the sources, uint8 (N, 64, 64), and how many could not be read."""
    import numpy as np

    from deepix import challenge, sources

    opened = [sources.read(path) for path in paths]
    pictures, faults = [], 0
    with _progress("preparing", sources.total(opened)) as advance:
        for picture in challenge.prepare_all(opened):
            advance(1)
            if isinstance(picture, InputError):
                faults += 1
                fail(f"{picture}; left out")
            else:
                pictures.append(picture)
    if not pictures:
        raise DeepixError(f"{', '.join(map(str, paths))}: none of {faults} pictures can be read")
    return np.stack(pictures), faults


@app.command()
def predict(
    test_set: Annotated[Path, typer.Argument(metavar="TEST_SET", help="A test set (.pkl), or true pictures (.npz).")],
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the submission.", show_default=False)
    ],
    rounding: Annotated[
        str,
        typer.Option(
            "--round", metavar="HOW", help="How estimates become integers: nearest, or truncate as DeePixV1 did."
        ),
    ] = "nearest",
    blind: Annotated[
        bool, typer.Option("--blind", help="Find each mosaic in its picture instead of taking it from the mask.")
    ] = False,
    device: Device = "auto",
    batch: Batch = 64,
    overwrite: Overwrite = False,
) -> None:
    """Restore a test set and write a submission file.

    With --blind, pictures are restored without their masks. The masks are then
    used only to select the pixels of the submission, and to report how well
    the mosaics that were found agree with the true ones.

    [bold]Examples[/]

      deepix challenge predict test_set.pkl --model smooth -o submission.bin

      deepix challenge predict test_set.pkl --model runs/best.safetensors -o submission.bin --device cpu

      deepix challenge predict truth.npz --model challenge --blind -o blind.bin
    """
    from deepix import challenge, files

    how: Rounding
    match rounding:
        case "nearest" | "truncate":
            how = rounding
        case _:
            raise typer.BadParameter(f"{rounding!r} is neither nearest nor truncate", param_hint="--round")
    files.check_output(output, overwrite)
    pixelated, known, mosaics = challenge.read_task(test_set)
    if blind:
        with _progress("finding", len(pixelated)) as advance:
            found = challenge.find_mosaics(pixelated, advance)
        overlap, exact = challenge.agreement(found, mosaics)
        out.print(f"rectangles found: intersection over union {overlap:.4f} (mean), exact grids {100 * exact:.2f} %")
        mosaics = found
    (estimates,) = _estimates([model], pixelated, mosaics, device, batch)
    predictions = challenge.predictions(estimates, known, how)
    challenge.write_submission(output, predictions, overwrite)
    out.print(f"{output}: {len(predictions)} predictions by {model}", markup=False)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The submission to score.", show_default=False)],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH", help="True pictures (.npz), or true pixels (pickle or submission).", show_default=False
        ),
    ],
    as_json: Json = False,
) -> None:
    """Score a submission: RMSE over unknown pixels, on the scale 0 … 255; lower is better.

    The challenge does not say whether it pools the pixels of all pictures or
    averages the RMSE of each; both are printed, the pooled one first.

    [bold]Example[/]

      deepix challenge score submission.bin truth.npz
    """
    from deepix import challenge

    result = challenge.score_file(file, truth)
    if as_json:
        print(json.dumps(asdict(result)))
        return
    out.print(f"pooled       {result.pooled:.3f}")
    out.print(f"per picture  {result.per_picture:.3f}")
    out.print(f"over {result.pixels:,} pixels of {result.count:,} pictures")


@app.command()
def inspect(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A submission, a test set, or true pictures.", show_default=False),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A test set or true pictures that the submission must fit.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe a file of the challenge, and check that it is complete.

    [bold]Examples[/]

      deepix challenge inspect test_set.pkl

      deepix challenge inspect submission.bin --against test_set.pkl
    """
    from deepix import challenge

    report = challenge.inspect(file, against)
    if as_json:
        print(json.dumps(report))
        return
    out.print(f"{file}: {report['kind']}", markup=False)
    for name, value in report.items():
        if name != "kind":
            text = f"{value:,}" if isinstance(value, int) else f"{value[0]:,} … {value[1]:,}"
            out.print(f"  {name}: {text}", markup=False)
    if against is not None:
        out.print(f"  fits {against}", markup=False)


@app.command()
def look(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURES…", help="True pictures (.npz), or any source that prepare reads.", show_default=False
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="A model, as for predict; may be given several times.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.png", help="Where to write the picture.", show_default=False)
    ],
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="How many pictures to show, chosen at random.")
    ] = 6,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Enlarge each pixel to this many pixels.")] = 4,
    seed: Seed = 0,
    device: Device = "auto",
    batch: Batch = 64,
    overwrite: Overwrite = False,
) -> None:
    """Compare models by eye: truth, pixelated and predictions side by side, in one PNG.

    [bold]Examples[/]

      deepix challenge look truth.npz --model smooth -o samples.png

      deepix challenge look pictures/ -m smooth -m runs/best.safetensors -n 10 -o samples.png
    """
    import numpy as np

    from deepix import challenge, files, images

    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"{output} must end in .png", param_hint="--output")
    files.check_output(output, overwrite)
    examples = _samples(paths, count, np.random.default_rng(seed))
    names = list(dict.fromkeys(model))
    estimates = _estimates(names, examples.pixelated(), examples.mosaics, device, batch)
    sheet = challenge.sample_sheet(examples, dict(zip(names, estimates, strict=True)), scale)
    images.write(images.from_pil(sheet), output, overwrite=overwrite)
    out.print(f"{output}: {len(examples.images)} pictures", markup=False)


def _samples(paths: Sequence[Path], count: int, rng: np.random.Generator) -> Examples:
    """Return random pictures: from an .npz with their own mosaics, from other sources with random ones."""
    import numpy as np

    from deepix import challenge, sources

    if len(paths) == 1 and paths[0].suffix.lower() == ".npz":
        examples = challenge.read_examples(paths[0])
        chosen = rng.permutation(len(examples.images))[:count]
        return challenge.Examples(examples.images[chosen], [examples.mosaics[i] for i in chosen])
    total = sum(1 for path in paths for _ in sources.read(path).items)
    places = {int(index): place for place, index in enumerate(rng.permutation(total)[:count])}
    pictures = np.empty((len(places), challenge.SIZE, challenge.SIZE), np.uint8)
    for index, item in enumerate(item for path in paths for item in sources.read(path).items):
        if index in places:
            pictures[places[index]] = challenge.prepare_content(item.load(), item.name)
    return challenge.Examples(pictures, [challenge.random_mosaic(rng) for _ in places])


def _estimates(
    models: Sequence[str],
    pixelated: NDArray[np.uint8],
    mosaics: Sequence[Mosaic],
    device: str,
    batch: int,
) -> list[NDArray[np.float32]]:
    from deepix import challenge

    results = []
    with extra("train"):
        restorers = [challenge.restorer(name, device, batch) for name in models]
    for name, restore in zip(models, restorers, strict=True):
        with _progress(name, len(pixelated)) as advance:
            results.append(restore(pixelated, mosaics, advance))
    return results


@contextmanager
def _progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yields a function that advances it by a number of pictures."""
    from rich.markup import escape

    with progress_bar(err.is_terminal) as bar:
        task = bar.add_task(escape(title), total=total)
        yield lambda done: bar.advance(task, done)
