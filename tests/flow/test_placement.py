import math
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.placement import place

STREAMS = {f"camera {n}": 1.0 for n in range(64)}
LOADS = st.dictionaries(st.text(min_size=1, max_size=8), st.floats(0.1, 10), max_size=40)
CAPACITIES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.5, 4), min_size=1, max_size=8)
SPARE = st.sampled_from([0.0, 0.1, 0.5])


def workers(count: int) -> dict[str, float]:
    return {f"worker {n}": 1.0 for n in range(count)}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stream for stream in before if before[stream] != after[stream]}


@given(LOADS, CAPACITIES, SPARE)
def test_each_stream_has_one_worker_and_none_is_given_too_much(
    loads: dict[str, float], capacities: dict[str, float], spare: float
) -> None:
    placed = place(loads, capacities, spare=spare)
    assert list(placed) == list(loads)
    fair = sum(loads.values()) / sum(capacities.values())
    for worker, capacity in capacities.items():
        given_to = [loads[stream] for stream, name in placed.items() if name == worker]
        assert sum(given_to) <= (1 + spare) * fair * capacity + max(loads.values(), default=0)


@given(LOADS, CAPACITIES, SPARE, st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_known_changes_nothing(
    loads: dict[str, float], capacities: dict[str, float], spare: float, random: random.Random
) -> None:
    streams, names = list(loads), list(capacities)
    random.shuffle(streams)
    random.shuffle(names)
    shuffled = place({s: loads[s] for s in streams}, {w: capacities[w] for w in names}, spare=spare)
    assert shuffled == place(loads, capacities, spare=spare)


@given(LOADS, CAPACITIES, SPARE, st.data())
def test_what_is_carried_already_takes_room(
    loads: dict[str, float], capacities: dict[str, float], spare: float, data: st.DataObject
) -> None:
    carried = {worker: data.draw(st.floats(0.0, 20.0)) for worker in capacities}
    placed = place(loads, capacities, carried, spare)
    fair = (sum(loads.values()) + sum(carried.values())) / sum(capacities.values())
    for worker, capacity in capacities.items():
        given_to = [loads[stream] for stream, name in placed.items() if name == worker]
        if given_to:
            most = (1 + spare) * fair * capacity + max(given_to)
            assert carried[worker] + sum(given_to) <= most * (1 + 1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_equal_streams_are_shared_evenly(count: int) -> None:
    shares = Counter(place(STREAMS, workers(count)).values())
    assert len(shares) == count
    assert max(shares.values()) <= math.ceil(64 / count)


def test_two_cameras_on_two_workers_have_one_each() -> None:
    for n in range(20):
        assert len(set(place({f"a{n}": 1.0, f"b{n}": 1.0}, workers(2)).values())) == 2


def test_a_worker_of_twice_the_size_has_twice_as_many() -> None:
    shares = Counter(place(STREAMS, {"large": 2.0, "small": 1.0}).values())
    assert 42 <= shares["large"] <= 43


def test_streams_of_a_worker_that_goes_are_spread_evenly_over_the_others() -> None:
    before = place(STREAMS, workers(4))
    lost = {stream: 1.0 for stream, name in before.items() if name == "worker 3"}
    after = place(lost, workers(3), Counter(name for name in before.values() if name != "worker 3"))
    shares = Counter((before | after).values())
    assert set(shares) == {"worker 0", "worker 1", "worker 2"}
    assert max(shares.values()) <= math.ceil(64 / 3)


def test_a_worker_that_carries_more_than_its_share_is_given_nothing() -> None:
    placed = place(STREAMS, workers(3), {"worker 1": 1000.0})
    assert set(placed.values()) == {"worker 0", "worker 2"}


def test_with_room_to_spare_more_go_where_hashing_wants_them() -> None:
    wanted = {stream: name for stream in STREAMS for name in place({stream: 1.0}, workers(5)).values()}
    strict, loose = (place(STREAMS, workers(5), spare=spare) for spare in (0.0, 0.3))
    assert len(moved(wanted, loose)) < len(moved(wanted, strict))


def test_another_process_finds_the_same_places() -> None:
    code = "from tests.flow.test_placement import *; print(sorted(place(STREAMS, workers(5)).items()))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(sorted(place(STREAMS, workers(5)).items()))


def test_without_workers_nothing_is_placed() -> None:
    assert place(STREAMS, {}) == {}


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_loads_and_capacities_are_positive_numbers(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"camera: .* is not a positive number"):
        place({"camera": wrong}, workers(1))
    with pytest.raises(ValueError, match=r"worker: .* is not a positive number"):
        place(STREAMS, {"worker": wrong})
