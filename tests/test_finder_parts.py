"""Parts of the finder by themselves: what mutations of them showed to be untested as a whole."""

import numpy as np
import pytest

from deepix.finder.grid_box import GridBox
from deepix.finder.intact_tiles import proposals
from deepix.finder.likelihood import LikelihoodMaps
from deepix.finder.photo_model import CONTEXT, LAPLACE, PRIOR, photo_cost
from deepix.finder.tile_corners import corners


def test_what_is_measured_at_a_corner_is_of_its_four_tiles():
    rng = np.random.default_rng(0)
    picture = rng.normal(100, 12, (96, 96)).astype(np.float32)
    tiles = {(0, 0): 60.0, (0, 1): 90.0, (1, 0): 110.0, (1, 1): 180.0}  # row, column: level
    for (row, column), level in tiles.items():
        picture[32 + 9 * row : 41 + 9 * row, 40 + 9 * column : 49 + 9 * column] = level
    likelihood = LikelihoodMaps.of(picture, 95)
    places, measured = corners(likelihood)
    (at,) = np.flatnonzero((places == (49, 41, 9, 9)).all(axis=1))
    value, log_value, log_share, log_size, *differences, noise = measured[at][:10]
    assert value > 100
    assert log_value == pytest.approx(np.log(value))
    assert log_share == pytest.approx(np.log(value / (4 * 9 * 9)))
    assert log_size == pytest.approx(np.log(9 * 9))
    # across: 30 and 70; down: 50 and 90; the mixed one: 60 + 180 − 90 − 110
    np.testing.assert_allclose(np.exp(differences) - 0.3, [30, 70, 50, 90, 40], atol=1e-3)
    assert noise == pytest.approx(0.5 * np.log(likelihood.variance[41, 49]))
    np.testing.assert_array_equal(measured[at][10:], [0, 0, 0, 0])  # neither 49 nor 41 are multiples of 8 or 4


@pytest.mark.parametrize("line", [40, 44, 45])
def test_corners_on_the_lines_of_a_files_blocks_are_marked(line):
    picture = np.random.default_rng(1).normal(100, 12, (96, 96)).astype(np.float32)
    for k, level in enumerate((60.0, 90.0, 110.0, 180.0)):
        y, x = line - 9 * (k < 2), 47 - 9 * (k % 2 == 0)
        picture[y : y + 9, x : x + 9] = level
    places, measured = corners(LikelihoodMaps.of(picture, 95))
    (at,) = np.flatnonzero((places == (47, line, 9, 9)).all(axis=1))
    np.testing.assert_array_equal(measured[at][10:], [0, line % 8 == 0, 0, line % 4 == 0])


def test_tiles_that_continue_each_other_in_both_directions_are_one_proposal():
    x, y = np.meshgrid(3 + 10 * np.arange(4), 5 + 7 * np.arange(3))
    tiles = np.stack([x.ravel(), y.ravel(), np.full(12, 10), np.full(12, 7)], axis=1).astype(np.int64)
    assert proposals(tiles) == [GridBox((3, 5, 40, 21), (10, 7), (3, 5))]
    # beside them, but not on their lines
    other = tiles[:6] + np.array([41, 3, 0, 0])
    both = proposals(np.concatenate([tiles, other]))
    assert [p.box for p in both] == [(3, 5, 40, 21), (44, 8, 40, 14)]


def test_a_photos_pixel_costs_what_the_better_of_two_predictions_says():
    """By hand, at one pixel: the better predictor's error under a Lomax distribution of the errors around."""
    p = np.random.default_rng(3).normal(120, 20, (16, 18))
    cost, tilt = photo_cost(p.astype(np.float32), np.full(p.shape, 2.0, np.float32))

    def predictions(y, x):
        left, above, corner = p[y, x - 1], p[y - 1, x], p[y - 1, x - 1]
        edge = np.clip(left + above - corner, min(left, above), max(left, above))
        return edge, (left + above + 0.5 * (corner + p[y - 1, x + 1] + p[y, x - 2] + p[y - 2, x])) / 4

    around = [(0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1), (-2, 0)]
    floor, n = LAPLACE * np.sqrt(2.0), CONTEXT + PRIOR
    chosen = set()
    for y, x in np.argwhere(np.ones((8, 10))) + 5:
        errors = [abs(p[y, x] - guess) for guess in predictions(y, x)]
        totals = [sum(abs(p[y + j, x + i] - predictions(y + j, x + i)[k]) for j, i in around) for k in (0, 1)]
        k = int(totals[1] < totals[0])
        chosen.add(k)
        scale = max(totals[k] + PRIOR * floor, n * floor)
        expected = (n + 1) * np.log(scale + errors[k]) - n * np.log(scale) - np.log(n / 2)
        assert cost[y, x] + tilt[y, x] == pytest.approx(expected, abs=1e-3)
    assert chosen == {0, 1}
