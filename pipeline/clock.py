"""Unix time that never jumps.

All times in headers are Unix nanoseconds, so that machines can be compared. A wall clock can be set
back or forward while the pipeline runs; latencies would then be nonsense. So the wall clock is read
once, and the monotonic clock, which all processes of one host share, carries on from there.
"""

import os
import time

_ANCHOR_VARIABLE = "KVQ_CLOCK_ANCHOR_NS"


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
