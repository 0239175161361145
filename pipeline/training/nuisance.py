"""What real cameras add to a motion: moving objects, burnt-in text, changing light, noise and blur.

All functions take frames ``(n, T, 3, H, W)`` between 0 and 1, oldest first. None of them knows the label.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.draw import uniform


def moving_objects(frames: Tensor, textures: Tensor, generator: torch.Generator) -> Tensor:
    """Lets one textured ellipse a sample cross the scene on a way of its own.

    Args:
        frames: the filmed scene.
        textures: pictures ``(n, 3, P, P)``, uint8, one for each object.
        generator: randomness.
    """
    n, steps, _, height, width = frames.shape
    start = uniform(generator, (n, 1, 2), -0.8, 0.8)
    heading = uniform(generator, (n, 1), 0, 2 * math.pi)
    speed = uniform(generator, (n, 1), 0, 0.3)
    velocity = torch.stack((heading.cos() * speed, heading.sin() * speed), dim=-1)
    time = torch.arange(steps, device=frames.device).view(1, steps, 1) - (steps - 1) / 2
    centre = start + velocity * time

    theta = torch.zeros((n, steps, 2, 3), device=frames.device)
    zoom = uniform(generator, (n, 1), 0.25, 0.5)
    spot = uniform(generator, (n, 1, 2), -0.4, 0.4)
    theta[..., 0, 0] = theta[..., 1, 1] = zoom
    theta[..., 2] = spot - zoom.unsqueeze(-1) * centre
    grid = F.affine_grid(theta.flatten(0, 1), [n * steps, 3, height, width], align_corners=False)
    grid = grid.view(n, steps * height, width, 2)
    texture = F.grid_sample(textures.float() / 255, grid, padding_mode="reflection", align_corners=False)
    texture = texture.view(n, 3, steps, height, width).transpose(1, 2)

    y, x = _screen(height, width, frames.device)
    turn = uniform(generator, (n, 1, 1, 1), 0, math.pi)
    radius = uniform(generator, (2, n, 1, 1, 1), 0.1, 0.35)
    dx, dy = x - centre[..., 0, None, None], y - centre[..., 1, None, None]
    along = (turn.cos() * dx + turn.sin() * dy) / radius[0]
    across = (turn.cos() * dy - turn.sin() * dx) / radius[1]
    edge_px = radius.amin(dim=0) * width / 2
    cover = ((1 - torch.hypot(along, across)) * edge_px + 0.5).clamp(0, 1)
    return torch.lerp(frames, texture, cover.unsqueeze(2))


def burnt_in(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Puts a logo or a line of text on the screen that does not move; a few of its cells change in time."""
    n, steps, _, height, width = frames.shape
    y, x = _screen(height, width, frames.device)
    side = torch.where(uniform(generator, (n, 1, 1)) < 0.5, -1.0, 1.0)
    centre_y = side * uniform(generator, (n, 1, 1), 0.6, 0.95)
    centre_x = uniform(generator, (n, 1, 1), -0.8, 0.8)
    half_width = uniform(generator, (n, 1, 1), 0.08, 0.6)
    half_height = uniform(generator, (n, 1, 1), 0.03, 0.12)
    box = ((x - centre_x).abs() < half_width) & ((y - centre_y).abs() < half_height)

    cells = (n, 1, max(height // 3, 1), max(width // 3, 1))
    first = uniform(generator, cells)
    again = uniform(generator, (n, steps, *cells[2:]))
    changed = uniform(generator, (n, steps, *cells[2:])) < 0.03
    ink = (torch.where(changed, again, first) < uniform(generator, (n, 1, 1, 1), 0.4, 0.9)).float()
    ink = F.interpolate(ink, (height, width), mode="nearest")
    opacity = uniform(generator, (n, 1, 1, 1), 0.5, 1.0)
    cover = (ink * box.unsqueeze(1) * opacity).unsqueeze(2)
    colour = (uniform(generator, (n, 1, 1, 1, 1)) < 0.7).float() * 0.9 + 0.1 * uniform(
        generator, (n, 1, 3, 1, 1)
    )
    return torch.lerp(frames, colour.expand_as(frames), cover)


def light_and_sensor(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Changes contrast and colour per sample; exposure, white balance, sharpness and noise per frame too."""
    n, steps = frames.shape[:2]

    def per_sample(low: float, high: float) -> Tensor:
        return uniform(generator, (n, 1, 1, 1, 1), low, high)

    def per_frame(sigma: float, channels: int = 1) -> Tensor:
        return sigma * torch.randn((n, steps, channels, 1, 1), generator=generator, device=frames.device)

    soft = F.avg_pool2d(frames.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False).view_as(frames)
    softness = per_sample(0, 0.8) * uniform(generator, (n, steps, 1, 1, 1), 0.4, 1.25)
    frames = torch.lerp(frames, soft, softness)
    grey = frames.mean(dim=2, keepdim=True)
    frames = torch.lerp(grey, frames, per_sample(0.2, 1.2))
    frames = frames.clamp(1e-4, 1).pow(per_sample(-0.4, 0.4).exp())
    gain = per_sample(0.6, 1.25) * per_frame(0.03).exp() * per_frame(0.015, channels=3).exp()
    frames = (frames - 0.5) * gain + 0.5 + per_sample(-0.12, 0.12) + per_frame(0.02)
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    sigma = per_sample(0, 0.04).square() / 0.04 * per_frame(0.15).exp()
    return (frames + sigma * noise).clamp(0, 1)


def _screen(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates y ``(H, 1)`` and x ``(1, W)`` of the pixel centres, from -1 to 1."""
    y = (torch.arange(height, device=device) + 0.5) * 2 / height - 1
    x = (torch.arange(width, device=device) + 0.5) * 2 / width - 1
    return y.view(height, 1), x.view(1, width)
