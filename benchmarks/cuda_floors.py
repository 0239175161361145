"""The lower bound on a GPU: a plain ResNet with the kernels of our step; needs Triton."""

from collections.abc import Callable
from typing import cast

import torch
import torchvision
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.resnet import STAGES
from pipeline.runtime.cuda.fused_backbone import Stem, StemPool, conv_relu
from pipeline.runtime.cuda.graphs import Captured
from pipeline.runtime.cuda.stem_kernels import normalise
from pipeline.runtime.fold_batch_norms import fold_batch_norms


def bare_resnet(
    model: TemporalKVQResNetCBAM, where: torch.device, dtype: torch.dtype, streams: int
) -> Callable[[], object]:
    """One pass of torchvision's ResNet from pixels to probabilities, captured as a CUDA graph.

    Convolution, bias and ReLU are one kernel; a block's last convolution also adds the residual.

    Args:
        model: Defines depth, input size and normalisation; the weights are random.
        where: A GPU.
        dtype: Type of weights and maps.
        streams: Batch size.
    """
    depth, size = model.architecture.depth, model.preprocessing.usual_size
    network = torchvision.models.get_model(f"resnet{depth}", weights=None).eval().requires_grad_(False)
    fold_batch_norms(network)
    network.to(where, dtype, memory_format=torch.channels_last)
    body = nn.Sequential(Stem(network.conv1), StemPool())
    body.extend(BareBlock(block) for name in STAGES for block in getattr(network, name))
    classify = cast(nn.Linear, network.fc)
    values = (model.preprocessing.factor, model.preprocessing.offset)
    factor, offset = (torch.tensor(x, device=where) for x in values)
    squares = torch.randint(0, 256, (streams, *size, 3), dtype=torch.uint8).to(where)

    def work() -> Tensor:
        features = body(normalise(squares, factor, offset, dtype))
        logits: Tensor = classify(features.mean(dim=(2, 3)))
        return logits.float().softmax(1)

    with torch.inference_mode():
        return Captured(work, torch.cuda.graph_pool_handle()).run


class BareBlock(nn.Module):
    """A block of torchvision's ResNet.

    Args:
        block: The block, after ``fold_batch_norms``.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        self.convs = nn.ModuleList(getattr(block, name) for name in names)
        self.shortcut = cast(nn.Sequential | None, block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, rows, columns)`` in channels-last layout to the input of the next block."""
        *inner, last = cast(list[nn.Conv2d], list(self.convs))
        out, residual = x, x if self.shortcut is None else self.shortcut(x)
        for conv in inner:
            out = conv_relu(conv, out)
        padding = cast(tuple[int, ...], last.padding)
        return torch.cudnn_convolution_add_relu(
            out, last.weight, residual, 1.0, last.bias, last.stride, padding, last.dilation, last.groups
        )
