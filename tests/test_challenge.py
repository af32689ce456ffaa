import io
import json
import math
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from deepix import challenge, mosaic
from deepix.challenge import Examples
from deepix.cli import app
from deepix.errors import DeepixError, InputError, OutputError
from deepix.mosaic import Mosaic


def picture(seed: int = 0, width: int = 64, height: int = 64) -> np.ndarray:
    """Return smooth random colours, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def examples(count: int = 5, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    images = np.stack([challenge.prepare(picture(i)) for i in range(count)])
    return Examples(images, [challenge.random_mosaic(rng) for _ in range(count)])


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


# ── test sets ────────────────────────────────────────────────────────────────────────────────────


def as_dict(made: Examples) -> dict[str, Any]:
    test_set = made.test_set()
    return {"pixelated_images": tuple(test_set.pixelated), "known_arrays": tuple(test_set.known)}


def old_names(data: bytes) -> bytes:
    """Give a pickle the module names of NumPy 1."""
    result = bytearray()
    operations = list(pickletools.genops(data))
    ends = [position for _, _, position in operations[1:]] + [len(data)]
    for (operation, argument, start), end in zip(operations, ends, strict=True):
        if operation.name == "FRAME":
            continue  # frames are optional, and their lengths would be wrong
        if operation.name == "SHORT_BINUNICODE" and argument.startswith("numpy._core"):
            text = argument.replace("numpy._core", "numpy.core").encode()
            result += b"\x8c" + bytes([len(text)]) + text
        else:
            result += data[start:end].replace(b"cnumpy._core", b"cnumpy.core")
    return bytes(result)


@pytest.mark.parametrize("names", ["new", "old"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_test_sets_are_read(tmp_path: Path, protocol: int, names: str) -> None:
    made = examples()
    data = pickle.dumps(as_dict(made), protocol)
    assert b"numpy._core" in data
    if names == "old":
        data = old_names(data)
        assert b"numpy._core" not in data
    (tmp_path / "test_set.pkl").write_bytes(data)
    read = challenge.read_test_set(tmp_path / "test_set.pkl")
    assert read.pixelated.dtype == np.uint8
    assert read.known.dtype == bool
    np.testing.assert_array_equal(read.pixelated, made.test_set().pixelated)
    np.testing.assert_array_equal(read.known, made.test_set().known)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_any_number_and_order_are_read(protocol: int) -> None:
    base = np.arange(24)
    arrays = [base.reshape(2, 3, 4).astype(kind) for kind in ("u1", "i2", "<u4", ">i8", "f2", ">f4", "f8", "b1")]
    arrays += [np.asfortranarray(arrays[0]), arrays[1].transpose(1, 0, 2), arrays[2][:, ::2], np.array(3.5)]
    for array in arrays:
        read = challenge._unpickle(pickle.dumps([array, {"a": (1, -2, 3.5, None, True, b"x")}], protocol), "x")
        np.testing.assert_array_equal(read[0].array, array)
        assert read[0].array.dtype == array.dtype
        assert read[1] == {"a": (1, -2, 3.5, None, True, b"x")}


def test_written_test_sets_are_what_the_course_reads(tmp_path: Path) -> None:
    made = examples()
    challenge.write_test_set(tmp_path / "test_set.pkl", made.test_set())
    with (tmp_path / "test_set.pkl").open("rb") as file:
        content = pickle.load(file)
    assert set(content) == {"pixelated_images", "known_arrays"}
    for image, known, true in zip(content["pixelated_images"], content["known_arrays"], made.images, strict=True):
        assert (image.shape, image.dtype, known.shape, known.dtype) == ((1, 64, 64), np.uint8, (1, 64, 64), bool)
        np.testing.assert_array_equal(image[known], true[known[0]])


def test_what_is_no_test_set_is_said(tmp_path: Path) -> None:
    made = as_dict(examples(2))
    images, known = made["pixelated_images"], made["known_arrays"]
    path = tmp_path / "test_set.pkl"
    for content, message in (
        (
            {"images": images, "masks": known},
            "not a challenge test set (no 'pixelated_images' and no 'known_arrays'; found: 'images', 'masks')",
        ),
        ({}, "not a challenge test set (no 'pixelated_images' and no 'known_arrays'; found: nothing)"),
        (images, "not a challenge test set (tuple, not dict)"),
        (images[0], "not a challenge test set (uint8 (1, 64, 64), not dict)"),
        ({**made, "known_arrays": known[:1]}, "2 'pixelated_images', but 1 'known_arrays'"),
        ({**made, "known_arrays": ()}, "'known_arrays' is empty"),
        ({**made, "known_arrays": 7}, "'known_arrays' must be a tuple of arrays, not int"),
        ({**made, "known_arrays": (known[0], "x")}, "picture 1 must be bool (1, 64, 64), not str"),
        (
            {**made, "pixelated_images": (images[0], images[1][0])},
            "picture 1 must be uint8 (1, 64, 64), not uint8 (64, 64)",
        ),
        ({**made, "known_arrays": images}, "picture 0 must be bool (1, 64, 64), not uint8 (1, 64, 64)"),
        ({**made, "known_arrays": (known[0], known[1] | True)}, "picture 1 has no unknown pixel"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError) as caught:
            challenge.read_test_set(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        challenge.read_test_set(tmp_path / "missing.pkl")


# ── pickles that want more than to be read ───────────────────────────────────────────────────────

ran: list[object] = []


def run(argument: object = None) -> object:
    ran.append(argument)
    return argument


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Stateful:
    """Pickles as an object whose state is set by code of its own."""

    def __setstate__(self, state: object) -> None:
        run(state)

    def __getstate__(self) -> object:
        return {"x": 1}


class Persistent(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return "elsewhere" if isinstance(obj, float) else None


def persistent() -> bytes:
    buffer = io.BytesIO()
    Persistent(buffer).dump([1.5])
    return buffer.getvalue()


def by_name(module: str, name: str, *arguments: Any) -> bytes:
    """Pickle a call of a function that need not be importable here."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, 2)[2:-1] + b"R."


def forged_array(shape: Any, raw: Any, kind: str = "u1", name: str = "ndarray") -> bytes:
    body = pickle.dumps(raw, 3)[2:-1]
    return (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n"
        + f"cnumpy\n{name}\n".encode()
        + b"K\x00\x85C\x01b\x87R(K\x01"
        + pickle.dumps(shape, 3)[2:-1]
        + b"cnumpy\ndtype\n"
        + pickle.dumps((kind, False, True), 3)[2:-1]
        + b"R(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + body
        + b"tb."
    )


def attacks(marker: Path) -> dict[str, bytes]:
    command = f"touch {marker}"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    system, evil = Calls(os.system, command), Calls(eval, code)
    objects = np.empty(2, object)
    objects[:] = [system, evil]
    structured = np.zeros(1, [("a", "u1"), ("b", object)])
    structured["b"][0] = evil
    whole = as_dict(examples(2))
    result = {
        "eval by name": by_name("builtins", "eval", code),
        "exec of Python 2": by_name("__builtin__", "execfile", str(marker)),
        "getattr": by_name("builtins", "getattr", "x", "__class__"),
        "import": by_name("importlib", "import_module", "os"),
        "subprocess": by_name("subprocess", "Popen", ["touch", str(marker)]),
        "bytes": by_name("builtins", "bytearray", 10**12),
        "numpy.load": by_name("numpy", "load", str(marker)),
        "numpy.fromfile": by_name("numpy", "fromfile", "/etc/hostname"),
        "numpy.memmap": by_name("numpy", "memmap", str(marker), "u1", "w+", 0, 16),
        "numpy runstring": by_name("numpy.testing._private.utils", "runstring", code, {}),
        "numpy exec_command": by_name("numpy.distutils.exec_command", "exec_command", command),
        "numpy f2py eval": by_name("numpy.f2py.crackfortran", "myeval", code),
        "numpy scalar": pickle.dumps(np.float64(3)),
        "numpy dtype of objects": by_name("numpy", "dtype", "O8", False, True),
        "numpy dtype of fields": by_name("numpy", "dtype", [("a", "O")]),
        "numpy dtype's globals": by_name("numpy", "dtype.__init__.__globals__"),
        "numpy vectorize": by_name("numpy", "vectorize", "x"),
        "ndarray called": by_name("numpy", "ndarray", (10,)),
        "codec": by_name("_codecs", "encode", "abc", "rot13"),
        "codec by lookup": by_name("_codecs", "lookup", "idna"),
        "another class": forged_array((4,), b"abcd", name="memmap"),
        "objects by name": forged_array((1,), b"\0" * 8, kind="O8"),
        "objects as a list": forged_array((4,), [1, 2, 3, 4]),
        "shape beyond the bytes": forged_array((2**40,), b"abcd"),
        "negative shape": forged_array((-1, -4), b"abcd"),
        "shape of floats": forged_array((4.0,), b"abcd"),
        "state of a name": b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01s\x86b.",
        "state of a list": b"\x80\x02](K\x01tb.",
        "instance": b"\x80\x02(ios\nsystem\n.",
        "object": b"\x80\x02(cos\nsystem\nX\x02\x00\x00\x00idoq\x00.",
        "new object": b"\x80\x02cbuiltins\nset\n)\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "buffer from outside": b"\x80\x05\x97.",
        "persistent": persistent(),
        "persistent by line": b"\x80\x02Pelsewhere\n.",
        "list as a dict": b"\x80\x02]K\x01K\x02s.",
        "dict key of tuples": b"\x80\x02})" + b"\x85" * 1000 + b"K\x01s.",
    }
    for protocol in (2, 3, 4, 5):
        for title, content in (
            ("os.system", system),
            ("eval", evil),
            ("in a test set", {**whole, "extra": [({"deep": evil},)]}),
            ("instead of an array", {**whole, "known_arrays": (whole["known_arrays"][0], system)}),
            ("as a key", {"pixelated_images": (), "known_arrays": (), evil: 1}),
            ("object array", objects),
            ("object field", structured),
            ("state", Stateful()),
            ("function", run),
            ("class", Calls),
            ("set", {1, 2}),
            ("text array", np.array(["a", "b"])),
        ):
            result[f"{title}, protocol {protocol}"] = pickle.dumps(content, protocol)
    return result


NAMES = list(attacks(Path("x")))


@pytest.mark.parametrize("name", NAMES)
def test_attacks_are_refused(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    ran.clear()
    path = tmp_path / "test_set.pkl"
    path.write_bytes(attacks(marker)[name])
    for read in (challenge.read_test_set, challenge.read_truths, challenge.inspect):
        with pytest.raises(InputError, match="refused") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert not marker.exists()
    assert ran == []


def test_the_attacks_are_real(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    harmful = attacks(marker)
    for name in ("os.system, protocol 4", "in a test set, protocol 2", "object array, protocol 5"):
        pickle.loads(harmful[name])
        assert marker.exists(), name
        marker.unlink()


class Broken:
    """The bytes of a small file of each kind."""

    made: ClassVar = examples(2)
    test_set: ClassVar = pickle.dumps(as_dict(made), 4)
    old_test_set: ClassVar = pickle.dumps(as_dict(made), 2)
    submission: ClassVar = challenge.serialise(made.truths())


@settings(max_examples=150)
@given(st.sampled_from(["test_set", "old_test_set"]), st.data())
def test_damaged_test_sets_give_one_line(kind: str, data: st.DataObject) -> None:
    whole: bytes = getattr(Broken, kind)
    # structure is at both ends and in between the arrays' bytes
    place = data.draw(
        st.integers(0, 400) | st.integers(0, len(whole) - 1) | st.integers(len(whole) - 200, len(whole) - 1)
    )
    damaged = bytearray(whole)
    damaged[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole) - 1)) :]
    message = complaint(lambda: challenge._unpickle(bytes(damaged), "test_set.pkl"))
    assert message is None or message.startswith("test_set.pkl: ")


def complaint(read: Callable[[], object]) -> str | None:
    """Return the InputError's text, which must be one line, or None if there was none."""
    try:
        read()
    except InputError as error:
        text = str(error)
    else:
        return None
    assert "\n" not in text
    return text


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x04", b"\x80\x04.", b"\x80\x04N", b"nonsense", b"PK\x03\x04"])
def test_what_is_no_pickle_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_set.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"test_set\.pkl: (the file is empty|not a pickle|refused)"):
        challenge.read_test_set(tmp_path / "test_set.pkl")


# ── true pictures ────────────────────────────────────────────────────────────────────────────────


def test_examples_round_trip(tmp_path: Path) -> None:
    made = examples(4)
    challenge.write_examples(tmp_path / "truth.npz", made.images, made.mosaics)
    read = challenge.read_examples(tmp_path / "truth.npz")
    np.testing.assert_array_equal(read.images, made.images)
    assert read.mosaics == made.mosaics
    challenge.write_examples(tmp_path / "twice.npz", made.images[:2], made.mosaics)
    twice = challenge.read_examples(tmp_path / "twice.npz")
    np.testing.assert_array_equal(twice.images, made.images[[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="evenly"):
        challenge.write_examples(tmp_path / "odd.npz", made.images[:3], made.mosaics)


def test_what_are_no_true_pictures_is_said(tmp_path: Path) -> None:
    images, params = np.zeros((2, 64, 64), np.uint8), np.array([[0, 0, 4, 4, 4], [60, 60, 4, 4, 5]])
    path = tmp_path / "truth.npz"
    for arrays, message in (
        ({"pictures": images}, "(no 'images' and no 'params'; found: 'pictures')"),
        ({"images": images / 1, "params": params}, "'images' must be uint8"),
        ({"images": images[:, :9], "params": params}, "'images' must be uint8"),
        ({"images": images, "params": params[:, :4]}, "'params' must be integers (N, 5)"),
        ({"images": images, "params": params[:0]}, "'params' must be integers (N, 5)"),
        ({"images": images[:1], "params": params}, "1 'images', but 2 'params'"),
        ({"images": images, "params": params, "index": np.array([0, 2])}, "'index' names pictures"),
        ({"images": images, "params": params, "index": np.array([0])}, "'index' must be integers (2,)"),
        ({"images": images, "params": params + 1}, "row 1 of 'params': the area 61,61,5,5"),
        ({"images": np.array([{}]), "params": params}, "not an .npz file that can be read"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError) as caught:
            challenge.read_examples(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)


def test_broken_npz_files_give_one_line(tmp_path: Path) -> None:
    made = examples(2)
    path = tmp_path / "truth.npz"
    challenge.write_examples(path, made.images, made.mosaics)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged if rng.integers(2) else whole[: rng.integers(len(whole))])
        refused += complaint(lambda: challenge.read_examples(path)) is not None
    assert refused > 50


# ── submissions ──────────────────────────────────────────────────────────────────────────────────


def arrays(least: int, most: int) -> st.SearchStrategy[np.ndarray]:
    return st.binary(min_size=least, max_size=most).map(lambda b: np.frombuffer(b, np.uint8))


@given(st.lists(arrays(1, 300), min_size=1, max_size=8))
def test_submissions_round_trip(predictions: list[np.ndarray]) -> None:
    if max(map(len, predictions)) == 1:
        with pytest.raises(ValueError, match="2 pixels or more"):
            challenge.serialise(predictions)
        return
    data = challenge.serialise(predictions)
    back = challenge.deserialise(data)
    assert [b.tolist() for b in back] == [p.tolist() for p in predictions]
    assert challenge.serialise(back) == data


@given(st.integers(2, 2**20))
def test_length_bytes_are_the_courses(longest: int) -> None:
    assert challenge._length_bytes(longest) == math.ceil(math.log2(longest) / 8)


def test_submission_bytes_are_the_courses() -> None:
    small = [np.array([7, 8], np.uint8), np.array([9], np.uint8)]
    assert challenge.serialise(small) == bytes([1, 1, 7, 8, 0, 9])
    for length, width in ((256, 1), (257, 2), (1024, 2), (65536, 2), (65537, 3)):
        prediction = np.zeros(length, np.uint8)
        data = challenge.serialise([prediction])
        assert data == bytes([width]) + (length - 1).to_bytes(width, "big") + bytes(length)


@pytest.mark.parametrize(
    "predictions", [[], [np.zeros(0, np.uint8)], [np.zeros(3)], [np.zeros((2, 2), np.uint8)]], ids=str
)
def test_what_cannot_be_submitted(predictions: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="prediction"):
        challenge.serialise(predictions)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02", "0 bytes"),
        (b"\x09", "9 bytes"),
        (b"\x01", "no prediction"),
        (b"\x01\x02abc\x00", "ends within prediction 1: 1 pixels are announced, 0 are there"),
        (b"\x01\x05abc", "ends within prediction 0: 6 pixels are announced, 3 are there"),
        (b"\x02\x00\x01ab\x00", "ends within the length of prediction 1"),
        (b"\x02\x00\x01ab", "lengths have 2 bytes where 1 would do"),
    ],
)
def test_broken_submissions_are_said(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        challenge.deserialise(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        predictions = challenge.deserialise(data)
    except ValueError:
        return
    assert 1 + sum(data[0] + len(p) for p in predictions) == len(data)


@given(st.integers(1, len(Broken.submission) - 1))
def test_truncated_submissions_do_not_fit(cut: int) -> None:
    truths = Broken.made.truths()
    with pytest.raises(ValueError, match=r"ends within|no prediction|\d predictions for|where 1 would do"):
        challenge.score(challenge.deserialise(Broken.submission[:cut]), truths)


# ── score ────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(arrays(3, 3), arrays(3, 3)), min_size=1, max_size=5))
def test_score_is_the_rmse(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    ours, theirs = (
        [p[: 1 + i % 3] for i, (p, _) in enumerate(pairs)],
        [t[: 1 + i % 3] for i, (_, t) in enumerate(pairs)],
    )
    errors = [
        [float(a) - float(b) for a, b in zip(p.tolist(), t.tolist(), strict=True)]
        for p, t in zip(ours, theirs, strict=True)
    ]
    everything = [e for picture_errors in errors for e in picture_errors]
    result = challenge.score(ours, theirs)
    assert result.pooled == pytest.approx(math.sqrt(sum(e * e for e in everything) / len(everything)))
    each = [math.sqrt(sum(e * e for e in es) / len(es)) for es in errors]
    assert result.per_picture == pytest.approx(sum(each) / len(each))
    assert (result.count, result.pixels) == (len(pairs), len(everything))


def test_score_says_what_does_not_fit() -> None:
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(ValueError, match="1 predictions for 2 pictures"):
        challenge.score([one], [one, two])
    with pytest.raises(ValueError, match="prediction 1 has 1 pixels, but picture 1 has 2 unknown ones"):
        challenge.score([one, one], [one, two])
    with pytest.raises(ValueError, match="no pictures"):
        challenge.score([], [])


def test_truths_are_read_from_each_form(tmp_path: Path) -> None:
    made = examples(3)
    truths = made.truths()
    challenge.write_examples(tmp_path / "a.npz", made.images, made.mosaics)
    challenge.write_submission(tmp_path / "b", truths)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(tuple(truths), 5))
    for path in sorted(tmp_path.iterdir()):
        assert [t.tolist() for t in challenge.read_truths(path)] == [t.tolist() for t in truths]
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(as_dict(made)))
    with pytest.raises(InputError, match="not a sequence of true pixels"):
        challenge.read_truths(tmp_path / "d.pkl")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps([made.images[0]]))
    with pytest.raises(InputError, match=r"item 0 is uint8 \(64, 64\), not a flat uint8 array"):
        challenge.read_truths(tmp_path / "d.pkl")


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


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    challenge.write(path, b"one")
    with pytest.raises(OutputError, match=r"exists already; .*--overwrite"):
        challenge.write(path, b"two")
    assert path.read_bytes() == b"one"
    challenge.write(path, b"two", overwrite=True)
    assert path.read_bytes() == b"two"
    with pytest.raises(OutputError, match="is a folder"):
        challenge.write(tmp_path, b"", overwrite=True)
    with pytest.raises(OutputError, match="there is no folder"):
        challenge.write(tmp_path / "none" / "file", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_pictures_are_found(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    for name in ("folder/b.png", "folder/below/a.PNG", "single"):
        Image.fromarray(picture()).save(tmp_path / name, "PNG")
    (tmp_path / "folder" / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "single", "x/2.png")
        archive.writestr("x/1.jpg", "broken")
    found = challenge.find_pictures([tmp_path / "folder", tmp_path / "archive.zip", tmp_path / "single"])
    assert [(path.name, member) for path, member in found] == [
        ("b.png", None),
        ("a.PNG", None),
        ("archive.zip", "x/1.jpg"),
        ("archive.zip", "x/2.png"),
        ("single", None),
    ]
    prepared = list(challenge.prepare_all(found))
    assert isinstance(prepared[2], InputError)
    assert "archive.zip/x/1.jpg: " in str(prepared[2])
    for i in (0, 1, 3, 4):
        np.testing.assert_array_equal(prepared[i], challenge.prepare(picture()))
    for sources, message in (
        ([tmp_path / "none"], "no such file"),
        ([], "no pictures"),
    ):
        with pytest.raises(InputError, match=message):
            challenge.find_pictures(sources)
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"broken\.zip: not a zip archive"):
        challenge.find_pictures([tmp_path / "broken.zip"])


# ── the command line ─────────────────────────────────────────────────────────────────────────────


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["challenge", *map(str, arguments)])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(picture(i, 90, 70 + i)).save(folder / f"{i}.png")
    return folder


def test_from_pictures_to_a_score(tmp_path: Path, pictures: Path) -> None:
    truth, test_set = tmp_path / "truth.npz", tmp_path / "test_set.pkl"
    result = call("prepare", pictures, "-o", truth, "--test-set", test_set, "--mosaics", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    made = challenge.read_examples(truth)
    assert len(made.images) == 10
    np.testing.assert_array_equal(made.images[2], challenge.prepare(pictures / "1.png"))
    np.testing.assert_array_equal(challenge.read_test_set(test_set).pixelated, made.test_set().pixelated)

    scores = {}
    for name in ("identity", "smooth"):
        submission = tmp_path / name
        result = call("predict", test_set, "--model", name, "-o", submission)
        assert result.exit_code == 0, result.output
        result = call("score", submission, truth, "--json")
        scores[name] = json.loads(result.output)
        assert scores[name]["count"] == 10
    assert scores["smooth"]["pooled"] < scores["identity"]["pooled"]
    ours = [p[~k] for p, k in zip(made.pixelated(), made.known(), strict=True)]
    assert scores["identity"]["pooled"] == challenge.score(ours, made.truths()).pooled
    text = call("score", tmp_path / "identity", truth).output
    assert text.index("pooled") < text.index("per picture")
    assert f"{scores['identity']['pooled']:.3f}" in text

    # from the true pictures the same prediction is made, but for mosaics that chance made ambiguous
    assert call("predict", truth, "-m", "identity", "-o", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "identity").read_bytes()

    for file, kind in ((test_set, "test set"), (truth, "true pictures"), (tmp_path / "smooth", "submission")):
        report = json.loads(call("inspect", file, "--json").output)
        assert (report["kind"], report["count"], report["pixels"]) == (kind, 10, scores["smooth"]["pixels"])
        assert kind in call("inspect", file).output
    for against in (test_set, truth, tmp_path / "identity"):
        assert call("inspect", tmp_path / "smooth", "--against", against).exit_code == 0


def test_truncating_is_the_ancestors_rounding(tmp_path: Path, pictures: Path) -> None:
    truth = tmp_path / "truth.npz"
    call("prepare", pictures, "-o", truth)
    for how in ("nearest", "truncate"):
        assert call("predict", truth, "-m", "smooth", "-o", tmp_path / how, "--round", how).exit_code == 0
    nearest, truncated = (np.concatenate(challenge.read_submission(tmp_path / h)) for h in ("nearest", "truncate"))
    assert set(np.unique(nearest.astype(int) - truncated)) == {0, 1}
    assert call("predict", truth, "-m", "smooth", "-o", tmp_path / "x", "--round", "up").exit_code == 2


def test_a_test_set_that_no_submission_can_hold(tmp_path: Path) -> None:
    known = np.ones((1, 1, 64, 64), bool)
    known[0, 0, 3, 4] = False  # a longest prediction of 1 pixel
    pixelated = np.zeros((1, 1, 64, 64), np.uint8)
    challenge.write_test_set(tmp_path / "test_set.pkl", challenge.TestSet(pixelated, known))
    result = call("predict", tmp_path / "test_set.pkl", "-m", "identity", "-o", tmp_path / "x")
    assert isinstance(result.exception, OutputError)
    assert "x: a submission needs a prediction of 2 pixels or more" in str(result.exception)


def test_the_same_seed_prepares_the_same(tmp_path: Path, pictures: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call("prepare", pictures, "-o", tmp_path / f"{name}.npz", "--seed", seed)
    a, b, c = (challenge.read_examples(tmp_path / f"{name}.npz").mosaics for name in "abc")
    assert a == b
    assert a != c


def test_broken_pictures_are_left_out_and_named(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0.png").write_bytes(b"broken")
    result = call("prepare", pictures, "-o", tmp_path / "truth.npz")
    assert result.exit_code == 1
    assert "0.png: not a picture" in result.output
    assert len(challenge.read_examples(tmp_path / "truth.npz").images) == 4
    for path in pictures.iterdir():
        path.write_bytes(b"broken")
    result = call("prepare", pictures, "-o", tmp_path / "none.npz")
    assert isinstance(result.exception, DeepixError)
    assert not (tmp_path / "none.npz").exists()


def test_look_draws_a_sheet(tmp_path: Path, pictures: Path) -> None:
    truth, sheet = tmp_path / "truth.npz", tmp_path / "sheet.png"
    call("prepare", pictures, "-o", truth)
    arguments = ("-m", "smooth", "-m", "identity", "-n", 3, "--scale", 2, "-o", sheet)
    assert call("look", truth, *arguments).exit_code == 0
    drawn = np.asarray(Image.open(sheet))
    made = challenge.read_examples(truth)
    chosen = np.random.default_rng(0).permutation(5)[:3]
    pixelated = made.pixelated()
    for row, i in enumerate(chosen):
        y = 20 + row * (128 + 20)
        tiles = [drawn[y : y + 128 : 2, 8 + k * 136 : 8 + k * 136 + 128 : 2] for k in range(4)]
        np.testing.assert_array_equal(tiles[0], made.images[i])
        np.testing.assert_array_equal(tiles[1], pixelated[i])
        np.testing.assert_array_equal(tiles[3], pixelated[i])
        assert not np.array_equal(tiles[2], pixelated[i])
    assert isinstance(call("look", truth, *arguments).exception, OutputError)
    assert call("look", pictures, *arguments, "--overwrite").exit_code == 0
    assert call("look", truth, "-m", "smooth", "-o", tmp_path / "sheet.jpg").exit_code == 2


def test_what_the_commands_refuse(tmp_path: Path, pictures: Path) -> None:
    truth, submission, empty = tmp_path / "truth.npz", tmp_path / "submission", tmp_path / "empty"
    call("prepare", pictures, "-o", truth)
    call("predict", truth, "-m", "identity", "-o", submission)
    empty.write_bytes(b"")
    short = tmp_path / "short"
    challenge.write_submission(short, challenge.read_submission(submission)[:-1])
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps(Calls(run)))
    for arguments, message in (
        (("score", short, truth), "does not fit .*: 4 predictions for 5 pictures"),
        (("score", empty, truth), "empty: the file is empty"),
        (("score", submission, empty), "empty: the file is empty"),
        (("score", truth, truth), "not a submission"),
        (("inspect", empty), "the file is empty"),
        (("inspect", short, "--against", truth), "does not fit"),
        (("inspect", truth, "--against", truth), "not a submission"),
        (("inspect", evil), "refused"),
        (("predict", evil, "-m", "smooth", "-o", tmp_path / "x"), "refused"),
        (("predict", empty, "-m", "smooth", "-o", tmp_path / "x"), "empty"),
        (("predict", truth, "-m", "none", "-o", tmp_path / "x"), "no such model"),
        (("predict", truth, "-m", "smooth", "-o", submission), "exists already"),
        (("prepare", pictures, "-o", truth), "exists already"),
        (("prepare", tmp_path / "none", "-o", tmp_path / "x"), "no such file"),
        (("look", evil, "-m", "smooth", "-o", tmp_path / "x.png"), "not a picture"),
    ):
        result = call(*arguments)
        assert result.exit_code == 1, arguments
        assert isinstance(result.exception, DeepixError), arguments
        with pytest.raises(DeepixError, match=message):
            raise result.exception
    assert ran == []
    assert not (tmp_path / "x").exists()
    same = tmp_path / "same"
    assert call("prepare", pictures, "-o", same, "--test-set", same).exit_code == 2
    assert call("score", submission).exit_code == 2


@pytest.mark.parametrize("verb", ["prepare", "predict", "score", "inspect", "look"])
def test_help_has_an_example(verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert f"deepix challenge {verb}" in result.output.split("Example", 1)[1]
