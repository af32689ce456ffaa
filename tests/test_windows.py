"""Boxes and windows: tiles that leave nothing out, windows that keep apart, crops that keep every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepix.mosaic import Grid, Mosaic, unknown
from deepix.mosaic.boxes import grown, tiles, within
from deepix.mosaic.windows import around, crop, windows

SHAPE = (60, 80)


@st.composite
def areas(draw: st.DrawFn) -> list[Mosaic]:
    """Draw rectangles and masks of any place and size; whether they overlap does not matter here."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    result = []
    for _ in range(draw(st.integers(1, 9))):
        y, x = int(rng.integers(SHAPE[0])), int(rng.integers(SHAPE[1]))
        height, width = (int(rng.integers(1, min(12, whole - at) + 1)) for at, whole in ((y, SHAPE[0]), (x, SHAPE[1])))
        mask = rng.random((height, width)) < draw(st.sampled_from([0.3, 2.0]))
        mask[0, 0] = True
        result.append(Mosaic.from_mask(mask, Grid(*rng.uniform(-5, 5, 2), *rng.uniform(1, 9, 2)), x=x, y=y))
    return result


def slow_groups(mosaics: list[Mosaic], margin: tuple[int, int]) -> set[frozenset[int]]:
    """Put together what meets, over and over, until nothing meets any more."""
    groups = [(m.y, m.x, m.y + m.height, m.x + m.width, frozenset([k])) for k, m in enumerate(mosaics)]
    down, across = 2 * margin[0], 2 * margin[1]
    while True:
        pair = next(
            (
                (a, b)
                for a in groups
                for b in groups
                if a is not b
                and (a[0] < b[2] + down and b[0] < a[2] + down and a[1] < b[3] + across and b[1] < a[3] + across)
            ),
            None,
        )
        if pair is None:
            return {group[4] for group in groups}
        a, b = pair
        groups = [g for g in groups if g is not a and g is not b]
        groups.append((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]), a[4] | b[4]))


@given(areas(), st.integers(0, 6), st.integers(0, 6))
def test_windows_hold_what_meets_and_keep_apart(mosaics: list[Mosaic], down: int, across: int) -> None:
    taken = np.zeros(SHAPE, int)
    groups = set()
    mosaics = [replace(m, confidence=k / 10) for k, m in enumerate(mosaics)]  # to know them by
    for window, inside in windows(mosaics, SHAPE, (down, across)):
        taken[window] += 1
        back = [m.moved(window[1].start, window[0].start) for m in inside]
        groups.add(frozenset(round(10 * m.confidence) for m in inside))
        assert window == (
            slice(max(min(m.y for m in back) - down, 0), min(max(m.y + m.height for m in back) + down, SHAPE[0])),
            slice(max(min(m.x for m in back) - across, 0), min(max(m.x + m.width for m in back) + across, SHAPE[1])),
        )
    assert taken.max() == 1
    assert groups == slow_groups(mosaics, (down, across))


def test_thousands_of_specks_are_no_matter() -> None:
    rng = np.random.default_rng(0)
    places = rng.choice(1000 * 1000, 5000, replace=False)
    specks = [Mosaic.rectangle(int(k % 1000) * 9, int(k // 1000) * 9, 1, 1, 5) for k in places]
    found = list(windows(specks, (9000, 9000), (4, 4)))
    assert sum(len(inside) for _, inside in found) == 5000
    assert max(len(inside) for _, inside in found) == 1  # 9 pixels apart: 8 are seen


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 20), st.integers(1, 8))
def test_tiles_leave_nothing_out(height: int, width: int, side: int, overlap: int, step: int) -> None:
    count = np.zeros((height, width), int)
    for core, seen, inside in tiles((height, width), side, overlap, step):
        count[core] += 1
        assert core[0].start % step == core[1].start % step == 0
        assert seen == grown(core, overlap, (height, width))
        assert inside == within(core, seen)
    assert (count == 1).all()


@given(areas(), st.data())
def test_a_crop_keeps_every_pixel_and_its_cell(mosaics: list[Mosaic], data: st.DataObject) -> None:
    y0, x0 = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    box = slice(y0, data.draw(st.integers(y0 + 1, SHAPE[0]))), slice(x0, data.draw(st.integers(x0 + 1, SHAPE[1])))
    size = box[0].stop - y0, box[1].stop - x0
    np.testing.assert_array_equal(unknown(crop(mosaics, box), size), unknown(mosaics, SHAPE)[box])
    outer = around(mosaics, 3, SHAPE)
    np.testing.assert_array_equal(unknown(mosaics, SHAPE).sum(), unknown(mosaics, SHAPE)[outer].sum())
