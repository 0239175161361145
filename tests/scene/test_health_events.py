"""States of the picture to events: each start has its end, dated when it happened."""

import pytest

from pipeline.base.event import Moment
from pipeline.scene.health_events import HealthEvents

SECOND = 10**9
WALL_NS = 1_790_000_000 * SECOND


def at(seconds: float) -> Moment:
    return Moment(round(seconds * SECOND), WALL_NS + round(seconds * SECOND))


def test_a_fault_begins_when_it_began_and_ends_when_it_was_last_seen() -> None:
    health = HealthEvents("door")
    health.see_ok()
    (start,) = health.see_bad("covered", at(10), 1.5, why={"level": 40.0})
    assert (start.kind, start.phase, start.why) == ("covered", "start", {"level": 40.0})
    assert start.time == "2026-09-21T14:13:28.500Z"
    assert health.see_bad("covered", at(12), 3.5) == []
    assert health.see_bad("covered", at(13), 4.5, ok_for_s=0.9) == []
    assert health.state == "covered"
    (end,) = health.see_ok()
    assert (end.kind, end.phase, end.start) == ("covered", "end", start.id)
    assert end.for_s == pytest.approx(12.1 - 8.5)
    assert end.time == "2026-09-21T14:13:32.100Z"
    assert health.state is None
    assert health.see_ok() == []


def test_who_comes_in_the_middle_tells_a_fault_anew() -> None:
    """A sink before this one was killed, and its event has been ended."""
    before, after = HealthEvents("door"), HealthEvents("door")
    before.see_ok()
    (old,) = before.see_bad("covered", at(10), 1.5)
    (new,) = after.see_bad("covered", at(60), 51.5)
    assert new.id != old.id
    assert new.time == "2026-09-21T14:14:20.000Z"
    after.end("no frames are arriving")
    (again,) = after.see_bad("covered", at(90), 81.5)
    assert again.id not in (old.id, new.id)


def test_one_fault_after_another_and_an_end_from_outside() -> None:
    health = HealthEvents("door")
    told = (
        health.see_bad("covered", at(10), 1.5) + health.see_bad("dark", at(14), 2.0) + health.end("stopped")
    )
    assert [(one.kind, one.phase) for one in told] == [
        ("covered", "start"),
        ("covered", "end"),
        ("dark", "start"),
        ("dark", "end"),
    ]
    assert told[1].why == {"ended": "now dark"}
    assert told[3].why == {"ended": "stopped"}
    assert health.end("stopped") == []


def test_a_clock_that_goes_back_ends_what_has_begun() -> None:
    health = HealthEvents("door")
    health.see_bad("dark", at(100), 2.0)
    again = health.see_bad("dark", at(3), 2.0)
    assert [(one.kind, one.phase) for one in again] == [("dark", "end"), ("dark", "start")]
    assert again[0].why == {"ended": "the stream restarted"}


def test_the_same_frames_judged_again_give_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        health = HealthEvents("door")
        health.see_ok()
        ids.append([one.id for one in health.see_bad("dark", at(5), 2.0) + health.see_ok()])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
