"""Layers of a scene: textured outlines, each with its own motion.

Each layer has its own coordinates. At each time they are bent by a smooth wave and mapped to the screen by a
similarity. Lengths are in half widths of the frame, x right and y down, from its centre. The code uses plain
arithmetic on whole batches, because small matrix products take ten times as long.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_INVERSIONS = 3  # fixed-point rounds to invert a wave: error 0.1 px where steepest, 0.01 px elsewhere


class Shape(NamedTuple):
    """Outline of a layer; all are ``(n,)`` or ``(n, count)``.

    Attributes:
        radius: Half width and height, ``(n, 2)``; if zero or less, the layer covers everything.
        power: Exponent of the superellipse: 2 is an ellipse, 8 nearly a box.
        wobble: Amplitudes of the 2nd, 3rd and 5th harmonic of the outline, ``(n, 3)``.
        phase: Phases of the harmonics, ``(n, 3)``.
        opacity: 0 if the layer is absent.
    """

    radius: Tensor
    power: Tensor
    wobble: Tensor
    phase: Tensor
    opacity: Tensor


class Path(NamedTuple):
    """Motion of a layer at ``S`` times.

    Attributes:
        turn: Complex factor of the similarity from the layer to the screen as real and imaginary part,
            ``(n, S, 2)``.
        shift: Its offset, ``(n, S, 2)``.
        bend: Amplitude of the wave, x and y, ``(n, S, 2)``.
        scroll: Displacement of the content within the layer, ``(n, S, 2)``.
        wave: Wave vector x, y and phase of two waves, ``(n, 2, 3)``.
    """

    turn: Tensor
    shift: Tensor
    bend: Tensor
    scroll: Tensor
    wave: Tensor

    def at(self, first: int, last: int) -> "Path":
        """The times ``first`` to ``last - 1``."""
        times = slice(first, last)
        return Path(
            self.turn[:, times], self.shift[:, times], self.bend[:, times], self.scroll[:, times], self.wave
        )


def _spread(values: Tensor, dims: int) -> Tensor:
    """Appends ``dims`` dimensions of 1 to ``(n, ...)``."""
    return values.view(*values.shape, *(1,) * dims)


def wave_at(wave: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sum of two sines, ``(n, S, rows, columns)``."""
    k = wave[:, None, :, :, None, None]
    first = torch.sin(k[:, :, 0, 0] * x + k[:, :, 0, 1] * y + k[:, :, 0, 2])
    return 0.5 * (first + torch.sin(k[:, :, 1, 0] * x + k[:, :, 1, 1] * y + k[:, :, 1, 2]))


def to_layer(path: Path, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Screen to layer coordinates, ``(n, S, rows, columns)`` each.

    Args:
        path: Motion of the layer.
        x: Anything that broadcasts with ``(n, S, rows, columns)``.
        y: Of the same form.
    """
    a, b = _spread(path.turn, 2).unbind(dim=2)
    dx, dy = x - _spread(path.shift, 2)[:, :, 0], y - _spread(path.shift, 2)[:, :, 1]
    scale = 1 / (a * a + b * b)
    u0, v0 = (a * dx + b * dy) * scale, (a * dy - b * dx) * scale
    bend_x, bend_y = _spread(path.bend, 2).unbind(dim=2)
    u, v = u0, v0
    for _ in range(_INVERSIONS):
        wave = wave_at(path.wave, u, v)
        u, v = u0 - bend_x * wave, v0 - bend_y * wave
    return u, v


def to_screen(path: Path, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Layer to screen coordinates, the inverse of ``to_layer``."""
    wave = wave_at(path.wave, u, v)
    bend_x, bend_y = _spread(path.bend, 2).unbind(dim=2)
    u, v = u + bend_x * wave, v + bend_y * wave
    a, b = _spread(path.turn, 2).unbind(dim=2)
    shift_x, shift_y = _spread(path.shift, 2).unbind(dim=2)
    return a * u - b * v + shift_x, b * u + a * v + shift_y


def before_skew(skew: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Maps screen positions to those without rolling shutter.

    Args:
        skew: ``(n, S, 2)``.
        x: Anything that broadcasts with ``(n, S, rows, columns)``.
        y: Of the same form.
    """
    across, down = _spread(skew, 2).unbind(dim=2)
    return x - across * y, y - down * y


def after_skew(skew: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of ``before_skew``."""
    across, down = _spread(skew, 2).unbind(dim=2)
    y = y / (1 - down)
    return x + across * y, y


def _harmonics(shape: Shape, x: Tensor, y: Tensor) -> Tensor:
    """Sum of the outline's harmonics in the direction of a point, from powers of a unit vector."""
    scale = torch.rsqrt(x * x + y * y + 1e-12)
    cos1, sin1 = x * scale, y * scale
    cos2, sin2 = cos1 * cos1 - sin1 * sin1, 2 * cos1 * sin1
    cos3, sin3 = cos2 * cos1 - sin2 * sin1, sin2 * cos1 + cos2 * sin1
    cos5, sin5 = cos3 * cos2 - sin3 * sin2, sin3 * cos2 + cos3 * sin2
    even, odd = shape.wobble * torch.cos(shape.phase), shape.wobble * torch.sin(shape.phase)
    total = torch.zeros_like(cos1)
    for number, (cos, sin) in enumerate(((cos2, sin2), (cos3, sin3), (cos5, sin5))):
        total = total + _spread(even[:, number], 3) * cos - _spread(odd[:, number], 3) * sin
    return total


def cover(shape: Shape, u: Tensor, v: Tensor, softness: Tensor) -> Tensor:
    """Coverage of points by the layer, 0 to 1, ``(n, S, rows, columns)``.

    Args:
        shape: Outline of the layer.
        u: X in layer coordinates.
        v: Y in layer coordinates.
        softness: Width of the edge in half widths of the frame, ``(n,)``.
    """
    radius_x, radius_y = (_spread(part, 3) for part in shape.radius.unbind(dim=1))
    everywhere = radius_x <= 0
    qx, qy = u / radius_x.clamp_min(1e-3), v / radius_y.clamp_min(1e-3)
    power = _spread(shape.power, 3)
    far = ((qx.abs() + 1e-6) ** power + (qy.abs() + 1e-6) ** power) ** (1 / power)
    edge = 1.0 + _harmonics(shape, qx, qy)
    width = _spread(softness, 3) / torch.minimum(radius_x, radius_y).clamp_min(1e-3)
    inside = ((edge - far) / width + 0.5).clamp(0, 1)
    return torch.where(everywhere, torch.ones_like(inside), inside) * _spread(shape.opacity, 3)
