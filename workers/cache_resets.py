"""Counts and reports why a stream's cache is emptied, with a limit on repeated reports."""

from collections.abc import Callable
from typing import Final

from pipeline.account.stats import StreamStats, add_counts
from pipeline.base.frame import Frame
from pipeline.flow.report_limit import ReportLimit

_IN_WORDS: Final = {
    "restart": "because capture was restarted",
    "reconnect": "because the source was reopened",
    "size": "because the frame size changed",
    "gap": "because no frame arrived for longer than history.max_gap_ms",
    "time_jump": "because the time of the frames went back",
}


class CacheResets:
    """Checks each frame of a stream before its step, in order.

    Args:
        stream_id: The stream's id.
        max_gap_ms: A longer gap between frames empties the cache, in ms.
        notify: Receives human-readable events.

    Attributes:
        last_ns: Time of the last frame on the stream's timeline; None before the first.
    """

    def __init__(self, stream_id: str, max_gap_ms: float, notify: Callable[[str], None]) -> None:
        self.last_ns: int | None = None
        self._id, self._max_gap_ns, self._notify = stream_id, max_gap_ms * 1e6, notify
        self._reports = ReportLimit()

    def before(self, frame: Frame, reason: str | None, stats: StreamStats, now_ns: int) -> str | None:
        """Why the cache must be emptied before a frame; None if it stays valid.

        Args:
            frame: The frame.
            reason: A reset reason from earlier, dropped frames.
            stats: Statistics of its stream.
            now_ns: Unix time in ns.
        """
        time_ns, last_ns = frame.time_ns, self.last_ns
        self.last_ns = time_ns
        if reason is None and last_ns is not None:
            if time_ns <= last_ns:
                reason = "time_jump"
            elif time_ns - last_ns > self._max_gap_ns:
                reason = "gap"
        if reason:
            add_counts(stats.resets, {reason: 1})
            held_back = self._reports.admit(reason, now_ns)
            if held_back is not None:
                more = f" ({held_back} more since the last report)" if held_back else ""
                why = _IN_WORDS.get(reason, reason)
                self._notify(f"{self._id}: past frames discarded, {why} (cache reset: {reason}){more}")
        return reason
