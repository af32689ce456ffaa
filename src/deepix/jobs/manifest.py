"""What became of each file, written down while the work goes on, so that a run that was killed can be gone on with.

A manifest is a file of JSON lines that is only ever added to, one whole line at a time, until all is done; then it is
put in the inputs' order and what is superseded is left out. docs/scale.md describes the lines.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from deepix import files
from deepix.errors import DeepixError, InputError, OutputError, reason
from deepix.jobs import locks
from deepix.jobs.inputs import Input
from deepix.jobs.job import JobResult
from deepix.jobs.many import BROKEN, AnyJob
from deepix.jobs.names import Destination
from deepix.jobs.work import targets_of
from deepix.options import Options

VERSION = 1
HEAD = b'{"manifest": "deepix", '
"""How every manifest begins."""
KEPT_FAILURES = ("InputError", BROKEN)
"""Failures that are the input's: as long as it stays the same they are not tried again."""

Entry = dict[str, Any]


def place(verb: str, inputs: Sequence[Input], target: Destination | None) -> Path:
    """Return where the manifest is unless the user says so: in the output folder, or hidden with the first input.

    It is hidden in a folder that is searched for pictures, too, and beside a single file.
    """
    first = inputs[0]
    if target is None:
        return (first.root or first.path.parent) / f".deepix-{verb}.jsonl"
    folder = target.path if target.folder else target.path.parent
    here = Path(os.path.realpath(folder))
    roots = {one.root for one in inputs if one.root is not None}
    searched = any(here.is_relative_to(os.path.realpath(root)) for root in roots)
    return folder / f"{'.' if searched or not target.folder else ''}deepix-{verb}.jsonl"


class Manifest:
    """A manifest in use by one run, which keeps others from it; a context manager.

    Parameters
    ----------
    path : the file
    verb : what is done: "restore" or "find"
    resume : go on with what is there, if anything is; otherwise a manifest that is there is replaced
    overwrite : or, without it, refused

    Raises
    ------
    InputError : the file is no manifest, or one of another verb
    OutputError : it cannot be written, it exists already, or another run uses it
    """

    def __init__(self, path: Path, verb: str, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = path
        self.lock: Path | None = path
        self.mark = secrets.token_hex(6)
        self._verb = verb
        self._places: dict[str, tuple[int, int]] = {}
        """Of each input, where its last entry stands: offset and length. They are read when they are needed."""
        self._begun: dict[str, list[str]] = {}
        """Of each input that was at work when a run ended, what it may have written."""
        self._at_work: set[str] = set()
        self._digests: dict[Options, str] = {}
        files.make_folder(path.parent)
        if not resume:
            files.check_free(path, overwrite)
        try:
            self._file = locks.open_alone(path)
        except OSError as error:
            raise files.failure(path, error) from error
        try:
            self._size = self._load() if resume else self._empty()
            self._append({} if self._size else self._head(), {"run": self.mark})
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others use it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # ── what was done ────────────────────────────────────────────────────────────────────────────

    def earlier(self, job: AnyJob) -> JobResult | None:
        """Return the result of an earlier run, if input, options and outputs' names are the same and they are there."""
        name = _name(job.source)
        entry = self._entry(name)
        if entry is None or name in self._begun or "result" not in entry:
            return None
        if _state(job.source) != (entry["size"], entry["mtime_ns"]) or entry["options"] != self._digest(job):
            return None
        if not holds(entry["result"]):
            return None
        if not all(os.path.lexists(output["path"]) for output in entry["outputs"].values()):
            return None
        return JobResult.from_record(job.source, entry["result"], earlier=True)

    def begin(self, job: AnyJob) -> AnyJob:
        """Write down that a job is about to be done; return it, with leave to overwrite what earlier runs made."""
        name = _name(job.source)
        try:
            targets = [_name(path) for path in targets_of(job).values()]
        except DeepixError:  # as the job will find
            targets = []
        ours = self._ours(name)
        if not job.overwrite and not {path for path in targets if os.path.lexists(path)} - ours:
            job = replace(job, overwrite=True)
        self._at_work.add(name)
        self._append({"begun": name, "outputs": sorted({*targets, *ours}) if job.overwrite else sorted(ours)})
        return job

    def end(self, job: AnyJob, result: JobResult) -> JobResult:
        """Write down a job's result; return it, with a note of what an earlier run made and this one does not."""
        name = _name(job.source)
        written = {what: _name(path) for what, path in result.written.items()}
        notes = [
            f"{path}: made of it earlier, with other options or of another picture, and not made anew"
            for path in sorted(self._ours(name) - set(written.values()))
            if result.error is None
        ]
        result = replace(result, notes=(*result.notes, *notes))
        size, changed = _state(job.source)
        outputs = {what: _output(path) for what, path in written.items()}
        about = {"size": size, "mtime_ns": changed, "options": self._digest(job), "outputs": outputs}
        at, length = self._append({"input": name, **about, "result": result.to_record()})
        self._places[name] = at, length
        self._begun.pop(name, None)
        self._at_work.discard(name)
        return result

    def met(self, path: Path, status: str, why: str) -> None:
        """Write down a file that is not worked on, unless that is written already."""
        name = _name(path)
        entry = {"input": name, "status": status, "reason": why}
        if self._entry(name) != entry:
            self._places[name] = self._append(entry)

    def complete(self, inputs: Iterable[Path]) -> bool:
        """Whether there is an entry of each of these, and none is at work."""
        return all(
            name in self._places and name not in self._begun and name not in self._at_work
            for name in map(_name, inputs)
        )

    def finish(self, order: Iterable[Path]) -> None:
        """Put the manifest in this order, without what is superseded; afterwards it is closed."""
        places = dict(self._places)
        mark, temporary = self.mark, None
        try:
            with files.marked(f"{mark}."):
                temporary = files.temporary_beside(self.path)
            with temporary.open("xb") as file:
                file.write(_line(self._head()))
                for name in [*dict.fromkeys(map(_name, order)), *self._places]:
                    if name in places:
                        file.write(self._read(*places.pop(name)))
            temporary.replace(self.path)
        except OSError as error:
            raise files.failure(self.path, error) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            self.close()

    # ── the file ─────────────────────────────────────────────────────────────────────────────────

    def _head(self) -> Entry:
        return {"manifest": "deepix", "version": VERSION, "verb": self._verb}

    def _load(self) -> int:
        """Read what earlier runs wrote, and remove what they left half-written; return the length in bytes."""
        runs, at = [], 0
        for line in self._lines():
            if at == 0:
                self._check(line)
            if not line.endswith(b"\n"):  # torn: the run was killed while it wrote this line
                os.ftruncate(self._file, at)
                break
            entry = _parsed(line)
            if "run" in entry:
                runs.append(entry["run"])
            elif "begun" in entry:
                self._begun[entry["begun"]] = entry["outputs"]
            elif "input" in entry:
                self._places[entry["input"]] = at, len(line)
                self._begun.pop(entry["input"], None)
            at += len(line)
        locks.wait_for_workers(self._file)
        folders = {self.path.parent, *(Path(path).parent for paths in self._begun.values() for path in paths)}
        for folder in folders:
            for mark in runs:
                files.remove_marked(folder, f"{mark}.")
        return at

    def _lines(self) -> Iterator[bytes]:
        # any other descriptor of this file would, when it is closed, take the lock with it
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            yield from file

    def _check(self, first: bytes) -> None:
        """Raise unless a file that begins so is a manifest of this verb, perhaps torn in its first line."""
        if not first.startswith(HEAD[: len(first)]):
            raise InputError(f"{self.path}: not a manifest of Deepix; name another file with --manifest")
        if first.endswith(b"\n"):
            head = _parsed(first)
            if head.get("version") != VERSION:
                raise InputError(f"{self.path}: a manifest of another version of Deepix; name another file")
            if head.get("verb") != self._verb:
                raise InputError(f"{self.path}: the manifest of deepix {head.get('verb')}; name another file")

    def _empty(self) -> int:
        os.ftruncate(self._file, 0)
        return 0

    def _append(self, *entries: Entry) -> tuple[int, int]:
        """Add lines, all or nothing; return where they begin and how long they are."""
        data = b"".join(_line(entry) for entry in entries if entry)
        at = self._size
        try:
            written = os.write(self._file, data)
            if written < len(data):  # a full disk
                os.ftruncate(self._file, at)
                raise OutputError(f"{self.path}: cannot be written (No space left on device)")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({reason(error)})") from error
        self._size += len(data)
        return at, len(data)

    def _read(self, at: int, length: int) -> bytes:
        os.lseek(self._file, at, os.SEEK_SET)  # what is added goes to the end all the same
        return os.read(self._file, length)

    def _entry(self, name: str) -> Entry | None:
        place = self._places.get(name)
        return _parsed(self._read(*place)) if place else None

    def _ours(self, name: str) -> set[str]:
        """Return the files that earlier runs made of an input, and that are as they left them."""
        entry = self._entry(name) or {}
        outputs = entry.get("outputs", {}).values()
        ours = {output["path"] for output in outputs if _output(output["path"]) == output}
        return ours | {path for path in self._begun.get(name, ()) if os.path.lexists(path)}

    def _digest(self, job: AnyJob) -> str:
        """Return what tells jobs apart that ask for other results, or for results elsewhere."""
        if job.options not in self._digests:
            self._digests[job.options] = asked_of(job.options)
        named = {what: _name(path) for what, path in job.named.items()}
        return job_digest(job, self._digests[job.options], named)


def asked_of(options: Options) -> str:
    """Return what tells options apart that ask for other results: they themselves, and the model's file as it is."""
    model = None if options.model is None else _state(Path(options.model))
    return f"{options.digest()} {model}"


def job_digest(job: AnyJob, asked: str, named: Mapping[str, str]) -> str:
    """Return what tells jobs apart that ask for other results, or for results elsewhere.

    Parameters
    ----------
    job : its source does not count
    asked : `asked_of` its options, which takes a while
    named : where its outputs go
    """
    rest = [job.options.max_pixels, *(getattr(job, name, None) for name in ("as_named", "raw", "quality"))]
    text = json.dumps([asked, dict(named), rest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def holds(result: Mapping[str, Any]) -> bool:
    """Whether a result holds as long as input and options stay the same: all do but failures that are not the input's.

    Parameters
    ----------
    result : as `JobResult.to_record` describes it
    """
    return result["status"] != "failed" or result["error_kind"] in KEPT_FAILURES


def _name(path: str | Path) -> str:
    """Return how entries call a file: its full path, with links as they are."""
    return os.path.abspath(path)  # noqa: PTH100


def _state(path: str | Path) -> tuple[int | None, int | None]:
    """Return a file's size and time of change."""
    try:
        about = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None, None
    return about.st_size, about.st_mtime_ns


def _output(path: str) -> Entry:
    size, changed = _state(path)
    return {"path": path, "size": size, "mtime_ns": changed}


def _line(entry: Entry) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _parsed(line: bytes) -> Entry:
    """Return what a line says; nothing, if it is no JSON object."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
