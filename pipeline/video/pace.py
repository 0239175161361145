"""Frame rates: plays recorded frames at their original rate, and reduces the rate of a live source."""

import time

from pipeline.video.source import Picture

_LONGEST_STEP_S = 10.0
_EARLY = 8
"""A frame is taken up to this part of a step (one eighth) before it is due: cameras are not exact."""


class Pacer:
    """Computes the wait before each frame from its time stamp, or else from the source's rate."""

    def __init__(self, fps: float | None) -> None:
        """Stores the rate.

        Args:
            fps: Rate of frames without a time stamp; None or 0 for 25 per second.
        """
        self._step_s = 1 / (fps or 25.0)
        self._due_s: float | None = None
        self._last_pts_ns: int | None = None

    def wait_s(self, picture: Picture) -> float:
        """Seconds until the frame is due; 0 if it is late or the first."""
        now_s = time.monotonic()
        step_s = self._step_s
        if picture.pts_ns is not None and self._last_pts_ns is not None:
            step_s = (picture.pts_ns - self._last_pts_ns) / 1e9
        self._last_pts_ns = picture.pts_ns
        # Ignore jumps in time stamps, as in concatenated files, which would cause long waits or bursts.
        if not 0 <= step_s <= _LONGEST_STEP_S:
            step_s = self._step_s
        self._due_s = now_s if self._due_s is None else self._due_s + step_s
        return max(0.0, self._due_s - now_s)


class Thinning:
    """Selects the frames of a live source that is faster than wanted."""

    def __init__(self, fps: float) -> None:
        """Stores the rate.

        Args:
            fps: Wanted frames per second; more than 0.
        """
        self._step_ns = int(1e9 / fps)
        self._due_ns: int | None = None

    def takes(self, time_ns: int) -> bool:
        """Whether to take the frame captured at this time, in ns; call it once per frame, in order.

        The rate is kept on average, even if it does not divide the source's rate. After a pause of two steps
        or more, frames are not taken faster to catch up.
        """
        early_ns = self._step_ns // _EARLY
        if self._due_ns is not None and -self._step_ns <= time_ns - self._due_ns < -early_ns:
            return False
        on_time = self._due_ns is not None and -early_ns <= time_ns - self._due_ns < 2 * self._step_ns
        self._due_ns = (self._due_ns if on_time and self._due_ns is not None else time_ns) + self._step_ns
        return True
