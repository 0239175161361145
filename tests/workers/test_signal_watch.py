"""A stream whose frames stop arriving: told once, dated when it happened, and ended when they come again."""

import pytest

from pipeline.base.event import Event, rfc3339
from workers.signal_watch import SignalWatch

SECOND = 10**9
AHEAD_NS = 3 * SECOND
"""By so much the camera's clock is ahead of the sink's."""


def arrive(
    watch: SignalWatch, begins: float, seconds: float, interval: float = 0.04
) -> list[tuple[str, str]]:
    told = []
    for n in range(round(seconds / interval)):
        now_ns = round((begins + n * interval) * SECOND)
        told += watch.arrived("newest", now_ns + AHEAD_NS, now_ns) + watch.look(now_ns)
    return [(event.kind, event.phase) for event in told]


def test_a_silence_of_five_seconds_is_a_loss_until_frames_come_again() -> None:
    watch = SignalWatch("door")
    assert arrive(watch, 100, 2) == []
    assert watch.look(round(106.9 * SECOND)) == []
    (start,) = watch.look(107 * SECOND)
    assert (start.kind, start.phase, start.time) == ("signal_lost", "start", "1970-01-01T00:01:44.960Z")
    assert watch.look(109 * SECOND) == []
    end, back = watch.arrived("newest", 109 * SECOND + AHEAD_NS, 109 * SECOND)
    assert (end.kind, end.phase, end.start) == ("signal_lost", "end", start.id)
    assert end.for_s == pytest.approx(109 - 101.96)
    assert (back.kind, back.phase, back.time) == ("signal_back", "once", "1970-01-01T00:01:52.000Z")
    assert back.for_s == pytest.approx(109 - 101.96)
    assert arrive(watch, 109.04, 5) == []
    assert [event.phase for event in watch.look(120 * SECOND)] == ["start"]


def test_a_camera_that_is_expected_and_never_comes_is_lost_and_one_that_comes_is_not() -> None:
    watch = SignalWatch("door")
    watch.expect(100 * SECOND)
    assert watch.look(104 * SECOND) == []
    (start,) = watch.look(105 * SECOND)
    end, back = watch.arrived("newest", 130 * SECOND, 130 * SECOND)
    assert (start.kind, end.start, back.kind) == ("signal_lost", start.id, "signal_back")
    there = SignalWatch("door")
    assert arrive(there, 100, 2) == []
    there.expect(90 * SECOND)
    assert there.look(103 * SECOND) == []


def test_a_slow_camera_may_be_silent_for_longer() -> None:
    watch = SignalWatch("door")
    assert arrive(watch, 100, 60, interval=4.0) == []
    assert watch.look(round((156 + 19) * SECOND)) == []
    assert [event.phase for event in watch.look((156 + 20) * SECOND)] == ["start"]


def test_a_stream_that_has_ended_or_a_file_that_waits_is_not_lost() -> None:
    watch = SignalWatch("door")
    arrive(watch, 100, 2)
    watch.look(110 * SECOND)
    assert [event.why for event in watch.end("the stream has ended")] == [{"ended": "the stream has ended"}]
    assert watch.look(200 * SECOND) == []
    file = SignalWatch("file")
    file.arrived("every", 5, 100 * SECOND)
    assert file.look(200 * SECOND) == []
    assert SignalWatch("none").look(200 * SECOND) == []


def lost_until(seconds: float) -> Event:
    """The end of a loss of 20 s, as the sink that takes over tells it."""
    return Event(
        id="2",
        time=rfc3339(round(seconds * SECOND)),
        stream_id="door",
        kind="signal_lost",
        phase="end",
        start="1",
        for_s=20.0,
    )


def test_a_loss_that_a_killed_sink_has_told_is_answered_once_by_the_next_one() -> None:
    watch = SignalWatch("door")
    watch.lost_before(lost_until(100))
    watch.expect(101 * SECOND)
    (back,) = watch.arrived("newest", 103 * SECOND, 103 * SECOND)
    assert (back.kind, back.phase, back.for_s) == ("signal_back", "once", 23.0)
    assert watch.arrived("newest", 104 * SECOND, 104 * SECOND) == []
    silent = SignalWatch("door")
    silent.lost_before(lost_until(100))
    silent.expect(101 * SECOND)
    told = silent.look(107 * SECOND) + silent.arrived("newest", 110 * SECOND, 110 * SECOND)
    assert [(one.kind, one.phase) for one in told] == [
        ("signal_lost", "start"),
        ("signal_lost", "end"),
        ("signal_back", "once"),
    ]
    assert told[-1].for_s == 30.0


def test_a_signal_that_is_lost_until_the_stream_ends_does_not_come_back() -> None:
    watch = SignalWatch("door")
    arrive(watch, 100, 2)
    watch.look(110 * SECOND)
    watch.end("the stream has ended")
    assert arrive(watch, 120, 2) == []
