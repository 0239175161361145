import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.moving_thing import MOST_THINGS, Thing
from pipeline.scene.dense_motion import DenseMotion
from pipeline.scene.regions import find_regions
from pipeline.scene.sentence import in_words
from pipeline.scene.things import ThingTracker
from pipeline.scene.tracks import REMEMBERED_MS, SHOWN_AFTER_FRAMES, SHOWN_UNSEEN_MS
from tests.scene.moving_discs import ASPECT, GRID, Disc, Path, dense_motion, followed, straight


def middle(thing: Thing) -> tuple[float, float]:
    """In picture widths."""
    x, y, width, height = thing.box
    return x + width / 2, (y + height / 2) * ASPECT


def ids_near(path: Path, frames: dict[float, list[Thing]]) -> set[int]:
    """Of the things whose middle is on a path."""
    return {
        thing.id
        for t, things in frames.items()
        for thing in things
        if math.dist(middle(thing), path(t)) < 0.02
    }


def test_a_disc_that_goes_right_under_a_panning_camera_is_one_thing_that_goes_right() -> None:
    frames = followed([Disc(straight(0.4, 0.4, 0.3))], 1.5, camera=straight(0, 0, 0.2, 0.05))
    ids = {thing.id for things in frames.values() for thing in things}
    assert ids == {1}
    (last,) = frames[1.5]
    assert last.speed == pytest.approx(0.3, abs=0.002)
    assert math.cos(math.radians(last.direction_deg)) > 0.9999
    assert in_words([last]) == "1 thing moving: right 0.30 widths/s"


def test_what_follows_the_camera_moves_and_what_the_camera_passes_does_not() -> None:
    pan = straight(0, 0, 0.25)
    frames = followed([Disc(straight(0.5, 0.3, 0.25)), Disc(straight(0.6, 0.6, 0.0))], 1.0, camera=pan)
    (only,) = frames[1.0]
    assert middle(only) == pytest.approx((0.5, 0.3), abs=0.01)
    assert only.speed == pytest.approx(0.25, abs=0.002)


@given(degrees=st.floats(0, 359.9))
def test_directions_turn_anticlockwise_from_the_right(degrees: float) -> None:
    angle = math.radians(degrees)
    disc = Disc(straight(0.5, ASPECT / 2, 0.2 * math.cos(angle), -0.2 * math.sin(angle)))
    (thing,) = followed([disc], 0.5)[0.5]
    assert abs((thing.direction_deg - degrees + 180) % 360 - 180) < 0.5
    assert thing.speed == pytest.approx(0.2, abs=0.002)


@pytest.mark.parametrize("way", [0.0, 0.03])
def test_discs_that_cross_keep_their_ids(way: float) -> None:
    left, right = straight(0.2, 0.4, 0.2, way), straight(0.85, 0.44, -0.15)
    frames = followed([Disc(left), Disc(right)], 3.5)
    apart = {t: things for t, things in frames.items() if math.dist(left(t), right(t)) > 0.12}
    assert min(apart) < 0.5 < 3.0 < max(apart)
    assert len(ids_near(left, apart)) == len(ids_near(right, apart)) == 1
    assert ids_near(left, apart) != ids_near(right, apart)


def test_a_disc_that_overtakes_another_behind_it_keeps_its_id() -> None:
    fast, slow = straight(0.1, 0.4, 0.25), straight(0.35, 0.4, 0.08)
    frames = followed([Disc(fast, 0.05), Disc(slow, 0.07)], 3.2)
    apart = {t: things for t, things in frames.items() if math.dist(fast(t), slow(t)) > 0.12}
    assert min(apart) < 0.5 < 3.0 < max(apart)
    assert len(ids_near(fast, apart)) == len(ids_near(slow, apart)) == 1


def test_discs_that_walk_side_by_side_and_touch_for_a_while_stay_two() -> None:
    def nearing(t: float) -> tuple[float, float]:
        return 0.1 + 0.2 * t, 0.5 - 0.1 * math.exp(-((t - 2) ** 2))

    above = straight(0.1, 0.28, 0.2)
    assert len(find_regions(dense_motion([Disc(above), Disc(nearing)], 2.0))) == 1
    frames = followed([Disc(above), Disc(nearing)], 4.0)
    for t, things in frames.items():
        if t >= 0.3:
            upper, lower = sorted(things, key=lambda thing: middle(thing)[1])
            assert {upper.id, lower.id} == {1, 2}
            assert math.dist(middle(upper), above(t)) < 0.02
            assert math.dist(middle(lower), nearing(t)) < 0.02


def test_a_disc_that_stops_slows_down_goes_and_comes_back_as_the_same() -> None:
    def path(t: float) -> tuple[float, float]:
        return 0.3 + 0.2 * (min(t, 1.0) + max(0.0, t - 2.0)), 0.4

    frames = followed([Disc(path)], 3.0)
    stopped, gone = 1.0 + 0.2, 1.0 + 0.2 + SHOWN_UNSEEN_MS / 1000 + 0.05
    assert frames[1.0][0].speed == pytest.approx(0.2, abs=0.01)
    assert all(things[0].speed < 0.1 for t, things in frames.items() if stopped + 0.1 < t < gone - 0.1)
    assert not any(things for t, things in frames.items() if gone < t < 2.0)
    (back,) = frames[3.0]
    assert back.id == 1
    assert back.age_ms == pytest.approx(3000 - 50, abs=60)


def test_what_was_gone_for_longer_is_another_thing() -> None:
    pause_s = REMEMBERED_MS / 1000 + 0.5

    def path(t: float) -> tuple[float, float]:
        return 0.3 + 0.2 * (min(t, 1.0) + max(0.0, t - 1.0 - pause_s)), 0.4

    (back,) = followed([Disc(path)], 2.0 + pause_s)[2.0 + pause_s]
    assert back.id == 2


def test_a_gap_of_a_frame_or_two_changes_nothing() -> None:
    tracker, disc, shown = ThingTracker(), Disc(straight(0.2, 0.4, 0.2)), []
    for number in range(1, 41):
        motion = dense_motion([disc], number / 20)
        if number % 7 in (3, 4):
            motion.moving[:] = 0
        shown.append(tracker.update(motion, number * 50_000_000))
    assert all([thing.id for thing in things] == [1] for things in shown[SHOWN_AFTER_FRAMES + 3 :])


def test_what_flashes_where_a_thing_was_does_not_bring_it_back() -> None:
    tracker, disc, shown = ThingTracker(), Disc(straight(0.2, 0.4, 0.2)), []
    for number in range(1, 81):  # 50 ms each: seen for a second, gone for half of one, then a frame in five
        motion = dense_motion([disc], min(number, 20) / 20)
        if 20 < number < 31 or (number > 30 and number % 5):
            motion.moving[:] = 0
        shown.append(bool(tracker.update(motion, number * 50_000_000)))
    assert shown[19]
    first_away = next(number for number in range(20, 80) if not shown[number])
    assert first_away < 45
    assert not any(shown[first_away:])


def test_specks_that_are_elsewhere_in_each_frame_are_no_things() -> None:
    tracker, rng = ThingTracker(), np.random.default_rng(0)
    for number in range(1, 200):
        motion = dense_motion([], number / 20)
        for row, column in rng.integers((0, 0), (GRID[0] - 4, GRID[1] - 4), (4, 2)):
            motion.moving[row : row + 4, column : column + 4] = 1
        assert tracker.update(motion, number * 50_000_000) == []


def test_without_a_past_there_are_no_things() -> None:
    tracker = ThingTracker()
    for number in range(1, 20):
        motion = dense_motion([Disc(straight(0.2, 0.4, 0.2))], number / 20, past=0)
        motion.moving[:] = 1
        assert tracker.update(motion, number * 50_000_000) == []


def test_one_past_frame_is_enough() -> None:
    tracker = ThingTracker()
    for number in range(1, 10):
        things = tracker.update(
            dense_motion([Disc(straight(0.2, 0.4, 0.2))], number / 20, past=1), number * 50_000_000
        )
    assert [round(thing.speed, 3) for thing in things] == [0.2]


def test_time_that_goes_back_forgets_all_things_but_not_their_ids() -> None:
    tracker, disc = ThingTracker(), Disc(straight(0.2, 0.4, 0.2))
    for number in range(20, 30):
        assert all(
            thing.id == 1 for thing in tracker.update(dense_motion([disc], number / 20), number * 50_000_000)
        )
    shown = [
        tracker.update(dense_motion([disc], number / 20), number * 50_000_000) for number in range(1, 11)
    ]
    assert shown[0] == []
    assert [thing.id for thing in shown[-1]] == [2]
    assert shown[-1][0].age_ms == pytest.approx(450)


def test_streams_do_not_know_of_each_other() -> None:
    trackers, disc = (ThingTracker(), ThingTracker()), Disc(straight(0.2, 0.4, 0.2))
    for number in range(1, 10):
        seen = trackers[0].update(dense_motion([disc], number / 20), number * 50_000_000)
        assert trackers[1].update(dense_motion([], number / 20), number * 50_000_000) == []
    assert [thing.id for thing in seen] == [1]


@pytest.mark.slow
def test_ten_thousand_random_pictures_stay_within_all_bounds() -> None:
    rng, tracker, rows, columns = np.random.default_rng(1), ThingTracker(), 8, 10
    most_kept = 0
    for number in range(1, 10_001):
        moving = rng.random((rows, columns), np.float32) ** rng.choice([0.2, 1, 3])
        motion = DenseMotion(
            moving=moving.astype(np.float32),
            flow=rng.normal(0, 20, (2, 2, rows, columns)).astype(np.float32),
            uncertainty=rng.random((2, rows, columns), np.float32),
            camera=rng.normal(0, 1, (2, 2, 3)).astype(np.float32),
            valid=rng.random(2) < 0.9,
            history_ms=rng.uniform(0, 300, 2).tolist(),
            aspect=ASPECT,
        )
        things = tracker.update(motion, int(number * 4e7) + int(rng.integers(-10, 10)))
        if number % 10 == 0:
            assert msgspec.convert(msgspec.to_builtins(things), list[Thing]) == things  # in all ranges
        assert len({thing.id for thing in things}) == len(things) <= MOST_THINGS
        most_kept = max(most_kept, len(tracker._tracks))
    assert 0 < most_kept <= 2 * MOST_THINGS
