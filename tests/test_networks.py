"""The ancestor's architectures, the registry, and what a summary says of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deepix.errors import DeepixError  # noqa: E402
from deepix.training import networks, summary  # noqa: E402
from deepix.training.data import random_mosaics, samples  # noqa: E402
from deepix.training.data.samples import Sample  # noqa: E402
from deepix.training.networks import deepixv1  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

# as the ancestor states them; the course's BasicCNN: 2·32·9 + 32 + 4·(32·32·9 + 32) + 32·9 + 1
PARAMETERS = {
    "basiccnn:5:32:3": 37_889,
    "simplecnn:14:2,6": 813,
    "simplecnn:14:6,2": 877,
    "depixcnn:14:6,2:3": 907,
    "simpledeepixcnn:6:6,3": 2_813,
    "deepixcnn:10:7,3": 3_383,
    "deepixcnn:7:6,3": 1_975,
    "simplethickcnn:5:3,6": 81_155,
    "simplethickcnn:5:3,3": 47_523,
    "simplethickcnn:5:6,3": 82_019,
    "deepixv1:5,5,5:3,5": 106_499,
    "deepixv1:4,5,7,3:3,3": 370_611,
    "deepixv1:5,5,6,7:3,5": 479_427,
    "deepixv1:5,5,6,7,8:3,5": 1_860_419,
    "deepixv1:5,7,9:3,5": 2_529_251,
    "deepixv1:5,5,6,6,7,7,8:3,5": 2_415_107,
}
COMPOSITES = {"simpledeepixcnn", "deepixcnn", "simplethickcnn", "deepixv1"}
ANCESTORS = {name for name, family in networks.FAMILIES.items() if issubclass(family.network, deepixv1.PictureAndMask)}
SMALL = [  # one of each family
    "basiccnn:2:4:3",
    "simplecnn:3:6,2",
    "depixcnn:3:2,6:4",
    "simpledeepixcnn:2:6,3",
    "deepixcnn:2:6,3",
    "simplethickcnn:2:3,4",
    "deepixv1:2,3,4:3,5",
]


def an_input(batch: int = 2, height: int = 12, width: int = 9) -> torch.Tensor:
    x = torch.rand(batch, 2, height, width, generator=torch.Generator().manual_seed(1))
    x[:, 1] = (x[:, 1] > 0.5).float()
    return x


def test_every_named_size_of_the_ancestor_is_counted() -> None:
    assert {name for name in networks.names() if name.partition(":")[0] in ANCESTORS} == set(PARAMETERS)
    assert {name.partition(":")[0] for name in SMALL} == ANCESTORS


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_ancestor(name: str) -> None:
    assert sum(p.numel() for p in networks.create(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", SMALL)
def test_forward_keeps_the_ancestors_contract(name: str) -> None:
    network = networks.create(name).eval()
    x = an_input()
    result = network(x)
    assert result.shape == (2, 1, 12 * 9)
    known = x[:, 1].flatten(1) == 1
    same = torch.equal(result[:, 0][known], x[:, 0].flatten(1)[known])
    assert same == (name.partition(":")[0] in COMPOSITES)
    assert not torch.equal(result[:, 0][~known], x[:, 0].flatten(1)[~known])


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_that_is_trained_gets_a_gradient(name: str) -> None:
    """Processes that train together wait for all of them."""
    network = networks.create(name)
    sample = samples.sample(torch.rand(2, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    network.restore(sample).sum().backward()
    assert [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", SMALL)
def test_the_config_builds_the_same_network(name: str) -> None:
    network = networks.create(name)
    again = networks.create(**json.loads(json.dumps(network.config)))
    assert again.config == network.config
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(an_input()), network.eval()(an_input()))


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("name", [*SMALL, "deepixcnn:3:7,4", "simpledeepixcnn:5:2,6"])
def test_architectures_are_recognised_from_their_tensors(name: str, batch_norm: bool) -> None:
    overrides = {} if name.startswith("basiccnn") else {"batch_norm": batch_norm}
    network = networks.create(name, **overrides)
    found = networks.create(**deepixv1.recognise(network.state_dict()))
    assert {k: v.shape for k, v in found.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    assert type(found) is type(network)


def test_other_tensors_are_not_recognised() -> None:
    for state in ({}, {"layer.weight": torch.zeros(2, 2)}, {"hidden_layers.0.weight": torch.zeros(2)}):
        with pytest.raises(ValueError, match="none of the known"):
            deepixv1.recognise(state)


def test_deepixv1_computes_what_its_description_says() -> None:
    """Against the layers written out with functions, from the same state dict."""
    network = networks.create("deepixv1:2,3,4:3,5").eval()
    generator = torch.Generator().manual_seed(2)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - (0 if "running_var" in name else 0.4))
    state = network.state_dict()
    f = torch.nn.functional

    def conv_norm(x: torch.Tensor, conv: str, norm: str) -> torch.Tensor:
        weight = state[f"{conv}.weight"]
        x = f.conv2d(x, weight, state[f"{conv}.bias"], padding=weight.shape[-1] // 2)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return f.batch_norm(x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"])

    x = an_input()
    y = f.relu(conv_norm(x, "input_layer", "bn1"))
    for i in range(2):
        block = f"hidden_layers.{i}."
        z = f.relu(conv_norm(y, block + "conv1", block + "bn1"))
        z = f.relu(conv_norm(z, block + "conv2", block + "bn2") + y)
        y = f.relu(conv_norm(z, block + "conv3", block + "bn3"))
    y = torch.sigmoid(conv_norm(y, "output_layer", "bn2"))
    expected = torch.where(x[:, 1:] == 0, y, x[:, :1]).flatten(-2)
    torch.testing.assert_close(network(x), expected)


@given(
    first=st.integers(1, 15),
    last=st.integers(1, 15),
    count=st.integers(2, 20),
)
def test_kernels_are_odd_and_lie_in_their_range(first: int, last: int, count: int) -> None:
    sizes = deepixv1.kernel_sizes((first, last), count)
    assert len(sizes) == count
    assert all(size % 2 == 1 for size in sizes)
    assert sizes == sorted(sizes, reverse=first > last)
    assert sizes[0] == first - (first % 2 == 0)
    assert sizes[-1] == last - (last % 2 == 0)


def test_kernels_in_between() -> None:
    assert deepixv1.kernel_sizes((6, 3), 7) == [5, 5, 5, 3, 3, 3, 3]  # 6, 5.5, 5, 4.5, 4, 3.5, 3
    assert deepixv1.kernel_sizes((3, 5), 3) == [3, 3, 5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "there are basiccnn:5:32:3, simplecnn:14:2,6"),
        ("deepixv1", "takes shape, kernels, batch_norm, as in deepixv1:5,5,5:3,5"),
        ("deepixv1:big", "'big' is neither a named size nor numbers"),
        ("deepixv1:5,5,5:3,5:7", "no size is called '5,5,5:3,5:7'"),
        ("deepixv1:5,5:3,5", "interpolated over 2 or more layers, not 1"),
        ("deepixv1:5:3,5", "the shape holds the orders"),
        ("simplecnn:1:3,5", "interpolated over 2 or more layers, not 1"),
        ("simplecnn:3:3", "kernels are a range"),
        ("simplethickcnn:3:0,5", "kernels are a range"),
        ("basiccnn:0", "length must be at least 1"),
    ],
)
def test_impossible_networks_are_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(DeepixError) as caught:
        networks.create(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_ignore_case_and_overrides_win() -> None:
    network = networks.create("SimpleThickCNN:5:3,3", length=2, batch_norm=False)
    assert network.config == {"name": "simplethickcnn", "length": 2, "kernels": [3, 3], "batch_norm": False}
    with pytest.raises(DeepixError, match="unexpected keyword argument 'depth'"):
        networks.create("simplethickcnn:5:3,3", depth=3)


@pytest.mark.parametrize("name", SMALL)
def test_restoring_is_forward_of_each_channel(name: str) -> None:
    network = networks.create(name).eval()
    truth = torch.rand(3, 2, 16, 20, generator=torch.Generator().manual_seed(3))
    sample = samples.sample(truth, random_mosaics.Ranges(width=(4, 8), height=(4, 8)), torch.Generator().manual_seed(4))
    restored = network.restore(sample)
    assert restored.shape == truth.shape
    known = sample.mosaics.known.float()
    for channel in range(2):
        x = torch.cat([sample.pixelated[:, channel : channel + 1], known], dim=1)
        expected = network(x).reshape(3, 16, 20)
        torch.testing.assert_close(restored[:, channel], expected)


def test_training_lowers_the_error_and_reaches_all_parameters_in_use() -> None:
    torch.manual_seed(0)
    network = networks.create("deepixv1:3,3,3:3,3").train()
    generator = torch.Generator().manual_seed(5)
    sample = samples.sample(torch.rand(4, 1, 16, 16, generator=generator), generator=generator)
    assert isinstance(sample, Sample)
    assert sample.truth is not None
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((network.restore(sample) - sample.truth) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", ["deepixv1:2,3,4:3,5", "simpledeepixcnn:2:6,3"])
def test_summary_counts(name: str) -> None:
    network = networks.create(name)
    report = summary.to_dict(summary.count(network, batch=3, size=16))
    assert report["parameters"] == sum(p.numel() for p in network.parameters())
    modules = dict(network.named_modules())
    for layer in report["layers"]:
        assert type(modules[layer["name"]]).__name__ == layer["kind"]
    # a convolution's multiply-adds: each weight and bias once for each pixel and picture
    ours = {layer["name"]: layer["mult_adds"] for layer in report["layers"] if layer["kind"] == "Conv2d"}
    for conv, mult_adds in ours.items():
        assert mult_adds == sum(p.numel() for p in modules[conv].parameters()) * 3 * 16 * 16
    assert report["mult_adds"] >= sum(ours.values()) > 0


def test_summary_measures() -> None:
    network = networks.create("simplecnn:2:3,3")
    before = network.input_layer.weight.clone()
    speed = summary.measure(network, batch=4, size=16, seconds=0)
    assert not torch.equal(network.input_layer.weight, before), "training steps were made"
    assert speed.training_rate == pytest.approx(4 / speed.step_seconds)
    assert set(speed.inference_rates) == {1, 64}
    assert min(speed.step_seconds, *speed.inference_rates.values()) > 0
    assert speed.epoch_seconds(9) == pytest.approx(3 * speed.step_seconds)
