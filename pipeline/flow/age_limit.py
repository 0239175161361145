"""Which frames of live streams are too old to be of use, whatever the clock of their machine shows."""

from pipeline.base.clock import ClockLead
from pipeline.base.frame import Policy

_MOST_SESSIONS = 256


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
        self._leads_ns: dict[int, int] = {}

    def arrived(self, session: int, sent_ns: int, received_ns: int) -> None:
        """Learns the clock of a session from one message.

        Args:
            session: Of the capture worker.
            sent_ns: When it sent the message, on its clock.
            received_ns: When that arrived, on this machine's.
        """
        if session not in self._clocks and len(self._clocks) >= _MOST_SESSIONS:
            oldest = next(iter(self._clocks))
            del self._clocks[oldest], self._leads_ns[oldest]
        clock = self._clocks.setdefault(session, ClockLead())
        self._leads_ns[session] = clock.update(sent_ns, received_ns)

    def is_too_old(self, session: int, policy: Policy, capture_ns: int, now_ns: int) -> bool:
        """Whether a frame is too old now; of an every-frame stream none ever is.

        Args:
            session: Of the capture worker.
            policy: Of its stream.
            capture_ns: When it was captured, on the clock of its machine.
            now_ns: On this machine's clock.
        """
        age_ns = now_ns - capture_ns + self._leads_ns.get(session, 0)
        return policy == "newest" and age_ns > self._limit_ns
