"""One Lucas-Kanade step: corrects flow by image gradients."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.attention import full_precision
from pipeline.model.motion.geometry import doubled, places, warp

WINDOWS = (3, 7)
"""Sides of the windows, in cells."""
STEP_CHANNELS = 5 * len(WINDOWS)
"""Channels of a step's evidence. For each window: the step in x and y, the share of the window
that is not trusted, the strength of the gradients, and their cornerness (0 for an edge)."""
_LONGEST_PX = 3.0
_PLACE_PX, _TEXTURE_PX = 4, 2  # strides of the flow and of the texture
_START_DAMPING = 0.05
_LEAST_TRUST = 1e-2


class Gradients(NamedTuple):
    """Quantities of the new frame that are the same for all steps; ``W`` windows.

    Attributes:
        texture: Texture of the new frame, ``(n, C, 2 h, 2 w)`` float32.
        across: Its gradient in x, same shape.
        down: Its gradient in y, same shape.
        inverse: Elements ``xx``, ``xy`` and ``yy`` of the inverse of each window's damped structure
            tensor, ``(n, 3, W, h, w)``.
        evidence: Strength and cornerness, the last channels of ``STEP_CHANNELS``, ``(n, 2 W, h, w)``.
    """

    texture: Tensor
    across: Tensor
    down: Tensor
    inverse: Tensor
    evidence: Tensor


class Steps(NamedTuple):
    """A step for each window, and its evidence.

    Attributes:
        pixels: ``(n, 2, W, h, w)`` float32, to be added to the flow.
        evidence: ``(n, STEP_CHANNELS, h, w)``, see ``STEP_CHANNELS``.
    """

    pixels: Tensor
    evidence: Tensor


class LucasKanade(nn.Module):
    """Least squares over a window with the gradients of the new frame, which all steps share.

    Large differences are down-weighted: gradients are meaningless where something was occluded.

    Source: Baker and Matthews, "Lucas-Kanade 20 Years On" (2004), the inverse compositional step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_damping = nn.Parameter(torch.full((len(WINDOWS),), _START_DAMPING).log())
        self.log_scale = nn.Parameter(torch.zeros(()))

    def gradients(self, texture: Tensor) -> Gradients:
        """Gradients of the new frame's texture, ``(n, C, 2 h, 2 w)``."""
        with full_precision(texture.device.type):
            texture = texture.float()
            padded = F.pad(texture, (1, 1, 1, 1), mode="replicate")
            across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
            down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
            products = (across * across, across * down, down * down)
            xx, xy, yy = _windowed(torch.stack([product.sum(dim=1) for product in products], dim=1))
            damping = self.log_damping.float().exp()[:, None, None]
            strength, corner = xx + yy, xx * yy - xy * xy
            xx, yy = xx + damping, yy + damping
            inverse = torch.stack((yy, -xy, xx), dim=1) / (xx * yy - xy * xy)[:, None]
            roundness = 4 * corner / (strength + 1e-3).square()
            evidence = torch.cat(((strength + 1e-2).log(), roundness), dim=1)
            return Gradients(texture, across, down, inverse, evidence)

    def forward(self, new: Gradients, there: Tensor, flow: Tensor) -> Steps:
        """One step for each window.

        Args:
            new: Gradients of the new frame.
            there: Texture of the past frame, ``(n, C, 2 h, 2 w)``.
            flow: The current flow, ``(n, 2, h, w)`` float32, in pixels.
        """
        with full_precision(flow.device.type):
            return self._forward(new, there.float(), flow.float())

    def _forward(self, new: Gradients, there: Tensor, flow: Tensor) -> Steps:
        off = warp(there, doubled(flow), _TEXTURE_PX) - new.texture
        trust = 1 / (1 + off.square().mean(dim=1) * self.log_scale.float().exp())
        sums = torch.stack(
            ((new.across * off).sum(dim=1), (new.down * off).sum(dim=1), torch.ones_like(trust))
        )
        x, y, trusted = _windowed((sums * trust).transpose(0, 1), _inside(flow))
        x, y = x / (trusted + _LEAST_TRUST), y / (trusted + _LEAST_TRUST)
        xx, xy, yy = new.inverse.unbind(dim=1)
        step = torch.stack((-xx * x - xy * y, -xy * x - yy * y), dim=1)
        step = _LONGEST_PX * torch.tanh(step * (_TEXTURE_PX / _LONGEST_PX))
        return Steps(step, torch.cat((step.flatten(1, 2), 1 - trusted, new.evidence), dim=1))


def _windowed(texture: Tensor, inside: Tensor | None = None) -> list[Tensor]:
    """Means of three maps ``(n, 3, 2 h, 2 w)`` over each window around each cell, ``(n, W, h, w)`` each.

    Args:
        texture: The maps, at the texture's stride.
        inside: Factor for each cell, ``(n, 1, h, w)``.
    """
    cells = F.avg_pool2d(texture, _PLACE_PX // _TEXTURE_PX)
    cells = cells if inside is None else cells * inside
    windows = [
        F.avg_pool2d(cells, side, stride=1, padding=side // 2, count_include_pad=False) for side in WINDOWS
    ]
    return list(torch.stack(windows, dim=2).unbind(dim=1))


def _inside(flow: Tensor) -> Tensor:
    """1 where the flow points inside the image, else 0, ``(n, 1, h, w)``."""
    rows, columns = flow.shape[-2:]
    where = (places((rows, columns), _PLACE_PX, flow) + flow).abs()
    inside = (where[:, :1] < columns * _PLACE_PX / 2 - 1) & (where[:, 1:] < rows * _PLACE_PX / 2 - 1)
    return inside.to(flow.dtype)
