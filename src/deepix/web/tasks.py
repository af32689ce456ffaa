"""What a worker process does: a task comes in, and what becomes of it goes out step by step.

A task is answered by its first event; `CONTINUE` asks for the next one, until `End` or `Failed`. Nothing of a picture
is kept in the process after that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepix.errors import DeepixError
from deepix.jobs.job import JobResult, RestoreJob
from deepix.options import Area, Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepix.images import Picture
    from deepix.mosaic import CellValueKind, Mosaic
    from deepix.web.strokes import Stroke

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A visitor's file.

    Attributes
    ----------
    path : where it lies
    name : as the visitor calls it
    max_pixels : it may have
    """

    path: Path
    name: str
    max_pixels: int


@dataclass(frozen=True, kw_only=True)
class Warm:
    """Import what is needed and open the models, so that the first visitor need not wait."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Read a picture, keep its view in a folder, find its mosaics."""

    source: Source
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit grids to what a visitor marked: rectangles, strokes, or the mask of a mosaic."""

    source: Source
    areas: tuple[Area, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    within: Mosaic | None = None
    cell: int | None = None


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Restore mosaics, keep the views in a folder, and write the file there, under a name that gets its suffix.

    Attributes
    ----------
    among : those that the command line that does the same knows of, when it tells where samples were taken
    cell_value : what the visitor says that cells show; None: what the mosaics say
    """

    source: Source
    mosaics: tuple[Mosaic, ...]
    folder: Path
    among: tuple[Mosaic, ...] = ()
    cell_value: CellValueKind | None = None


@dataclass(frozen=True, kw_only=True)
class Refine:
    """Give mosaics that were restored all detail of these seeds, and keep the views in the restoration's folder."""

    source: Source
    mosaics: tuple[Mosaic, ...]
    folder: Path
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Write the file of mosaics that were restored, with some detail of a seed.

    Attributes
    ----------
    folder : the restoration's
    output : the file, whose name gets its suffix; its folder is there
    """

    source: Source
    mosaics: tuple[Mosaic, ...]
    folder: Path
    output: Path
    detail: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Map where mosaics that were restored, with some detail of a seed, look restored; keep the map as a view.

    Attributes
    ----------
    folder : the restoration's
    view : what the view is called
    """

    source: Source
    mosaics: tuple[Mosaic, ...]
    folder: Path
    view: str
    detail: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """Do a job as the command line does it."""

    source: Source
    job: RestoreJob


@dataclass(frozen=True)
class Continue:
    """The task before is to be gone on with."""


Task = Warm | Look | Fit | Restore | Refine | Keep | Judge | Run
CONTINUE = Continue()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The picture was read, and can be shown."""

    size: tuple[int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """These mosaics were found; those of at least a confidence of `sure` are to be restored, unless asked otherwise."""

    mosaics: tuple[Mosaic, ...]
    sure: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was marked is these mosaics."""

    mosaics: tuple[Mosaic, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Restored:
    """The restored picture can be shown; the numbers are those of a `deepix.Restoration`.

    Attributes
    ----------
    mosaics : that were restored, with what their cells were taken to show
    """

    mosaics: tuple[Mosaic, ...]
    consistency: float
    noise: float
    uncertainties: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Doubted:
    """The view of doubt can be shown; its brightest colour stands for so many levels."""

    most: float


@dataclass(frozen=True, kw_only=True)
class Refined:
    """A variant can be shown.

    Attributes
    ----------
    seed : its detail's
    consistency : of its `deepix.Restoration`
    growth : by what the expected deviations grow with all detail
    """

    seed: int
    consistency: float
    growth: float


@dataclass(frozen=True, kw_only=True)
class Written:
    """The file is there."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The map of what looks restored can be shown, at this detail of this seed."""

    view: str
    detail: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Done:
    """The job was done, or failed."""

    result: JobResult


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It could not be done; one line, ready to be shown."""

    error: str


@dataclass(frozen=True)
class End:
    """All is done."""


Event = Seen | Found | Fitted | Restored | Doubted | Refined | Written | Judged | Done | Failed | End


class Bench:
    """A worker's place: does one task at a time, a step whenever it is called. Is pickled, without a task."""

    def __init__(self) -> None:
        self._steps: Iterator[Event] = iter(())
        self._task: Task = Warm()

    def __call__(self, asked: Task | Continue) -> Event:
        """Return what the next step gives."""
        if not isinstance(asked, Continue):
            self._task, self._steps = asked, _steps(asked)
        try:
            return next(self._steps, End())
        except DeepixError as error:
            return Failed(error=_told(str(error), self._task))
        except MemoryError:
            return Failed(error="this takes more memory than there is: use a smaller picture")
        except Exception as error:  # one strange file must not end the process
            _log.exception("a step failed that should not")
            kind = type(error).__name__
            return Failed(error=f"something went wrong that should not ({kind}); the server's log says more")


def _told(text: str, task: Task) -> str:
    """Return a message with the visitor's name of the file in it, instead of ours."""
    source = getattr(task, "source", None)
    if source is None:
        return text
    return text.replace(str(source.path), source.name)


def _steps(task: Task) -> Iterator[Event]:
    if isinstance(task, Warm):
        return _warm()
    if isinstance(task, Look):
        return _look(task)
    if isinstance(task, Fit):
        return _fit(task)
    if isinstance(task, Restore):
        return _restore(task)
    if isinstance(task, Refine):
        return _refine(task)
    if isinstance(task, Keep):
        return _keep(task)
    if isinstance(task, Judge):
        return _judge(task)
    return _run(task)


def _warm() -> Iterator[Event]:
    import numpy as np

    import deepix

    # a picture as small as may be goes the whole way, so that all that is imported late is there
    photo = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    deepix.restore(deepix.pixelate(photo, [deepix.Mosaic.rectangle(8, 8, 48, 48, 8)]))
    yield End()


def _look(task: Look) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.web import views

    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    views.store(views.on_screen(picture), task.folder, "before")
    height, width = picture.pixels.shape[:2]
    yield Seen(size=(width, height), notes=tuple(_told(note, task) for note in picture.notes))
    found = pipeline.locate(picture, Options()).mosaics
    yield Found(mosaics=_plain(found), sure=pipeline.threshold(Options()))


def _fit(task: Fit) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.web import strokes

    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    if task.within is not None and task.cell is not None:
        yield Fitted(mosaics=(_refitted(picture.pixels, task.within, task.cell),), notes=())
        return
    mask = strokes.mask(task.strokes, picture.pixels.shape) if task.strokes else None
    located = pipeline.locate(picture, Options(areas=task.areas, mask=mask, cell=task.cell))
    mosaics = _plain(pipeline.blended(picture.pixels, m) for m in located.mosaics)
    yield Fitted(mosaics=mosaics, notes=located.notes)


def _refitted(pixels: NDArray[Any], m: Mosaic, cell: int) -> Mosaic:
    """Return the mosaic with cells of another size, its area and its foreign pixels as they are."""
    from deepix import finder

    Options(cell=cell).check_cells(pixels.shape)
    grid, confidence = finder.fit_grid(pixels[m.box], m.area, (cell, cell))
    return replace(m, grid=grid.moved(m.x, m.y), confidence=confidence)


def _restore(task: Restore) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.inference.models import shipped
    from deepix.restorer.refine_model import REFINER
    from deepix.web import estimates, views

    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    mosaics = _showing(picture.pixels, task)
    estimated = pipeline.estimate(picture, mosaics, Options())
    result = pipeline.restore(picture, mosaics, Options(), estimated=estimated)
    shown = views.on_screen(result.picture)
    views.store(shown, task.folder, "after")
    yield Restored(
        mosaics=_plain(mosaics),
        consistency=result.consistency,
        noise=result.noise,
        uncertainties=tuple(result.mean_uncertainties),
    )
    deviation = result.uncertainty
    if deviation is not None:
        seen, most = views.doubt(shown, deviation if deviation.ndim == 2 else deviation[..., 0], result.mosaics)
        views.store(seen, task.folder, views.DOUBT)
        yield Doubted(most=most)
    yield _written(result.picture, task.source, task.folder / "restored")
    if REFINER in shipped():
        estimates.keep(estimated, task.folder)


def _showing(pixels: NDArray[Any], task: Restore) -> tuple[Mosaic, ...]:
    """Return a task's mosaics with cells that show what the visitor says."""
    from deepix import finder

    if task.cell_value is None:
        return task.mosaics
    among = task.among or task.mosaics
    shown = finder.with_cell_values(pixels, among, task.cell_value)
    return tuple(after for before, after in zip(among, shown, strict=True) if before in task.mosaics)


def _refine(task: Refine) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.restorer.refine_model import load_refiner
    from deepix.web import estimates, views

    growth = load_refiner().growth
    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    estimated = estimates.kept(task.folder)
    for seed in task.seeds:
        result = pipeline.restore(picture, task.mosaics, Options(detail=1.0, seed=seed), estimated=estimated)
        views.store(views.on_screen(result.picture), task.folder, views.variant(seed), estimated.box, views.AFTER)
        yield Refined(seed=seed, consistency=result.consistency, growth=growth)


def _keep(task: Keep) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.restorer.refine_model import load_refiner
    from deepix.web import estimates

    load_refiner()  # where there is none, there is no estimate either
    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    options = Options(detail=task.detail, seed=task.seed)
    result = pipeline.restore(picture, task.mosaics, options, estimated=estimates.kept(task.folder))
    yield _written(result.picture, task.source, task.output)


def _judge(task: Judge) -> Iterator[Event]:
    from deepix import images, pipeline
    from deepix.restorer.refine_model import load_adversary, load_refiner
    from deepix.web import estimates, views

    load_refiner(), load_adversary()  # where there is no refiner, there is no estimate either
    picture = images.read(task.source.path, max_pixels=task.source.max_pixels)
    options = Options(detail=task.detail, seed=task.seed, restored_map=True)
    result = pipeline.restore(picture, task.mosaics, options, estimated=(estimated := estimates.kept(task.folder)))
    assert result.restored_map is not None
    seen = views.coloured(views.on_screen(result.picture), result.restored_map, result.mosaics)
    views.store(seen, task.folder, task.view, estimated.box, views.DOUBT)
    yield Judged(view=task.view, detail=task.detail, seed=task.seed)


def _written(picture: Picture, source: Source, target: Path) -> Written:
    """Write a picture as the command line does, to a file whose name gets its suffix."""
    from deepix import images

    named = target.with_name(f"{target.name}{source.path.suffix}")
    path = images.default_output(source.path, named, max_pixels=source.max_pixels)
    images.write(picture, path, source=source.path)
    return Written(path=path)


def _run(task: Run) -> Iterator[Event]:
    from deepix import jobs

    result = jobs.run(task.job)
    if result.traceback:
        _log.error("a job failed that should not\n%s", result.traceback)
    told = tuple(_told(note, task) for note in result.notes)
    error = None if result.error is None else _told(result.error, task)
    yield Done(result=replace(result, notes=told, error=error, traceback=None))


def _plain(mosaics: Iterator[Mosaic] | tuple[Mosaic, ...]) -> tuple[Mosaic, ...]:
    """Return mosaics without what they have worked out of themselves, which is large and stays in this process."""
    return tuple(replace(m) for m in mosaics)
