"""Measures how busy an inference worker is, and with which streams."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

WINDOW_NS = 5_000_000_000
_SAMPLE_NS = 500_000_000


class _Step(NamedTuple):
    began_ns: int
    ended_ns: int
    streams: tuple[str, ...]


class StreamLoad(NamedTuple):
    """The load of one stream over the last few seconds.

    Attributes:
        fps: Predictions per second.
        work: Fraction of the time that was spent on it.
        dropped_per_s: Frames per second that were dropped for lack of time.
        age_ms: Mean time from capture to prediction; None without predictions.
    """

    fps: float
    work: float
    dropped_per_s: float
    age_ms: float | None


class LoadMeter:
    """Computes the load from steps, predictions and drops; all times are passed in.

    Args:
        now_ns: Start time.
    """

    def __init__(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self._steps: deque[_Step] = deque()
        self._ages: deque[tuple[int, str, float]] = deque()
        self._dropped: deque[tuple[int, dict[str, int]]] = deque()

    def stepped(self, began_ns: int, ended_ns: int, streams: Iterable[str]) -> None:
        """Records a step."""
        self._steps.append(_Step(began_ns, ended_ns, tuple(streams)))
        self._forget(ended_ns)

    def predicted(self, now_ns: int, stream_id: str, age_ms: float) -> None:
        """Records a prediction."""
        self._ages.append((now_ns, stream_id, age_ms))

    def is_due(self, now_ns: int) -> bool:
        """Whether ``dropped`` should be called."""
        return not self._dropped or now_ns - self._dropped[-1][0] >= _SAMPLE_NS

    def dropped(self, now_ns: int, totals: Mapping[str, int]) -> None:
        """Records how many frames of each stream have been dropped so far."""
        self._dropped.append((now_ns, dict(totals)))
        self._forget(now_ns)

    def busy(self, now_ns: int) -> float:
        """Fraction of the time that was spent in steps."""
        self._forget(now_ns)
        start_ns = max(self._began_ns, now_ns - WINDOW_NS)
        spent_ns = sum(step.ended_ns - max(step.began_ns, start_ns) for step in self._steps)
        return min(spent_ns / max(now_ns - start_ns, 1), 1.0)

    def of(self, stream_id: str, now_ns: int) -> StreamLoad:
        """The load of one stream."""
        self._forget(now_ns)
        start_ns = max(self._began_ns, now_ns - WINDOW_NS)
        passed_s = max(now_ns - start_ns, 1) / 1e9
        spent_ns = sum(
            (step.ended_ns - max(step.began_ns, start_ns)) / len(step.streams)
            for step in self._steps
            if stream_id in step.streams
        )
        ages = [age_ms for _, name, age_ms in self._ages if name == stream_id]
        counts = [totals.get(stream_id, 0) for _, totals in self._dropped]
        return StreamLoad(
            fps=round(len(ages) / passed_s, 2),
            work=round(spent_ns / 1e9 / passed_s, 4),
            dropped_per_s=round((counts[-1] - counts[0]) / passed_s, 2) if counts else 0.0,
            age_ms=round(sum(ages) / len(ages), 1) if ages else None,
        )

    def _forget(self, now_ns: int) -> None:
        start_ns = now_ns - WINDOW_NS
        while self._steps and self._steps[0].ended_ns <= start_ns:
            self._steps.popleft()
        while self._ages and self._ages[0][0] <= start_ns:
            self._ages.popleft()
        while len(self._dropped) > 1 and self._dropped[1][0] <= start_ns:
            self._dropped.popleft()
