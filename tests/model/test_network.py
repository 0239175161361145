"""The contract with the guide; senseless options; half precision."""

from typing import Any

import pytest
import torch
import torchvision

from pipeline.model.architecture import Architecture
from pipeline.model.network import TemporalKVQResNetCBAM
from tests.model.small import clip, small

GUIDE_KEYS = {
    *("feat_t_minus_2", "feat_t_minus_1", "feat_t", "feat_flat_t_minus_2", "feat_flat_t_minus_1"),
    *("feat_flat_t", "K", "V", "Q", "k_t_minus_2", "k_t_minus_1", "v_t_minus_2", "v_t_minus_1"),
    *("attended_output", "attention_weights"),
}


def test_depth_50_at_224_px_has_the_guides_shapes() -> None:
    model = TemporalKVQResNetCBAM().eval()
    with torch.no_grad():
        output, info = model(*clip(1, 3, 224).unbind(1))
    assert output.shape == (1, 1000)
    assert {name: tuple(x.shape[1:]) for name, x in info.items()} == {
        **dict.fromkeys(("feat_t_minus_2", "feat_t_minus_1", "feat_t"), (2048, 7, 7)),
        **dict.fromkeys(("feat_flat_t_minus_2", "feat_flat_t_minus_1", "feat_flat_t"), (49, 2048)),
        **dict.fromkeys(("K", "V"), (98, 512)),
        **dict.fromkeys(("k_t_minus_2", "k_t_minus_1", "v_t_minus_2", "v_t_minus_1"), (49, 512)),
        **dict.fromkeys(("Q", "attended_output"), (49, 512)),
        "attention_weights": (49, 98),
    }


@torch.no_grad()
@pytest.mark.parametrize("attention", ["match", "plain"])
def test_the_parts_belong_together(attention: str) -> None:
    model = small(attention=attention)
    _, info = model(*clip(2, 3).unbind(1))
    assert set(info) == GUIDE_KEYS
    layer = model.temporal.layers[0]
    for name in ("t_minus_2", "t_minus_1", "t"):
        flat = info[f"feat_{name}"].flatten(2).transpose(1, 2)
        torch.testing.assert_close(info[f"feat_flat_{name}"], flat)
    for name in ("t_minus_2", "t_minus_1"):
        torch.testing.assert_close(info[f"k_{name}"], layer.key[0](info[f"feat_flat_{name}"]))
    torch.testing.assert_close(info["Q"], layer.query(info["feat_flat_t"]))
    torch.testing.assert_close(info["K"], torch.cat([info["k_t_minus_2"], info["k_t_minus_1"]], 1))
    torch.testing.assert_close(info["V"], torch.cat([info["v_t_minus_2"], info["v_t_minus_1"]], 1))
    assert torch.equal(info["K"], info["V"]) is (attention == "plain")
    torch.testing.assert_close(info["attention_weights"].sum(-1), torch.ones(2, 4))


def test_names_for_other_numbers_of_past_frames() -> None:
    with torch.no_grad():
        _, info = small(num_past=4)(*clip(1, 5).unbind(1))
    assert len(info) == 15 + 2 * 4
    assert info["k_t_minus_4"].shape == info["v_t_minus_3"].shape == (1, 4, 32)
    assert info["K"].shape == (1, 16, 32)


def test_untrained_network_starts_equal_where_it_should() -> None:
    model = TemporalKVQResNetCBAM(
        depth=18, use_shared_weights=False, scales=("layer4", "layer3"), num_layers=2
    )
    for layer in model.temporal.layers:
        assert torch.equal(layer.query.query_proj.weight, layer.key[0].weight)
        assert layer.attention.log_temperature.exp().flatten().tolist() == pytest.approx([10.0] * 8)
    first, *others = [backbone.state_dict() for backbone in model.backbones]
    assert len(others) == 2
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_imagenet_weights_reach_every_backbone() -> None:
    plain = torchvision.models.resnet18().eval()
    model = small(use_shared_weights=False)
    model.load_backbone(plain.state_dict())
    assert all(torch.equal(backbone.conv1.weight, plain.conv1.weight) for backbone in model.backbones)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 20}, "depth 20"),
        ({"d_model": 30}, "d_model 30 is not a multiple of num_heads 4"),
        ({"num_past": 0}, "num_past must be at least 1, not 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, not 0"),
        ({"attention": "linear"}, "choose match or plain"),
        ({"cbam_start": "zero"}, "choose identity or official"),
        ({"scales": ("layer1",)}, "scales"),
        ({"scales": ()}, "scales"),
        ({"scales": ("layer4", "layer4")}, "each once"),
        ({"head": "mode"}, "choose mean or grid"),
        ({"motion": True, "use_shared_weights": False}, "motion needs use_shared_weights"),
        ({"image_size": 16}, "at least 32 px"),
        ({"labels": ["a", "b"]}, "2 labels for num_classes 9"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_an_architecture_is_the_same_as_its_fields() -> None:
    fields = {"depth": 18, "num_classes": 3, "attention": "plain", "scales": ["layer3", "layer4"]}
    by_name, handed_in = TemporalKVQResNetCBAM(**fields), TemporalKVQResNetCBAM(Architecture(**fields))
    assert by_name.architecture == handed_in.architecture
    assert handed_in.architecture.scales == ("layer3", "layer4")
    assert handed_in.architecture.tied_values is True
    assert {name: x.shape for name, x in by_name.state_dict().items()} == {
        name: x.shape for name, x in handed_in.state_dict().items()
    }
    with pytest.raises(TypeError, match="d_model: give an architecture or its fields"):
        TemporalKVQResNetCBAM(Architecture(), d_model=256)
    with pytest.raises(TypeError, match="deepness"):
        TemporalKVQResNetCBAM(deepness=18)


@pytest.mark.parametrize("attention", ["match", "plain"])
def test_mixed_precision(attention: str) -> None:
    model, frames = small(attention=attention).train(), clip(2, 3, 32)
    exact, _ = model(*frames.unbind(1))
    with torch.amp.autocast("cpu", torch.bfloat16):
        logits, info = model(*frames.unbind(1), past_mask=torch.tensor([[True, False], [False, False]]))
        rough, _ = model(*frames.unbind(1))
    logits.float().square().mean().backward()
    assert info["K"].dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.3, rtol=0.1)
    assert all(weights.grad.isfinite().all() for weights in model.parameters())


@torch.no_grad()
def test_a_network_without_dense_motion_gives_none_and_reports_it_when_asked() -> None:
    model, frames = small(), clip(1, 3)
    state = model.init_state(1)
    assert state.match is state.fine is None
    output, features = model.predict(frames[:, 0], state)
    assert output.flow is output.uncertainty is output.moving is output.camera is None
    for call in (
        lambda: model.motion_of(features, state),
        lambda: model.motion_trace(frames, torch.ones(1, 2, dtype=torch.bool)),
    ):
        with pytest.raises(ValueError, match="no dense motion: build it with motion=True"):
            call()


@torch.no_grad()
def test_classes_know_of_the_motion_once_they_have_learned_from_it() -> None:
    model, frames = small(motion=True), clip(1, 3).unbind(1)
    logits, _ = model(*frames)
    for weights in model.motion_votes.parameters():
        weights.zero_()
    assert not torch.equal(model(*frames)[0], logits)
    fresh = TemporalKVQResNetCBAM(depth=18, num_classes=9, motion=True)
    assert not fresh.motion_votes[-1].weight.any(), "until then they are those of the attention"


def test_classes_do_not_change_what_dense_motion_learns() -> None:
    model = small(motion=True)
    model(*clip(1, 3).unbind(1))[0].sum().backward()
    assert all(weights.grad is None for weights in model.motion.parameters())
    assert all(weights.grad.any() for weights in model.motion_votes.parameters())
