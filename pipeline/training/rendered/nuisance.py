"""Disturbances of rendered clips: moving objects, burnt-in text, light, noise, compression.

All functions take frames ``(n, T, 3, H, W)`` between 0 and 1, oldest first; T counts all frames of a clip. No
effect depends on the label. ``windows`` ``(n, T, 2, 3)`` are affine maps from screen to scene.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.draw import uniform


def moving_objects(frames: Tensor, textures: Tensor, generator: torch.Generator) -> Tensor:
    """Adds one textured ellipse per sample that crosses the scene on its own path.

    Args:
        frames: The rendered scene.
        textures: Images ``(n, 3, P, P)``, uint8, one for each object.
        generator: Random generator.
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
    radius = 0.06 * 7 ** uniform(generator, (2, n, 1, 1, 1))  # in half widths, log-uniform
    dx, dy = x - centre[..., 0, None, None], y - centre[..., 1, None, None]
    along = (turn.cos() * dx + turn.sin() * dy) / radius[0]
    across = (turn.cos() * dy - turn.sin() * dx) / radius[1]
    edge_px = radius.amin(dim=0) * width / 2
    cover = ((1 - torch.hypot(along, across)) * edge_px + 0.5).clamp(0, 1)
    return torch.lerp(frames, texture, cover.unsqueeze(2))


def flat_parts(frames: Tensor, windows: Tensor, generator: torch.Generator) -> Tensor:
    """Removes most of the texture on one side of the scene, like a wall or the sky."""
    n, _, _, height, width = frames.shape
    x, y = _scene(windows, height, width)
    middle = _middle(windows)
    turn = uniform(generator, (n, 1, 1, 1), 0, 2 * math.pi)
    distance = turn.cos() * (x - middle[..., 0]) + turn.sin() * (y - middle[..., 1])
    size = _extent(windows)
    beyond = distance / size - uniform(generator, (n, 1, 1, 1), -0.5, 0.6)
    cover = (beyond * 40).sigmoid() * uniform(generator, (n, 1, 1, 1), 0.7, 1.0)
    colour = frames.mean(dim=(1, 3, 4), keepdim=True)
    return torch.lerp(frames, colour + 0.1 * distance.unsqueeze(2), cover.unsqueeze(2)).clamp(0, 1)


def scrolling_parts(frames: Tensor, textures: Tensor, windows: Tensor, generator: torch.Generator) -> Tensor:
    """Adds an ellipse that stays in place while its content moves.

    Args:
        frames: The rendered scene.
        textures: Images ``(n, 3, P, P)``, uint8, the content of the ellipses.
        windows: Windows of the frames.
        generator: Random generator.
    """
    n, steps, _, height, width = frames.shape
    x, y = _scene(windows, height, width)
    size = _extent(windows)
    spot = _middle(windows) + uniform(generator, (n, 1, 1, 1, 2), -0.8, 0.8) * size.unsqueeze(-1)
    dx, dy = (x - spot[..., 0]) / size, (y - spot[..., 1]) / size
    radius = uniform(generator, (2, n, 1, 1, 1), 0.15, 0.6)
    edge_px = radius.amin(dim=0) * width / 2
    cover = ((1 - torch.hypot(dx / radius[0], dy / radius[1])) * edge_px + 0.5).clamp(0, 1)
    heading = uniform(generator, (n, 1, 1, 1), 0, 2 * math.pi)
    way = uniform(generator, (n, 1, 1, 1), 0.02, 0.4) * torch.arange(steps, device=frames.device).view(
        1, -1, 1, 1
    )
    zoom = uniform(generator, (n, 1, 1, 1), 0.3, 0.7)
    grid = torch.stack(((dx + heading.cos() * way) * zoom, (dy + heading.sin() * way) * zoom), dim=-1)
    content = F.grid_sample(
        textures.float() / 255, grid.flatten(1, 2), padding_mode="reflection", align_corners=False
    )
    content = content.view(n, 3, steps, height, width).transpose(1, 2)
    return torch.lerp(frames, content, cover.unsqueeze(2))


def burnt_in(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Adds a static logo or line of text to the screen; a few of its cells change over time."""
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


def dark(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Simulates low light: a small part of the range is amplified, with coarse and fine noise."""
    n = len(frames)
    gain = uniform(generator, (n, 1, 1, 1, 1), 0.15, 0.6)
    sigma = uniform(generator, (n, 1, 1, 1, 1), 0.01, 0.06)
    dim = frames * gain + sigma * _sensor_noise(frames, generator)
    return (dim * uniform(generator, (n, 1, 1, 1, 1), 1.0, 1.6)).clamp(0, 1)


def noisy(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Noise with a standard deviation of 0.02 to 0.1, independent for each pixel and channel or coarser."""
    sigma = 0.02 * 5 ** uniform(generator, (len(frames), 1, 1, 1, 1))
    return (frames + sigma * _sensor_noise(frames, generator)).clamp(0, 1)


def _sensor_noise(frames: Tensor, generator: torch.Generator) -> Tensor:
    """White noise mixed with coarse noise of about the same strength, in a random ratio for each clip."""
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    coarse = F.avg_pool2d(noise.flatten(0, 1), 3, stride=1, padding=1).view_as(noise) * 2
    return torch.lerp(noise, coarse, uniform(generator, (len(frames), 1, 1, 1, 1)))


def compressed(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Quantises the DCT coefficients of 8 x 8 blocks, high frequencies more coarsely, like codecs.

    Pixels beyond the last whole block are unchanged.
    """
    n, _, _, height, width = frames.shape
    rows, columns = height // 8 * 8, width // 8 * 8
    place = torch.arange(8, device=frames.device)
    basis = torch.cos((2 * place + 1) * place.view(8, 1) * math.pi / 16) / 2
    basis[0] *= math.sqrt(0.5)
    whole = frames[..., :rows, :columns]
    blocks = whole.reshape(*frames.shape[:3], rows // 8, 8, columns // 8, 8)
    waves = torch.einsum("iy,...yax,jx->...iaj", basis, blocks, basis)
    coarse = uniform(generator, (n, 1, 1, 1, 1, 1, 1), 0.01, 0.1)
    quantum = coarse * (1 + (place.view(8, 1, 1) + place) / 2)
    blocks = torch.einsum("iy,...iaj,jx->...yax", basis, (waves / quantum).round() * quantum, basis)
    result = frames.clone()
    result[..., :rows, :columns] = blocks.reshape(whole.shape)
    return result.clamp(0, 1)


def light_and_sensor(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Changes contrast and colour per sample, and exposure, white balance, sharpness and noise per frame."""
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


def _scene(windows: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Scene coordinates x and y of each pixel, ``(n, T, H, W)``."""
    y, x = _screen(height, width, windows.device)
    theta = windows[..., None, None]
    return tuple(theta[:, :, i, 0] * x + theta[:, :, i, 1] * y + theta[:, :, i, 2] for i in (0, 1))  # type: ignore[return-value]


def _middle(windows: Tensor) -> Tensor:
    """The centre of the clip's view in the scene, ``(n, 1, 1, 1, 2)``."""
    return windows[..., 2].mean(dim=1)[:, None, None, None]


def _extent(windows: Tensor) -> Tensor:
    """Half the side of the visible part of the scene, ``(n, 1, 1, 1)``."""
    areas: Tensor = torch.linalg.det(windows[..., :2]).abs()
    return areas.sqrt().mean(dim=1)[:, None, None, None]
