"""Unix time that never jumps.

All times in headers are Unix nanoseconds, so that machines can be compared. A wall clock can be set
back or forward while the pipeline runs; latencies would then be nonsense. So the wall clock is read
once, and the monotonic clock, which all processes of one host share, carries on from there.
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
    """Unix time in nanoseconds, steady within one host for the life of the program."""
    return time.monotonic_ns() + _ANCHOR_NS


class ClockLead:
    """How far the clock of a peer is ahead of this machine's, from messages that carry their time.

    A message takes at least no time, so the one that seems fastest bounds the lead from below. What is
    left is the time of the fastest message. Later this bound is lowered only by what clocks may drift apart
    (100 ppm), so that a delay that begins later never passes for another clock. A message that would raise
    it by more than a minute is ignored: clocks here do not jump, and a forged time must not spoil it.

    Attributes:
        lead_ns: By which times of the peer are too large; 0 before the first message.
    """

    def __init__(self) -> None:
        self.lead_ns = 0
        self._heard_ns: int | None = None

    def update(self, sent_ns: int, heard_ns: int) -> int:
        """Takes in one message; returns the lead in ns.

        Args:
            sent_ns: When it was sent, on the peer's clock.
            heard_ns: When it was heard, on this machine's clock.
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
