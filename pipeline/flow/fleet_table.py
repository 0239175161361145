"""The owner of each stream in a fleet, and the moves that are needed. No I/O and no clock.

Streams of a failed worker are placed elsewhere immediately. All other moves are gradual: a drained worker is
emptied, and a new or returning one is filled, a few streams at a time. A moved stream stays for ``settle_s``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from pipeline.base.text import StreamId
from pipeline.flow.balance import Balance, Standing
from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.placement import place
from pipeline.flow.steadiness import Steadiness
from pipeline.flow.worker_load import Overload, WorkerLoad, smooth

_S = 1_000_000_000
_LEAST = 0.001
"""Load assumed for a stream that sends nothing, because it could start at any time."""


class Owner(msgspec.Struct, frozen=True):
    """The worker that owns a stream.

    Attributes:
        worker: Name of the worker.
        generation: Number of changes of owner, from 0; of two claims the higher generation wins.
        since_ns: Time of the last change.
        why: Human-readable reason.
    """

    worker: str
    generation: int
    since_ns: int
    why: str


class Move(msgspec.Struct, frozen=True):
    """A pending change of owner.

    Attributes:
        stream_id: Stream to move.
        source: Worker that hands it over; None if there is none or it is down.
        target: Worker that becomes its owner.
        generation: Generation of the new owner.
        why: Human-readable reason.
    """

    stream_id: StreamId
    source: str | None
    target: str
    generation: int
    why: str


@dataclass(slots=True)
class _Stream:
    """A stream, its highest assigned generation (``last``), and its load relative to a capacity of 1."""

    last: int = -1
    owner: Owner | None = None
    move: Move | None = None
    load: float | None = None
    moved_ns: int | None = None
    orphaned_by: str = "new stream"

    def belongs_to(self, worker: str, generation: int) -> bool:
        return bool(self.owner and (self.owner.worker, self.owner.generation) == (worker, generation))


@dataclass(slots=True)
class _Worker:
    capacity: float
    overload: Overload


class FleetTable:
    """The table of streams and owners, and the decisions about moves.

    Attributes:
        policy: How streams are placed and moved.
    """

    def __init__(self, policy: FleetPolicy) -> None:
        self.policy = policy
        self._streams: dict[StreamId, _Stream] = {}
        self._retired: dict[StreamId, int] = {}
        self._workers: dict[str, _Worker] = {}
        self._steadiness = Steadiness(policy.steady_s)
        self._draining: set[str] = set()
        self._stale: dict[tuple[str, StreamId], int] = {}
        self._balance = Balance(policy.spare)

    @property
    def owners(self) -> Mapping[StreamId, Owner]:
        """The owner of each stream; during a move, the source."""
        return {name: stream.owner for name, stream in self._streams.items() if stream.owner is not None}

    @property
    def unplaced(self) -> list[StreamId]:
        """Streams without an owner, including those being moved to one."""
        return [name for name, stream in self._streams.items() if stream.owner is None]

    @property
    def moving(self) -> list[Move]:
        """Moves in progress, not yet reported as done or failed."""
        return [stream.move for stream in self._streams.values() if stream.move is not None]

    @property
    def generations(self) -> dict[StreamId, tuple[int, int]]:
        """Current and last assigned generation of each stream that had an owner, including removed ones."""
        known = {name: (last, last) for name, last in self._retired.items()}
        for name, one in self._streams.items():
            known[name] = (one.owner.generation if one.owner else one.last, one.last)
        return {name: pair for name, pair in known.items() if pair[1] >= 0}

    @property
    def draining(self) -> frozenset[str]:
        """Workers that are being emptied and get no streams, whether up or down."""
        return frozenset(self._draining)

    @property
    def stale(self) -> list[tuple[str, StreamId, int]]:
        """Streams that running workers wrongly own: delete them there, then call ``released``."""
        return sorted((worker, name, generation) for (worker, name), generation in self._stale.items())

    def add_stream(self, stream_id: StreamId, *, last_generation: int = -1) -> None:
        """Adds a stream that needs an owner; for a known one, only records the generation.

        Args:
            stream_id: Its name.
            last_generation: Highest generation assigned so far, possibly by an earlier table. Claims with a
                lower one are rejected, and the next owner gets a higher one.
        """
        last = max(last_generation, self._retired.pop(stream_id, -1))
        found = "its worker did not answer" if last >= 0 else "new stream"
        self._streams.setdefault(stream_id, _Stream(orphaned_by=found))
        self.note_generation(stream_id, last)

    def note_generation(self, stream_id: StreamId, last_generation: int) -> None:
        """Records the highest generation so far; an unknown stream continues from it once it is added."""
        if stream := self._streams.get(stream_id):
            stream.last = max(stream.last, last_generation)
        else:
            self._retired[stream_id] = max(last_generation, self._retired.get(stream_id, -1))

    def remove_stream(self, stream_id: StreamId) -> Owner | None:
        """Removes a stream.

        Returns:
            Its owner, which must release it.
        """
        if (stream := self._streams.pop(stream_id, None)) is None:
            return None
        self._retired[stream_id] = stream.last
        return stream.owner

    def worker_up(self, name: str, capacity: float, owned: Mapping[StreamId, int], now_ns: int) -> None:
        """Registers a worker that is up, or up again; call it after ``add_stream`` of all streams.

        Args:
            name: Name of the worker.
            capacity: Relative to the other workers; positive.
            owned: Generation of each stream that it claims to own.
            now_ns: Current time.

        Raises:
            ValueError: The capacity is not positive.
        """
        if not capacity > 0:
            raise ValueError(f"{name}: capacity {capacity} is not positive")
        if name not in self._workers:
            self._workers[name] = _Worker(capacity, Overload(self.policy.limits))
            self._steadiness.up(name, now_ns)
        self._workers[name].capacity = capacity
        self._forget_stale(name)
        for stream_id, generation in owned.items():
            if not self._is_owner(name, stream_id, generation, now_ns):
                self._stale[name, stream_id] = generation
        for stream_id, stream in self._streams.items():
            if stream.owner and stream.owner.worker == name and stream_id not in owned and not stream.move:
                stream.owner, stream.orphaned_by = None, f"lost by {name}"
                self._steadiness.put_off(name, now_ns)

    def worker_down(self, name: str, now_ns: int) -> None:
        """Registers that a worker is down; its streams need new owners.

        Moves from and to it must still be reported with ``done`` or ``failed``.
        """
        if self._workers.pop(name, None) is None:
            return
        self._steadiness.down(name, now_ns)
        self._forget_stale(name)
        for stream in self._streams.values():
            if stream.owner and stream.owner.worker == name and not stream.move:
                stream.owner, stream.orphaned_by = None, f"{name} is down"

    def drain(self, name: str) -> None:
        """Empties a worker and gives it no streams until ``undrain``, even if it restarts."""
        self._draining.add(name)

    def undrain(self, name: str) -> None:
        """Allows a worker to get streams again."""
        self._draining.discard(name)

    def measured(self, name: str, load: WorkerLoad) -> None:
        """Records a worker's load report; entries for streams of other workers are ignored."""
        if (worker := self._workers.get(name)) is None:
            return
        worker.overload.take(load)
        for stream_id, said in load.streams.items():
            stream = self._streams.get(stream_id)
            if stream and stream.belongs_to(name, said.generation):
                demand = max(said.demand() * worker.capacity, _LEAST)
                stream.load = demand if stream.load is None else smooth(stream.load, demand)

    def plan(self, now_ns: int) -> list[Move]:
        """Starts moves; each must be reported with ``done`` or ``failed``."""
        moves = self._place_unplaced(now_ns)
        standings = self.standings(now_ns)
        moves += self._empty_drained(standings)
        rest = {name: one for name, one in standings.items() if name not in self._draining}
        return moves + [
            self._begin(stream_id, source, target, f"to balance {source} and {target}")
            for stream_id, source, target in (self._balance.even_out(rest) if rest else ())
        ]

    def done(self, move: Move, now_ns: int) -> None:
        """Reports that a move succeeded: its target owns the stream."""
        if (stream := self._streams.get(move.stream_id)) is None or stream.move != move:
            if move.target in self._workers:
                self._stale[move.target, move.stream_id] = move.generation
            return
        stream.move = None
        if move.generation > 0:
            stream.moved_ns = now_ns
        if move.target not in self._workers:
            stream.owner, stream.orphaned_by = None, f"{move.target} is down"
            return
        stream.owner = Owner(move.target, move.generation, now_ns, move.why)
        self._stale.pop((move.target, move.stream_id), None)

    def failed(self, move: Move, why: str, now_ns: int, *, kept: bool = False) -> None:
        """Reports that a move failed; it is retried, with another target if possible.

        Args:
            move: The failed move.
            why: Human-readable reason.
            now_ns: Current time.
            kept: Whether it is certain that the source still owns the stream and that the target never did.
        """
        if move.target in self._workers:
            self._steadiness.put_off(move.target, now_ns)
            if not kept:
                self._stale[move.target, move.stream_id] = move.generation
        stream = self._streams.get(move.stream_id)
        if stream is None or stream.move != move:
            return
        stream.move = None
        if not (kept and stream.owner and stream.owner.worker in self._workers):
            stream.owner, stream.orphaned_by = None, f"its move to {move.target} failed: {why}"

    def released(self, worker: str, stream_id: StreamId) -> None:
        """Reports that a worker has released a stream of ``stale``."""
        self._stale.pop((worker, stream_id), None)

    def standings(self, now_ns: int) -> dict[str, Standing]:
        """The load of each running worker; that of an overloaded one is raised by ``spare``."""
        at_once, settle_ns, usual = self.policy.moves_at_once, self.policy.settle_s * _S, self._usual_load()
        standings = {name: Standing(worker.capacity, gives=at_once) for name, worker in self._workers.items()}
        ready = self._ready(now_ns)
        for name in [name for name in ready if not self._workers[name].overload.late] or ready:
            standings[name].takes = at_once
        for stream_id, stream in self._streams.items():
            load = stream.load or usual
            source = stream.owner.worker if stream.owner else None
            if stream.move:
                if stream.move.target in standings:
                    standings[stream.move.target].load += load
                    standings[stream.move.target].takes -= stream.move.source is not None
                if source in standings:
                    standings[source].gives -= 1
            elif source in standings:
                standings[source].load += load
                if stream.moved_ns is None or now_ns - stream.moved_ns >= settle_ns:
                    standings[source].movable[stream_id] = load
        for name, standing in standings.items():
            standing.load *= 1 + self.policy.spare * self._workers[name].overload.late
        return standings

    def _place_unplaced(self, now_ns: int) -> list[Move]:
        waiting = [name for name, stream in self._streams.items() if not stream.owner and not stream.move]
        if not waiting:
            return []
        standings, takers, usual = self.standings(now_ns), self._ready(now_ns), self._usual_load()
        placed = place(
            {name: self._streams[name].load or usual for name in waiting},
            {name: self._workers[name].capacity for name in takers},
            {name: standings[name].load for name in takers},
            self.policy.spare / 2,
        )
        return [self._begin(name, None, to, self._streams[name].orphaned_by) for name, to in placed.items()]

    def _empty_drained(self, standings: Mapping[str, Standing]) -> Iterable[Move]:
        others = {name: one for name, one in standings.items() if name not in self._draining}
        for source in sorted(standings.keys() - others.keys()):
            giver = standings[source]
            for stream_id in list(giver.movable):
                takers = [name for name, one in others.items() if one.takes > 0]
                if not takers or giver.gives <= 0:
                    break
                target = min(takers, key=lambda name: (others[name].level, name))
                giver.hand(stream_id, others[target])
                yield self._begin(stream_id, source, target, f"{source} is drained")

    def _begin(self, stream_id: StreamId, source: str | None, target: str, why: str) -> Move:
        stream = self._streams[stream_id]
        stream.last += 1
        stream.move = Move(stream_id, source, target, stream.last, why)
        return stream.move

    def _is_owner(self, name: str, stream_id: StreamId, generation: int, now_ns: int) -> bool:
        """Processes a claim of ownership; returns whether it is accepted. The higher generation wins."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        if stream.move and (stream.move.target, stream.move.generation) == (name, generation):
            return True
        if stream.belongs_to(name, generation):
            return True
        highest = max(stream.last, stream.owner.generation if stream.owner else -1)
        if generation < highest or (generation == highest and (stream.owner or stream.move)):
            return False
        if stream.owner and stream.owner.worker != name:
            self._stale[stream.owner.worker, stream_id] = stream.owner.generation
        stream.owner, stream.move = Owner(name, generation, now_ns, f"claimed by {name}"), None
        stream.last, stream.moved_ns = generation, now_ns
        return True

    def _forget_stale(self, worker: str) -> None:
        self._stale = {key: generation for key, generation in self._stale.items() if key[0] != worker}

    def _ready(self, now_ns: int) -> list[str]:
        """Workers that may be given streams: the steady ones, or all if there are none."""
        names = [name for name in self._workers if name not in self._draining]
        return [name for name in names if self._steadiness.holds(name, now_ns)] or names

    def _usual_load(self) -> float:
        known = [stream.load for stream in self._streams.values() if stream.load is not None]
        return sum(known) / len(known) if known else 1.0
