"""A gated ResNet for a CUDA GPU: the same numbers from fewer kernels.

Convolution, bias and rectifier are one kernel of cuDNN; the gates and the end of a block are four of
``gate_kernels``.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.cbam import CBAM
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import STAGES, ResNetCBAM
from pipeline.runtime.gate_kernels import gated


class FusedBlock(nn.Module):
    """A block of the backbone with its batch-norms folded.

    Args:
        block: Of torchvision's kinds, with ``cbam``, after ``fuse_batch_norms``.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        self.convs = nn.ModuleList(getattr(block, name) for name in names)
        self.cbam = cast(CBAM, block.cbam)
        downsample = cast(nn.Sequential | None, block.downsample)
        self.shortcut = None if downsample is None else cast(nn.Conv2d, downsample[0])

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, rows, columns)`` in channels-last layout to the same of the next block."""
        *inner, last = cast(list[nn.Conv2d], list(self.convs))
        out = x
        for conv in inner:
            out = conv_relu(conv, out)
        out = _bare(last, out)
        assert last.bias is not None
        if self.shortcut is None:
            return gated(out, last.bias, self.cbam, x, None)
        return gated(out, last.bias, self.cbam, _bare(self.shortcut, x), self.shortcut.bias)


class Stem(nn.Module):
    """The first convolution with its rectifier."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 3, height, width)`` to half the size."""
        return conv_relu(self.conv, x)


def fuse_backbones(model: TemporalKVQResNetCBAM) -> None:
    """Replaces, in place, what the backbones of a model are made of; its batch-norms are folded already."""
    for backbone in cast(list[ResNetCBAM], list(model.backbones)):
        backbone.conv1, backbone.relu = Stem(backbone.conv1), nn.Identity()
        for name in STAGES:
            stage = cast(nn.Sequential, getattr(backbone, name))
            setattr(backbone, name, nn.Sequential(*(FusedBlock(block) for block in stage)))


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution with its bias, rectified."""
    if not x.is_cuda:
        return F.relu(conv(x))
    padding = cast(tuple[int, ...], conv.padding)
    return torch.cudnn_convolution_relu(
        x, conv.weight, conv.bias, conv.stride, padding, conv.dilation, conv.groups
    )


def _bare(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution without its bias, which is added later."""
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
