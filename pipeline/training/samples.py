"""Batches of labelled clips for training."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pipeline.model.preprocessing import Preprocessing


class Clips(NamedTuple):
    """A batch of clips.

    Attributes:
        frames: RGB between 0 and 1, ``(n, T + 1, 3, size, size)``, oldest first; see `normalised`.
        labels: class of the newest frame, ``(n,)``.
        windows: where in its picture each frame looks, ``(n, T + 1, 2, 3)`` affine maps from screen to
            picture; None where nobody knows.
        present: which past frames there are, ``(n, T)`` bool; None for all.
        numbers: of the recorded clip that each is a window of, ``(n,)``; None where each is its own clip.
    """

    frames: Tensor
    labels: Tensor
    windows: Tensor | None = None
    present: Tensor | None = None
    numbers: Tensor | None = None


class ClipSource(Protocol):
    """Batches whose randomness depends on a seed and the number of batches before them alone."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    def seek(self, step: int) -> None:
        """Goes on as if ``step`` batches had been made."""

    def clips(self, n: int) -> Clips:
        """The next batch of ``n`` clips."""


def normalised(frames: Tensor, model: nn.Module) -> Tensor:
    """Frames ``(..., 3, H, W)`` of `Clips` as the model takes them.

    Mean and deviation are those of its ``preprocessing``; a model without one gets those of ImageNet.
    """
    own = getattr(model, "preprocessing", Preprocessing())
    mean, std = (torch.tensor(x, device=frames.device).view(3, 1, 1) for x in (own.mean, own.std))
    return (frames - mean) / std
