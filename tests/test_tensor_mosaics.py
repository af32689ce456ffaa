"""The tensor operators against `deepix.mosaic`, their laws, and the distribution of random mosaics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deepix import challenge, mosaic
from deepix.mosaic import Grid, Mosaic
from deepix.training import operators
from deepix.training.data import random_mosaics, samples
from deepix.training.data.random_mosaics import CHALLENGE, Ranges
from deepix.training.operators import TRUNCATED, Mosaics

HEIGHT, WIDTH = 23, 31
ANY = Ranges(width=(1, 31), height=(1, 23), cell=(1, 12), count=(0, 5), square=False, corner=False)
seeds = st.integers(0, 2**32 - 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(seed: int, batch: int, channels: int, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Levels of 1/255, now and then few of them, so that means often are whole."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, (batch, channels, height, width)) // rng.integers(1, 100) * rng.integers(1, 3)
    return torch.from_numpy(np.minimum(levels, 255).astype(np.float32)) / 255


def to_image(x: torch.Tensor) -> np.ndarray:
    return x.permute(1, 2, 0).numpy()


@st.composite
def picture_mosaics(draw: st.DrawFn) -> list[Mosaic]:
    """Draw mosaics with masks and fractional grids, in halves of the picture so that they do not overlap."""
    found = []
    for left, right in ((0, WIDTH // 2), (WIDTH // 2, WIDTH)):
        if draw(st.booleans()):
            continue
        x, y = draw(st.integers(left, right - 1)), draw(st.integers(0, HEIGHT - 1))
        width, height = draw(st.integers(1, right - x)), draw(st.integers(1, HEIGHT - y))
        size = st.floats(1, 15, allow_subnormal=False)
        grid = Grid(draw(st.floats(-20, 20)), draw(st.floats(-20, 20)), draw(size), draw(size))
        mask = np.random.default_rng(draw(seeds)).random((height, width)) < draw(st.sampled_from([0.2, 0.8, 2.0]))
        mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
        found.append(Mosaic(x, y, width, height, grid, mask))
    return found


batches = st.lists(picture_mosaics(), min_size=1, max_size=3)


# ── the same as mosaic.py ────────────────────────────────────────────────────────────────────────


@given(batches)
def test_cells_and_coordinates_are_those_of_mosaic_py(batch: list[list[Mosaic]]) -> None:
    ours = operators.from_numpy(batch, HEIGHT, WIDTH)
    coordinates = ours.coordinates().numpy()
    assert coordinates.dtype == np.float32
    for b, theirs in enumerate(batch):
        expected = np.zeros((HEIGHT, WIDTH), np.int64)
        places = np.zeros((4, HEIGHT, WIDTH))
        counts = [0]
        for m in theirs:
            expected[m.box][m.area] = m.labels()[m.area] + len(counts)
            counts.extend(m.cells.counts.ravel())
            across, down = np.bincount(m.cells.column_index), np.bincount(m.cells.row_index)
            sizes = np.meshgrid(across[m.cells.column_index], down[m.cells.row_index])
            for place, values in zip(places, (*m.coordinates(), *sizes), strict=True):
                place[m.box][m.area] = values[m.area]
        places[2:] /= operators.CELL_UNIT
        np.testing.assert_array_equal(ours.cell[b].numpy(), expected)
        np.testing.assert_array_equal(ours.known[b, 0].numpy(), expected == 0)
        np.testing.assert_array_equal(ours.counts[b, : len(counts)].numpy(), counts)
        assert not ours.counts[b, len(counts) :].any()
        np.testing.assert_allclose(coordinates[b], places, atol=5e-7)


@given(batches, seeds, st.sampled_from([1, 3]))
def test_pixelate_and_project_are_those_of_mosaic_py(batch: list[list[Mosaic]], seed: int, channels: int) -> None:
    ours = operators.from_numpy(batch, HEIGHT, WIDTH)
    x = pictures(seed, len(batch), channels)
    z = torch.rand(x.shape, generator=seeded(seed), dtype=torch.float64)
    cut, means = operators.pixelate(x, ours), operators.pixelate(x.double(), ours, truncate=False)
    projected = operators.project(z, cut.double(), ours, TRUNCATED)
    for b, theirs in enumerate(batch):
        levels = np.rint(to_image(x[b]) * 255).astype(np.uint8)
        expected = mosaic.pixelate(levels, theirs, "truncate")
        np.testing.assert_array_equal(to_image(cut[b]), expected.astype(np.float32) / 255)
        np.testing.assert_allclose(to_image(means[b]), mosaic.pixelate(to_image(x[b].double()), theirs), atol=1e-14)
        estimate = mosaic.project(to_image(z[b]) * 255, expected, theirs, "truncate")
        np.testing.assert_allclose(to_image(projected[b]) * 255, estimate, atol=1e-4)


@given(seeds, st.integers(1, 4))
def test_random_mosaics_have_the_cells_of_the_same_mosaics_in_numpy(seed: int, batch: int) -> None:
    drawn = random_mosaics.draw(batch, HEIGHT, WIDTH, ANY, seeded(seed))
    ours = random_mosaics.from_rectangles(drawn, HEIGHT, WIDTH)
    theirs = operators.from_numpy(random_mosaics.to_numpy(drawn), HEIGHT, WIDTH)  # which also checks that none overlap
    for name in ("cell", "boxes", "counts"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


def test_truncation_is_exact_where_float_means_fall_just_below_an_integer() -> None:
    # every level, as cells of every number of pixels up to 400: the mean is the level itself
    for side in range(1, 21):
        ours = operators.from_numpy([[Mosaic.rectangle(0, 0, side, side, cell=side)]] * 256, 20, 20)
        x = (torch.arange(256.0) / 255)[:, None, None, None].expand(-1, 1, 20, 20)
        assert torch.equal(operators.pixelate(x, ours), x)


def test_the_validation_sets_parameters_are_rectangles() -> None:
    params = torch.tensor([[3, 5, 20, 9, 6], [0, 0, 4, 32, 16]], dtype=torch.int16)
    ours = random_mosaics.from_rectangles(params, 64, 64)
    theirs = [[Mosaic.rectangle(x, y, w, h, cell)] for x, y, w, h, cell in params.tolist()]
    assert torch.equal(ours.cell, operators.from_numpy(theirs, 64, 64).cell)


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────


def any_mosaics(seed: int, batch: int = 3) -> Mosaics:
    return random_mosaics.random(batch, HEIGHT, WIDTH, ANY, seeded(seed))


@given(seeds)
def test_mean_and_spread_are_adjoint_up_to_the_cells_sizes(seed: int) -> None:
    ours = any_mosaics(seed)
    x = torch.rand(3, 2, HEIGHT, WIDTH, dtype=torch.float64, generator=seeded(seed))
    y = torch.rand(3, 2, ours.counts.shape[1], dtype=torch.float64, generator=seeded(seed + 1))
    in_cells = (ours.mean(x) * y * ours.counts[:, None]).sum()  # ⟨A x, y⟩ weighted by pixels
    on_pixels = (x * ours.spread(y) * ~ours.known).sum()  # ⟨x, A† y⟩
    torch.testing.assert_close(in_cells, on_pixels)


@given(seeds)
def test_pixelating_is_a_projection_that_keeps_known_pixels(seed: int) -> None:
    ours = any_mosaics(seed)
    x = pictures(seed, 3, 2)
    for truncate in (True, False):
        once = operators.pixelate(x, ours, truncate)
        torch.testing.assert_close(operators.pixelate(once, ours, truncate), once)
        assert torch.equal(torch.where(ours.known, once, 0), torch.where(ours.known, x, 0))


@given(seeds)
def test_projecting_agrees_with_the_input_and_never_moves_away_from_the_truth(seed: int) -> None:
    ours = any_mosaics(seed)
    truth = pictures(seed, 3, 1).double()
    pixelated = operators.pixelate(truth, ours, truncate=False)
    z = torch.rand(truth.shape, dtype=torch.float64, generator=seeded(seed))
    projected = operators.project(z, pixelated, ours)
    torch.testing.assert_close(operators.pixelate(projected, ours, truncate=False), pixelated)
    torch.testing.assert_close(operators.project(projected, pixelated, ours), projected)
    before, after = ((estimate - truth).square().sum((1, 2, 3)) for estimate in (z, projected))
    assert (after <= before + 1e-12).all()


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed: int) -> None:
    ours = random_mosaics.random(2, 5, 6, Ranges((2, 5), (2, 5), (1, 3), (1, 2), False, False), seeded(seed))
    assert not ours.known.all()
    z, y = torch.rand(2, 2, 2, 5, 6, dtype=torch.float64, generator=seeded(seed)).requires_grad_().unbind()
    assert torch.autograd.gradcheck(lambda z, y: operators.project(z, y, ours, 0.1), (z, y))
    assert torch.autograd.gradcheck(lambda z: operators.pixelate(z, ours, truncate=False), (z,))
    cut = operators.pixelate(z, ours)
    (gradient,) = torch.autograd.grad(cut.sum(), z)
    assert torch.equal(gradient, ours.known.expand_as(z).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_projected_in_float32(dtype: torch.dtype) -> None:
    truth = pictures(1, 4, 1, 64, 64)
    _, pixelated, ours = samples.sample(truth, generator=seeded(1), truncate=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        projected = operators.project(truth.to(dtype), pixelated, ours)
    assert projected.dtype == torch.float32
    torch.testing.assert_close(ours.mean(projected), ours.mean(pixelated), atol=1e-5, rtol=0)


# ── random mosaics ───────────────────────────────────────────────────────────────────────────────


def p_value(counts: torch.Tensor, probabilities: np.ndarray) -> float:
    return float(stats.chisquare(counts.numpy(), probabilities * int(counts.sum())).pvalue)


def test_the_distribution_is_the_challenges() -> None:
    drawn = random_mosaics.draw(200_000, 64, 64, CHALLENGE, seeded(2026))
    assert drawn.shape == (200_000, 1, 8)
    x, y, width, height, grid_x, grid_y, cell_width, cell_height = drawn[:, 0].unbind(1)
    assert torch.equal(x, grid_x)
    assert torch.equal(y, grid_y)
    assert torch.equal(cell_width, cell_height)
    low, high = challenge.AREA
    sides = np.full(high - low + 1, 1 / (high - low + 1))
    cells = np.full(challenge.CELL[1] - challenge.CELL[0] + 1, 1 / (challenge.CELL[1] - challenge.CELL[0] + 1))
    # P(x) = Σ over widths w with x ≤ 64 − w of P(w) / (65 − w)
    places = np.array([sum(1 / (65 - w) for w in range(low, high + 1) if p <= 64 - w) for p in range(61)]) * sides[0]
    several = {
        "width": (width - low, sides),
        "height": (height - low, sides),
        "cell": (cell_width - challenge.CELL[0], cells),
        "x": (x, places),
        "y": (y, places),
        "width and height": ((width - low) * len(sides) + height - low, np.outer(sides, sides).ravel()),
        "width and cell": ((width - low) * len(cells) + cell_width - 4, np.outer(sides, cells).ravel()),
        "x and y": (x * 61 + y, np.outer(places, places).ravel()),
    }
    for size in (4, 17, 32):  # where the area lies, given its width
        several[f"x of width {size}"] = (x[width == size], np.full(65 - size, 1 / (65 - size)))
    for name, (values, probabilities) in several.items():
        assert p_value(values.bincount(minlength=len(probabilities)), probabilities) > 0.001, name


def test_several_mosaics_do_not_overlap_and_are_as_many_as_drawn_where_there_is_room() -> None:
    ranges = Ranges((2, 12), (2, 12), (1, 6), (2, 4))
    drawn = random_mosaics.draw(500, 64, 64, ranges, seeded(3))
    theirs = random_mosaics.to_numpy(drawn)
    for ours in theirs:
        mosaic.check(ours, (64, 64))
    numbers = torch.tensor([len(ours) for ours in theirs]).bincount(minlength=5)
    assert numbers[:2].sum() == 0
    assert p_value(numbers[2:], np.full(3, 1 / 3)) > 0.001
    covered = (random_mosaics.from_rectangles(drawn, 64, 64).cell > 0).sum((1, 2))
    assert torch.equal(covered, (drawn[..., 2] * drawn[..., 3]).sum(1))


def test_later_mosaics_are_left_out_where_there_is_no_room() -> None:
    drawn = random_mosaics.draw(50, 10, 10, Ranges((6, 10), (6, 10), (2, 3), (3, 3)), seeded(4))
    assert (drawn[:, 0, 2] > 0).all()
    assert not drawn[:, 1:].any()


def test_cells_apart_and_at_a_random_offset() -> None:
    ranges = Ranges((20, 40), (20, 40), (5, 5), square=False, corner=False)
    drawn = random_mosaics.draw(20_000, 64, 64, ranges, seeded(5))[:, 0]
    for offset in ((drawn[:, 0] - drawn[:, 4]), (drawn[:, 1] - drawn[:, 5])):
        assert p_value(offset.bincount(minlength=5), np.full(5, 0.2)) > 0.001
    for share in (0.0, 0.25, 0.75, 1.0):
        ranges = Ranges(width=(30, 30), height=(30, 30), cell=(2, 16), square=share, corner=False)
        sizes = random_mosaics.draw(8000, 64, 64, ranges, seeded(7))[:, 0, 6:]
        assert float((sizes[:, 0] == sizes[:, 1]).double().mean()) == pytest.approx(share + (1 - share) / 15, abs=0.02)
        for side in sizes.T:  # the heights of all, too
            assert (torch.bincount(side, minlength=17)[2:] / 8000).tolist() == pytest.approx([1 / 15] * 15, abs=0.015)
    sizes = random_mosaics.draw(1000, 64, 64, Ranges(square=False), seeded(6))[:, 0, 6:]
    assert abs(np.corrcoef(sizes.T.numpy())[0, 1]) < 0.1


def test_areas_are_limited_to_small_pictures_and_refused_where_none_fits() -> None:
    drawn = random_mosaics.draw(1000, 8, 100, CHALLENGE, seeded(7))[:, 0]
    assert drawn[:, 3].unique().tolist() == [4, 5, 6, 7, 8]
    assert drawn[:, 2].max() == 32
    with pytest.raises(ValueError, match="do not fit into pictures of 100 x 3"):
        random_mosaics.draw(1, 3, 100)


def test_no_mosaics_at_all() -> None:
    x = pictures(0, 4, 1)
    truth, pixelated, ours = samples.sample(x, Ranges(count=(0, 0)))
    assert truth is x
    assert torch.equal(pixelated, x)
    assert ours.known.all()
    assert not ours.coordinates().any()
    assert torch.equal(operators.project(torch.rand_like(x), x, ours), x)
    assert torch.equal(operators.from_numpy([[]] * 4, HEIGHT, WIDTH).cell, ours.cell)


def test_a_seed_repeats_a_sample() -> None:
    x = pictures(0, 8, 3, 64, 64)
    first, again, other = (samples.sample(x, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.mosaics.cell, again.mosaics.cell)
    assert torch.equal(first.pixelated, again.pixelated)
    assert not torch.equal(first.mosaics.cell, other.mosaics.cell)
    torch.manual_seed(1)
    assert torch.equal(samples.sample(x).mosaics.cell, first.mosaics.cell)


@pytest.mark.parametrize(
    ("rectangle", "message"),
    [
        ([60, 0, 5, 5, 4], "does not lie in the pictures"),
        ([0, -1, 5, 5, 4], "does not lie in the pictures"),
        ([[0, 0, 5, 5, 1, 0, 4, 4]], "a grid begins"),
        ([1, 2, 5, 5, 0], "at least 1 pixel"),
        ([1, 2, 3], "must be"),
    ],
)
def test_wrong_rectangles_are_refused(rectangle: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_mosaics.from_rectangles(torch.tensor([rectangle]), 64, 64)


@pytest.mark.parametrize(
    "ranges", [{"cell": (0, 4)}, {"width": (9, 8)}, {"count": (-1, 1)}, {"height": (0, 3)}], ids=str
)
def test_wrong_ranges_are_refused(ranges: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=f"the range of {next(iter(ranges))}"):
        Ranges(**ranges)


def test_shares_are_shares() -> None:
    with pytest.raises(ValueError, match=r"must be 0 … 1, not 1\.5"):
        Ranges(shaped=1.5)
    with pytest.raises(ValueError, match="square cells must be 0"):
        Ranges(square=-0.1)


def test_areas_of_other_shapes_touch_the_sides_of_their_boxes() -> None:
    ranges = Ranges(width=(9, 30), height=(9, 30), cell=(2, 9), count=(1, 3), square=False, corner=False)
    rectangles = random_mosaics.draw(200, 48, 64, ranges, seeded(3))
    whole = random_mosaics.from_rectangles(rectangles, 48, 64)
    cut = random_mosaics.shaped(whole, rectangles, 1.0, seeded(4))
    assert torch.equal(cut.boxes, whole.boxes)
    shares = []
    for cells, before, ours in zip(cut.cell, whole.cell, rectangles.tolist(), strict=True):
        assert torch.equal(cells[cells > 0], before[cells > 0])
        for x, y, w, h, *_ in ours:
            if w:
                inside = cells[y : y + h, x : x + w] > 0
                shares.append(float(inside.float().mean()))
                assert all(bool(side.any()) for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    assert min(shares) > 0.4
    assert max(shares) > 0.9
    # a triangle in each quadrant is half of it, the roundest one nearly all
    assert 0.7 < sum(shares) / len(shares) < 0.9
    counts = torch.zeros_like(cut.counts).scatter_add_(1, cut.cell.flatten(1), torch.ones_like(cut.cell).flatten(1))
    assert torch.equal(cut.counts[:, 1:], counts[:, 1:])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_only_a_share_of_the_areas_is_cut(share: float) -> None:
    ranges = Ranges(width=(20, 20), height=(20, 20), shaped=share)
    mosaics = random_mosaics.random(500, 40, 40, ranges, seeded(1))
    cut = (mosaics.counts[:, 1:].sum(dim=1) < 400).float().mean()
    assert float(cut) == pytest.approx(share, abs=0.06)
    x = pictures(0, 500, 1, 40, 40)
    once = operators.pixelate(x, mosaics, truncate=False)
    torch.testing.assert_close(operators.pixelate(once, mosaics, truncate=False), once)
    assert torch.equal(torch.where(mosaics.known, x, 0), torch.where(mosaics.known, once, 0))


def test_another_device_holds_the_same() -> None:
    ours = any_mosaics(1)
    assert ours.to("meta").cell.device.type == "meta"
    assert ours.to("meta").known.shape == (3, 1, HEIGHT, WIDTH)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same() -> None:
    x = pictures(0, 16, 1, 64, 64)
    here, there = samples.sample(x, generator=seeded(1)), samples.sample(x.cuda(), generator=seeded(1))
    assert torch.equal(here.mosaics.cell, there.mosaics.cell.cpu())
    assert torch.equal(here.pixelated, there.pixelated.cpu())
    torch.testing.assert_close(here.mosaics.coordinates(), there.mosaics.coordinates().cpu())
    z = torch.rand_like(x)
    torch.testing.assert_close(
        operators.project(z, here.pixelated, here.mosaics),
        operators.project(z.cuda(), there.pixelated, there.mosaics).cpu(),
    )


def test_noise_is_as_strong_as_said_and_weaker_in_cells_by_averaging() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.full((3000, 1, 24, 24), 0.5)
    mosaics = random_mosaics.random(3000, 24, 24, Ranges(cell=(4, 4), width=(16, 16), height=(16, 16)), generator)
    noisy = samples.disturbed(truth, mosaics, 6.0, generator)
    noise = 255 * (noisy - truth)
    flat = torch.where(mosaics.known, noisy, mosaics.spread(mosaics.mean(noisy)))
    assert torch.allclose(flat, noisy, atol=1e-5)
    known, cells = (noise.square() * where for where in (mosaics.known, ~mosaics.known))
    # σ is uniform on 0 … 6, hence σ² is 12 on average; cells have 16 pixels
    assert known.sum() / mosaics.known.sum() == pytest.approx(12, rel=0.1)
    assert cells.sum() / (~mosaics.known).sum() == pytest.approx(12 / 16, rel=0.1)
