"""All rows of the field: how their cases are made, how they are scored, what they must reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import field_clean as clean
import field_found as found
from field_case import Case, Rng
from field_programs import there
from field_scores import Alarms, Bars, Found, Restored, Score
from numpy.typing import NDArray

Array = NDArray[Any]


class Row(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    make : a case of a photo, or None where the draw gives none: the next photo is tried
    score : what counts
    bars : what must be reached
    needs : programs; the row is left out where one is missing
    """

    make: Callable[[Array, Rng], Case | None]
    score: Callable[[], Score]
    bars: Bars
    needs: tuple[str, ...] = ("Pillow",)

    @property
    def possible(self) -> bool:
        """Whether all that it needs is there."""
        return there(*self.needs)


ROWS: dict[str, Row] = {
    "rescaled-whole": Row(found.rescaled_whole, Found, {"found": 92, "right": 92}),
    "rescaled-fractional": Row(found.rescaled_fractional, Found, {"found": 92, "right": 92}),
    "uneven": Row(found.uneven, Found, {"found": 95, "right": 92}),
    "alarms-photos": Row(clean.photo, Alarms, {"alarms": 0.5}),
    "alarms-drawings": Row(clean.drawing, Alarms, {"alarms": 15}),
    "alarms-checkerboards": Row(clean.checkerboard, Alarms, {"alarms": 3}),
    "alarms-bricks": Row(clean.bricks, Alarms, {"alarms": 3}),
    "alarms-QR": Row(clean.qr_code, Alarms, {"alarms": 3}, ("segno",)),
    "alarms-JPEG-10": Row(clean.jpeg10, Alarms, {"alarms": 3}),
}
"""Where no bar stands in a row, its figures tell how things are."""

__all__ = ["ROWS", "Restored", "Row"]
