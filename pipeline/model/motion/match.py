"""Coarse flow: matches the query of each position with the keys of a whole past frame."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.attention import full_precision
from pipeline.model.motion.geometry import places

STRIDE = 8
_START_TEMPERATURE = 15.0
_LARGEST_TEMPERATURE = 60.0
_NEAR_PX = 8.0  # within this distance the prior is flat


class Matched(NamedTuple):
    """Result of the match.

    Attributes:
        flow: ``(n, 2, rows, columns)`` float32, in pixels.
        certainty: Weight of the best position, 0 to 1, ``(n, 1, rows, columns)``.
        spread: Standard deviation of the position in cells, as ``log(1 + x)``, the same shape.
        scores: ``(n, positions, positions)`` float32, from new to past; their softmax gives the weights.
    """

    flow: Tensor
    certainty: Tensor
    spread: Tensor
    scores: Tensor


class Match(nn.Module):
    """Softmax over the positions of one past frame; its expectation is the matched position.

    A learned prior favours nearby positions: without distinctive texture, as on a wall, the flow is zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(_START_TEMPERATURE).log())
        self.nearness = nn.Parameter(torch.tensor(-1.0))

    def forward(self, query: Tensor, key: Tensor) -> Matched:
        """Matches maps ``(n, C, rows, columns)`` of new and past frames, of unit length at each position."""
        with full_precision(query.device.type):
            return self._match(query.float(), key.float())

    def _match(self, query: Tensor, key: Tensor) -> Matched:
        rows, columns = query.shape[-2:]
        where = places((rows, columns), STRIDE, query).flatten(1)  # (2, N)
        temperature = self.log_temperature.float().exp().clamp(max=_LARGEST_TEMPERATURE)
        scores = (query * temperature).flatten(2).transpose(1, 2) @ key.flatten(2)
        away = (where[:, :, None] - where[:, None, :]).square().sum(dim=0)
        scores = scores - F.softplus(self.nearness.float()) * torch.log1p(away / _NEAR_PX**2)
        weights = scores.softmax(dim=-1)
        values = torch.cat((where, where.square().sum(dim=0, keepdim=True))).T  # (N, 3): key positions
        found = (weights @ values).transpose(1, 2)  # (n, 3, N)
        mean = found[:, :2]
        variance = (found[:, 2:] - mean.square().sum(dim=1, keepdim=True)).clamp_min(0.0)
        grid = rows, columns
        return Matched(
            (mean - where).view(-1, 2, *grid),
            weights.amax(dim=-1).view(-1, 1, *grid),
            torch.log1p((variance + 1e-6).sqrt() / STRIDE).view(-1, 1, *grid),
            scores,
        )
