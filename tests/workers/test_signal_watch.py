"""A stream whose frames stop arriving: told once, dated when it happened, and ended when they come again."""

import pytest

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
    (end,) = watch.arrived("newest", 109 * SECOND + AHEAD_NS, 109 * SECOND)
    assert (end.kind, end.phase, end.start) == ("signal_lost", "end", start.id)
    assert end.for_s == pytest.approx(109 - 101.96)
    assert arrive(watch, 109.04, 5) == []
    assert [event.phase for event in watch.look(120 * SECOND)] == ["start"]


def test_a_camera_that_is_expected_and_never_comes_is_lost_and_one_that_comes_is_not() -> None:
    watch = SignalWatch("door")
    watch.expect(100 * SECOND)
    assert watch.look(104 * SECOND) == []
    (start,) = watch.look(105 * SECOND)
    (end,) = watch.arrived("newest", 130 * SECOND, 130 * SECOND)
    assert (start.kind, end.start) == ("signal_lost", start.id)
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
