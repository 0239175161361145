"""Places streams on workers: rendezvous hashing with bounded loads.

The result depends only on the streams and workers, so every process computes the same placement. Hashing
alone would give some workers 50 % more than others; the bound evens this out.

Source: D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", 1998; bounded loads:
V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2018.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType

from pipeline.base.text import StreamId

_EVEN = 1e-9
"""Relative tolerance for rounding errors in sums of loads."""


def place(
    loads: Mapping[StreamId, float],
    capacities: Mapping[str, float],
    carried: Mapping[str, float] = MappingProxyType({}),
    spare: float = 0.0,
) -> dict[StreamId, str]:
    """Assigns a worker to each stream.

    Args:
        loads: Load of each stream to place, in any unit; positive.
        capacities: Capacity of each worker relative to the others; positive.
        carried: Existing load of workers, in the unit of ``loads``; it is not moved.
        spare: Excess over its fair share that a worker may be given, as a fraction of that share. A higher
            value lets more streams follow their hash.

    Returns:
        The worker of each stream, in the order of ``loads``; empty if there is no worker.

    Raises:
        ValueError: A load or a capacity is not positive.
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
    # Large streams first; small ones fill the gaps.
    for stream in sorted(loads, key=lambda one: (-loads[one], one)):
        load = loads[stream]
        # Streams are indivisible, so a worker below its share may exceed it by one stream.
        free = [one for one in capacities if given[one] + load <= most[one] or given[one] < share[one]]
        if not free:  # only after rounding errors
            free = [min(capacities, key=lambda one: (given[one] / capacities[one], one))]
        scores = ((-_score(stream, worker, capacities[worker]), worker) for worker in free)
        placed[stream] = min(scores)[1]
        given[placed[stream]] += load
    return {stream: placed[stream] for stream in loads}


def _score(stream: StreamId, worker: str, capacity: float) -> float:
    """Weighted rendezvous score: pseudo-random, deterministic, higher for larger workers."""
    drawn = int.from_bytes(blake2b(f"{worker}\0{stream}".encode(), digest_size=8).digest())
    return -capacity / math.log((drawn + 1) / (2**64 + 2))
