"""``forward`` on whole clips: what ``step`` is compared with, frame by frame."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.model.network import StepOutput, TemporalKVQResNetCBAM
from pipeline.model.state import State
from tests.model.small import clip

TOLERANCE = 1e-4


def whole(model: TemporalKVQResNetCBAM, frames: Tensor, moments: Sequence[int] | None = None) -> StepOutput:
    """What ``forward`` gives for each frame, or of those ``moments``; before the start is noise, masked.

    Dense motion is that of ``motion_trace``, with the same masks.
    """
    past, logits, weights, depths, motions = model.num_past, [], [], [], []
    padded = torch.cat([100 * clip(len(frames), past, frames.shape[-1], seed=9), frames], dim=1)
    for n in range(frames.shape[1]) if moments is None else moments:
        depth = min(n, past)
        mask = (torch.arange(past) >= past - depth).expand(len(frames), past)
        output, info = model(*padded[:, n : n + past + 1].unbind(1), past_mask=mask)
        logits.append(output)
        weights.append(info["attention_weights"])
        depths.append(torch.full((len(frames),), depth))
        if model.motion is not None:
            motions.append(model.motion_trace(padded[:, n : n + past + 1], mask)[0][:4])
    dense = (torch.stack(parts, 1) for parts in zip(*motions, strict=True))
    return StepOutput(torch.stack(logits, 1), torch.stack(weights, 1), torch.stack(depths, 1), *dense)


def frame_by_frame(model: TemporalKVQResNetCBAM, frames: Tensor) -> tuple[StepOutput, State]:
    """A step for each frame of clips ``(B, N, 3, height, width)``; shapes have ``N`` after ``B``."""
    state, outputs = model.init_state(len(frames)), []
    for frame in frames.unbind(1):
        output, state = model.step(frame, state, return_attention=True)
        outputs.append([part for part in output if part is not None])
    return StepOutput(*(torch.stack(parts, 1) for parts in zip(*outputs, strict=True))), state


def assert_same(found: StepOutput, expected: StepOutput) -> None:
    """Both agree within the tolerance."""
    torch.testing.assert_close(found.logits, expected.logits, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(found.attention, expected.attention, atol=TOLERANCE, rtol=0)
    assert torch.equal(found.depth, expected.depth)
    for ours, theirs in zip(found[3:], expected[3:], strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
