"""Two simpler placement policies for comparison with ``FleetTable``."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol

from pipeline.flow.fleet_table import Move, Owner
from pipeline.flow.worker_load import WorkerLoad


class Decider(Protocol):
    """The methods of ``FleetTable`` that the simulation uses."""

    @property
    def owners(self) -> Mapping[str, Owner]: ...
    @property
    def stale(self) -> list[tuple[str, str, int]]: ...
    def add_stream(self, stream_id: str, *, last_generation: int = -1) -> None: ...
    def remove_stream(self, stream_id: str) -> Owner | None: ...
    def worker_up(self, name: str, capacity: float, owned: Mapping[str, int], now_ns: int) -> None: ...
    def worker_down(self, name: str, now_ns: int) -> None: ...
    def drain(self, name: str) -> None: ...
    def undrain(self, name: str) -> None: ...
    def measured(self, name: str, load: WorkerLoad) -> None: ...
    def plan(self, now_ns: int) -> list[Move]: ...
    def done(self, move: Move, now_ns: int) -> None: ...
    def failed(self, move: Move, why: str, now_ns: int, *, kept: bool = False) -> None: ...
    def released(self, worker: str, stream_id: str) -> None: ...


class _AtOnce:
    """A policy with a target worker for each stream, which moves all misplaced streams at once."""

    def __init__(self) -> None:
        self.owners: dict[str, Owner] = {}
        self._last: dict[str, int] = {}
        self._moving: dict[str, Move] = {}
        self._workers: set[str] = set()
        self._draining: set[str] = set()
        self._stale: dict[tuple[str, str], int] = {}
        self._places: dict[str, str] | None = None

    @property
    def stale(self) -> list[tuple[str, str, int]]:
        return [(*key, generation) for key, generation in self._stale.items()]

    def add_stream(self, stream_id: str, *, last_generation: int = -1) -> None:
        self._last[stream_id] = max(last_generation, self._last.get(stream_id, -1))
        self._places = None

    def remove_stream(self, stream_id: str) -> Owner | None:
        self._last.pop(stream_id)
        self._moving.pop(stream_id, None)
        self._places = None
        return self.owners.pop(stream_id, None)

    def worker_up(self, name: str, capacity: float, owned: Mapping[str, int], now_ns: int) -> None:
        self._workers.add(name)
        self._places = None
        for stream_id, generation in owned.items():
            if generation < self._last.get(stream_id, 1 << 60):
                self._stale[name, stream_id] = generation
            else:
                self._last[stream_id] = generation
                self.owners[stream_id] = Owner(name, generation, now_ns, "")

    def worker_down(self, name: str, now_ns: int) -> None:
        self._workers.discard(name)
        self._stale = {key: value for key, value in self._stale.items() if key[0] != name}
        self._places = None
        self.owners = {key: owner for key, owner in self.owners.items() if owner.worker != name}

    def drain(self, name: str) -> None:
        self._draining.add(name)
        self._places = None

    def undrain(self, name: str) -> None:
        self._draining.discard(name)
        self._places = None

    def measured(self, name: str, load: WorkerLoad) -> None:
        """Does nothing: these policies ignore loads."""

    def plan(self, now_ns: int) -> list[Move]:
        names = sorted(self._workers - self._draining)
        if not names:
            return []
        if self._places is None:
            self._places = self._find_places(names)
        elsewhere = [
            (stream_id, place)
            for stream_id, place in self._places.items()
            if stream_id not in self._moving
            and (stream_id not in self.owners or self.owners[stream_id].worker != place)
        ]
        moves = []
        for stream_id, place in elsewhere:
            owner = self.owners.get(stream_id)
            self._last[stream_id] += 1
            move = Move(stream_id, owner.worker if owner else None, place, self._last[stream_id], "")
            self._moving[stream_id] = move
            moves.append(move)
        return moves

    def done(self, move: Move, now_ns: int) -> None:
        if self._moving.get(move.stream_id) != move:
            self._stale[move.target, move.stream_id] = move.generation
            return
        del self._moving[move.stream_id]
        if move.target in self._workers:
            self.owners[move.stream_id] = Owner(move.target, move.generation, now_ns, "")

    def failed(self, move: Move, why: str, now_ns: int, *, kept: bool = False) -> None:
        if self._moving.get(move.stream_id) == move:
            del self._moving[move.stream_id]
            if not kept:
                self.owners.pop(move.stream_id, None)

    def released(self, worker: str, stream_id: str) -> None:
        self._stale.pop((worker, stream_id), None)

    def _find_places(self, workers: list[str]) -> dict[str, str]:
        raise NotImplementedError


class HashModulo(_AtOnce):
    """The hash of a stream's name modulo the number of workers."""

    def _find_places(self, workers: list[str]) -> dict[str, str]:
        return {stream_id: workers[_hash(stream_id) % len(workers)] for stream_id in self._last}


class EvenAtOnce(_AtOnce):
    """Equal stream counts with the fewest moves, all made at once when a worker joins or leaves."""

    def _find_places(self, workers: list[str]) -> dict[str, str]:
        share, more = divmod(len(self._last), len(workers))
        held: dict[str, list[str]] = {worker: [] for worker in workers}
        homeless = []
        for stream_id in self._last:
            owner = self.owners.get(stream_id)
            if owner is not None and owner.worker in held:
                held[owner.worker].append(stream_id)
            else:
                homeless.append(stream_id)
        by_count = sorted(workers, key=lambda worker: (-len(held[worker]), worker))
        room = {worker: share + (n < more) for n, worker in enumerate(by_count)}
        places: dict[str, str] = {}
        for worker, streams in held.items():
            places |= dict.fromkeys(streams[: room[worker]], worker)
            homeless += streams[room[worker] :]
        free = (worker for worker in workers for _ in range(room[worker] - len(held[worker])))
        return places | dict(zip(homeless, free, strict=True))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
