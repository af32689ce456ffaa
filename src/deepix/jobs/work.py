"""The work: a job in, a record of what became of it out. Nothing is printed, and nothing is kept.

It has two parts, so that the next job can be begun while what came of one is written.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from deepix import files, images, threads
from deepix.errors import DeepixError, InputError, OutputError, reason
from deepix.images.opening import size_of
from deepix.inference import session
from deepix.jobs.job import STANDARD, VARIANT, FindJob, Job, JobResult, RestoreJob
from deepix.jobs.names import variant
from deepix.options import check_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepix.mosaic import Mosaic
    from deepix.restoration import Restoration


def run(job: Job, *, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> JobResult:
    """Do a job; whatever goes wrong with it is in the result.

    Parameters
    ----------
    job : a `FindJob` or `RestoreJob`
    stdin, stdout : what `STANDARD` stands for; None: this process's own

    Raises
    ------
    TypeError : another kind of job
    """
    return worked_on(job, stdin=stdin, stdout=stdout).written()


def worked_on(job: Job, *, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> Unwritten:
    """Do a job but for what is to be written, so that the next one can be begun meanwhile.

    Parameters
    ----------
    job, stdin, stdout : as of `run`

    Raises
    ------
    TypeError : another kind of job
    """
    if not isinstance(job, FindJob | RestoreJob):
        raise TypeError(f"not a job that can be done: {type(job).__name__}")
    start = time.perf_counter()
    result, write = _guarded(job, lambda: _with_streams(job, stdin, stdout))
    return Unwritten(job, replace(result, seconds=time.perf_counter() - start), write)


@dataclass(frozen=True)
class Unwritten:
    """A job that is done but for what is to be written.

    Attributes
    ----------
    job : which
    result : what became of it, as if nothing was to be written
    write : writes it, and returns which files these are; None: there is nothing to be written
    """

    job: Job
    result: JobResult
    write: Write | None

    def written(self) -> JobResult:
        """Write what is to be written, and return the result; whatever goes wrong is in it."""
        write = self.write
        if write is None:
            return self.result
        start = time.perf_counter()
        result, _ = _guarded(self.job, lambda: (_with_files(self.result, write()), None))
        return replace(result, seconds=self.result.seconds + time.perf_counter() - start)


Write = Callable[[], dict[str, Path]]
Done = tuple[JobResult, Write | None]
"""What became of a job, and what writes its files, if there are any."""


def _guarded(job: Job, do: Callable[[], Done]) -> Done:
    """Do a part of a job; return what it returns, or what went wrong."""
    try:
        with threads.limit(job.options.threads):
            return do()
    except DeepixError as error:
        text = str(error)
        if job.source != STANDARD and str(job.source) not in text:
            text = f"{job.source}: {text}"
        return JobResult(source=job.source, status="failed", error=text, error_kind=type(error).__name__), None
    except Exception as error:
        # one strange file must not stop the others of a batch; it still counts as a failure
        kind = type(error).__name__
        failed = JobResult(
            source=job.source,
            status="failed",
            error=f"{kind}: {error}",
            error_kind=kind,
            traceback=traceback.format_exc(),
        )
        return failed, None


def _with_files(result: JobResult, files: dict[str, Path]) -> JobResult:
    """Return the result with the files that were written."""
    return replace(result, written=files, skipped=tuple(what for what in result.skipped if what not in files))


def _do(job: FindJob | RestoreJob) -> Done:
    return _restore(job) if isinstance(job, RestoreJob) else _find(job)


# ── standard input and output ────────────────────────────────────────────────────────────────────


def _with_streams(job: FindJob | RestoreJob, stdin: BinaryIO | None, stdout: BinaryIO | None) -> Done:
    """Do a job; if its input or output is a stream, all of it, by files in a folder of its own."""
    to_stream = isinstance(job, RestoreJob) and job.output == STANDARD
    if job.source != STANDARD and not to_stream:
        return _do(job)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="deepix-") as name:
        folder = Path(name)
        inner: FindJob | RestoreJob = job
        if job.source == STANDARD:
            inner = replace(inner, source=folder / "input")
            files.write_bytes(inner.source, _received(stdin))
        if isinstance(inner, RestoreJob) and to_stream:
            inner = replace(inner, output=folder / f"output{job.source.suffix}", as_named=False)
        try:
            result, write = _do(inner)
            if write is not None:
                result = _with_files(result, write())
        except DeepixError as error:
            text = str(error).replace(str(inner.source), "standard input") if job.source == STANDARD else str(error)
            raise type(error)(text) from error
        if to_stream and "output" in result.written:
            _send(files.read_bytes(result.written["output"]), stdout)
            result = replace(result, written={**result.written, "output": STANDARD})
        return replace(result, source=job.source), None


def _received(stream: BinaryIO | None) -> bytes:
    if stream is None and sys.stdin is None:
        raise InputError("standard input is closed")
    try:
        data = (stream or sys.stdin.buffer).read()
    except OSError as error:
        raise InputError(f"standard input: cannot be read ({reason(error)})") from error
    if not data:
        raise InputError("standard input is empty")
    return data


def _send(data: bytes, stream: BinaryIO | None) -> None:
    if stream is None and sys.stdout is None:
        raise OutputError("standard output is closed")
    stream = stream or sys.stdout.buffer
    try:
        stream.write(data)
        stream.flush()
    except OSError as error:
        raise OutputError(f"standard output: cannot be written ({reason(error)})") from error


# ── finding ──────────────────────────────────────────────────────────────────────────────────────


def _find(job: FindJob) -> Done:
    if job.overlay:
        _check(job.overlay, job)
    picture = _read(job, _nothing if job.options.fast else session.preload)
    from deepix import pipeline

    located = pipeline.locate(picture, job.options)
    result = JobResult(
        source=job.source,
        status="done" if located.mosaics else "nothing",
        size=(picture.pixels.shape[1], picture.pixels.shape[0]),
        mosaics=_plain(located.mosaics),
        threshold=pipeline.threshold(job.options),
        notes=(*picture.notes, *located.notes),
    )
    return result, None if job.overlay is None else partial(_write_overlay, job, picture, located.mosaics, job.overlay)


def _write_overlay(job: FindJob, picture: images.Picture, mosaics: Sequence[Mosaic], path: Path) -> dict[str, Path]:
    from deepix import draw

    _write(images.from_pil(draw.overlay(images.preview(picture), mosaics)), path, job)
    return {"overlay": path}


# ── restoring ────────────────────────────────────────────────────────────────────────────────────


def _restore(job: RestoreJob) -> Done:
    if job.uncertainty and job.raw and job.uncertainty.suffix.lower() != ".png":
        raise OutputError(f"{job.uncertainty}: raw uncertainty is written as .png")
    targets = targets_of(job)
    for path in targets.values():
        _check(path, job)
    picture = _read(job, lambda: _open_network(job))
    from deepix import pipeline

    result = pipeline.run(picture, job.options)
    done = JobResult(
        source=job.source,
        status="done" if result.mosaics else "unsure" if result.unsure else "nothing",
        size=(picture.pixels.shape[1], picture.pixels.shape[0]),
        mosaics=_plain(result.mosaics),
        uncertainties=tuple(result.mean_uncertainties),
        unsure=_plain(result.unsure),
        other_sizes=_plain(result.other_sizes),
        threshold=pipeline.threshold(job.options),
        method=job.options.method,
        consistency=result.consistency,
        noise=result.noise,
        skipped=tuple(targets),
        notes=(*picture.notes, *_notes(result, job)),
    )
    return done, partial(_written, job, picture, result, targets) if result.mosaics else None


def _open_network(job: RestoreJob) -> None:
    if job.options.method == "network":
        from deepix.restorer import model

        check_model(job.options.model)
        model.load(job.options.model or model.DEFAULT)


def _written(
    job: RestoreJob, picture: images.Picture, result: Restoration, targets: dict[str, Path]
) -> dict[str, Path]:
    """Write what was wanted of a restoration; return which files that are."""
    spread = result.uncertainty
    if spread is not None and spread.ndim == 3:
        spread = spread[..., 0]
    written = {}
    for what, path in targets.items():
        if what == "output":
            _write(result.picture, path, job, job.quality)
        elif what.startswith(VARIANT):
            _write(result.variants[int(what.removeprefix(VARIANT)) - 1], path, job, job.quality)
        elif what == "compare":
            _write(_side_by_side(picture, result, spread, job), path, job)
        elif what == "restored_map":
            assert result.restored_map is not None  # the options asked for it
            _write(_drawn_map(result.restored_map), path, job)
        elif spread is not None:
            _write(_drawn(spread, picture.pixels, job.raw), path, job)
        else:
            continue
        written[what] = path
    return written


def _side_by_side(
    picture: images.Picture, result: Restoration, spread: NDArray[np.float32] | None, job: RestoreJob
) -> images.Picture:
    from deepix import draw, pipeline

    pictures = [("input", images.preview(picture))]
    if result.detail:
        plain = pipeline.restore(picture, result.mosaics, pipeline.without_detail(job.options))
        pictures.append(("restored", images.preview(plain.picture)))
        pictures.append((f"refined (detail {result.detail:g}, seed {result.seed})", images.preview(result.picture)))
    else:
        pictures.append(("restored", images.preview(result.picture)))
    if spread is not None:
        pictures.append(("uncertainty", draw.heat_map(spread)))
    return images.from_pil(draw.side_by_side(pictures))


def _drawn_map(probabilities: NDArray[np.float32]) -> images.Picture:
    """Return probabilities as a gray picture: white where it looks restored."""
    import numpy as np

    return images.from_array(np.rint(255 * probabilities).astype(np.uint8))


def _drawn(spread: NDArray[np.float32], pixels: NDArray[Any], raw: bool) -> images.Picture:
    """Return standard deviations as a picture to be written."""
    import numpy as np

    from deepix import draw

    if not raw:
        return images.from_pil(draw.heat_map(spread, "levels"))
    unit = 256.0 ** (2 - pixels.dtype.itemsize)  # one level of 16 bits, 1/256 of one of 8 bits
    return images.from_array(np.rint(np.nan_to_num(spread) * unit).clip(0, 65535).astype(np.uint16))


def _notes(result: Restoration, job: RestoreJob) -> list[str]:
    """Return one line for each thing that was left as it is, or is promised less of."""
    notes = list(result.notes)
    notes += [
        f"{_place(m)} left as they are: not sure of the cells (confidence {m.confidence:.2f}); --force restores them, "
        f"--area {m.x},{m.y},{m.width},{m.height},CELL with cells of your own"
        for m in result.unsure
    ]
    notes += [
        f"{_place(m)} left as they are: their cells are {m.grid.width:.4g} x {m.grid.height:.4g} pixels, "
        f"not {job.options.cell} as --cell says"
        for m in result.other_sizes
    ]
    if result.detail and result.mosaics:
        seeds = f"seed {result.seed}"
        if len(result.variants) > 1:
            seeds = f"{len(result.variants)} variants, seeds {result.seed} to {result.seed + len(result.variants) - 1}"
        notes.append(f"detail {result.detail:g}, {seeds}: the detail is invented, a guess that fits the mosaic")
    notes += [_shown(m) for m in result.mosaics if not m.cell_value.is_mean]
    if resized := sum(m.grid.blended for m in result.mosaics):
        mosaics = "1 mosaic was" if resized == 1 else f"{resized} mosaics were"
        notes.append(f"{mosaics} resized: pixelated again, the cells agree to 1 level, not exactly")
    return notes


def _shown(m: Mosaic) -> str:
    """Return what the cells show where that is not their mean, and how it is known."""
    value = m.cell_value
    what = {"sample": "one of its pixels", "min": "its least value", "max": "its greatest value"}
    how = "as --cell-value says"
    if value.told:
        how = f"told from the picture, confidence {value.confidence:.2f}; --cell-value mean if not"
    return f"{_place(m)}: each cell shows {what.get(value.kind, 'its mean of light')}, not its mean ({how})"


def _place(m: Mosaic) -> str:
    return f"{m.width} x {m.height} pixels at {m.x}, {m.y}"


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


def _most(job: Job) -> int:
    return images.MAX_PIXELS if job.options.max_pixels is None else job.options.max_pixels


def targets_of(job: Job) -> dict[str, Path]:
    """Return the files that a job may write, by what they are, the restored picture with its final suffix.

    That is one of a format that keeps the picture as it is, unless the name is meant as it stands.

    Raises
    ------
    InputError : no picture can be read, as far as its beginning tells
    """
    targets = job.named
    if isinstance(job, RestoreJob) and not job.as_named:
        targets["output"] = images.default_output(job.source, job.output, max_pixels=_most(job))
    if isinstance(job, RestoreJob):
        further = range(2, job.options.variants + 1)
        targets |= {f"{VARIANT}{number}": variant(targets["output"], number) for number in further}
    return targets


def pixels_of(job: Job) -> int:
    """Return how many pixels a job's picture has; 0 if that cannot be read."""
    try:
        width, height = size_of(job.source, _most(job))
    except DeepixError:
        return 0
    return width * height


def _nothing() -> None:
    """Prepare nothing."""


def _read(job: Job, prepare: Callable[[], object]) -> images.Picture:
    """Read a picture and then prepare, and meanwhile import what finds mosaics, which takes as long."""

    def read() -> images.Picture:
        picture = images.read(job.source, first_frame=job.options.first_frame, max_pixels=_most(job))
        prepare()
        return picture

    with threads.pool(1) as pool:
        reading = pool.submit(read)
        from deepix import pipeline  # noqa: F401

        return reading.result()


def _check(path: Path, job: Job) -> None:
    """Raise now what would otherwise be raised after the work, when it is written."""
    images.check_target(path, job.source, overwrite=job.overwrite)
    files.check_folder(path.parent)


def _write(picture: images.Picture, path: Path, job: Job, quality: int = images.QUALITY) -> None:
    files.make_folder(path.parent)
    images.write(picture, path, overwrite=job.overwrite, quality=quality, source=job.source)


def _plain(mosaics: Sequence[Mosaic]) -> tuple[Mosaic, ...]:
    """Return mosaics without what they have worked out of themselves, which is large and stays in this process."""
    return tuple(replace(m) for m in mosaics)
