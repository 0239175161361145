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
"""Of the time before a picture, so much counts: nobody knows what was in a longer silence."""
_MOST_STREAMS = 256

KeptMotion: TypeAlias = Callable[[str, int, int], Iterable[tuple[int, int | None]]]
"""Reads when (Unix ns) how many things were seen in a stream, between two such times; None: nobody knows."""


class _Hour:
    """By minute, nanoseconds: for how long it was known whether something moves, and for how long it did."""

    def __init__(self, began_ns: int) -> None:
        self.began_ns, self.last_ns = began_ns, 0
        self.minutes: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self.has_earlier = False

    def take(self, things: int | None, time_ns: int) -> None:
        """Takes how many things move in the next picture."""
        lasted_ns = min(max(time_ns - self.last_ns, 0), _LONGEST_NS) if self.last_ns else 0
        self.last_ns = time_ns
        if things is not None:
            self._add(time_ns // _MINUTE_NS, lasted_ns, lasted_ns if things else 0)

    def take_earlier(self, earlier: "_Hour") -> None:
        """Takes what was before the first picture."""
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
    """Counts, picture by picture. Any thread may use it.

    Args:
        kept: Reads what was before: a sink that is restarted goes on with the same hour. It may raise
            ``UserError``; then it is asked again the next time. None: nothing was kept.
    """

    def __init__(self, kept: KeptMotion | None = None) -> None:
        self._lock = Lock()
        self._kept = kept
        self._hours: OrderedDict[str, _Hour] = OrderedDict()

    def take(self, stream_id: str, things: int | None, time_ns: int) -> None:
        """Takes how many things move in a picture (None: nobody knows) that was shown at a Unix time."""
        with self._lock:
            self._hour(stream_id, time_ns).take(things, time_ns)

    def minutes(self, stream_id: str, now_ns: int) -> list[float | None]:
        """The last 60 minutes of a stream, this one last: 0 to 1; None where nothing is known.

        The first call for a stream reads what was kept of it: it may take a second.
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
        with suppress(UserError):  # said elsewhere, as a loss; what was seen since then is known
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
