"""Each option learns, streams as it was trained, and comes back from its file; ONNX is in test_convert."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.network import StepOutput, TemporalKVQResNetCBAM
from tests.model.options import OPTIONS
from tests.model.reference import TOLERANCE, assert_same, whole
from tests.model.small import SIZE, clip, small

STEPS = 3


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_option_learns_streams_and_is_saved(options: dict[str, Any], tmp_path: Path) -> None:
    """One life: what is streamed and saved is the trained network, with no weight at its start."""
    torch.manual_seed(0)
    settings = {"depth": 18, "num_classes": 3, "d_model": 32, "num_heads": 4, "image_size": SIZE}
    model = TemporalKVQResNetCBAM(**{**settings, **options})
    learns(model)
    with torch.no_grad():
        streams(model.eval())
        comes_back(model, tmp_path / "model.safetensors")


def learns(model: TemporalKVQResNetCBAM) -> None:
    """A few steps with clipped gradients and a missing past frame lower the loss."""
    frames, labels = clip(2, model.num_past + 1), torch.tensor([0, 2])
    present = torch.ones(2, model.num_past, dtype=torch.bool)
    present[1, 0] = False
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=2e-3)
    losses = []
    for _ in range(STEPS):
        logits, _ = model(*frames.unbind(1), past_mask=present)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        still = [name for name, weights in model.named_parameters() if weights.grad is None]
        assert all(name.startswith("motion.") for name in still), "every weight takes part but dense motion's"
        assert nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses


def streams(model: TemporalKVQResNetCBAM) -> None:
    """``step`` frame by frame equals ``forward``: without a past, with some, with all, and later."""
    past = model.num_past
    moments = [0, 1, past, past + 1]
    frames, state, outputs = clip(2, past + 2), model.init_state(2), []
    for frame in frames.unbind(1):
        output, state = model.step(frame, state, return_attention=True)
        outputs.append([part for part in output if part is not None])
    found = StepOutput(*(torch.stack([parts[n] for n in moments], 1) for parts in zip(*outputs, strict=True)))
    expected = whole(model, frames, moments)
    assert_same(found, expected)
    assert expected.logits.std(dim=1).max() > 10 * TOLERANCE, "the frames must make a difference"
    sums = found.attention.sum(-1)
    torch.testing.assert_close(sums[:, 0], torch.zeros_like(sums[:, 0]))
    torch.testing.assert_close(sums[:, 1:], torch.ones_like(sums[:, 1:]))


def comes_back(model: TemporalKVQResNetCBAM, path: Path) -> None:
    """The file gives the same network, with its weights rounded to half precision."""
    save_checkpoint(path, model)
    loaded = load_checkpoint(path)
    assert loaded.architecture == model.architecture
    for weights in model.parameters():
        weights.copy_(weights.half())
    frames = clip(2, model.num_past + 1).unbind(1)
    assert torch.equal(loaded(*frames)[0], model(*frames)[0])


@pytest.mark.parametrize(
    "options", [{}, {"use_shared_weights": False, "scales": ("layer2", "layer3")}], ids=["shared", "unshared"]
)
def test_gradient_checkpointing_changes_nothing_but_memory(options: dict[str, Any]) -> None:
    plain = small(**options).train()
    saving = copy.deepcopy(plain)
    for backbone in saving.backbones:
        backbone.gradient_checkpointing = True
    losses = []
    for model in (plain, saving):
        logits, info = model(*clip(2, 3).unbind(1))
        loss = nn.functional.cross_entropy(logits, torch.tensor([1, 2])) + info["attention_weights"].amax()
        loss.backward()
        losses.append(loss.detach())
    assert torch.equal(*losses)
    for (name, a), (_, b) in zip(plain.named_parameters(), saving.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), (_, b) in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        assert torch.equal(a, b), name
    counts = {int(x) for name, x in saving.named_buffers() if name.endswith("num_batches_tracked")}
    assert counts == {1}, "statistics are updated once"
