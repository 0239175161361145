"""Small networks for tests, with nothing left at a special starting value."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM

SIZE = 64
M = TypeVar("M", bound=nn.Module)


def small(**options: Any) -> TemporalKVQResNetCBAM:
    """A ResNet-18 network for 64-px frames in eval mode; gates, statistics and embeddings are shaken."""
    torch.manual_seed(0)
    settings = {"depth": 18, "num_classes": 9, "d_model": 32, "num_heads": 4, "image_size": SIZE}
    model = TemporalKVQResNetCBAM(**{**settings, **options})
    return shaken(model).eval()


def shaken(model: M) -> M:
    """Moves every weight and every statistic of batch-norm a little, so that all of them matter."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            spread = max(weights.std(correction=0).item(), 0.01 if weights.dim() > 1 else 0.1)
            weights += 0.2 * spread * torch.randn(weights.shape, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.1 * torch.randn(module.running_mean.shape, generator=generator)
                module.running_var *= 0.5 + torch.rand(module.running_var.shape, generator=generator)
    return model


def clip(batch: int, length: int, size: int = SIZE, seed: int = 2) -> Tensor:
    """Random frames ``(batch, length, 3, size, size)``."""
    return torch.randn(batch, length, 3, size, size, generator=torch.Generator().manual_seed(seed))
