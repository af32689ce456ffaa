"""What is known of one picture of a visitor: its areas, what is done with it, its restoration; as the page shows it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from deepix.errors import DeepixError
from deepix.mosaic import CELL_VALUES, CellValueKind, Mosaic
from deepix.web import commands, views
from deepix.web.areas import Area
from deepix.web.limits import MOST_VARIANTS
from deepix.web.tasks import (
    Doubted,
    End,
    Event,
    Failed,
    Fit,
    Fitted,
    Found,
    Judge,
    Judged,
    Keep,
    Look,
    Refine,
    Refined,
    Restore,
    Restored,
    Seen,
    Source,
    Written,
)
from deepix.web.workshop import Ticket

MOST_AREAS = 500
"""Of a picture; more are no use to anyone who looks."""
MOST_SEED = (1 << 53) - 1
"""The largest whole number that a page's scripts tell from the next one."""


@dataclass
class Outcome:
    """A restoration, or what there is of it yet.

    Attributes
    ----------
    number : counts the restorations of the picture
    folder : where its views and its file are
    areas : the numbers of those that were restored
    chosen : theirs
    mosaics : the same with what their cells show, once that is known
    cell_value : what the visitor says that they show
    restored, doubted, written : what is known of it
    variants : what is known of each, by its seed
    refining : seeds of those that are made
    kept : the last file with detail, with the detail and the seed that it has
    judged : the last map of what looks restored
    """

    number: int
    folder: Path
    areas: tuple[int, ...]
    chosen: tuple[Mosaic, ...]
    mosaics: tuple[Mosaic, ...]
    cell_value: CellValueKind | None = None
    restored: Restored | None = None
    doubted: Doubted | None = None
    written: Written | None = None
    variants: dict[int, Refined] = field(default_factory=dict)
    refining: tuple[int, ...] = ()
    kept: tuple[float, int, Path] | None = None
    judged: Judged | None = None

    def file(self, detail: float, seed: int) -> Path | None:
        """Return the file that has this detail; None where it was not written, or is not there any more."""
        if detail == 0:
            return self.written.path if self.written else None
        return self.kept[2] if self.kept and self.kept[:2] == (detail, seed) else None


@dataclass
class Picture:
    """A visitor's picture.

    Attributes
    ----------
    number : that stands for it; of one visitor only
    folder : all that is kept of it
    source : its file
    uploaded : the file's bytes
    stage : what is done with it: "reading", "finding", "ready", "fitting", "restoring", "writing", "refining",
        "keeping", "judging" or "failed"
    error : what went wrong last, one line
    sure : see `Area.to_dict`
    version : counts the changes
    """

    number: int
    folder: Path
    source: Source
    uploaded: int
    stage: str = "reading"
    error: str | None = None
    notes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    areas: list[Area] = field(default_factory=list)
    found: tuple[Mosaic, ...] = ()
    sure: float = 1.0
    outcome: Outcome | None = None
    ticket: Ticket | None = None
    version: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._refitted: int | None = None
        self._outcomes = itertools.count(1)
        self._files = itertools.count(1)
        self._maps = itertools.count(1)
        self._keeping: tuple[float, int] | None = None
        self._calls: set[asyncio.Task[None]] = set()

    # ── what it is to become ─────────────────────────────────────────────────────────────────────

    def look(self) -> Look:
        """Return the task that reads it and finds its mosaics."""
        return Look(source=self.source, folder=self.folder)

    def fit(self, asked: Mapping[str, Any]) -> Fit:
        """Return the task that fits grids to what was marked.

        Parameters
        ----------
        asked : "box" (x, y, width, height), or "strokes"; perhaps "cell"

        Raises
        ------
        DeepixError : that is not what it holds, or there are too many areas
        """
        from deepix.web.strokes import strokes_of

        if len(self.areas) >= MOST_AREAS:
            raise DeepixError(f"there are {MOST_AREAS} areas already: take some away first")
        self._refitted = None
        cell = _cell(asked.get("cell"))
        if asked.get("box") is None:
            return Fit(source=self.source, strokes=strokes_of(asked.get("strokes")), cell=cell)
        try:
            x, y, width, height = (int(v) for v in asked["box"])
        except (TypeError, ValueError, OverflowError) as error:
            raise DeepixError("an area is x, y, width and height, in whole pixels") from error
        return Fit(source=self.source, areas=((x, y, width, height),), cell=cell)

    def refit(self, number: int, cell: object) -> Fit | None:
        """Return the task that fits an area a grid of these cells; None where it becomes again what it was.

        Raises
        ------
        DeepixError : there is no such area, or the cells are no number
        """
        area = self.area(number)
        size = _cell(cell)
        if size is None:
            area.mosaic = area.origin
            self.touch()
            return None
        self._refitted = number
        return Fit(source=self.source, within=replace(area.origin), cell=size)

    def restore(self, numbers: object, cell_value: object = None) -> Restore:
        """Return the task that restores these areas, in the order in which they are listed.

        Parameters
        ----------
        numbers : the areas'
        cell_value : what their cells show, one of `CELL_VALUES`; None: what was told from the picture

        Raises
        ------
        DeepixError : there are no such areas, or cells show no such thing
        """
        kind = _cell_value(cell_value)
        if not isinstance(numbers, list) or not all(isinstance(n, int) for n in numbers):
            raise DeepixError("name the areas by their numbers")
        if not numbers:
            raise DeepixError("choose at least one area")
        for number in numbers:
            self.area(number)
        chosen = [area for area in self.areas if area.number in numbers]
        number = next(self._outcomes)
        folder = self.folder / f"restored-{number}"
        mosaics = tuple(replace(area.mosaic) for area in chosen)
        self.outcome = Outcome(number, folder, tuple(area.number for area in chosen), mosaics, mosaics, kind)
        among = self.found if commands.by_confidence(self.found, mosaics, self.sure) is not None else mosaics
        return Restore(source=self.source, mosaics=mosaics, folder=folder, among=among, cell_value=kind)

    def refine(self, seeds: object) -> Refine | None:
        """Return the task that gives the restoration the detail of these seeds; None where it has that.

        Raises
        ------
        DeepixError : nothing is restored, the seeds are none, or there are too many variants
        """
        outcome = self._outcome()
        if not isinstance(seeds, list) or not seeds or len(seeds) > MOST_VARIANTS:
            raise DeepixError(f"name 1 to {MOST_VARIANTS} seeds")
        new = tuple(dict.fromkeys(seed for seed in map(_seed, seeds) if seed not in outcome.variants))
        if len(outcome.variants) + len(new) > MOST_VARIANTS:
            raise DeepixError(f"there are {len(outcome.variants)} variants; more than {MOST_VARIANTS} are not kept")
        if not new:
            return None
        outcome.refining = new
        return Refine(source=self.source, mosaics=outcome.mosaics, folder=outcome.folder, seeds=new)

    def keep(self, detail: object, seed: object) -> Keep | None:
        """Return the task that writes the restoration's file with some detail of a seed; None where it is there.

        Raises
        ------
        DeepixError : nothing is restored, or that is no detail, or no seed
        """
        outcome = self._outcome()
        amount, number = _amount(detail), _seed(seed)
        if outcome.file(amount, number) is not None:
            return None
        self._keeping = amount, number
        return Keep(
            source=self.source,
            mosaics=outcome.mosaics,
            folder=outcome.folder,
            output=outcome.folder / f"kept-{next(self._files)}" / "restored",
            detail=amount,
            seed=number,
        )

    def judge(self, detail: object, seed: object) -> Judge | None:
        """Return the task that maps where the restoration, with this detail, looks restored; None where that is there.

        Raises
        ------
        DeepixError : as `keep`
        """
        outcome = self._outcome()
        amount, number = _amount(detail), _seed(seed)
        if outcome.judged is not None and (outcome.judged.detail, outcome.judged.seed) == (amount, number):
            return None
        view = views.judgement(next(self._maps))
        return Judge(
            source=self.source, mosaics=outcome.mosaics, folder=outcome.folder, view=view, detail=amount, seed=number
        )

    def refines(self, seeds: object) -> bool:
        """Say whether the detail of these seeds is being made."""
        making = self.outcome.refining if self.outcome else ()
        return isinstance(seeds, list) and len(seeds) > 0 and all(seed in making for seed in seeds)

    def _outcome(self) -> Outcome:
        if self.outcome is None or self.outcome.written is None:
            raise DeepixError("nothing is restored yet")
        return self.outcome

    def area(self, number: int) -> Area:
        """Return an area.

        Raises
        ------
        DeepixError : there is none of this number
        """
        for area in self.areas:
            if area.number == number:
                return area
        raise DeepixError("there is no such area any more")

    def remove(self, number: int) -> None:
        """Take away an area that was drawn.

        Raises
        ------
        DeepixError : there is none, or it was found
        """
        area = self.area(number)
        if not area.drawn:
            raise DeepixError("what was found stays listed: leave it out instead")
        self.areas.remove(area)
        self.touch()

    # ── what becomes of it ───────────────────────────────────────────────────────────────────────

    def begin(self, stage: str) -> None:
        """Take note that something is done with it."""
        self.stage, self.error = stage, None
        self.touch()

    def take(self, event: Event) -> None:
        """Take note of what a task gave."""
        if isinstance(event, Seen):
            self.size, self.notes, self.stage = event.size, event.notes, "finding"
        elif isinstance(event, Found):
            self.found, self.sure = event.mosaics, event.sure
            self._add(event.mosaics[:MOST_AREAS], drawn=False)
        elif isinstance(event, Fitted):
            self._fitted(event)
        elif isinstance(event, Failed):
            self.error = event.error
            self.stop()
        elif isinstance(event, End):
            self.stop()
        elif self.outcome is not None:
            self._restored(self.outcome, event)
        self.touch()

    def stop(self) -> None:
        """Take note that nothing is done with it any more."""
        self.ticket = None
        self.stage = "ready" if self.size is not None else "failed"
        self._keeping = None
        if self.outcome is not None:
            self.outcome.refining = ()
            if self.outcome.written is None:
                self.outcome = None
        self.touch()

    def _fitted(self, event: Fitted) -> None:
        self.notes = event.notes
        if self._refitted is None:
            self._add(event.mosaics, drawn=True)
            return
        for area in self.areas:
            if area.number == self._refitted and event.mosaics:
                area.mosaic = event.mosaics[0]

    def _restored(self, outcome: Outcome, event: Event) -> None:
        if isinstance(event, Restored):
            outcome.restored, outcome.mosaics, self.stage = event, event.mosaics, "writing"
        elif isinstance(event, Doubted):
            outcome.doubted = event
        elif isinstance(event, Refined):
            outcome.variants[event.seed] = event
        elif isinstance(event, Judged):
            outcome.judged = event
        elif isinstance(event, Written) and self._keeping:
            outcome.kept = (*self._keeping, event.path)
        elif isinstance(event, Written):
            outcome.written = event

    def _add(self, mosaics: Sequence[Mosaic], *, drawn: bool) -> None:
        self.areas += [Area(next(self._numbers), m, m, drawn) for m in mosaics]

    def touch(self) -> None:
        """Tell whoever waits for a change."""
        self.version += 1
        call = asyncio.get_running_loop().create_task(self._call())
        self._calls.add(call)  # a task that nobody holds may be collected
        call.add_done_callback(self._calls.discard)

    async def _call(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # ── what the page is told ────────────────────────────────────────────────────────────────────

    def to_dict(self, ahead: int) -> dict[str, Any]:
        """Return all of it as plain values.

        Parameters
        ----------
        ahead : tasks that are done before its own
        """
        return {
            "id": self.number,
            "version": self.version,
            "name": self.source.name,
            "stage": self.stage,
            "ahead": ahead,
            "error": self.error,
            "notes": list(self.notes),
            "size": self.size,
            "areas": [area.to_dict(self.areas, self.sure) for area in self.areas],
            "result": self._result(),
        }

    def _result(self) -> dict[str, Any] | None:
        outcome = self.outcome
        if outcome is None or outcome.restored is None:
            return None
        said = commands.command(
            self.source.name, self.found, outcome.chosen, sure=self.sure, cell_value=outcome.cell_value
        )
        return {
            "number": outcome.number,
            "areas": list(outcome.areas),
            "uncertainties": list(outcome.restored.uncertainties),
            "consistency": outcome.restored.consistency,
            "noise": outcome.restored.noise,
            "cellValues": [m.cell_value.to_dict() for m in outcome.mosaics],
            "blended": any(m.grid.blended for m in outcome.mosaics),
            "most": outcome.doubted.most if outcome.doubted else None,
            "file": self.restored_name() if outcome.written else None,
            "command": said.text,
            "areasFile": said.areas,
            "variants": [{"seed": v.seed, "consistency": v.consistency} for v in outcome.variants.values()],
            "refining": list(outcome.refining),
            "mostVariants": MOST_VARIANTS,
            "growth": max((v.growth for v in outcome.variants.values()), default=1.0),
            "kept": outcome.kept[:2] if outcome.kept else None,
            "looks": asdict(outcome.judged) if outcome.judged else None,
        }

    def restored_name(self) -> str:
        """Return what the command line calls the restored picture; once it is written."""
        assert self.outcome is not None
        assert self.outcome.written is not None
        name = commands.restored_name(self.source.name)
        return str(name.with_suffix(self.outcome.written.path.suffix))

    def areas_file(self) -> str:
        """Return the restored areas as `deepix restore --mosaics` reads them."""
        assert self.outcome is not None
        return json.dumps({"mosaics": [m.to_dict() for m in self.outcome.mosaics]})

    def views(self) -> dict[str, Path]:
        """Return the folders of the views that there are."""
        there = {} if self.size is None else {"before": self.folder}
        if self.outcome and self.outcome.restored:
            there["after"] = self.outcome.folder
        if self.outcome and self.outcome.doubted:
            there["doubt"] = self.outcome.folder
        assert there.keys() <= set(views.VIEWS)
        if self.outcome:
            there |= {views.variant(seed): self.outcome.folder for seed in self.outcome.variants}
            if self.outcome.judged:
                there[self.outcome.judged.view] = self.outcome.folder
        return there


def _cell_value(given: object) -> CellValueKind | None:
    for kind in CELL_VALUES:
        if given == kind:
            return kind
    if given is None:
        return None
    raise DeepixError(f"cells show one of {', '.join(CELL_VALUES)}")


def _amount(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise DeepixError("the detail is a number from 0 to 1")
    return float(given)


def _seed(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_SEED:
        raise DeepixError(f"a seed is a whole number from 0 to {MOST_SEED}")
    return given


def _cell(given: object) -> int | None:
    if given is None:
        return None
    if not isinstance(given, int) or not 2 <= given <= 10_000:
        raise DeepixError("cells are 2 to 10000 pixels wide and high")
    return given
