"""Detail on restorations, with small networks of random weights: what must hold whatever a refiner has learned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import deepix
from deepix import demonstration
from deepix.cli import app
from deepix.errors import DeepixError
from deepix.inference.models import Models
from deepix.mosaic import Grid, Mosaic, consistency, pixelate, unknown
from deepix.options import Options
from deepix.restorer import refine, refine_model
from deepix.restorer.refine_noise import BLOCK, white_noise

CHELSEA = data.chelsea()[:160, 60:300]


@pytest.fixture
def shipped(refiner_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """These networks in the place of those that come with the package."""
    opener = Models()
    for name in ("Refiner", "Adversary"):
        kind = getattr(refine_model, name)
        opened = kind(opener.open(refiner_files[name.lower()]))
        monkeypatch.setattr(refine_model, f"load_{name.lower()}", lambda models=None, opened=opened: opened)
    yield
    opener.close()


def mosaics() -> list[Mosaic]:
    v, u = np.mgrid[-1:1:60j, -1:1:50j]
    return [
        Mosaic.rectangle(20, 12, 72, 40, 8),
        Mosaic(120, 20, 50, 60, Grid(117, 15, 7, 9), u**2 + v**2 <= 1),
        Mosaic.rectangle(30, 80, 80, 60, 20),
    ]


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_variant_agrees_with_the_input(gray: bool, depth: type) -> None:
    truth = CHELSEA[..., 1] if gray else CHELSEA
    truth = truth.astype(depth) * (257 if depth is np.uint16 else 1)
    there = mosaics()
    pixelated = pixelate(truth, there)
    known = ~unknown(there, truth.shape)
    plain = deepix.restore(pixelated, there)
    result = deepix.restore(pixelated, there, detail=0.7, variants=3, seed=5)
    assert (result.detail, result.seed, len(result.variants)) == (0.7, 5, 3)
    assert result.consistency == plain.consistency == 0
    for variant in result.variants:
        np.testing.assert_array_equal(variant.pixels[known], truth[known])
        np.testing.assert_array_equal(pixelate(variant.pixels, there), pixelated)
    for one, other in ((0, 1), (1, 2)):
        assert (result.variants[one].pixels != result.variants[other].pixels).any()
    np.testing.assert_array_equal(result.image, result.variants[0].pixels)
    assert (result.image != plain.image).any()
    # variances add up
    grown = np.sqrt(1 + 0.49 * (1.2**2 - 1))
    np.testing.assert_allclose(result.uncertainty, plain.uncertainty * grown, rtol=1e-5)


@pytest.mark.usefixtures("shipped")
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(3, 26), st.floats(0.01, 1), st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_any_detail_of_any_mosaic_agrees(cell: int, detail: float, seed: int, x: int, y: int) -> None:
    there = [Mosaic.rectangle(x, y, 61, 47, cell)]
    truth = CHELSEA[:90, :100]
    result = deepix.restore(pixelate(truth, there), there, detail=detail, seed=seed)
    assert consistency(result.image, pixelate(truth, there), there) == 0
    np.testing.assert_array_equal(result.image[~unknown(there, truth.shape)], truth[~unknown(there, truth.shape)])


@pytest.mark.usefixtures("shipped")
def test_blended_grids_and_noisy_tiles_keep_their_promise() -> None:
    resized = [Mosaic(20, 12, 73, 41, Grid(20, 12, 7.3, 8.2, blended=True))]
    pixelated = pixelate(CHELSEA, resized)
    assert deepix.restore(pixelated, resized, detail=1).consistency <= 1
    intact = [Mosaic.rectangle(20, 12, 72, 40, 8)]
    noisy = pixelate(CHELSEA, intact).astype(int) + np.random.default_rng(0).integers(-2, 3, CHELSEA.shape)
    assert deepix.restore(noisy.clip(0, 255).astype(np.uint8), intact, detail=1).consistency <= 1


@pytest.mark.usefixtures("shipped")
def test_same_seed_same_picture_and_no_detail_is_what_it_was() -> None:
    there = mosaics()
    pixelated = pixelate(CHELSEA, there)
    one, two, other = (deepix.restore(pixelated, there, detail=1, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.image, two.image)
    assert (one.image != other.image).any()
    plain, zero = deepix.restore(pixelated, there), deepix.restore(pixelated, there, detail=0, seed=9)
    np.testing.assert_array_equal(plain.image, zero.image)
    # the k-th variant is that of the seed k larger
    third = deepix.restore(pixelated, there, detail=1, variants=2, seed=3).variants[1]
    np.testing.assert_array_equal(third.pixels, other.image)


def test_noise_is_a_function_of_the_place() -> None:
    whole = white_noise(7, -70, -3, 200, 150)
    part = white_noise(7, 5, 40, 33, 29)
    np.testing.assert_array_equal(part, whole[43:72, 75:108])
    assert (white_noise(8, 5, 40, 33, 29) != part).all()
    many = white_noise(0, 0, 0, 8 * BLOCK, 8 * BLOCK)
    assert abs(many.mean()) < 0.01
    assert many.std() == pytest.approx(1, abs=0.01)
    shifted = [np.corrcoef(many[:-lag].ravel(), many[lag:].ravel())[0, 1] for lag in (1, BLOCK)]
    assert np.abs(shifted).max() < 0.01
    # the same in every version: the first numbers of the seed 0
    assert np.abs(many[0, :3] - white_noise(0, 0, 0, 3, 1)[0]).max() == 0


def test_tiles_leave_no_seam(refiner_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with Models(threads=1) as opener:
        refiner = refine_model.Refiner(opener.open(refiner_files["refiner"]))
        there = [Mosaic.rectangle(16, 16, 208, 128, 8)]
        pixelated = pixelate(CHELSEA, there)
        restored = deepix.restore(pixelated, there)
        given = (np.float32(restored.image), restored.uncertainty[..., 0], pixelated, there, refiner)
        whole = refine.detail(*given, seed=1)
        monkeypatch.setattr(refine, "TILE", 64)
        tiled = refine.detail(*given, seed=1)
        assert np.abs(whole).max() > 1
        np.testing.assert_allclose(tiled, whole, atol=2e-3)
        # a part of the picture, as the pipeline gives it, has the whole picture's noise
        cut = [there[0].moved(-16, -8)]
        inner = refine.detail(
            given[0][8:, 16:], given[1][8:, 16:], pixelated[8:, 16:], cut, refiner, seed=1, origin=(16, 8)
        )  # fmt: skip
        monkeypatch.undo()
        middle = np.s_[60:100, 80:160]
        np.testing.assert_allclose(inner[52:92, 64:144], whole[middle], atol=0.5)


def test_planes_are_those_that_training_sees() -> None:
    from deepix.training import operators
    from deepix.training.networks import refiner

    rng = np.random.default_rng(0)
    there = [Mosaic.rectangle(8, 8, 40, 32, 8)]
    gray = CHELSEA[:64, :64, 1].astype(np.float32) / 255
    free = unknown(there, gray.shape)
    deviation = np.where(free, 0.05, 0).astype(np.float32)
    noise, restored = rng.standard_normal(gray.shape, np.float32), gray + 0.01
    ours = refine_model.planes(restored, gray, deviation, noise, there)
    batch = [torch.from_numpy(x)[None, None] for x in (restored, deviation, gray)]
    given = refiner.Restored(batch[0], batch[1], batch[2], operators.from_numpy([there], 64, 64))
    theirs = refiner.planes(given, torch.from_numpy(noise)[None, None])[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.usefixtures("shipped")
def test_the_map_is_one_of_probabilities_around_the_mosaics() -> None:
    there = [Mosaic.rectangle(20, 12, 72, 40, 8)]
    result = deepix.restore(pixelate(CHELSEA, there), there, detail=1, restored_map=True)
    chances = result.restored_map
    assert chances is not None
    assert chances.shape == CHELSEA.shape[:2]
    assert chances.min() >= 0
    assert chances.max() <= 1
    assert (chances[12:52, 20:92] > 0).all()
    assert not chances[100:].any()
    assert deepix.restore(pixelate(CHELSEA, there), there).restored_map is None


@pytest.mark.usefixtures("shipped")
def test_another_restorer_is_refused() -> None:
    there = [Mosaic.rectangle(20, 12, 72, 40, 8)]
    with pytest.raises(DeepixError, match="not trained on the restorations of challenge: leave detail at 0"):
        deepix.restore(pixelate(CHELSEA, there), there, detail=1, model="challenge")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"detail": 1.5}, "between 0 and 1"),
        ({"detail": float("nan")}, "between 0 and 1"),
        ({"detail": 1.0, "variants": 0}, "1 to 1000 variants"),
        ({"variants": 2}, "give a detail above 0"),
        ({"detail": 1.0, "seed": -1}, "from 0 to"),
        ({"detail": 1.0, "method": "smooth"}, "not to method 'smooth'"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**asked)


def test_options_keep_their_digest_without_detail() -> None:
    assert Options(seed=0, detail=0.0).digest() == Options().digest()
    digests = {Options(detail=d, seed=s).digest() for d in (0.5, 1.0) for s in (0, 1)}
    assert len(digests) == 4
    again = Options.from_dict(json.loads(json.dumps(Options(detail=0.5, seed=3).to_dict())))
    assert (again.detail, again.seed) == (0.5, 3)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(pixelate(CHELSEA, [Mosaic.rectangle(20, 12, 72, 40, 8)])).save(path)
    return path


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("shipped")
def test_the_command_line_writes_numbered_variants(photo: Path) -> None:
    area = ("--area", "20,12,72,40,8")
    seen = photo.with_name("seen.png")
    asked = ("--detail", 1, "--variants", 3, "--seed", 4, "--restored-map", seen, "--compare")
    done = invoke("restore", photo, *area, *asked, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    written = [photo.with_name(f"photo_restored{end}.png") for end in ("", "_2", "_3")]
    assert result["variants"] == [str(path) for path in written]
    assert any("seeds 4 to 6" in note and "invented" in note for note in result["notes"])
    pixels = [np.asarray(Image.open(path)) for path in written]
    there = [Mosaic.rectangle(20, 12, 72, 40, 8)]
    for one in pixels:
        np.testing.assert_array_equal(pixelate(one, there), np.asarray(Image.open(photo)))
    assert (pixels[0] != pixels[1]).any()
    assert Image.open(seen).size == Image.open(photo).size
    assert Image.open(photo.with_name("photo_restored_compare.png")).width > 4 * CHELSEA.shape[1]
    # results are not taken for inputs
    seen.unlink()
    invoke("restore", photo.parent, "-o", photo.parent / "out", *area)
    assert [path.name for path in (photo.parent / "out").iterdir()] == ["photo_restored.png"]


def test_usage_errors_are_lines(photo: Path) -> None:
    for arguments, said in (
        (("--detail", 1, "--method", "smooth"), "not to method 'smooth'"),
        (("--variants", 2), "give a detail above 0"),
        (("--detail", 2), "less than or equal to 1"),
    ):
        done = invoke("restore", photo, *arguments)
        assert done.exit_code == 2
        assert said in " ".join(done.output.replace("│", " ").split())


def test_without_a_trained_refiner_it_is_one_line(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine_model, "shipped", lambda: ("challenge", "locator", "photo"))
    done = invoke("restore", photo, "--area", "20,12,72,40,8", "--detail", 1)
    assert done.exit_code == 1
    assert "no trained refiner" in done.output
    assert "leave detail at 0" in " ".join(done.output.split())
    assert not photo.with_name("photo_restored.png").exists()
    with pytest.raises(DeepixError, match="no trained adversary"):
        deepix.restore(str(photo), areas=[(20, 12, 72, 40, 8)], restored_map=True)


@pytest.mark.usefixtures("shipped")
def test_the_demo_shows_both_where_there_is_a_refiner(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "_samples", lambda folder, data: iter(()))
    widths = []
    for there in ((), ("refiner",)):
        monkeypatch.setattr(demonstration, "shipped", lambda there=there: there)
        (row,) = demonstration.run(photo.parent / "demo", [photo])
        assert row.found == 1
        assert row.comparison is not None
        widths.append(Image.open(row.comparison).width)
    assert widths[1] > 1.4 * widths[0]
