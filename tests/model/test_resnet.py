import copy

import pytest
import torch
import torchvision
from torch import nn

from pipeline.model.resnet import ResNetCBAM
from tests.model.small import shaken


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_features_equal_torchvision_exactly(name: str) -> None:
    torch.manual_seed(0)
    plain = shaken(torchvision.models.get_model(name)).eval()
    gated = ResNetCBAM(int(name.removeprefix("resnet")), num_classes=1000).eval()
    gated.load_plain(plain.state_dict())
    x = torch.randn(2, 3, 96, 80)
    with torch.no_grad():
        assert (gated(x) - plain(x)).abs().max() == 0.0


@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, 11_779_392), (34, 21_960_468), (50, 28_089_624), (101, 49_330_172)]
)
def test_number_of_parameters(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        network = ResNetCBAM(depth, num_classes=1000)
    assert sum(weights.numel() for weights in network.parameters()) == parameters


def test_unknown_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth 42: choose one of 18, 34, 50, 101"):
        ResNetCBAM(42)


@pytest.mark.parametrize("depth", [18, 50])
def test_stages_have_the_announced_shapes(depth: int) -> None:
    network = ResNetCBAM(depth).eval()
    with torch.no_grad():
        found = network.features(torch.randn(1, 3, 70, 64), ("layer2", "layer4", "layer3"))
    grids = {"layer2": (9, 8), "layer3": (5, 4), "layer4": (3, 2)}
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == {
        name: (network.channels[name], *grid) for name, grid in grids.items()
    }


def test_weights_of_another_depth_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ResNetCBAM(18).load_plain(torchvision.models.resnet34().state_dict())
    with pytest.raises(ValueError, match="does not fit"):
        ResNetCBAM(34).load_plain(torchvision.models.resnet18().state_dict())


def test_classifier_of_other_size_is_left_alone() -> None:
    network = ResNetCBAM(18, num_classes=9)
    before = network.fc.weight.clone()
    plain = torchvision.models.resnet18()
    network.load_plain(plain.state_dict())
    assert torch.equal(network.fc.weight, before)
    assert torch.equal(network.conv1.weight, plain.conv1.weight)


@pytest.mark.parametrize("depth", [18, 50])
def test_identity_blocks_pass_their_input_through(depth: int) -> None:
    network = ResNetCBAM(depth, identity_blocks=True).train()
    x = torch.rand(2, network.channels["layer1"], 8, 8)
    torch.testing.assert_close(network.layer1[1](x), x)
    other = ResNetCBAM(depth).train()
    assert not torch.allclose(other.layer1[1](x), x)


def test_official_start_moves_the_features() -> None:
    plain = torchvision.models.resnet18().eval()
    gated = ResNetCBAM(18, start="official").eval()
    gated.load_plain(plain.state_dict())
    same = ResNetCBAM(18).eval()
    same.load_plain(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert (gated(x) - same(x)).norm() / same(x).norm() > 0.1


def test_gradient_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    torch.manual_seed(0)
    plain = shaken(ResNetCBAM(18)).train()
    saving = copy.deepcopy(plain)
    saving.gradient_checkpointing = True
    calls = []
    saving.layer3.register_forward_pre_hook(lambda *_: calls.append(1))
    for _ in range(2):
        x = torch.randn(3, 3, 64, 64)
        for network in (plain, saving):
            network(x).square().mean().backward()
    assert len(calls) == 4, "a checkpointed stage runs twice for each backward pass"
    for (name, a), (_, b) in zip(plain.named_parameters(), saving.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), (_, b) in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)
    momenta = {module.momentum for module in saving.modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {0.1, 0.01}
