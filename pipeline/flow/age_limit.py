"""Drops frames of live streams that are too old, independently of the clocks of other machines."""

from pipeline.base.clock import ClockLead
from pipeline.base.frame import Policy

_MOST_SESSIONS = 256
"""Largest number of clocks; beyond it the least recently updated one is dropped."""


class AgeLimit:
    """Checks the age of frames from capture workers, each of which has its own clock.

    The clock offset of a session is estimated from its fastest message, so a delay common to all of its
    messages is not detected.

    Args:
        limit_ms: Highest age of a frame of a live stream.
    """

    def __init__(self, limit_ms: float) -> None:
        self._limit_ns = limit_ms * 1e6
        self._clocks: dict[int, ClockLead] = {}

    def arrived(self, session: int, sent_ns: int, received_ns: int) -> None:
        """Updates the clock offset of a session with one message.

        Args:
            session: Session of the capture worker.
            sent_ns: When it sent the message, on its clock.
            received_ns: When the message arrived, on this machine's clock.
        """
        clock = self._clocks.pop(session, None) or ClockLead()
        clock.update(sent_ns, received_ns)
        self._clocks[session] = clock  # reinserted at the end: the least recently updated comes first
        if len(self._clocks) > _MOST_SESSIONS:
            del self._clocks[next(iter(self._clocks))]

    def is_too_old(self, session: int, policy: Policy, capture_ns: int, now_ns: int) -> bool:
        """Whether a frame is too old now; never true for an every-frame stream.

        Args:
            session: Session of the capture worker.
            policy: Policy of the stream.
            capture_ns: When the frame was captured, on the clock of its machine.
            now_ns: Current time on this machine's clock.
        """
        return policy == "newest" and self.age_ns(session, capture_ns, now_ns) > self._limit_ns

    def age_ns(self, session: int, capture_ns: int, now_ns: int) -> int:
        """Age of a frame in ns; arguments as for ``is_too_old``."""
        clock = self._clocks.get(session)
        return now_ns - capture_ns + (clock.lead_ns if clock else 0)
