"""What is true of a scene made by hand: a disc before a background, each with a known motion."""

import pytest
import torch
from torch import Tensor

from pipeline.training.rendered.layer_truth import Truth, layer_truth, screen, truth_of
from pipeline.training.rendered.scene_batch import Layer, Scenes
from pipeline.training.rendered.scene_layers import Path, Shape

HEIGHT, WIDTH = 64, 96
HALF = WIDTH / 2
RADIUS_PX = 12
Shifts = list[tuple[float, float]]
STILL: Shifts = [(0, 0)] * 3


def layer(shifts_px: Shifts, radius_px: float, *, moves: bool, scroll_px: Shifts = STILL) -> Layer:
    """One layer of one scene at three frames, the newest last; a radius of zero covers everything."""
    one, none = torch.ones(1), torch.zeros(1, 3)
    radius = torch.full((1, 2), radius_px / HALF)
    turn = torch.tensor([[[1.0, 0.0]] * 3])
    shift, scroll = (torch.tensor([pixels], dtype=torch.float32) / HALF for pixels in (shifts_px, scroll_px))
    path = Path(turn, shift, torch.zeros(1, 3, 2), scroll, torch.zeros(1, 2, 3))
    return Layer(Shape(radius, 2 * one, none, none, one), path, one * moves, none)


def truth(camera_px: Shifts, *things: Layer, skew: Shifts = STILL) -> Truth:
    scene = layer(camera_px, 0, moves=False)
    scenes = Scenes([scene, *things], (scene.path.turn, scene.path.shift), torch.tensor([skew]).float())
    return truth_of(scenes, HEIGHT, WIDTH, layer_truth)


def at(maps: Tensor, x_px: float, y_px: float) -> Tensor:
    """The value at a place given in pixels from the middle."""
    return maps[..., int((y_px + HEIGHT / 2) // 4), int((x_px + WIDTH / 2) // 4)]


def test_the_screen_is_two_half_widths_wide() -> None:
    x, y = screen(HEIGHT, WIDTH, 4, torch.device("cpu"))
    assert (len(x), len(y)) == (WIDTH // 4, HEIGHT // 4)
    assert float(x[0] * HALF) == pytest.approx(-46)
    assert float(y[0] * HALF) == pytest.approx(-30)
    assert float(x.sum()) == pytest.approx(0, abs=1e-5)


def test_flow_leads_from_the_new_frame_to_the_past_ones_oldest_first() -> None:
    # content that has come 4 px to the right and 2 px up with each frame was left and below before
    found = truth([(-8, 4), (-4, 2), (0, 0)])
    assert found.flow.shape == (1, 2, 2, HEIGHT // 4, WIDTH // 4)
    for slot, (x, y) in enumerate([(-8, 4), (-4, 2)]):
        torch.testing.assert_close(found.flow[0, slot, 0], torch.full((16, 24), float(x)))
        torch.testing.assert_close(found.flow[0, slot, 1], torch.full((16, 24), float(y)))
    assert torch.equal(found.camera, found.flow)
    assert not found.moving.any()


def test_what_was_outside_the_picture_was_not_in_view() -> None:
    found = truth([(-16, 0), (-8, 0), (0, 0)])
    assert not found.visible[0, 0, :, :4].any()
    assert found.visible[0, 0, :, 4:].all()
    assert not found.visible[0, 1, :, :2].any()
    assert found.visible[0, 1, :, 2:].all()


def test_a_thing_has_its_own_flow_and_hides_what_is_behind() -> None:
    disc = layer([(-32, 0), (-16, 0), (0, 0)], RADIUS_PX, moves=True)
    found = truth(STILL, disc)
    assert int(at(found.owner, 0, 0)) == 1
    assert int(at(found.owner, 30, 20)) == 0
    assert at(found.flow, 0, 0)[0].tolist() == [[-32, 0], [-16, 0]]
    assert at(found.flow, 30, 20)[0].tolist() == [[0, 0], [0, 0]]
    assert at(found.visible, 0, 0).all()
    assert at(found.visible, -32, 0)[0].tolist() == [False, True], "behind the disc two frames ago"
    assert at(found.visible, -18, 0)[0].tolist() == [True, False], "and one frame ago"
    assert torch.equal(found.moving, found.owner == 1)
    assert found.certain.all()
    area = float(found.owner.sum()) * 16
    assert area == pytest.approx(3.14159 * RADIUS_PX**2, rel=0.2)


def test_what_stands_in_front_of_a_passing_thing_stays_in_view() -> None:
    behind = layer([(-32, 0), (-16, 0), (0, 0)], RADIUS_PX, moves=True)
    before = layer([(-16, 0)] * 3, RADIUS_PX / 2, moves=False)
    found = truth(STILL, behind, before)
    assert int(at(found.owner, -17, 1)) == 2
    assert at(found.visible, -17, 1).all()
    assert not at(found.moving, -17, 1)
    assert at(found.visible, -1, 1)[0].tolist() == [True, False], "the thing was behind it one frame ago"


def test_a_thing_that_stands_is_no_mover_however_the_camera_moves() -> None:
    camera: Shifts = [(-20, 6), (-10, 3), (0, 0)]
    assert not truth(camera, layer(camera, RADIUS_PX, moves=True)).moving.any()
    follows = truth(camera, layer(STILL, RADIUS_PX, moves=True))
    assert at(follows.moving, 0, 0), "a thing that stays on the screen of a moving camera moves"
    assert at(follows.flow, 0, 0).abs().max() == 0


@pytest.mark.parametrize(
    ("own_px", "moving", "certain"),
    [(0.1, False, True), (0.3, False, False), (0.4, True, False), (1, True, True)],
)
def test_between_still_and_moving_the_truth_is_not_certain(
    own_px: float, moving: bool, certain: bool
) -> None:
    found = truth(STILL, layer([(-own_px, 0), (-own_px / 2, 0), (0, 0)], RADIUS_PX, moves=True))
    assert bool(at(found.moving, 0, 0)) is moving  # from 0.35 px at this width
    assert bool(at(found.certain, 0, 0)) is certain
    assert at(found.certain, 30, 20)


def test_a_rolling_shutter_shifts_the_lower_rows_of_a_frame_the_more() -> None:
    # the row before was read at 25 % skew to the right, the new one at none: 16 px below the middle are 4 px
    found = truth(STILL, skew=[(0, 0), (0.25, 0), (0, 0)])
    assert at(found.flow, 1, 18)[0].tolist() == [[0, 0], [4.5, 0]]
    assert at(found.flow, 1, -18)[0].tolist() == [[0, 0], [-4.5, 0]]
    assert torch.equal(found.flow, found.camera)
    assert not found.moving.any()
    now = truth(STILL, skew=[(0, 0), (0, 0), (0, 0.1)])
    assert at(now.flow, 1, 18)[0, 1].tolist() == pytest.approx([0, -1.8], abs=1e-5)


def test_content_that_scrolls_has_flow_where_the_thing_stands() -> None:
    found = truth(STILL, layer(STILL, RADIUS_PX, moves=False, scroll_px=[(-6, 0), (-3, 0), (0, 0)]))
    # the layer shows its texture at u + scroll: what is at u now was further right by what has scrolled since
    assert at(found.flow, 0, 0)[0].tolist() == [[6, 0], [3, 0]]
    assert not found.moving.any(), "leaves and water are not things that move"
