"""ONNX models by name or path: opened once, described by themselves, refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deepix import threads
from deepix.errors import DeepixError, InputError
from deepix.inference import models as module
from deepix.inference.models import Models, default, shipped


def write(path: Path, operation: str = "Neg", about: str | None = '{"name": "tiny"}') -> Path:
    """Write a model of one operation, float32 (N,) → float32 (N,)."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node(operation, ["x"], ["y"])], "tiny", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if about is not None:
        helper.set_model_props(model, {"deepix": about})
    onnx.save(model, path)
    return path


def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """Return a list that the name and number of threads of each session are added to when it is opened."""
    seen: list[tuple[str, int | None]] = []
    real = module.open_session

    def watched(content: bytes, name: str, number: int | None) -> Any:
        seen.append((Path(name).name, number))
        return real(content, name, number)

    monkeypatch.setattr(module, "open_session", watched)
    return seen


def test_the_shipped_models_are_those_in_the_package_and_describe_themselves() -> None:
    folder = Path(module.__file__).parents[1] / "weights"
    assert set(shipped()) == {path.stem for path in folder.glob("*.onnx")} >= {"challenge", "locator", "photo"}
    with Models() as models:
        for name in shipped():
            network = models.open(name)
            assert network.about["name"] == name
            assert network.name == f"{name}.onnx"
            assert len(network.inputs) == 1
            content = onnx.load(folder / f"{name}.onnx")
            assert network.inputs == tuple(i.name for i in content.graph.input)
            assert network.outputs == tuple(o.name for o in content.graph.output)
            assert network.about == json.loads({p.key: p.value for p in content.metadata_props}["deepix"])
            with pytest.raises(TypeError):
                network.about["name"] = "other"  # type: ignore[index]


def test_a_model_is_run_and_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened(monkeypatch)
    path = write(tmp_path / "a.onnx")
    models = Models()
    network = models.open(path)
    assert network.name == str(path)
    assert network.about == {"name": "tiny"}
    np.testing.assert_array_equal(network.run({"x": np.float32([1, -2])})[0], [-1, 2])
    assert models.open(str(path)) is network
    assert seen == [("a.onnx", None)]
    models.close()
    again = models.open(path)  # those who still hold the old one go on with it
    assert again is not network
    np.testing.assert_array_equal(network.run({"x": np.float32([3])})[0], [-3])


def test_a_file_that_changed_is_opened_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    with Models() as models:
        first = models.open(path)
        write(path, "Abs")
        os.utime(path, ns=(0, 0))  # whatever the clock's grain
        second = models.open(path)
        assert second is not first
        np.testing.assert_array_equal(second.run({"x": np.float32([-5])})[0], [5])


def test_only_the_last_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened(monkeypatch)
    paths = [write(tmp_path / f"{k}.onnx") for k in range(module.KEPT + 1)]
    with Models() as models:
        first = models.open(paths[0])
        for path in paths[1:-1]:
            models.open(path)
        assert models.open(paths[0]) is first  # asked for again: the next one to go is another
        models.open(paths[-1])
        assert models.open(paths[0]) is first
        models.open(paths[1])
        assert [name for name, _ in seen] == [*(path.name for path in paths), "1.onnx"]


def test_threads_that_want_the_same_model_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened(monkeypatch)
    paths = [write(tmp_path / f"{k}.onnx") for k in range(3)]
    start = threading.Barrier(12)
    with Models() as models, ThreadPoolExecutor(12) as pool:

        def ask(k: int) -> tuple[object, float]:
            start.wait()
            network = models.open(paths[k % 3])
            return network, float(network.run({"x": np.float32([k])})[0][0])

        results = list(pool.map(ask, range(12)))
    assert len(seen) == 3
    assert len({id(network) for network, _ in results}) == 3
    assert [value for _, value in results] == [-k for k in range(12)]


def test_a_model_obeys_the_limit_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened(monkeypatch)
    path = write(tmp_path / "a.onnx")
    models = Models()
    with threads.limit(1):
        one = models.open(path)
    assert models.open(path) is not one
    Models(threads=2).open(path)
    with threads.limit(1):
        Models(threads=2).open(path)
        assert models.open(path) is one
    assert [number for _, number in seen] == [1, None, 2, 1]
    with pytest.raises(DeepixError, match="between 1 and 1024"):
        Models(threads=20000)


def test_the_default_models_are_the_same_for_everyone() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert default() is pool.submit(default).result()


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    content = write(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "broken.onnx").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.onnx").write_text("not a model")
    write(tmp_path / "words.onnx", about="{not json")
    write(tmp_path / "list.onnx", about="[1]")
    (tmp_path / "folder.onnx").mkdir()
    messages = {
        "nowhere.onnx": "no such model: adversary, challenge, locator, photo, refiner, or the path",
        "broken.onnx": "not an ONNX model",
        "text.onnx": "not an ONNX model",
        "words.onnx": "not a model of Deepix",
        "list.onnx": "not a model of Deepix",
        "folder.onnx": "not a file",
    }
    with Models() as models:
        for name, message in messages.items():
            with pytest.raises(InputError, match=message) as caught:
                models.open(tmp_path / name)
            assert str(caught.value).startswith(str(tmp_path / name))
            assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match="no such model"):
            models.open("nul\0.onnx")
        assert models.open(write(tmp_path / "bare.onnx", about=None)).about == {}


def test_a_file_that_was_broken_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("not a model")
    with Models() as models:
        with pytest.raises(InputError):
            models.open(path)
        write(path)
        assert models.open(path).about["name"] == "tiny"


def test_a_shipped_model_that_is_missing_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    assert shipped() == ()
    with pytest.raises(DeepixError, match="the model 'photo' is missing from this installation"):
        Models().open("photo")


def test_numbers_that_are_not_finite_are_an_error_that_names_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "log.onnx", "Log")
    network = Models().open(path)
    np.testing.assert_array_equal(network.run({"x": np.float32([1])})[0], [0])
    for value in (0, -1):
        with pytest.raises(DeepixError, match="'y' is not finite") as caught:
            network.run({"x": np.float32([1, value])})
        assert str(caught.value).startswith(str(path))


def test_inputs_that_do_not_fit_are_an_error_that_names_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    with pytest.raises(DeepixError, match="cannot be run") as caught:
        Models().open(path).run({"x": np.zeros((2, 2), np.float32)})
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_model_at_work_tells_nobody_and_leaves_nothing(tmp_path):
    """ONNX Runtime's telemetry would keep an identifier below the home folder, and a session's beside other temporary
    files."""
    code = "import deepix; from skimage import data; deepix.find(data.astronaut()[:128, :128])"
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | places
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    left = [path.name for path in tmp_path.rglob("*") if "onnxruntime" in str(path) or path.name == ".ses"]
    assert left == []
