import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.model.attention import AttentionLayer, CrossAttention, DynamicQueryGenerator


class OnlyNumbers(TorchDispatchMode):
    """Fails as soon as anything is computed that is not finite, in a backward pass too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        for x in result if isinstance(result, tuple) else (result,):
            if isinstance(x, Tensor) and x.is_floating_point() and "empty" not in str(func):
                assert x.isfinite().all(), str(func)
        return result


def test_plain_is_torchs_multi_head_attention_without_projections() -> None:
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(32, 4, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.eye(32).repeat(3, 1))
        reference.out_proj.weight.copy_(torch.eye(32))
    query, key, value = torch.randn(2, 5, 32), torch.randn(2, 9, 32), torch.randn(2, 9, 32)
    present = torch.rand(2, 9) > 0.3
    expected = reference(query, key, value, key_padding_mask=~present)
    found = CrossAttention(32, 4, "plain")(query=query, key=key, value=value, present=present)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


def test_match_compares_by_angle_with_temperature_ten() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(1, 3, 8), torch.randn(1, 6, 8)
    weights = CrossAttention(8, 1)(query, key, key)[1]
    angles = torch.cosine_similarity(query[:, :, None], key[:, None], dim=-1)
    torch.testing.assert_close(weights, (10 * angles).softmax(-1))
    torch.testing.assert_close(CrossAttention(8, 1)(5 * query, 0.1 * key, key)[1], weights)


def test_temperature_is_bounded() -> None:
    attention = CrossAttention(8, 2)
    with torch.no_grad():
        attention.log_temperature.fill_(50.0)
    weights = attention(torch.randn(1, 3, 8), torch.randn(1, 4, 8), torch.randn(1, 4, 8))[1]
    assert weights.isfinite().all()


@pytest.mark.parametrize("kind", ["match", "plain"])
def test_absent_keys_get_nothing_and_no_key_at_all_is_zero(kind: str) -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 2, kind)
    query, key = torch.randn(2, 3, 16, requires_grad=True), torch.randn(2, 6, 16)
    present = torch.tensor([[True, False, True, False, False, True], [False] * 6])
    found, weights = attention(query, key, key, present)
    assert (weights[0, :, ~present[0]] == 0).all()
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(3))
    assert (weights[1] == 0).all()
    assert (found[1] == 0).all()
    found.square().sum().backward()
    assert query.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["match", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_absent_keys_bring_no_infinity_on_the_way(kind: str, dtype: torch.dtype) -> None:
    """Harmless in eager mode, but a compiler may turn "infinity times zero" into NaN."""
    torch.manual_seed(0)
    attention = CrossAttention(16, 2, kind)
    query, key = (torch.randn(2, n, 16, dtype=dtype, requires_grad=True) for n in (3, 6))
    present = torch.tensor([[True, False, True, False, False, True], [False] * 6])
    with OnlyNumbers():
        found, weights = attention(query, key, key, present)
        (found.square().sum() + weights.square().sum()).backward()


@pytest.mark.parametrize("kind", ["match", "plain"])
def test_weights_are_computed_in_full_precision(kind: str) -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 2, kind)
    if kind == "match":
        with torch.no_grad():
            attention.log_temperature.fill_(math.log(100.0))
    query, key = 3 * torch.randn(2, 3, 16), 3 * torch.randn(2, 6, 16)
    half = query.bfloat16(), key.bfloat16(), key.bfloat16()
    expected = attention(*(x.float() for x in half))[1]
    with torch.autocast("cpu", torch.bfloat16):
        weights = attention(*half)[1]
    torch.testing.assert_close(weights, expected)


def test_blank_features_do_not_become_nan() -> None:
    zeros = torch.zeros(1, 4, 16)
    for dtype in (torch.float32, torch.float16):
        found, weights = CrossAttention(16, 2).to(dtype)(*[zeros.to(dtype)] * 3)
        assert found.isfinite().all()
        assert weights.isfinite().all()


def layer(**options: object) -> AttentionLayer:
    settings = {"kind": "match", "tied_values": False, "first": True, **options}
    return AttentionLayer(24, [24], 32, 4, 2, **settings)


def test_query_and_key_projections_start_equal_for_match_only() -> None:
    match, plain = layer(), layer(kind="plain")
    assert torch.equal(match.query.query_proj.weight, match.key[0].weight)
    assert torch.equal(match.query.query_proj.bias, match.key[0].bias)
    assert match.query.query_proj.weight is not match.key[0].weight
    assert not torch.equal(plain.query.query_proj.weight, plain.key[0].weight)
    assert not torch.equal(match.value[0].weight, match.key[0].weight)


def test_untrained_match_finds_moved_content_and_reads_how_far_it_moved() -> None:
    torch.manual_seed(0)
    attention = layer()
    with torch.no_grad():
        attention.slots.zero_()
        attention.value[0].weight.zero_()
        attention.value[0].bias.zero_()
        attention.attention.log_temperature.fill_(math.log(100.0))
        attention.out.weight.copy_(torch.eye(32))
        attention.out.bias.zero_()
    new, places = torch.randn(1, 6, 24), torch.randn(6, 32)
    past = new.roll(1, dims=1)
    keys, values = (x[:, None].repeat(1, 2, 1, 1) for x in attention.project([past]))
    found, weights = attention.attend(
        attention.query(new), keys, values, torch.tensor([[True, True]]), places, places
    )
    assert weights[0].unflatten(1, (2, 6)).argmax(-1).tolist() == [[(i + 1) % 6] * 2 for i in range(6)]
    torch.testing.assert_close(found[0], places.roll(-1, dims=0) - places, atol=0.05, rtol=0.05)


def test_slots_and_places_are_added_to_keys_only_in_the_plain_kind() -> None:
    torch.manual_seed(0)
    query, memory, valid = torch.randn(1, 4, 32), torch.randn(1, 2, 4, 32), torch.ones(1, 2, dtype=torch.bool)
    here = torch.zeros(4, 32)
    for kind, moves in (("match", False), ("plain", True)):
        attention = layer(kind=kind)
        weights = [
            attention.attend(query, memory, memory, valid, here, torch.randn(4, 32))[1] for _ in range(2)
        ]
        assert torch.equal(*weights) is not moves


def test_no_past_gives_the_learned_answer() -> None:
    attention = layer()
    with torch.no_grad():
        attention.no_past.normal_()
    memory, here = torch.randn(1, 2, 4, 32), torch.randn(4, 32)
    found, _ = attention.attend(
        torch.randn(1, 4, 32), memory, memory, torch.zeros(1, 2, dtype=torch.bool), here, here
    )
    torch.testing.assert_close(found, attention.out(attention.no_past).expand(1, 4, 32))


def test_tied_values_are_the_keys() -> None:
    keys, values = layer(tied_values=True).project([torch.randn(2, 5, 24)])
    assert keys is values
    keys, values = layer().project([torch.randn(2, 5, 24)])
    assert not torch.equal(keys, values)


def test_dynamic_query_generator_is_a_projection_of_the_input() -> None:
    generator = DynamicQueryGenerator(24, 32)
    x = torch.randn(2, 5, 24)
    torch.testing.assert_close(generator(x), x @ generator.query_proj.weight.T + generator.query_proj.bias)
