"""Foreign pixels: drawn over or beside a mosaic afterwards, they are neither scene nor cells."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import deepix
from deepix.cli import app
from deepix.errors import DeepixError
from deepix.mosaic import (
    Grid,
    Mosaic,
    cell_values,
    check,
    consistency,
    foreign_pixels,
    noise,
    pixelate,
    project,
    quantize,
    unknown,
)
from deepix.mosaic.windows import crop
from deepix.options import Options
from deepix.restorer.network import estimate
from deepix.restorer.parallel import bands
from deepix.restorer.smooth import smooth
from deepix.training.data.overlays import KINDS


@st.composite
def mosaics_of(draw, height, width, blended=None):
    """A rectangle in the left half, a mask in the right; what is foreign of the picture is foreign to both."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    foreign = rng.random((height, width)) < draw(st.sampled_from([0.02, 0.2, 0.6]))
    result = []
    for left, right, masked in ((0, width // 2, False), (width // 2, width, True)):
        x, y = draw(st.integers(left, right - 1)), draw(st.integers(0, height - 1))
        w, h = draw(st.integers(1, right - x)), draw(st.integers(1, height - y))
        size = st.one_of(st.integers(1, 9), st.floats(1, 9))
        mixed = draw(st.booleans()) if blended is None else blended
        grid = Grid(draw(st.integers(-9, 30)), draw(st.floats(-9, 30)), draw(size), draw(size), mixed)
        mask = rng.random((h, w)) < (0.7 if masked else 2)
        mask[0, 0] = True
        foreign[y, x] = False
        result.append(Mosaic.from_mask(mask, grid, x=x, y=y))
    return [m.with_foreign(foreign, draw(st.integers(0, 4))) for m in result]


@st.composite
def cases(draw, dtype, blended=None):
    """A truth, an estimate, the mosaics, and what one sees: the truth pixelated, and then drawn over."""
    height, width = draw(st.integers(2, 24)), draw(st.integers(2, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    truth = (np.clip(rng.random((height, width, *channels)) * 1.6 - 0.3, 0, 1) * top).astype(dtype)
    mosaics = draw(mosaics_of(height, width, blended))
    foreign = foreign_pixels(mosaics, truth.shape)
    truth[foreign] = (rng.random(truth.shape) * top).astype(dtype)[foreign]
    estimate = rng.normal(0.5, 0.6, truth.shape) * top
    return truth, estimate, mosaics, foreign


# ── the laws ─────────────────────────────────────────────────────────────────────────────────────


@given(cases(np.uint8))
def test_foreign_pixels_come_back_bit_for_bit(case):
    truth, estimate, mosaics, foreign = case
    for result in (
        pixelate(truth, mosaics),
        project(estimate, truth, mosaics),
        project(estimate, truth, mosaics, bounds=(0, 255)),
        quantize(estimate, truth, mosaics),
    ):
        assert np.array_equal(result[foreign], truth[foreign].astype(result.dtype))
    assert not (foreign & unknown(mosaics, truth.shape)).any()


@given(cases(np.float64))
def test_foreign_pixels_say_nothing_of_cells(case):
    truth, estimate, mosaics, foreign = case
    other = truth.copy()
    other[foreign] = 1 - other[foreign]
    ours, inside = [], unknown(mosaics, truth.shape)
    for picture in (truth, other):
        ours.append([cell_values(picture, m) for m in mosaics])
        ours[-1] += [pixelate(picture, mosaics)[inside], project(estimate, picture, mosaics)[inside]]
        ours[-1] += [
            noise(picture, mosaics),
            consistency(np.where(foreign[(...,) + (None,) * (truth.ndim - 2)], 0, estimate), picture, mosaics),
        ]
    for a, b in zip(*ours, strict=True):
        np.testing.assert_array_equal(a, b)


@given(cases(np.float64, blended=False))
def test_a_cell_is_what_can_be_seen_of_it(case):
    truth, _, mosaics, _ = case
    for m in mosaics:
        labels, values = m.labels(), cell_values(truth, m).reshape(m.cells.counts.size, -1)
        assert np.array_equal(labels >= 0, m.area)
        for label in np.unique(labels[labels >= 0]):
            np.testing.assert_allclose(
                truth[m.box][labels == label].reshape(-1, values.shape[1]).mean(0), values[label]
            )


@given(cases(np.float64), st.booleans())
def test_projection_never_moves_away_from_the_truth_and_is_idempotent(case, bounded):
    truth, estimate, mosaics, _ = case
    if bounded:  # cells beside each other, near both ends of the range, may have values that no picture attains
        truth, estimate = truth * 0.6 + 0.2, estimate * 0.3 + 0.35
    bounds = (0.0, 1.0) if bounded else None
    pixelated, inside = pixelate(truth, mosaics), unknown(mosaics, truth.shape)
    projected = project(estimate, pixelated, mosaics, bounds=bounds)
    assert ((projected - truth)[inside] ** 2).sum() <= ((estimate - truth)[inside] ** 2).sum() + 1e-5
    np.testing.assert_allclose(project(projected, pixelated, mosaics, bounds=bounds), projected, atol=1e-3)
    if not bounded:
        assert abs(((estimate - projected) * (truth - projected))[inside].sum()) < 1e-8
        np.testing.assert_allclose(pixelate(projected, mosaics), pixelated, atol=1e-5)


@given(cases(np.uint8, blended=False), st.sampled_from(["nearest", "truncate"]))
def test_repixelating_a_restoration_returns_the_input(case, rounding):
    truth, estimate, mosaics, _ = case
    pixelated = pixelate(truth, mosaics, rounding)
    restored = quantize(estimate, pixelated, mosaics, rounding)
    assert np.array_equal(pixelate(restored, mosaics, rounding), pixelated)
    assert consistency(restored, pixelated, mosaics, rounding) == 0
    assert noise(pixelated, mosaics) == 0


# ── the type ─────────────────────────────────────────────────────────────────────────────────────


@given(st.data())
def test_a_mosaic_survives_json_pickling_and_being_moved(data):
    for m in data.draw(mosaics_of(30, 30)):
        assert Mosaic.from_dict(json.loads(json.dumps(m.to_dict()))) == m
        assert pickle.loads(pickle.dumps(m)) == m
        assert replace(m) == m
        assert hash(replace(m)) == hash(m)
        moved = m.moved(3, 5)
        assert np.array_equal(foreign_pixels([moved], (40, 40))[5:35, 3:33], foreign_pixels([m], (30, 30)))
        assert np.array_equal(unknown([moved], (40, 40))[5:35, 3:33], unknown([m], (30, 30)))
        if m.foreign is not None:
            assert not (m.area & m.foreign).any()
            assert m.with_foreign(np.zeros((30, 30), bool)) == m
            assert replace(m, foreign=None) != m
            assert "foreign" in m.to_dict()


@given(st.data())
def test_parts_have_the_foreign_pixels_of_their_place(data):
    mosaics = data.draw(mosaics_of(24, 20))
    planes = [of(mosaics, (24, 20)) for of in (unknown, foreign_pixels)]
    top, left = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 16))
    box = slice(top, data.draw(st.integers(top + 1, 24))), slice(left, data.draw(st.integers(left + 1, 20)))
    parts = crop(mosaics, box)
    inside = unknown(parts, planes[0][box].shape)
    assert np.array_equal(inside, planes[0][box])
    assert not (foreign_pixels(parts, inside.shape) & ~planes[1][box]).any()
    for part in parts:
        if part.foreign is not None:
            assert np.array_equal(part.foreign, planes[1][box][part.box] & part.foreign)


def test_bands_of_a_large_mosaic_keep_its_foreign_pixels():
    foreign = np.random.default_rng(0).random((700, 400)) < 0.1
    m = Mosaic.rectangle(20, 10, 360, 640, 16).with_foreign(foreign, 3)
    pieces = bands(m)
    assert len(pieces) > 1
    assert np.array_equal(foreign_pixels(pieces, foreign.shape), foreign_pixels([m], foreign.shape))
    assert np.array_equal(unknown(pieces, foreign.shape), unknown([m], foreign.shape))


def test_a_frame_around_an_area_is_in_its_box_and_the_cells_stay_as_they_were():
    alone = Mosaic.rectangle(20, 10, 30, 24, 8)
    frame = np.zeros((60, 80), bool)
    frame[8:36, 18:52] = True
    frame[10:34, 20:50] = False
    m = alone.with_foreign(frame)
    assert (m.x, m.y, m.width, m.height) == (18, 8, 34, 28)
    assert np.array_equal(unknown([m], frame.shape), unknown([alone], frame.shape))
    assert np.array_equal(foreign_pixels([m], frame.shape), frame)
    image = data.camera()[:60, :80]
    assert np.array_equal(pixelate(image, [m]), pixelate(image, [alone]))
    for ours, theirs in zip(m.coordinates(), alone.coordinates(), strict=True):
        np.testing.assert_array_equal(ours[2:-2, 2:-2], theirs)
    for ours, theirs in zip(m.cell_sizes(), alone.cell_sizes(), strict=True):
        np.testing.assert_array_equal(ours[2:-2], theirs)
    assert alone.with_foreign(frame, 1) == alone.with_foreign(frame & (np.indices(frame.shape)[0] >= 9), 1)


def test_what_is_given_as_both_is_foreign():
    foreign = np.eye(6, dtype=bool)
    m = Mosaic(3, 2, 6, 6, Grid(3, 2, 3, 3), np.ones((6, 6), bool), foreign=foreign)
    assert np.array_equal(m.area, ~foreign)
    assert m == Mosaic(3, 2, 6, 6, Grid(3, 2, 3, 3), foreign=foreign)
    assert m.foreign is not None
    assert Mosaic(3, 2, 6, 6, Grid(3, 2, 3, 3), foreign=np.zeros((6, 6), bool)).foreign is None


def test_impossible_foreign_pixels_are_refused():
    grid = Grid(0, 0, 2, 2)
    with pytest.raises(ValueError, match="foreign pixels must be bool"):
        Mosaic(0, 0, 4, 4, grid, foreign=np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="mask is empty"):
        Mosaic(0, 0, 4, 4, grid, foreign=np.ones((4, 4), bool))
    described = Mosaic(0, 0, 4, 4, grid, foreign=np.eye(4, dtype=bool)).to_dict()
    described["foreign"][-1] += 10**15
    with pytest.raises(ValueError, match="foreign pixels' runs hold"):
        Mosaic.from_dict(described)
    beside = Mosaic.rectangle(4, 0, 4, 4, 2)
    over = Mosaic(0, 0, 6, 4, grid, foreign=np.broadcast_to(np.arange(6) >= 4, (4, 6)))
    for pair in ([over, beside], [beside, over]):
        with pytest.raises(ValueError, match="foreign pixels of one lie in the other"):
            check(pair, (8, 8))
    check([over, Mosaic.rectangle(6, 0, 2, 4, 2)], (8, 8))


# ── what a user says ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def framed():
    """A pixelated photo with a red frame at the area, and where that is."""
    area = Mosaic.rectangle(40, 30, 96, 80, 8)
    foreign = np.zeros((160, 180), bool)
    foreign[28:112, 38:138] = True
    foreign[31:109, 41:135] = False
    image = pixelate(data.astronaut()[:160, 150:330], [area])
    image[foreign] = 255, 0, 0
    return image, foreign


@pytest.mark.parametrize("named", [{"areas": [(40, 30, 96, 80, 8)]}, {"areas": [(40, 30, 96, 80)]}, {"mask": None}])
def test_a_mask_of_foreign_pixels_counts_with_areas_and_masks(framed, named):
    image, foreign = framed
    if "mask" in named:
        named = {"mask": np.zeros(foreign.shape, np.uint8)}
        named["mask"][30:110, 40:136] = 255
    # what cells show is given, as it is with a mosaic: told, it would be doubtful
    result = deepix.restore(image, **named, foreign=foreign, method="smooth", cell_value="mean")
    (m,) = result.mosaics
    assert (m.grid.width, m.grid.height) == (8, 8)
    assert np.array_equal(foreign_pixels([m], foreign.shape), foreign)
    assert np.array_equal(result.image[foreign], image[foreign])
    assert result.consistency == 0
    assert result.noise == 0
    again = deepix.restore(image, [Mosaic.rectangle(40, 30, 96, 80, 8)], foreign=foreign, method="smooth")
    assert again.mosaics == [replace(m, confidence=1.0)]
    assert np.array_equal(again.image, result.image)


def test_a_mask_of_foreign_pixels_that_does_not_fit_is_refused(framed):
    image, foreign = framed
    for wrong, message in (
        (foreign[1:], "does not fit the picture"),
        (np.ones_like(foreign), "foreign pixels all over"),
    ):
        for named in ({"areas": [(40, 30, 96, 80, 8)]}, {"areas": [(40, 30, 96, 80)]}):
            with pytest.raises(DeepixError, match=message):
                deepix.restore(image, **named, foreign=wrong)


def test_the_command_line_takes_a_mask_of_foreign_pixels_and_reports_it(framed, tmp_path):
    image, foreign = framed
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(foreign).save(tmp_path / "foreign.png")
    command = ["restore", "a.png", "--area", "40,30,96,80,8", "--method", "smooth", "--json"]
    command = [str(tmp_path / part) if part == "a.png" else part for part in command]
    done = CliRunner().invoke(app, [*command, "--foreign", str(tmp_path / "foreign.png")])
    assert done.exit_code == 0, done.output
    (m,) = map(Mosaic.from_dict, json.loads(done.stdout)["mosaics"])
    assert np.array_equal(foreign_pixels([m], foreign.shape), foreign)
    restored = np.asarray(Image.open(tmp_path / "a_restored.png"))
    assert np.array_equal(restored[foreign], image[foreign])


def test_options_with_foreign_pixels_can_be_written_down_and_others_keep_their_digest(framed):
    _, foreign = framed
    options = Options(foreign=foreign)
    again = Options.from_dict(json.loads(json.dumps(options.to_dict())))
    assert np.array_equal(again.foreign, foreign)
    assert again.digest() == options.digest() != Options().digest()
    described = Options().to_dict()
    del described["foreign"]
    assert Options.from_dict(described).digest() == Options().digest()


# ── restorers ────────────────────────────────────────────────────────────────────────────────────


def restorers():
    return {"smooth": smooth, "network": lambda image, mosaics: estimate(image, mosaics)[0]}


@st.composite
def photos_drawn_over(draw):
    """A photo with one or two mosaics, something drawn over and beside them, perhaps after JPEG; and where that is."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = data.astronaut()[40:160, 150:290]
    if draw(st.booleans()):
        image = image[..., 0]
    cells = draw(st.sampled_from([(4, 9), (13, 7), (30, 20)]))
    plain = [Mosaic.rectangle(20, 18, 50, 60, cells[0]), Mosaic.rectangle(76, 30, 44, 52, cells[1])]
    drawn = [KINDS[draw(st.sampled_from(sorted(KINDS)))](image.shape[:2], (20, 18, 50, 60), rng) for _ in range(2)]
    foreign = drawn[0].foreign | drawn[1].foreign
    picture = pixelate(image, plain[: draw(st.integers(1, 2))])
    if draw(st.booleans()):
        picture = (picture + rng.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)
    return drawn[1].over(drawn[0].over(picture)), [m.with_foreign(foreign) for m in plain], foreign


@pytest.mark.parametrize("name", ["smooth", "network"])
@given(case=photos_drawn_over())
@settings(max_examples=4)
def test_restorers_leave_foreign_pixels_as_they_are_and_make_nothing_of_them(name, case):
    picture, mosaics, foreign = case
    restored = restorers()[name](picture, mosaics)
    assert np.array_equal(restored[foreign], picture[foreign].astype(np.float32))
    other = picture.copy()
    other[foreign] = 255 - other[foreign]
    inside = unknown(mosaics, picture.shape)
    assert np.array_equal(restorers()[name](other, mosaics)[inside], restored[inside])
    for m in mosaics:
        cells = m.cells
        np.testing.assert_allclose(cells.mean(restored[m.box]), cell_values(picture, m), atol=1e-2)


@pytest.mark.parametrize("name", ["smooth", "network"])
@pytest.mark.parametrize("cell", [6, 16, 40])
def test_a_frame_costs_hardly_anything_where_it_is_named(name, cell):
    image = data.astronaut()[:200, 130:330]
    plain, foreign = Mosaic.rectangle(40, 40, 120, 120, cell), np.zeros((200, 200), bool)
    foreign[37:163, 37:163] = True
    foreign[40:160, 40:160] = False
    pixelated = pixelate(image, [plain])
    framed = pixelated.copy()
    framed[foreign] = 255, 0, 0
    m, area = plain.with_foreign(foreign), unknown([plain], image.shape)
    without, named, unnamed = (
        np.sqrt(np.square(restorers()[name](picture, [one])[area] - image[area]).mean())
        for picture, one in ((pixelated, plain), (framed, m), (framed, plain))
    )
    assert named < 1.12 * without
    assert named < 0.95 * unnamed


def test_what_is_drawn_is_foreign_where_it_changes_the_picture():
    image = data.coffee()[:90, :120]
    for k, kind in enumerate(KINDS.values()):
        for seed in range(5):
            overlay = kind((90, 120), (20, 20, 70, 50), np.random.default_rng([k, seed]))
            again = kind((90, 120), (20, 20, 70, 50), np.random.default_rng([k, seed]))
            changed = overlay.over(image)
            assert np.array_equal(changed, again.over(image))
            assert np.array_equal(changed[~overlay.foreign], image[~overlay.foreign])
            assert overlay.over(image[..., 0]).shape == (90, 120)
            assert overlay.foreign.mean() < 0.5
