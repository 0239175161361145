"""Batches of labelled clips for training."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pipeline.model.preprocessing import Preprocessing


class Clips(NamedTuple):
    """A batch of clips.

    Attributes:
        frames: RGB between 0 and 1, ``(n, T + 1, 3, size, size)``, oldest first; see `normalised`.
        labels: Class of the newest frame, ``(n,)``.
        windows: View of each frame, ``(n, T + 1, 2, 3)`` affine maps from screen to image; None if
            unknown.
        present: Which past frames are present, ``(n, T)`` bool; None if all are.
        numbers: Number of the recorded clip of each window, ``(n,)``; None if each is its own clip.
    """

    frames: Tensor
    labels: Tensor
    windows: Tensor | None = None
    present: Tensor | None = None
    numbers: Tensor | None = None


class ClipSource(Protocol):
    """A source of batches whose random numbers depend only on a seed and the batch number."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    def seek(self, step: int) -> None:
        """Continues as if ``step`` batches had been made."""

    def clips(self, n: int) -> Clips:
        """The next batch of ``n`` clips."""


def normalised(frames: Tensor, model: nn.Module) -> Tensor:
    """Normalises frames ``(..., 3, H, W)`` of `Clips` for the model.

    Mean and standard deviation come from its ``preprocessing``; the default is ImageNet's.
    """
    own = getattr(model, "preprocessing", Preprocessing())
    mean, std = (torch.tensor(x, device=frames.device).view(3, 1, 1) for x in (own.mean, own.std))
    return (frames - mean) / std
