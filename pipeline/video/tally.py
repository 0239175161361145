"""Counts of a reader: written in its thread, read in another one."""

from threading import Lock


class Tally:
    """Frame counts and human-readable events; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._captured = 0
        self._dropped: dict[str, int] = {}
        self._events: list[str] = []

    @property
    def captured(self) -> int:
        """Frames that the source delivered."""
        return self._captured

    @property
    def dropped(self) -> dict[str, int]:
        """Dropped frames, by reason."""
        with self._lock:
            return dict(self._dropped)

    def capture(self) -> int:
        """Counts a frame; returns its ``seq``, the number of frames before it."""
        with self._lock:
            seq = self._captured
            self._captured += 1
            return seq

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts dropped frames."""
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    def report(self, event: str) -> None:
        """Records a human-readable event, without passwords."""
        with self._lock:
            self._events.append(event)

    def pop_events(self) -> list[str]:
        """The events since the last call, oldest first."""
        with self._lock:
            events, self._events = self._events, []
        return events
