"""The camera's motion from a flow: exact where all agree, and not drawn away by what moves by itself."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.model.motion.geometry import places
from pipeline.model.motion.similarity import Similarity, fit_similarity

STRIDE = 4
SIZE = 24, 40


def similarity(scale: float = 1.0, degrees: float = 0.0, shift: tuple[float, float] = (0, 0)) -> Similarity:
    angle = math.radians(degrees)
    growth, turn = scale * math.cos(angle) - 1, scale * math.sin(angle)
    return Similarity(torch.tensor([[growth, turn, *shift]], dtype=torch.float32), torch.ones(1, 1))


def fitted(flow: Tensor, weight: Tensor | None = None, rounds: int = 4) -> Similarity:
    return fit_similarity(flow, torch.ones(len(flow), *SIZE) if weight is None else weight, STRIDE, rounds)


def flow_of(camera: Similarity) -> Tensor:
    return camera.flow(SIZE, STRIDE)


def worst_error(found: Similarity, true: Similarity) -> float:
    """Over the picture, in pixels."""
    return float((flow_of(found) - flow_of(true)).square().sum(dim=1).sqrt().max())


CAMERAS = {
    "shift": similarity(shift=(7.3, -2.1)),
    "turn": similarity(degrees=4),
    "growth": similarity(scale=1.06),
    "all": similarity(0.95, -3, (-4, 9)),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_is_recovered_from_its_own_flow(name: str) -> None:
    true = CAMERAS[name]
    found = fitted(flow_of(true))
    # the prior of "nothing moves" weighs a thousandth
    assert worst_error(found, true) < 0.01 * float(flow_of(true).abs().max())
    assert float(found.support) > 0.98


@pytest.mark.parametrize("name", CAMERAS)
def test_two_places_in_five_that_move_otherwise_do_not_matter(name: str) -> None:
    true, generator = CAMERAS[name], torch.Generator().manual_seed(3)
    flow = flow_of(true)
    outliers = torch.rand(1, 1, *SIZE, generator=generator) < 0.4
    wrong = torch.randn(1, 2, *SIZE, generator=generator) * 25 + 10
    found = fitted(torch.where(outliers, flow + wrong, flow))
    assert worst_error(found, true) < 0.05
    assert float(found.support) == pytest.approx(0.6, abs=0.05)


def test_places_without_trust_do_not_count() -> None:
    true = CAMERAS["all"]
    flow, weight = flow_of(true).clone(), torch.ones(1, *SIZE)
    flow[..., :20], weight[..., :20] = 30, 0
    assert worst_error(fitted(flow, weight), true) < 0.2


@pytest.mark.parametrize("speed", [3.0, 30.0])
def test_a_standing_camera_stands_when_most_of_the_picture_moves(speed: float) -> None:
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0, 3:21, 4:36] = speed
    assert flow.count_nonzero() / flow[0, 0].numel() == 0.6
    found = fitted(flow)
    assert float(flow_of(found).abs().max()) < 0.05


def test_a_camera_that_follows_a_thing_moves() -> None:
    true = CAMERAS["shift"]
    flow = flow_of(true).clone()
    flow[:, :, 6:18, 10:30] = 0  # it stays where it is on the screen
    still = (flow == 0).all(dim=1).float().mean()
    assert 0.15 < still < 0.35
    assert worst_error(fitted(flow), true) < 0.05


def test_a_followed_thing_does_not_hold_the_camera_where_the_scene_has_depth() -> None:
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0, ::2], flow[:, 0, 1::2] = 5.0, 8.0  # near and far: no shift is right for both
    flow[:, :, 7:17, 11:30] = 0  # what the camera follows
    assert 0.15 < float((flow[:, 0] == 0).float().mean()) < 0.25
    assert flow_of(fitted(flow))[0, 0].mean() == pytest.approx(6.5, abs=0.5)


def test_two_rounds_lead_to_a_scene_that_is_hardly_more_than_half_of_the_picture() -> None:
    true = similarity(shift=(15.7, 0))
    flow, weight = flow_of(true).clone(), torch.ones(1, *SIZE)
    flow[:, :, 13:] = 0  # a car that is followed, and bare road: less sure
    weight[:, 13:] = 0.5
    assert worst_error(fitted(flow, weight, rounds=2), true) < 1


def test_support_is_that_of_the_camera_that_was_chosen() -> None:
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0, :14] = 30.0
    found = fitted(flow)  # it stands, though more than half of the picture moves
    assert flow_of(found).abs().max() < 0.05
    assert float(found.support) == pytest.approx(10 / 24, abs=0.02)


def test_places_of_little_trust_do_not_hold_the_camera() -> None:
    true = CAMERAS["shift"]
    flow = flow_of(true).clone()
    flow[..., 28:] = 0  # a wall without texture gives no flow, and no trust
    weight = torch.ones(1, *SIZE)
    weight[..., 28:] = 0.05
    assert worst_error(fitted(flow, weight), true) < 0.2


def test_each_flow_of_a_batch_is_fitted_apart() -> None:
    flows = torch.cat([flow_of(camera) for camera in CAMERAS.values()])
    together = fitted(flows)
    for row, flow in enumerate(flows):
        alone = fitted(flow[None])
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_[row], atol=1e-6, rtol=1e-5)


def test_without_any_trust_it_is_the_identity() -> None:
    flow = torch.randn(1, 2, *SIZE, generator=torch.Generator().manual_seed(1)) * 20
    found = fitted(flow, torch.zeros(1, *SIZE))
    assert torch.equal(found.matrix(96, 160), torch.eye(2, 3)[None])
    assert float(found.support) == 0


@pytest.mark.parametrize(("height", "width"), [(96, 160), (160, 96), (64, 64)])
def test_matrix_and_flow_are_the_same_motion(height: int, width: int) -> None:
    camera = CAMERAS["all"]
    where = places((height // STRIDE, width // STRIDE), STRIDE, torch.zeros(1))
    half = torch.tensor([width / 2, height / 2]).view(2, 1, 1)
    x, y = where / half
    row_x, row_y = camera.matrix(height, width)[0]
    past = torch.stack([row[0] * x + row[1] * y + row[2] for row in (row_x, row_y)])
    torch.testing.assert_close(
        past * half - where, camera.flow(where.shape[1:], STRIDE)[0], atol=1e-4, rtol=1e-4
    )
