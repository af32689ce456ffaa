"""The cases of `benchmarks/field.py`, drawn on pictures of scikit-image: their truth is what the pixels show."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from deepix import images
from deepix.mosaic import Grid, Mosaic, unknown
from deepix.training.data.examples import contrast

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import field as command  # noqa: E402
import field_mosaics as mosaics  # noqa: E402
import field_programs as programs  # noqa: E402
import field_rows  # noqa: E402
import field_scores as scores  # noqa: E402
from field_case import Canvas, Case  # noqa: E402
from finding import ARCHIVES  # noqa: E402

sys.path.remove(BENCHMARKS)

PHOTOS = (skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket())
ROWS = {name: row for name, row in field_rows.ROWS.items() if row.possible}
CLEAN = [name for name in ROWS if name.startswith("alarms")]
ODD = [name for name in ROWS if name.startswith("odd")]
FLAT = ("plain", "rounded", "overlapping", "nested", "abutting", "frames", "captions", "pointers", "cells-of-2")
"""Rows whose lossless files show flat cells in all visible pixels of a mosaic."""
WAYS = {**mosaics.EVEN, **mosaics.UNEVEN, **mosaics.SAMPLED, **mosaics.EXTREME}


class Pictures:
    """Pictures of scikit-image in the place of the validation photos."""

    def __getitem__(self, index):
        return PHOTOS[index % len(PHOTOS)]


@pytest.fixture(autouse=True)
def without_gegl(monkeypatch):
    """Leave GEGL to its own test: it takes a second to start."""
    monkeypatch.delitem(mosaics.EVEN, "gegl")


def drawn(name, count=2, seed=0):
    return [case for _, case in command.cases(name, ROWS[name], Pictures(), count, seed)]


def pixels_of(case):
    pixels = images.load(case.content).pixels
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]


def flat(pixels, m):
    values, cells = pixels[m.box][m.area].astype(int), m.labels()[m.area]
    return all(not np.ptp(values[cells == cell], axis=0).any() for cell in np.unique(cells))


@pytest.mark.parametrize("name", sorted(set(ROWS) - set(CLEAN)))
def test_a_row_draws_mosaics_that_show_where_its_truth_says(name):
    cases = drawn(name, 1)
    assert len(cases) == 1
    for case in cases:
        pixels = pixels_of(case)
        assert len(case.truth) >= 1
        assert len(case.how) >= 1
        assert programs.there(*case.programs)
        covered = sum(int(m.area.sum()) for m in case.truth)
        assert covered == unknown(case.truth, pixels.shape).sum(), "mosaics share pixels"
        if case.target is not None and not name.startswith(("rescaled", "video")):
            outside = ~unknown(case.truth, pixels.shape)
            assert case.target.shape == pixels.shape
            inside = np.abs(pixels.astype(int) - case.target)[~outside].mean()
            if name not in ("noise", "palettes", "whole-pictures"):
                assert np.abs(pixels.astype(int) - case.target)[outside].mean() < inside
        if name not in ODD:
            for m in case.truth:
                least = 1.02 if name in ("noise", "palettes", "feathered", "cells-of-2", "video-mpeg") else 1.2
                assert contrast(pixels[m.box], m) > least, (m, case.how)


@pytest.mark.parametrize("name", [name for name in FLAT if name in ROWS])
def test_cells_of_lossless_files_are_flat(name):
    cases = [case for case in drawn(name, 2) if case.suffix == ".png"]
    for case in cases:
        for m in case.truth:
            assert flat(pixels_of(case), m), case.how


@pytest.mark.parametrize("name", ["uneven", "uneven-small"])
def test_lines_of_uneven_cells_lie_beside_those_of_the_even_grid(name):
    uneven = 0
    for case in drawn(name, 6):
        for m in case.truth:
            index = mosaics.bands(pixels_of(case)[m.box])
            for bands, size, grid, start in zip(
                index, (m.grid.width, m.grid.height), (m.grid.x, m.grid.y), (m.x, m.y), strict=True
            ):
                assert len(bands) / (bands[-1] + 1) == pytest.approx(size)
                lines = start + 1 + np.flatnonzero(np.diff(bands))
                assert np.abs(lines - grid - size * np.arange(1, len(lines) + 1)).max() < 1.5
                lengths = np.bincount(bands)
                assert np.ptp(lengths) <= 1
                uneven += int(np.ptp(lengths))
    assert uneven


def test_scaled_cells_are_whole_pixels():
    for case in drawn("rescaled-whole", 4):
        assert all(float(size).is_integer() for m in case.truth for size in (m.grid.width, m.grid.height)), case.how


def test_a_frame_belongs_to_neither_the_mosaic_nor_its_target():
    for case in (case for case in drawn("frames", 4) if case.suffix == ".png"):
        pixels, outside = pixels_of(case), ~unknown(case.truth, case.target.shape)
        np.testing.assert_array_equal(pixels[outside], case.target[outside])


def test_the_later_mosaic_owns_shared_pixels():
    case = next(case for case in drawn("overlapping", 4) if case.suffix == ".png")
    first, second = case.truth
    assert second.mask is None
    assert first.mask is not None


@pytest.mark.parametrize("name", CLEAN)
def test_clean_pictures_are_read_and_claim_no_mosaic(name):
    for case in drawn(name):
        assert case.truth == []
        assert min(pixels_of(case).shape[:2]) > 100


@pytest.mark.parametrize("name", ["plain", "webp", "alarms-QR"])
def test_the_same_seed_draws_the_same_files(name):
    if name not in ROWS:
        pytest.skip("its program is not installed")
    first, second, other = (drawn(name, 2, seed) for seed in (3, 3, 4))
    assert [c.content for c in first] == [c.content for c in second]
    assert [c.content for c in first] != [c.content for c in other]


@pytest.mark.parametrize("name", list(WAYS))
def test_programs_draw_as_many_cells_as_is_said(name):
    if not programs.there(*WAYS[name].needs):
        pytest.skip(f"{', '.join(WAYS[name].needs)}: not installed")
    photo, box = PHOTOS[0], (101, 52, 135, 94)
    made = WAYS[name](photo, box, (13, 11), np.random.default_rng(0))
    region = photo[52 : 52 + 94, 101 : 101 + 135]
    columns, rows = mosaics.bands(made.values)
    assert (columns[-1] + 1, rows[-1] + 1) == made.numbers
    if name in mosaics.SAMPLED:
        colours = {tuple(colour) for colour in region.reshape(-1, 3).tolist()}
        shown = {tuple(colour) for colour in made.values.reshape(-1, 3).tolist()}
        assert shown <= colours or name.startswith("ffmpeg")  # which takes pixels to YUV and back
    difference = made.values.astype(int) - region
    if name in ("ffmpeg min", "ffmpeg max"):
        sign = 1 if name.endswith("max") else -1
        assert (sign * difference).mean() > 5
    elif name not in mosaics.SAMPLED:
        assert abs(difference.mean()) < (6 if name in ("gegl", "netpbm") else 2)  # means of light are brighter
        assert np.abs(difference).mean() < np.abs(region - region.mean(axis=(0, 1))).mean()


# ── scores ───────────────────────────────────────────────────────────────────────────────────────

TRUTH = Mosaic(20, 30, 100, 100, Grid(20, 30, 10, 10))


def counted(*reported):
    score = scores.Found()
    faults = score.count(Case(b"", "", [TRUTH], [], set()), list(reported), (200, 200))
    return score.figures(), faults


def test_what_is_found_and_right():
    figures, faults = counted(Mosaic(20, 30, 100, 100, Grid(20, 30, 10.1, 9.9)))
    assert (figures["found"], figures["right"], figures["extra"], figures["shared"], faults) == (100, 100, 0, 0, [])
    assert counted(Mosaic(20, 30, 100, 79, TRUTH.grid))[0]["found"] == 0
    assert counted(Mosaic(20, 30, 100, 80, TRUTH.grid))[0]["found"] == 100
    figures, faults = counted(Mosaic(20, 30, 100, 100, Grid(20, 30, 10, 10.3)))
    assert (figures["found"], figures["right"], figures["found and right"]) == (100, 0, 0)
    assert len(faults) == 1


def test_unsure_reports_are_not_found():
    figures, _ = counted(Mosaic(20, 30, 100, 100, TRUTH.grid, confidence=0.4))
    assert (figures["found"], figures["any confidence"], figures["right"]) == (0, 100, None)


def test_extra_reports_and_shared_pixels():
    grid = Grid(0, 0, 5, 5)
    figures, _ = counted(TRUTH, Mosaic(150, 30, 20, 20, grid), Mosaic(110, 30, 30, 20, grid))
    assert (figures["found"], figures["extra"], figures["shared"]) == (100, 200, 100)
    assert counted(Mosaic(20, 30, 100, 70, TRUTH.grid))[0]["extra"] == 0  # a miss is not counted twice
    assert counted(Mosaic(20, 30, 100, 40, TRUTH.grid))[0]["extra"] == 100


def test_verdicts():
    figures = {"found": 91.0, "right": 95.0, "worse": 2.0, "extra": 6.0, "nearer": None}
    bars = {"found": 92, "right": 92, "worse": 2, "extra": 5, "nearer": 95}
    told = scores.verdicts(figures, bars)
    assert told == {"found": False, "right": True, "worse": True, "extra": False, "nearer": None}


def test_restorations_are_compared_with_the_target():
    photo = PHOTOS[1][40:240, 60:300]
    canvas = Canvas.of(photo)
    assert canvas.put((40, 50, 96, 80), (8, 8), mosaics.EVEN["means"], np.random.default_rng(0), 0.5)
    score = scores.Restored()
    score.add(canvas.case(programs.encoded(canvas.pixels, "PNG"), ".png"))
    figures = score.figures()
    assert figures["found and right"] == figures["nearer"] == 100
    assert figures["worse"] == 0
    assert 0 < figures["median ratio"] < 1


def test_messages_are_told_without_numbers_and_tables():
    score = scores.Told()
    for case in drawn("odd-crystals", 1):
        said, _ = score.add(case)
        assert said
    assert sum(score.messages.values()) >= 1
    assert not any("┃" in text or "/" in text for text in score.messages)


# ── the command ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data(tmp_path):
    for name, photo in zip(ARCHIVES["field"], PHOTOS, strict=True):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("photo.png", programs.encoded(np.asarray(Image.fromarray(photo).reduce(2)), "PNG"))
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["field.py", *map(str, arguments)])
    command.main()


def test_the_command_prints_writes_and_keeps(data, monkeypatch, capsys):
    kept, figures = data / "kept", data / "figures.json"
    run(monkeypatch, "--data", data, "--rows", "uneven", "alarms-br", "--cases", 2, "--keep", kept, "--json", figures)
    printed = capsys.readouterr().out
    assert "| uneven | 2 |" in printed
    assert "| alarms-bricks | 2 |" in printed
    assert [row["row"] for row in json.loads(figures.read_text())] == ["uneven", "uneven-small", "alarms-bricks"]
    told = json.loads((kept / "uneven-000.json").read_text())
    truth = [Mosaic.from_dict(m) for m in told["truth"]]
    assert truth
    assert images.read(kept / told["file"]).pixels.shape[0] >= max(m.y + m.height for m in truth)


def test_rows_without_their_program_are_left_out(data, monkeypatch, capsys):
    monkeypatch.setattr(programs, "version", lambda name: None if name == "ffmpeg" else "1")
    monkeypatch.setattr(command, "version", programs.version)
    run(monkeypatch, "--data", data, "--rows", "video", "--cases", 1)
    printed = capsys.readouterr().out
    assert "| video-x264 | – | left out: ffmpeg is not installed" in printed


def test_unknown_rows_and_missing_archives_are_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--rows", "nonsense")
    assert "rescaled-whole" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--data"):
        run(monkeypatch, "--rows", "uneven", "--data", tmp_path)
