"""Cells that show something else than means: the laws, what is told from a picture, and what is restored."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data
from test_mosaic import cases
from typer.testing import CliRunner

import deepix
from deepix import finder, images
from deepix.cli import app
from deepix.mosaic import (
    CELL_VALUES,
    MEAN,
    CellValue,
    Grid,
    Mosaic,
    consistency,
    light,
    pixelate,
    project,
    quantize,
    sampled,
    unknown,
)
from deepix.options import Options
from deepix.restorer.cell_means import as_means, as_shown

OTHERS = [
    CellValue("sample", (0.0, 0.0)),
    CellValue("sample"),
    CellValue("sample", (0.9, 0.3)),
    CellValue("min"),
    CellValue("max"),
    CellValue("linear"),
]
EXACT = st.sampled_from(OTHERS[:5])
OF_ANY_KIND = st.sampled_from(OTHERS)


def showing(case, value):
    truth, estimate, mosaics, rounding = case
    return truth, estimate, [m.showing(value) for m in mosaics], rounding


def in_cells(m, picture):
    """The pixels of each cell of one mosaic, (n, C), and where they are."""
    labels, box = m.labels(), picture[m.box].reshape(m.height, m.width, -1)
    for label in np.unique(labels[labels >= 0]):
        yield box[labels == label], np.argwhere(labels == label)


# ── the laws ─────────────────────────────────────────────────────────────────────────────────────


@given(cases(), OF_ANY_KIND)
def test_pixelate_shows_what_it_says_of_every_cell(case, value):
    truth, _, mosaics, rounding = showing(case, value)
    if truth.dtype.kind == "f":
        truth *= 255
    result = pixelate(truth, mosaics, rounding)
    assert result.dtype == truth.dtype
    level = 255.0 if truth.dtype.kind == "f" else float(np.iinfo(truth.dtype).max)
    for m in mosaics:
        at = np.argwhere(sampled(m)).tolist()
        for (pixels, places), (shown, _) in zip(in_cells(m, truth), in_cells(m, result), strict=True):
            assert (shown == shown[0]).all()
            if value.kind == "sample":
                (here,) = [k for k, place in enumerate(places.tolist()) if place in at]
                assert np.array_equal(shown[0], pixels[here])
            elif value.kind == "linear":
                tolerance = 1e-4 if truth.dtype.kind == "f" else 0.51 if rounding == "nearest" else 1.01
                encoded = np.interp(light(pixels / level).mean(axis=0), light(SCALE), SCALE) * level
                assert np.abs(shown[0] - encoded).max() <= tolerance + 1e-3
            else:
                assert np.array_equal(shown[0], getattr(pixels, value.kind)(axis=0))


SCALE = np.linspace(0, 1, 200_001)


@given(cases(), OF_ANY_KIND)
def test_pixelating_twice_changes_nothing(case, value):
    truth, _, mosaics, _ = showing(case, value)
    once = pixelate(truth, mosaics)
    np.testing.assert_allclose(pixelate(once, mosaics), once, rtol=0, atol=1e-4 if truth.dtype.kind == "f" else 0)


@given(cases(), OF_ANY_KIND)
def test_known_pixels_come_back_bit_for_bit(case, value):
    truth, estimate, mosaics, rounding = showing(case, value)
    pixelated = pixelate(truth, mosaics, rounding)
    known = ~unknown(mosaics, truth.shape)
    assert np.array_equal(pixelated[known], truth[known])
    assert np.array_equal(project(estimate, pixelated, mosaics, rounding)[known], truth[known].astype(np.float64))
    if truth.dtype.kind != "f":
        assert np.array_equal(quantize(estimate, pixelated, mosaics, rounding)[known], truth[known])


@given(cases([np.uint8, np.uint16]), OF_ANY_KIND)
def test_repixelating_a_restoration_returns_the_input(case, value):
    truth, estimate, mosaics, rounding = showing(case, value)
    pixelated = pixelate(truth, mosaics, rounding)
    restored = quantize(estimate, pixelated, mosaics, rounding)
    again = pixelate(restored, mosaics, rounding).astype(int)
    allowed = 1 if value.kind == "linear" else 0
    assert np.abs(again - pixelated).max() <= allowed
    assert consistency(restored, pixelated, mosaics, rounding) <= allowed


@given(cases([np.uint8]), OF_ANY_KIND, st.integers(0, 999))
def test_a_noisy_input_is_kept_to_within_a_level(case, value, seed):
    truth, estimate, mosaics, rounding = showing(case, value)
    noise = np.random.default_rng(seed).integers(-6, 7, truth.shape)
    noisy = (pixelate(truth, mosaics, rounding) + noise).clip(0, 255).astype(np.uint8)
    restored = quantize(estimate, noisy, mosaics, rounding)
    assert consistency(restored, noisy, mosaics, rounding) <= 1


@given(cases([np.float64]), EXACT)
def test_projection_moves_to_a_picture_that_shows_the_input_and_then_rests(case, value):
    truth, estimate, mosaics, _ = showing(case, value)
    pixelated = pixelate(truth, mosaics)
    projected = project(estimate, pixelated, mosaics, bounds=(0, 1))
    np.testing.assert_allclose(pixelate(projected, mosaics), pixelated, rtol=0, atol=1e-12)
    inside = unknown(mosaics, truth.shape)
    assert (projected[inside] >= 0).all()
    assert (projected[inside] <= 1).all()
    again = project(projected, pixelated, mosaics, bounds=(0, 1))
    np.testing.assert_allclose(again, projected, rtol=0, atol=1e-12)


@given(cases([np.float64]), st.sampled_from(OTHERS[:3]))
def test_projecting_onto_samples_never_moves_away_from_the_truth(case, value):
    truth, estimate, mosaics, _ = showing(case, value)
    pixelated = pixelate(truth, mosaics)
    inside = unknown(mosaics, truth.shape)
    before, after = (((z - truth)[inside] ** 2).sum() for z in (estimate, project(estimate, pixelated, mosaics)))
    assert after <= before


@given(cases([np.float64]), st.sampled_from(["min", "max"]))
def test_the_inequalities_never_move_away_from_the_truth(case, kind):
    truth, estimate, mosaics, _ = showing(case, CellValue(kind))
    pixelated = pixelate(truth, mosaics)
    projected = project(estimate, pixelated, mosaics)
    for m in mosaics:
        for (z, _), (x, _), (p, _), (y, _) in zip(
            *(in_cells(m, picture) for picture in (estimate, truth, projected, pixelated)), strict=True
        ):
            held = np.maximum(z, y) if kind == "min" else np.minimum(z, y)
            assert (np.abs(held - x) <= np.abs(z - x) + 1e-12).all()
            # all but one pixel of a cell, in each channel, are where the inequalities ask them to be
            moved = np.abs(p - held) > 1e-12
            assert (moved.sum(axis=0) <= 1).all()
            np.testing.assert_allclose(p[moved], y[moved], rtol=0, atol=1e-12)


@given(cases([np.float64]))
def test_means_of_light_are_reached(case):
    truth, estimate, mosaics, _ = showing(case, CellValue("linear"))
    truth, estimate = 255 * truth, 255 * estimate
    pixelated = pixelate(truth, mosaics)
    projected = project(estimate, pixelated, mosaics)
    np.testing.assert_allclose(pixelate(projected, mosaics), pixelated, rtol=0, atol=1e-2)


def test_what_cells_show_survives_json_pickling_and_being_changed():
    mask = np.ones((12, 20), bool)
    mask[:3, :4] = False
    foreign = np.zeros((40, 40), bool)
    foreign[8, 9] = True
    for value in (MEAN, CellValue(confidence=0.7), *OTHERS):
        m = Mosaic(3, 5, 20, 12, Grid(3, 5, 4.5, 4), mask).showing(value)
        assert Mosaic.from_dict(json.loads(json.dumps(m.to_dict()))) == m == pickle.loads(pickle.dumps(m))
        assert ("cell_value" in m.to_dict()) == (value is not MEAN)
        assert Mosaic.from_dict(m.to_dict()).cell_value.confidence == value.confidence
        part = m.part(slice(0, 8), slice(4, 20))
        assert {m.moved(1, 2).cell_value, m.with_foreign(foreign).cell_value, part.cell_value} == {value}
        assert (m == m.showing(MEAN)) == (value == MEAN)


def test_only_means_have_blended_grids():
    m = Mosaic(0, 0, 20, 20, Grid(0.3, 0, 4.5, 4.5, blended=True))
    with pytest.raises(ValueError, match="blended"):
        Mosaic(0, 0, 20, 20, m.grid, cell_value=CellValue("min"))
    assert not m.showing(CellValue("min")).grid.blended
    assert m.showing(MEAN) == m


@pytest.mark.parametrize("wrong", [{"kind": "median"}, {"kind": "sample", "at": (0.5, 1.0)}, {"confidence": 1.5}])
def test_impossible_values_are_refused(wrong):
    with pytest.raises(ValueError, match="not"):
        CellValue(**wrong)


# ── what is told, and what is restored ───────────────────────────────────────────────────────────


PHOTOS = {
    "astronaut": (data.astronaut, 40, 60, 200),
    "coffee": (data.coffee, 60, 100, 240),
    "cat": (data.chelsea, 30, 90, 200),
}


def photo_with(name, value, cell=8):
    load, y, x, side = PHOTOS[name]
    photo = load()[: side + 120, : side + 200]
    m = Mosaic.rectangle(x, y, side // cell * cell, side // cell * cell, cell)
    return photo, pixelate(photo, [m.showing(value)]), m


def error(picture, photo, m):
    return float(np.sqrt(((picture[m.box].astype(float) - photo[m.box]) ** 2).mean()))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("value", [CellValue("sample", (0.0, 0.0)), CellValue("min"), CellValue("max"), MEAN])
def test_a_photos_border_tells(name, value):
    _, pixelated, m = photo_with(name, value)
    (told,) = finder.with_cell_values(pixelated, [m])
    assert (told.cell_value.kind, told.cell_value.at) == (value.kind, value.at)
    assert told.cell_value.told or value == MEAN
    (gray,) = finder.with_cell_values(pixelated[..., 1], [m])
    assert gray.cell_value.kind == value.kind
    (deep,) = finder.with_cell_values(pixelated.astype(np.uint16) * 257, [m])
    assert deep == told


@pytest.mark.parametrize("gap", [0, 1])
def test_where_a_frame_hides_the_border_cells_are_taken_for_means(gap):
    there = Mosaic.rectangle(150, 40, 160, 150, 10)
    framed = pixelate(data.astronaut(), [there])
    frame = np.zeros(framed.shape[:2], bool)
    frame[36:194, 146:314] = True
    frame[40 - gap : 190 + gap, 150 - gap : 310 + gap] = False
    framed[frame] = (255, 0, 0)
    (told,) = finder.with_cell_values(framed, [there.with_foreign(frame)])
    assert told.cell_value == MEAN


@pytest.mark.parametrize("kind", CELL_VALUES)
def test_what_is_given_is_not_questioned(kind):
    photo, pixelated, m = photo_with("cat", MEAN)
    (given_,) = finder.with_cell_values(pixelated, [m], kind)
    assert (given_.cell_value.kind, given_.cell_value.told) == (kind, False)
    nothing_known = Mosaic.rectangle(0, 0, *photo.shape[1::-1], 8)
    assert finder.with_cell_values(pixelated, [nothing_known])[0].cell_value.kind == "mean"


@pytest.mark.parametrize("method", ["network", "smooth"])
@pytest.mark.parametrize("value", OTHERS[:2] + OTHERS[3:])
def test_a_restoration_is_nearer_than_the_mosaic_and_shows_it(method, value):
    photo, pixelated, m = photo_with("coffee", value)
    area = (m.x, m.y, m.width, m.height, 8)
    result = deepix.restore(pixelated, areas=[area], method=method, cell_value=value.kind)
    (ours,) = result.mosaics
    assert ours.cell_value == value
    assert result.consistency <= (value.kind == "linear")
    assert np.abs(pixelate(result.image, [ours]).astype(int) - pixelated).max() <= (value.kind == "linear")
    outside = ~unknown([m], photo.shape)
    assert np.array_equal(result.image[outside], photo[outside])
    assert error(result.image, photo, m) < 0.8 * error(pixelated, photo, m)
    assert error(result.image, photo, m) < error(
        deepix.restore(pixelated, areas=[area], method=method, cell_value="mean").image, photo, m
    )


def test_sixteen_bits_and_foreign_pixels_are_restored_alike():
    photo, _, m = photo_with("cat", MEAN)
    foreign = np.zeros(photo.shape[:2], bool)
    foreign[60:66, 100:200] = True
    deep = photo.astype(np.uint16) * 257
    for value in OTHERS[1:4]:
        ours = m.showing(value).with_foreign(foreign)
        pixelated = pixelate(deep, [ours])
        pixelated[foreign] = 65535
        result = deepix.restore(pixelated, [ours], method="smooth")
        assert np.array_equal(result.image[foreign], pixelated[foreign])
        assert np.array_equal(pixelate(result.image, [ours]), pixelated)
        assert error(result.image, deep, ours) < error(pixelated, deep, ours)


def test_detail_leaves_what_the_cells_show():
    _, pixelated, m = photo_with("cat", CellValue("min"))
    result = deepix.restore(pixelated, [m.showing(CellValue("min"))], detail=1.0)
    assert result.consistency == 0
    assert np.array_equal(pixelate(result.image, result.mosaics), pixelated)
    plain = deepix.restore(pixelated, [m.showing(CellValue("min"))])
    assert not np.array_equal(plain.image, result.image)


def test_means_that_may_be_samples_keep_nearer_to_the_mosaic():
    _, pixelated, m = photo_with("cat", MEAN)
    rng = np.random.default_rng(1)
    restored = (pixelated + rng.normal(0, 9, pixelated.shape)).astype(np.float32)
    halfway = as_shown(restored.copy(), pixelated, [m.showing(CellValue(confidence=0.5))])
    np.testing.assert_allclose((halfway - pixelated)[m.box], (restored - pixelated)[m.box] / 2, atol=1e-3)
    assert np.array_equal(as_shown(restored.copy(), pixelated, [m]), restored)
    assert as_means(pixelated, [m])[0] is pixelated


# ── options, reports, the command line ───────────────────────────────────────────────────────────


def test_options_say_what_cells_show():
    assert Options(cell_value=None).digest() == Options().digest() != Options(cell_value="min").digest()
    assert Options.from_dict(json.loads(json.dumps(Options(cell_value="sample").to_dict()))).cell_value == "sample"
    with pytest.raises(ValueError, match="'linear'") as caught:
        Options(cell_value="median")
    assert "\n" not in str(caught.value)


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_command_line_pixelates_tells_and_reports(tmp_path):
    photo, _, m = photo_with("astronaut", MEAN)
    source, hidden, out = (tmp_path / f"{name}.png" for name in ("photo", "hidden", "out"))
    images.write(images.from_array(photo), source)
    area = f"{m.x},{m.y},{m.width},{m.height},8"
    done = call("pixelate", source, "-o", hidden, "--area", area, "--cell-value", "min", "--json")
    (described,) = json.loads(done.stdout)["mosaics"]
    assert described["cell_value"] == {"kind": "min", "confidence": 1.0, "told": False}
    assert np.array_equal(images.read(hidden).pixels, pixelate(photo, [m.showing(CellValue("min"))]))

    (found,) = json.loads(call("find", hidden, "--json").stdout)["mosaics"]
    assert (found["cell_value"]["kind"], found["cell_value"]["told"]) == ("min", True)
    report = json.loads(call("restore", hidden, "-o", out, "--method", "smooth", "--json").stdout)
    assert (report["mosaics"][0]["cell_value"], report["consistency"]) == (found["cell_value"], 0)
    assert "its least value" in " ".join(report["notes"])
    assert "told from the picture" in " ".join(report["notes"])
    given_ = call("restore", hidden, "-o", out, "--overwrite", "--method", "smooth", "--json", "--cell-value", "mean")
    report = json.loads(given_.stdout)
    assert "cell_value" not in report["mosaics"][0]
    assert report["notes"] == []

    # a file of mosaics says it itself, unless the command line does
    areas = tmp_path / "areas.json"
    areas.write_text(json.dumps({"mosaics": [m.showing(CellValue("sample")).to_dict()]}))
    for options, kind in (((), "sample"), (("--cell-value", "max"), "max")):
        done = call(
            *("restore", hidden, "-o", out, "--overwrite", "--method", "smooth", "--json", "--mosaics", areas),
            *options,
        )
        assert json.loads(done.stdout)["mosaics"][0]["cell_value"]["kind"] == kind
