from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.temporal import harness
from benchmarks.temporal.baselines import Baseline, ConcatenatedFeatures, FeatureDifference, MeanLogits
from benchmarks.temporal.budget import Budget
from benchmarks.temporal.harness import train
from benchmarks.temporal.shape import Shape
from benchmarks.temporal.shift import ChannelShift
from benchmarks.temporal.variants import VARIANTS, ours
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import ResNetCBAM
from pipeline.training.trainer import Trainer
from tests.model.small import clip, shaken
from tests.training.tiny import tiny_options

SHAPE = Shape(depth=18, size_px=64, d_model=32, num_heads=4)
BASELINES = ["mean_logits", "difference", "concatenated", "shift", "shift_mean"]


def built(name: str, shape: Shape = SHAPE) -> Any:
    torch.manual_seed(0)
    return shaken(VARIANTS[name].build(shape)).eval()


def stream(model: Any, frames: Tensor) -> list[Tensor]:
    answers, memory = [], None
    for frame in frames.unbind(dim=1):
        logits, memory = model.step(frame, memory)
        answers.append(logits)
    return answers


@pytest.mark.parametrize("name", BASELINES)
@torch.no_grad()
def test_step_by_step_equals_the_clip_at_the_start_of_a_stream(name: str) -> None:
    model, frames = built(name), clip(2, 3)
    answers = stream(model, frames)
    whole, info = model(*frames.unbind(dim=1))
    assert info == {}
    torch.testing.assert_close(answers[2], whole, atol=1e-4, rtol=1e-4)
    for depth in (0, 1):
        mask = torch.arange(2, 0, -1).expand(2, -1) <= depth
        padded = torch.cat((torch.randn(2, 2 - depth, 3, 64, 64), frames[:, : depth + 1]), dim=1)
        masked = model(*padded.unbind(dim=1), past_mask=mask)[0]
        torch.testing.assert_close(answers[depth], masked, atol=1e-4, rtol=1e-4)
    assert (answers[2] - answers[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["mean_logits", "difference", "concatenated"])
@torch.no_grad()
def test_windows_slide(name: str) -> None:
    model, frames = built(name), clip(1, 5)
    whole = model(*frames[:, 2:].unbind(dim=1))[0]
    torch.testing.assert_close(stream(model, frames)[4], whole, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_without_a_shift_the_network_is_our_backbone() -> None:
    for depth in (18, 50):
        torch.manual_seed(0)
        model = shaken(ChannelShift(Shape(depth=depth), share=0)).eval()
        frame = clip(1, 1)[:, 0]
        maps = model.backbone.features(frame)["layer4"]
        torch.testing.assert_close(model.step(frame)[0], model.classifier(maps.mean(dim=(2, 3))))


@torch.no_grad()
def test_an_eighth_of_the_channels_is_shifted() -> None:
    model = built("shift")
    memory = model.step(clip(1, 1)[:, 0])[1]
    assert [part.shape[1] for part in memory.channels] == [8, 8, 8, 16, 16, 32, 32, 64]


@torch.no_grad()
def test_the_mean_of_logits_knows_no_order_and_the_others_do() -> None:
    frames = clip(2, 3)
    for name in BASELINES:
        model = built(name)
        forth, back = (model(*x.unbind(dim=1))[0] for x in (frames, frames.flip(1)))
        assert torch.allclose(forth, back, atol=1e-5) == (name == "mean_logits"), name


@torch.no_grad()
def test_a_still_scene_has_no_difference() -> None:
    model = built("difference")
    first, second = (clip(1, 1, seed=seed).expand(-1, 3, -1, -1, -1) for seed in (5, 6))
    torch.testing.assert_close(model(*first.unbind(dim=1))[0], model(*second.unbind(dim=1))[0])


@pytest.mark.parametrize("kind", [MeanLogits, FeatureDifference, ConcatenatedFeatures])
@torch.no_grad()
def test_any_number_of_past_frames(kind: type[Baseline]) -> None:
    assert kind(SHAPE, num_past=4).eval()(*clip(1, 5).unbind(dim=1))[0].shape == (1, 9)


def test_all_networks_have_the_same_backbone() -> None:
    names = {name for name, _ in ResNetCBAM(18).named_parameters()}
    for name in BASELINES:
        own = built(name).backbone.named_parameters()
        assert {parameter for parameter, _ in own} == names, name


def test_ablations_change_what_they_say() -> None:
    torch.manual_seed(0)
    layer = ours(SHAPE).temporal.layers[0]
    assert torch.equal(layer.key[0].weight, layer.query.query_proj.weight)
    apart = VARIANTS["apart"].build(SHAPE).temporal.layers[0]
    assert not torch.equal(apart.key[0].weight, apart.query.query_proj.weight)
    assert VARIANTS["dot_product"].build(SHAPE).temporal.layers[0].attention.log_temperature is None
    for name, table in (
        ("no_slots", "temporal.layers.0.slots"),
        ("no_value_places", "temporal.there.0.table"),
    ):
        frozen = dict(VARIANTS[name].build(SHAPE).named_parameters())
        assert [key for key, value in frozen.items() if not value.requires_grad] == [table]
        assert not frozen[table].any()
    assert VARIANTS["guide"].build(SHAPE).temporal.layers[0].value is None


@torch.no_grad()
def test_the_network_can_end_at_layer3() -> None:
    model = VARIANTS["layer3"].build(SHAPE)
    info = model.eval()(*clip(1, 3).unbind(dim=1))[1]
    assert info["feat_t"].shape == (1, 256, 4, 4)
    assert info["attention_weights"].shape == (1, 16, 32)


def test_frozen_tables_stay_as_they_are() -> None:
    budget = Budget(minutes=0, steps=2, batch=2, size=32, d_model=32, heads=4, bank=8, warmup=1)
    trained = train("no_slots", VARIANTS["no_slots"], budget).model
    assert isinstance(trained, TemporalKVQResNetCBAM)
    assert not trained.temporal.layers[0].slots.any()
    started = ours(budget.shape)
    assert not torch.equal(trained.temporal.classifier.weight, started.temporal.classifier.weight)


@pytest.mark.parametrize("name", ["difference", "concatenated", "shift", "two_scales"])
def test_a_few_steps_on_one_batch_lower_the_loss(name: str, tmp_path: Path) -> None:
    options = {
        "model.d_model": 32,
        "model.image_size": 64,
        "steps": 6,
        "learning_rate": 1e-3,
        "no_past_share": 0.0,
    }
    run = Trainer(tiny_options(tmp_path, **options), build=lambda *_: VARIANTS[name].build(SHAPE))
    losses = []
    for _ in range(6):
        run.source.seek(0)
        losses.append(float(run.advance()))
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    budget = Budget(
        minutes=0, steps=2, batch=2, size=32, d_model=32, heads=4, bank=8, warmup=1, keep=str(tmp_path)
    )
    train("difference", VARIANTS["difference"], budget)
    metrics = tmp_path / "difference" / "metrics.jsonl"
    before = metrics.read_text()
    resumed = train("difference", VARIANTS["difference"], replace(budget, steps=3))
    assert (resumed.steps, resumed.clips) == (3, 6)
    assert metrics.read_text().startswith(before), "the steps before were not made again"


def test_a_disturbed_training_has_the_disturbances_of_the_shipped_recipe(tmp_path: Path) -> None:
    usual, disturbed = (
        harness._options(VARIANTS["ours"], Budget(disturbed=on), tmp_path).scene for on in (False, True)
    )
    assert (usual.dark_share, disturbed.dark_share) == (0.0, 0.2)
