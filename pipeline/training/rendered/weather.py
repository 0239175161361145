"""Effects on layered scenes: cloud shadows, flicker, rain and skipped blocks."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.draw import uniform


def light_in_parts(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Adds drifting soft lights or shadows, and flickering or switched lamps.

    Args:
        frames: ``(n, S, 3, H, W)`` between 0 and 1.
        generator: Random generator.
    """
    n, times, _, height, width = frames.shape
    cells = torch.randn((n, 1, 4, 6), generator=generator, device=frames.device)
    drift = torch.randn((n, times, 4, 6), generator=generator, device=frames.device)
    strength = uniform(generator, (n, 1, 1, 1)) ** 3 * 0.5
    field = F.interpolate(cells + 0.3 * drift, (height, width), mode="bicubic", align_corners=False)
    jump = torch.randn((n, times, 1, 1), generator=generator, device=frames.device)
    jump = jump * (uniform(generator, (n, 1, 1, 1)) < 0.08).float() * 0.35
    return (frames * (strength * field + jump).exp().unsqueeze(2)).clamp(0, 1)


def rain(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Adds short bright streaks, at new positions in each frame."""
    n, times, _, height, width = frames.shape
    share = uniform(generator, (n, 1, 1, 1), 0.002, 0.02)
    drops = torch.rand((n, times, height // 2, width // 2), generator=generator, device=frames.device)
    drops = (drops < share).float()
    tall = F.avg_pool2d(drops, (7, 1), stride=1, padding=(3, 0))
    streaks = F.interpolate(tall, (height, width), mode="bilinear", align_corners=False) * 5
    brightness = uniform(generator, (n, 1, 1, 1, 1), 0.1, 0.5)
    return (frames + brightness * streaks.clamp(0, 1).unsqueeze(2)).clamp(0, 1)


def skipped_blocks(frames: Tensor, generator: torch.Generator, block: int = 16) -> Tensor:
    """Repeats blocks that have hardly changed since the previous frame, like video codecs."""
    n, _, _, height, width = frames.shape
    limit = uniform(generator, (n, 1, 1, 1), math.log(0.004), math.log(0.035)).exp()
    shown = [frames[:, 0]]
    for frame in frames.unbind(dim=1)[1:]:
        change = (frame - shown[-1]).abs().mean(dim=1, keepdim=True)
        quiet = F.avg_pool2d(change, block, ceil_mode=True) < limit
        mask = F.interpolate(quiet.float(), scale_factor=block, mode="nearest")[..., :height, :width]
        shown.append(torch.where(mask > 0, shown[-1], frame))
    return torch.stack(shown, dim=1)
