"""Options that shape the model or its passes reach it, and a few steps on one batch lower the loss."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.model.checkpoint import load_checkpoint
from pipeline.training.initial_weights import build_model
from pipeline.training.trainer import Fitting
from tests.training.tiny import tiny_options

VARIANTS: dict[str, dict[str, Any]] = {
    "four past frames": {"num_past": 4},
    "a backbone for each frame": {"use_shared_weights": False},
    "two scales": {"scales": ("layer3", "layer4"), "num_layers": 2},
    "the guide's attention": {"attention": "plain", "identity_blocks": True},
    "grid head": {"head": "grid"},
    "fixed batch-norm": {"freeze_batch_norm": True},
    "bf16": {"precision": "bf16", "batch_size": 4},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_few_steps_lower_the_loss(name: str, tmp_path: Path) -> None:
    same = {"no_past_share": 0.0, "one_past_share": 0.0, "label_smoothing": 0.0, "match_weight": 0.02}
    run = Fitting(tiny_options(tmp_path, **(same | {"steps": 6} | VARIANTS[name])))
    losses = []
    for _ in range(6):
        run.source.seek(0)
        losses.append(float(run.advance()))
    assert losses[-1] < 0.9 * losses[0]
    run.validate()
    run.save()
    kept = load_checkpoint(tmp_path / "best.safetensors")
    assert kept.architecture == run.average.model.architecture
    if name == "fixed batch-norm":
        means = [value for key, value in run.model.state_dict().items() if key.endswith("running_mean")]
        assert not torch.cat(means).any()


def test_every_option_of_the_shape_reaches_the_model(tmp_path: Path) -> None:
    shape: dict[str, Any] = {
        "depth": 34,
        "use_shared_weights": False,
        "d_model": 48,
        "num_heads": 3,
        "num_layers": 2,
        "num_past": 1,
        "attention": "plain",
        "scales": ("layer2", "layer4"),
        "cbam_start": "official",
        "head": "grid",
    }
    options = tiny_options(tmp_path, tied_values="false", gradient_checkpointing=True, **shape)
    model = build_model(options, ("open", "shut"))
    expected = shape | {"tied_values": False, "image_size": 32, "num_classes": 2}
    assert asdict(model.architecture) == expected
    assert all(backbone.gradient_checkpointing for backbone in model.backbones)
    assert build_model(tiny_options(tmp_path, attention="plain"), ("open",)).architecture.tied_values


def test_checkpointed_passes_learn_the_same(tmp_path: Path) -> None:
    plain, thrifty = (Fitting(tiny_options(tmp_path, gradient_checkpointing=on)) for on in (False, True))
    for _ in range(2):
        assert float(plain.advance()) == pytest.approx(float(thrifty.advance()), rel=1e-4)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(thrifty.model.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_backbone_at_rate_zero_stays_as_it_was(tmp_path: Path) -> None:
    run = Fitting(tiny_options(tmp_path, backbone_rate=0.0))
    before = {name: value.clone() for name, value in run.model.named_parameters()}
    run.advance()
    moved = {name for name, value in run.model.named_parameters() if not torch.equal(value, before[name])}
    assert "temporal.classifier.weight" in moved
    assert not any(name.startswith("backbones.") for name in moved)


def test_the_backbone_learns_at_its_own_rate(tmp_path: Path) -> None:
    run = Fitting(tiny_options(tmp_path, backbone_rate=0.1, warmup_steps=0))
    run.advance()
    rates = {group["rate"]: group["lr"] for group in run.optimizer.param_groups}
    assert rates == {1.0: pytest.approx(1e-3), 0.1: pytest.approx(1e-4)}
    slow = {id(p) for group in run.optimizer.param_groups if group["rate"] == 0.1 for p in group["params"]}
    assert slow == {id(p) for p in run.model.backbones.parameters()}


def test_depths_of_history_are_shared_out_evenly(tmp_path: Path) -> None:
    run = Fitting(tiny_options(tmp_path, num_past=4, batch_size=3000, no_past_share=0.1, one_past_share=0.3))
    clips = run.source.clips(1)._replace(labels=torch.zeros(3000))
    past = run._past(clips)
    shares = [round(float((past.sum(dim=1) == depth).float().mean()), 1) for depth in range(5)]
    assert shares == [0.1, 0.1, 0.1, 0.1, 0.6]
    assert not (past[:, :-1] & ~past[:, 1:]).any()
