"""One input file and what is wanted of it, and the record of what became of it; both can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from deepix.options import Options

if TYPE_CHECKING:
    from deepix.mosaic import Mosaic

STANDARD = Path("-")
"""Standard input, or standard output."""

VARIANT = "variant "
"""What outputs after the first of several variants are called, before their number."""

Status = Literal["done", "nothing", "unsure", "failed"]
"""Done: restored, or found; nothing: nothing pixelated (of the size asked for); unsure: found, but left as it is."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input file.

    Attributes
    ----------
    source : the file, or `STANDARD`
    options : what is asked for
    overwrite : replace outputs that exist; the input never
    """

    source: Path
    options: Options = field(default_factory=Options)
    overwrite: bool = False

    @property
    def named(self) -> dict[str, Path]:
        """The outputs as they are named, by what they are: "output", "compare", "uncertainty", "restored_map",
        "overlay"."""
        return {}


@dataclass(frozen=True, kw_only=True)
class FindJob(Job):
    """Find the mosaics of a picture.

    Attributes
    ----------
    overlay : where the picture with what was found in it goes; None: nowhere
    """

    overlay: Path | None = None

    @property
    def named(self) -> dict[str, Path]:
        """The output."""
        return _there(overlay=self.overlay)


@dataclass(frozen=True, kw_only=True)
class RestoreJob(Job):
    """Restore the mosaics of a picture; nothing is written where there are none.

    Attributes
    ----------
    output : where the restored picture goes, or `STANDARD`
    as_named : in the format of its suffix; otherwise the suffix is exchanged for one that keeps the picture as it is
    compare : where input, restored picture (with detail also without it) and uncertainty go side by side; None: nowhere
    uncertainty : where the expected deviations go; None: nowhere
    restored_map : where a map of what looks restored goes; None: nowhere
    raw : the deviations as a 16-bit PNG instead of a heat map
    quality : of lossy output, 1 … 100
    """

    output: Path
    as_named: bool = False
    compare: Path | None = None
    uncertainty: Path | None = None
    restored_map: Path | None = None
    raw: bool = False
    quality: int = 95

    @property
    def named(self) -> dict[str, Path]:
        """The outputs; unless `as_named`, the first one's suffix is still to be exchanged."""
        return _there(
            output=self.output, compare=self.compare, uncertainty=self.uncertainty, restored_map=self.restored_map
        )  # fmt: skip


def _there(**paths: Path | None) -> dict[str, Path]:
    return {what: path for what, path in paths.items() if path is not None}


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job.

    Attributes
    ----------
    source : the job's
    status : see `Status`
    size : the picture's width and height, in pixels
    mosaics : what was restored, or found
    uncertainties : the mean expected deviation over each mosaic, in levels; None where it is not known
    unsure : what was found, but not restored, as it is not sure where the cells lie
    other_sizes : what was found, but not restored, as its cells are not of the size asked for
    threshold : the least confidence with which a mosaic that was found is restored
    method : the restorer; None where nothing was to be restored
    consistency, noise : as of a `deepix.Restoration`
    written : the files that were written, by what they are: "output", "compare", "uncertainty", "restored_map",
        "overlay", and "variant 2", "variant 3" …
    skipped : outputs of the job that were not written, because there was nothing to write
    notes : one line for each thing that was not taken over or done as it was asked for
    error : one line that names the file, of a job that failed
    error_kind : the exception's class
    traceback : where an unexpected error arose
    seconds : that the job took
    earlier : it was done by an earlier run, and is not done again
    """

    source: Path
    status: Status
    size: tuple[int, int] | None = None
    mosaics: tuple[Mosaic, ...] = ()
    uncertainties: tuple[float | None, ...] = ()
    unsure: tuple[Mosaic, ...] = ()
    other_sizes: tuple[Mosaic, ...] = ()
    threshold: float | None = None
    method: str | None = None
    consistency: float = 0.0
    noise: float = 0.0
    written: Mapping[str, Path] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    error_kind: str | None = None
    traceback: str | None = None
    seconds: float = 0.0
    earlier: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it: plain values."""
        if self.error is not None:
            return {"input": str(self.source), "error": self.error}
        if self.method is None:
            return {
                "input": str(self.source),
                "size": list(self.size or ()),
                "mosaics": [m.to_dict() for m in self.mosaics],
                "threshold": self.threshold,
                "overlay": self._name("overlay"),
                "notes": list(self.notes),
            }
        result: dict[str, Any] = {
            "input": str(self.source),
            "output": self._name("output"),
            "mosaics": [
                m.to_dict() | {"uncertainty": None if mean is None else round(mean, 3)}
                for m, mean in zip(self.mosaics, self.uncertainties, strict=True)
            ],
            "unsure": [m.to_dict() for m in self.unsure],
            "threshold": self.threshold,
            "method": self.method,
            "consistency": self.consistency,
            "noise": round(self.noise, 3),
            "notes": list(self.notes),
        }
        beside = ("uncertainty", "compare", "restored_map")
        result |= {key: str(self.written[key]) for key in beside if key in self.written}
        if variants := [str(path) for what, path in self.written.items() if what.startswith(VARIANT)]:
            result["variants"] = [result["output"], *variants]
        return result | {"seconds": round(self.seconds, 3)}

    def to_record(self) -> dict[str, Any]:
        """Return all of it but the source and the traceback as plain values; `from_record` reads them back."""
        result: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        result |= {name: [m.to_dict() for m in getattr(self, name)] for name in _MOSAICS}
        result["uncertainties"] = [None if mean is None else float(mean) for mean in self.uncertainties]
        return result | {"written": {what: str(path) for what, path in self.written.items()}}

    @classmethod
    def from_record(cls, source: Path, record: Mapping[str, Any], *, earlier: bool = False) -> Self:
        """Return the result that `to_record` described.

        Parameters
        ----------
        source, earlier : see the class
        record : plain values
        """
        from deepix.mosaic import Mosaic

        values: dict[str, Any] = {name: record[name] for name in _PLAIN}
        for name in ("size", "skipped", "notes"):
            values[name] = None if values[name] is None else tuple(values[name])
        values |= {name: tuple(map(Mosaic.from_dict, record[name])) for name in _MOSAICS}
        values["uncertainties"] = tuple(record["uncertainties"])
        values["written"] = {what: Path(path) for what, path in record["written"].items()}
        return cls(source=source, earlier=earlier, **values)

    def _name(self, what: str) -> str | None:
        return str(self.written[what]) if what in self.written else None


_MOSAICS = ("mosaics", "unsure", "other_sizes")
_PLAIN = (
    *("status", "size", "threshold", "method", "consistency", "noise"),
    *("skipped", "notes", "error", "error_kind", "seconds"),
)
