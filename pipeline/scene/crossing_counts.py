"""Counts crossings of each line by direction."""

from collections import Counter
from threading import Lock
from typing import NamedTuple

from pipeline.base.event import Event
from pipeline.base.watched import Watch


class Crossed(NamedTuple):
    """How often a line was crossed.

    Attributes:
        forward: From its left to its right.
        backward: The other way.
    """

    forward: int
    backward: int


class CrossingCounts:
    """Counts the ``crossed`` events of all streams. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def take(self, event: Event) -> None:
        """Processes an event of any kind; only ``crossed`` is counted."""
        if event.kind == "crossed" and event.line is not None:
            with self._lock:
                self._counts[event.stream_id, event.line, event.why["way"]] += 1

    def of(self, stream_id: str, line: str) -> Crossed:
        """Crossings of a line in a stream since the sink started or the line last changed."""
        with self._lock:
            return Crossed(*(self._counts[stream_id, line, way] for way in Crossed._fields))

    def replace_watch(self, stream_id: str, before: Watch, now: Watch) -> None:
        """Resets the counts of a stream's lines that were removed or changed."""
        with self._lock:
            for key in [key for key in self._counts if key[0] == stream_id]:
                if before.place_in(*key[:2]) != now.place_in(*key[:2]):
                    del self._counts[key]
