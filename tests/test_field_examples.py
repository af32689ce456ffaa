"""Examples of what people do to mosaics before they are seen: rescaled, covered, faded, drawn over, video."""

from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image, features

from deepix.mosaic import check
from deepix.training.data.examples import Settings, contrast, example
from deepix.training.data.negatives import BLOCKS, negative
from deepix.training.data.saved import as_video
from deepix.training.stages.locator.examples import KINDS, MOST, SHARES, draw

PHOTO = skimage.data.astronaut()
UNSPOILT = Settings(side=(300, 300), early=0, late=0, resize=0, crop=0, blur=0, sharpen=0, noise=0)
ONE = replace(UNSPOILT, counts=(0, 1), whole=0, fractional=0, shapes={"rectangle": 1.0}, gray=0)


def drawn(settings, number, photo=PHOTO):
    return [example(photo, np.random.default_rng(i), settings) for i in range(number)]


def test_usual_scales_leave_whole_cells_whole():
    settings = replace(ONE, resize=1, usual=1, side=(301, 317), cell=(6, 30))
    scales = set()
    for e in drawn(settings, 24):
        (scale,) = (float(step.split()[1]) for step in e.history.split(" -> ") if step.startswith("resize"))
        scales.add(scale)
        for m in e.mosaics:
            assert m.grid.width / scale == pytest.approx(round(m.grid.width / scale), abs=1e-9)
            assert contrast(e.picture[m.box], m) > 1.2
        assert e.picture.shape == e.clean.shape
    assert scales == {0.5, 1.25, 1.5, 2.0}


def test_later_mosaics_cover_earlier_ones_and_leave_something_of_them():
    settings = replace(ONE, counts=(0, 0, 0, 1), covering=1, cell=(5, 20), least_cells=5, least_change=1)
    covered = 0
    for e in drawn(settings, 20):
        check(e.mosaics, e.picture.shape)
        for m in e.mosaics:
            covered += m.mask is not None
            assert m.area.sum() > 0.1 * m.width * m.height
            values, cells = e.picture[m.box][m.area].astype(int), m.labels()[m.area]
            assert all(not np.ptp(values[cells == cell], axis=0).any() for cell in np.unique(cells))
    assert covered > 8


def test_feathered_areas_fade():
    settings = replace(ONE, feather=1, cell=(8, 20), least_change=4, native=1)
    outside = inside = 0
    for e in drawn(settings, 10):
        for m in e.mosaics:
            assert e.placed[0].tiles.endswith("feathered")
            changed = (e.picture != e.clean).any(axis=2)
            changed[m.box] &= ~m.area
            outside += changed.sum()  # less than half of the mosaic is there
            depth = np.zeros_like(m.area)
            depth[m.height // 2, m.width // 2] = True
            assert m.area[depth].all()
            values = e.picture[m.box]
            cells = m.labels()
            own = cells == cells[m.height // 2, m.width // 2]
            inside += np.ptp(values[own].astype(int), axis=0).max() == 0
    assert outside > 100
    assert inside >= 6


def test_what_is_drawn_over_mosaics_is_in_the_clean_picture_too():
    plain, over = drawn(ONE, 12), drawn(replace(ONE, overlays=1), 12)
    differs = 0
    for without, e in zip(plain, over, strict=True):
        np.testing.assert_array_equal(without.labels, e.labels)
        known = e.labels == 0
        np.testing.assert_array_equal(e.picture[known], e.clean[known])
        differs += (without.picture != e.picture).any()
    assert differs == len([e for e in over if e.placed]) > 8


def test_palettes_leave_few_colours():
    for e in drawn(replace(ONE, palette=1), 6):
        number, what = e.history.split()[:2]
        assert what.startswith("colours")
        assert len(np.unique(e.picture.reshape(-1, 3), axis=0)) <= int(number)


def test_files_of_each_kind():
    def kinds(**chances):
        return {e.history.split()[0] for e in drawn(replace(ONE, late=1, **chances), 3)}

    assert kinds(video=1) == {"video"}
    assert kinds(avif=1) == {"avif" if features.check("avif") else "webp"}
    (dark,) = drawn(replace(ONE, dark=1), 1)
    assert dark.history.startswith("dark")
    assert dark.picture.mean() < 0.7 * dark.clean.mean()


def test_video_leaves_blocks_of_8():
    image = Image.fromarray(PHOTO[:256, :256])
    steps = np.abs(np.diff(np.asarray(as_video(image, 12, (0, 0)), float).mean(axis=2), axis=1)).mean(axis=0)
    lines = np.arange(7, 255, 8)
    assert steps[lines].mean() > 1.3 * np.delete(steps, lines).mean()
    still, moved = (np.asarray(as_video(image, 6, shift)) for shift in ((0, 0), (3, 5)))
    assert still.shape == moved.shape == (256, 256, 3)
    assert (still != moved).any()
    assert np.asarray(as_video(image.convert("L"), 6, (3, 5))).shape == (256, 256)


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_fill_the_picture(kind):
    picture = negative(kind, np.random.default_rng(5), PHOTO, (200, 120))
    assert picture.shape == (120, 200, 3)
    assert picture.std() > 1


@pytest.mark.parametrize("kind", ["field", "blocks"])
def test_kinds_of_the_field_become_examples_of_the_locator(kind):
    mosaics = 0
    for i in range(6):
        picture, labels, cells = draw(PHOTO, kind, 160, np.random.default_rng(i))
        assert picture.shape == labels.shape == (160, 160)
        assert labels.max() <= MOST
        assert (cells[np.unique(labels[labels > 0])] > 2).all()
        mosaics += labels.max() > 0
    assert mosaics >= 4 if kind == "field" else mosaics == 0


def test_kinds_keep_their_numbers_in_files():
    assert KINDS[:10] == (
        "any", "1 lossless", "1 jpeg 90-100", "2 jpeg 50-89", "2 resized, jpeg 75-100", "3 lossless", "3 jpeg 50-89",
        "negative", "clean", "negative with mosaics",
    )  # fmt: skip
    assert len(SHARES) == len(KINDS)
    assert sum(SHARES) == pytest.approx(1)
