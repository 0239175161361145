"""A fleet to test the table with: its workers own what they were told; they die, are cut off, come back."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.fleet_table import FleetTable, Move
from pipeline.flow.worker_load import StreamLoad, WorkerLoad

S = 1_000_000_000
CAMERAS = [f"camera {n}" for n in range(32)]
WORKERS = ["a", "b", "c", "d"]


@dataclass
class World:
    """The workers as they are, beside the table that decides on them.

    Attributes:
        table: The table.
        policy: Of the table.
        now_ns: The time.
        believed: What each living worker believes it owns, with the generation.
        seen: The highest generation of each stream that answered, as readers know it.
        moved_ns: When each stream was moved last.
        pending: Moves that were begun.
        cut_off: Workers that live and can't be reached.
    """

    policy: FleetPolicy = field(default_factory=FleetPolicy)
    table: FleetTable = field(init=False)
    now_ns: int = 0
    believed: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    moved_ns: dict[str, int] = field(default_factory=dict)
    pending: list[Move] = field(default_factory=list)
    cut_off: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.table = FleetTable(self.policy)

    def up(self, *names: str, capacity: float = 1.0) -> None:
        for name in names:
            self.cut_off.discard(name)
            owned = self.believed.setdefault(name, {})
            self.table.worker_up(name, capacity, owned, self.now_ns)

    def down(self, name: str) -> None:
        """It dies, and what it knew with it."""
        self.believed.pop(name, None)
        self.cut_off.discard(name)
        self.table.worker_down(name, self.now_ns)

    def cut(self, name: str) -> None:
        """It can't be reached, and goes on with what it has."""
        self.cut_off.add(name)
        self.table.worker_down(name, self.now_ns)

    def streams(self, *names: str) -> None:
        for name in names:
            self.table.add_stream(name)

    def restart(self, streams: list[str], capacity: float = 1.0) -> None:
        """The coordinator is another one, which asks all that it can reach."""
        self.table, self.pending = FleetTable(self.policy), []
        for name in streams:
            self.table.add_stream(name, last_generation=self.seen.get(name, -1))
        for name in self.believed.keys() - self.cut_off:
            self.table.worker_up(name, capacity, self.believed[name], self.now_ns)

    def restart_from(self, kept: dict[str, tuple[int, int]]) -> None:
        """The same with what the one before has kept, told as the coordinator of a fleet does."""
        self.table, self.pending = FleetTable(self.policy), []
        for name, (owned, _) in kept.items():
            self.table.note_generation(name, owned)
        for name in kept:
            self.table.add_stream(name)
        for name in sorted(self.believed.keys() - self.cut_off):
            self.table.worker_up(name, 1.0, self.believed[name], self.now_ns)
        for name, (_, last) in kept.items():
            self.table.note_generation(name, last)

    def plan(self) -> list[Move]:
        moves = self.table.plan(self.now_ns)
        for move in moves:
            self.check(move)
        self.pending += moves
        return moves

    def check(self, move: Move) -> None:
        """What holds of each move, whatever has happened."""
        assert move.generation > self.seen.get(move.stream_id, -1), move
        assert move.why
        assert move.target not in self.table.draining, move
        assert move.target in self.believed.keys() - self.cut_off, move
        assert [one.stream_id for one in self.table.moving].count(move.stream_id) == 1
        if move.source is not None:
            assert self.table.owners[move.stream_id].worker == move.source != move.target
            last_ns = self.moved_ns.get(move.stream_id)
            assert last_ns is None or self.now_ns - last_ns >= self.policy.settle_s * S, move

    def make(self, move: Move) -> None:
        """The move is made, unless its target can't be reached."""
        self.pending.remove(move)
        if move.source is not None:
            owner = self.believed.get(move.source, {})
            if move.source in self.cut_off or move.stream_id not in owner:
                self.table.failed(move, "the source does not answer", self.now_ns)
                return
            del owner[move.stream_id]
        if move.target not in self.believed or move.target in self.cut_off:
            self.table.failed(move, "it does not answer", self.now_ns)
            return
        self.believed[move.target][move.stream_id] = move.generation
        self.seen[move.stream_id] = move.generation
        if move.generation > 0:
            self.moved_ns[move.stream_id] = self.now_ns
        self.table.done(move, self.now_ns)

    def clean(self) -> None:
        """Workers let go what they no longer own."""
        for worker, stream_id, generation in self.table.stale:
            if self.believed[worker].get(stream_id) == generation:
                del self.believed[worker][stream_id]
            self.table.released(worker, stream_id)

    def step(self, seconds: float = 1.0) -> list[Move]:
        """Plans, makes all moves, and lets the time pass."""
        moves = self.plan()
        for move in list(self.pending):
            self.make(move)
        self.clean()
        self.now_ns += round(seconds * S)
        return moves

    def steps(self, count: int) -> list[Move]:
        return [move for _ in range(count) for move in self.step()]

    def report(
        self, name: str, works: dict[str, float], fps: float = 10.0, dropped_per_s: float = 0.0
    ) -> None:
        """A worker says what its streams cost."""
        streams = {
            stream_id: StreamLoad(self.believed[name][stream_id], fps, work, dropped_per_s, 50.0)
            for stream_id, work in works.items()
        }
        self.table.measured(name, WorkerLoad(name, min(sum(works.values()), 1.0), streams))

    def counts(self) -> Counter[str]:
        """How many streams each worker has."""
        return Counter(owner.worker for owner in self.table.owners.values())
