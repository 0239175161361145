import time

import pytest
from hypothesis import settings

from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.fleet_table import FleetTable, Move
from pipeline.flow.worker_load import StreamLoad, WorkerLoad
from tests.flow.fleet_events import Fleets
from tests.flow.fleet_world import CAMERAS, WORKERS, S, World


def fleet(*workers: str, streams: list[str] = CAMERAS, **policy: object) -> World:
    """All streams placed, and quiet."""
    world = World(FleetPolicy(**policy))  # type: ignore[arg-type]
    world.up(*workers or WORKERS)
    world.streams(*streams)
    world.steps(70)
    return world


def test_new_streams_are_shared_and_begin_with_generation_0() -> None:
    world = fleet()
    assert max(world.counts().values()) <= 32 / 4 * 1.15 + 1
    assert {owner.generation for owner in world.table.owners.values()} == {0}
    assert {owner.why for owner in world.table.owners.values()} == {"new stream"}
    assert world.table.unplaced == []
    assert world.steps(100) == []


def test_streams_of_a_dead_worker_go_to_the_others_at_once_and_the_rest_stays() -> None:
    world = fleet()
    before = dict(world.table.owners)
    lost = {name for name, owner in before.items() if owner.worker == "b"}
    world.down("b")
    moves = [move for move in world.plan() if move.source is None]
    assert {move.stream_id for move in moves} == lost == set(world.table.unplaced)
    assert {(move.source, move.generation, move.why) for move in moves} == {(None, 1, "b is down")}
    for move in moves:
        world.make(move)
    assert max(world.counts().values()) <= 32 / 3 * 1.15 + 1
    kept = {name: owner for name, owner in world.table.owners.items() if name not in lost}
    assert kept == {name: owner for name, owner in before.items() if name not in lost}


def test_a_worker_that_comes_back_is_filled_slowly_and_within_a_minute() -> None:
    world = fleet()
    world.down("b")
    world.step()
    world.up("b")
    assert world.steps(10) == []
    moves, began_ns = list[Move](), world.now_ns
    while world.now_ns < began_ns + 50 * S:
        made = world.step()
        assert len(made) <= 2
        moves += made
    assert {move.target for move in moves} == {"b"}
    assert len({move.stream_id for move in moves}) == len(moves)
    assert all(8 * 0.85 - 1 <= count <= 8 * 1.15 + 1 for count in world.counts().values())
    assert "balance" in moves[0].why
    assert world.steps(200) == []


def test_a_worker_that_keeps_falling_waits_longer_each_time() -> None:
    world = fleet()
    waits = []
    for _ in range(3):
        world.down("b")
        world.step()
        world.up("b")
        up_ns = world.now_ns
        while not world.plan():
            world.now_ns += S
        waits.append((world.now_ns - up_ns) // S)
        world.step()
    assert waits == [10, 20, 40]
    world.steps(500)
    world.down("b")
    world.step()
    world.up("b")
    assert world.steps(10) == []
    assert world.steps(1) != []


def test_without_a_steady_worker_the_others_are_used() -> None:
    world = World()
    world.up("a")
    world.streams("gate")
    assert [move.target for move in world.plan()] == ["a"]


def test_a_drained_worker_is_emptied_a_few_at_a_time_and_given_nothing() -> None:
    world = fleet()
    world.table.drain("c")
    moves = []
    while world.counts()["c"]:
        made = world.step()
        assert 0 < len([move for move in made if move.source == "c"]) <= 2
        moves += made
    assert {move.why for move in moves if move.source == "c"} == {"c is drained"}
    world.streams("another")
    world.down("d")
    world.steps(200)
    assert set(world.counts()) == {"a", "b"}
    world.table.undrain("c")
    world.steps(60)
    assert world.counts()["c"] >= 9


def test_the_last_worker_keeps_its_streams_while_it_is_drained() -> None:
    world = fleet("a")
    world.table.drain("a")
    assert world.steps(100) == []
    assert world.counts() == {"a": 32}


def test_a_stream_that_was_moved_is_left_alone_for_a_minute() -> None:
    world = fleet("a", "b", streams=["gate"], moves_at_once=10)
    first = world.table.owners["gate"].worker
    other = "b" if first == "a" else "a"
    world.table.drain(first)
    assert [move.target for move in world.step()] == [other]
    world.table.drain(other)
    world.table.undrain(first)
    assert world.steps(59) == []
    assert [move.target for move in world.steps(1)] == [first]


def test_a_move_that_failed_is_tried_elsewhere_with_a_higher_generation() -> None:
    world = fleet()
    world.down("a")
    move = world.plan()[0]
    world.table.failed(move, "no memory", world.now_ns)
    assert (move.target, move.stream_id, move.generation) in world.table.stale
    (again,) = (one for one in world.plan() if one.stream_id == move.stream_id)
    assert again.target != move.target
    assert again.generation == 2
    assert again.why == f"its move to {move.target} failed: no memory"


def test_a_planned_move_that_failed_leaves_the_stream_where_it_was_if_that_is_sure() -> None:
    world = fleet("a", "b", streams=["gate"])
    owner = world.table.owners["gate"]
    world.table.drain(owner.worker)
    (move,) = world.plan()
    world.table.failed(move, "refused", world.now_ns, kept=True)
    assert world.table.owners["gate"] == owner
    assert world.table.stale == []
    (again,) = world.plan()
    world.table.failed(again, "no answer", world.now_ns)
    assert world.table.unplaced == ["gate"]
    assert again.generation == move.generation + 1


def test_a_target_that_dies_meanwhile_does_not_own_the_stream() -> None:
    world = fleet()
    world.down("a")
    move = world.plan()[0]
    world.down(move.target)
    world.table.done(move, world.now_ns)
    assert move.stream_id in world.table.unplaced
    assert move.stream_id in {one.stream_id for one in world.plan()}


def test_a_worker_that_was_cut_off_has_to_let_go_what_others_have_now() -> None:
    world = fleet()
    had = dict(world.believed["a"])
    world.cut("a")
    world.steps(3)
    world.up("a")
    assert world.table.stale == sorted(("a", name, generation) for name, generation in had.items())
    assert "a" not in world.counts()
    world.clean()
    assert world.table.stale == []
    assert world.believed["a"] == {}


def test_a_worker_that_is_back_before_its_streams_were_placed_keeps_them() -> None:
    world = fleet()
    owners = {name: owner.worker for name, owner in world.table.owners.items()}
    world.cut("a")
    world.up("a")
    assert world.plan() == []
    assert {name: owner.worker for name, owner in world.table.owners.items()} == owners


def test_a_worker_that_restarted_unnoticed_has_lost_its_streams() -> None:
    world = fleet()
    lost = set(world.believed["a"])
    world.believed["a"].clear()
    world.up("a")
    moves = world.plan()
    assert {move.stream_id for move in moves} == lost
    assert {move.why for move in moves} == {"lost by a"}
    assert "a" not in {move.target for move in moves}


def test_a_coordinator_that_restarts_finds_its_table() -> None:
    world = fleet()
    world.down("d")
    world.steps(5)
    before = {name: (owner.worker, owner.generation) for name, owner in world.table.owners.items()}
    world.restart(CAMERAS)
    assert {name: (owner.worker, owner.generation) for name, owner in world.table.owners.items()} == before
    assert world.steps(100) == []


def test_of_two_that_claim_a_stream_the_higher_generation_is_right() -> None:
    for first, second in (("old", "new"), ("new", "old")):
        table = FleetTable(FleetPolicy())
        table.add_stream("gate")
        for name in (first, second):
            table.worker_up(name, 1.0, {"gate": 7 if name == "new" else 6}, 0)
        assert table.owners["gate"].worker == "new"
        assert table.stale == [("old", "gate", 6)]


def test_a_coordinator_that_restarts_without_one_of_the_workers_goes_beyond_its_generation() -> None:
    world = fleet()
    cut = [name for name, owner in world.table.owners.items() if owner.worker == "a"]
    world.cut("a")
    world.restart(CAMERAS)
    moves = world.plan()
    assert {move.stream_id for move in moves} == set(cut)
    assert {move.generation for move in moves} == {1}


def test_what_was_kept_tells_a_new_coordinator_whom_to_believe() -> None:
    world = fleet("a", "b", streams=["gate", "yard"])
    owner = world.table.owners["gate"].worker
    other = "b" if owner == "a" else "a"
    world.cut(owner)
    [move] = [one for one in world.plan() if one.stream_id == "gate"]
    assert world.table.generations["gate"] == (1, 1), "its former owner is not believed any more"
    world.make(move)
    kept = dict(world.table.generations)
    world.cut(other)
    world.cut_off.discard(owner)
    world.restart_from(kept)
    assert (owner, "gate", 0) in world.table.stale
    [again] = [one for one in world.plan() if one.stream_id == "gate"]
    assert (again.source, again.target, again.generation) == (None, owner, 2)


def test_a_coordinator_that_dies_in_the_middle_of_a_planned_move_leaves_the_stream_with_its_owner() -> None:
    world = fleet("a", "b", streams=["gate"], steady_s=0.0)
    owner = world.table.owners["gate"].worker
    world.table.drain(owner)
    [move] = world.plan()
    assert move.source == owner
    kept = dict(world.table.generations)
    assert kept == {"gate": (0, 1)}
    world.restart_from(kept)
    assert (world.table.owners["gate"].worker, world.table.owners["gate"].generation) == (owner, 0)
    assert world.table.stale == []
    world.steps(70)
    world.table.drain(owner)
    [again] = world.plan()
    assert again.generation == 2, "the one that was given out is not given out again"


def test_a_move_that_was_made_before_its_coordinator_died_is_found() -> None:
    world = fleet("a", "b", streams=["gate"], steady_s=0.0)
    owner = world.table.owners["gate"].worker
    world.table.drain(owner)
    [move] = world.plan()
    kept = dict(world.table.generations)
    world.make(move)
    world.restart_from(kept)
    assert (world.table.owners["gate"].worker, world.table.owners["gate"].generation) == (move.target, 1)


def test_generations_are_kept_of_streams_that_were_removed() -> None:
    world = fleet("a", streams=["gate", "yard"])
    world.table.add_stream("new")
    world.table.remove_stream("gate")
    assert world.table.generations == {"gate": (0, 0), "yard": (0, 0)}
    world.believed["a"].pop("gate")
    world.restart_from({"yard": (0, 0)})
    world.table.note_generation("gate", 0)
    world.table.add_stream("gate")
    [move] = world.plan()
    assert (move.stream_id, move.generation) == ("gate", 1)


def test_a_stream_that_is_added_again_goes_on_counting() -> None:
    world = fleet("a", "b", streams=["gate"])
    owner = world.table.remove_stream("gate")
    assert owner is not None
    assert world.table.remove_stream("gate") is None
    world.up(owner.worker)
    assert world.table.stale == [(owner.worker, "gate", 0)]
    world.streams("gate")
    assert [move.generation for move in world.plan()] == [1]


def test_a_move_of_a_stream_that_was_removed_meanwhile_is_to_be_undone() -> None:
    world = World()
    world.up("a")
    world.streams("gate")
    (move,) = world.plan()
    world.table.remove_stream("gate")
    world.table.done(move, 0)
    assert world.table.owners == {}
    assert world.table.stale == [("a", "gate", 0)]


def test_heavy_streams_count_by_what_they_were_measured_at() -> None:
    world = fleet("a", "b", streams=[f"camera {n}" for n in range(16)])
    heavy = sorted(world.believed["a"])
    for _ in range(30):
        for name in ("a", "b"):
            works = {stream: 0.09 if stream in heavy else 0.03 for stream in world.believed[name]}
            world.report(name, works)
        world.steps(5)
    loads = [sum(0.09 if stream in heavy else 0.03 for stream in world.believed[name]) for name in "ab"]
    assert max(loads) <= 1.15 * sum(loads) / 2 + 0.03


def test_dropped_frames_count_as_work_that_was_not_done() -> None:
    world = fleet("a", "b", streams=[f"camera {n}" for n in range(16)])
    for _ in range(20):
        for name in ("a", "b"):
            count = len(world.believed[name])
            world.report(name, dict.fromkeys(world.believed[name], 1 / count), 10.0, 20.0 * (name == "a"))
        world.steps(1)
    assert {(move.source, move.target) for move in world.steps(10)} <= {("a", "b")}
    assert world.counts()["a"] < world.counts()["b"]


def test_a_worker_with_too_much_to_do_is_given_no_more() -> None:
    world = fleet("a", "b", "c", streams=[f"camera {n}" for n in range(12)])
    for _ in range(10):
        world.table.measured("a", WorkerLoad("a", 1.0, {}))
    world.table.drain("b")
    moves = world.steps(30)
    assert len(moves) >= 4
    assert {move.target for move in moves} == {"c"}


def test_small_changes_of_the_load_move_nothing() -> None:
    world = fleet()
    for turn in range(100):
        for name in WORKERS:
            shares = {stream: 0.05 + 0.01 * ((turn + n) % 3) for n, stream in enumerate(world.believed[name])}
            world.report(name, shares)
        assert world.step() == []


def test_a_larger_worker_carries_more() -> None:
    world = World()
    world.up("large", capacity=3.0)
    world.up("small")
    world.streams(*CAMERAS)
    world.steps(5)
    assert 23 <= world.counts()["large"] <= 26


@pytest.mark.parametrize("capacity", [0.0, -1.0])
def test_a_capacity_is_positive(capacity: float) -> None:
    with pytest.raises(ValueError, match="a: capacity"):
        FleetTable(FleetPolicy()).worker_up("a", capacity, {}, 0)


def test_the_failure_of_a_node_of_a_large_fleet_is_planned_by_scoring_its_streams_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.flow import placement

    table, share = FleetTable(FleetPolicy()), 50
    for n in range(10_000):
        table.add_stream(f"camera {n}")
    for n in range(200):
        owned = {f"camera {k}": 0 for k in range(n * share, (n + 1) * share)}
        table.worker_up(f"worker {n}", 1.0, owned, 0)
    for n in range(4):
        table.worker_down(f"worker {n}", 10 * S)
    scored, score = 0, placement._score

    def counting(*of: object) -> float:
        nonlocal scored
        scored += 1
        return score(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(placement, "_score", counting)
    began = time.process_time()
    moves = table.plan(10 * S)
    print(f"planned in {time.process_time() - began:.3f} s")
    assert len(moves) == 200
    assert scored <= 200 * 196


TestFleets = Fleets.TestCase
TestFleets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_report_of_a_stream_that_moved_on_changes_nothing() -> None:
    world = fleet("a", "b", streams=["gate"])
    owner = world.table.owners["gate"]
    other = "b" if owner.worker == "a" else "a"
    load = WorkerLoad(other, 0.1, {"gate": StreamLoad(0, 10.0, 5.0)})
    world.table.measured(other, load)
    world.table.measured("nobody", load)
    assert world.steps(100) == []
