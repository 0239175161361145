import pytest

from pipeline.flow.load_meter import LoadMeter

MS, S = 1_000_000, 1_000_000_000


def test_a_worker_that_does_nothing_is_not_busy():
    meter = LoadMeter(100 * S)
    assert meter.busy(107 * S) == 0
    assert meter.of("gate", 107 * S) == (0.0, 0.0, 0.0, None)


def test_work_is_shared_by_the_streams_of_a_step_and_counted_for_five_seconds():
    meter = LoadMeter(0)
    for n in range(100):  # ten a second for ten seconds, 40 ms each; "gate" in all, "yard" in every other one
        began = n * 100 * MS
        streams = ["gate", "yard"] if n % 2 else ["gate"]
        meter.stepped(began, began + 40 * MS, streams)
        for stream in streams:
            meter.predicted(began + 40 * MS, stream, 60.0 if stream == "gate" else 20.0)
    now = 10 * S
    assert meter.busy(now) == pytest.approx(0.4, abs=0.01)
    gate, yard = meter.of("gate", now), meter.of("yard", now)
    assert gate.work == pytest.approx(0.3, abs=0.01)
    assert yard.work == pytest.approx(0.1, abs=0.01)
    assert (gate.fps, yard.fps) == (pytest.approx(10, abs=0.3), pytest.approx(5, abs=0.3))
    assert (gate.age_ms, yard.age_ms) == (60.0, 20.0)
    assert meter.busy(now + 6 * S) == 0
    assert meter.of("gate", now + 6 * S).age_ms is None


def test_a_meter_that_has_just_begun_divides_by_the_time_it_has_had():
    meter = LoadMeter(50 * S)
    meter.stepped(50 * S, 50 * S + 500 * MS, ["gate"])
    assert meter.busy(51 * S) == pytest.approx(0.5)


def test_dropped_frames_are_those_of_the_last_seconds():
    meter = LoadMeter(0)
    assert meter.is_due(0)
    for second in range(21):
        meter.dropped(second * S, {"gate": 3 * max(second - 10, 0)})
    assert not meter.is_due(20 * S + 1)
    assert meter.is_due(20 * S + 500 * MS)
    assert meter.of("gate", 20 * S).dropped_per_s == pytest.approx(3, abs=0.01)
    assert meter.of("yard", 20 * S).dropped_per_s == 0
