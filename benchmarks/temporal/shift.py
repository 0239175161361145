"""Channel shift: an eighth of the channels of each residual branch comes from the previous frame.

Source: Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", arXiv 1811.08383, in its
online form: only from the past, so that a stream can cache the shifted channels.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from benchmarks.temporal.baselines import mean_of_present
from benchmarks.temporal.shape import Shape
from pipeline.model.resnet import STAGES, ResNetCBAM

Answer = Literal["newest", "mean"]


class ShiftMemory(NamedTuple):
    """Cached data of the past frames of a batch of streams.

    Attributes:
        channels: The channels of the newest past frame that will be shifted, before each block.
        logits: Logits of each past frame, oldest first, ``(B, T, classes)``.
        present: ``(B, T)`` bool: which of them exist.
    """

    channels: tuple[Tensor, ...]
    logits: Tensor
    present: Tensor


class ChannelShift(nn.Module):
    """Our backbone with channel shift, average pooling and a linear classifier.

    In a clip, nothing is shifted into the oldest frame or from an absent frame. A stream keeps its cached
    channels, so after ``T + 1`` frames it depends on older frames than a clip of its last frames would.

    Args:
        shape: Sizes of the network.
        num_past: ``T``.
        answer: Logits of the ``newest`` frame, or their ``mean`` over the frames as in the paper.
        share: Share of the channels that is shifted.
    """

    def __init__(
        self, shape: Shape, num_past: int = 2, *, answer: Answer = "newest", share: float = 1 / 8
    ) -> None:
        super().__init__()
        self.num_past, self.how, self.share = num_past, answer, share
        self.backbone = ResNetCBAM(shape.depth)
        self.classifier = nn.Linear(self.backbone.channels["layer4"], shape.classes)

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits ``(B, classes)`` of ``T + 1`` frames ``(B, 3, height, width)``, oldest first, and ``{}``.

        ``past_mask`` ``(B, T)`` is True where the past frame is present; None for all.
        """
        batch, images = len(frames[-1]), torch.cat(frames)
        if past_mask is None:
            past_mask = torch.ones(batch, self.num_past, dtype=torch.bool, device=images.device)
        oldest = torch.zeros_like(past_mask[:, :1])
        sent = torch.cat((oldest, past_mask), dim=1).T.flatten()[:, None, None, None]
        x = self._stem(images)
        for block in self._blocks():
            kept = self._kept(x)
            before = torch.cat((torch.zeros_like(kept[:batch]), kept[:-batch])) * sent
            x = _residual(block, x, torch.cat((before, x[:, kept.shape[1] :]), dim=1))
        logits = self.classifier(x.mean(dim=(2, 3))).view(len(frames), batch, -1).transpose(0, 1)
        return self._answer(logits, torch.cat((past_mask, ~oldest), dim=1)), {}

    def step(self, frame: Tensor, memory: ShiftMemory | None = None) -> tuple[Tensor, ShiftMemory]:
        """Logits of a new frame ``(B, 3, height, width)``, and the memory for the next frame.

        The memory of the first frame is None.
        """
        x, cached = self._stem(frame), []
        for number, block in enumerate(self._blocks()):
            kept = self._kept(x)
            before = torch.zeros_like(kept) if memory is None else memory.channels[number]
            cached.append(kept)
            x = _residual(block, x, torch.cat((before, x[:, kept.shape[1] :]), dim=1))
        logits = self.classifier(x.mean(dim=(2, 3)))[:, None]
        if memory is None:
            past = torch.zeros_like(logits).expand(-1, self.num_past, -1)
            present = torch.zeros(past.shape[:2], dtype=torch.bool, device=x.device)
        else:
            past, present = memory.logits, memory.present
        window = torch.cat((past, logits), dim=1)
        present = torch.cat((present, torch.ones_like(present[:, :1])), dim=1)
        return self._answer(window, present), ShiftMemory(tuple(cached), window[:, 1:], present[:, 1:])

    def _stem(self, images: Tensor) -> Tensor:
        net = self.backbone
        return cast(Tensor, net.maxpool(net.relu(net.bn1(net.conv1(images)))))

    def _blocks(self) -> Iterator[nn.Module]:
        for stage in STAGES:
            yield from getattr(self.backbone, stage)

    def _kept(self, x: Tensor) -> Tensor:
        return x[:, : int(x.shape[1] * self.share)]

    def _answer(self, logits: Tensor, present: Tensor) -> Tensor:
        return logits[:, -1] if self.how == "newest" else mean_of_present(logits, present)


def _residual(block: nn.Module, x: Tensor, shifted: Tensor) -> Tensor:
    """A gated block: its residual branch gets the shifted channels, its shortcut the original ones."""
    out = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(shifted)))))  # type: ignore[operator]
    if hasattr(block, "conv3"):
        out = block.bn3(block.conv3(block.relu(out)))  # type: ignore[operator]
    shortcut = x if block.downsample is None else block.downsample(x)  # type: ignore[operator]
    return cast(Tensor, block.relu(block.cbam(out) + shortcut))  # type: ignore[operator]
