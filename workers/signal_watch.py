"""Reports when frames of a live stream stop arriving at the sink, and when they return."""

from pipeline.base.event import Event, Moment, event_id, rfc3339, unix_ns
from pipeline.base.frame import Policy
from pipeline.scene.health_events import HealthEvents

SILENT_NS = 5_000_000_000
_TIMES_USUAL = 5
"""A silence is a loss if it exceeds both ``SILENT_NS`` and this multiple of the last frame interval."""


class SignalWatch:
    """Tracks the frame arrivals of one stream; a file, which waits for its readers, never counts as lost.

    Args:
        stream_id: The stream's id.
    """

    def __init__(self, stream_id: str) -> None:
        self._stream_id, self._events = stream_id, HealthEvents(stream_id)
        self._capture_ns = self._arrived_ns = self._interval_ns = 0
        self._is_live = False
        self._lost_ns: int | None = None  # start of a reported loss without signal_back

    def lost_before(self, end: Event) -> None:
        """Notes that an earlier sink reported a loss, which ended with that sink.

        Args:
            end: The end event of that ``signal_lost``.
        """
        self._lost_ns = unix_ns(end.time) - round((end.for_s or 0.0) * 1e9)

    def expect(self, since_ns: int) -> None:
        """Notes that a live stream's frames have been due since ``since_ns``; ignored after the first."""
        if not self._arrived_ns:
            self._is_live, self._capture_ns, self._arrived_ns = True, since_ns, since_ns

    def arrived(self, policy: Policy, capture_ns: int, now_ns: int) -> list[Event]:
        """Takes the arrival of a frame; after a loss, returns its end and ``signal_back``."""
        was_lost = self._events.state is not None
        if self._is_live and not was_lost:
            self._interval_ns = now_ns - self._arrived_ns
        self._is_live, self._capture_ns, self._arrived_ns = policy == "newest", capture_ns, now_ns
        return self._events.see_ok() + self._back(capture_ns)

    def look(self, now_ns: int) -> list[Event]:
        """Returns new events; call it several times per second."""
        silent_ns = now_ns - self._arrived_ns
        if not self._is_live or silent_ns < max(SILENT_NS, _TIMES_USUAL * self._interval_ns):
            return []
        at_ns = self._capture_ns + silent_ns
        events = self._events.see_bad("signal_lost", Moment(at_ns, at_ns), silent_ns / 1e9)
        if events and self._lost_ns is None:
            self._lost_ns = unix_ns(events[-1].time)
        return events

    def end(self, why: str) -> list[Event]:
        """Ends a loss at the end of the stream or of the sink."""
        self._is_live, self._lost_ns = False, None
        return self._events.end(why)

    def _back(self, capture_ns: int) -> list[Event]:
        since_ns, self._lost_ns = self._lost_ns, None
        if since_ns is None:
            return []
        return [
            Event(
                id=event_id(self._stream_id, "signal_back", capture_ns),
                time=rfc3339(capture_ns),
                stream_id=self._stream_id,
                kind="signal_back",
                phase="once",
                for_s=round(max(capture_ns - since_ns, 0) / 1e9, 3),
            )
        ]
