"""What random scenes hold: cameras, movers and things that stand, by the shares that are asked for."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.layer_truth import Truth, layer_truth, truth_of
from pipeline.training.rendered.layered_scene import (
    FIRST_THING,
    GROUPS,
    MEMBERS,
    LayeredScene,
    random_scenes,
)
from pipeline.training.rendered.scene_batch import Scenes

HEIGHT, WIDTH = 64, 96
TIMES = torch.tensor([-2.0, -1.0, 0.0])


def scenes(n: int = 64, times: Tensor = TIMES, **options: Any) -> Scenes:
    generator = torch.Generator().manual_seed(5)
    return random_scenes(n, times, HEIGHT / WIDTH, LayeredScene(**options), generator)


def truth(made: Scenes, scale: int = 1) -> Truth:
    return truth_of(made, HEIGHT * scale, WIDTH * scale, layer_truth)


def test_without_movers_the_scene_moves_as_the_camera_does() -> None:
    empty = truth(scenes(empty_share=1, plane_share=0))
    assert not empty.moving.any()
    assert empty.certain.all()
    assert empty.owner.max() == 0
    full = truth(scenes(empty_share=0))
    assert full.moving.any(dim=(1, 2)).float().mean() > 0.5
    assert full.owner[full.moving].min() >= 2, "neither the background nor the nearer part of it"
    assert full.owner.max() == FIRST_THING + GROUPS * MEMBERS - 1
    assert not truth(scenes(empty_share=0, fixed_share=1, following_share=0, cover_share=0)).moving.any()


def test_a_standing_camera_has_no_flow_and_half_of_them_shake() -> None:
    standing = truth(scenes(standing_share=1)).camera.abs().amax(dim=(1, 2, 3, 4))
    assert 0.3 < float((standing == 0).float().mean()) < 0.7
    assert standing.max() < 0.2 * WIDTH
    assert truth(scenes(standing_share=0)).camera.abs().amax(dim=(1, 2, 3, 4)).min() > 0.1


def test_things_far_away_are_small_and_upright() -> None:
    def sizes(share: float) -> tuple[Tensor, Tensor]:
        made = scenes(128, distant_share=share, following_share=0, body_share=0)
        radii = torch.stack([layer.shape.radius for layer in made.layers[FIRST_THING:]])
        return radii[..., 0], radii[..., 1]

    width, height = sizes(1.0)
    assert width.median() < 0.5 * sizes(0.0)[0].median()
    assert (height[:-1] >= width[:-1]).all(), "the last may pass right in front of the camera"


def test_a_followed_thing_stays_on_the_screen_of_a_moving_camera() -> None:
    def shift_px(share: float) -> Tensor:
        made = scenes(256, standing_share=0, following_share=share, fixed_share=0, swaying_share=0)
        first = made.layers[FIRST_THING].path.shift
        return (first[:, 0] - first[:, -1]).norm(dim=1) * WIDTH / 2

    own, others = shift_px(1.0), shift_px(0.0)
    assert own.median() < others.median()


def test_flow_in_pixels_grows_with_the_width() -> None:
    made = scenes(8, cover_share=0)
    small, large = truth(made), truth(made, scale=2)
    torch.testing.assert_close(
        F.avg_pool2d(large.camera.flatten(0, 1), 2), 2 * small.camera.flatten(0, 1), atol=1e-3, rtol=1e-3
    )
    one_owner = F.max_pool2d(small.owner, 5, 1, 2) == -F.max_pool2d(-small.owner, 5, 1, 2)
    off = F.avg_pool2d(large.flow.flatten(0, 1), 2) - 2 * small.flow.flatten(0, 1)
    off = off.view_as(small.flow).abs().amax(dim=(1, 2))[one_owner]
    assert off.median() < 0.01
    assert off.quantile(0.99) < 0.5, "waves are not linear between places"
    assert large.flow.abs().max() > 5


def test_parts_of_scenes_are_those_scenes_at_those_times() -> None:
    made = scenes(4)
    part = made.part(slice(1, 3), slice(1, None))
    assert torch.equal(truth(part).flow, truth(made).flow[1:3, 1:])
    assert part.camera[0].shape == (2, 2, 2)


def test_the_moments_of_one_exposure_lie_on_the_way_between_frames() -> None:
    moments = torch.tensor([-1.2, -1.0, -0.8, -0.2, 0.0, 0.2])
    shift = scenes(32, moments, standing_share=1, empty_share=1).camera[1]
    assert (shift - shift[:, [1, 1, 1, 4, 4, 4]]).abs().max() == 0, "a standing camera does not blur"
    way = scenes(32, moments, standing_share=0).layers[0].path.shift
    blur, step = (way[:, 5] - way[:, 3]).norm(dim=1), (way[:, 4] - way[:, 1]).norm(dim=1)
    assert blur.median() < 0.8 * step.median()


def test_company_goes_beside_the_first_thing_of_its_group() -> None:
    def parted_px(share: float) -> Tensor:
        made = scenes(body_share=0, company_share=share, fixed_share=0, swaying_share=0)
        first, second = (made.layers[FIRST_THING + number].path.shift for number in (0, 1))
        between = second - first
        return (between[:, 0] - between[:, -1]).norm(dim=1) * WIDTH / 2

    assert parted_px(1.0).max() < 8
    assert parted_px(0.0).median() > 2 * parted_px(1.0).median()


def test_what_passes_right_in_front_covers_much_of_the_picture() -> None:
    def moving(share: float) -> Tensor:
        return truth(scenes(cover_share=share, empty_share=0)).moving.float().mean(dim=(1, 2))

    assert (moving(1.0) > 0.5).float().mean() > (moving(0.0) > 0.5).float().mean() + 0.2


def test_a_camera_that_stands_still_reads_no_skewed_rows() -> None:
    still = scenes(rolling_share=1, standing_share=1)
    jumps = truth(still).camera.abs().amax(dim=(1, 2, 3, 4))
    assert ((jumps == 0) == (still.skew.abs().amax(dim=(1, 2)) == 0)).all()
    assert scenes(rolling_share=1, standing_share=0).skew.abs().amax(dim=(1, 2)).min() > 0
    assert scenes(rolling_share=0, standing_share=0).skew.abs().max() == 0


def test_a_camera_that_only_turns_sees_no_parallax() -> None:
    def bent_px(share: float) -> Tensor:
        options = {"standing_share": 0, "plane_share": 1, "empty_share": 1}
        seen = truth(scenes(parallax_share=share, **options))
        return (seen.flow - seen.camera).abs().amax(dim=(1, 2, 3, 4))

    assert bent_px(0.0).max() < 1e-3
    assert bent_px(1.0).median() > 0.5
