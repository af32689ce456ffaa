"""All rows of the field: how their cases are made, how they are scored, what they must reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import field_clean as clean
import field_files as files
import field_found as found
import field_odd as odd
import field_overlays as overlays
import field_shapes as shapes
import field_values as values
from field_case import Case, Rng
from field_programs import there
from field_scores import Alarms, Bars, Found, Restored, Score, Told
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
    cases : how many there are, unless the command says another number
    """

    make: Callable[[Array, Rng], Case | None]
    score: Callable[[], Score]
    bars: Bars
    needs: tuple[str, ...] = ("Pillow",)
    cases: int = 60

    @property
    def possible(self) -> bool:
        """Whether all that it needs is there."""
        return there(*self.needs)


_FOUND_AND_RIGHT: Bars = {"found": 92, "right": 92}
_SEVERAL: Bars = {"found and right": 90, "extra": 5, "shared": 0}

ROWS: dict[str, Row] = {
    "plain": Row(shapes.plain, Found, {}),
    "rescaled-whole": Row(found.rescaled_whole, Found, _FOUND_AND_RIGHT),
    "rescaled-close": Row(found.rescaled_close, Found, _FOUND_AND_RIGHT),
    "rescaled-fractional": Row(found.rescaled_fractional, Found, _FOUND_AND_RIGHT),
    "uneven": Row(found.uneven, Found, {"found": 95, "right": 92}),
    "uneven-small": Row(found.uneven_small, Found, {"found": 95, "right": 92}),
    "video-x264": Row(files.x264, Found, {"found": 90, "right": 92}, ("ffmpeg",)),
    "video-mpeg": Row(files.mpeg, Found, {"found": 90, "right": 92}, ("ffmpeg",)),
    "palettes": Row(files.written(files.PALETTES), Found, {"found": 88}),
    "webp": Row(files.written(files.WEBP), Found, {"found": 88}, ("Pillow WebP",)),
    "avif": Row(files.written(files.AVIF), Found, {"found": 88}, ("Pillow AVIF",)),
    "heic": Row(files.written(files.HEIC), Found, {}, ("pillow-heif",)),
    "rounded": Row(shapes.rounded, Found, {"found": 95}),
    "feathered": Row(shapes.feathered, Found, {}),
    "overlapping": Row(shapes.overlapping, Found, _SEVERAL),
    "nested": Row(shapes.nested, Found, _SEVERAL),
    "abutting": Row(shapes.abutting, Found, _SEVERAL),
    "noise": Row(shapes.noisy, Found, {}),
    "cells-of-2": Row(shapes.tiny, Found, {}),
    "cells-above-128": Row(shapes.huge, Found, {}),
    "whole-pictures": Row(shapes.whole, Found, {}),
    "frames": Row(overlays.drawn_over(overlays.frame), Restored, {"nearer": 95}),
    "captions": Row(overlays.drawn_over(overlays.caption), Restored, {"nearer": 95}),
    "watermarks": Row(overlays.drawn_over(overlays.watermark), Restored, {}),
    "pointers": Row(overlays.drawn_over(overlays.pointer), Restored, {}),
    "means": Row(values.means, Restored, {"worse": 2}),
    "samples": Row(values.samples, Restored, {"worse": 2}),
    "min-max": Row(values.extremes, Restored, {"worse": 2}, ("ffmpeg",)),
    "odd-rotated": Row(odd.other_cells(odd.rotated), Told, {}),
    "odd-hexagons": Row(odd.other_cells(odd.hexagons), Told, {}),
    "odd-crystals": Row(odd.other_cells(odd.crystals), Told, {}),
    "odd-translucent": Row(odd.translucent, Told, {}),
    "alarms-photos": Row(clean.photo, Alarms, {"alarms": 0.5}, cases=400),
    "alarms-MPEG": Row(files.clean_mpeg, Alarms, {"alarms": 7}, ("ffmpeg",), cases=100),
    "alarms-pixel-art": Row(clean.pixel_art, Alarms, {"alarms": 15}, cases=100),
    "alarms-blocks": Row(clean.blocks, Alarms, {"alarms": 15}, cases=100),
    "alarms-checkerboards": Row(clean.checkerboard, Alarms, {"alarms": 3}, cases=100),
    "alarms-bricks": Row(clean.bricks, Alarms, {"alarms": 3}, cases=100),
    "alarms-QR": Row(clean.qr_code, Alarms, {"alarms": 3}, ("segno",), cases=100),
    "alarms-JPEG-10": Row(clean.jpeg10, Alarms, {"alarms": 3}, cases=100),
}
"""Where no bar stands in a row, its figures tell how things are."""
