"""Convolutional block attention module: a channel gate, then a spatial gate.

Source: Woo et al., "CBAM: Convolutional Block Attention Module", arXiv 1807.06521.
"""

import torch
from torch import Tensor, nn

from pipeline.model.architecture import CBAMStart


class ChannelGate(nn.Module):
    """Weights channels by a two-layer perceptron, applied to both the average and the maximum over positions.

    Args:
        channels: Channels of the input.
        reduction: The hidden layer has ``channels // reduction`` units.
        start: See ``CBAMStart``.
    """

    def __init__(self, channels: int, reduction: int = 16, start: CBAMStart = "identity") -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)
        self.scale = 2.0 if start == "identity" else 1.0
        if start == "identity":
            nn.init.zeros_(self.excite.weight)
            nn.init.zeros_(self.excite.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scales each channel of ``(B, C, rows, columns)``."""
        average = self.squeeze(x.mean(dim=(2, 3))).relu()
        # without gradients, reduce both axes at once: other runtimes turn the flattened view into a copy
        largest = self.squeeze(_largest(x.flatten(2), 2) if x.requires_grad else x.amax(dim=(2, 3))).relu()
        gate = self.scale * torch.sigmoid(self.excite(average + largest) + self.excite.bias)
        return x * gate[:, :, None, None]


class SpatialGate(nn.Module):
    """Weights positions by a 7x7 convolution over the mean and the maximum of the channels.

    Args:
        start: See ``CBAMStart``.
    """

    def __init__(self, start: CBAMStart = "identity") -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)
        self.scale = 2.0 if start == "identity" else 1.0
        if start == "identity":
            nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scales each position of ``(B, C, rows, columns)``."""
        pooled = torch.stack([x.mean(dim=1), _largest(x, 1)], dim=1)
        return x * (self.scale * torch.sigmoid(self.bn(self.conv(pooled))))


class CBAM(nn.Sequential):
    """Channel gate, then spatial gate.

    Args:
        channels: Channels of the input.
        reduction: See ``ChannelGate``.
        start: See ``CBAMStart``.
    """

    def __init__(self, channels: int, reduction: int = 16, start: CBAMStart = "identity") -> None:
        super().__init__(ChannelGate(channels, reduction, start), SpatialGate(start))


def _largest(x: Tensor, dim: int) -> Tensor:
    """The maximum along one dimension.

    The gradient of ``amax`` searches the values for the maximum again. Compiled in half precision it
    compares rounded with unrounded values, finds no match and divides by zero. ``max`` keeps the index.
    """
    return x.max(dim=dim).values if x.requires_grad else x.amax(dim=dim)
