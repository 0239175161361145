"""Runs a model on batches of clips."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.samples import Clips, normalised

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def mixed(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Runs the passes in its ``with`` block in ``fp32``, ``bf16`` or ``fp16``."""
    return torch.autocast(device.type, _DTYPES.get(precision), enabled=precision in _DTYPES)


@torch.no_grad()
def answers(model: nn.Module, batches: Iterable[Clips], precision: str = "fp32") -> tuple[Tensor, Tensor]:
    """Logits ``(N, classes)`` in float32 and labels ``(N,)`` of all clips.

    Raises:
        ValueError: There are no clips.
    """
    logits, labels = [], []
    for clips in batches:
        with mixed(clips.frames.device, precision):
            answer = model(*normalised(clips.frames, model).unbind(dim=1), past_mask=clips.present)[0]
        logits.append(answer.float())
        labels.append(clips.labels)
    if not logits:
        raise ValueError("there are no clips to score")
    return torch.cat(logits), torch.cat(labels)


@torch.no_grad()
def streaming_difference(model: TemporalKVQResNetCBAM, frames: Tensor) -> float:
    """Largest difference between the logits of whole clips and of the same clips processed frame by frame.

    Args:
        model: In evaluation mode, on the device of the frames.
        frames: As in `Clips`.
    """
    frames = normalised(frames, model)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        whole: Tensor = model(*frames.unbind(dim=1))[0]
        state = model.init_state(len(frames), (frames.shape[-2], frames.shape[-1]))
        for frame in frames.unbind(dim=1):
            output, state = model.step(frame, state)
    return float((output.logits - whole).abs().max())
