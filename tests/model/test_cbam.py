import torch
from torch import Tensor

from pipeline.model.cbam import CBAM, ChannelGate, SpatialGate
from tests.model.small import shaken


def test_identity_start_changes_nothing() -> None:
    x = torch.randn(2, 64, 7, 5)
    for gate in (CBAM(64).train(), CBAM(64).eval()):
        assert torch.equal(gate(x), x)


def test_identity_start_can_learn() -> None:
    gate = CBAM(64).train()
    gate(torch.randn(2, 64, 7, 7)).square().sum().backward()
    assert gate[0].excite.weight.grad.abs().max() > 0
    assert gate[1].bn.weight.grad.abs().max() > 0


def test_gradients_find_the_maximum_by_index() -> None:
    """Looked up by value it is not found again by a compiled pass in half precision: see ``_largest``."""
    torch.manual_seed(0)
    gate, x = shaken(CBAM(64)).eval(), torch.randn(2, 64, 7, 5)
    y = gate(x.requires_grad_())
    nodes, seen = [y.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
    names = [node.name() for node in seen]
    assert len([name for name in names if name.startswith("MaxBackward")]) == 2
    assert not [name for name in names if name.startswith("Amax")]
    with torch.no_grad():
        assert torch.equal(gate(x), y)


def test_official_start_is_far_from_identity() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 64, 7, 7)
    with torch.no_grad():
        kept = CBAM(64, start="official").eval()(x).norm() / x.norm()
    assert 0.15 < kept < 0.4


def test_channel_gate_follows_the_paper() -> None:
    """sigmoid(MLP(average) + MLP(maximum)), one factor for each channel."""
    torch.manual_seed(0)
    gate, x = shaken(ChannelGate(32, reduction=8, start="official")), torch.randn(3, 32, 5, 4)

    def perceptron(pooled: Tensor) -> Tensor:
        hidden = torch.relu(pooled @ gate.squeeze.weight.T + gate.squeeze.bias)
        return hidden @ gate.excite.weight.T + gate.excite.bias

    flat = x.flatten(2)
    factor = torch.sigmoid(perceptron(flat.mean(2)) + perceptron(flat.max(2).values))
    torch.testing.assert_close(gate(x), x * factor[..., None, None])


def test_spatial_gate_sees_mean_and_maximum_of_the_channels() -> None:
    torch.manual_seed(0)
    gate, x = shaken(SpatialGate()).eval(), torch.randn(2, 16, 9, 9)
    same_pools = x.flip(1)
    torch.testing.assert_close(gate(same_pools), gate(x).flip(1))
    torch.testing.assert_close(gate(x) / x, (gate(x) / x)[:, :1].expand_as(x), rtol=1e-4, atol=1e-4)
