"""Weights files, the ancestor's pickles, and the commands about them."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from deepix.cli.weights import app  # noqa: E402
from deepix.errors import InputError, OutputError  # noqa: E402
from deepix.training import networks, weights  # noqa: E402
from deepix.training.networks import Network  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

HIS_NAMES = {  # ours → his
    "simplecnn:3:6,2": "SimpleCNN",
    "depixcnn:3:2,6:3": "DepixCNN",
    "simpledeepixcnn:3:6,3": "SimpleDeepixCNN",
    "deepixcnn:3:7,3": "DeepixCNN_noskip",
    "simplethickcnn:2:3,6": "SimpleThickCNN",
    "deepixv1:2,3,4:3,5": "Deepixv1",
}


def an_output(network: Network) -> torch.Tensor:
    x = torch.rand(2, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    x[:, 1] = (x[:, 1] > 0.5).float()
    with torch.inference_mode():
        return network.eval()(x)


def a_network(name: str = "deepixv1:2,3,4:3,5") -> Network:
    """Return a network whose tensors are all random, running statistics included."""
    network = networks.create(name)
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
        else:
            tensor.fill_(7)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.add_(0.5)
    return network.eval()


# ── weights files ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HIS_NAMES)
def test_saving_and_loading_is_the_identity(name: str, tmp_path: Path) -> None:
    network = a_network(name)
    path = tmp_path / "a.safetensors"
    weights.save(network, path, extra={"score": 1.5, "data": ["a", "ü"]})
    loaded = weights.load(path)
    assert not loaded.training
    assert loaded.config == network.config
    assert torch.equal(an_output(loaded), an_output(network))
    ours, theirs = network.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert weights.metadata(path) == (network.config, {"score": 1.5, "data": ["a", "ü"]})
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_run_folder_stands_for_its_best_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no best\.safetensors"):
        weights.load(tmp_path)
    weights.save(a_network(), tmp_path / weights.BEST)
    assert torch.equal(an_output(weights.load(tmp_path)), an_output(a_network()))
    assert weights.metadata(tmp_path).extra == {}


def test_a_folder_of_a_network_s_name_does_not_stand_for_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("restorer").mkdir()
    assert not weights.exist("restorer")
    assert weights.exist(tmp_path / "restorer")
    weights.save(a_network(), Path("restorer") / weights.BEST)
    assert weights.exist("restorer")


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights.save(a_network(), path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        weights.save(a_network("simplecnn:2:3,3"), path)
    assert path.read_bytes() == before
    weights.save(a_network("simplecnn:2:3,3"), path, overwrite=True)
    assert weights.load(path).config["name"] == "simplecnn"
    with pytest.raises(OutputError, match=r"as \.safetensors"):
        weights.save(a_network(), tmp_path / "a.pt")


def test_other_tensors_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = a_network()
    state = network.state_dict()
    del state["bn2.bias"], state["output_layer.weight"]
    state["bn9.bias"] = torch.zeros(1)
    state["bn1.bias"] = torch.zeros(3)
    path = tmp_path / "a.safetensors"
    save_file(state, path, {"config": json.dumps(network.config)})
    with pytest.raises(InputError) as caught:
        weights.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "missing: output_layer.weight, bn2.bias; unexpected: bn9.bias" in text
    assert "of another shape: bn1.bias (3,) instead of (4,)" in text


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "does not say which network"),
        ({"config": "{"}, "metadata are damaged"),
        ({"config": "[]"}, "metadata are damaged"),
        ({"config": "{}"}, "name no network"),
        ({"config": '{"name": 3}'}, "name no network"),
        ({"config": '{"name": "resnet"}'}, "no network is called 'resnet'"),
        ({"config": '{"name": "simplecnn:3:3,3", "depth": 3}'}, "unexpected keyword argument"),
        ({"config": '{"name": "deepixv1", "shape": [5, 5], "kernels": [3, 5]}'}, "2 or more layers"),
    ],
)
def test_files_that_name_no_network_are_refused(tmp_path: Path, metadata: dict[str, str] | None, message: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata)
    with pytest.raises(InputError, match=message) as caught:
        weights.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        weights.load(tmp_path / "none.safetensors")
    torch.save({"x": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="deepix weights import"):
        weights.load(tmp_path / "a.pt")
    whole = tmp_path / "whole.safetensors"
    weights.save(a_network(), whole)
    for length in (0, 5, 100, 3000):
        part = tmp_path / "part.safetensors"
        part.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(InputError, match=r"not a \.safetensors file"):
            weights.load(part)


# ── the ancestor's pickles ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def architectures(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module `architectures` with classes of his names, as torch.save saw them."""
    module = types.ModuleType("architectures")
    for name in [*HIS_NAMES.values(), "BasicBlock", "SkipBlock", "BasicAddBlock"]:
        setattr(module, name, type(name, (nn.Module,), {"__module__": "architectures"}))
    monkeypatch.setitem(sys.modules, "architectures", module)
    return module


def as_his(network: nn.Module, architectures: types.ModuleType, name: str) -> nn.Module:
    """Return a module of his class with the children, parameters and buffers of ours, his children likewise."""
    his = getattr(architectures, name)()
    his.use_batchnorm, his.kernel_size, his.shape = True, (3, 5), [2, 3, 4]
    for child_name, child in network.named_children():
        own = getattr(architectures, type(child).__name__, None)
        if own is None and isinstance(child, nn.Sequential):
            child = nn.Sequential(
                *(
                    as_his(c, architectures, type(c).__name__) if hasattr(architectures, type(c).__name__) else c
                    for c in child
                )
            )
        elif own is not None:
            child = as_his(child, architectures, type(child).__name__)
        his.add_module(child_name, child)
    his.flatten = nn.Flatten(start_dim=-2)
    return his


@pytest.mark.parametrize("name", HIS_NAMES)
def test_his_pickles_are_imported(
    name: str, architectures: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = a_network(name)
    path = tmp_path / "his.pt"
    torch.save(as_his(network, architectures, HIS_NAMES[name]), path)
    assert HIS_NAMES[name].encode() in path.read_bytes(), "the whole module was pickled"
    monkeypatch.delitem(sys.modules, "architectures")  # as where his code is not at hand
    imported = weights.import_pickle(path)
    assert imported.config["name"] == name.partition(":")[0]
    assert torch.equal(an_output(imported), an_output(network))
    assert not imported.training
    assert weights._Pickled not in torch.serialization.get_safe_globals()


def test_state_dicts_are_imported(tmp_path: Path) -> None:
    network = a_network()
    torch.save(network.state_dict(), tmp_path / "state.pt")
    assert torch.equal(an_output(weights.import_pickle(tmp_path / "state.pt")), an_output(network))


def test_his_older_code_is_named_not_guessed(architectures: types.ModuleType, tmp_path: Path) -> None:
    his = as_his(a_network(), architectures, "Deepixv1")
    del his.bn2
    his.extra = nn.Conv2d(1, 1, 3)
    torch.save(his, tmp_path / "old.pt")
    with pytest.raises(InputError) as caught:
        weights.import_pickle(tmp_path / "old.pt")
    text = str(caught.value)
    assert "missing: bn2.weight, bn2.bias, bn2.running_mean, bn2.running_var, bn2.num_batches_tracked" in text
    assert "unexpected: extra.weight, extra.bias" in text
    assert "\n" not in text


class Payload:
    """Runs code when unpickled: makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_pickles_is_refused_and_not_run(architectures: types.ModuleType, tmp_path: Path) -> None:
    target, path = tmp_path / "made", tmp_path / "bad.pt"
    his = as_his(a_network(), architectures, "Deepixv1")
    his.payload = Payload(target)
    torch.save(his, path)
    torch.load(path, weights_only=False)
    assert target.exists(), "the payload works"
    target.rmdir()
    with pytest.raises(InputError, match=rf"refused, it refers to {os.mkdir.__module__}\.mkdir") as caught:
        weights.import_pickle(path)
    assert not target.exists()
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_the_old_format_is_refused(architectures: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save(as_his(a_network(), architectures, "Deepixv1"), path, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"not in the zip format that torch\.save writes since PyTorch 1\.6"):
        weights.import_pickle(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_pickles_are_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    target, path = tmp_path / "made", tmp_path / "bad.pt"
    path.write_bytes(pickle.dumps(Payload(target), protocol))
    pickle.loads(path.read_bytes())
    assert target.exists(), "the payload works"
    target.rmdir()
    with pytest.raises(InputError, match="refused"):
        weights.import_pickle(path)
    assert not target.exists()


def test_a_class_of_his_cannot_be_called(architectures: types.ModuleType, tmp_path: Path) -> None:
    """A stand-in is only ever an empty object: arguments for it are refused."""

    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return architectures.Deepixv1, ("rm", "-rf")

    architectures.Deepixv1.__init__ = lambda self, *arguments: nn.Module.__init__(self)
    torch.save(Calls(), tmp_path / "bad.pt")
    with pytest.raises(InputError, match="refused"):
        weights.import_pickle(tmp_path / "bad.pt")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, torch.zeros(3), {"layer.weight": torch.zeros(2, 2)}])
def test_other_content_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"none of the known architectures|no tensors of a network"):
        weights.import_pickle(tmp_path / "other.pt")


def test_broken_pickles_are_refused(architectures: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        weights.import_pickle(tmp_path / "none.pt")
    whole, part = tmp_path / "whole.pt", tmp_path / "part.pt"
    torch.save(as_his(a_network(), architectures, "Deepixv1"), whole)
    data = whole.read_bytes()
    for length in (0, 1, 40, len(data) // 2, len(data) - 30):
        part.write_bytes(data[:length])
        with pytest.raises(InputError, match="refused"):
            weights.import_pickle(part)


def test_forged_modules_are_refused(architectures: types.ModuleType, tmp_path: Path) -> None:
    loop = architectures.Deepixv1()
    loop.__dict__["_modules"]["again"] = loop
    torch.save(loop, tmp_path / "loop.pt")
    odd = architectures.Deepixv1()
    odd.__dict__["_parameters"] = 3
    torch.save(odd, tmp_path / "odd.pt")
    for name in ("loop.pt", "odd.pt"):
        with pytest.raises(InputError):
            weights.import_pickle(tmp_path / name)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────


def test_the_commands_import_and_show(architectures: types.ModuleType, tmp_path: Path) -> None:
    network = a_network()
    his, ours = tmp_path / "his (5,5).pt", tmp_path / "ours.safetensors"
    torch.save(as_his(network, architectures, "Deepixv1"), his)
    count = sum(p.numel() for p in network.parameters())
    result = CliRunner().invoke(app, ["import", str(his), "-o", str(ours)])
    assert result.exit_code == 0, result.output
    assert torch.equal(an_output(weights.load(ours)), an_output(network))
    again = CliRunner().invoke(app, ["import", str(his), "-o", str(ours)])
    assert isinstance(again.exception, OutputError)
    assert CliRunner().invoke(app, ["import", str(his), "-o", str(ours), "--overwrite"]).exit_code == 0

    shown = CliRunner().invoke(app, ["show", str(ours), "--json"])
    assert shown.exit_code == 0, shown.output
    report = json.loads(shown.stdout)
    assert report["config"] == network.config
    assert report["extra"] == {"imported_from": "his (5,5).pt"}
    assert report["parameters"] == count
    assert set(report["tensors"]) == set(network.state_dict())
    text = CliRunner().invoke(app, ["show", str(ours)])
    assert text.exit_code == 0, text.output


def test_the_summary_command_prints_numbers() -> None:
    import typer

    from deepix.cli.summary import summary

    verb = typer.Typer()
    verb.command()(summary)
    common = ["simplecnn:2:3,3", "--batch", "2", "--size", "16", "--seconds", "0", "--device", "cpu"]
    result = CliRunner().invoke(verb, [*common, "--pictures", "10", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["parameters"] == sum(p.numel() for p in networks.create("simplecnn:2:3,3").parameters())
    assert report["epoch"]["pictures"] == 10
    assert report["epoch"]["seconds"] == pytest.approx(5 * report["measured"]["step_seconds"])
    assert CliRunner().invoke(verb, common).exit_code == 0


def test_the_commands_need_no_torch_to_be_listed() -> None:
    code = "import sys, deepix.cli.weights, deepix.cli.summary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_weights_are_written_where_safetensors_is_missing(tmp_path, monkeypatch):
    network = networks.create("deepixv1:3,3,4:3,3")
    weights.save(network, tmp_path / "theirs.safetensors", extra={"score": 1.5})
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    weights.save(network, tmp_path / "ours.safetensors", extra={"score": 1.5})
    monkeypatch.undo()
    assert weights.metadata(tmp_path / "ours.safetensors") == weights.metadata(tmp_path / "theirs.safetensors")
    again = weights.load(tmp_path / "ours.safetensors").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())
