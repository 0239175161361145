"""Draws procedural images in batches on the device.

Every function returns float images ``(n, 3, size, size)`` between 0 and 1 and uses only the given generator,
so that a seed determines the image.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def uniform(
    generator: torch.Generator, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Uniform random numbers on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def fractal_noise(generator: torch.Generator, n: int, size: int, octaves: int = 8) -> Tensor:
    """Cloud noise in octaves of doubling frequency and decreasing amplitude, in random colours."""
    persistence = uniform(generator, (n, 1, 1, 1), 0.45, 0.95)
    total = torch.zeros((n, 3, size, size), device=generator.device)
    for octave in range(octaves):
        cells = min(2 ** (octave + 1) + 1, size)
        layer = torch.randn((n, 3, cells, cells), generator=generator, device=generator.device)
        layer = F.interpolate(layer, (size, size), mode="bilinear", align_corners=True)
        total += persistence**octave * layer
    grey = torch.randn((n, 3, 1), generator=generator, device=generator.device)
    mix = grey + 0.4 * torch.randn((n, 3, 3), generator=generator, device=generator.device)
    total = torch.einsum("nij,njhw->nihw", mix, total)
    spread = total.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    centre = uniform(generator, (n, 3, 1, 1), 0.25, 0.75)
    contrast = uniform(generator, (n, 1, 1, 1), 0.1, 0.3)
    return ((total - total.mean(dim=(2, 3), keepdim=True)) / spread * contrast + centre).clamp(0, 1)


def dead_leaves(generator: torch.Generator, n: int, size: int, layers: int = 14) -> Tensor:
    """Overlapping discs, ellipses and boxes of all sizes, small ones on top.

    A layer is a rotated grid with at most one leaf per cell, so the cost does not depend on the number of
    leaves.
    """
    cells = 32  # a layer repeats after this many cells
    y, x = _pixels(generator, size)
    sample = torch.arange(n, device=generator.device).view(n, 1, 1)
    canvas = uniform(generator, (n, 3, 1, 1)).expand(n, 3, size, size)
    # Each image has its own share of small leaves and its own palette, like real scenes.
    falloff = uniform(generator, (n, 1, 1), 0.6, 1.0)
    palette = uniform(generator, (n, 3, 1, 1))
    colourful = uniform(generator, (n, 1, 1, 1), 0.2, 1.0)
    for layer in range(layers):
        cell_px = size * 0.6 * 0.8**layer * uniform(generator, (n, 1, 1), 0.7, 1.3)
        angle = uniform(generator, (n, 1, 1), 0, 2 * math.pi)
        u = (angle.cos() * x + angle.sin() * y) / cell_px + uniform(generator, (n, 1, 1), 0, cells)
        v = (angle.cos() * y - angle.sin() * x) / cell_px + uniform(generator, (n, 1, 1), 0, cells)
        table = uniform(generator, (n, cells, cells, 9))
        leaf = table[sample, v.floor().long() % cells, u.floor().long() % cells]
        squash = 0.5 + leaf[..., 0]
        du = (u - u.floor() - 0.35 - 0.3 * leaf[..., 1]) * squash
        dv = (v - v.floor() - 0.35 - 0.3 * leaf[..., 2]) / squash
        radius = 0.1 + 0.3 * leaf[..., 3]
        distance = torch.where(leaf[..., 4] > 0.5, torch.hypot(du, dv), torch.maximum(du.abs(), dv.abs()))
        cover = ((radius - distance) * cell_px + 0.5).clamp(0, 1) * (leaf[..., 5] < 0.85 * falloff**layer)
        shade = 0.6 * (du + dv).unsqueeze(1)
        grey = leaf[..., 6:7].permute(0, 3, 1, 2)
        hue = torch.lerp(palette + grey - 0.5, leaf[..., 6:9].permute(0, 3, 1, 2), colourful)
        colour = hue + shade
        canvas = torch.lerp(canvas, colour, cover.unsqueeze(1))
    grain = fractal_noise(generator, n, size) - 0.5
    return (canvas + grain * uniform(generator, (n, 1, 1, 1), 0.05, 0.5)).clamp(0, 1)


def stripes(generator: torch.Generator, n: int, size: int) -> Tensor:
    """Gratings and checkers, bent and with noise, because an exact period would make the motion ambiguous."""
    y, x = _pixels(generator, size)
    bend = fractal_noise(generator, n, size, octaves=4).mean(dim=1)
    waves = []
    for _ in range(2):
        angle = uniform(generator, (n, 1, 1), 0, 2 * math.pi)
        period_px = size * 0.01 * (20 ** uniform(generator, (n, 1, 1)))
        phase = 2 * math.pi * (angle.cos() * x + angle.sin() * y) / period_px
        phase = phase + bend * uniform(generator, (n, 1, 1), 0, 40)
        edge = 10 ** uniform(generator, (n, 1, 1), -0.5, 1)
        waves.append(torch.tanh(phase.sin() * edge))
    checker = uniform(generator, (n, 1, 1)) < 0.5
    wave = torch.where(checker, waves[0] * waves[1], waves[0]).unsqueeze(1) * 0.5 + 0.5
    first, second = uniform(generator, (2, n, 3, 1, 1))
    painted = torch.lerp(first, second, wave)
    return torch.lerp(painted, fractal_noise(generator, n, size), uniform(generator, (n, 1, 1, 1), 0.25, 0.7))


def clutter(generator: torch.Generator, n: int, size: int) -> Tensor:
    """Text-like pages: glyphs of random dots in words and lines, on cloudy paper."""
    ink = torch.ones((n, 1, size, size), device=generator.device)
    for rows, columns, share in ((4, 4, 0.55), (16, size, 0.6), (16, 32, 0.75), (96, 96, 0.7)):
        shape = (n, 1, max(size // rows, 1), max(size // columns, 1))
        on = (uniform(generator, shape) < share).float()
        ink = ink * F.interpolate(on, (size, size), mode="nearest")
    ink = F.avg_pool2d(ink, 3, stride=1, padding=1)
    paper = fractal_noise(generator, n, size, octaves=6)
    return torch.lerp(paper, uniform(generator, (n, 3, 1, 1)), ink)


def plain(generator: torch.Generator, n: int, size: int) -> Tensor:
    """Walls and skies: soft gradients with some grain and a few marks."""
    wall = fractal_noise(generator, n, size, octaves=2)
    grain = fractal_noise(generator, n, size) - 0.5
    marks = dead_leaves(generator, n, size, layers=5)
    where = fractal_noise(generator, n, size, octaves=4).mean(dim=1, keepdim=True)
    marked = torch.lerp(wall, marks, (12 * (where - 0.6)).sigmoid())
    return (marked + grain * uniform(generator, (n, 1, 1, 1), 0.05, 0.3)).clamp(0, 1)


def mixed(generator: torch.Generator, n: int, size: int) -> Tensor:
    """A mix of all kinds; in half of the images a second one is visible through cloud-shaped holes."""
    shares = ((dead_leaves, 0.45), (fractal_noise, 0.2), (stripes, 0.13), (clutter, 0.12))
    counts = [round(n * share) for _, share in shares]
    parts = [draw(generator, count, size) for (draw, _), count in zip(shares, counts, strict=True) if count]
    if n > sum(counts):
        parts.append(plain(generator, n - sum(counts), size))
    pictures = torch.cat(parts)[:n]
    pictures = pictures[torch.randperm(n, generator=generator, device=generator.device)]
    holes = fractal_noise(generator, n, size, octaves=4).mean(dim=1, keepdim=True)
    sharpness = 10 ** uniform(generator, (n, 1, 1, 1), 1, 2.3)
    through = ((holes - holes.mean(dim=(2, 3), keepdim=True)) * sharpness).sigmoid()
    through = through * (uniform(generator, (n, 1, 1, 1)) < 0.5)
    return torch.lerp(pictures, pictures.roll(1, dims=0), through)


def _pixels(generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Coordinates y ``(size, 1)`` and x ``(1, size)`` from the image centre, in pixels."""
    line = torch.arange(size, device=generator.device) - (size - 1) / 2
    return line.view(size, 1), line.view(1, size)
