"""A model's answers to batches of clips."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from pipeline.training.samples import Clips

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def mixed(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Passes inside run in ``fp32``, ``bf16`` or ``fp16``."""
    return torch.autocast(device.type, _DTYPES.get(precision), enabled=precision in _DTYPES)


@torch.no_grad()
def answers(model: nn.Module, batches: Iterable[Clips], precision: str = "fp32") -> tuple[Tensor, Tensor]:
    """Logits ``(N, classes)`` in float32 and labels ``(N,)`` of all clips.

    Raises:
        ValueError: there is no clip.
    """
    logits, labels = [], []
    for clips in batches:
        with mixed(clips.frames.device, precision):
            answer = model(*clips.frames.unbind(dim=1), past_mask=clips.present)[0]
        logits.append(answer.float())
        labels.append(clips.labels)
    if not logits:
        raise ValueError("there are no clips to validate on")
    return torch.cat(logits), torch.cat(labels)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right answers."""
    return float((logits.argmax(dim=1) == labels).float().mean())
