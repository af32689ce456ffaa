"""The whole chain without options and with the shipped network: find, restore, the commands, the blind challenge."""

import io
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

import deepix
from deepix import challenge, finder
from deepix.challenge.blind import agreement, find_mosaic
from deepix.cli import app
from deepix.finder import locator
from deepix.mosaic import Grid, Mosaic, unknown

PHOTO = skimage.data.astronaut()
FACE = Mosaic(180, 60, 97, 113, Grid(187, 65, 12, 9))


def call(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def likeness(a, b, shape):
    ours, theirs = unknown([a], shape), unknown([b], shape)
    return (ours & theirs).sum() / (ours | theirs).sum()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(deepix.pixelate(PHOTO, [FACE])).save(path)
    return path


def test_a_coarse_jpeg_file():
    (found,) = deepix.find(jpeg(deepix.pixelate(PHOTO, [FACE]), 60))
    assert (found.grid.width, found.grid.height) == (12, 9)
    assert (found.grid.x - 187) % 12 == 0 == (found.grid.y - 65) % 9
    assert likeness(found, FACE, PHOTO.shape) > 0.95
    assert found.confidence >= finder.SURE


def test_the_file_s_own_table_counts_where_the_pixels_tell_no_quality():
    """Photoshop's steps are no multiples of the standard's, which the coefficients are compared with."""
    true = Mosaic.rectangle(24, 19, 30, 35, 5)
    content = jpeg(deepix.pixelate(np.ascontiguousarray(PHOTO[350:470, 50:170]), [true]), "medium")
    (found,) = deepix.find(content)
    assert (found.x, found.y, found.width, found.height) == (24, 19, 30, 35)
    assert (found.grid.width, found.grid.height) == (5, 5)
    image = Image.open(io.BytesIO(content))
    (other,) = finder.find(np.asarray(image), lossy=True)
    (same,) = finder.find(np.asarray(image), lossy=True, quantization=image.quantization)
    assert same.confidence == found.confidence != other.confidence
    (again,) = finder.find(np.asarray(image), lossy=True, quantization={})
    assert again.confidence == other.confidence


def test_a_circle_in_a_lossless_picture():
    y, x = np.mgrid[: PHOTO.shape[0], : PHOTO.shape[1]]
    true = Mosaic.from_mask((x - 225) ** 2 + (y - 120) ** 2 < 70**2, Grid(3, 1, 10, 10))
    (found,) = deepix.find(deepix.pixelate(PHOTO, [true]))
    assert (found.grid.width, found.grid.height) == (10, 10)
    assert likeness(found, true, PHOTO.shape) > 0.9


def test_a_resized_picture_is_restored_on_a_blended_grid():
    small = Image.fromarray(deepix.pixelate(PHOTO, [FACE])).resize((420, 420), Image.Resampling.BILINEAR)
    pixels = np.asarray(small)
    truth = np.asarray(Image.fromarray(PHOTO).resize((420, 420), Image.Resampling.BILINEAR)).astype(float)
    result = deepix.restore(pixels)
    (found,) = result.mosaics
    assert found.grid.blended
    assert found.grid.width == pytest.approx(12 * 420 / 512, rel=0.01)
    assert found.grid.height == pytest.approx(9 * 420 / 512, rel=0.01)
    inside = unknown([found], pixels.shape)
    assert np.array_equal(result.image[~inside], pixels[~inside])
    errors = [np.sqrt(((a.astype(float) - truth)[inside] ** 2).mean()) for a in (result.image, pixels)]
    assert errors[0] < 0.95 * errors[1]


def test_without_the_network_the_network_is_not_asked(path, monkeypatch):
    def asked(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(locator, "maps", asked)
    assert [m.grid for m in deepix.find(path, fast=True)] == [FACE.grid]
    assert len(deepix.restore(path, fast=True).mosaics) == 1
    assert len(json.loads(call("find", path, "--fast", "--json").stdout)["mosaics"]) == 1
    with pytest.raises(AssertionError, match="asked"):
        deepix.find(path)


def test_what_is_not_sure_is_named_and_left_as_it_is_unless_forced(path, monkeypatch):
    monkeypatch.setattr(finder, "SURE", 1.1)  # nothing is as sure as that
    result = deepix.restore(path)
    assert result.mosaics == []
    assert [m.grid for m in result.unsure] == [FACE.grid]
    assert np.array_equal(np.asarray(result.image), np.asarray(Image.open(path)))
    assert len(deepix.restore(path, force=True).mosaics) == 1

    text = call("restore", path).stderr
    assert "97 x 113 pixels at 180, 60 left as they are" in text
    assert "--force" in text
    assert not path.with_name("a_restored.png").exists()
    report = json.loads(call("restore", path, "--json").stdout)
    assert (report["mosaics"], report["output"], report["threshold"]) == ([], None, 1.1)
    assert report["unsure"][0]["area"] == [180, 60, 97, 113]
    report = json.loads(call("restore", path, "--force", "--json").stdout)
    assert len(report["mosaics"]) == 1
    assert report["unsure"] == []
    # what the user names is restored in any case
    assert (
        len(json.loads(call("restore", path, "--area", "180,60,97,113", "--overwrite", "--json").stdout)["mosaics"])
        == 1
    )


def test_json_states_the_threshold_and_confidences(path):
    report = json.loads(call("find", path, "--json").stdout)
    assert report["threshold"] == finder.SURE
    assert finder.SURE < report["mosaics"][0]["confidence"] <= 1


def challenge_picture(number, rng):
    photo = Image.fromarray((PHOTO, skimage.data.coffee(), skimage.data.chelsea())[number % 3]).convert("L")
    x, y = (int(rng.integers(0, side - 200)) for side in photo.size)
    return np.asarray(photo.resize((64, 64), Image.Resampling.BOX, (x, y, x + 200, y + 200)))


def test_the_challenges_rectangle_is_found_without_its_mask():
    rng = np.random.default_rng(1)
    true, found = [], []
    for number in range(24):
        m = challenge.random_mosaic(rng)
        true.append(m)
        found.append(find_mosaic(challenge.pixelate(challenge_picture(number, rng), m)))
    overlap, exact = agreement(found, true)
    assert overlap > 0.9
    assert exact > 0.8


def test_agreement_counts_cells_not_their_nominal_size():
    a, b = Mosaic.rectangle(3, 4, 10, 12, 14), Mosaic.rectangle(3, 4, 10, 12, 16)
    assert agreement([a, a], [b, Mosaic.rectangle(3, 4, 5, 12, 14)]) == (0.75, 0.5)


def test_predict_blind(tmp_path):
    rng = np.random.default_rng(2)
    images = np.stack([challenge_picture(number, rng) for number in range(6)])
    truth = tmp_path / "truth.npz"
    challenge.write_examples(truth, images, [challenge.random_mosaic(rng) for _ in range(6)])
    result = call("challenge", "predict", truth, "--model", "smooth", "--blind", "-o", tmp_path / "blind.bin")
    assert "rectangles found" in result.stdout
    call("challenge", "predict", truth, "--model", "smooth", "-o", tmp_path / "seen.bin")
    blind, seen = (challenge.score_file(tmp_path / f"{name}.bin", truth) for name in ("blind", "seen"))
    assert blind.count == 6
    assert seen.pooled <= blind.pooled + 0.5 < 3 * seen.pooled
