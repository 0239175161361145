"""Where a thing has been: its trail, and its box in the past frames."""

import dataclasses
import math

import numpy as np
import pytest

from pipeline.base.moving_thing import MOST_TRAIL_POINTS
from pipeline.scene.dense_motion import DenseMotion
from pipeline.scene.regions import Region
from pipeline.scene.things import ThingTracker
from pipeline.scene.tracks import Track
from tests.scene.moving_discs import AGES_S, ASPECT, Disc, dense_motion, followed, straight


def test_a_trail_is_the_way_of_the_last_seconds() -> None:
    path = straight(0.1, 0.3, 0.15, 0.03)
    (thing,) = followed([Disc(path)], 5.0)[5.0]
    assert len(thing.trail) == MOST_TRAIL_POINTS
    for number, (x, y) in enumerate(thing.trail):
        ago_s = 0.2 * (MOST_TRAIL_POINTS - 1 - number)
        assert math.dist((x, y * ASPECT), path(5.0 - ago_s)) < 0.04
    columns = [x for x, _ in thing.trail]
    assert columns == sorted(columns)
    assert columns[-1] - columns[0] == pytest.approx(0.15 * 3.0, abs=0.05)


def test_a_box_holds_what_is_seen_of_its_thing() -> None:
    """Its left half is covered, and the rest goes on faster than before: the box comes along."""
    tracker, things = ThingTracker(), []
    for number in range(1, 26):
        t = number / 20
        motion = dense_motion([Disc(straight(0.2, 0.4, 0.1), 0.1)], t)
        if number > 20:
            seen = np.argwhere(motion.moving > 0.5)
            row, column = seen[seen[:, 1] > np.median(seen[:, 1]) + 1].T
            motion.moving[:] = 0
            motion.moving[row, column + 3] = 0.95
            motion.flow[:, :, row, column + 3] = motion.flow[:, :, row, column]
        things = tracker.update(motion, round(t * 1e9))
        for thing in things:
            (x, y, width, height), (left, top) = thing.box, np.min(thing.outline, axis=0)
            right, bottom = np.max(thing.outline, axis=0)
            assert x - 0.01 <= left < right <= x + width + 0.01
            assert y - 0.01 <= top < bottom <= y + height + 0.01
    assert [thing.id for thing in things] == [1]
    assert things[0].box[2] > 0.18, "as large as before it was covered"


def places(columns: int) -> Region:
    """Eight rows from the middle of the picture down, this many columns to the right of it."""
    where = np.argwhere(np.ones((8, columns), bool)) + np.array([36, 48])
    return Region(
        where,
        np.full((len(where), 2), 0.1, np.float32),
        np.full(len(where), 0.9, np.float32),
        (1 / 96, 1 / 96),
    )


@pytest.mark.parametrize(("is_of_both", "columns"), [(True, 6), (False, 24)])
def test_a_thing_that_meets_another_keeps_its_box(is_of_both: bool, columns: int) -> None:
    track = Track(places(6), 0, 0, id=1)
    assert track.is_outgrown_by(places(24))
    track.see(places(24), 40_000_000, 40.0, is_of_both=is_of_both)
    assert track.box[2] - track.box[0] == pytest.approx(columns / 96)


def test_a_thing_whose_region_covers_another_one_has_met_it() -> None:
    """The other one stands in the region of the first for a moment, with the motion of the first."""
    tracker, widths = ThingTracker(), dict[int, list[float]]()
    for number in range(1, 41):
        t = number / 20
        discs = [Disc(straight(0.2, 0.3, 0.15)), Disc(straight(0.75, 0.42, -0.15), 0.05)]
        motion = dense_motion(discs, t)
        if 30 <= number < 33:
            first, other = (np.array(disc.path(t)) for disc in discs)
            (left, top), (right, bottom) = np.minimum(first, other), np.maximum(first, other)
            rows = slice(round(top * 96), round(bottom * 96) + 4)
            columns = slice(round(left * 96), round(right * 96) + 4)
            way = dense_motion(discs[:1], t)
            row, column = np.argwhere(way.moving > 0.5)[0]
            motion.moving[rows, columns] = 0.95
            motion.flow[:, :, rows, columns] = way.flow[:, :, row, column][:, :, None, None]
        for thing in tracker.update(motion, round(t * 1e9)):
            widths.setdefault(thing.id, []).append(thing.box[2])
    assert max(widths[1]) < 0.2, "both together are 0.3 wide"


def test_a_trail_does_not_jump_where_something_joins_a_thing_for_a_moment() -> None:
    tracker, trail = ThingTracker(), []
    for number in range(1, 61):
        t = number / 20
        discs = [Disc(straight(0.2, 0.3, 0.1))]
        if number > 20 and number % 7 < 2:  # right below it, with the same motion
            discs.append(Disc(straight(0.2, 0.4, 0.1)))
        trail = next(
            (x.trail for x in tracker.update(dense_motion(discs, t), round(t * 1e9)) if x.id == 1), []
        )
    assert len(trail) > 10
    assert all(abs(y * ASPECT - 0.3) < 0.03 for _, y in trail), "the middle of its box jumps by 0.05"


def test_a_trail_stays_where_it_was_in_the_scene_when_the_camera_pans() -> None:
    def camera(t: float) -> tuple[float, float]:
        return 0.2 * t, -0.05 * t

    path = straight(0.5, 0.4, 0.1, 0.05)
    (thing,) = followed([Disc(path)], 2.0, camera=camera)[2.0]
    corner = camera(2.0)
    first = thing.trail[0]
    ways = [
        math.dist((first[0] + corner[0], first[1] * ASPECT + corner[1]), path(t)) for t in (0.05, 0.1, 0.15)
    ]
    assert min(ways) < 0.015


def test_the_box_in_past_frames_is_where_the_flow_leads() -> None:
    path = straight(0.2, 0.3, 0.3, 0.1)
    (thing,) = followed([Disc(path)], 1.0)[1.0]
    assert len(thing.was) == len(AGES_S)
    for (x, y, width, height), age_s in zip(thing.was, AGES_S, strict=True):
        middle = (x + width / 2, (y + height / 2) * ASPECT)
        assert math.dist(middle, path(1.0 - age_s)) < 0.01
        assert (width, height) == pytest.approx(thing.box[2:], abs=0.01)


def test_a_thing_that_has_grown_was_smaller() -> None:
    def growing(t: float) -> list[Disc]:
        return [Disc(straight(0.5, 0.35, 0.1), radius=0.05 + 0.1 * t)]

    tracker = ThingTracker()
    for number in range(1, 21):
        t = number / 20
        motion = dense_motion(growing(t), t)
        rows, columns = motion.moving.shape
        x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows)[:, None] + 0.5) / rows * ASPECT
        for slot, age_s in enumerate(AGES_S):
            shrink = (0.05 + 0.1 * (t - age_s)) / (0.05 + 0.1 * t) - 1
            away = np.stack(np.broadcast_arrays(x - 0.5 - 0.1 * t, y - 0.35)) * [
                [[columns]],
                [[rows / ASPECT]],
            ]
            motion.flow[slot] += (4 * shrink * away * (motion.moving > 0.5)).astype(np.float32)
        things = tracker.update(motion, round(t * 1e9))
    (thing,) = things
    oldest, newest = (box[2] for box in thing.was)
    assert oldest == pytest.approx(0.26, abs=0.02)
    assert oldest < newest < thing.box[2]


def test_a_thing_that_is_covered_in_part_was_as_large_as_it_is() -> None:
    path, tracker = straight(0.2, 0.3, 0.3), ThingTracker()
    for number in range(1, 21):
        motion = dense_motion([Disc(path)], number / 20)
        if number == 20:
            motion.moving[round(0.3 / ASPECT * motion.moving.shape[0]) :] = 0
        things = tracker.update(motion, round(number / 20 * 1e9))
    (thing,) = things
    assert thing.box[3] == pytest.approx(0.12 / ASPECT, abs=0.02)
    for (x, y, width, height), age_s in zip(thing.was, AGES_S, strict=True):
        assert (width, height) == pytest.approx(thing.box[2:], abs=0.01)
        assert x == pytest.approx(thing.box[0] - 0.3 * age_s, abs=0.01)
        assert y == pytest.approx(thing.box[1], abs=0.01)


def test_a_frame_that_is_not_there_has_no_box() -> None:
    disc = Disc(straight(0.2, 0.3, 0.3))
    tracker = ThingTracker()
    for number in range(1, 10):
        things = tracker.update(dense_motion([disc], number / 20, past=1), round(number / 20 * 1e9))
    assert [len(thing.was) for thing in things] == [1]


def test_out_of_sight_nothing_is_known_of_the_past() -> None:
    disc, tracker = Disc(straight(0.2, 0.3, 0.3)), ThingTracker()
    for number in range(1, 20):
        tracker.update(dense_motion([disc], number / 20), round(number / 20 * 1e9))
    (hidden,) = tracker.update(dense_motion([], 1.0), 10**9)
    assert hidden.was == []
    assert hidden.trail


def test_flow_that_is_no_measurement_leaves_the_boxes_in_the_picture() -> None:
    disc, tracker = Disc(straight(0.2, 0.3, 0.3)), ThingTracker()
    for number in range(1, 20):
        motion = dense_motion([disc], number / 20)
        if number == 19:
            flow = motion.flow.copy()
            flow[0, :, flow[1, 0] != 0] = np.inf
            flow[0, 0, 20:40, 20:50] = np.nan
            motion = dataclasses.replace(motion, flow=flow)
        things = tracker.update(motion, round(number / 20 * 1e9))
    assert all(0 <= share <= 1 for thing in things for box in thing.was for share in box)


def slowed(disc: Disc, t: float, share: float) -> DenseMotion:
    """Its places move, but only so much of their flow can be measured."""
    motion = dense_motion([disc], t)
    motion.flow[:] *= share
    return motion


def test_the_speed_of_what_has_no_texture_is_that_of_its_box() -> None:
    tracker, things = ThingTracker(), []
    for number in range(1, 61):
        things = tracker.update(slowed(Disc(straight(0.2, 0.4, 0.15)), number / 20, 0.2), number * 50_000_000)
    (thing,) = things
    assert thing.speed == pytest.approx(0.15, rel=0.25), "the flow says 0.03"
    assert min(thing.direction_deg, 360 - thing.direction_deg) < 5


def test_a_box_that_wavers_has_no_speed() -> None:
    tracker, speeds = ThingTracker(), list[float]()
    for number in range(1, 101):
        x = 0.4 + (0.02 if number % 6 < 3 else 0.0)
        things = tracker.update(slowed(Disc(straight(x, 0.4, 0.1)), 0.0, 0.0), number * 50_000_000)
        speeds += [thing.speed for thing in things]
    assert len(speeds) > 80
    assert max(speeds) < 0.05


def test_a_box_that_jumps_once_gets_no_speed_of_it() -> None:
    tracker, speeds = ThingTracker(), list[float]()
    for number in range(1, 61):
        x = 0.4 if number < 30 else 0.47
        things = tracker.update(slowed(Disc(straight(x, 0.4, 0.1)), 0.0, 0.0), number * 50_000_000)
        speeds += [thing.speed for thing in things if number > 32]
    assert speeds
    assert max(speeds) < 0.05
