"""Events and looks as a sink would bring them, and a process that writes them until it is killed."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.event import Event, Moment, event_id, rfc3339
from pipeline.events.archive import Chunk
from pipeline.events.motion_log import pack
from pipeline.events.store import Store
from pipeline.scene.rule_input import Look, in_steps
from tests.scene.walking import START_NS, straight, thing

SECOND = 10**9
_WAY = straight(0.1, 0.6, 0.01, 0.0)


def event(second: float, phase: str = "once", stream_id: str = "front", **changes: object) -> Event:
    """At a second from the start."""
    at_ns = START_NS + round(second * SECOND)
    values = {
        "id": event_id(stream_id, phase, at_ns, *changes.items()),
        "time": rfc3339(at_ns),
        "stream_id": stream_id,
        "kind": "entered" if phase == "once" else "moving",
        "phase": phase,
        "rule": "visitor",
        "zone": "drive",
        "thing": 1,
    }
    return Event(**values | changes)  # type: ignore[arg-type]


def look(second: float) -> Look:
    """With one thing, at a second from the start."""
    at_ns = round(second * SECOND)
    seen = thing(1, _WAY, second % 60)
    return in_steps(
        Look(session=1, now=Moment(at_ns + 1, START_NS + at_ns), depth=2, things=[seen] if seen else [])
    )


def chunk(second: float, length: float = 5.0, stream_id: str = "front") -> Chunk:
    """The log from a second on."""
    looks = [look(second + n / 25) for n in range(round(length * 25))]
    return Chunk(stream_id, looks[0].now.wall_ns, looks[-1].now.wall_ns, pack(looks))


def motion_chunk(stream_id: str, seconds: Sequence[tuple[int, bool]]) -> Chunk:
    """The log of pictures at Unix times, with or without a thing."""
    seen = {True: look(0.0).things, False: []}
    looks = [Look(session=1, now=Moment(at, at), depth=2, things=seen[moves]) for at, moves in seconds]
    return Chunk(stream_id, seconds[0][0], seconds[-1][0], pack(looks))


def write_until_killed(path: Path) -> None:
    """Writes batches as fast as the disk takes them: two events and the log of a second."""
    with Store(path, 1e4, 100.0) as store:
        for second in itertools.count():
            store.write([event(second), event(second, "start")], [chunk(second, 1.0)])


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]))
