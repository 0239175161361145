"""One step of a run, its state, and going on from it."""

import shutil
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.keep_motion import KeepMotion
from pipeline.training.samples import Clips, normalised
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import TrainingOptions, load_options
from tests.model.small import small
from tests.training.tiny import (
    SMALL,
    WITH_SCENES,
    end_point_error,
    settings,
    sliding_clips,
    tiny_options,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "four past frames": {"model.num_past": 4},
    "a backbone for each frame": {"model.use_shared_weights": False},
    "two scales": {"model.scales": ["layer3", "layer4"], "model.num_layers": 2},
    "the guide's attention": {"model.attention": "plain", "identity_blocks": True},
    "grid head": {"model.head": "grid"},
    "fixed batch-norm": {"freeze_batch_norm": True},
    "bf16": {"precision": "bf16", "batch_size": 2},
}


@pytest.fixture
def tiny(tmp_path: Path) -> TrainingOptions:
    return tiny_options(tmp_path / "run")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_few_steps_lower_the_loss(name: str, tmp_path: Path) -> None:
    same = {"no_past_share": 0.0, "one_past_share": 0.0, "label_smoothing": 0.0, "match_weight": 0.02}
    run = Trainer(tiny_options(tmp_path, **(same | {"steps": 5} | VARIANTS[name])))
    losses = []
    for _ in range(5):
        run.source.seek(0)
        losses.append(float(run.advance()))
    assert losses[-1] < 0.9 * losses[0]
    run.validate()
    kept = load_checkpoint(tmp_path / "best.safetensors")
    assert kept.architecture == run.average.module.architecture
    if name == "fixed batch-norm":
        means = [value for key, value in run.model.state_dict().items() if key.endswith("running_mean")]
        assert not torch.cat(means).any()


def test_past_frames_are_dropped_oldest_first(tiny: TrainingOptions) -> None:
    run = Trainer(replace(tiny, batch_size=4000, no_past_share=0.2, one_past_share=0.3))
    blank = Clips(torch.zeros(4000, 3, 3, 1, 1), torch.zeros(4000))
    past = run._past(blank)
    depth = past.sum(dim=1)
    assert not (past[:, 0] & ~past[:, 1]).any()
    assert [round(float((depth == d).float().mean()), 1) for d in (0, 1, 2)] == [0.2, 0.3, 0.5]
    missing = torch.tensor([False, True]).expand(4000, 2)
    assert not run._past(blank._replace(present=missing))[:, 0].any()
    assert run._past(blank._replace(present=missing))[:, 1].sum() == past[:, 1].sum()


def test_depths_of_history_are_shared_out_evenly(tmp_path: Path) -> None:
    run = Trainer(
        tiny_options(
            tmp_path, batch_size=3000, no_past_share=0.1, one_past_share=0.3, **{"model.num_past": 4}
        )
    )
    clips = run.source.clips(1)._replace(labels=torch.zeros(3000))
    past = run._past(clips)
    shares = [round(float((past.sum(dim=1) == depth).float().mean()), 1) for depth in range(5)]
    assert shares == [0.1, 0.1, 0.1, 0.1, 0.6]
    assert not (past[:, :-1] & ~past[:, 1:]).any()


def test_checkpointed_passes_learn_the_same(tmp_path: Path) -> None:
    plain, thrifty = (Trainer(tiny_options(tmp_path, gradient_checkpointing=on)) for on in (False, True))
    for _ in range(2):
        assert float(plain.advance()) == pytest.approx(float(thrifty.advance()), rel=1e-4)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(thrifty.model.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_backbone_learns_at_its_own_rate(tmp_path: Path) -> None:
    run = Trainer(tiny_options(tmp_path, backbone_rate=0.1, warmup_steps=0))
    run.advance()
    rates = {group["rate"]: group["lr"] for group in run.optimizer.param_groups}
    assert rates == {1.0: pytest.approx(1e-3), 0.1: pytest.approx(1e-4)}
    slow = {id(p) for group in run.optimizer.param_groups if group["rate"] == 0.1 for p in group["params"]}
    assert slow == {id(p) for p in run.model.backbones.parameters()}


def test_a_backbone_of_rate_zero_stays_as_it_started(tiny: TrainingOptions) -> None:
    run = Trainer(replace(tiny, backbone_rate=0.0))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.advance()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert "temporal.classifier.weight" in changed
    assert not [name for name in changed if name.startswith("backbones.")]


def own_classes(tmp_path: Path, **more: Any) -> Trainer:
    save_checkpoint(tmp_path / "init.safetensors", small(motion=True))
    own = {"data": str(sliding_clips(tmp_path / "clips", 4)), "init": str(tmp_path / "init.safetensors")}
    more = SMALL | {"out": str(tmp_path / "run"), "learning_rate": 0.01, "warmup_steps": 1} | more
    return Trainer(load_options(None, settings(more), own))


def test_the_backbone_learns_own_classes_and_dense_motion_stays_close_to_what_it_was(tmp_path: Path) -> None:
    def strayed(weight: float) -> float:
        run = own_classes(tmp_path / str(weight), backbone_rate=0.5, keep_motion_weight=weight)
        clips = run.source.clips(4)
        before = KeepMotion(run.model)  # type: ignore[arg-type]
        seen = torch.ones((4, 2), dtype=torch.bool)
        frames = normalised(clips.frames, run.model)

        def off() -> float:
            return float(before.loss(run.model, frames, seen).detach())  # type: ignore[arg-type]

        assert off() == pytest.approx(0, abs=1e-4)
        start = deepcopy(run.model.state_dict())
        for _ in range(6):
            run.advance()
        after = run.model.state_dict()
        changed = {name for name, value in after.items() if not torch.equal(value, start[name])}
        assert [name for name in changed if name.startswith("backbones.")]
        assert not [name for name in changed if name.startswith("motion.")]
        return off()

    kept, free = strayed(5.0), strayed(0.0)
    assert 0 < kept < 0.7 * free


def test_with_a_fixed_backbone_dense_motion_stays_as_it_is_and_own_classes_learn_from_it(
    tmp_path: Path,
) -> None:
    run = own_classes(tmp_path, backbone_rate=0)
    before, error = deepcopy(run.model.state_dict()), end_point_error(run.model)
    for _ in range(4):
        run.advance()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed >= {"motion_votes.0.weight", "motion_votes.2.weight", "temporal.classifier.weight"}
    assert not [name for name in changed if name.startswith(("motion.", "backbones."))]
    assert end_point_error(run.model) == error
    optimised = {id(weights) for group in run.optimizer.param_groups for weights in group["params"]}
    kept = [*run.model.motion.parameters(), *run.model.backbones.parameters()]  # type: ignore[union-attr]
    assert not optimised & {id(weights) for weights in kept}, "weight decay would shrink them"


def test_with_layered_scenes_beside_dense_motion_learns_on(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "init.safetensors", small(motion=True))
    own = {"data": str(sliding_clips(tmp_path / "clips", 4)), "init": str(tmp_path / "init.safetensors")}
    more = SMALL | {"out": str(tmp_path / "run"), "bank_count": 8} | WITH_SCENES
    del more["model.motion"]
    run = Trainer(load_options(None, settings(more), own))
    before = deepcopy(run.model.state_dict())
    run.advance()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert [name for name in changed if name.startswith("backbones.")]
    assert [name for name in changed if name.startswith("motion.")]


def test_a_compiled_backbone_learns_the_same(tiny: TrainingOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    # traced as always, but run by torch itself: what the C++ compiler would take a minute for
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    eager, compiled = Trainer(tiny), Trainer(tiny)
    printed: list[str] = []
    compiled.compile(printed.append)
    assert printed[-1].startswith("backbone compiled")
    for _ in range(2):
        assert float(compiled.advance()) == pytest.approx(float(eager.advance()), rel=1e-4)
    assert compiled.model.state_dict().keys() == eager.model.state_dict().keys()
    for name, value in eager.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_steps_after_resuming_are_those_of_the_unbroken_run(tmp_path: Path) -> None:
    options = tiny_options(tmp_path)
    unbroken, broken = Trainer(options), Trainer(options)
    for _ in range(3):
        unbroken.advance()
    for _ in range(2):
        broken.advance()
    broken.stale, broken.best = 2, 0.5
    broken.save()
    again = Trainer(options)
    again.resume()
    assert (again.step, again.stale, again.best) == (2, 2, 0.5)
    assert torch.equal(torch.stack(again.pending), torch.stack(broken.pending))
    again.advance()
    for name, value in unbroken.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, msg=name)
    for name, value in unbroken.average.module.state_dict().items():
        torch.testing.assert_close(again.average.module.state_dict()[name], value, msg=name)


def test_with_scenes_the_steps_after_resuming_are_those_of_the_unbroken_run(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, **WITH_SCENES, clips_every_steps=2)
    unbroken, broken = Trainer(options), Trainer(options)
    for _ in range(3):
        unbroken.advance()
    broken.advance()
    broken.save()
    again = Trainer(options)
    again.resume()
    for _ in range(2):
        again.advance()
    assert torch.equal(torch.stack(again.pending), torch.stack(unbroken.pending))
    for name, value in unbroken.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, msg=name)


def test_labelled_clips_can_be_left_out_of_steps_with_scenes(tmp_path: Path) -> None:
    run = Trainer(tiny_options(tmp_path, **WITH_SCENES, clips_every_steps=2))
    run.advance()
    before = deepcopy(run.model.state_dict())
    run.advance()
    after = run.model.state_dict()
    assert torch.equal(after["temporal.classifier.weight"], before["temporal.classifier.weight"])
    assert not torch.equal(after["motion.pyramid.match.weight"], before["motion.pyramid.match.weight"])
    assert run.clip_batches == 1
    assert run.clips_seen == run.options.batch_size + 2 * run.options.scene_batch_size
    assert torch.equal(run.pending[0][:2], run.pending[1][:2])
    assert not torch.equal(run.pending[0][2:], run.pending[1][2:])


def test_scenes_teach_dense_motion_and_the_backbone(tmp_path: Path) -> None:
    def momenta(**more: Any) -> dict[str, Tensor]:
        run = Trainer(tiny_options(tmp_path, no_past_share=0, one_past_share=0, **(WITH_SCENES | more)))
        run.advance()
        states = {name: run.optimizer.state[weights] for name, weights in run.model.named_parameters()}
        return {name: state["exp_avg"] for name, state in states.items() if "exp_avg" in state}

    taught, alone = momenta(), momenta(scene_batch_size=0)
    assert {name.split(".")[0] for name in taught.keys() - alone.keys()} == {"motion"}
    parts = {name.split(".")[1] for name in taught if name.startswith("motion.") and taught[name].any()}
    assert {"pyramid", "match", "coarse", "fine", "mask"} <= parts
    assert not torch.equal(taught["backbones.0.conv1.weight"], alone["backbones.0.conv1.weight"])


def test_a_run_with_scenes_keeps_its_newest_weights(tmp_path: Path) -> None:
    run = Trainer(tiny_options(tmp_path, **WITH_SCENES))
    run.advance()
    run.best, run.best_step = 1.1, 0  # more than any accuracy
    run.validate()
    assert run.best_step == 1
    assert load_checkpoint(tmp_path / "best.safetensors").metadata["step"] == 1


def test_scenes_without_dense_motion_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scene_batch_size: .* so set model\.motion too"):
        tiny_options(tmp_path, **(WITH_SCENES | {"model.motion": False}))


def test_the_scale_of_fp16_is_part_of_the_state(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, precision="fp16", batch_size=2)
    run = Trainer(options)
    before = [weight.detach().clone() for weight in run.model.parameters()]
    assert 0 < float(run.advance()) < 20
    run.scaler.update(256.0)
    run.advance()
    assert any(not torch.equal(*pair) for pair in zip(before, run.model.parameters(), strict=True))
    run.save()
    again = Trainer(options)
    again.resume()
    assert again.scaler.state_dict() == run.scaler.state_dict()
    assert again.scaler.get_scale() == 256.0


def test_resuming_needs_a_run_with_the_same_recipe(tmp_path: Path) -> None:
    options = tiny_options(tmp_path)
    run = Trainer(options)
    with pytest.raises(ValueError, match="nothing to resume"):
        run.resume()
    run.save()
    with pytest.raises(ValueError, match="different learning_rate"):
        Trainer(replace(options, learning_rate=1e-4)).resume()
    run.labels = ("open", "shut")
    run.save()
    with pytest.raises(ValueError, match="its classes are open, shut"):
        Trainer(options).resume()
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:5000])
    with pytest.raises(ValueError, match="it is damaged"):
        Trainer(options).resume()


def test_a_run_does_not_go_on_with_other_clips(tmp_path: Path) -> None:
    clips = sliding_clips(tmp_path / "clips", 4)
    run = Trainer(load_options(None, settings(SMALL), {"data": str(clips), "out": str(tmp_path)}))
    run.save()
    Trainer(run.options).resume()
    shutil.copytree(clips / "leftwards" / "0", clips / "leftwards" / "4")
    with pytest.raises(ValueError, match="clips were added or removed since"):
        Trainer(run.options).resume()


def test_a_state_with_weights_that_are_not_finite_is_never_kept(tmp_path: Path) -> None:
    run = Trainer(tiny_options(tmp_path))
    run.save()
    before = (tmp_path / "last.pt").read_bytes()
    next(iter(run.model.parameters())).data[0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite at step 0"):
        run.save()
    assert (tmp_path / "last.pt").read_bytes() == before
