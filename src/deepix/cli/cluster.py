"""Jobs done by a cluster, as a person or a program at the console sees them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from deepix.cli.batch import Course, Shown, of_other_cells
from deepix.cli.common import count, err, extra, fail, note, progress_bar
from deepix.errors import DeepixError, OutputError

if TYPE_CHECKING:
    from deepix.cluster.actor import Outcome
    from deepix.cluster.engine import Earlier
    from deepix.cluster.plan import Met, Plan
    from deepix.cluster.storage import Folder
    from deepix.jobs import FindJob, RestoreJob

SECONDS = 600.0
"""What a picture may take, unless the user says so."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a cluster.

    Attributes
    ----------
    source : a folder, or its URL
    address : the cluster's; None: this machine alone
    seconds : that a picture may take
    """

    source: str
    address: str | None
    seconds: float


def cluster_of(inputs: list[str], engine: str | None, address: str | None, time_limit: float | None) -> Asked | None:
    """Return what is asked of a cluster; None if the work is this machine's.

    Raises
    ------
    BadParameter : options that do not go together
    """
    if engine is None:
        if address is not None or time_limit is not None:
            raise typer.BadParameter("--address and --time-limit go with --engine ray")
        urls = [name for name in inputs if "://" in name]
        if urls:
            raise typer.BadParameter(f"{urls[0]}: what is not on this machine's disks needs --engine ray")
        return None
    if len(inputs) != 1 or inputs[0] == "-":
        raise typer.BadParameter("--engine ray works on one folder, or its URL")
    return Asked(inputs[0], address, SECONDS if time_limit is None else time_limit)


def work_on_cluster(
    asked: Asked,
    job: FindJob | RestoreJob,
    target: str | None,
    shown: Shown,
    course: Course,
    *,
    compare: bool = False,
) -> None:
    """Let a cluster do a job with each picture of a folder; what fails is named, and the others are still done.

    Parameters
    ----------
    asked : of the cluster
    job : what is wanted of each picture
    target : where results go, and the manifest
    shown, course : as for `deepix.cli.batch.work`
    compare : pictures for comparison, too

    Raises
    ------
    Exit : something failed (code 1), or the user interrupted it (code 130)
    """
    with extra("ray"):
        from deepix.cluster import engine
        from deepix.cluster.lock import held
        from deepix.cluster.plan import Plan
        from deepix.cluster.record import Record
        from deepix.cluster.storage import Folder
    plan = Plan(Folder(asked.source), Folder(target) if target else None, job, compare)
    _check(plan)
    place = str(course.manifest) if course.manifest else target and f"{target.rstrip('/')}/.deepix-{plan.verb}"
    if course.resume and not place:
        raise typer.BadParameter("--resume with --engine ray needs a folder for the manifest: --manifest")
    plan.source.check()  # before anything is made, or started
    kept = Folder(place) if place else None
    tally = _Tally(plan, shown)
    try:
        with ExitStack() as stack:
            locks = [stack.enter_context(held(folder)) for folder in _used(plan, kept)]
            record = Record(kept, plan, resume=course.resume, overwrite=course.overwrite)
            stack.enter_context(engine.connected(asked.address))
            results = engine.results(plan, record, engine.Limits(course.workers, asked.seconds))
            stack.enter_context(closing(results))
            advance = stack.enter_context(_progress(shown))
            for one in results:
                tally.add(one)
                advance()
                if any(lock.lost for lock in locks):
                    raise OutputError(f"{place}: another run has taken it over, as nothing was heard of this one")
                if course.max_errors is not None and tally.failed >= course.max_errors:
                    fail(f"stopped after {count(tally.failed, 'error')}, as --max-errors says")
                    break
    except KeyboardInterrupt:
        fail(f"interrupted: {tally}" + ("; go on with --resume" if place else ""))
        raise typer.Exit(130) from None
    if not shown.as_json and not shown.quiet:
        note(str(tally))
    if shown.summary:
        typer.echo(json.dumps({"summary": tally.to_dict()}))
    if tally.failed:
        raise typer.Exit(1)


def _used(plan: Plan, kept: Folder | None) -> list[Folder]:
    """Return the folders that no other run may use meanwhile: that of the manifest, and the target it is not in."""
    if kept is None:
        return []
    apart = plan.target is not None and not plan.target.holds(kept)
    return [kept, plan.target] if apart and plan.target else [kept]


def _check(plan: Plan) -> None:
    if plan.target is None:
        if plan.verb == "restore":
            raise typer.BadParameter("--engine ray writes into a folder: name it with -o")
    elif plan.source.holds(plan.target) or plan.target.holds(plan.source):
        raise DeepixError(f"{plan.target.url}: with --engine ray, results lie in a folder apart from the pictures")


@contextmanager
def _progress(shown: Shown) -> Iterator[Any]:
    """Show how many are done, and how fast; how many there are is not known before the last one is listed."""
    with progress_bar(not shown.quiet) as progress:
        task = progress.add_task("", total=None)
        yield lambda: progress.advance(task)


class _Tally:
    """Prints what became of each file, and counts."""

    def __init__(self, plan: Plan, shown: Shown) -> None:
        self._plan, self._shown = plan, shown
        self._counts: Counter[str] = Counter()

    @property
    def failed(self) -> int:
        """How many failed."""
        return self._counts["failed"]

    def __str__(self) -> str:
        counts = self._counts
        text = f"{counts['done']} {self._shown.done}, {counts['nothing']} with nothing pixelated, {self.failed} failed"
        for status, what in (("unsure", "not sure enough"), ("passed over", "passed over")):
            text += f", {counts[status]} {what}" if counts[status] else ""
        return text + (f" ({counts['earlier']} of these by an earlier run)" if counts["earlier"] else "")

    def to_dict(self) -> dict[str, int]:
        """Return the counts as `--summary` prints them."""
        names = ("done", "nothing", "unsure", "failed", "passed over", "not_done", "earlier")
        return {name.replace(" ", "_"): self._counts[name] for name in names}

    def add(self, one: Outcome | Met | Earlier) -> None:
        """Print and count what became of a file."""
        from deepix.cluster.engine import Earlier
        from deepix.cluster.plan import Met

        name = self._plan.source.named(one.name)
        if isinstance(one, Earlier):
            self._counts.update((one.status, "earlier"))
            if one.status == "failed":
                fail(f"{name}: failed in an earlier run, and has not changed")
        elif isinstance(one, Met):
            self._counts[one.status] += 1
            if one.status == "failed":
                fail(f"{name}: {one.reason}")
            elif not self._shown.quiet:
                note(f"{name}: passed over: {one.reason}")
        else:
            self._counts[one.result["status"]] += 1
            self._tell(name, one)

    def _tell(self, name: str, one: Outcome) -> None:
        if self._shown.as_json:
            typer.echo(json.dumps(one.report))
        if one.error is not None:
            fail(one.error if one.traceback is None else f"{name}: unexpected {one.error} (--verbose shows where)")
            if one.traceback and self._shown.verbose:
                err.print(one.traceback, markup=False)
        elif not self._shown.as_json and not self._shown.quiet:
            note(self._line(name, one))
            for said in one.result["notes"]:
                note(f"{name}: {said}")

    def _line(self, name: str, one: Outcome) -> str:
        mosaics = one.result["mosaics"]
        if not mosaics:
            unsure = one.result["unsure"] or one.result["other_sizes"] or of_other_cells(one.result["notes"])
            return f"{name}: {'left as it is' if unsure else 'nothing pixelated found'}"
        where = f" -> {one.report['output']}" if one.report.get("output") else ""
        return f"{name}{where}: {count(len(mosaics), 'mosaic')}, {one.result['seconds']:.1f} s"
