"""A gated ResNet with fused CUDA kernels.

Convolution, bias and ReLU are one kernel: from cuDNN, or from cuBLAS for 1x1 convolutions if that is faster
for the shape. The gates and the end of a block are in ``gate_kernels``.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.cbam import CBAM
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import STAGES, ResNetCBAM
from pipeline.runtime.cuda.gate_kernels import gated
from pipeline.runtime.cuda.graphs import fastest
from pipeline.runtime.cuda.stem_kernels import CHANNELS, max_pool


class FusedBlock(nn.Module):
    """A block of the backbone with its batch norms folded.

    Args:
        block: A torchvision block with ``cbam``, after ``fold_batch_norms``.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        self.convs = nn.ModuleList(getattr(block, name) for name in names)
        self.cbam = cast(CBAM, block.cbam)
        downsample = cast(nn.Sequential | None, block.downsample)
        self.shortcut = None if downsample is None else cast(nn.Conv2d, downsample[0])

    def forward(self, x: Tensor) -> Tensor:
        """The output of the block for ``(B, C, rows, columns)`` in channels-last layout."""
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
    """The first convolution with ReLU, for frames padded with a zero channel.

    Args:
        conv: A convolution of three channels.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        _take_padded(conv)

    def forward(self, x: Tensor) -> Tensor:
        """The map of half the size for frames ``(B, 4, height, width)``."""
        return conv_relu(self.conv, x)


class StemPool(nn.Module):
    """The max-pooling after the stem."""

    def forward(self, x: Tensor) -> Tensor:
        """Reduces ``(B, C, height, width)`` in channels-last layout to half the size."""
        return max_pool(x)


def fuse_backbones(model: TemporalKVQResNetCBAM) -> None:
    """Replaces the layers of a model's backbones in place; its batch norms must be folded already."""
    for backbone in cast(list[ResNetCBAM], list(model.backbones)):
        backbone.conv1, backbone.relu, backbone.maxpool = Stem(backbone.conv1), nn.Identity(), StemPool()
        for name in STAGES:
            stage = cast(nn.Sequential, getattr(backbone, name))
            setattr(backbone, name, nn.Sequential(*(FusedBlock(block) for block in stage)))
    if model.motion is not None:
        _take_padded(model.motion.pyramid.texture.filters)


def _take_padded(conv: nn.Conv2d) -> None:
    """Pads the weights of a three-channel convolution for frames with a zero channel."""
    padded = F.pad(conv.weight, (0, 0, 0, 0, 0, CHANNELS - conv.in_channels))
    padded = padded.contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(padded, requires_grad=False)


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolution, bias and ReLU."""
    padding = cast(tuple[int, ...], conv.padding)

    def convolve() -> Tensor:
        return torch.cudnn_convolution_relu(
            x, conv.weight, conv.bias, conv.stride, padding, conv.dilation, conv.groups
        )

    def multiply() -> Tensor:
        assert conv.bias is not None
        return _as_map(torch._addmm_activation(conv.bias, _as_rows(x), conv.weight.flatten(1).t()), x)

    if not x.is_cuda:
        return F.relu(conv(x))
    return fastest(conv, ("rectified", x.shape), convolve, multiply) if _is_product(conv) else convolve()


def _bare(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution without its bias, which a later kernel adds."""

    def convolve() -> Tensor:
        return F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)

    def multiply() -> Tensor:
        return _as_map(_as_rows(x) @ conv.weight.flatten(1).t(), x)

    return (
        fastest(conv, ("bare", x.shape), convolve, multiply)
        if x.is_cuda and _is_product(conv)
        else convolve()
    )


def _is_product(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride == (1, 1)


def _as_rows(x: Tensor) -> Tensor:
    """A view of ``(B, C, rows, columns)`` in channels-last layout as ``(positions, C)``."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _as_map(rows: Tensor, like: Tensor) -> Tensor:
    batch, _, height, width = like.shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)
