import pytest

from pipeline.base.event import Event, rfc3339
from pipeline.base.watched import Rule, Watch, Zone
from pipeline.view.web.moving_share import WINDOW_NS, MovingShare

SECOND = 10**9
START_NS = 1_800_000_000 * SECOND
CORNERS = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
WATCH = Watch(
    zones={
        "drive": Zone(points=CORNERS),
        "gate": Zone(points=CORNERS, streams=["back"]),
        "bed": Zone(points=CORNERS),
    },
    rules={"in": Rule(kind="entered", zone="bed")},
)


def moving(event_id, second, start=None, zone="drive", kind="moving"):
    phase = "end" if start else "start"
    time = rfc3339(START_NS + second * SECOND)
    return Event(id=event_id, time=time, stream_id="front", kind=kind, phase=phase, start=start, zone=zone)


def share(events, second, zone="drive"):
    followed = MovingShare(WATCH)
    for event in events:
        followed.take(event)
    return followed.shares("front", START_NS + second * SECOND)[zone]


def test_only_zones_that_are_asked_about_and_apply_to_the_stream():
    assert MovingShare(WATCH).shares("front", START_NS) == {"drive": 0.0}
    assert MovingShare(WATCH).shares("back", START_NS) == {"drive": 0.0, "gate": 0.0}


def test_what_still_moves_counts_until_now():
    assert share([moving("a", 0)], 30) == pytest.approx(0.5)
    assert share([moving("a", 0)], 600) == pytest.approx(1.0)


def test_what_is_over_counts_for_a_minute():
    over = [moving("a", 0), moving("b", 30, start="a")]
    assert share(over, 60) == pytest.approx(0.5)
    assert share(over, 75) == pytest.approx(0.25)
    assert share(over, 90) == 0.0


def test_two_at_once_count_once():
    both = [moving("a", 0), moving("b", 10), moving("c", 20, start="b"), moving("d", 30, start="a")]
    assert share(both, 60) == pytest.approx(0.5)


def test_other_events_and_ends_without_a_start_count_nothing():
    others = [
        moving("a", 0, kind="stayed"),
        moving("b", 10, start="unknown"),
        moving("c", 0, zone="elsewhere"),
    ]
    assert share(others, 60) == 0.0


def test_events_without_end_stay_bounded():
    many = [moving(str(number), number) for number in range(1000)]
    assert share(many, 1000) == pytest.approx(1.0)
    followed = MovingShare(WATCH)
    for event in many:
        followed.take(event)
    assert len(followed._spans["front", "drive"]) <= 256
    assert WINDOW_NS == 60 * SECOND
