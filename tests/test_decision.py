"""One decision over the candidates of a place: each comparison by itself, and in any order of the candidates."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import skimage.data

from deepix.finder import decision, intact_shapes
from deepix.finder.candidates import INTACT, Candidate
from deepix.finder.drawings import is_chequerboard
from deepix.mosaic import Grid, Mosaic, check, pixelate

PLANE = skimage.data.gravel().astype(np.float32)
SEEN = np.full((128, 128), 0.9, np.float32)


def mosaic(x, y, width, height, cell, origin=None, confidence=0.95, mask=None):
    cells = cell if isinstance(cell, tuple) else (cell, cell)
    return Mosaic(x, y, width, height, Grid(*(origin or (x, y)), *cells), mask, confidence)


def intact(m, log_ratio, seen=SEEN):
    return Candidate.of_intact_tiles(log_ratio, m).on_map(seen, 4)


def outlined(m, log_ratio, seen=SEEN):
    return Candidate.of_noisy_tiles(log_ratio, m, outlined=True).on_map(seen, 4)


def noisy(m, log_ratio, seen=SEEN):
    return Candidate.of_noisy_tiles(log_ratio, m).on_map(seen, 4)


def decided(*candidates):
    """Return what is decided, and check that no order of the candidates changes it."""
    found = decision.decide(candidates, PLANE)
    check(found, PLANE.shape)
    for order in permutations(candidates):
        assert decision.decide(order, PLANE) == found
    return found


AREA = mosaic(100, 80, 120, 96, 12)


def test_candidates_of_different_places_are_all_reported():
    a, b, c = intact(AREA, 300), outlined(mosaic(300, 80, 60, 60, 10), 500), noisy(mosaic(20, 300, 80, 80, 8), 400)
    assert decided(a, b, c) == [a.mosaic, b.mosaic, c.mosaic]


def test_intact_tiles_hold_their_place_against_the_outlined_area_around_them():
    tiles = mosaic(100, 80, 108, 96, 12)
    assert decided(intact(tiles, 20), outlined(AREA, 5000)) == [tiles]


def test_pieces_of_a_resized_mosaics_uneven_cells_give_way_to_it():
    resized = mosaic(100, 80, 120, 96, 12.5, confidence=0.9)
    left, right = mosaic(100, 80, 60, 96, 12), mosaic(160, 80, 52, 91, 13)
    assert decided(intact(left, 900), intact(right, 700), outlined(resized, 10)) == [resized]
    other = mosaic(160, 80, 56, 84, 14)  # 1.5 pixels off
    assert decided(intact(left, 900), intact(other, 700), outlined(resized, 10)) == [left, other]
    assert decided(intact(left, 900), outlined(resized, 10)) == [left]  # a grid of its own is no piece


def test_slivers_of_intact_tiles_give_way_to_a_sure_area_with_more_evidence():
    slivers = intact(mosaic(112, 85, 84, 6, (12, 4)), 600), intact(mosaic(112, 91, 84, 6, (12, 3)), 500)
    assert decided(*slivers, outlined(AREA, 1200)) == [AREA]
    assert AREA not in decided(*slivers, outlined(AREA, 1000))
    assert AREA not in decided(*slivers, outlined(replace(AREA, confidence=0.45), 1200))
    tiles = intact(mosaic(112, 85, 96, 40, (12, 4)), 900)  # too many to be left by accident
    assert AREA not in decided(tiles, outlined(AREA, 1200))


def grown(area, tiles, beyond):
    """Return an outlined area, and the ellipse in it that some tiles grow to."""
    y, x = np.mgrid[: area.height, : area.width] + 0.5
    ellipse = (2 * x / area.width - 1) ** 2 + (2 * y / area.height - 1) ** 2 < 1
    region = outlined(area, 200)
    shape = replace(area, mask=ellipse, grid=tiles.grid)
    return region, Candidate(shape, 200, INTACT * region.score, intact=True, region=region, beyond=beyond)


def test_tiles_grow_to_the_areas_shape_where_it_goes_on_in_steps():
    tiles = mosaic(136, 104, 48, 48, 12)
    region, shape = grown(AREA, tiles, decision.STEPPED)
    assert decided(intact(tiles, 300), region, shape) == [shape.mosaic]
    flat = replace(shape, beyond=decision.STEPPED - 0.01)
    assert decided(intact(tiles, 300), region, flat) == [tiles]
    almost = mosaic(112, 92, 84, 84, 12)  # 7056 of the ellipse's 9048 pixels
    region, shape = grown(AREA, almost, 1.0)
    assert decided(intact(almost, 300), region, shape) == [almost]


def test_tiles_on_several_grids_do_not_grow():
    tiles, other = mosaic(112, 104, 60, 60, 12), mosaic(172, 104, 36, 72, 9)
    region, shape = grown(AREA, tiles, 1.0)
    share = 36 * 72 / (120 * 96)
    assert share > decision.OTHER_GRIDS
    assert decided(intact(tiles, 300), intact(other, 200), region, shape) == [tiles, other]


@pytest.mark.parametrize(
    ("pieces", "log_ratio", "cell", "expected"),
    [(1, 600, 8, 0), (2, 300, 8, 2), (2, 200, 8, 0), (2, 300, 12, 0)],  # 12: on the area's own lines
)
def test_nearly_intact_rectangles_of_another_grid_take_an_areas_place_if_they_cover_it_and_have_more_evidence(
    pieces, log_ratio, cell, expected
):
    parts = [mosaic(100, 80, 48, 96, cell), mosaic(172, 80, 48, 96, cell)][:pieces]  # 40 % each
    found = decided(outlined(AREA, 500), *(noisy(m, log_ratio) for m in parts))
    assert found == (parts if expected else [AREA])


def test_of_a_resized_area_only_a_rectangle_of_about_its_size_takes_the_place():
    resized = mosaic(100, 80, 120, 96, 12.5, confidence=0.9)
    small, large = mosaic(100, 80, 96, 96, 12), mosaic(100, 80, 108, 96, 12)  # 80 and 90 %
    assert decided(outlined(resized, 500), noisy(small, 700)) == [resized]
    assert decided(outlined(resized, 500), noisy(large, 700)) == [large]
    assert decided(outlined(resized, 500), noisy(small, 1500)) == [small]  # far more evidence


def test_in_a_resized_picture_nearly_intact_rectangles_are_not_believed():
    resized, piece = mosaic(100, 80, 120, 96, 12.5, confidence=0.9), mosaic(300, 300, 60, 60, 10)
    assert decided(outlined(resized, 500), noisy(piece, 400)) == [resized]
    assert decided(outlined(resized, 300), noisy(piece, 400)) == [resized, piece]


def test_what_overlaps_gives_way_to_the_better_one_or_loses_a_little():
    best, worse, little = mosaic(0, 0, 60, 60, 10), mosaic(30, 0, 60, 60, 10), mosaic(50, 0, 60, 60, 10)
    assert decided(outlined(best, 900), outlined(worse, 800)) == [best]
    first, rest = decided(outlined(best, 900), outlined(little, 800))
    assert first == best
    assert (rest.x, rest.width) == (60, 50)


def test_nothing_is_reported_right_beside_an_area():
    beside = mosaic(222, 80, 48, 96, 12)
    assert decided(outlined(AREA, 500), noisy(beside, 300)) == [AREA]
    assert decided(outlined(AREA, 500), noisy(beside.moved(6, 0), 300)) == [AREA, beside.moved(6, 0)]


def at(value):
    return np.full((128, 128), value, np.float32)


@pytest.mark.parametrize(
    ("candidate", "credible"),
    [
        (intact(AREA, 300, at(0.05)), False),  # the locator would see it
        (intact(AREA, 300, at(0.1)), True),
        (intact(mosaic(100, 80, 24, 24, 12), 300, at(0.05)), True),  # 2 x 2 cells: too few for the locator
        (intact(mosaic(0, 0, 300, 300, 100), 300, at(0.05)), True),  # larger cells than it knows
        (outlined(replace(AREA, confidence=0.45), 61), True),
        (outlined(replace(AREA, confidence=0.45), 59), False),
        (outlined(replace(AREA, confidence=0.39), 1000), False),
        (outlined(replace(AREA, confidence=0.5), 1), True),
        (noisy(replace(AREA, confidence=0.75), 300, at(0.6)), True),
        (noisy(replace(AREA, confidence=0.75), 300, at(0.3)), False),
        (noisy(replace(AREA, confidence=0.8), 300, at(0.3)), True),
        (noisy(AREA, 300, at(0.05)), False),
        (noisy(mosaic(100, 80, 24, 24, 12, confidence=0.99), 300, at(0.05)), True),
        (noisy(mosaic(100, 80, 24, 24, 12, confidence=0.98), 300, at(0.05)), False),
        (noisy(mosaic(104, 80, 96, 96, (8, 12), confidence=0.99), 300, at(0.3)), False),  # columns of JPEG blocks
        (noisy(mosaic(104, 80, 96, 96, (8, 12), confidence=0.99), 300, at(0.6)), True),
    ],
)
def test_what_a_candidate_needs_for_itself(candidate, credible):
    assert decision.is_credible(candidate) == credible


def test_without_a_map_the_evidence_alone_decides():
    a, b = Candidate.of_intact_tiles(100, AREA), Candidate.of_noisy_tiles(400, AREA.moved(12, 0))
    assert decision.decide_without_map([a, b]) == [a.mosaic]
    assert decision.decide_without_map([replace(a, score=300), b]) == [b.mosaic]


def test_chequerboards_are_told_by_two_kinds_of_cells_that_alternate():
    rng = np.random.default_rng(0)
    m = mosaic(0, 0, 80, 60, 10)
    kinds = np.add.outer(np.arange(6), np.arange(8)) % 2
    board = np.kron(np.where(kinds, 60.0, 190.0) + rng.normal(0, 5, (6, 8)), np.ones((10, 10)))
    stripes = np.kron(np.where(np.arange(8) % 2, 60.0, 190.0) + rng.normal(0, 5, (6, 8)), np.ones((10, 10)))
    assert is_chequerboard(board.astype(np.float32), m)
    assert not is_chequerboard(stripes.astype(np.float32), m)
    assert not is_chequerboard(pixelate(PLANE.astype(np.uint8), [m]).astype(np.float32), m)


def test_intact_tiles_grow_to_a_circle():
    photo = skimage.data.astronaut()
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    true = Mosaic.from_mask((x - 225) ** 2 + (y - 120) ** 2 < 60**2, Grid(5, 0, 10, 10))
    pixels = pixelate(photo, [true])
    region = outlined(Mosaic.from_mask((x - 226) ** 2 + (y - 121) ** 2 < 59**2, Grid(4, 1, 10.2, 9.9), 0.9), 500)
    tiles = mosaic(185, 80, 80, 80, 10)
    (shape,) = intact_shapes.grown(pixels, [region], [intact(tiles, 800)])
    found, there = np.zeros(photo.shape[:2], bool), np.zeros(photo.shape[:2], bool)
    found[shape.mosaic.box], there[true.box] = shape.mosaic.area, true.area
    assert (found & there).sum() / (found | there).sum() > 0.95
    assert shape.mosaic.grid == tiles.grid
    assert shape.beyond > 0.9
    assert decided(intact(tiles, 800), region, shape.on_map(SEEN, 4)) == [shape.mosaic]


def test_evidence_is_weighed_with_the_confidence_in_it():
    doubtful, certain = replace(AREA, confidence=0.6), replace(AREA.moved(30, 0), confidence=0.95)
    assert decided(outlined(doubtful, 500), outlined(certain, 350)) == [certain]


def test_a_shape_that_tiles_grow_to_has_at_least_their_evidence():
    tiles, beside = mosaic(136, 104, 48, 48, 12), mosaic(164, 80, 60, 96, 10)
    region, shape = grown(AREA, tiles, 1.0)
    assert decided(intact(tiles, 300), region, shape, outlined(beside, 1400)) == [shape.mosaic]  # of the tiles: 1500
    assert decided(intact(tiles, 10), region, shape, outlined(beside, 900)) == [shape.mosaic]  # of the area: 950
    assert decided(intact(tiles, 10), region, shape, outlined(beside, 1400)) == [beside]


def test_what_takes_an_areas_place_may_have_others_beside_it():
    parts = [mosaic(100, 80, 48, 96, 8), mosaic(148, 80, 72, 96, 8)]
    beside = mosaic(222, 80, 48, 96, 8)
    assert decided(outlined(AREA, 500), *(noisy(m, 400) for m in parts), noisy(beside, 300)) == [*parts, beside]


def test_little_that_is_flat_in_an_outlined_area_is_no_shape():
    photo = skimage.data.gravel().copy()
    region = outlined(AREA, 500)
    tiles = mosaic(100, 80, 36, 36, 12)
    photo = pixelate(photo, [tiles])
    assert intact_shapes.grown(photo, [region], [intact(tiles, 300)]) == []


def test_an_area_of_which_one_is_not_sure_says_nothing_of_resizing():
    doubtful = mosaic(100, 80, 120, 96, 12.5, confidence=0.45)
    small, piece = mosaic(100, 80, 96, 96, 12), mosaic(300, 300, 60, 60, 10)
    assert decided(outlined(doubtful, 500), noisy(small, 400)) == [small]  # less than twice the evidence
    assert decided(outlined(doubtful, 500), noisy(piece, 200)) == [doubtful, piece]
