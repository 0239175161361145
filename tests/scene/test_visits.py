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
