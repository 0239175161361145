"""What agents tell, as data."""

from typing import Any

from workers.fleet.beat import Beat, Place

S = 1_000_000_000


def beat(worker: str = "inference-1", **about: Any) -> Beat:
    """Of a worker that works and has nothing to do."""
    told: dict[str, Any] = {
        "worker": worker,
        "role": worker.partition("-")[0],
        "place": Place("node-1", "10.0.0.1"),
        "state": "ready",
        "session": 1,
        "pid": 100,
        "restarts": 0,
        "endpoints": {},
        "streams": {},
        "entries": None,
        "streams_age_s": 0.0,
        "load": None,
        "lines": [],
    }
    return Beat(**told | about)
