"""For which share of each minute something moved, over the last hour of each stream."""

from collections import OrderedDict
from threading import Lock

MINUTES = 60
_MINUTE_NS = 60_000_000_000
_LONGEST_NS = 2_000_000_000
"""Of the time before a picture, so much counts: nobody knows what was in a longer silence."""
_MOST_STREAMS = 256


class _Hour:
    """By minute, nanoseconds: for how long it was known whether something moves, and for how long it did."""

    def __init__(self) -> None:
        self.last_ns = 0
        self.minutes: OrderedDict[int, tuple[int, int]] = OrderedDict()


class MotionLevel:
    """Counts, picture by picture. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._hours: OrderedDict[str, _Hour] = OrderedDict()

    def take(self, stream_id: str, things: int | None, time_ns: int) -> None:
        """Takes how many things move in a picture (None: nobody knows) that was shown at a Unix time."""
        with self._lock:
            hour = self._hours.setdefault(stream_id, _Hour())
            self._hours.move_to_end(stream_id)
            while len(self._hours) > _MOST_STREAMS:
                self._hours.popitem(last=False)
            lasted_ns = min(max(time_ns - hour.last_ns, 0), _LONGEST_NS) if hour.last_ns else 0
            hour.last_ns = time_ns
            if things is None:
                return
            minute = time_ns // _MINUTE_NS
            known, moved = hour.minutes.get(minute, (0, 0))
            hour.minutes[minute] = known + lasted_ns, moved + (lasted_ns if things else 0)
            while len(hour.minutes) > MINUTES:
                hour.minutes.popitem(last=False)

    def minutes(self, stream_id: str, now_ns: int) -> list[float | None]:
        """The last 60 minutes of a stream, this one last: 0 to 1; None where nothing is known."""
        with self._lock:
            hour = self._hours.get(stream_id)
            minutes = dict(hour.minutes) if hour else {}
        this = now_ns // _MINUTE_NS
        spans = [minutes.get(minute, (0, 0)) for minute in range(this - MINUTES + 1, this + 1)]
        return [round(moved / known, 4) if known else None for known, moved in spans]
