import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.scaling import Scaler, ScalingPolicy
from pipeline.flow.worker_load import StreamLoad, WorkerLoad

S = 1_000_000_000
POLICY = ScalingPolicy(least=2, most=40)


def loads(count: int, busy: float, dropped: float = 0.0, age_ms: float = 50.0) -> list[WorkerLoad]:
    """Reports of ``count`` workers alike, of whose ten frames a second a share is dropped."""
    stream = StreamLoad(0, 10.0 * (1 - dropped), busy, 10.0 * dropped, age_ms)
    return [WorkerLoad(f"worker {n}", busy, {"gate": stream}) for n in range(count)]


def over_time(scaler: Scaler, of: list[WorkerLoad], present: int, seconds: range) -> list[int]:
    """What is wanted at each second, while nothing that is wanted happens."""
    return [scaler.wanted(of, present, second * S).workers for second in seconds]


@pytest.mark.parametrize("suffering", [loads(10, 1.0, dropped=0.3), loads(10, 0.95, age_ms=900.0)])
def test_frames_dropped_or_late_ask_for_more_after_a_while(suffering: list[WorkerLoad]) -> None:
    wanted = over_time(Scaler(POLICY), suffering, 10, range(11))
    assert wanted[:10] == [10] * 10
    assert wanted[10] > 10


def test_as_many_are_asked_for_as_all_frames_need() -> None:
    scaler = Scaler(POLICY)
    wanted = [scaler.wanted(loads(10, 1.0, dropped=0.5), 10, second * S) for second in (0, 10)][-1]
    assert wanted.workers == 29  # 10 workers could do half: 20 that are busy for 70 % of their time
    assert wanted.why == "50.0% of the frames were dropped (limit 2.0%)"


def test_the_reason_names_only_what_exceeds_its_limit() -> None:
    scaler = Scaler(POLICY)
    wanted = [scaler.wanted(loads(10, 1.0, age_ms=3278.0), 10, second * S) for second in (0, 10)][-1]
    assert wanted.why == "predictions were 3278 ms old (limit 500 ms)"
    scaler = Scaler(POLICY)
    both = loads(10, 1.0, dropped=0.5, age_ms=600.0)
    wanted = [scaler.wanted(both, 10, second * S) for second in (0, 10)][-1]
    assert wanted.why == (
        "50.0% of the frames were dropped (limit 2.0%) and predictions were 600 ms old (limit 500 ms)"
    )


def test_no_more_are_asked_for_while_one_waits_for_room() -> None:
    scaler, suffering = Scaler(POLICY), loads(10, 1.0, dropped=0.3)
    waiting = [scaler.wanted(suffering, 11, second * S, missing=1).workers for second in range(200)]
    assert set(waiting) == {11}
    assert scaler.wanted(suffering, 11, 200 * S).workers > 11, "it has started, and is not enough"
    fewest = [Scaler(POLICY).wanted([], 1, 0, missing=1).workers]
    assert fewest == [POLICY.least]


def test_new_ones_get_time_to_start_before_more_are_asked_for() -> None:
    scaler = Scaler(POLICY)
    over_time(scaler, loads(10, 1.0, dropped=0.1), 10, range(11))
    assert over_time(scaler, loads(10, 1.0, dropped=0.1), 16, range(11, 70)) == [16] * 59
    assert over_time(scaler, loads(16, 1.0, dropped=0.1), 16, range(70, 71))[0] > 16


def test_predictions_that_are_old_though_workers_have_time_are_not_helped_by_more() -> None:
    assert set(over_time(Scaler(POLICY), loads(10, 0.4, age_ms=5000.0), 10, range(1000))) == {10}


def test_a_moment_is_not_enough() -> None:
    scaler = Scaler(POLICY)
    for second in range(0, 400, 4):
        of = loads(10, 0.9, dropped=0.3) if second % 8 else loads(10, 0.9)
        assert scaler.wanted(of, 10, second * S).workers == 10


def test_what_is_not_needed_is_given_back_slowly() -> None:
    scaler, present, times = Scaler(POLICY), 10, list[int]()
    for second in range(2000):
        wanted = scaler.wanted(loads(present, 3.0 / present), present, second * S).workers
        if wanted != present:
            assert wanted == present - 1
            times.append(second)
        present = wanted
    assert present == 5
    assert min(b - a for a, b in zip([0, *times], times, strict=False)) >= 120


def test_of_many_several_are_given_back_at_once() -> None:
    scaler = Scaler(ScalingPolicy(most=500))
    assert over_time(scaler, loads(200, 0.2), 200, range(121))[-1] == 190


def test_between_more_and_fewer_nothing_happens() -> None:
    for busy in (0.58, 0.65, 0.75, 0.95):
        assert set(over_time(Scaler(POLICY), loads(10, busy), 10, range(1000))) == {10}


@given(st.integers(0, 100), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 9000.0))
def test_never_beyond_the_bounds(present: int, busy: float, dropped: float, age_ms: float) -> None:
    scaler = Scaler(POLICY)
    for second in (0, 200, 400):
        wanted = scaler.wanted(loads(present, busy, dropped, age_ms), present, second * S)
        assert POLICY.least <= wanted.workers <= POLICY.most
        assert wanted.why
