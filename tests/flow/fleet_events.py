"""Anything may happen to a fleet, in any order: what must hold all the time, and once it is quiet again."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.flow.fleet_policy import FleetPolicy
from tests.flow.fleet_world import CAMERAS, WORKERS, S, World


class Fleets(RuleBasedStateMachine):
    """``World.check`` looks at each move."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(FleetPolicy(settle_s=20.0, steady_s=3.0))
        self.streams: list[str] = []

    @rule(name=st.sampled_from(CAMERAS[:12]))
    def add(self, name: str) -> None:
        if name not in self.streams:
            self.streams.append(name)
            self.world.streams(name)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.streams))
        self.streams.remove(name)
        owner = self.world.table.remove_stream(name)
        if owner and name in self.world.believed.get(owner.worker, {}):
            del self.world.believed[owner.worker][name]

    @rule(name=st.sampled_from(WORKERS), capacity=st.sampled_from([1.0, 2.0]))
    def up(self, name: str, capacity: float) -> None:
        self.world.up(name, capacity=capacity)

    @rule(name=st.sampled_from(WORKERS))
    def down(self, name: str) -> None:
        self.world.down(name)

    @rule(name=st.sampled_from(WORKERS))
    def restart_unnoticed(self, name: str) -> None:
        if name in self.world.believed:
            self.world.believed[name].clear()
            self.world.up(name)

    @rule(name=st.sampled_from(WORKERS))
    def cut(self, name: str) -> None:
        if name in self.world.believed:
            self.world.cut(name)

    @rule(name=st.sampled_from(WORKERS))
    def drain(self, name: str) -> None:
        self.world.table.drain(name)

    @rule(name=st.sampled_from(WORKERS))
    def undrain(self, name: str) -> None:
        self.world.table.undrain(name)

    @rule(name=st.sampled_from(WORKERS), work=st.floats(0.0, 0.5), dropped=st.floats(0.0, 30.0))
    def measure(self, name: str, work: float, dropped: float) -> None:
        if name in self.world.believed:
            self.world.report(name, dict.fromkeys(self.world.believed[name], work), 10.0, dropped)

    @rule()
    def plan(self) -> None:
        self.world.plan()

    @rule(data=st.data(), outcome=st.sampled_from(["made", "made", "kept", "lost"]))
    def end_a_move(self, data: st.DataObject, outcome: str) -> None:
        if not self.world.pending:
            return
        move = data.draw(st.sampled_from(self.world.pending))
        if outcome == "made":
            self.world.make(move)
            return
        self.world.pending.remove(move)
        kept = outcome == "kept" and move.stream_id in self.world.believed.get(move.source or "", {})
        if not kept and move.source in self.world.believed:
            self.world.believed[move.source].pop(move.stream_id, None)
        self.world.table.failed(move, "it was refused", self.world.now_ns, kept=kept)

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.world.now_ns += seconds * S

    @rule()
    def clean(self) -> None:
        self.world.clean()

    @rule()
    def restart_the_coordinator(self) -> None:
        for move in self.world.pending:  # what it had begun is lost with it
            self.world.believed.get(move.source or "", {}).pop(move.stream_id, None)
        self.world.restart(self.streams)

    @invariant()
    def each_stream_is_known_once(self) -> None:
        owned, unplaced = self.world.table.owners.keys(), self.world.table.unplaced
        assert sorted([*owned, *unplaced]) == sorted(self.streams)

    @invariant()
    def no_generation_answers_twice(self) -> None:
        answers = [(name, g) for owned in self.world.believed.values() for name, g in owned.items()]
        assert len(set(answers)) == len(answers)

    def teardown(self) -> None:
        world = self.world
        for name in sorted(world.cut_off):
            world.up(name)
        world.steps(400)
        assert world.table.moving == []
        open_workers = set(world.believed) - world.table.draining
        if open_workers:
            assert world.table.unplaced == []
            assert world.table.stale == []
            assert world.counts().keys() <= open_workers
            believed = {
                name: (worker, g) for worker, own in world.believed.items() for name, g in own.items()
            }
            owners = {name: (owner.worker, owner.generation) for name, owner in world.table.owners.items()}
            assert believed == owners
            self.check_balance(open_workers)
        assert world.steps(100) == []

    def check_balance(self, open_workers: set[str]) -> None:
        """Each is within the bound, or has no stream that another one could take."""
        standings = self.world.table.standings(self.world.now_ns)
        workers = [standings[name] for name in open_workers]
        if any(one.takes == 0 for one in workers):  # too much to do, by its last report
            return
        fair = sum(one.load for one in workers) / sum(one.capacity for one in workers)
        largest = max((load for one in workers for load in one.movable.values()), default=0.0)
        for one in workers:
            assert abs(one.level - fair) <= max(self.world.policy.spare * fair, 2 * largest) + 1e-9
