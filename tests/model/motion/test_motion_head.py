"""Dense motion through the whole network: empty pasts, batches, sizes.

That ``step`` equals ``motion_trace`` is in ``tests/model/test_options.py``.
"""

import pytest
import torch
from torch import Tensor

from pipeline.model.motion.motion_head import Motion
from pipeline.model.network import StepOutput, TemporalKVQResNetCBAM
from pipeline.model.state import State
from tests.model.small import clip, small

FIELDS = ("flow", "uncertainty", "moving", "camera")


@pytest.fixture(scope="module")
def model() -> TemporalKVQResNetCBAM:
    return small(motion=True)


def stepped(model: TemporalKVQResNetCBAM, frames: Tensor) -> tuple[StepOutput, State]:
    """After the last of frames ``(B, n, 3, height, width)``."""
    state = model.init_state(len(frames), (frames.shape[-2], frames.shape[-1]))
    for frame in frames.unbind(1):
        output, state = model.step(frame, state)
    return output, state


@torch.no_grad()
def test_without_a_past_nothing_moves_and_the_camera_stands(model: TemporalKVQResNetCBAM) -> None:
    output, _ = stepped(model, clip(2, 1))
    assert not output.flow.any()
    assert not output.uncertainty.any()
    assert not output.moving.any()
    assert torch.equal(output.camera, torch.eye(2, 3).expand(2, 2, 2, 3))


@torch.no_grad()
def test_an_empty_slot_has_no_motion_and_does_not_reach_the_others(model: TemporalKVQResNetCBAM) -> None:
    frames = clip(1, 3)
    mask = torch.tensor([[False, True]])
    motion, _ = model.motion_trace(frames, mask)
    assert not motion.flow[:, 0].any()
    assert not motion.uncertainty[:, 0].any()
    assert torch.equal(motion.camera[:, 0], torch.eye(2, 3)[None])
    assert motion.flow[:, 1].any()
    assert motion.moving.min() > 0
    other, _ = model.motion_trace(torch.cat((-frames[:, :1], frames[:, 1:]), dim=1), mask)
    for name in Motion._fields:
        torch.testing.assert_close(getattr(other, name), getattr(motion, name), atol=1e-6, rtol=0, msg=name)


@torch.no_grad()
def test_places_that_are_not_trusted_have_no_say_in_the_camera() -> None:
    model, frames, mask = small(motion=True), clip(1, 3), torch.ones(1, 2, dtype=torch.bool)
    torch.nn.init.normal_(model.motion.coarse.layers[0].weight)  # what follows depends on the camera
    torch.nn.init.normal_(model.motion.coarse.out.weight)
    found = []
    for bias in (-40.0, 40.0):
        torch.nn.init.constant_(model.motion.vote_refined.bias, bias)
        found.append(model.motion_trace(frames, mask)[1].rounds[1].flow)
    assert not torch.allclose(*found)


@torch.no_grad()
def test_streams_of_a_batch_do_not_reach_each_other(model: TemporalKVQResNetCBAM) -> None:
    frames = clip(3, 3)
    together, _ = stepped(model, frames)
    for row in range(3):
        alone, _ = stepped(model, frames[row : row + 1])
        for name in FIELDS:
            torch.testing.assert_close(
                getattr(together, name)[row], getattr(alone, name)[0], atol=1e-3, rtol=0
            )


@torch.no_grad()
def test_shapes_and_ranges_for_pictures_that_are_not_square(model: TemporalKVQResNetCBAM) -> None:
    output, state = stepped(model, torch.randn(2, 3, 3, 96, 160))
    assert output.flow.shape == (2, 2, 2, 24, 40)
    assert output.uncertainty.shape == (2, 2, 24, 40)
    assert output.moving.shape == (2, 24, 40)
    assert output.camera.shape == (2, 2, 2, 3)
    assert output.flow.dtype == torch.float32
    assert output.uncertainty.min() > 0
    assert ((output.moving > 0) & (output.moving < 1)).all()
    assert state.match.shape == (2, 2, 64, 12, 20)
    assert state.fine.shape == (2, 2, 64, 24, 40)


@torch.no_grad()
@pytest.mark.parametrize("size", [(160, 96), (96, 96)])  # the first has as many places
def test_a_change_of_size_is_a_readable_error(model: TemporalKVQResNetCBAM, size: tuple[int, int]) -> None:
    _, state = stepped(model, torch.randn(1, 2, 3, 96, 160))
    with pytest.raises(ValueError, match=r"another frame size: use init_state\(batch_size, size\)"):
        model.step(torch.randn(1, 3, *size), state)


@torch.no_grad()
def test_a_still_picture_has_no_flow_before_anything_is_learned() -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=9, d_model=32, num_heads=4, image_size=64, motion=True
    )
    model.eval().motion.match.log_temperature.fill_(torch.tensor(60.0).log())
    frame = clip(1, 1)[:, 0]
    output, _ = stepped(model, torch.stack((frame, frame, frame), dim=1))
    assert output.flow.abs().mean() < 2
    assert output.flow[:, 1].abs().mean() < output.flow[:, 0].abs().mean()  # steps need no learning


@torch.no_grad()
def test_more_rounds_go_on_from_fewer(model: TemporalKVQResNetCBAM) -> None:
    before, mask = model.motion.rounds, torch.ones(1, 2, dtype=torch.bool)
    traces = []
    try:
        for rounds in ((1, 2, 2), (1, 3, 0)):
            model.motion.rounds = rounds
            traces.append(model.motion_trace(clip(1, 3), mask)[1].rounds)
    finally:
        model.motion.rounds = before
    short, long = traces
    assert [(each.stride, each.slots) for each in short] == [(8, 2), *[(4, None)] * (2 + 2)]
    assert [each.stride for each in long] == [8, *[4] * 3]
    for one, same in zip(short[:-2], long[:-1], strict=True):
        assert torch.equal(one.flow, same.flow)
        assert torch.equal(one.log_error, same.log_error)
    assert not torch.equal(long[-1].flow, long[-2].flow)
