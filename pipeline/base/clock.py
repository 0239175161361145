"""Unix time that never jumps.

All times in headers are Unix nanoseconds, so that times from different machines can be compared. The wall
clock can be adjusted while the pipeline runs, which would make latencies meaningless. So it is read once;
after that, time comes from the monotonic clock, which all processes of a host share.
"""

import os
import time

_ANCHOR_VARIABLE = "KVQ_CLOCK_ANCHOR_NS"
_MOST_DRIFT_PPM = 100
_LARGEST_STEP_NS = 60_000_000_000


def _anchor_ns() -> int:
    """Unix time minus monotonic time: read once, inherited by child processes through the environment."""
    anchor = os.environ.get(_ANCHOR_VARIABLE)
    if anchor is None:
        anchor = str(time.time_ns() - time.monotonic_ns())
        os.environ[_ANCHOR_VARIABLE] = anchor
    return int(anchor)


_ANCHOR_NS = _anchor_ns()


def now_ns() -> int:
    """Unix time in nanoseconds; monotonic across all processes of a run on one host."""
    return time.monotonic_ns() + _ANCHOR_NS


class ClockLead:
    """How far a peer's clock is ahead of this machine's, estimated from time-stamped messages.

    Transit time is never negative, so the message that appears fastest gives a lower bound on the lead; the
    error is that message's transit time. Afterwards the bound decreases only by the largest expected clock
    drift (100 ppm), so that a delay that starts later is not mistaken for a clock offset. A message that
    would raise the bound by more than a minute is ignored: these clocks do not jump, and a forged time must
    have no effect.

    Attributes:
        lead_ns: Amount by which the peer's times are ahead; 0 before the first message.
    """

    def __init__(self) -> None:
        self.lead_ns = 0
        self._heard_ns: int | None = None

    def update(self, sent_ns: int, heard_ns: int) -> int:
        """Updates the estimate with one message; returns the lead in ns.

        Args:
            sent_ns: When it was sent, on the peer's clock.
            heard_ns: When it was received, on this machine's clock.
        """
        lead_ns = sent_ns - heard_ns
        if self._heard_ns is None:
            self.lead_ns = lead_ns
        else:
            self.lead_ns -= max(heard_ns - self._heard_ns, 0) * _MOST_DRIFT_PPM // 1_000_000
            if self.lead_ns < lead_ns <= self.lead_ns + _LARGEST_STEP_NS:
                self.lead_ns = lead_ns
        self._heard_ns = heard_ns
        return self.lead_ns
