"""The manifest of a cluster run: JSON lines in parts, so that a job of millions goes on where it was.

A part is written whole, in the target's folder of manifests, and names its run: RUN-PART.jsonl. Of what earlier runs
did, 27 bytes are kept for each picture: a digest of its name, one of its name, state and options, its status, and what
was written of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepix.cluster.actor import Outcome
from deepix.cluster.plan import Met, Plan, Task
from deepix.cluster.storage import Folder
from deepix.errors import InputError, OutputError
from deepix.jobs.manifest import holds

LINES, SECONDS = 1000, 5.0
"""A part is finished at so many lines; one that is not is written so often."""
STATUSES = ("done", "nothing", "unsure", "failed", "passed over")
Shape = tuple[tuple[str, str], ...]
"""What was written of a picture, and the suffix of each: the names follow from these, and there are a few only."""
_KINDS = np.dtype([("name", "u8"), ("key", "S16"), ("status", "u1"), ("shape", "u2")])


class Record:
    """The manifest of a run.

    Parameters
    ----------
    folder : where the parts are; None: nothing is kept
    plan : what is done
    resume : go on with what is there
    overwrite : or forget it

    Raises
    ------
    OutputError : there is a manifest, and neither was asked for
    InputError : a part of it is none

    Attributes
    ----------
    resumed : an earlier run may have left something half-written
    """

    def __init__(self, folder: Folder | None, plan: Plan, *, resume: bool, overwrite: bool) -> None:
        self._folder, self._plan, self._digest = folder, plan, plan.digest()
        self._lines: list[bytes] = []
        self._part, self._saved, self._saved_at = 0, 0, time.monotonic()
        self._shapes: dict[Shape, int] = {}
        self._known = np.empty(0, _KINDS)
        parts = [name for name in folder.names("") if name.endswith(".jsonl")] if folder else []
        if parts and not resume and not overwrite:
            raise OutputError(
                f"{folder and folder.url}: there is a manifest; go on with --resume, or begin anew with --overwrite"
            )
        self._run = max((int(name.partition("-")[0]) for name in parts if name[:1].isdigit()), default=0) + 1
        self.resumed = resume
        if resume and folder:
            folder.tidy("")
            self._known = self._read(folder, parts)

    # ── what was done ────────────────────────────────────────────────────────────────────────────

    def earlier(self, tasks: Iterable[Task]) -> dict[str, str]:
        """Return the statuses that an earlier run came to, by the pictures' names.

        That is of pictures that are the same, as are the options, and whose results are there.

        Parameters
        ----------
        tasks : of one folder
        """
        shapes = list(self._shapes)
        known = {}
        for task in tasks:
            row = self._row(task.entry.name)
            if row is not None and row["key"] == _bare(self._key(task)) and row["status"] < len(STATUSES):
                written = {task.named(*one) for one in shapes[row["shape"]]}
                known[task.entry.name] = STATUSES[int(row["status"])], written
        wanted = {name for _, written in known.values() for name in written}
        there = self._plan.target.present(wanted) if self._plan.target else set()
        return {name: status for name, (status, written) in known.items() if written <= there}

    def ours(self, task: Task) -> bool:
        """Whether an earlier run worked on the picture, so that its results may be replaced."""
        return self._row(task.entry.name) is not None

    def _row(self, name: str) -> Any:
        wanted = _number(name)
        at = int(np.searchsorted(self._known["name"], wanted))
        there = at < len(self._known) and self._known["name"][at] == wanted
        return self._known[at] if there else None

    def _key(self, task: Task) -> bytes:
        entry = task.entry
        return _key(entry.name, entry.size, entry.state, self._digest, task.outputs)

    # ── what is done ─────────────────────────────────────────────────────────────────────────────

    def done(self, task: Task, outcome: Outcome) -> None:
        """Write down what became of a picture."""
        entry = task.entry
        line = {"input": entry.name, "size": entry.size, "state": entry.state, "options": self._digest}
        self._add({**line, "named": task.outputs, "outputs": outcome.written, "result": outcome.result})

    def met(self, met: Met) -> None:
        """Write down what is not worked on, unless an earlier run did."""
        if self._row(met.name) is None:
            self._add({"input": met.name, "status": met.status, "reason": met.reason})

    def _add(self, line: dict[str, Any]) -> None:
        self._lines.append(json.dumps(line).encode() + b"\n")
        self.save(only_if_due=True)

    def save(self, *, only_if_due: bool = False) -> None:
        """Write the lines that are not written yet."""
        due = len(self._lines) >= LINES or time.monotonic() - self._saved_at >= SECONDS
        if len(self._lines) == self._saved or (only_if_due and not due):
            return
        if self._folder is not None:
            name = f"{self._run:06}-{self._part:06}.jsonl"
            self._folder.store(name, _head(self._plan) + b"".join(self._lines), overwrite=True)
        self._saved, self._saved_at = len(self._lines), time.monotonic()
        if len(self._lines) >= LINES:
            self._lines, self._part, self._saved = [], self._part + 1, 0

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def _read(self, folder: Folder, parts: list[str]) -> NDArray[Any]:
        blocks = [np.empty(0, _KINDS)]
        for name in parts:
            rows = [
                (_number(line["input"]), _key_of(line), _status_of(line), self._shape_of(line))
                for line in _entries(folder, name, self._plan)
            ]
            blocks.append(np.array(rows, _KINDS))
        known = np.concatenate(blocks)[::-1]  # of several lines of one picture the last one counts
        _, first = np.unique(known["name"], return_index=True)
        return known[first]

    def _shape_of(self, line: dict[str, Any]) -> int:
        written = line.get("outputs", {}).items()
        shape = tuple((what, PurePosixPath(name).suffix) for what, name in written)
        return self._shapes.setdefault(shape, len(self._shapes))


def _head(plan: Plan) -> bytes:
    return json.dumps({"manifest": "deepix", "version": 1, "verb": plan.verb}).encode() + b"\n"


def _entries(folder: Folder, name: str, plan: Plan) -> Iterator[dict[str, Any]]:
    lines = (folder.read(name) or b"").splitlines(keepends=True)
    if not lines or lines[0] != _head(plan):
        raise InputError(f"{folder.named(name)}: not part of a manifest of deepix {plan.verb}; name another folder")
    yield from map(json.loads, lines[1:])


def _status_of(line: dict[str, Any]) -> int:
    """Return a status by its place; one beyond all for a failure that is to be tried again."""
    if "result" not in line:
        return STATUSES.index("passed over")
    result = line["result"]
    return STATUSES.index(result["status"]) if holds(result) else len(STATUSES)


def _key_of(line: dict[str, Any]) -> bytes:
    if "result" not in line:
        return b""
    return _key(line["input"], line["size"], line["state"], line["options"], line["named"])


def _key(name: str, size: int, state: str, digest: str, outputs: dict[str, str]) -> bytes:
    text = json.dumps([name, size, state, digest, outputs], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:16]


def _bare(key: bytes) -> bytes:
    """Return a key as NumPy gives it back, without zeros at its end."""
    return key.rstrip(b"\0")


def _number(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8]))
