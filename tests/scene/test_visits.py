import math

import msgspec

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.watched import Zone
from pipeline.scene.visits import Visits
from pipeline.scene.zones import Area
from tests.scene.walking import START_NS, straight, walked

ROOM = Zone(points=[(0.2, 0.2), (0.8, 0.2), (0.8, 0.95), (0.2, 0.95)])


def entered(frames: list[tuple[Moment, list[Thing]]]) -> int:
    visits, count = Visits(Area(ROOM)), 0
    for now, things in frames:
        visits.update(things, now)
        count += len(visits.entered)
    return count


def frames_of(
    boxes: list[tuple[float, float, float, float]], speed: float
) -> list[tuple[Moment, list[Thing]]]:
    return [
        (
            Moment(n * 40_000_000 + 1, START_NS + n * 40_000_000),
            [Thing(id=1, box=box, outline=[], speed=speed, direction_deg=90.0, age_ms=0, score=0.9)],
        )
        for n, box in enumerate(boxes)
    ]


def test_somebody_who_stands_inside_and_is_seen_in_parts_has_not_entered() -> None:
    """First all of them is seen to move, then only their head: the box jumps, and they do not."""
    whole, head = (0.4, 0.4, 0.1, 0.5), (0.4, 0.4, 0.1, 0.1)
    assert entered(frames_of([whole] * 2 + [head] * 8, speed=0.01)) == 0


def test_who_is_first_seen_inside_but_comes_fast_from_outside_has_entered() -> None:
    coming = straight(0.24, 0.5, 0.3, 0.0)
    assert entered(list(walked({1: coming}, 1.0))) == 1


def test_the_same_way_at_a_walk_began_inside() -> None:
    coming = straight(0.24, 0.5, 0.05, 0.0)
    assert entered(list(walked({1: coming}, 1.0))) == 0


def test_a_box_that_goes_without_motion_is_believed_as_far_as_its_speed() -> None:
    frames = list(walked({1: straight(0.24, 0.5, 0.3, 0.0)}, 1.0))
    slow = [(now, [msgspec.structs.replace(thing, speed=0.01) for thing in things]) for now, things in frames]
    assert entered(slow) == 0


def passages(frames: list[tuple[Moment, list[Thing]]]) -> list[tuple[str, float]]:
    visits, found = Visits(Area(ROOM)), []
    for now, things in frames:
        visits.update(things, now)
        for kind, group in (("entered", visits.entered), ("left", visits.left)):
            found += [(kind, round((one.at.wall_ns - START_NS) / 1e9, 2)) for one in group]
    return found


OUTSIDE, INSIDE = (0.45, 0.0, 0.1, 0.15), (0.45, 0.0, 0.1, 0.4)


def test_a_box_that_jumps_over_the_border_and_back_has_passed_nothing() -> None:
    """A leaf before a car: for half a second both are one."""
    assert passages(frames_of([OUTSIDE] * 25 + [INSIDE] * 12 + [OUTSIDE] * 25, speed=0.02)) == []


def test_a_box_that_jumps_over_the_border_and_stays_is_believed_later() -> None:
    """Somebody whose feet were hidden: told late, dated when they were seen."""
    assert passages(frames_of([OUTSIDE] * 25 + [INSIDE] * 50, speed=0.05)) == [("entered", 1.0)]


def test_leaves_that_sway_over_the_border_pass_nothing() -> None:
    sways = [(0.4, 0.0, 0.1, 0.2 + 0.02 * math.sin(n / 12)) for n in range(300)]
    assert passages(frames_of(sways, speed=0.005)) == []


def test_who_is_inside_and_jumps_out_for_a_moment_stays_inside() -> None:
    frames = [OUTSIDE] * 25 + [INSIDE] * 50 + [OUTSIDE] * 12 + [INSIDE] * 25
    assert passages(frames_of(frames, speed=0.05)) == [("entered", 1.0)]


def test_the_same_jump_by_somebody_fast_enough_is_told_at_once() -> None:
    frames = frames_of([OUTSIDE] * 25 + [INSIDE] * 12 + [OUTSIDE] * 25, speed=2.0)
    assert passages(frames) == [("entered", 1.0), ("left", 1.48)]


def test_leaves_that_come_to_rest_beyond_the_border_have_not_left() -> None:
    sways = [(0.45, 0.0, 0.1, 0.15 + 0.001 * min(n, 80, 200 - n)) for n in range(148)]
    frames = frames_of(sways, speed=0.005)
    empty = [(Moment(now.time_ns + 10**10, now.wall_ns + 10**10), list[Thing]()) for now, _ in frames[:5]]
    assert passages(frames + empty) == []
