"""Places streams on workers: rendezvous hashing with bounded loads.

Everybody who knows the same streams and workers finds the same places. Hashing alone would give one worker
half as much again as another; the bound shares them evenly.

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
    carried: Mapping[str, float] = MappingProxyType({}),
    spare: float = 0.0,
) -> dict[StreamId, str]:
    """A worker for each stream.

    Args:
        loads: What each stream that needs a place costs, in any unit; positive.
        capacities: What each worker can carry compared with the others; positive.
        carried: What workers carry already, in the unit of ``loads``; that stays where it is.
        spare: How much more than its fair share a worker may be given, as a part of that share: with some,
            more streams go where hashing wants them.

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
    given = {worker: carried.get(worker, 0.0) for worker in capacities}
    fair = (sum(loads.values()) + sum(given.values())) / sum(capacities.values())
    most = {worker: (1 + spare) * fair * capacity * (1 + _EVEN) for worker, capacity in capacities.items()}
    share = {worker: fair * capacity * (1 - _EVEN) for worker, capacity in capacities.items()}
    placed: dict[StreamId, str] = {}
    # Large ones first: small ones fill what is left.
    for stream in sorted(loads, key=lambda one: (-loads[one], one)):
        load = loads[stream]
        # A share that no sum of whole streams meets is rounded up to the next stream.
        free = [one for one in capacities if given[one] + load <= most[one] or given[one] < share[one]]
        if not free:  # only by rounding
            free = [min(capacities, key=lambda one: (given[one] / capacities[one], one))]
        scores = ((-_score(stream, worker, capacities[worker]), worker) for worker in free)
        placed[stream] = min(scores)[1]
        given[placed[stream]] += load
    return {stream: placed[stream] for stream in loads}


def _score(stream: StreamId, worker: str, capacity: float) -> float:
    """How well a worker suits a stream: at random, but the same for everybody; more for larger workers."""
    drawn = int.from_bytes(blake2b(f"{worker}\0{stream}".encode(), digest_size=8).digest())
    return -capacity / math.log((drawn + 1) / (2**64 + 2))
