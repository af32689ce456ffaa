"""What a cluster is to do: the files of a folder, as they are listed, made into tasks with settled names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from deepix import images
from deepix.cluster.storage import Chunk, Entry, Folder, Unreadable
from deepix.jobs import FindJob, RestoreJob, manifest, names
from deepix.jobs.inputs import Input
from deepix.jobs.job import VARIANT

IN, OUT = Path("/in"), Path("/out")
"""What stands for the source and the target while names are settled: URLs are no paths."""


@dataclass(frozen=True)
class Plan:
    """What is to be done with each picture of a folder.

    Attributes
    ----------
    source : where the pictures are
    target : where results go; None: nowhere
    job : what is wanted of each; source and outputs are filled in
    compare : a restored picture's `_compare.png`, too
    """

    source: Folder
    target: Folder | None
    job: RestoreJob | FindJob
    compare: bool = False

    @property
    def verb(self) -> str:
        """What is done: "restore" or "find"."""
        return "restore" if isinstance(self.job, RestoreJob) else "find"

    def digest(self) -> str:
        """Return what is the same for plans that give the same results; a model counts with its file as it is."""
        job = manifest.job_digest(self.job, manifest.asked_of(self.job.options), {})
        return hashlib.sha256(json.dumps([self.verb, self.source.url, job, self.compare]).encode()).hexdigest()


@dataclass(frozen=True)
class Task:
    """A picture to be worked on.

    Attributes
    ----------
    entry : the file
    outputs : what results are called below the target, by the job's fields
    overwrite : results that are there already
    """

    entry: Entry
    outputs: dict[str, str] = field(default_factory=dict)
    overwrite: bool = False

    @property
    def folder(self) -> str:
        """The folder below the target that results go to."""
        return self.entry.name.rpartition("/")[0]

    def named(self, what: str, suffix: str) -> str:
        """Return what is written is called below the target.

        Parameters
        ----------
        what : as in `deepix.jobs.JobResult.written`
        suffix : of its format
        """
        variant = int(what.removeprefix(VARIANT)) if what.startswith(VARIANT) else 1
        path = PurePosixPath(self.outputs["output" if variant > 1 else what]).with_suffix(suffix)
        return str(names.variant(path, variant))


@dataclass(frozen=True)
class Met:
    """What was met, and is not worked on.

    Attributes
    ----------
    name : below the source
    status : "passed over" or "failed"
    reason : why
    """

    name: str
    status: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def tasks(plan: Plan) -> Iterator[list[Task | Met]]:
    """Yield a task for each picture of the source, and what is passed over, by folders, or parts of them.

    The source is listed meanwhile.
    """
    suffixes = images.readable_suffixes()
    for chunk in plan.source.chunks():
        if isinstance(chunk, Unreadable):
            yield [Met(chunk.name, "failed", chunk.why)]
            continue
        stems = {PurePosixPath(entry.name).stem for entry in chunk}
        pictures = []
        met: list[Task | Met] = []
        for entry in chunk:
            path = PurePosixPath(entry.name)
            if said := _no_picture(plan.source, path, suffixes):
                met.append(Met(entry.name, "passed over", said))
            elif not stems.isdisjoint(images.made_of(path.stem)):
                met.append(Met(entry.name, "passed over", "the result of an earlier run"))
            else:
                pictures.append(entry)
        yield [*met, *_named(plan, pictures)]


def _no_picture(source: Folder, path: PurePosixPath, suffixes: frozenset[str]) -> str | None:
    """Return why a file is no picture to read: on a disk as on one machine, elsewhere by its name alone."""
    if source.local is not None:
        return images.no_picture(source.local / path, suffixes)
    if path.suffix.lower() in suffixes:
        return None
    return f"no picture that Deepix reads, by its name ({path.suffix or 'without a suffix'})"


def _named(plan: Plan, pictures: Chunk) -> Iterator[Task]:
    inputs = [Input(IN / entry.name, Path(entry.name), IN) for entry in pictures]
    out = names.Destination(OUT, folder=True)
    overwrite = plan.job.overwrite
    if isinstance(plan.job, RestoreJob):
        variants = plan.job.options.variants
        for entry, settled in zip(
            pictures, names.for_restoring(inputs, out, compare=plan.compare, variants=variants), strict=True
        ):
            yield Task(entry, _below(output=settled.output, compare=settled.compare), overwrite)
    else:
        drawn = names.for_finding(inputs, out if plan.target else None)
        for entry, overlay in zip(pictures, drawn, strict=True):
            yield Task(entry, _below(overlay=overlay), overwrite)


def _below(**paths: Path | None) -> dict[str, str]:
    return {what: path.relative_to(OUT).as_posix() for what, path in paths.items() if path is not None}


def job_of(plan: Plan, task: Task, source: Path, folder: Path) -> RestoreJob | FindJob:
    """Return the job on this machine: the source as a file, the outputs in a folder."""
    outputs: dict[str, Any] = {what: folder / PurePosixPath(name).name for what, name in task.outputs.items()}
    return replace(plan.job, source=source, overwrite=True, **outputs)
