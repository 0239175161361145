"""Which worker each stream goes to: rendezvous hashing with a bound on each worker's load.

Everybody who knows the same streams and workers finds the same places, and a worker that comes or goes moves
few streams. Hashing alone would give one worker half as much again as another; the bound shares them evenly.

Source: D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", 1998; the bound after
V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2018.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType

from pipeline.base.text import StreamId

_EVEN = 1e-9
"""Share of a load that sums of the same loads may differ by."""


def place(
    loads: Mapping[StreamId, float],
    capacities: Mapping[str, float],
    present: Mapping[StreamId, str] = MappingProxyType({}),
    spare: float = 0.0,
) -> dict[StreamId, str]:
    """A worker for each stream.

    Args:
        loads: What each stream costs, in any unit; positive.
        capacities: What each worker can carry compared with the others; positive.
        present: Where streams are now. They stay if their worker is there and has room.
        spare: How much more than its fair share a worker may be given, as a part of that share: with some,
            fewer streams move when workers come and go.

    Returns:
        The worker of each stream, in the order of ``loads``; empty if there is no worker.

    Raises:
        ValueError: A load or a capacity is not a positive number.
    """
    for name, value in [*loads.items(), *capacities.items()]:
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: {value} is not a positive number")
    if not capacities:
        return {}
    fair = sum(loads.values()) / sum(capacities.values())
    given = dict.fromkeys(capacities, 0.0)
    placed: dict[StreamId, str] = {}

    def has_room(worker: str, load: float) -> bool:
        # A share that no sum of whole streams meets is rounded up to the next stream.
        room = (1 + spare) * fair * capacities[worker] * (1 + _EVEN)
        return given[worker] + load <= room or given[worker] < fair * capacities[worker] * (1 - _EVEN)

    def give(stream: StreamId, worker: str) -> None:
        placed[stream] = worker
        given[worker] += loads[stream]

    # Large ones first: small ones fill what is left. Of those that are there, the ones that suit best stay.
    staying = [stream for stream in loads if present.get(stream) in capacities]
    for stream in sorted(staying, key=lambda one: (-loads[one], -_score(one, present[one], 1.0), one)):
        if has_room(present[stream], loads[stream]):
            give(stream, present[stream])
    for stream in sorted(loads.keys() - placed.keys(), key=lambda one: (-loads[one], one)):
        wanted = sorted(capacities, key=lambda worker: (-_score(stream, worker, capacities[worker]), worker))
        free = (worker for worker in wanted if has_room(worker, loads[stream]))
        emptiest = min(wanted, key=lambda worker: given[worker] / capacities[worker])
        give(stream, next(free, emptiest))
    return {stream: placed[stream] for stream in loads}


def _score(stream: StreamId, worker: str, capacity: float) -> float:
    """How well a worker suits a stream: at random, but the same for everybody; more for larger workers."""
    drawn = int.from_bytes(blake2b(f"{worker}\0{stream}".encode(), digest_size=8).digest())
    return -capacity / math.log((drawn + 1) / (2**64 + 2))
