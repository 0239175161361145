"""Unix time that never jumps.

All times in headers are Unix nanoseconds, so that machines can be compared. A wall clock can be set
back or forward while the pipeline runs; latencies would then be nonsense. So the wall clock is read
once, and the monotonic clock, which all processes of one host share, carries on from there.
"""

import os
import time
from collections import deque

_ANCHOR_VARIABLE = "KVQ_CLOCK_ANCHOR_NS"
_LONGEST_STEP_NS = 15_000_000_000


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
    left is the time of the fastest message; nothing is assumed about the clocks.
    """

    def __init__(self, window_s: float = 60.0) -> None:
        """Notes over how many seconds to look for the fastest message: in longer ones clocks drift apart."""
        self._window_ns = int(window_s * 1e9)
        self._delays: deque[tuple[int, int]] = deque()
        self._heard_ns: int | None = None
        self._time_ns = 0  # with messages: what is known must outlast a silence longer than the window

    def update(self, sent_ns: int, heard_ns: int) -> int:
        """Takes in one message; returns the lead in ns, by which times of the peer are too large.

        Args:
            sent_ns: When it was sent, on the peer's clock.
            heard_ns: When it was heard, on this machine's clock.
        """
        delay_ns = heard_ns - sent_ns
        if self._heard_ns is not None:
            self._time_ns += min(max(heard_ns - self._heard_ns, 0), _LONGEST_STEP_NS)
        self._heard_ns = heard_ns
        while self._delays and self._delays[-1][1] >= delay_ns:
            self._delays.pop()
        self._delays.append((self._time_ns, delay_ns))
        while self._delays[0][0] < self._time_ns - self._window_ns:
            self._delays.popleft()
        return -self._delays[0][1]
