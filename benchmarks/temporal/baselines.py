"""Temporal baselines over our own backbone.

All of them cache data of past frames, so that one new frame costs one backbone pass. Letters in shapes are
those of ``pipeline.model``.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.temporal.shape import Shape
from pipeline.model.resnet import ResNetCBAM


class Memory(NamedTuple):
    """Cached data of the past frames of a batch of streams.

    Attributes:
        parts: Data of each past frame, oldest first, ``(B, T, ...)``.
        present: ``(B, T)`` bool: which of them exist.
    """

    parts: Tensor
    present: Tensor


class Baseline(nn.Module, ABC):
    """A network with the same contract as ours: whole clips in ``forward``, one frame in ``step``.

    Args:
        shape: Sizes of the network.
        num_past: ``T``.
    """

    def __init__(self, shape: Shape, num_past: int = 2) -> None:
        super().__init__()
        self.num_past = num_past
        self.backbone = ResNetCBAM(shape.depth)
        self.channels = self.backbone.channels["layer4"]

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits ``(B, classes)`` of ``T + 1`` frames ``(B, 3, height, width)``, oldest first, and ``{}``.

        ``past_mask`` ``(B, T)`` is True where the past frame is present; None for all.
        """
        batch = len(frames[-1])
        found = self.remember(torch.cat(frames))
        parts = found.view(len(frames), batch, *found.shape[1:]).transpose(0, 1)
        if past_mask is None:
            past_mask = torch.ones(batch, self.num_past, dtype=torch.bool, device=parts.device)
        newest = torch.ones_like(past_mask[:, :1])
        return self.answer(parts, torch.cat((past_mask, newest), dim=1)), {}

    def step(self, frame: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Logits of a new frame ``(B, 3, height, width)``, and the memory for the next frame.

        The memory of the first frame is None.
        """
        part = self.remember(frame).unsqueeze(1)
        if memory is None:
            nothing = torch.zeros(len(frame), self.num_past, dtype=torch.bool, device=frame.device)
            blank = torch.zeros_like(part).expand(-1, self.num_past, *part.shape[2:])
            memory = Memory(blank, nothing)
        parts = torch.cat((memory.parts, part), dim=1)
        present = torch.cat((memory.present, torch.ones_like(memory.present[:, :1])), dim=1)
        return self.answer(parts, present), Memory(parts[:, 1:], present[:, 1:])

    @abstractmethod
    def remember(self, frames: Tensor) -> Tensor:
        """The data to cache for frames ``(N, 3, height, width)``: ``(N, ...)``."""

    @abstractmethod
    def answer(self, parts: Tensor, present: Tensor) -> Tensor:
        """Logits from the parts of a window, ``(B, T + 1, ...)``, and which of them exist, ``(B, T + 1)``."""


class MeanLogits(Baseline):
    """Classifies each frame separately and averages the logits: a network that never compares frames.

    Source: Wang et al., "Temporal Segment Networks", arXiv 1608.00859, with average consensus.
    """

    def __init__(self, shape: Shape, num_past: int = 2) -> None:
        super().__init__(shape, num_past)
        self.classifier = nn.Linear(self.channels, shape.classes)

    def remember(self, frames: Tensor) -> Tensor:
        """Logits of each frame."""
        logits: Tensor = self.classifier(self.backbone(frames).mean(dim=(2, 3)))
        return logits

    def answer(self, parts: Tensor, present: Tensor) -> Tensor:
        """Mean over the present frames."""
        return mean_of_present(parts, present)


class FeatureDifference(Baseline):
    """Classifies the changes of the last feature map from frame to frame at each position.

    Changes to or from an absent frame are zero.
    """

    def __init__(self, shape: Shape, num_past: int = 2) -> None:
        super().__init__(shape, num_past)
        self.head = spatial_head(num_past * self.channels, shape)

    def remember(self, frames: Tensor) -> Tensor:
        """The map of ``layer4``, ``(N, C, rows, columns)``."""
        return features(self.backbone, frames)

    def answer(self, parts: Tensor, present: Tensor) -> Tensor:
        """Applies the head to the differences between consecutive frames."""
        both = (present[:, 1:] & present[:, :-1])[:, :, None, None, None]
        logits: Tensor = self.head(((parts[:, 1:] - parts[:, :-1]) * both).flatten(1, 2))
        return logits


class ConcatenatedFeatures(Baseline):
    """Convolutions over the stacked last feature maps of all frames; absent frames are zero."""

    def __init__(self, shape: Shape, num_past: int = 2) -> None:
        super().__init__(shape, num_past)
        self.head = spatial_head((num_past + 1) * self.channels, shape)

    def remember(self, frames: Tensor) -> Tensor:
        """The map of ``layer4``, ``(N, C, rows, columns)``."""
        return features(self.backbone, frames)

    def answer(self, parts: Tensor, present: Tensor) -> Tensor:
        """Applies the head to the stacked maps."""
        logits: Tensor = self.head((parts * present[:, :, None, None, None]).flatten(1, 2))
        return logits


def features(backbone: ResNetCBAM, frames: Tensor) -> Tensor:
    """The map of ``layer4``."""
    return backbone.features(frames)["layer4"]


def mean_of_present(parts: Tensor, present: Tensor) -> Tensor:
    """Mean of ``(B, N, classes)`` over the frames that exist, given as ``(B, N)``."""
    shares = present.to(parts.dtype)
    return (parts * shares[..., None]).sum(dim=1) / shares.sum(dim=1, keepdim=True)


def spatial_head(channels: int, shape: Shape) -> nn.Sequential:
    """Convolutions, then a perceptron with separate weights for each position.

    A pan looks the same at all positions, a roll does not: pooling would put the baseline at a disadvantage.
    """
    cells = (shape.size_px + 31) // 32
    return nn.Sequential(
        *_convolution(channels, 256, kernel=1),
        *_convolution(256, 256, kernel=3),
        *_convolution(256, 64, kernel=1),
        nn.Flatten(),
        nn.Linear(64 * cells * cells, 256),
        nn.ReLU(),
        nn.Linear(256, shape.classes),
    )


def _convolution(channels: int, out: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(out), nn.ReLU()
