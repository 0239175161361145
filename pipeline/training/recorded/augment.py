"""Augments recorded clips without changing their class.

Frames are ``(n, T + 1, 3, H, W)`` between 0 and 1, oldest first. Geometry, light and colour change equally in
all frames of a clip, so that they do not look like motion; only the noise differs between frames.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.draw import uniform

SMALLEST_CROP = 0.8
MOST_TURN_DEG = 7.0


def augment_clips(frames: Tensor, generator: torch.Generator, *, mirror: bool = False) -> Tensor:
    """Crops, rotates, recolours and adds noise to clips; never reverses them.

    Args:
        frames: The clips.
        generator: Random generator on the same device.
        mirror: Flip half of the clips horizontally; only if that can't change their class.

    Returns:
        New clips of the same shape, between 0 and 1.
    """
    return _dirty(_light(_move(frames, generator, mirror), generator), generator)


def _move(frames: Tensor, generator: torch.Generator, mirror: bool) -> Tensor:
    n, steps = frames.shape[:2]
    zoom = uniform(generator, (n,), SMALLEST_CROP, 1.0)
    stretch = uniform(generator, (n,), -0.05, 0.05).exp()
    turn = uniform(generator, (n,), -1, 1) * math.radians(MOST_TURN_DEG)
    side = torch.ones_like(zoom)
    if mirror:
        side = torch.where(uniform(generator, (n,)) < 0.5, -1.0, 1.0)
    centre = uniform(generator, (2, n), -1, 1) * (1 - zoom)
    theta = torch.zeros((n, 2, 3), device=frames.device)
    theta[:, 0, 0], theta[:, 0, 1] = side * zoom * stretch * turn.cos(), -zoom * turn.sin()
    theta[:, 1, 0], theta[:, 1, 1] = side * zoom * turn.sin(), zoom / stretch * turn.cos()
    theta[:, :, 2] = centre.T
    grid = F.affine_grid(theta, [n, 3, *frames.shape[-2:]], align_corners=False)
    # all frames of a clip share one grid, as channels of one image
    moved = F.grid_sample(frames.flatten(1, 2), grid, padding_mode="reflection", align_corners=False)
    return moved.view(n, steps, *frames.shape[2:])


def _light(frames: Tensor, generator: torch.Generator) -> Tensor:
    n = len(frames)

    def per_clip(low: float, high: float, channels: int = 1) -> Tensor:
        return uniform(generator, (n, 1, channels, 1, 1), low, high)

    grey = frames.mean(dim=2, keepdim=True)
    frames = torch.lerp(grey, frames, per_clip(0.3, 1.3))
    frames = frames.clamp(1e-4, 1).pow(per_clip(-0.3, 0.3).exp())
    gain = per_clip(0.7, 1.25) * per_clip(0.9, 1.1, channels=3)
    return (frames - 0.5) * gain + 0.5 + per_clip(-0.1, 0.1)


def _dirty(frames: Tensor, generator: torch.Generator) -> Tensor:
    sigma = uniform(generator, (len(frames), 1, 1, 1, 1), 0, 0.03)
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    return (frames + sigma * noise).clamp(0, 1)
