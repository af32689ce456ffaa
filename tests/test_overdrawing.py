"""Training examples with frames and captions, out of JPEG files; and what a network makes of foreign pixels there."""

import numpy as np
import pytest
import torch
from models import small_network, write_model
from skimage import data

from deepix.mosaic import Mosaic, foreign_pixels, pixelate, unknown
from deepix.restorer.network import estimate
from deepix.training import operators
from deepix.training.data.overdrawing import overdrawn
from deepix.training.data.random_mosaics import Ranges
from deepix.training.data.samples import Sample, sample

RANGES = Ranges((8, 40), (8, 40), (2, 16), (1, 3), square=False, corner=False, shaped=0.3)


def some(seed: int, count: int = 12) -> Sample:
    """Pixelated parts of a photo."""
    rng = np.random.default_rng(seed)
    photo = data.camera()
    parts = [photo[y : y + 64, x : x + 64] for y, x in rng.integers(0, 440, (count, 2))]
    truth = torch.from_numpy(np.stack(parts))[:, None].float() / 255
    return sample(truth, RANGES, torch.Generator().manual_seed(seed), truncate=False)


def test_a_seed_repeats_what_is_drawn():
    first, second, other = (overdrawn(some(0), 0.7, 60, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.pixelated, second.pixelated)
    assert torch.equal(first.mosaics.foreign, second.mosaics.foreign)
    assert not torch.equal(first.pixelated, other.pixelated)


def test_cells_hold_the_means_of_what_can_be_seen_of_them_and_foreign_pixels_are_in_none():
    before = some(1)
    after = overdrawn(before, 1.0, None, torch.Generator().manual_seed(0))
    ours, foreign = after.mosaics, after.mosaics.foreign
    assert foreign.flatten(1).any(dim=1).float().mean() > 0.8
    assert not (ours.unknown & foreign).any()
    assert torch.equal(ours.unknown, before.mosaics.unknown & ~foreign)
    assert torch.equal(ours.known, before.mosaics.known & ~foreign)
    assert torch.equal(after.truth, before.truth)
    # intact tiles stay as they are, up to the rounding of what was drawn over
    rest = ours.unknown | ours.known
    assert (after.pixelated - before.pixelated)[rest].abs().max() <= 0.5 / 255 + 1e-6
    counts = torch.stack([torch.bincount(c.flatten(), minlength=ours.counts.shape[1]) for c in ours.cell])
    assert torch.equal(counts[:, 1:], ours.counts[:, 1:])


def test_half_of_the_pictures_are_out_of_files():
    before = some(2, 60)
    after = overdrawn(before, 0.0, 60, torch.Generator().manual_seed(0))
    changed = (after.pixelated != before.pixelated).flatten(1).any(dim=1)
    assert 0.25 < changed.float().mean() < 0.75
    difference = (after.pixelated - before.pixelated)[changed]
    assert 0 < 255 * difference.square().mean().sqrt() < 8
    cells = after.mosaics
    torch.testing.assert_close(
        torch.where(cells.unknown, cells.spread(cells.mean(after.pixelated)), 0.0),
        torch.where(cells.unknown, after.pixelated, 0.0),
        atol=1e-5,
        rtol=0,
    )


def test_networks_make_nothing_of_foreign_pixels():
    network = small_network()
    ours = overdrawn(some(3), 1.0, None, torch.Generator().manual_seed(0))
    other = Sample(ours.truth, torch.where(ours.mosaics.foreign, 1 - ours.pixelated, ours.pixelated), ours.mosaics)
    with torch.inference_mode():
        first, second = network.estimate(ours), network.estimate(other)
    for a, b in ((first.picture, second.picture), (first.deviation, second.deviation)):
        assert torch.equal(a[ours.mosaics.unknown], b[ours.mosaics.unknown])
    assert not first.deviation[~ours.mosaics.unknown].any()


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_drawn_over_is_restored_as_in_torch(seed, tmp_path):
    rng = np.random.default_rng(seed)
    image = data.camera()[100:180, 200:264]
    plain = [Mosaic.rectangle(8, 10, 24, 50, int(rng.integers(4, 12))), Mosaic.rectangle(36, 14, 21, 30, (5, 8))]
    foreign = np.zeros(image.shape, bool)
    foreign[7:63, 5:35] = True  # a frame around the first mosaic, 0 to 2 pixels from it
    foreign[9:61, 7:33] = False
    foreign[20:24, 12:50] = True  # and a bar over both
    mosaics = [m.with_foreign(foreign) for m in plain]
    picture = pixelate(image, plain)
    picture[foreign] = 255
    restored, deviation = estimate(picture, mosaics, write_model(tmp_path / "small.onnx"))
    cells = operators.from_numpy([mosaics], *image.shape)
    assert np.array_equal(cells.foreign[0, 0].numpy(), foreign_pixels(mosaics, image.shape))
    network = small_network()
    with torch.inference_mode():
        expected = network.estimate(Sample(None, torch.from_numpy(picture)[None, None].float() / 255, cells))
    inside = unknown(mosaics, image.shape)
    assert np.abs(restored - 255 * expected.picture[0, 0].numpy())[inside].max() < 1
    np.testing.assert_allclose(deviation[inside], 255 * expected.deviation[0, 0].numpy()[inside], rtol=0.05, atol=0.05)
