import msgspec
import pytest

from pipeline.flow.worker_load import (
    Overload,
    Pressure,
    PressureLimits,
    StreamLoad,
    WorkerLoad,
    pressure_of,
)

LIMITS = PressureLimits(busy=0.9, dropped=0.1, age_ms=500.0)


def load(
    busy: float = 0.5, fps: float = 10.0, dropped: float = 0.0, age_ms: float | None = 50.0
) -> WorkerLoad:
    return WorkerLoad("a", busy, {"gate": StreamLoad(3, fps, busy, dropped, age_ms)})


def test_what_a_worker_answers_over_http_is_read() -> None:
    text = (
        '{"worker": "a", "busy": 0.4, "streams": {"gate": {"generation": 3, "fps": 9.5, "work": 0.2,'
        ' "dropped_per_s": 0.5, "age_ms": 41.0, "more": 1}}}'
    )
    assert msgspec.json.decode(text, type=WorkerLoad).streams["gate"].fps == 9.5


@pytest.mark.parametrize(
    ("fps", "dropped", "demand"), [(10.0, 0.0, 0.2), (10.0, 10.0, 0.4), (0.0, 5.0, 0.8), (1.0, 99.0, 0.8)]
)
def test_demand_counts_the_frames_that_were_dropped(fps: float, dropped: float, demand: float) -> None:
    assert StreamLoad(0, fps, 0.2, dropped).demand() == pytest.approx(demand)


def test_pressure_of_several_workers_is_that_of_all_their_frames() -> None:
    pressure = pressure_of([load(0.4, 30.0, 0.0, 40.0), load(0.8, 5.0, 5.0, 100.0), load(0.6, age_ms=None)])
    assert pressure == Pressure(busy=pytest.approx(0.6), dropped=0.1, age_ms=70.0)
    assert pressure_of([]) == pressure_of([WorkerLoad("a", 0.0, {})]) == Pressure()


@pytest.mark.parametrize("too_much", [load(busy=1.0), load(dropped=4.0), load(age_ms=1000.0)])
def test_each_of_the_three_is_an_overload_and_one_report_is_none(too_much: WorkerLoad) -> None:
    overload = Overload(LIMITS)
    for _ in range(10):
        overload.take(load())
    assert not overload.late
    overload.take(too_much)
    first = overload.late
    for _ in range(10):
        overload.take(too_much)
    assert (first, overload.late) == (False, True)


def test_an_overload_is_over_well_below_the_limit() -> None:
    overload = Overload(LIMITS)
    for busy, late in ((0.95, True), (0.8, True), (0.7, False), (0.85, False)):
        for _ in range(30):
            overload.take(load(busy=busy))
        assert overload.late == late, busy
