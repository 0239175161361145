from collections import Counter

import pytest

from benchmarks.fleet.fleet_rivals import Decider, EvenAtOnce, HashModulo


def settle(decider: Decider) -> int:
    """Makes all moves at once; returns how many."""
    moves = decider.plan(0)
    for move in moves:
        decider.done(move, 0)
    assert decider.plan(0) == []
    return len(moves)


def made(kind: type[HashModulo | EvenAtOnce], streams: int = 100, workers: str = "abcde") -> Decider:
    decider = kind()
    for n in range(streams):
        decider.add_stream(f"camera {n}")
    for name in workers:
        decider.worker_up(name, 1.0, {}, 0)
    assert settle(decider) == streams
    return decider


def counts(decider: Decider) -> Counter[str]:
    return Counter(owner.worker for owner in decider.owners.values())


def test_even_at_once_moves_as_few_as_make_the_counts_even() -> None:
    decider = made(EvenAtOnce)
    assert set(counts(decider).values()) == {20}
    decider.worker_down("a", 0)
    assert settle(decider) == 20
    assert set(counts(decider).values()) == {25}
    decider.worker_up("a", 1.0, {}, 0)
    assert settle(decider) == 20
    assert set(counts(decider).values()) == {20}
    decider.drain("b")
    assert settle(decider) == 20
    assert "b" not in counts(decider)


def test_hash_modulo_moves_most() -> None:
    decider = made(HashModulo)
    decider.drain("e")
    assert settle(decider) >= 60
    decider.undrain("e")
    assert settle(decider) >= 60


@pytest.mark.parametrize("kind", [HashModulo, EvenAtOnce])
def test_a_rival_counts_generations_and_finds_who_is_stale(kind: type[HashModulo | EvenAtOnce]) -> None:
    decider = made(kind, streams=1, workers="a")
    decider.worker_down("a", 0)
    decider.worker_up("b", 1.0, {}, 0)
    (move,) = decider.plan(0)
    assert (move.source, move.target, move.generation) == (None, "b", 1)
    decider.done(move, 0)
    decider.worker_up("a", 1.0, {"camera 0": 0}, 0)
    assert decider.stale == [("a", "camera 0", 0)]
    decider.released("a", "camera 0")
    assert decider.stale == []
