"""The challenge: preparation, mosaics, restorers."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from challenge_cases import examples, picture
from hypothesis import given
from hypothesis import strategies as st
from models import write_model
from PIL import Image

from deepix import challenge, mosaic, sources
from deepix.errors import DeepixError, InputError
from deepix.mosaic import Mosaic

# ── preparation ──────────────────────────────────────────────────────────────────────────────────


def course_grayscale(rgb: tuple[int, int, int]) -> int:
    """One pixel, by the formula, in Python's own arithmetic."""
    linear = []
    for value in rgb:
        c = value / 255
        linear.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return round((12.92 * y if y <= 0.0031308 else 1.055 * y ** (1 / 2.4) - 0.055) * 255)


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (100, 100), (131, 97), (97, 131), (64, 90), (40, 33), (333, 65), (65, 3)]
)
def test_preparation_is_the_courses(width: int, height: int) -> None:
    rgb = picture(1, width, height)
    image = Image.fromarray(rgb)
    if width <= height:
        image = image.resize((64, int(64 * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(64 * width / height), 64), Image.Resampling.BILINEAR)
    resized = np.asarray(image)
    top, left = round((resized.shape[0] - 64) / 2), round((resized.shape[1] - 64) / 2)
    expected = [[course_grayscale(tuple(resized[top + y, left + x].tolist())) for x in range(64)] for y in range(64)]
    prepared = challenge.prepare(rgb)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, expected)


def test_grayscale_of_gray_is_the_same() -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(challenge.to_grayscale(np.stack([values] * 3, axis=2)), values)
    np.testing.assert_array_equal(challenge.to_grayscale(values), values)
    assert challenge.to_grayscale(np.full((1, 1, 3), 127.5)).item() == pytest.approx(127.5)


def test_the_table_for_bytes_gives_what_the_formula_does() -> None:
    rng = np.random.default_rng(0)
    edges = np.array([0, 1, 10, 11, 128, 254, 255])  # 10 and 11 lie on both sides of the formula's bend
    colours = np.concatenate(
        [np.stack(np.meshgrid(edges, edges, edges), -1).reshape(-1, 3), rng.integers(0, 256, (9**6, 3))]
    )
    table = challenge.to_grayscale(colours.astype(np.uint8)[None])
    np.testing.assert_array_equal(table, challenge.to_grayscale(colours[None]))
    assert table.dtype == np.uint8


def test_preparation_of_other_kinds_of_pictures(tmp_path: Path) -> None:
    gray = challenge.prepare(picture(2))
    sixteen = tmp_path / "sixteen.png"
    Image.fromarray(gray.astype(np.uint16) * 257).save(sixteen)
    np.testing.assert_array_equal(challenge.prepare(sixteen), gray)
    assert (challenge.prepare(Image.new("RGBA", (80, 70), (9, 9, 9, 0))) == 255).all()
    assert (challenge.prepare(Image.new("RGBA", (80, 70), (9, 9, 9, 255))) == 9).all()
    assert (challenge.prepare(Image.new("1", (80, 70), 1)) == 255).all()
    np.testing.assert_array_equal(
        challenge.prepare(Image.fromarray(gray).convert("P")), challenge.prepare(Image.fromarray(gray).convert("RGB"))
    )


def test_orientation_is_not_applied(tmp_path: Path) -> None:
    image = Image.fromarray(picture(3, 64, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(challenge.prepare(tmp_path / "turned.png"), challenge.prepare(image))


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 half a JPEG"], ids=repr
)
def test_broken_pictures_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png: "):
        challenge.prepare(tmp_path / "broken.png")


def test_truncated_pictures_are_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(4)).save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(InputError, match=r"half\.jpg: "):
        challenge.prepare(tmp_path / "half.jpg")


def test_what_cannot_be_prepared() -> None:
    with pytest.raises(ValueError, match="float"):
        challenge.prepare(np.zeros((64, 64)))
    with pytest.raises(ValueError, match="square"):
        challenge.prepare(np.zeros((1, 1001), np.uint8))
    with pytest.raises(ValueError, match="range"):
        challenge.prepare(Image.new("F", (64, 64)))


def test_mosaics_are_drawn_from_the_ranges() -> None:
    rng = np.random.default_rng(0)
    drawn = [challenge.random_mosaic(rng) for _ in range(6000)]
    mosaic_ranges = {"width": (4, 32), "height": (4, 32)}
    for name, (low, high) in mosaic_ranges.items():
        values = np.array([getattr(m, name) for m in drawn])
        counts = np.bincount(values)[low:]
        assert len(counts) == high - low + 1
        assert values.min() == low
        assert_uniform(counts)
    cells = np.array([int(m.grid.width) for m in drawn])
    assert cells.min() == 4
    assert_uniform(np.bincount(cells)[4:])
    assert len(np.bincount(cells)) == 17
    for m in drawn:
        mosaic.check([m], (64, 64))
        assert (m.grid.x, m.grid.y, m.grid.height) == (m.x, m.y, m.grid.width)
    # where an area of a given width fits, x is uniform: as a fraction of the room its mean is ½
    for place in ([m.x / (64 - m.width) for m in drawn], [m.y / (64 - m.height) for m in drawn]):
        assert (min(place), max(place)) == (0, 1)
        assert np.mean(place) == pytest.approx(0.5, abs=0.02)


def assert_uniform(counts: np.ndarray) -> None:
    expected = counts.sum() / len(counts)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    degrees = len(counts) - 1
    assert chi_squared < degrees + 6 * math.sqrt(2 * degrees)


def test_pixelate_cuts_off() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[0, :3] = 255  # the cell's mean is 47.8
    assert challenge.pixelate(image, Mosaic.rectangle(0, 0, 4, 4, 4))[2, 2] == 47


# ── the mosaic of a test picture ─────────────────────────────────────────────────────────────────


@given(st.integers(0, 2**32 - 1))
def test_infer_mosaic_recovers(seed: int) -> None:
    m = challenge.random_mosaic(np.random.default_rng(seed))
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    ramp = (x + 2 * y).astype(np.uint8)  # neighbouring cells differ by more than is cut off
    found = challenge.infer_mosaic(challenge.pixelate(ramp, m), ~mosaic.unknown([m], (64, 64)))
    np.testing.assert_array_equal(found.labels(), m.labels())
    assert (found.x, found.y) == (m.x, m.y)
    assert 4 <= found.grid.width <= 16


@given(st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_inferred_mosaic_gives_the_picture(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    m = challenge.random_mosaic(rng)
    pixelated = challenge.pixelate(rng.integers(0, levels, (64, 64)).astype(np.uint8), m)
    found = challenge.infer_mosaic(pixelated, ~mosaic.unknown([m], (64, 64)))
    np.testing.assert_array_equal(challenge.pixelate(pixelated, found), pixelated)
    assert len(np.unique(found.labels())) <= len(np.unique(m.labels()))


def test_infer_mosaic_says_what_is_wrong() -> None:
    known = np.ones((64, 64), bool)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    with pytest.raises(ValueError, match="every pixel is known"):
        challenge.infer_mosaic(noise, known)
    known[3:12, 4:13] = False
    with pytest.raises(ValueError, match="no cells"):
        challenge.infer_mosaic(noise, known)
    known[3, 4] = True
    with pytest.raises(ValueError, match="not a rectangle"):
        challenge.infer_mosaic(noise, known)


# ── restoring ────────────────────────────────────────────────────────────────────────────────────


def test_predictions_round_and_clip() -> None:
    known = np.array([[[True, False, False], [False, False, False]]])
    estimates = np.array([[[9, 1.7, -3], [300, 2.2, 254.5]]], np.float32)
    assert [p.tolist() for p in challenge.predictions(estimates, known)] == [[2, 0, 255, 2, 254]]
    assert [p.tolist() for p in challenge.predictions(estimates, known, "truncate")] == [[1, 0, 255, 2, 254]]
    estimates[0, 1, 1] = np.nan
    with pytest.raises(DeepixError, match="not numbers"):
        challenge.predictions(estimates, known)


def test_restorers_of_the_core() -> None:
    made = examples(6)
    pixelated, known, truths = made.pixelated(), made.known(), made.truths()
    done: list[int] = []
    scores = {}
    for name in ("identity", "smooth"):
        estimates = challenge.restorer(name)(pixelated, made.mosaics, done.append)
        assert estimates.dtype == np.float32
        assert estimates.shape == pixelated.shape
        np.testing.assert_array_equal(estimates[known], pixelated[known])
        scores[name] = challenge.score(challenge.predictions(estimates, known), truths).pooled
    assert sum(done) == 12
    assert scores["identity"] == challenge.score([p[~k] for p, k in zip(pixelated, known, strict=True)], truths).pooled
    assert scores["smooth"] < scores["identity"]  # these pictures are smooth
    with pytest.raises(InputError, match=r"nonesuch: no such model"):
        challenge.restorer("nonesuch")


def test_networks_as_onnx_restore_without_torch(tmp_path: Path) -> None:
    from deepix.restorer.each import estimate_each

    made = examples(5)
    pixelated, known, truths = made.pixelated(), made.known(), made.truths()
    done: list[int] = []
    estimates = challenge.restorer("challenge", batch=2)(pixelated, made.mosaics, done.append)
    assert done == [2, 2, 1]
    expected, _ = estimate_each(pixelated, made.mosaics, "challenge", challenge.ROUNDING)
    np.testing.assert_allclose(estimates, expected, atol=0.01)
    np.testing.assert_array_equal(estimates[known], pixelated[known])
    before = challenge.score([p[~k] for p, k in zip(pixelated, known, strict=True)], truths).pooled
    assert challenge.score(challenge.predictions(estimates, known), truths).pooled < 0.9 * before
    write_model(tmp_path / "own.onnx")
    own = challenge.restorer(str(tmp_path / "own.onnx"))(pixelated, made.mosaics, None)
    assert np.abs(own - estimates).max() > 1
    with pytest.raises(InputError, match=r"nowhere\.onnx: no such model"):
        challenge.restorer("nowhere.onnx")


def test_networks_restore(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from deepix.training import networks, weights
    from deepix.training.predict import predict

    torch.manual_seed(0)
    network = networks.create("deepixv1:2,3,2:3,3").eval()
    weights.save(network, tmp_path / "net.safetensors")
    made = examples(5)
    pixelated, known = made.pixelated(), made.known()
    done: list[int] = []
    restore = challenge.restorer(str(tmp_path / "net.safetensors"), "cpu", batch=2)
    estimates = restore(pixelated, made.mosaics, done.append)
    assert done == [2, 2, 1]
    planes = np.stack([pixelated / np.float32(255), known], axis=1).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(planes)).reshape(pixelated.shape).numpy() * 255
    np.testing.assert_allclose(estimates, expected, atol=1e-3)
    with pytest.raises(DeepixError, match="nonesuch"):
        predict(network, pixelated, made.mosaics, device="nonesuch")


# ── many pictures ────────────────────────────────────────────────────────────────────────────────────────


def test_pictures_that_cannot_be_read_are_told_among_the_others(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder/b.png", "single"):
        Image.fromarray(picture()).save(tmp_path / name, "PNG")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "single", "x/2.png")
        archive.writestr("x/1.jpg", "broken")
    np.save(tmp_path / "arrays.npy", np.stack([picture(), picture(1)]))
    np.save(tmp_path / "long.npy", np.zeros((1, 1, 1001), np.uint8))
    names = ("folder", "archive.zip", "single", "arrays.npy", "long.npy")
    prepared = list(challenge.prepare_all(sources.read(tmp_path / name) for name in names))
    said = {i: str(p) for i, p in enumerate(prepared) if isinstance(p, InputError)}
    assert said == {
        1: f"{tmp_path}/archive.zip:x/1.jpg: not a picture",
        6: f"{tmp_path}/long.npy[0]: cannot be read as a picture "
        "(a picture of 1001 x 1 pixels cannot be cut to a square)",
    }
    for i in (0, 2, 3, 4):
        np.testing.assert_array_equal(prepared[i], challenge.prepare(picture()))
    np.testing.assert_array_equal(prepared[5], challenge.prepare(picture(1)))
