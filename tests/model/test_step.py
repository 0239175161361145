"""``step`` frame by frame equals ``forward`` on the clip, whatever the batch.

That it does so for each option is in ``test_options``.
"""

from typing import Any

import pytest
import torch

from pipeline.model.network import StepOutput
from pipeline.model.state import State
from tests.model.reference import TOLERANCE, assert_same, frame_by_frame, whole
from tests.model.small import clip, small

LENGTH = 6


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"num_past": 4, "num_layers": 2}], ids=["2", "4"])
def test_every_frame_of_a_long_clip_gives_the_same(options: dict[str, Any]) -> None:
    model, frames = small(**options), clip(2, LENGTH)
    assert_same(frame_by_frame(model, frames)[0], whole(model, frames))


@torch.no_grad()
def test_streams_do_not_see_each_other_in_any_order() -> None:
    model, frames = small(), clip(4, LENGTH)
    expected = whole(model, frames)
    state = model.init_state(4)
    order = torch.arange(4)
    for n in range(LENGTH):
        shuffle = torch.randperm(4, generator=torch.Generator().manual_seed(n))
        order, state = order[shuffle], State(*(part[shuffle] for part in state.parts()))
        output, state = model.step(frames[order, n], state, return_attention=True)
        assert_same(output, _of(expected, (order, n)))


@torch.no_grad()
def test_streams_can_be_reset_one_by_one() -> None:
    model, frames = small(), clip(3, LENGTH)
    state = model.init_state(3)
    for n in range(3):
        _, state = model.step(frames[:, n], state)
    state = state.cleared(torch.tensor([False, True, False]))
    for n in range(3, LENGTH):
        output, state = model.step(frames[:, n], state, return_attention=True)
        on = _of(whole(model, frames), (slice(None), n))
        fresh = _of(whole(model, frames[:, 3:]), (slice(None), n - 3))
        for row, expected in enumerate([on, fresh, on]):
            assert_same(_of(output, row), _of(expected, row))


@torch.no_grad()
def test_holes_in_the_past_are_the_same_in_both_forms() -> None:
    model, frames = small(), clip(2, 3)
    state = frame_by_frame(model, frames[:, :2])[1]
    mask = torch.tensor([[True, False], [False, True]])
    output, _ = model.predict(frames[:, 2], state._replace(valid=mask), return_attention=True)
    logits, info = model(*frames.unbind(1), past_mask=mask)
    assert_same(output, StepOutput(logits, info["attention_weights"], torch.tensor([1, 1])))
    assert (output.attention[0, :, 4:] == 0).all()
    assert (output.attention[1, :, :4] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
def test_predict_takes_one_backbone_pass_and_remember_those_of_the_architecture(shared: bool) -> None:
    model, frames = small(use_shared_weights=shared), clip(3, 1)
    passed: list[int] = []
    for backbone in model.backbones:
        backbone.conv1.register_forward_hook(lambda _, inputs, __: passed.append(len(inputs[0])))
    _, features = model.predict(frames[:, 0], model.init_state(3))
    assert sum(passed) == 3
    model.remember(frames[:, 0], features)
    assert sum(passed) == 3 * (1 + model.architecture.passes_to_remember) == (3 if shared else 9)


@torch.no_grad()
def test_attention_is_left_out_unless_asked_for() -> None:
    model = small()
    assert model.step(clip(1, 1)[:, 0], model.init_state(1))[0].attention is None


@torch.no_grad()
def test_frames_of_other_sizes() -> None:
    model, frames = small(), torch.randn(1, 4, 3, 96, 48)
    state, outputs = model.init_state(1, (96, 48)), []
    for n in range(4):
        output, state = model.step(frames[:, n], state, return_attention=True)
        outputs.append(output)
    logits, info = model(*frames[:, 1:].unbind(1))
    assert info["K"].shape == (1, 2 * 3 * 2, 32)
    torch.testing.assert_close(outputs[-1].logits, logits, atol=TOLERANCE, rtol=0)
    with pytest.raises(ValueError, match="another frame size"):
        model.step(frames[:, 0], model.init_state(1))


def test_wrong_calls_are_readable() -> None:
    model = small()
    with pytest.raises(ValueError, match="2 frames given, this model takes 3"):
        model(*clip(1, 2).unbind(1))


def test_init_state_is_empty() -> None:
    state: State = small(num_layers=2, use_shared_weights=False, scales=("layer3", "layer4")).init_state(5)
    assert state.keys.shape == state.values.shape == (5, 2, 2, 2, 16 + 4, 32)
    assert not state.valid.any()
    assert not state.keys.any()


def _of(output: StepOutput, index: Any) -> StepOutput:
    return StepOutput(*(None if part is None else part[index] for part in output))
