"""The challenge's files of pictures, whole, damaged and hostile."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from challenge_cases import Calls, as_dict, complaint, examples, ran, run
from hypothesis import given, settings
from hypothesis import strategies as st

from deepix import challenge
from deepix.challenge import pickles
from deepix.errors import InputError

# ── test sets ────────────────────────────────────────────────────────────────────────────────────


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
        read = pickles.load(pickle.dumps([array, {"a": (1, -2, 3.5, None, True, b"x")}], protocol), "x")
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
    """The bytes of a small test set."""

    made: ClassVar = examples(2)
    test_set: ClassVar = pickle.dumps(as_dict(made), 4)
    old_test_set: ClassVar = pickle.dumps(as_dict(made), 2)


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
    message = complaint(lambda: pickles.load(bytes(damaged), "test_set.pkl"))
    assert message is None or message.startswith("test_set.pkl: ")


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
