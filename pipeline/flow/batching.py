"""Decides how long a step waits for more streams. No I/O and no clock.

Waiting pays off only if a frame is about to arrive and the wait is short compared with the step. So a step
waits for streams that are due, but not for stalled ones, and for at most a fraction of a step's duration.
"""

from collections.abc import Iterable

_SHARE = 0.25  # fraction of a recent step; beyond it the waiting frames lose more than the others gain
_MEMORY = 0.2  # weight of the newest value in the running means
_LATE = 0.5  # a stream overdue by more than this fraction of its interval has stalled


class BatchWindow:
    """Predicts when each stream's next frame is due.

    Args:
        longest_ms: Longest wait; 0 disables waiting.
    """

    def __init__(self, longest_ms: float) -> None:
        self._longest_ns = longest_ms * 1e6
        self._step_ns = 0.0
        self._last_ns: dict[str, int] = {}
        self._interval_ns: dict[str, float] = {}

    def arrived(self, stream_id: str, time_ns: int) -> None:
        """Records the arrival of a stream's frame."""
        last_ns = self._last_ns.get(stream_id)
        self._last_ns[stream_id] = time_ns
        if last_ns is not None:
            known = self._interval_ns.get(stream_id, time_ns - last_ns)
            self._interval_ns[stream_id] = known + _MEMORY * (time_ns - last_ns - known)

    def stepped(self, duration_ns: int) -> None:
        """Records how long a step took."""
        self._step_ns += (_MEMORY if self._step_ns else 1.0) * (duration_ns - self._step_ns)

    def forget(self, stream_id: str) -> None:
        """Forgets a stream that has ended."""
        self._last_ns.pop(stream_id, None)
        self._interval_ns.pop(stream_id, None)

    def until_ns(self, now_ns: int, missing: Iterable[str]) -> int:
        """Time until which the step waits for streams that have no frame in it yet.

        Args:
            now_ns: When the step could begin.
            missing: Streams without a frame in it.

        Returns:
            The end of the window, or ``now_ns`` if none of them is due within it.
        """
        end_ns = now_ns + round(min(self._longest_ns, _SHARE * self._step_ns))
        return end_ns if any(self._due(stream_id, now_ns, end_ns) for stream_id in missing) else now_ns

    def _due(self, stream_id: str, now_ns: int, end_ns: int) -> bool:
        interval_ns = self._interval_ns.get(stream_id)
        if interval_ns is None:
            return False
        due_ns = self._last_ns[stream_id] + interval_ns
        return due_ns <= end_ns and now_ns <= due_ns + _LATE * interval_ns
