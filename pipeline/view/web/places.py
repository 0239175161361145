"""How it stands in zones and at lines: whether something moves there, and how often they were crossed."""

from collections import Counter
from threading import Lock
from typing import Any

from pipeline.base.event import Event
from pipeline.base.watched import Watch
from pipeline.view.web.moving_share import MovingShare


class Places:
    """Follows the events of all zones and lines. Any thread may use it.

    Args:
        watch: Zones, lines and rules.
    """

    def __init__(self, watch: Watch) -> None:
        self._lock = Lock()
        self.watch, self.moving = watch, MovingShare(watch)
        self._crossed: Counter[tuple[str, str, str]] = Counter()

    def replace_watch(self, watch: Watch) -> None:
        """Follows other zones, lines and rules; counts of those that are the same go on.

        What ends because of that is to be taken before.
        """
        with self._lock:
            before, self.watch = self.watch, watch
            self.moving.replace_watch(watch)
            for stream_id, line, way in list(self._crossed):
                if before.place_in(stream_id, line) != watch.place_in(stream_id, line):
                    del self._crossed[stream_id, line, way]

    def take(self, event: Event) -> None:
        """Takes an event of any kind."""
        with self._lock:
            self.moving.take(event)
            if event.kind == "crossed" and event.line in self.watch.lines:
                self._crossed[event.stream_id, event.line, event.why.get("way", "")] += 1

    def standing(self, stream_id: str, now_ns: int) -> list[dict[str, Any]]:
        """Zones and lines of a stream; plain JSON data.

        Of a zone ``moving`` (now) and ``share`` (of the last minute) are None where no rule tells it. Of a
        line ``forward`` and ``backward`` count crossings since the sink began, or this line.
        """
        with self._lock:
            watch, moving, crossed = self.watch, self.moving, self._crossed.copy()
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
            {
                "name": name,
                "kind": "line",
                **{way: crossed[stream_id, name, way] for way in ("forward", "backward")},
            }
            for name, line in watch.lines.items()
            if line.is_in(stream_id)
        ]
        return [*zones, *lines]
