"""Dense motion from the cached maps of past frames: flow, its uncertainty, the camera, what moves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.motion.geometry import doubled, warp
from pipeline.model.motion.match import Match
from pipeline.model.motion.moving import EVIDENCE_CHANNELS, MovingHead, evidence
from pipeline.model.motion.pyramid import CONTEXT_CHANNELS, FINE_CHANNELS, MotionPyramid
from pipeline.model.motion.refine import Refined, Refiner
from pipeline.model.motion.similarity import Similarity, fit_similarity

COARSE, FINE = 8, 4
_HIDDEN_COARSE, _HIDDEN_FINE = 64, 32
_SCENE = 32
_GRID = 4  # of the summary


class Motion(NamedTuple):
    """What moved between the past frames and the new one; ``h x w`` at stride 4.

    Attributes:
        flow: ``(B, T, 2, h, w)`` float32: from each place of the new frame to where it was in the past
            frame, x right, y down, in pixels of the model's input; zeros for an empty slot.
        uncertainty: Expected error of the flow in pixels, ``(B, T, h, w)``.
        moving: Probability that the place moves by itself, ``(B, h, w)``; 0 without a past.
        camera: ``(B, T, 2, 3)``: similarity from new to past coordinates, each from -1 to 1.
        summary: What a classifier may know of it, ``(B, summary_width)``.
    """

    flow: Tensor
    uncertainty: Tensor
    moving: Tensor
    camera: Tensor
    summary: Tensor


@dataclass
class Trace:
    """What training looks at beside the result.

    Attributes:
        log_weights: Of the match, ``(B * T, places, places)``.
        coarse: Flow of the match, ``(B * T, 2, h / 2, w / 2)``.
        rounds: Flow and log error of each round, with their stride.
        moving_logits: ``(B, h, w)``.
    """

    log_weights: Tensor | None = None
    coarse: Tensor | None = None
    rounds: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)
    moving_logits: Tensor | None = None


class MotionHead(nn.Module):
    """Match at stride 8, refinement at stride 8 and 4, camera and mask.

    Args:
        channels: Of the backbone, by stage.
        num_past: ``T``.

    Attributes:
        rounds: Of the refinement at stride 8 and at stride 4; fewer are faster.
        summary_width: See ``Motion``.
    """

    def __init__(self, channels: Mapping[str, int], num_past: int) -> None:
        super().__init__()
        self.num_past = num_past
        self.rounds = (1, 2)
        self.pyramid = MotionPyramid(channels)
        self.match = Match()
        self.scene_coarse = nn.Conv2d(CONTEXT_CHANNELS + 2, _HIDDEN_COARSE, 1)
        self.context_coarse = nn.Conv2d(CONTEXT_CHANNELS, _SCENE, 1)
        self.coarse = Refiner(COARSE, 3, _SCENE, 64, _HIDDEN_COARSE, (1, 2, 1))
        self.hand_over = nn.Conv2d(_HIDDEN_COARSE, _HIDDEN_FINE, 1)
        self.context_fine = nn.Conv2d(FINE_CHANNELS, 16, 1)
        self.fine = Refiner(FINE, 2, 16, 48, _HIDDEN_FINE, (1, 2, 1))
        self.mask = MovingHead(num_past, _HIDDEN_FINE, FINE_CHANNELS, CONTEXT_CHANNELS)
        self.summary_width = num_past * 6 + 3 * _GRID**2

    def forward(
        self,
        new: Mapping[str, Tensor],
        match: Tensor,
        fine: Tensor,
        valid: Tensor,
        trace: Trace | None = None,
    ) -> Motion:
        """Motion of a batch of streams.

        Args:
            new: Maps of the new frame, see ``MotionPyramid``.
            match: Of the past frames, ``(B, T, 64, h / 2, w / 2)``.
            fine: Likewise, ``(B, T, 48, h, w)``.
            valid: ``(B, T)`` bool: which slots hold a frame.
            trace: Filled for training.
        """
        batch, past = valid.shape
        match, fine = match.flatten(0, 1), fine.flatten(0, 1)
        query, here = _repeated(new["match"], past), _repeated(new["fine"], past)
        found = self.match(query, match)
        flow, grid = found.flow, query.shape[-2:]
        camera = fit_similarity(flow.detach(), found.certainty[:, 0].detach(), COARSE, 2)
        context = _repeated(self.context_coarse(new["context"]), past)
        certain = torch.cat((found.certainty, found.spread), dim=1).to(query.dtype)
        hidden = F.relu(self.scene_coarse(torch.cat((_repeated(new["context"], past), certain), dim=1)))
        rounds = []
        for _ in range(self.rounds[0]):
            still = camera.flow(grid, COARSE)
            refined: Refined = self.coarse(query, match, flow.detach(), still, context, hidden)
            flow, hidden = refined.flow, refined.hidden
            rounds.append((COARSE, flow, refined.log_error))
            camera = fit_similarity(flow.detach(), _trust(refined.log_error), COARSE, 2)
        grid = here.shape[-2:]
        still = camera.flow(grid, FINE)
        flow, hidden = doubled(flow), F.relu(doubled(self.hand_over(hidden)))
        context = _repeated(F.relu(self.context_fine(new["fine"])), past)
        for _ in range(self.rounds[1]):
            refined = self.fine(here, fine, flow.detach(), still, context, hidden)
            flow, hidden = refined.flow, refined.hidden
            rounds.append((FINE, flow, refined.log_error))
        logits = self._moving(new, fine, flow.detach(), refined, still, valid)
        there = valid.any(dim=1)[:, None, None]
        moving = logits.sigmoid() * there
        stands = 1 - _repeated(moving.detach(), past)
        camera = fit_similarity(flow.detach(), _trust(refined.log_error) * stands.square(), FINE, 3)
        if trace is not None:
            trace.log_weights, trace.coarse, trace.rounds = found.log_weights, found.flow, rounds
            trace.moving_logits = logits
        height, width = (FINE * side for side in here.shape[-2:])
        known = valid.flatten()[:, None, None]
        own = (flow - camera.flow(grid, FINE)).view(batch, past, 2, *grid)[:, -1]
        return Motion(
            (flow * known[..., None]).view(batch, past, 2, *grid),
            (refined.log_error.exp() * known).view(batch, past, *grid),
            moving,
            _identity_where_empty(camera.matrix(height, width), known).view(batch, past, 2, 3),
            self._summary(camera, own, moving, valid, width),
        )

    def _moving(
        self,
        new: Mapping[str, Tensor],
        fine: Tensor,
        flow: Tensor,
        refined: Refined,
        still: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Logits of the mask, ``(B, h, w)``; ``still`` is the flow of what stands still."""
        batch, past = valid.shape
        here = _repeated(new["fine"], past)
        along_camera = (here * warp(fine, still, FINE)).sum(dim=1, keepdim=True)
        seen = evidence(flow - still, refined.log_error, refined.agreement, along_camera)
        assert seen.shape[1] == EVIDENCE_CHANNELS
        known = valid.flatten()[:, None, None, None].to(seen.dtype)
        parts = torch.cat((refined.hidden.float(), seen, torch.ones_like(seen[:, :1])), dim=1) * known
        parts = parts.view(batch, past * parts.shape[1], *parts.shape[2:]).to(here.dtype)
        logits: Tensor = self.mask(parts, new["fine"], new["context"])
        return logits

    def _summary(self, camera: Similarity, own: Tensor, moving: Tensor, valid: Tensor, width: int) -> Tensor:
        """Camera of each past frame, then where something moves and which way, on a grid of 4x4."""
        batch, past = valid.shape
        known = valid.flatten()[:, None].to(camera.numbers.dtype)
        rates = camera.numbers * camera.numbers.new_tensor([100.0, 100.0, 100.0 / width, 100.0 / width])
        numbers = torch.cat((torch.asinh(rates), camera.support, torch.ones_like(known)), dim=1)
        moved = torch.cat((moving[:, None], torch.asinh(own) * moving[:, None]), dim=1)
        parts = (numbers * known).view(batch, past * 6), F.adaptive_avg_pool2d(moved, _GRID).flatten(1)
        return torch.cat(parts, dim=1).detach()


def _trust(log_error: Tensor) -> Tensor:
    """How much a place counts in a fit: 1 where its flow is good to a fraction of a pixel."""
    return 1 / (1 + (2 * log_error.detach()).exp() * 4)


def _repeated(maps: Tensor, past: int) -> Tensor:
    """The new frame's maps once for each past frame: ``(B, ...)`` to ``(B * T, ...)``."""
    return maps[:, None].expand(-1, past, *(-1,) * (maps.ndim - 1)).flatten(0, 1)


def _identity_where_empty(matrix: Tensor, known: Tensor) -> Tensor:
    identity = torch.eye(2, 3, device=matrix.device, dtype=matrix.dtype)
    return torch.where(known, matrix, identity)
