from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.balance import Balance, Standing

LOADS = st.lists(st.lists(st.floats(0.01, 1.0), max_size=12), min_size=2, max_size=6)


def standing(
    *loads: float, capacity: float = 1.0, gives: int = 99, takes: int = 99, name: str = "s"
) -> Standing:
    streams = {f"{name} {n}": load for n, load in enumerate(loads)}
    return Standing(capacity, sum(loads), streams, gives, takes)


def levels(workers: dict[str, Standing]) -> list[float]:
    return [one.level for one in workers.values()]


@given(LOADS, st.floats(0.05, 0.5), st.integers(1, 4))
def test_moves_even_out_and_come_to_an_end(loads: list[list[float]], spare: float, large: int) -> None:
    workers = {
        str(n): standing(*own, capacity=1.0 if n else float(large), name=str(n))
        for n, own in enumerate(loads)
    }
    before = max(levels(workers))
    fair = sum(one.load for one in workers.values()) / sum(one.capacity for one in workers.values())
    balance, moved = Balance(spare), list[str]()
    for stream, source, target in balance.even_out(workers):
        assert source != target
        moved.append(stream)
    assert len(set(moved)) == len(moved)
    assert max(levels(workers)) <= before + 1e-9
    biggest = max((load for own in loads for load in own), default=0.0)
    heavy = [one for one in workers.values() if one.level > (1 + spare) * fair + 2 * biggest]
    assert heavy == []
    assert [one for one in workers.values() if one.level < (1 - spare) * fair - 2 * biggest] == []


def test_nothing_moves_within_the_bound_and_what_is_begun_goes_on_well_into_it() -> None:
    balance = Balance(0.21)
    assert list(balance.even_out({"a": standing(*[0.01] * 115), "b": standing(*[0.01] * 85)})) == []
    first = list(balance.even_out({"a": standing(*[0.01] * 130, gives=3), "b": standing(*[0.01] * 70)}))
    assert [target for _, _, target in first] == ["b"] * 3
    on = list(balance.even_out({"a": standing(*[0.01] * 115), "b": standing(*[0.01] * 85)}))
    assert len(on) == 5
    assert list(balance.even_out({"a": standing(*[0.01] * 109), "b": standing(*[0.01] * 91)})) == []


def test_a_stream_is_not_moved_to_where_it_would_be_too_much() -> None:
    assert list(Balance(0.1).even_out({"a": standing(1.0), "b": standing()})) == []
    assert list(Balance(0.1).even_out({"a": standing(1.0, 0.9), "b": standing()})) == [("s 1", "a", "b")]


def test_no_worker_gives_or_takes_more_than_it_may_now() -> None:
    workers = {"a": standing(*[0.1] * 20, gives=3), "b": standing(takes=2), "c": standing(takes=0)}
    assert [target for _, _, target in Balance(0.1).even_out(workers)] == ["b", "b"]


def test_an_empty_worker_is_filled_from_those_that_carry_most() -> None:
    workers = {
        "a": standing(*[0.1] * 12, name="a"),
        "b": standing(*[0.1] * 10, name="b"),
        "c": standing(takes=2),
    }
    assert [source for _, source, _ in Balance(0.9).even_out(workers)] == ["a", "a"]


def test_one_that_has_nothing_to_give_does_not_hold_the_others_up() -> None:
    whole = {"a": standing(5.0, name="a"), "b": standing(0.2, 0.2, 0.2, name="b"), "c": standing()}
    assert {source for _, source, _ in Balance(0.1).even_out(whole)} == {"b"}


def test_without_load_there_is_nothing_to_even_out() -> None:
    assert list(Balance(0.1).even_out({"a": standing(), "b": standing()})) == []
