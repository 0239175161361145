"""The share of the last minute with motion in a zone, from its events."""

from collections import defaultdict
from threading import Lock

from pipeline.base.event import Event, unix_ns
from pipeline.base.watched import Watch, Zone

WINDOW_NS = 60_000_000_000
_MOST_SPANS = 256


class MovingShare:
    """Follows the ``moving`` events of all zones with such a rule. Thread-safe."""

    def __init__(self, watch: Watch) -> None:
        self._lock = Lock()
        # By stream and zone: start and end of each event by its id; None while it is open.
        self._spans: defaultdict[tuple[str, str], dict[str, tuple[int, int | None]]] = defaultdict(dict)
        self._zones: dict[str, Zone] = {}
        self._watch = Watch()
        self.replace_watch(watch)

    def replace_watch(self, watch: Watch) -> None:
        """Replaces the zones; unchanged ones keep their history."""
        names = {rule.zone for rule in watch.all_rules().values() if rule.kind == "moving"}
        with self._lock:
            for stream_id, name in list(self._spans):
                is_same = self._watch.place_in(stream_id, name) == watch.place_in(stream_id, name)
                if name not in names or not is_same:
                    del self._spans[stream_id, name]
            self._zones = {name: zone for name, zone in watch.zones.items() if name in names}
            self._watch = watch

    def take(self, event: Event) -> None:
        """Processes an event of any kind."""
        if event.kind != "moving" or event.zone not in self._zones:
            return
        at_ns = unix_ns(event.time)
        with self._lock:
            spans = self._spans[event.stream_id, event.zone]
            if event.phase == "start":
                spans[event.id] = at_ns, None
                if len(spans) > _MOST_SPANS:
                    del spans[next(iter(spans))]
            elif event.start in spans:
                spans[event.start] = spans[event.start][0], at_ns
            oldest_ns = at_ns - WINDOW_NS
            for name in [name for name, (_, end) in spans.items() if end is not None and end < oldest_ns]:
                del spans[name]

    def shares(self, stream_id: str, now_ns: int) -> dict[str, float]:
        """Shares of a stream by zone: 0 to 1, over the minute before ``now_ns``, Unix time."""
        return {
            name: self._share(stream_id, name, now_ns)
            for name, zone in self._zones.items()
            if zone.is_in(stream_id)
        }

    def moving_now(self, stream_id: str) -> set[str]:
        """The zones of a stream in which something is moving now."""
        with self._lock:
            return {
                zone
                for (stream, zone), spans in self._spans.items()
                if stream == stream_id and any(end is None for _, end in spans.values())
            }

    def _share(self, stream_id: str, zone: str, now_ns: int) -> float:
        with self._lock:
            spans = list(self._spans.get((stream_id, zone), {}).values())
        counted_ns, moved_ns = now_ns - WINDOW_NS, 0
        for start, end in sorted(spans, key=lambda span: span[0]):
            until_ns = now_ns if end is None else min(end, now_ns)
            moved_ns += max(until_ns - max(start, counted_ns), 0)
            counted_ns = max(counted_ns, until_ns)
        return moved_ns / WINDOW_NS
