"""CBAM for exported steps, from operators that CPU runtimes run fast."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.cbam import CBAM, ChannelGate, SpatialGate
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.model.resnet import STAGES


class StackedChannelGate(nn.Module):
    """``ChannelGate`` with average and maximum as two rows of one product, and the doubled bias folded in.

    Args:
        gate: The gate to replace.
    """

    def __init__(self, gate: ChannelGate) -> None:
        super().__init__()
        self.squeeze, self.excite, self.scale = gate.squeeze, gate.excite, gate.scale
        with torch.no_grad():
            self.excite.bias.mul_(2)

    def forward(self, x: Tensor) -> Tensor:
        """Scales each channel of ``(B, C, rows, columns)``."""
        pooled = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        hidden = self.squeeze(pooled).relu().sum(dim=1)
        return x * (self.scale * torch.sigmoid(self.excite(hidden)))[:, :, None, None]


class RowwiseSpatialGate(nn.Module):
    """``SpatialGate`` with the columns of both maps as channels of a convolution along the rows.

    A convolution from two channels to one leaves most lanes of a processor idle. Here each row of both maps
    is one dense product with a band matrix, padding included.

    Args:
        gate: The gate to replace; its batch norm must be folded.
        columns: Number of columns of the map.
    """

    def __init__(self, gate: SpatialGate, columns: int) -> None:
        super().__init__()
        assert gate.conv.bias is not None
        kernel = gate.conv.weight.detach()[0]  # (2, 7, 7)
        reach = kernel.shape[-1] // 2
        band = torch.zeros(columns, 2, columns, kernel.shape[1])
        for out in range(columns):
            first, last = max(0, out - reach), min(columns, out + reach + 1)
            taps = kernel[:, :, first - out + reach : last - out + reach]
            band[out, :, first:last] = taps.transpose(1, 2)
        self.weight = nn.Parameter(band.flatten(1, 2))
        self.bias = nn.Parameter(gate.conv.bias.detach().repeat(columns))
        self.scale, self.reach = gate.scale, reach

    def forward(self, x: Tensor) -> Tensor:
        """Scales each position of ``(B, C, rows, columns)``."""
        pooled = torch.cat([x.mean(dim=1), x.amax(dim=1)], dim=2).transpose(1, 2)
        gate = F.conv1d(pooled, self.weight, self.bias, padding=self.reach).transpose(1, 2)
        return x * (self.scale * torch.sigmoid(gate))[:, None]


def reshape_gates(model: TemporalKVQResNetCBAM, size: Size) -> None:
    """Replaces, in place, the gates of a model with folded batch norms; all frames must have that size."""
    for backbone in model.backbones:
        for stage in STAGES:
            columns = model.architecture.grid(stage, size)[1]
            for block in cast(nn.Sequential, getattr(backbone, stage)):
                gates = cast(CBAM, block.cbam)
                gates[0] = StackedChannelGate(cast(ChannelGate, gates[0]))
                gates[1] = RowwiseSpatialGate(cast(SpatialGate, gates[1]), columns)
