"""Drops frames of live streams that are too old, independent of the clocks of other machines."""

from pipeline.base.clock import ClockLead
from pipeline.base.frame import Policy

_MOST_SESSIONS = 256
"""Clocks that are kept; the one that was least recently heard makes room."""


class AgeLimit:
    """Judges the frames that come from capture workers, each with a clock of its own.

    The fastest message of a session shows how its clock differs, so a delay that all of its messages have
    counts as none.

    Args:
        limit_ms: A frame of a live stream that is older is too old.
    """

    def __init__(self, limit_ms: float) -> None:
        self._limit_ns = limit_ms * 1e6
        self._clocks: dict[int, ClockLead] = {}

    def arrived(self, session: int, sent_ns: int, received_ns: int) -> None:
        """Learns the clock of a session from one message.

        Args:
            session: Of the capture worker.
            sent_ns: When it sent the message, on its clock.
            received_ns: When that arrived, on this machine's.
        """
        clock = self._clocks.pop(session, None) or ClockLead()
        clock.update(sent_ns, received_ns)
        self._clocks[session] = clock  # at the end: the least recently heard comes first
        if len(self._clocks) > _MOST_SESSIONS:
            del self._clocks[next(iter(self._clocks))]

    def is_too_old(self, session: int, policy: Policy, capture_ns: int, now_ns: int) -> bool:
        """Whether a frame is too old now; of an every-frame stream none ever is.

        Args:
            session: Of the capture worker.
            policy: Of its stream.
            capture_ns: When it was captured, on the clock of its machine.
            now_ns: On this machine's clock.
        """
        return policy == "newest" and self.age_ns(session, capture_ns, now_ns) > self._limit_ns

    def age_ns(self, session: int, capture_ns: int, now_ns: int) -> int:
        """How old a frame is now, likewise."""
        clock = self._clocks.get(session)
        return now_ns - capture_ns + (clock.lead_ns if clock else 0)
