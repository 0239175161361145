"""The camera's motion: the shift, turn and scale that most of the picture agrees on.

Closed form, weighted, and reweighted a few times so that what moves by itself loses its say (iteratively
reweighted least squares with Geman-McClure weights). Nothing in it is learned.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.model.motion.geometry import places

_ROUNDS = 4
_FINEST_PX = 0.3  # residuals below this are noise
_PRIOR = 1e-3  # weight of "nothing moves", as a part of what full confidence everywhere weighs


class Similarity(NamedTuple):
    """From new to past coordinates, in pixels from the middle of the picture.

    Attributes:
        growth: Scale times cosine, minus 1, ``(n, 1)``.
        turn: Scale times sine, ``(n, 1)``.
        shift: x and y in pixels, ``(n, 2)``.
        support: Share of the weight that agrees, ``(n, 1)``.
    """

    growth: Tensor
    turn: Tensor
    shift: Tensor
    support: Tensor

    def flow(self, where: Tensor) -> Tensor:
        """The motion of what stands still, ``(n, 2, h, w)``, at ``where``, ``(2, h, w)``."""
        growth, turn = self.growth[..., None], self.turn[..., None]
        x = growth * where[0] - turn * where[1] + self.shift[:, 0, None, None]
        y = turn * where[0] + growth * where[1] + self.shift[:, 1, None, None]
        return torch.stack((x, y), dim=1)

    def matrix(self, height: int, width: int) -> Tensor:
        """``(n, 2, 3)``, from new to past coordinates, each from -1 to 1, for pictures of this size."""
        scale, aspect = 1 + self.growth, height / width
        x = torch.cat((scale, -self.turn * aspect, self.shift[:, :1] * (2 / width)), dim=1)
        y = torch.cat((self.turn / aspect, scale, self.shift[:, 1:] * (2 / height)), dim=1)
        return torch.stack((x, y), dim=1)


def fit_similarity(flow: Tensor, weight: Tensor, stride: int, rounds: int = _ROUNDS) -> Similarity:
    """Fits the similarity that most places agree on.

    Starts from "nothing moves" or from the plain fit, whichever more places agree with: on a camera that
    stands still a large mover must not win.

    Args:
        flow: ``(n, 2, h, w)`` float32, pixels.
        weight: How much each place is trusted, 0 to 1, ``(n, h, w)`` float32.
        stride: Pixels from cell to cell.
        rounds: How often the weights follow the residuals.
    """
    where = places(flow.shape[-2:], stride, flow)
    still = flow.square().sum(dim=1)
    plain = _weighted_fit(flow, weight, where)
    residual = (flow - plain.flow(where)).square().sum(dim=1)
    stands = _agreement(still, weight) >= _agreement(residual, weight)
    residual = torch.where(stands[:, None, None], still, residual)
    fit = plain
    for _ in range(rounds):
        spread = (weight * residual.clamp_max(64.0**2).add(1e-6).sqrt()).sum(dim=(1, 2)) / _total(weight)
        scale = spread.clamp_min(_FINEST_PX).square()[:, None, None]
        trusted = weight * (scale / (scale + residual)).square()
        fit = _weighted_fit(flow, trusted, where)
        residual = (flow - fit.flow(where)).square().sum(dim=1)
    return fit._replace(support=_agreement(residual, weight)[:, None])


def _total(weight: Tensor) -> Tensor:
    return weight.sum(dim=(1, 2)) + _PRIOR * weight.shape[1] * weight.shape[2]


def _agreement(residual: Tensor, weight: Tensor) -> Tensor:
    """Share of the weight whose squared residual is below about a pixel, ``(n,)``."""
    return (weight / (1 + residual)).sum(dim=(1, 2)) / _total(weight)


def _weighted_fit(flow: Tensor, weight: Tensor, where: Tensor) -> Similarity:
    total = _total(weight)
    centre = (weight[:, None] * where).sum(dim=(2, 3)) / total[:, None]
    mean = (weight[:, None] * flow).sum(dim=(2, 3)) / total[:, None]
    arm = where - centre[..., None, None]
    pull = flow - mean[..., None, None]
    inertia = (weight * arm.square().sum(dim=1)).sum(dim=(1, 2))
    inertia = inertia + _PRIOR * where.square().sum()
    growth = (weight * (arm * pull).sum(dim=1)).sum(dim=(1, 2)) / inertia
    turn = (weight * (arm[:, 0] * pull[:, 1] - arm[:, 1] * pull[:, 0])).sum(dim=(1, 2)) / inertia
    growth, turn = growth[:, None], turn[:, None]
    shift_x = mean[:, :1] - growth * centre[:, :1] + turn * centre[:, 1:]
    shift_y = mean[:, 1:] - turn * centre[:, :1] - growth * centre[:, 1:]
    return Similarity(growth, turn, torch.cat((shift_x, shift_y), dim=1), torch.zeros_like(growth))
