"""Camera motion: robust fit of a shift, rotation and scale to the flow.

Iteratively reweighted least squares with Geman-McClure weights, in closed form: moving objects lose their
weight after a few rounds. Nothing is learned. The code uses few, large operators, because in an exported
model a small operator costs as much as a large one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.model.motion.geometry import places

_FINEST_PX = 0.3  # residuals below this are noise
_WITHIN = 2.0  # a residual of this many times the mean residual has a weight of a quarter
_STANDS = 0.62  # the static hypothesis wins if its agreeing weight is at least this share of the other's
_PARALLAX = 0.3  # flow agrees within a pixel, or within this share of a fast motion, to allow for depth
_PRIOR = 1e-3  # weight of "no motion", as a share of full confidence at all positions


class Similarity(NamedTuple):
    """Maps new to past coordinates, in pixels from the image centre.

    Attributes:
        numbers: ``(n, 4)``: scale times cosine, minus 1; scale times sine; shift x and y in pixels.
        support: Share of the weight that agrees with the fit, ``(n, 1)``.
    """

    numbers: Tensor
    support: Tensor

    def flow(self, size: Sequence[int], stride: int) -> Tensor:
        """Flow of the static scene on a grid, ``(n, 2, *size)`` pixels."""
        return (self.numbers @ _design(size, stride, self.numbers)).view(-1, 2, *size)

    def matrix(self, height: int, width: int) -> Tensor:
        """``(n, 2, 3)``, from new to past coordinates, each from -1 to 1, for frames of this size."""
        growth, turn, right, down = self.numbers.split(1, dim=1)  # type: ignore[no-untyped-call]
        aspect = height / width
        x = torch.cat((1 + growth, -turn * aspect, right * (2 / width)), dim=1)
        y = torch.cat((turn / aspect, 1 + growth, down * (2 / height)), dim=1)
        return torch.stack((x, y), dim=1)


def fit_similarity(flow: Tensor, weight: Tensor, stride: int, rounds: int) -> Similarity:
    """Fits the similarity that most positions agree on.

    Refines two starting points, "no motion" and the plain fit of the moving positions, and prefers the
    first. So the result follows neither a large object in front of a static camera nor one that the camera
    tracks.

    Args:
        flow: ``(n, 2, h, w)`` float32, pixels.
        weight: Confidence of each position, 0 to 1, ``(n, h, w)`` float32.
        stride: Cell size in pixels.
        rounds: Number of reweighting rounds.
    """
    size = flow.shape[-2:]
    design = _design(size, stride, flow)
    moved, weight = flow.flatten(1), weight.flatten(1)
    where = places(size, stride, flow).flatten(1)
    rows, columns = size
    # sum of squared distances of all positions from the centre; a plain number, for the exporters
    spread_out = _PRIOR * rows * columns * (rows**2 + columns**2 - 2) * stride**2 / 12
    basis = _basis(moved, where)
    moved, weight = moved[:, None], weight[:, None]
    gone = _squared(moved)
    plain = _weighted_fit(weight * gone / (1 + gone), basis, spread_out) @ design
    residual = _squared(moved - torch.cat((torch.zeros_like(plain), plain), dim=1))  # (n, 2, places)
    trusted = weight / (1 + residual)
    for _ in range(rounds):
        spread = (trusted * (residual + 1e-6).sqrt()).sum(dim=2, keepdim=True) / (
            trusted.sum(dim=2, keepdim=True) + 1e-3
        )
        scale = (_WITHIN * spread).clamp_min(_FINEST_PX).square()
        trusted = weight * (scale / (scale + residual)).square()
        numbers = _weighted_fit(trusted, basis, spread_out)
        residual = _squared(moved - numbers @ design)
    near = 1 + _PARALLAX**2 * _squared(numbers @ design)
    agree = (weight / (1 + residual / near)).sum(dim=2, keepdim=True)
    still, turned = torch.split(agree, 1, dim=1)
    stands = (still >= _STANDS * turned).to(flow.dtype)
    chosen = stands * numbers[:, :1] + (1 - stands) * numbers[:, 1:]
    total = weight.sum(dim=2) + _PRIOR * weight.shape[2]
    support = stands * still + (1 - stands) * turned
    return Similarity(chosen[:, 0], support[:, 0] / total)


def _design(size: Sequence[int], stride: int, like: Tensor) -> Tensor:
    """Flow at all positions per unit of each of the four parameters, ``(4, 2 * positions)``."""
    where = places(size, stride, like)
    x, y = where[:1], where[1:]
    one, none = torch.ones_like(x), torch.zeros_like(x)
    rows = (x, y), (-y, x), (one, none), (none, one)
    return torch.stack([torch.cat(row).flatten() for row in rows])


def _basis(moved: Tensor, where: Tensor) -> Tensor:
    """Terms that a fit sums over positions, ``(n, positions, 8)``; one product with the weights sums them."""
    flow = moved.view(-1, 2, where.shape[1])
    fixed = torch.cat((torch.ones_like(where[:1]), where, where.square().sum(dim=0, keepdim=True)))
    along = (flow * where).sum(dim=1, keepdim=True)
    across = flow[:, 1:] * where[:1] - flow[:, :1] * where[1:]
    parts = (fixed.expand(moved.shape[0], -1, -1), flow, along, across)
    return torch.cat(parts, dim=1).transpose(1, 2)


def _squared(residual: Tensor) -> Tensor:
    """Squared lengths ``(n, k, positions)`` of residuals ``(n, k, 2 * positions)``."""
    x, y = torch.split(residual.square(), residual.shape[2] // 2, dim=2)
    return x + y


def _weighted_fit(weight: Tensor, basis: Tensor, spread_out: float) -> Tensor:
    """The four parameters by least squares, in closed form from sums, so that few operators are exported.

    Args:
        weight: ``k`` weightings for each flow, ``(n, k, positions)``.
        basis: See ``_basis``.
        spread_out: Added to the weighted squared distances from the centre.

    Returns:
        ``(n, k, 4)``.
    """
    ones, x, y, squares, flow_x, flow_y, along, across = torch.split(weight @ basis, 1, dim=2)
    total = ones + _PRIOR * basis.shape[1]
    x, y, mean_x, mean_y = x / total, y / total, flow_x / total, flow_y / total
    # central moments: each sum minus the product of the means
    inertia = squares - total * (x * x + y * y) + spread_out
    growth = (along - total * (x * mean_x + y * mean_y)) / inertia
    turn = (across - total * (x * mean_y - y * mean_x)) / inertia
    right = mean_x - growth * x + turn * y
    down = mean_y - turn * x - growth * y
    return torch.cat((growth, turn, right, down), dim=2)
