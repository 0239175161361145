from pipeline.flow.batching import BatchWindow

MS = 1_000_000


def window(longest_ms: float = 10.0, step_ms: float = 20.0) -> BatchWindow:
    made = BatchWindow(longest_ms)
    made.stepped(round(step_ms * MS))
    return made


def feed(made: BatchWindow, stream_id: str, interval_ms: float, last_ms: float) -> None:
    for n in range(5, -1, -1):
        made.arrived(stream_id, round((last_ms - n * interval_ms) * MS))


def test_a_stream_that_is_due_is_waited_for() -> None:
    made = window()
    feed(made, "a", 40, last_ms=1000)
    assert made.until_ns(1036 * MS, ["a"]) == 1041 * MS  # a quarter of a step of 20 ms
    assert made.until_ns(1030 * MS, ["a"]) == 1030 * MS  # due in 10 ms: too late for this step
    assert made.until_ns(1045 * MS, ["a"]) == 1050 * MS  # a little late


def test_a_stalled_stream_is_not_waited_for() -> None:
    made = window()
    feed(made, "stalled", 40, last_ms=1000)
    for now_ms in (1061, 1100, 100_000):
        assert made.until_ns(now_ms * MS, ["stalled"]) == now_ms * MS


def test_streams_without_a_rhythm_yet_and_ended_ones_are_not_waited_for() -> None:
    made = window()
    made.arrived("new", 1000 * MS)
    feed(made, "ended", 40, last_ms=1000)
    made.forget("ended")
    assert made.until_ns(1039 * MS, ["new", "ended", "unknown"]) == 1039 * MS
    assert made.until_ns(1039 * MS, []) == 1039 * MS


def test_the_window_follows_the_steps_and_never_exceeds_its_limit() -> None:
    made = window(longest_ms=10.0, step_ms=400.0)
    feed(made, "a", 40, last_ms=1000)
    assert made.until_ns(1040 * MS, ["a"]) == 1050 * MS
    for _ in range(60):
        made.stepped(1 * MS)
    assert made.until_ns(1040 * MS, ["a"]) - 1040 * MS < 0.3 * MS
    assert window(longest_ms=0.0).until_ns(1040 * MS, ["a"]) == 1040 * MS


def test_a_camera_that_changes_its_rate_is_followed() -> None:
    made = window()
    feed(made, "a", 40, last_ms=1000)
    for n in range(1, 31):
        made.arrived("a", (1000 + 200 * n) * MS)
    assert made.until_ns(7040 * MS, ["a"]) == 7040 * MS
    assert made.until_ns(7199 * MS, ["a"]) > 7199 * MS
