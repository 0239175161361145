"""The loss of dense motion on rendered scenes: flow, uncertainty and moving mask."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.motion.geometry import doubled
from pipeline.model.motion.motion_head import COARSE, FINE, CameraVote, Motion, Trace
from pipeline.training.rendered.layer_truth import Truth

_HIDDEN = 0.2  # weight of positions that are occluded in the past frame
_THING_PLACES = 200  # a smaller moving object is weighted as if it had this many positions
_MOST_FOR_THING = 10.0  # upper bound on that weight per position
_AROUND_THING = 2  # static positions within this distance of a moving object get its weight
_LAYERS = 64  # upper bound on the layers of a scene
_DECAY = 0.6  # weight of a round relative to the next one
_ROBUST = 0.7  # exponent of an error: below 1, so that large errors of fast objects do not dominate
_LIKELIHOOD = 0.2
_MATCH, _COARSE, _FLOW, _MASK, _DICE, _VOTE = 0.5, 0.05, 1.0, 3.0, 1.0, 0.3


class DenseLoss(NamedTuple):
    """The loss and two metrics for display, all scalars.

    Attributes:
        total: The loss.
        epe: Mean end-point error of visible positions, in pixels.
        mask_iou: Intersection over union of the moving mask.
    """

    total: Tensor
    epe: Tensor
    mask_iou: Tensor


def dense_loss(motion: Motion, trace: Trace, truth: Truth, past: Tensor) -> DenseLoss:
    """The loss of a batch.

    Args:
        motion: Output of the network.
        trace: Intermediate results of the network.
        truth: Ground truth of the same clips.
        past: ``(n, T)`` bool: which past frames the network saw.
    """
    wanted = truth.flow.flatten(0, 1)
    seen = truth.visible.flatten(0, 1).float()
    # far outside the frame the motion can't be inferred
    within = (wanted.abs().amax(dim=1) < wanted.shape[-1] * FINE).float()
    things = _thing_weight(truth)
    weight = (seen + _HIDDEN * (1 - seen)) * within * past.flatten()[:, None, None]
    weight = weight * things[:, None].expand(-1, past.shape[1], -1, -1).flatten(0, 1)
    flow, share = torch.zeros((), device=wanted.device), 1.0
    slots = past.shape[1]
    for each in reversed(trace.rounds):
        found, log_error = each.flow, each.log_error
        if each.stride == COARSE:
            found, log_error = doubled(found), doubled(log_error[:, None])[:, 0]
        rows = slice(None) if each.slots else slice(slots - 1, None, slots)  # the newest past frame
        error = ((found - wanted[rows]).square().sum(dim=1) + 1e-4).sqrt()
        # the likelihood trains only the uncertainty: for the flow it would put most weight on small errors
        likelihood = error.detach() * (-log_error).exp() + log_error
        cost = error.pow(_ROBUST) + _LIKELIHOOD * likelihood
        flow, share = flow + share * _mean(cost, weight[rows]), share * _DECAY
    assert trace.coarse is not None
    assert trace.moving_logits is not None
    coarse = ((doubled(trace.coarse) - wanted).square().sum(dim=1) + 1e-2).sqrt().clamp_max(60.0)
    total = _FLOW * flow + _COARSE * _mean(coarse, weight * seen)
    total = total + _MATCH * _match_cost(trace, truth, things, past)
    anything = past.any(dim=1)[:, None, None].float()
    # square root, because with the full weight the mask fills the gaps between small objects
    total = total + _mask_cost(trace.moving_logits, truth, anything * things.sqrt())
    for vote in trace.votes:
        total = total + _VOTE * _vote_cost(vote, truth, past)
    with torch.no_grad():
        last = (motion.flow.flatten(0, 1) - wanted).square().sum(dim=1).sqrt()
        epe = _mean(last, seen * within * past.flatten()[:, None, None])
        guess, right = (motion.moving > 0.5) & truth.certain, truth.moving & truth.certain
        iou = (guess & right).sum() / (guess | right).sum().clamp_min(1)
    return DenseLoss(total, epe, iou)


def _thing_weight(truth: Truth) -> Tensor:
    """Weight of each position, ``(n, h, w)``, at least 1.

    A distant person covers only a few of the thousands of positions: without weights, a network that predicts
    the background there has a low loss. The surroundings get the same weight; otherwise they would be
    predicted as moving too.
    """
    owner, moving = truth.owner.flatten(1).long(), truth.moving.flatten(1).float()
    areas = torch.zeros((len(owner), _LAYERS), device=owner.device).scatter_add(1, owner, moving)
    larger = (_THING_PLACES / areas.gather(1, owner).clamp_min(1)).clamp(1, _MOST_FOR_THING)
    weight = (1 + moving * (larger - 1)).view_as(truth.owner)
    return F.max_pool2d(weight[:, None], 2 * _AROUND_THING + 1, 1, _AROUND_THING)[:, 0]


def _mask_cost(logits: Tensor, truth: Truth, weight: Tensor) -> Tensor:
    """Cross entropy, weighted by the error, and the Dice loss of each clip."""
    wanted, weight = truth.moving.float(), truth.certain.float() * weight
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    guess = logits.sigmoid()
    wrong = (guess - wanted).abs()
    cost = _mean(entropy * (0.3 + wrong), weight)
    both = (guess * wanted * weight).sum(dim=(1, 2))
    sizes = ((guess + wanted) * weight).sum(dim=(1, 2))
    dice = 1 - (2 * both + 8) / (sizes + 8)
    return _MASK * cost + _DICE * dice.mean()


def _vote_cost(vote: CameraVote, truth: Truth, past: Tensor) -> Tensor:
    """Cross entropy of the prediction that a position's estimated flow is camera motion."""
    camera = F.avg_pool2d(truth.camera.flatten(0, 1), 2)
    apart = (vote.flow.detach() - camera).square().sum(dim=1)
    length = camera.square().sum(dim=1)
    is_camera = 1 / (1 + apart / (1 + 0.01 * length))  # within a pixel, or a tenth of a fast motion
    entropy = F.binary_cross_entropy_with_logits(vote.logits, is_camera, reduction="none")
    return _mean(entropy, past.flatten()[:, None, None].expand_as(entropy).float())


def _match_cost(trace: Trace, truth: Truth, things: Tensor, past: Tensor) -> Tensor:
    """Cross entropy of the match against the four cells around the true position.

    If at least half of a cell moves independently, its target is the past position of that part.
    """
    assert trace.log_weights is not None
    slots = past.shape[1]
    rows, columns = truth.owner.shape[1] // 2, truth.owner.shape[2] // 2
    mostly = F.avg_pool2d(truth.moving.float()[:, None], 2) >= 0.5
    chosen = F.interpolate(mostly.float(), scale_factor=2) == truth.moving[:, None].float()

    def pooled(maps: Tensor) -> Tensor:
        """Mean of ``(n * T, C, h, w)`` over the chosen positions of each cell."""
        weight = chosen.float().expand(-1, slots, -1, -1).flatten(0, 1)[:, None]
        return F.avg_pool2d(maps * weight, 2) / F.avg_pool2d(weight, 2)

    went = pooled(truth.flow.flatten(0, 1)) / COARSE
    seen = pooled(truth.visible.flatten(0, 1).float()[:, None])[:, 0] > 0.99
    owners, nobody = truth.owner[:, None], torch.full_like(truth.owner[:, None], -_LAYERS)
    highest = F.max_pool2d(torch.where(chosen, owners, nobody), 2)
    one_owner = highest == -F.max_pool2d(torch.where(chosen, -owners, nobody), 2)
    y = torch.arange(rows, device=past.device)[:, None] + went[:, 1]
    x = torch.arange(columns, device=past.device) + went[:, 0]
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    known = inside & seen & one_owner.expand(-1, slots, -1, -1).flatten(0, 1) & past.flatten()[:, None, None]
    weight = known * F.max_pool2d(things[:, None] * chosen, 2).expand(-1, slots, -1, -1).flatten(0, 1)
    left, top = x.floor().clamp(0, columns - 2), y.floor().clamp(0, rows - 2)
    part_x, part_y = (x - left).clamp(0, 1), (y - top).clamp(0, 1)
    log_weights = trace.log_weights
    found = torch.zeros_like(part_x)
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cell = ((top + down) * columns + left + across).long().flatten(1)[..., None]
        share = (part_y if down else 1 - part_y) * (part_x if across else 1 - part_x)
        found = found + share * log_weights.gather(2, cell)[..., 0].view_as(share)
    return _mean(-found, weight)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
