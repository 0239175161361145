import numpy as np
import pytest

from pipeline.base.moving_thing import MOST_OUTLINE_POINTS, MOST_THINGS
from pipeline.scene.regions import Region, find_regions
from tests.scene.moving_discs import ASPECT, GRID, Disc, dense_motion, straight


def test_a_disc_is_one_region_with_its_box_and_motion() -> None:
    (region,) = find_regions(dense_motion([Disc(straight(0.4, 0.4, 0.1, -0.05), radius=0.1)], 1.0))
    assert region.box == pytest.approx((0.4, 0.25, 0.6, 0.45), abs=0.5 / GRID[1])
    assert region.velocity == pytest.approx((0.1, -0.05), abs=1e-4)
    assert region.score == pytest.approx(0.95, abs=1e-3)


def test_the_outline_goes_round_the_disc_with_few_corners() -> None:
    (region,) = find_regions(dense_motion([Disc(straight(0.4, 0.4, 0.1), radius=0.1)], 1.0))
    outline = region.outline()
    assert 6 <= len(outline) <= MOST_OUTLINE_POINTS
    assert np.hypot(*(np.array(outline) - (0.5, 0.4)).T) == pytest.approx(0.1, abs=1 / GRID[1])


@pytest.mark.parametrize(
    "places", [np.argwhere(np.eye(9)), np.argwhere(np.ones((1, 9))), np.argwhere(np.ones((9, 1)))]
)
def test_the_outline_of_a_thin_region_is_a_polygon_still(places: np.ndarray) -> None:
    many = len(places)
    region = Region(places, np.zeros((many, 2), np.float32), np.ones(many, np.float32), (1 / 48, 1 / 48))
    outline = region.outline()
    assert len(outline) >= 3
    left, top, right, bottom = region.box
    assert np.ptp(outline, axis=0) == pytest.approx((right - left, bottom - top), abs=1 / 48)


def test_discs_that_touch_and_move_apart_are_two_regions() -> None:
    discs = [Disc(straight(0.36, 0.4, 0.1)), Disc(straight(0.64, 0.4, -0.1))]
    regions = find_regions(dense_motion(discs, 1.0))
    assert sorted(round(float(region.velocity[0]), 3) for region in regions) == [-0.1, 0.1]


def test_discs_that_touch_and_move_alike_are_one_region() -> None:
    discs = [Disc(straight(0.4, 0.4, 0.1)), Disc(straight(0.5, 0.4, 0.1))]
    assert len(find_regions(dense_motion(discs, 1.0))) == 1


def test_fragments_are_joined_over_a_narrow_gap_only_if_they_move_alike() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1), radius=0.12)], 1.0)
    motion.moving[:, 48:50] = 0
    assert len(find_regions(motion)) == 1
    motion.flow[:, :, :, :48] *= -1
    assert len(find_regions(motion)) == 2


def test_what_turns_on_the_spot_is_not_divided() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1), radius=0.12)], 1.0)
    rows, columns = np.mgrid[: GRID[0], : GRID[1]]
    turn = np.stack([rows - 38, 48 - columns]).astype(np.float32)
    motion.flow[0], motion.flow[1] = turn, turn / 2
    assert len(find_regions(motion)) == 1


def test_what_stretches_evenly_is_not_divided() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1), radius=0.12)], 1.0)
    motion.flow[0, 0] = np.arange(GRID[1]) - 48
    motion.flow[1, 0] = motion.flow[0, 0] / 2
    assert len(find_regions(motion)) == 1


def test_a_thing_with_a_slower_rim_is_one_region() -> None:
    discs = [Disc(straight(0.43, 0.4, 0.07), radius=0.14), Disc(straight(0.3, 0.4, 0.2), radius=0.11)]
    assert len(find_regions(dense_motion(discs, 1.0))) == 1


def test_a_slower_part_within_a_thing_is_none_of_its_own_but_one_that_goes_back_is() -> None:
    van = Disc(straight(0.2, 0.4, 0.3), radius=0.16)
    window = Disc(straight(0.42, 0.4, 0.1), radius=0.08)
    back = Disc(straight(0.72, 0.4, -0.2), radius=0.08)
    assert len(find_regions(dense_motion([van, window], 1.0))) == 1
    assert len(find_regions(dense_motion([van, back], 1.0))) == 2


def test_hysteresis_needs_one_sure_place_and_takes_in_likely_neighbours() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1))], 1.0)
    whole = find_regions(motion)[0].box
    motion.moving[motion.moving > 0.5] = 0.5
    assert find_regions(motion) == []
    motion.moving[38, 48] = 0.9
    assert find_regions(motion)[0].box == pytest.approx(whole)


def test_specks_are_no_regions() -> None:
    motion = dense_motion([], 1.0)
    motion.moving[::6, ::6] = 1
    motion.moving[1::6, ::6] = 1
    assert find_regions(motion) == []


def test_places_without_a_credible_flow_are_left_out() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1))], 1.0)
    motion.flow[:, :, :, :48] = np.nan
    motion.flow[1, :, :, 50] = np.inf
    motion.flow[:, :, :, 51] = 1e30
    motion.flow[0, :, :, 52], motion.flow[1, :, :, 52] = np.inf, -np.inf
    motion.uncertainty[:, :, 53] = np.inf
    motion.moving[40, 49] = np.nan
    (region,) = find_regions(motion)
    assert region.velocity == pytest.approx((0.1, 0), abs=1e-4)
    assert region.box[0] == pytest.approx(0.5)


def test_a_picture_full_of_regions_gives_the_largest() -> None:
    motion = dense_motion([], 1.0)
    for row in range(2, 68, 8):
        for column in range(2, 92, 8):
            motion.moving[row : row + 3, column : column + 3] = 1
    motion.moving[2:7, 2:7] = 1
    regions = find_regions(motion)
    assert len(regions) == MOST_THINGS
    assert regions[0].box == pytest.approx((2 / 96, 2 / 72 * ASPECT, 7 / 96, 7 / 72 * ASPECT))
