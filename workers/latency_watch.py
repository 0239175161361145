"""Reports a latency event if predictions of a live stream are too old."""

import statistics
from collections import deque

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment, event_id, rfc3339

WINDOW_NS = 3_000_000_000
_FEWEST = 3
_OVER_BELOW = 0.8
"""Share of the limit below which a latency event ends (hysteresis)."""
_EVERY_NS = 250_000_000


class LatencyWatch:
    """Checks the median age of a stream's predictions over 3 s.

    Args:
        stream_id: The stream's id.
        limit_ms: Longest allowed time from capture to the arrival of the prediction, in ms; 0 disables it.
    """

    def __init__(self, stream_id: str, limit_ms: float) -> None:
        self._stream_id, self._limit_ms = stream_id, limit_ms
        self._ages: deque[tuple[int, float]] = deque()
        self._began_ns = self._judged_ns = 0
        self._episode: Episode | None = None

    def see(self, age_ms: float, now_ns: int) -> list[Event]:
        """Takes the age of a prediction of a live stream; returns new events.

        Args:
            age_ms: Time since its frame was captured.
            now_ns: Unix time.
        """
        if not self._limit_ms:
            return []
        ages = self._ages
        if not ages:
            self._began_ns = now_ns
        ages.append((now_ns, age_ms))
        while now_ns - ages[0][0] > WINDOW_NS:
            ages.popleft()
        is_young = now_ns - self._began_ns < WINDOW_NS or now_ns - self._judged_ns < _EVERY_NS
        if is_young or len(ages) < _FEWEST:
            return []
        self._judged_ns = now_ns
        p50_ms, crossed_ns = statistics.median(age for _, age in ages), now_ns - WINDOW_NS // 2
        if self._episode is None and p50_ms > self._limit_ms:
            self._episode = self._begin(p50_ms, Moment(crossed_ns, crossed_ns))
            return [self._episode.start]
        return self._finish(crossed_ns) if p50_ms <= _OVER_BELOW * self._limit_ms else []

    def look(self, now_ns: int) -> list[Event]:
        """Ends a latency event if no predictions arrive any more; returns new events."""
        if not self._ages or now_ns - self._ages[-1][0] <= WINDOW_NS:
            return []
        return self.end("no predictions are arriving")

    def end(self, why: str) -> list[Event]:
        """Ends a latency event at the end of the stream or of the sink."""
        last_ns = self._ages[-1][0] if self._ages else 0
        self._ages.clear()
        return self._finish(last_ns, ended=why)

    def _begin(self, p50_ms: float, at: Moment) -> Episode:
        start = Event(
            id=event_id(self._stream_id, "latency", "start", at.wall_ns),
            time=rfc3339(at.wall_ns),
            stream_id=self._stream_id,
            kind="latency",
            phase="start",
            why={"p50_ms": round(p50_ms), "limit_ms": self._limit_ms},
        )
        return Episode(start, at)

    def _finish(self, at_ns: int, **why: str) -> list[Event]:
        episode, self._episode = self._episode, None
        return [episode.end(Moment(at_ns, at_ns), **why)] if episode else []
