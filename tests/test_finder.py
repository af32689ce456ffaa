"""Finding mosaics: intact and nearly intact tiles, and quiet on pictures that have none."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from deepix.finder import areas, find, fit_grid, intact_tiles, likelihood, noisy_tiles, search, stripes
from deepix.finder.column_span import best_span
from deepix.finder.grid import comb, steps
from deepix.finder.grid_box import GridBox
from deepix.finder.jpeg_noise import estimated_quality
from deepix.finder.likelihood import LikelihoodMaps, starts
from deepix.finder.luminance import luminance
from deepix.mosaic import Grid, Mosaic, check, pixelate

PHOTO = np.asarray(Image.fromarray(skimage.data.astronaut()))
GRAY = np.asarray(Image.fromarray(PHOTO).convert("L"))


def jpeg(pixels, quality=95, subsampling=0):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer))


def area(m):
    return m.x, m.y, m.width, m.height


def same_grid(a, b):
    return (a.width, a.height) == (b.width, b.height) and (a.x - b.x) % a.width == 0 == (a.y - b.y) % a.height


def assert_found(found, *truth):
    assert [area(m) for m in found] == [area(m) for m in truth]
    assert all(same_grid(m.grid, t.grid) for m, t in zip(found, truth, strict=True))
    assert all(0.5 < m.confidence <= 1 for m in found)


FACE = Mosaic(180, 60, 97, 113, Grid(187, 65, 12, 9))  # cut on all sides
FLAG = Mosaic(20, 230, 60, 48, Grid(20, 230, 5, 6))


@pytest.mark.parametrize("photo", [PHOTO, GRAY], ids=["colour", "gray"])
def test_finds_several_areas_with_cut_cells(photo):
    assert_found(find(pixelate(photo, [FLAG, FACE])), FACE, FLAG)


def test_16_bits():
    photo = PHOTO.astype(np.uint16) * 257 - (PHOTO % 3 == 2)
    assert_found(find(pixelate(photo, [FACE])), FACE)


def test_truncated_cells():
    assert_found(find(pixelate(GRAY, [FACE], "truncate")), FACE)


def test_cells_too_long_for_the_locator_are_found_by_their_tiles():
    gravel = skimage.data.gravel()
    m = Mosaic(0, 1, 132, 186, Grid(0, 1, 44, 3))
    assert_found(find(pixelate(gravel, [m]), lossy=False), m)


@settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_intact_tiles_of_any_size_are_found_exactly(data):
    gravel = skimage.data.gravel()  # textured everywhere, so that every border can be seen
    size = [data.draw(st.integers(3, 90), label) for label in ("cell width", "cell height")]
    span, start, first = [], [], []
    for cell in size:
        cut = [data.draw(st.integers(0, cell - 1)) for _ in range(2)]
        whole = data.draw(st.integers(2, (512 - sum(cut)) // cell))
        span.append(whole * cell + sum(cut))
        start.append(data.draw(st.integers(0, 512 - span[-1])))
        first.append(start[-1] + cut[0])
    truth = Mosaic(*start, *span, Grid(*first, *size))
    means = truth.cells.mean(gravel[truth.box])
    changes = [np.abs(np.diff(means, axis=axis)) for axis in (0, 1)]
    assume(min(np.median(c) for c in changes) >= 3 and max(c.max() for c in changes) >= 8)  # it can be seen at all
    found = [m for m in find(pixelate(gravel, [truth]), lossy=False) if same_grid(m.grid, truth.grid)]
    assert found
    best = max(found, key=lambda m: m.width * m.height)
    common = min(best.x + best.width, truth.x + truth.width) - max(best.x, truth.x)
    common *= min(best.y + best.height, truth.y + truth.height) - max(best.y, truth.y)
    assert common >= 0.95 * (best.width * best.height + truth.width * truth.height - common)


@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [90, 95])
def test_finds_mosaics_in_jpeg_files(quality, subsampling):
    truth = Mosaic(150, 40, 158, 163, Grid(153, 45, 18, 15))
    (found,) = find(jpeg(pixelate(PHOTO, [truth]), quality, subsampling))
    assert same_grid(found.grid, truth.grid)
    assert np.abs(np.subtract(area(found), area(truth))).max() <= 2


def test_a_whole_picture_scaled_down_and_up():
    photo = Image.fromarray(PHOTO[:480, :500])
    scaled = photo.resize((25, 24), Image.Resampling.BOX).resize((500, 480), Image.Resampling.NEAREST)
    assert_found(find(np.asarray(scaled)), Mosaic.rectangle(0, 0, 500, 480, 20))


def test_a_region_whose_grid_begins_at_the_pictures_origin():
    cells = pixelate(PHOTO, [Mosaic.rectangle(0, 0, 512, 512, 16)])
    picture = PHOTO.copy()
    picture[70:201, 165:300] = cells[70:201, 165:300]
    assert_found(find(picture), Mosaic(165, 70, 135, 131, Grid(0, 0, 16, 16)))


@pytest.mark.parametrize("size", [(37, 29), (100, 77)])
def test_uneven_cells_do_not_break_it(size):
    photo = Image.fromarray(PHOTO)
    scaled = photo.resize(size, Image.Resampling.BOX).resize((512, 512), Image.Resampling.NEAREST)
    check(find(np.asarray(scaled)), PHOTO.shape)


def screenshot():
    image = Image.new("RGB", (640, 420), (40, 90, 140))
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 40, 560, 380), fill=(250, 250, 250), outline=(90, 90, 90))
    draw.rectangle((60, 40, 560, 64), fill=(200, 60, 60))
    for line in range(14):
        draw.text(
            (75, 75 + 20 * line), "the quick brown fox jumps over " * 2, fill=(0, 0, 0), font=ImageFont.load_default(14)
        )
    for i in range(4):
        draw.rectangle((80 + 90 * i, 350, 150 + 90 * i, 372), fill=(210, 210, 210), outline=(120, 120, 120))
    return np.asarray(image)


def gradient():
    y, x = np.mgrid[0:256, 0:256]
    return np.stack([x // 4, y // 4, (x + y) // 8], axis=2).astype(np.uint8)


CLEAN = {
    "photo": PHOTO,
    "gray photo": GRAY,
    "cat": skimage.data.chelsea(),
    "coffee": skimage.data.coffee(),
    "text": skimage.data.text(),
    "page": skimage.data.page(),
    "bricks": skimage.data.brick(),
    "screenshot": screenshot(),
    "gradient": gradient(),
    "one colour": np.full((200, 300, 3), 255, np.uint8),
    "letterbox": np.pad(PHOTO, ((40, 40), (0, 0), (0, 0))),
    "highlights": np.clip(PHOTO.astype(int) * 3 - 100, 0, 255).astype(np.uint8),
    "doubled": np.repeat(np.repeat(PHOTO[:200, :200], 2, axis=0), 2, axis=1),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_pictures_have_no_mosaics(name):
    assert find(CLEAN[name]) == []


@pytest.mark.parametrize("name", ["photo", "screenshot", "text"])
def test_clean_jpeg_files_have_no_mosaics(name):
    assert find(jpeg(CLEAN[name], 90, 2)) == []


def test_refuses_what_is_no_picture():
    with pytest.raises(ValueError, match="uint8 or uint16"):
        find(np.zeros((20, 20)))
    assert find(np.zeros((2, 3), np.uint8)) == []


@pytest.mark.parametrize("truth", [FACE, FLAG], ids=["cut", "whole"])
@pytest.mark.parametrize("store", [lambda p: p, jpeg], ids=["intact", "jpeg"])
def test_grid_of_a_given_area(truth, store):
    picture = store(pixelate(PHOTO, [truth]))
    grid, confidence = fit_grid(picture, area(truth))
    assert same_grid(grid, truth.grid)
    assert confidence > 0.5
    mask = np.zeros(PHOTO.shape[:2], bool)
    mask[truth.box] = True
    assert fit_grid(picture, mask) == (grid, confidence)
    known, _ = fit_grid(picture, mask, (int(truth.grid.width), int(truth.grid.height)))
    assert same_grid(known, truth.grid)


def test_grid_of_a_round_area():
    y, x = np.mgrid[0:512, 0:512]
    mask = (x - 220) ** 2 + (y - 110) ** 2 < 60**2
    truth = Mosaic.from_mask(mask, Grid(3, 4, 11, 7))
    grid, _ = fit_grid(pixelate(PHOTO, [truth]), mask)
    assert same_grid(grid, truth.grid)


def test_grid_of_uneven_cells():
    scaled = Image.fromarray(PHOTO).resize((37, 29), Image.Resampling.BOX).resize((512, 512), Image.Resampling.NEAREST)
    grid, confidence = fit_grid(np.asarray(scaled), (0, 0, 512, 512))
    assert (grid.width, grid.height) == pytest.approx((512 / 37, 512 / 29))
    assert confidence > 0.9


def test_no_grid_in_a_flat_area():
    grid, confidence = fit_grid(np.full((40, 50), 7, np.uint8), (5, 5, 20, 10))
    assert (grid, confidence) == (Grid(5, 5, 20, 10), 0.0)


@pytest.mark.parametrize(
    ("where", "message"),
    [((30, 30, 40, 5), "does not lie"), (np.zeros((50, 50), bool), "empty"), (np.ones((4, 4), bool), "shape")],
)
def test_areas_that_cannot_be(where, message):
    with pytest.raises(ValueError, match=message):
        fit_grid(np.zeros((50, 50), np.uint8), where)


def test_steps_are_zero_only_between_equal_pixels():
    pixels = np.array([[0, 1, 257, 257]], np.uint16)
    across, down = steps(pixels, lossy=False)
    assert across.tolist() == [[0, 1, 1, 0]]
    assert not down.any()


def test_comb_prefers_neither_half_nor_double_sizes():
    total = np.zeros(60)
    total[4::6] = (5, 1, 4, 2, 6, 1, 3, 2, 5, 1)[: len(total[4::6])]
    assert comb(total, np.ones(60), 0.1)[:2] == (6, 4)


def test_quality_of_a_jpeg_file():
    for quality in (90, 92, 95):
        decoded = luminance(jpeg(PHOTO, quality, 2))
        assert estimated_quality(decoded) == quality


def test_small_cells_in_a_jpeg_file():
    truth = [FLAG, Mosaic(300, 300, 36, 42, Grid(300, 302, 4, 8))]
    assert_found(find(jpeg(pixelate(PHOTO, truth), 92), lossy=True), *truth)


def test_two_by_two_large_cells_in_a_jpeg_file():
    truth = Mosaic(130, 20, 220, 200, Grid(140, 20, 100, 100))
    (found,) = find(jpeg(pixelate(PHOTO, [truth]), 93, 2), lossy=True)
    assert same_grid(found.grid, truth.grid)
    assert area(found) == area(truth)


def test_a_wrong_seed_leads_to_area_and_grid():
    truth = Mosaic(150, 40, 158, 163, Grid(153, 45, 18, 15))
    maps = LikelihoodMaps.of(luminance(jpeg(pixelate(PHOTO, [truth]), 92)))
    value, fit = noisy_tiles.follow(maps, GridBox((180, 81, 18, 18), (9, 9), (189, 90)))
    assert (fit.box, fit.cell) == (area(truth), (18, 15))
    assert value == pytest.approx(maps.log_ratio(fit))
    assert value > maps.log_ratio(GridBox((150, 40, 157, 163), (18, 15), (153, 45)))


@settings(max_examples=20, derandomize=True)
@given(data=st.data())
def test_no_span_is_better_than_the_best(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    maps = LikelihoodMaps.of(rng.integers(0, 256, (24, 40)).astype(np.float32).repeat(2, axis=1)[:, :60])
    low, high = data.draw(st.sampled_from([(4, 58), (0, 60)]))
    cells = starts(3, 20, 5, 1)
    best, (start, stop), size, line = best_span(maps, (low, high), (3, 20), cells)
    value = maps.log_ratio(GridBox((start, 3, stop - start, 17), (size, 5), (line, 1)))

    def other(a, b, width, origin):
        return maps.log_ratio(GridBox((a, 3, b - a, 17), (width, 5), (origin, 1)))

    for _ in range(30):
        width = int(rng.integers(3, 20))
        origin = int(rng.integers(low, high - width))
        a, b = int(rng.integers(max(low, origin - width + 1), origin + 1)), int(rng.integers(origin + width, high + 1))
        assert other(a, b, width, origin) <= value + 1e-2
    # rows of cells cut at both ends are none of its business
    assert best == pytest.approx(value + 2 * likelihood.CUT * np.log(5), abs=1e-2)


def test_cells_that_a_border_cuts_cost_evidence():
    nothing = np.zeros((40, 40), np.float32)
    maps = LikelihoodMaps(nothing, nothing + 1, nothing + 1, nothing, nothing)
    whole = maps.log_ratio(GridBox((10, 10, 12, 12), (12, 12), (10, 10)))
    for cell, origin, cost in (
        ((20, 12), (10, 10), np.log(20)),  # cut on the right
        ((12, 15), (10, 8), 2 * np.log(15) - np.log(1)),  # above and below
        ((20, 15), (4, 10), 2 * np.log(20) + np.log(15)),
    ):
        cut = maps.log_ratio(GridBox((10, 10, 12, 12), cell, origin))
        assert whole - cut == pytest.approx(likelihood.CUT * cost)
        assert cut < whole
    for x, y in ((0, 10), (28, 10), (10, 0), (10, 28)):  # where the picture ends
        assert maps.log_ratio(GridBox((x, y, 12, 12), (12, 12), (x, y))) - whole == pytest.approx(likelihood.EDGE)
    assert likelihood.EDGE > 0


def promising(start, stop, faint):
    """Return maps in which columns start … stop speak for a mosaic, those up to `faint` hardly, all others against."""
    zero = np.zeros((20, 60), np.float32)
    gain = zero - 1
    gain[:, start:stop], gain[:, stop:faint] = 1, 0.02
    return LikelihoodMaps(zero, zero + 1, zero + 1e-9, gain, zero)


def test_a_span_takes_no_cut_cell_that_is_not_worth_its_cost():
    maps = promising(10, 34, 36)  # the two faint columns are worth 0.4 nats
    value, span, size, line = best_span(maps, (0, 60), (5, 15), starts(5, 15, 10, 5), 4)  # of 25, 26 columns no cells
    assert (span, 24 % size, (line - 10) % size) == ((10, 34), 0, 0)
    assert value == pytest.approx(240, abs=1e-3)
    for cell in (6.0, 8.0):
        value, start, stop = areas.span(maps, (5, 15), (cell, 10.0), (10.0, 5.0))
        assert (start, stop) == (10, 34)
        assert value == pytest.approx(240, abs=1e-3)
    value, start, stop = areas.span(promising(8, 36, 36), (5, 15), (6.0, 10.0), (10.0, 5.0))
    assert (start, stop) == (8, 36)  # these are worth it
    assert value == pytest.approx(280 - 2 * likelihood.CUT * np.log(6), abs=1e-3)


def test_a_span_gains_where_the_picture_ends():
    maps = promising(0, 60, 60)
    value, span, size, line = best_span(maps, (0, 60), (5, 15), starts(5, 15, 10, 5))
    assert (span, 60 % size, line % size) == ((0, 60), 0, 0)
    assert value == pytest.approx(600 + 2 * likelihood.EDGE, abs=1e-3)


def test_the_best_span_of_a_mosaics_rows_is_its_own():
    truth = Mosaic(150, 40, 158, 163, Grid(153, 45, 18, 15))
    maps = LikelihoodMaps.of(luminance(jpeg(pixelate(PHOTO, [truth]), 92)))
    rows = starts(40, 203, 15, 45)
    value, span, size, line = best_span(maps, (100, 400), (40, 203), rows)
    assert (span, size, (line - 153) % 18) == ((150, 308), 18, 0)
    shorter, inside, *_ = best_span(maps, (160, 300), (40, 203), rows)
    assert 160 <= inside[0] < inside[1] <= 300
    assert shorter < value


def test_the_larger_the_picture_the_more_evidence_is_asked_for():
    maps = LikelihoodMaps.of(luminance(GRAY))
    part = maps[:128, :128]
    assert noisy_tiles.chance(maps) == pytest.approx(noisy_tiles.chance(part) + 2 * np.log(16))


def test_evidence_does_not_depend_on_stripes(monkeypatch):
    plane = luminance(jpeg(PHOTO, 92))
    striped = LikelihoodMaps.of(plane)
    monkeypatch.setattr(stripes, "STRIPE", 4096)
    whole = LikelihoodMaps.of(plane)
    for name in ("variance", "weight", "gain", "tilt"):
        np.testing.assert_allclose(getattr(striped, name), getattr(whole, name), rtol=1e-5, atol=1e-5)


def test_blocks_of_a_jpeg_file_that_was_moved_are_no_mosaics():
    for photo in (PHOTO, skimage.data.coffee(), skimage.data.chelsea()):
        assert find(np.pad(jpeg(photo, 40, 2), ((13, 10), (5, 5), (0, 0))), lossy=False) == []


def test_tiles_do_not_depend_on_stripes(monkeypatch):
    m = Mosaic.rectangle(30, 20, 300, 400, (13, 7))
    pixelated = pixelate(PHOTO, [m])
    found = []
    for stripe in (1 << 20, 100):  # one, and several side by side
        monkeypatch.setattr(stripes, "STRIPE", stripe)
        across, down = intact_tiles._steps(pixelated)
        np.testing.assert_array_equal((across, down), steps(pixelated, lossy=False))
        found.append(intact_tiles.exact_tiles(across, down))
    np.testing.assert_array_equal(*found)
    assert len(found[0]) > 1000


def test_merged_cells_are_no_mosaics_of_their_own():
    mosaic = GridBox((100, 50, 200, 200), (25, 10), (100, 50))
    assert intact_tiles._of_cells(GridBox((150, 60, 100, 20), (50, 20), (150, 60)), [mosaic])
    for box, cell, origin in (
        ((150, 60, 100, 20), (50, 25), (150, 60)),  # no multiple
        ((155, 60, 100, 20), (50, 20), (155, 60)),  # beside the lines
        ((250, 60, 100, 20), (50, 20), (250, 60)),  # goes on beyond
    ):
        assert not intact_tiles._of_cells(GridBox(box, cell, origin), [mosaic])


def test_cells_that_a_border_cuts_are_no_mosaics_of_their_own():
    mosaic = GridBox((100, 50, 210, 203), (25, 10), (115, 50))  # cut to 15 on the left, to 20 on the right, to 3 below
    for box, cell in (
        ((100, 60, 15, 40), (15, 10)),
        ((290, 60, 20, 40), (20, 10)),
        ((140, 250, 50, 3), (25, 3)),
        ((290, 250, 20, 3), (20, 3)),
        ((290, 60, 20, 40), (20, 20)),  # two and two of them equal
    ):
        assert intact_tiles._of_cells(GridBox(box, cell, box[:2]), [mosaic])
    for box, cell in (
        ((265, 60, 20, 40), (20, 10)),  # not at the border
        ((285, 60, 25, 40), (25, 10)),  # not what is left of a cell
        ((290, 60, 20, 40), (10, 10)),  # two cells
    ):
        assert not intact_tiles._of_cells(GridBox(box, cell, box[:2]), [mosaic])


def test_cells_are_not_halved():
    m = Mosaic.rectangle(101, 53, 240, 240, 60)
    plane = luminance(jpeg(pixelate(PHOTO, [m]), 92))
    found = LikelihoodMaps.of(plane)
    half = GridBox((101, 53, 240, 240), (30, 60), (101, 53))
    value, log_odds, area = noisy_tiles._plainer(found, found.log_ratio(half), half)
    assert area.cell == (60, 60)
    assert log_odds > noisy_tiles.log_odds(found, half, found.log_ratio(half))
    assert noisy_tiles._plainer(found, value, area) == (value, log_odds, area)


def test_a_pair_of_equal_tiles_is_no_mosaic():
    photo = skimage.data.gravel().copy()
    for y, x, colour in ((100, 200, 40), (100, 208, 200), (108, 200, 90), (108, 208, 150)):
        photo[y : min(y + 8, 112), x : x + 8] = colour  # two whole cells, and parts of two below
    assert find(photo, lossy=False) == []


def test_a_large_lossy_picture_is_searched_where_its_mosaics_are():
    photo = np.asarray(Image.fromarray(skimage.data.coffee()).resize((1200, 800), Image.Resampling.LANCZOS))
    truth = [Mosaic.rectangle(240, 130, 540, 420, 90), Mosaic.rectangle(900, 600, 72, 60, 12)]
    assert_found(find(jpeg(pixelate(photo, truth), 92), lossy=True), *truth)


def test_a_chequerboard_is_no_mosaic():
    board = skimage.data.gravel().copy()
    dark = (np.add.outer(np.arange(60) // 10, np.arange(150) // 10) % 2).astype(bool)
    rng = np.random.default_rng(0)
    shade = np.kron(rng.integers(-9, 9, (6, 15)), np.ones((10, 10), int))
    board[100:160, 200:350] = np.where(dark, 40, 210) + shade
    assert find(board, lossy=False) == []
    board[100:160, 200:350] = np.kron(rng.integers(40, 210, (6, 15)), np.ones((10, 10), int))
    assert_found(find(board, lossy=False), Mosaic.rectangle(200, 100, 150, 60, 10))


def test_a_file_with_some_intact_tiles_may_be_lossy_after_all():
    """Tiles that lie as the blocks of a JPEG file stay intact; where the area's border cuts blocks they do not."""
    blocks = Mosaic(161, 65, 62, 46, Grid(0, 0, 16, 16))
    other = Mosaic(300, 300, 105, 99, Grid(303, 302, 13, 11))
    pixels = jpeg(pixelate(PHOTO, [blocks, other]), 95)
    intact = find(pixels, lossy=False, fast=True)
    assert [area(m) for m in intact] == [(168, 72, 48, 32)]
    assert search._continues(intact, pixels)
    found = find(pixels, fast=True)
    assert any(same_grid(m.grid, other.grid) and np.abs(np.subtract(area(m), area(other))).max() <= 2 for m in found)
    lossless = pixelate(PHOTO, [blocks])
    assert not search._continues(find(lossless, lossy=False, fast=True), lossless)
