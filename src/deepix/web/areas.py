"""An area of a picture, found or drawn, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepix.mosaic import Mosaic
from deepix.web.outlines import outline


@dataclass
class Area:
    """An area of a picture as the page shows it.

    Attributes
    ----------
    number : that stands for it
    mosaic : where it is, with its grid
    origin : as it was before a cell size was typed
    drawn : by the visitor; otherwise it was found
    """

    number: int
    mosaic: Mosaic
    origin: Mosaic
    drawn: bool

    def to_dict(self, others: Sequence[Area], sure: float) -> dict[str, Any]:
        """Return what the page needs to know, as plain values.

        Parameters
        ----------
        others : of the picture
        sure : the least confidence with which what is found is restored, unless asked otherwise
        """
        m, g = self.mosaic, self.mosaic.grid
        inside, edges = outline(m)
        return {
            "id": self.number,
            "drawn": self.drawn,
            "box": [m.x, m.y, m.width, m.height],
            "grid": [g.x, g.y, g.width, g.height],
            "changed": self.mosaic is not self.origin,
            "confidence": m.confidence,
            "sure": self.drawn or m.confidence >= sure,
            "inside": inside,
            "edges": edges,
            "overlaps": [o.number for o in others if o is not self and overlap(m, o.mosaic)],
        }


def overlap(a: Mosaic, b: Mosaic) -> bool:
    """Say whether two areas share pixels."""
    x0, x1 = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    y0, y1 = max(a.y, b.y), min(a.y + a.height, b.y + b.height)
    if x0 >= x1 or y0 >= y1:
        return False
    ours = a.area[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
    return bool((ours & b.area[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]).any())
