"""Dense motion from cached maps: flow, uncertainty, camera motion and moving mask."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.architecture import CONTEXT_CHANNELS, FINE_CHANNELS
from pipeline.model.motion.geometry import doubled, signed_log, warp
from pipeline.model.motion.lucas_kanade import LucasKanade
from pipeline.model.motion.match import STRIDE, Match, Matched
from pipeline.model.motion.moving import MovingHead, evidence
from pipeline.model.motion.pyramid import MotionPyramid, unpacked
from pipeline.model.motion.refine import Refined, Refiner
from pipeline.model.motion.similarity import Similarity, fit_similarity

COARSE, FINE = STRIDE, 4
ROUNDS = 1, 2, 2
"""Number of refinement rounds at stride 8 (all past frames) and at stride 4 (the newest past frame), and of
Lucas-Kanade steps, which are cheap, after the last round."""
_COARSE_WIDTH, _FINE_WIDTH = 48, 32
_SCENE_COARSE, _SCENE_FINE = 24, 16
_GRID = 4  # rows and columns of the summary


class Motion(NamedTuple):
    """Motion between the past frames and the new one; ``h x w`` at stride 4.

    Attributes:
        flow: ``(B, T, 2, h, w)`` float32: from each position of the new frame to its position in the
            past frame, x right, y down, in pixels of the model's input; zeros for an empty slot.
        uncertainty: Expected error of the flow in pixels, ``(B, T, h, w)``.
        moving: Probability of independent motion, ``(B, h, w)``; 0 without a past frame.
        camera: ``(B, T, 2, 3)``: similarity from new to past coordinates, each from -1 to 1.
        summary: Input of the classifier, ``(B, summary_width)``.
    """

    flow: Tensor
    uncertainty: Tensor
    moving: Tensor
    camera: Tensor
    summary: Tensor


class Round(NamedTuple):
    """Result of one round of refinement.

    Attributes:
        stride: Cell size in pixels.
        slots: ``T`` for all past frames (``B * T`` rows); None for only the newest one (``B`` rows).
        flow: ``(rows, 2, h, w)`` pixels, on the grid of its stride.
        log_error: ``(rows, h, w)``.
    """

    stride: int
    slots: int | None
    flow: Tensor
    log_error: Tensor


class CameraVote(NamedTuple):
    """The weight of each position in a fit of the camera motion.

    Attributes:
        flow: ``(B * T, 2, h / 2, w / 2)`` pixels.
        logits: Logits of the probability that the flow is camera motion, ``(B * T, h / 2, w / 2)``.
    """

    flow: Tensor
    logits: Tensor


@dataclass
class Trace:
    """Intermediate results for the training losses.

    Attributes:
        log_weights: Log weights of the match, ``(B * T, positions, positions)``.
        coarse: Flow of the match, ``(B * T, 2, h / 2, w / 2)``.
        votes: Inputs of the camera fits, in order.
        rounds: Rounds of refinement, in order.
        moving_logits: ``(B, h, w)``.
    """

    log_weights: Tensor | None = None
    coarse: Tensor | None = None
    votes: list[CameraVote] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    moving_logits: Tensor | None = None


class MotionHead(nn.Module):
    """Match at stride 8, refinement at stride 8 and 4, camera and mask.

    Only the flow to the newest past frame is refined at stride 4. The others show motion over a longer
    time, for which stride 8 is fine enough.

    Args:
        channels: Channels of the backbone, by stage.
        num_past: ``T``.

    Attributes:
        rounds: ``ROUNDS``; can be changed for experiments.
        summary_width: See ``Motion``.
    """

    def __init__(self, channels: Mapping[str, int], num_past: int) -> None:
        super().__init__()
        self.rounds = ROUNDS
        self.pyramid = MotionPyramid(channels)
        self.match = Match()
        self.scene_coarse = nn.Conv2d(CONTEXT_CHANNELS + 2, _COARSE_WIDTH, 1)
        self.context_coarse = nn.Conv2d(CONTEXT_CHANNELS, _SCENE_COARSE, 1)
        self.coarse = Refiner(COARSE, 3, _SCENE_COARSE, _COARSE_WIDTH, _COARSE_WIDTH, (1, 2, 1))
        self.vote_matched, self.vote_refined = (nn.Conv2d(_COARSE_WIDTH, 1, 1) for _ in range(2))
        self.hand_over = nn.Conv2d(_COARSE_WIDTH, _FINE_WIDTH, 1)
        self.context_fine = nn.Conv2d(FINE_CHANNELS, _SCENE_FINE, 1)
        self.fine = Refiner(FINE, 2, _SCENE_FINE, _FINE_WIDTH, _FINE_WIDTH, (1, 2, 1), steps=True)
        self.lucas_kanade = LucasKanade()
        self.mask = MovingHead(num_past, _FINE_WIDTH, FINE_CHANNELS, CONTEXT_CHANNELS)
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
            match: Match maps of the past frames, ``(B, T, 64, h / 2, w / 2)``.
            fine: Fine maps of the past frames, ``(B, T, 64, h, w)``.
            valid: ``(B, T)`` bool: which slots hold a frame.
            trace: Receives the intermediate results for training.
        """
        past, grid = valid.shape[1], fine.shape[-2:]
        rounds: list[Round] = []
        votes: list[CameraVote] = []
        found, camera, refined = self._coarse(new, match, rounds, votes)
        flow, log_error = doubled(refined.flow), doubled(refined.log_error[:, None])[:, 0]
        hidden = F.relu(doubled(self.hand_over(refined.hidden)))
        still = camera.flow(grid, FINE)
        flow, log_error, hidden, still = (_by_slot(x, past) for x in (flow, log_error, hidden, still))
        newest = Refined(flow[:, -1], log_error[:, -1], hidden[:, -1])
        here, texture = unpacked(new["fine"])
        gradients = self.lucas_kanade.gradients(texture)
        there, past_texture = unpacked(fine[:, -1])
        context = F.relu(self.context_fine(here))
        for _ in range(self.rounds[1]):
            steps = self.lucas_kanade(gradients, past_texture, newest.flow.detach())
            newest = self.fine(here, there, newest, still[:, -1], context, steps)
            rounds.append(Round(FINE, None, newest.flow, newest.log_error))
        for _ in range(self.rounds[2]):
            newest = newest.stepped(self.lucas_kanade(gradients, past_texture, newest.flow.detach()))
            rounds.append(Round(FINE, None, newest.flow, newest.log_error))
        flow = torch.cat((flow[:, :-1], newest.flow[:, None]), dim=1)
        log_error = torch.cat((log_error[:, :-1], newest.log_error[:, None]), dim=1)
        hidden = torch.cat((hidden[:, :-1], newest.hidden[:, None]), dim=1)
        logits = self._moving(here, new["context"], fine, Refined(flow, log_error, hidden), still, valid)
        moving = logits.sigmoid() * valid.any(dim=1)[:, None, None]
        if trace is not None:
            trace.log_weights = found.scores.log_softmax(dim=-1)
            trace.coarse, trace.rounds = found.flow, rounds
            trace.moving_logits, trace.votes = logits, votes
        return self._motion(flow, log_error, moving, votes[-1].logits, valid)

    def _coarse(
        self, new: Mapping[str, Tensor], match: Tensor, rounds: list[Round], votes: list[CameraVote]
    ) -> tuple[Matched, Similarity, Refined]:
        """Match, camera and refined flow of all past frames at stride 8, ``B * T`` rows each."""
        past, grid = match.shape[1], match.shape[-2:]
        match = match.flatten(0, 1)
        query, scene = _repeated(new["match"], past), _repeated(new["context"], past)
        found = self.match(query, match)
        certain = torch.cat((found.certainty, found.spread), dim=1).to(query.dtype)
        hidden = F.relu(self.scene_coarse(torch.cat((scene, certain), dim=1)))
        context = self.context_coarse(scene)
        refined = Refined(found.flow, found.spread[:, 0], hidden)

        def camera_of(vote: nn.Conv2d, trust: Tensor, again: int) -> Similarity:
            logits = vote(refined.hidden)[:, 0].float()
            votes.append(CameraVote(refined.flow, logits))
            return fit_similarity(refined.flow.detach(), trust * logits.detach().sigmoid(), COARSE, again)

        camera = camera_of(self.vote_matched, found.certainty[:, 0].detach(), 4)
        for _ in range(self.rounds[0]):
            refined = self.coarse(query, match, refined, camera.flow(grid, COARSE), context)
            rounds.append(Round(COARSE, past, refined.flow, refined.log_error))
            camera = camera_of(self.vote_refined, _trust(refined.log_error), 2)
        return found, camera, refined

    def _motion(
        self, flow: Tensor, log_error: Tensor, moving: Tensor, votes: Tensor, valid: Tensor
    ) -> Motion:
        """The result, with the camera motion fitted to the static scene."""
        past, grid = valid.shape[1], moving.shape[-2:]
        stands = _repeated((1 - moving.detach()).square(), past)
        every = flow.detach().flatten(0, 1)
        trust = _trust(log_error.flatten(0, 1)) * stands * doubled(votes.detach().sigmoid()[:, None])[:, 0]
        camera = fit_similarity(every, trust, FINE, 3)
        height, width = (FINE * side for side in grid)
        known = valid[..., None, None]
        matrix = _by_slot(camera.matrix(height, width), past)
        identity = torch.eye(2, 3, device=matrix.device, dtype=matrix.dtype)
        own = _by_slot(every - camera.flow(grid, FINE), past)[:, -1]
        return Motion(
            flow * known[..., None],
            log_error.exp() * known,
            moving,
            torch.where(known, matrix, identity),
            self._summary(camera, own, moving, valid, width),
        )

    def _moving(
        self, here: Tensor, context: Tensor, fine: Tensor, found: Refined, still: Tensor, valid: Tensor
    ) -> Tensor:
        """Logits of the mask, ``(B, h, w)``, from the flow relative to the static scene's flow."""
        past = valid.shape[1]
        flow, error = found.flow.detach().flatten(0, 1), found.log_error.flatten(0, 1)
        still = still.flatten(0, 1)
        repeated = _repeated(here, past)
        along_camera = (repeated * warp(fine[:, :, :FINE_CHANNELS].flatten(0, 1), still, FINE)).sum(
            dim=1, keepdim=True
        )
        seen = evidence(flow - still, error, along_camera)
        parts = torch.cat((found.hidden.flatten(0, 1).float(), seen, torch.ones_like(seen[:, :1])), dim=1)
        parts = _by_slot(parts, past) * valid[:, :, None, None, None].to(parts.dtype)
        logits: Tensor = self.mask(parts.flatten(1, 2).to(here.dtype), here, context)
        return logits

    def _summary(self, camera: Similarity, own: Tensor, moving: Tensor, valid: Tensor, width: int) -> Tensor:
        """Camera motion to each past frame, then the position and direction of motion on a 4x4 grid."""
        known = valid.flatten()[:, None].to(camera.numbers.dtype)
        rates = torch.cat((camera.numbers[:, :2], camera.numbers[:, 2:] / width), dim=1)
        numbers = torch.cat((signed_log(100 * rates), camera.support, torch.ones_like(known)), dim=1)
        moved = torch.cat((moving[:, None], signed_log(own) * moving[:, None]), dim=1)
        cameras = _by_slot(numbers * known, valid.shape[1]).flatten(1)
        return torch.cat((cameras, F.adaptive_avg_pool2d(moved, _GRID).flatten(1)), dim=1).detach()


def _trust(log_error: Tensor) -> Tensor:
    """Weight of each position in a fit: 1 where its flow is accurate to a fraction of a pixel.

    It falls slowly with the error: a fast-moving background must outweigh an object that the camera follows.
    """
    return 1 / (1 + log_error.detach().exp())


def _repeated(maps: Tensor, past: int) -> Tensor:
    """The new frame's maps, repeated for each past frame: ``(B, ...)`` to ``(B * T, ...)``."""
    return maps[:, None].expand(-1, past, *(-1,) * (maps.ndim - 1)).flatten(0, 1)


def _by_slot(rows: Tensor, past: int) -> Tensor:
    """Reshapes ``(B * T, ...)`` to ``(B, T, ...)``."""
    return rows.view(-1, past, *rows.shape[1:])
