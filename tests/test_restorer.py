"""Our restorer network: consistency, the window, the start, and that every part learns."""

import numpy as np
import pytest
import torch
from skimage import data, transform

from deepix.restorer.features import features
from deepix.restorer.model import START_STEPS
from deepix.restorer.smooth import smooth_at_one_size
from deepix.training import networks, operators, smooth, weights
from deepix.training.data import random_mosaics, samples
from deepix.training.data.random_mosaics import Ranges
from deepix.training.data.samples import Sample
from deepix.training.networks import restorer


@pytest.fixture(scope="module")
def sample():
    photo = transform.resize(data.camera(), (256, 256), anti_aliasing=True)
    tiles = torch.tensor(photo).float().unfold(0, 64, 64).unfold(1, 64, 64).reshape(-1, 1, 64, 64)
    return samples.sample((tiles * 255).round() / 255, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = networks.create("restorer", widths=(16, 24), blocks=(1, 1))
    for parameter in net.parameters():  # the last layers start at zero: then nothing would depend on the rest
        torch.nn.init.normal_(parameter, std=0.05)
    return net


def rmse(estimate, sample):
    return (estimate - sample.truth)[~sample.mosaics.known].square().mean().sqrt().item() * 255


def test_untrained_it_is_the_smooth_start(sample):
    net = networks.create("restorer:small")
    estimate = net.restore(sample)
    start = smooth.smooth(sample.pixelated, sample.mosaics, operators.TRUNCATED, START_STEPS)
    assert rmse(start, sample) < 0.85 * rmse(sample.pixelated, sample)
    # a window shows a little less of the surroundings
    assert rmse(estimate, sample) == pytest.approx(rmse(start, sample), rel=0.01)


def test_the_start_and_the_features_are_those_of_numpy(sample):
    start = smooth.smooth(sample.pixelated, sample.mosaics, operators.TRUNCATED, START_STEPS)
    planes, contrast = restorer.features(start, sample.pixelated, sample.mosaics, sample.mosaics.coordinates())
    drawn = random_mosaics.draw(len(start), 64, 64, generator=torch.Generator().manual_seed(0))
    for i, ours in enumerate(random_mosaics.to_numpy(drawn)):
        pixelated = sample.pixelated[i, 0].numpy()
        levels = pixelated.copy()
        levels[ours[0].box] += operators.TRUNCATED
        theirs = smooth_at_one_size(levels[..., None], ours, START_STEPS)[..., 0]
        np.testing.assert_allclose(start[i, 0], theirs, atol=0.1 / 255)
        their_planes, their_contrast = features(start[i, 0].numpy(), pixelated, ours)
        np.testing.assert_allclose(planes[i], their_planes, atol=1e-4)
        np.testing.assert_allclose(contrast[i, 0], their_contrast, atol=1e-5)


def test_deviations_are_positive_where_unknown_and_zero_elsewhere(network, sample):
    picture, deviation = network.estimate(sample)
    assert deviation.shape == picture.shape
    known = sample.mosaics.known
    assert (deviation[~known] > 0).all()
    assert (deviation[known] == 0).all()


def test_the_restoration_agrees_with_the_input(network, sample):
    estimate = network.restore(sample)
    assert estimate.shape == sample.pixelated.shape
    known = sample.mosaics.known
    assert torch.equal(estimate[known], sample.pixelated[known])
    means = sample.mosaics.mean(estimate), sample.mosaics.mean(sample.pixelated)
    there = sample.mosaics.counts[:, None] > 0
    torch.testing.assert_close(means[0][there], means[1][there] + operators.TRUNCATED, atol=1e-5, rtol=0)


def test_the_window_holds_every_unknown_pixel(sample):
    x, y = restorer.windows(sample.mosaics.cell, 48)
    assert ((x >= 0) & (x <= 16) & (y >= 0) & (y <= 16)).all()
    cropped = restorer.crop(sample.mosaics.cell[:, None], (x, y), 48)
    assert torch.equal((cropped > 0).sum((1, 2, 3)), (sample.mosaics.cell > 0).sum((1, 2)))
    whole = restorer.paste(torch.zeros_like(sample.mosaics.cell[:, None]), cropped, (x, y))
    assert torch.equal(whole[:, 0], sample.mosaics.cell)


def test_coordinates_do_not_depend_on_the_window(sample):
    place = restorer.windows(sample.mosaics.cell, 48)
    cell = restorer.crop(sample.mosaics.cell[:, None], place, 48)[:, 0]
    inside = operators.Mosaics(cell, sample.mosaics.boxes, sample.mosaics.counts)
    ours = restorer.coordinates(inside, place)
    assert torch.equal(ours, restorer.crop(sample.mosaics.coordinates(), place, 48))


def test_a_picture_of_large_or_many_areas_is_taken_whole(network):
    generator = torch.Generator().manual_seed(1)
    wide = random_mosaics.random(4, 96, 96, Ranges(width=(60, 80), height=(60, 80)), generator)
    assert restorer.windows(wide.cell, 48) is None
    truth = torch.rand(4, 1, 96, 96, generator=generator)
    estimate = network.restore(Sample(None, operators.pixelate(truth, wide), wide))
    assert estimate.shape == truth.shape


@pytest.mark.parametrize(
    "option",
    [
        {"rounds": ()},
        {"grid": False},
        {"consistent": False},
        {"attention": True},
        {"norm": False},
        {"gate": False},
        {"bounded": True},
    ],
)
def test_what_an_ablation_changes_changes_the_result(option, sample):
    results = []
    for options in ({}, option):
        net = networks.create("restorer", widths=(16, 24), blocks=(1, 1), **options)
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(0))
        results.append(net.restore(sample))
    assert not torch.allclose(*results)


def test_every_parameter_gets_a_gradient(network, sample):
    picture, deviation = network.estimate(sample)
    deviation.mean().backward()
    shared = [p for name, p in network.named_parameters() if "deviation" not in name]
    assert all(p.grad is None for p in shared)  # not at the estimate's expense
    (picture - sample.truth).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_weights_come_back(network, sample, tmp_path):
    weights.save(network, tmp_path / "net.safetensors")
    again = weights.load(tmp_path / "net.safetensors")
    assert torch.equal(again.restore(sample), network.eval().restore(sample))
