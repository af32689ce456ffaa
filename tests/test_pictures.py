"""Reading pictures from wherever they are, packing them, and opening what was packed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import packing_cases
import pytest
from packing_cases import Arrays, encoded, make_folder, make_tar, make_tgz, make_zip, prepared
from PIL import Image
from skimage import data

from deepix import challenge
from deepix.errors import InputError, OutputError
from deepix.training.data import packing
from deepix.training.data.contact_sheets import contact_sheet
from deepix.training.data.crops import Crops, crop, place
from deepix.training.data.packed import information_path, open_packed
from deepix.training.data.packing import pack, read


@pytest.fixture(scope="module")
def photos() -> Arrays:
    return packing_cases.photos()


@pytest.fixture(scope="module")
def files(photos: Arrays) -> dict[str, bytes]:
    return packing_cases.files(photos)


@pytest.fixture
def packed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "packed.npy"
    pack([make_zip(tmp_path / "in", files)], path)
    return path


# ── sources ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [make_folder, make_zip, make_tar, make_tgz])
def test_folders_and_archives(
    make: Callable[[Path, dict[str, bytes]], Path], files: dict[str, bytes], photos: Arrays, tmp_path: Path
) -> None:
    seen = []
    source = make(tmp_path / "in", files)
    report = pack([source], tmp_path / "out.npy", progress=lambda done, total: seen.append((done, total)))
    assert report.shape == (4, 64, 64)
    assert (report.read, report.skipped) == (4, [])
    assert seen[-1] == (4, None if make in (make_tar, make_tgz) else 4)
    result = open_packed(tmp_path / "out.npy")
    np.testing.assert_array_equal(result.pixels, prepared(photos))
    assert result.info["sources"] == [
        {"path": str(source), "kind": make.__name__.replace("tgz", "tar")[5:], "pictures": 4, "used": 4}
    ]


def test_a_tar_of_the_current_folder(files: dict[str, bytes], tmp_path: Path) -> None:
    """`tar c .` names its members "./cat.png"; what is hidden stays so."""
    members = {f"./{name}": content for name, content in files.items()}
    source = make_tar(tmp_path / "in", {**members, "./.hidden.png": b"", "./a/.b/c.png": b""})
    report = pack([source], tmp_path / "out.npy")
    assert (report.read, report.skipped) == (4, [])


def test_a_single_picture(photos: Arrays, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(encoded(photos["a/cat.png"], "JPEG"))
    pack([tmp_path / "cat.jpg"], tmp_path / "out.npy")
    np.testing.assert_array_equal(open_packed(tmp_path / "out.npy").pixels[0], challenge.prepare(tmp_path / "cat.jpg"))


def test_stl10_planes_lie_column_after_column(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3)).astype(np.uint8)
    with (tmp_path / "unlabeled_X.bin").open("wb") as file:
        for image in images:
            for channel in range(3):
                for column in range(96):
                    file.write(image[:, column, channel].tobytes())
    source = read(tmp_path / "unlabeled_X.bin")
    assert (source.kind, source.total) == ("STL-10", 3)
    for item, image in zip(source.items, images, strict=True):
        np.testing.assert_array_equal(item.load(), image)


@pytest.mark.parametrize(
    ("shape", "read_as"),
    [
        ((5, 70, 80), (70, 80)),
        ((5, 70, 80, 3), (70, 80, 3)),
        ((5, 70, 80, 1), (70, 80)),
        ((5, 3, 70, 80), (70, 80, 3)),
        ((5, 1, 70, 80), (70, 80)),
    ],
)
def test_array_files(shape: tuple[int, ...], read_as: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "one.npz", array)
    np.savez_compressed(tmp_path / "more.npz", images=array, params=np.zeros(5))
    expected = array.transpose(0, 2, 3, 1) if shape[1] in (1, 3) else array
    expected = expected.reshape(5, *read_as)
    for name in ("a.npy", "one.npz", "more.npz"):
        source = read(tmp_path / name)
        assert (source.kind, source.total) == ("array", 5)
        np.testing.assert_array_equal(np.stack([item.load() for item in source.items]), expected)


def test_several_sources_in_the_order_given(photos: Arrays, tmp_path: Path) -> None:
    first = make_folder(tmp_path / "one", {"x.png": encoded(photos["c.png"])})
    second = make_zip(tmp_path / "two", {"y.png": encoded(photos["a/cat.png"])})
    pack([second, first], tmp_path / "out.npy")
    expected = [challenge.prepare(photos["a/cat.png"]), challenge.prepare(photos["c.png"])]
    np.testing.assert_array_equal(open_packed(tmp_path / "out.npy").pixels, expected)


def bad_array(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, array)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("nothing", None, "no such file or folder"),
        ("empty", Path.mkdir, "no pictures in it"),
        ("a.zip", lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "cannot be read"),
        ("a.zip", lambda path: make_zip(path, {"x.txt": b""}), "no pictures in it"),
        ("a.tar", lambda path: path.write_bytes(b"no archive" * 100), "damaged archive"),
        ("a.tar", lambda path: make_tar(path, {"x.txt": b""}), "no pictures in it"),
        ("a.txt", lambda path: path.write_text("hello"), "not a picture, folder, zip or tar"),
        ("a.bin", lambda path: path.write_bytes(bytes(1000)), "not STL-10"),
        ("a.bin", lambda path: path.write_bytes(b""), "not STL-10"),
        ("a.npy", lambda path: path.write_bytes(b"no array"), "cannot be read"),
        ("a.npy", bad_array(np.zeros((2, 64, 64))), "must be uint8, not float64"),
        ("a.npy", bad_array(np.zeros((64, 64), np.uint8)), "an array of pictures is"),
        ("a.npy", bad_array(np.zeros((0, 64, 64), np.uint8)), "an array of pictures is"),
        ("a.npy", bad_array(np.array([None])), "cannot be read"),
        ("a.npz", lambda path: np.savez(path, x=np.zeros(1), y=np.zeros(1)), r"no array called images \(found: x, y\)"),
        ("a.npz", lambda path: path.write_bytes(b"PK"), "cannot be read"),
    ],
)
def test_unusable_sources_are_named(
    name: str, make: Callable[[Path], object] | None, message: str, tmp_path: Path
) -> None:
    if make is not None:
        make(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        pack([tmp_path / name], tmp_path / "out.npy")
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


def test_corrupt_pictures_are_skipped_and_named(files: dict[str, bytes], photos: Arrays, tmp_path: Path) -> None:
    good = files["a/cat.png"]
    bad = {"a/bad.png": b"no picture", "a/cut.png": good[: len(good) // 2], "z.gif": b"", **files}
    report = pack([make_folder(tmp_path / "in", bad)], tmp_path / "out.npy")
    assert report.shape == (4, 64, 64)
    assert report.read == 7
    assert [line.split(":")[0] for line in report.skipped] == [
        str(tmp_path / "in" / name) for name in ("a/bad.png", "a/cut.png", "z.gif")
    ]
    result = open_packed(tmp_path / "out.npy")
    np.testing.assert_array_equal(result.pixels, prepared(photos))
    assert result.info["skipped"] == report.skipped
    assert result.info["sources"][0]["used"] == 4


def test_a_damaged_member_of_a_zip_is_skipped(files: dict[str, bytes], photos: Arrays, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "in", files)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("a/coins.png").header_offset
    content = bytearray(path.read_bytes())
    content[start + 2000 : start + 2100] = bytes(100)
    path.write_bytes(content)
    report = pack([path], tmp_path / "out.npy")
    assert report.shape[0] == 3
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith(f"{path}:a/coins.png: cannot be read")
    np.testing.assert_array_equal(open_packed(tmp_path / "out.npy").pixels, prepared(photos)[[0, 2, 3]])


@pytest.mark.parametrize("make", [make_zip, make_tar, make_tgz])
def test_an_archive_that_was_cut_off_is_refused(
    make: Callable[[Path, dict[str, bytes]], Path], files: dict[str, bytes], tmp_path: Path
) -> None:
    path = make(tmp_path / "in", files)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=f"{path}: .*(damaged|cannot be read)"):
        pack([path], tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == [path]


def test_no_usable_picture_is_an_error(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", {"a.png": b"bad", "b.png": b"bad"})
    with pytest.raises(InputError, match=r"a.png: not a picture \(and none of the 2 pictures"):
        pack([source], tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == [source]


# ── crops ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("colour", [False, True])
def test_crops_do_not_depend_on_the_number_of_processes(
    colour: bool, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "BATCH", 1)  # so that there are more batches than may be under way
    more = {f"more/{i}.png": files["a/cat.png"] for i in range(4)}
    source = make_folder(tmp_path / "in", {**files, **more, "b/bad.png": b"bad"})
    crops = Crops(9, size=48, colour=colour, seed=5)
    for jobs in (1, 2):
        report = pack([source], tmp_path / f"{jobs}.npy", crops=crops, jobs=jobs)
        assert report.shape == ((72, 48, 48, 3) if colour else (72, 48, 48))
        assert len(report.skipped) == 1
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()
    pack([source], tmp_path / "other.npy", crops=dataclasses.replace(crops, seed=6))
    assert (tmp_path / "1.npy").read_bytes() != (tmp_path / "other.npy").read_bytes()
    packed = open_packed(tmp_path / "1.npy")
    assert len(np.unique(packed.pixels.reshape(72, -1), axis=0)) == 72
    np.testing.assert_array_equal(packed.groups, np.arange(72) // 9)
    assert packed.info["preparation"]["crops"] == json.loads(json.dumps(dataclasses.asdict(crops)))


def test_gray_crops_are_the_challenges_luminance_of_the_coloured_ones(photos: Arrays) -> None:
    image = Image.fromarray(photos["a/cat.png"])
    gray, colour = (crop(image, Crops(5, colour=colour), np.random.default_rng(1)) for colour in (False, True))
    np.testing.assert_array_equal(gray, [challenge.to_grayscale(crop) for crop in colour])


def test_the_whole_picture_is_a_crop_prepared_as_the_challenge_does_it(photos: Arrays) -> None:
    image = photos["b/deep/astronaut.png"][:300]
    crops = Crops(1, scale=(1, 1), ratio=(1, 1))
    (result,) = crop(Image.fromarray(image), crops, np.random.default_rng(0))
    np.testing.assert_array_equal(result, challenge.prepare(image))


def test_crops_of_a_photos_own_size_are_parts_of_it() -> None:
    image = Image.fromarray(data.camera())
    for part in crop(image, Crops(3, size=40, own_size=True), np.random.default_rng(0)):
        corners = np.lib.stride_tricks.sliding_window_view(data.camera(), (40, 40))[:, :, 0, 0] == part[0, 0]
        assert any(np.array_equal(data.camera()[y : y + 40, x : x + 40], part) for y, x in np.argwhere(corners))
    with pytest.raises(ValueError, match="crops need 513 x 513"):
        crop(image, Crops(size=513, own_size=True), np.random.default_rng(0))


def test_a_share_of_the_crops_is_of_a_photos_own_size() -> None:
    rng, crops = np.random.default_rng(0), Crops(size=64, scale=(0.2, 0.6), own_size=0.25)
    sizes = [place(400, 300, crops, rng)[2:] for _ in range(2000)]
    assert np.mean([size == (64, 64) for size in sizes]) == pytest.approx(0.25, abs=0.03)
    assert max(width for width, _ in sizes) > 200
    with pytest.raises(ValueError, match="own pixels must be 0"):
        Crops(own_size=1.5)


def test_places_of_crops() -> None:
    crops = Crops(size=64, scale=(0.2, 0.6), ratio=(0.5, 2))
    rng = np.random.default_rng(0)
    x, y, width, height = np.array([place(640, 480, crops, rng) for _ in range(4000)]).T
    assert (x >= 0).all()
    assert (y >= 0).all()
    assert (x + width <= 640).all()
    assert (y + height <= 480).all()
    share = width * height / (640 * 480)
    assert share.min() > 0.19
    assert share.max() < 0.61
    assert 0.35 < share.mean() < 0.42  # flat crops of a large share do not fit, so a little below the middle
    assert (width / height).min() < 0.55
    assert (width / height).max() > 1.9
    free = x[width < 300] / (640 - width[width < 300])
    assert abs(free.mean() - 0.5) < 0.03


def test_crops_are_never_enlarged_more_than_allowed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for enlarge, least in ((1.0, 64), (1.5, 43)):
        places = [place(200, 70, Crops(scale=(0.01, 1), enlarge=enlarge), rng) for _ in range(2000)]
        assert min(min(width, height) for _, _, width, height in places) == least
    np.save(tmp_path / "a.npy", np.zeros((2, 50, 90), np.uint8))
    pack([tmp_path / "a.npy"], tmp_path / "enlarged.npy", crops=Crops(2, enlarge=1.28))
    with pytest.raises(InputError, match=r"a.npy\[0\]: 90 x 50 pixels, but crops need 64 x 64"):
        pack([tmp_path / "a.npy"], tmp_path / "out.npy", crops=Crops(2))


def test_crops_of_a_photo_lie_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.repeat(np.arange(200, dtype=np.uint8)[:, None], 200, axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    pack([tmp_path / "turned.png"], tmp_path / "out.npy", crops=Crops(3, colour=True))
    pixels = open_packed(tmp_path / "out.npy").pixels.astype(int)
    assert (np.diff(pixels[..., 0], axis=1) == 0).all()
    assert (np.diff(pixels[..., 0], axis=2) < 0).any()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"number": 0}, {"size": 0}, {"seed": -1}, {"scale": (0, 1)}, {"scale": (0.5, 1.1)}, {"scale": (0.5, 0.4)}),
        *({"ratio": (0, 1)}, {"ratio": (2, 1)}, {"enlarge": 0.9}, {"enlarge": float("nan")}),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|can be enlarged"):
        Crops(**wrong)  # type: ignore[arg-type]


# ── the packed file ──────────────────────────────────────────────────────────────────────────────


def test_a_packed_file_is_a_plain_array_file_with_its_checksum(packed: Path, photos: Arrays) -> None:
    result = open_packed(packed)
    assert isinstance(result.pixels, np.memmap)
    assert not result.pixels.flags.writeable
    np.testing.assert_array_equal(np.load(packed), prepared(photos))
    assert result.info["sha256"] == hashlib.sha256(prepared(photos).tobytes()).hexdigest()
    result.check()


def test_packing_packed_files_keeps_what_belongs_together(
    packed: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    pack([tmp_path / "in.zip"], tmp_path / "crops.npy", crops=Crops(3))
    pack([tmp_path / "crops.npy", packed], tmp_path / "both.npy")
    both = open_packed(tmp_path / "both.npy")
    np.testing.assert_array_equal(both.pixels[:12], open_packed(tmp_path / "crops.npy").pixels)
    np.testing.assert_array_equal(both.pixels[12:], open_packed(packed).pixels)
    np.testing.assert_array_equal(both.groups, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6, 7])
    assert both.info["groups"] == [[4, 3], [4, 1]]
    assert [source["kind"] for source in both.info["sources"]] == ["packed", "packed"]
    assert both.info["sources"][0]["info"]["sources"][0]["path"] == str(tmp_path / "in.zip")


def test_a_changed_pixel_is_noticed(packed: Path) -> None:
    pixels = np.load(packed, mmap_mode="r+")
    pixels[2, 3, 4] ^= 1
    pixels.flush()
    with pytest.raises(InputError, match="damaged"):
        open_packed(packed).check()


def change_information(path: Path, **changes: object) -> None:
    information = information_path(path)
    information.write_text(json.dumps({**json.loads(information.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "no such file"),
        (lambda path: information_path(path).unlink(), "deepix data pack"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: path.write_bytes(b"no array"), "damaged"),
        (lambda path: information_path(path).write_text("{"), "damaged"),
        (lambda path: information_path(path).write_text("[]"), "does not describe"),
        (lambda path: change_information(path, version=2), "does not describe"),
        (lambda path: change_information(path, shape=[3, 64, 64]), "does not fit"),
        (lambda path: change_information(path, dtype="int8"), "does not fit"),
        (lambda path: change_information(path, groups=[[3, 1]]), "do not add up"),
        (lambda path: change_information(path, groups=[3]), "damaged"),
    ],
)
def test_files_that_are_not_packed_ones_are_refused(
    damage: Callable[[Path], object], message: str, packed: Path
) -> None:
    damage(packed)
    with pytest.raises(InputError, match=message) as caught:
        open_packed(packed)
    assert str(caught.value).startswith(str(packed))


def test_nothing_is_overwritten_unasked(packed: Path, tmp_path: Path) -> None:
    before = packed.read_bytes()
    np.save(tmp_path / "one.npy", data.camera()[None])
    with pytest.raises(OutputError, match=r"packed.npy: exists already; .*--overwrite"):
        pack([tmp_path / "one.npy"], packed)
    assert packed.read_bytes() == before
    pack([tmp_path / "one.npy"], packed, overwrite=True)
    assert len(open_packed(packed)) == 1


@pytest.mark.parametrize(("name", "message"), [("out.zip", "call it out.npy"), ("no/out.npy", "there is no folder")])
def test_outputs_that_cannot_be(name: str, message: str, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=message):
        pack([packed], tmp_path / name)


def test_contact_sheet() -> None:
    pixels = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((8, 6), np.uint8)
    sheet = np.asarray(contact_sheet(pixels, columns=4, rows=2, gap=1))
    assert sheet.shape == (2 * 9 + 1, 4 * 7 + 1)
    assert sheet[1::9, 1::7].ravel().tolist() == [0, 7, 14, 21, 28, 35, 42, 49]
    assert (sheet[0] == 255).all()
    assert contact_sheet(pixels[:2], gap=3).size == (2 * 9 + 3, 8 + 6)
    colour = np.zeros((1, 5, 5, 3), np.uint8)
    assert contact_sheet(colour).mode == "RGB"
    with pytest.raises(ValueError, match="needs a picture"):
        contact_sheet(pixels[:0])


def test_training_needs_no_more_than_its_own_packages() -> None:
    code = (
        "import sys; from deepix.training.data import packing, packed, samples; "
        "sys.exit(bool({'scipy', 'rich', 'typer', 'matplotlib', 'skimage'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
