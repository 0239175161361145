"""The loss of dense motion: nothing to learn from the truth itself, everything from one batch."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.motion.motion_head import CameraVote, Motion, Round, Trace
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.rendered.dense_loss import DenseLoss, dense_loss
from pipeline.training.rendered.layer_truth import Truth
from pipeline.training.rendered.layered_scene import LayeredScene
from pipeline.training.rendered.scene_renderer import SceneClips, SceneRenderer
from pipeline.training.samples import normalised

SEEN = torch.ones(4, 2, dtype=torch.bool)


@pytest.fixture(scope="module")
def clips() -> SceneClips:
    scene = LayeredScene(empty_share=0, fixed_share=0, swaying_share=0, standing_share=0.7)
    return SceneRenderer("cpu", 64, 96, 13, bank_count=8, scene=scene).clips(4)


def perfect(truth: Truth, off_px: float = 0.0) -> tuple[Motion, Trace]:
    """What a network would give that knows the truth, or is off by so much."""
    flow = truth.flow + off_px
    log_error = torch.full_like(flow[:, :, 0], max(off_px, 0.02)).log()
    logits = (truth.moving.float() - 0.5) * 40
    coarse = F.avg_pool2d(flow.flatten(0, 1), 2)
    rounds = [
        Round(8, 2, coarse, F.avg_pool2d(log_error.flatten(0, 1), 2).clamp_min(0)),  # not right at outlines
        Round(4, None, flow[:, -1], log_error[:, -1]),
    ]
    cells = coarse.shape[-2] * coarse.shape[-1]
    camera = F.avg_pool2d(truth.camera.flatten(0, 1), 2)
    votes = [CameraVote(coarse, 8 - 16 * ((coarse - camera).norm(dim=1) > 1).float())]
    trace = Trace(torch.zeros(len(coarse), cells, cells), coarse, votes, rounds, logits)
    camera = torch.eye(2, 3).expand(*flow.shape[:2], 2, 3)
    return Motion(flow, log_error.exp(), logits.sigmoid(), camera, torch.zeros(len(flow), 1)), trace


def test_the_truth_itself_has_no_error(clips: SceneClips) -> None:
    assert clips.truth.moving.sum() > 20
    found = dense_loss(*perfect(clips.truth), clips.truth, SEEN)
    assert float(found.epe) < 1e-4
    assert float(found.mask_iou) == 1


def test_the_end_point_error_is_the_distance_in_pixels(clips: SceneClips) -> None:
    assert float(dense_loss(*perfect(clips.truth, 3.0), clips.truth, SEEN).epe) == pytest.approx(3 * 2**0.5)


@pytest.mark.parametrize("off_px", [0.5, 4.0])
def test_a_flow_that_is_off_costs_more(clips: SceneClips, off_px: float) -> None:
    right, wrong = (dense_loss(*perfect(clips.truth, off), clips.truth, SEEN) for off in (0.0, off_px))
    assert wrong.total > right.total + 0.2


def test_a_wrong_mask_costs_more_and_halves_the_overlap(clips: SceneClips) -> None:
    motion, trace = perfect(clips.truth)
    right = dense_loss(motion, trace, clips.truth, SEEN)
    trace.moving_logits = -trace.moving_logits
    wrong = dense_loss(motion._replace(moving=1 - motion.moving), trace, clips.truth, SEEN)
    assert wrong.total > right.total + 1
    assert float(wrong.mask_iou) == 0


def test_a_camera_fitted_to_what_moves_costs_more(clips: SceneClips) -> None:
    motion, trace = perfect(clips.truth)
    right = dense_loss(motion, trace, clips.truth, SEEN).total
    trace.votes = [vote._replace(logits=-vote.logits) for vote in trace.votes]
    assert dense_loss(motion, trace, clips.truth, SEEN).total > right + 1


def test_to_be_surer_than_right_costs_more(clips: SceneClips) -> None:
    motion, trace = perfect(clips.truth, 2.0)
    honest = dense_loss(motion, trace, clips.truth, SEEN).total
    trace.rounds = [each._replace(log_error=each.log_error - 2) for each in trace.rounds]
    assert dense_loss(motion, trace, clips.truth, SEEN).total > honest + 0.5


def test_past_frames_that_were_not_seen_do_not_count(clips: SceneClips) -> None:
    motion, trace = perfect(clips.truth)
    seen = SEEN.clone()
    seen[:, 0] = False
    expected = dense_loss(motion, trace, clips.truth, seen)
    spoilt, spoilt_trace = perfect(clips.truth)
    spoilt.flow[:, 0] += 50
    coarse = spoilt_trace.rounds[0].flow
    coarse.view(4, 2, *coarse.shape[1:])[:, 0] += 50
    torch.testing.assert_close(dense_loss(spoilt, spoilt_trace, clips.truth, seen), expected)
    nothing = dense_loss(motion, trace, clips.truth, torch.zeros_like(SEEN))
    assert [float(part) for part in nothing] == [0, 0, pytest.approx(1)]


def test_the_match_is_asked_for_the_four_cells_around_the_true_place(clips: SceneClips) -> None:
    motion, trace = perfect(clips.truth)
    rows, columns = trace.coarse.shape[-2:]
    cells = torch.stack(torch.meshgrid(torch.arange(columns), torch.arange(rows), indexing="xy")).flatten(1)

    def total(cells_away: Tensor) -> float:
        """Of a match that finds places so far away, ``(n, 2, cells)``, between the cells around them."""
        place = (cells + cells_away).transpose(1, 2)[:, :, None]  # (n, cells, 1, 2)
        near = (1 - (place - cells.T).abs()).clamp_min(1e-6).prod(dim=-1) + 1e-9
        trace.log_weights = (near / near.sum(dim=2, keepdim=True)).log()
        return float(dense_loss(motion, trace, clips.truth, SEEN).total)

    true = (trace.coarse / 8).flatten(2)
    right = total(true)
    for wrong in (
        -true,
        true.flip(1),
        true + 1,
        torch.zeros_like(true),
        true * torch.tensor([[-1.0], [1.0]]),
    ):
        assert total(wrong) > right + 0.1


def two_things() -> Truth:
    """A still camera; a thing of 3 x 3 places and one of 18 x 16 go right by 4 pixels a frame."""
    owner = torch.zeros(1, 24, 36)
    owner[0, 4:7, 3:6], owner[0, 3:21, 18:34] = 1, 2
    moving = owner > 0
    flow = torch.zeros(1, 2, 2, 24, 36)
    flow[:, 0, 0], flow[:, 1, 0] = -8.0 * moving, -4.0 * moving
    visible = torch.ones(1, 2, 24, 36, dtype=torch.bool)
    return Truth(flow, visible, moving, torch.ones_like(moving), owner, torch.zeros_like(flow))


def test_a_thing_far_away_counts_like_one_nearby() -> None:
    truth, seen = two_things(), SEEN[:1]

    def total(missed: int) -> float:
        """Of a network that says of one of the things that it stands."""
        motion, trace = perfect(truth)
        blind = truth.owner == missed
        last = trace.rounds[-1]
        flow, log_error = torch.where(blind, 0, last.flow), torch.full_like(last.log_error, 2.0)
        trace.rounds[-1] = last._replace(flow=flow, log_error=log_error)
        return float(dense_loss(motion, trace, truth, seen).total)

    nothing, far, near = (total(owner) for owner in (-1, 1, 2))
    assert near - nothing > far - nothing > 0.2 * (near - nothing), "it has a 32nd of the other's places"


def test_a_cell_of_which_half_moves_is_asked_for_where_that_half_was() -> None:
    truth = two_things()
    motion, trace = perfect(truth)
    cell = 3 * 18 + 2  # holds two places of the small thing, which lies in rows 4 to 6, columns 3 to 5
    assert truth.owner[0, 6:8, 4:6].tolist() == [[1, 1], [0, 0]]

    def total(columns_away: int) -> float:
        trace.log_weights = torch.full((2, 216, 216), -5.0)
        trace.log_weights[:, cell, cell + columns_away] = 0
        return float(dense_loss(motion, trace, truth, SEEN[:1]).total)

    assert total(-1) < total(0)
    assert total(-1) < total(1)


def learn(model: TemporalKVQResNetCBAM, clips: SceneClips) -> DenseLoss:
    return dense_loss(*model.motion_trace(normalised(clips.frames, model), SEEN), clips.truth, SEEN)


def fresh() -> TemporalKVQResNetCBAM:
    torch.manual_seed(0)
    return TemporalKVQResNetCBAM(depth=18, num_classes=9, d_model=32, num_heads=2, image_size=64, motion=True)


def test_every_weight_of_dense_motion_learns(clips: SceneClips) -> None:
    model = fresh()
    optimizer = torch.optim.AdamW(model.motion.parameters(), lr=1e-3)
    for _ in range(2):  # what starts at zero holds the rest back for one step
        optimizer.zero_grad()
        learn(model, clips).total.backward()
        optimizer.step()
    idle = [
        name
        for name, weights in model.motion.named_parameters()
        if weights.grad is None or not weights.grad.any()
    ]
    assert idle == []
    assert model.backbones[0].conv1.weight.grad.any(), "and the backbone with it"


def test_the_loss_of_one_batch_falls(clips: SceneClips) -> None:
    model = fresh().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        found = learn(model, clips)
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        losses.append(found.total.item())
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
