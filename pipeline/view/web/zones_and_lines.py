"""The state of zones and lines: motion now, and counts of crossings."""

from threading import Lock
from typing import Any

from pipeline.base.event import Event
from pipeline.base.watched import Watch
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.moving_share import MovingShare


class ZonesAndLines:
    """Tracks the state of all zones and lines. Thread-safe.

    Args:
        watch: Zones, lines and rules.
        crossed: Counts of crossings, maintained elsewhere.
    """

    def __init__(self, watch: Watch, crossed: CrossingCounts) -> None:
        self._lock = Lock()
        self.watch, self.moving = watch, MovingShare(watch)
        self._crossed = crossed

    def replace_watch(self, watch: Watch) -> None:
        """Replaces zones, lines and rules; unchanged ones keep their state.

        Pass the end events caused by the change to ``take`` first.
        """
        with self._lock:
            self.watch = watch
            self.moving.replace_watch(watch)

    def take(self, event: Event) -> None:
        """Processes an event of any kind."""
        with self._lock:
            self.moving.take(event)

    def standing(self, stream_id: str, now_ns: int) -> list[dict[str, Any]]:
        """Zones and lines of a stream; plain JSON data.

        For zones, ``moving`` (now) and ``share`` (of the last minute) are None without a rule for motion.
        For lines, ``forward`` and ``backward`` count crossings since the sink started or the line changed.
        """
        with self._lock:
            watch, moving = self.watch, self.moving
        shares, now = moving.shares(stream_id, now_ns), moving.moving_now(stream_id)
        zones = [
            {
                "name": name,
                "kind": "zone",
                "moving": name in now if name in shares else None,
                "share": shares.get(name),
            }
            for name, zone in watch.zones.items()
            if zone.is_in(stream_id)
        ]
        lines = [
            {"name": name, "kind": "line", **self._crossed.of(stream_id, name)._asdict()}
            for name, line in watch.lines.items()
            if line.is_in(stream_id)
        ]
        return [*zones, *lines]
