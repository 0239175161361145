"""The share of each minute with motion, for the last hour of each stream."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import TypeAlias

from pipeline.base.errors import UserError

MINUTES = 60
_MINUTE_NS = 60_000_000_000
_LONGEST_NS = 2_000_000_000
"""Up to this much time before each image counts as observed; the rest of a longer gap is unknown."""
_MOST_STREAMS = 256

KeptMotion: TypeAlias = Callable[[str, int, int], Iterable[tuple[int, int | None]]]
"""Reads a stream's motion between two Unix times in ns.

Yields the Unix time of each frame and its number of moving objects, None if unknown.
"""


class _Hour:
    """Per minute, in nanoseconds: observed time, and time with motion."""

    def __init__(self, began_ns: int) -> None:
        self.began_ns, self.last_ns = began_ns, 0
        self.minutes: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self.has_earlier = False

    def take(self, things: int | None, time_ns: int) -> None:
        """Adds the number of moving things in the next image."""
        lasted_ns = min(max(time_ns - self.last_ns, 0), _LONGEST_NS) if self.last_ns else 0
        self.last_ns = time_ns
        if things is not None:
            self._add(time_ns // _MINUTE_NS, lasted_ns, lasted_ns if things else 0)

    def take_earlier(self, earlier: "_Hour") -> None:
        """Adds the minutes before the first image."""
        later, self.minutes = self.minutes, earlier.minutes
        for minute, spans_ns in later.items():
            self._add(minute, *spans_ns)
        self.has_earlier = True

    def _add(self, minute: int, known_ns: int, moved_ns: int) -> None:
        known, moved = self.minutes.get(minute, (0, 0))
        self.minutes[minute] = known + known_ns, moved + moved_ns
        while len(self.minutes) > MINUTES:
            self.minutes.popitem(last=False)


class MotionLevel:
    """Measures motion image by image. Thread-safe.

    Args:
        kept: Reads earlier motion, so that a restarted sink continues the same hour. If it raises
            ``UserError``, it is called again next time. None if the motion log is not stored.
    """

    def __init__(self, kept: KeptMotion | None = None) -> None:
        self._lock = Lock()
        self._kept = kept
        self._hours: OrderedDict[str, _Hour] = OrderedDict()

    def take(self, stream_id: str, things: int | None, time_ns: int) -> None:
        """Adds the number of things moving in an image (None: unknown) shown at a Unix time."""
        with self._lock:
            self._hour(stream_id, time_ns).take(things, time_ns)

    def minutes(self, stream_id: str, now_ns: int) -> list[float | None]:
        """The last 60 minutes of a stream, the current one last: 0 to 1; None if unknown.

        The first call for a stream reads its stored motion, which may take a second.
        """
        self._read_earlier(stream_id, now_ns)
        with self._lock:
            hour = self._hours.get(stream_id)
            minutes = dict(hour.minutes) if hour else {}
        this = now_ns // _MINUTE_NS
        spans = [minutes.get(minute, (0, 0)) for minute in range(this - MINUTES + 1, this + 1)]
        return [round(moved / known, 4) if known else None for known, moved in spans]

    def _read_earlier(self, stream_id: str, now_ns: int) -> None:
        with self._lock:
            hour = self._hour(stream_id, now_ns)
        since_ns = (now_ns // _MINUTE_NS - MINUTES + 1) * _MINUTE_NS
        if self._kept is None or hour.has_earlier or hour.began_ns <= since_ns:
            return
        earlier = _Hour(since_ns)
        with suppress(UserError):  # reported elsewhere; later motion is still known
            for time_ns, things in self._kept(stream_id, since_ns, hour.began_ns):
                earlier.take(things, time_ns)
            with self._lock:
                if not hour.has_earlier:
                    hour.take_earlier(earlier)

    def _hour(self, stream_id: str, now_ns: int) -> _Hour:
        hour = self._hours.setdefault(stream_id, _Hour(now_ns))
        self._hours.move_to_end(stream_id)
        while len(self._hours) > _MOST_STREAMS:
            self._hours.popitem(last=False)
        return hour
