"""Detects a camera that repeats one image although its images usually differ."""

import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

_SAMPLES = 80  # compared pixels per row
_LEARN_S = 15.0
_LONGEST_USUAL_S = 1.5
"""A source whose images are identical for longer than this in normal use is never reported as frozen."""
_LEAST_S, _TIMES_USUAL, _FEWEST_FRAMES = 4.0, 4.0, 8
"""Least time without change, in seconds and as a multiple of the longest usual time, and fewest frames."""
_FORGET_S = 600.0
_QUIET_SHARE = 0.15  # share of the smallest usual difference that is tolerated, because of re-encoding
_MOST_QUIET = 0.5  # grey levels
_LOW, _STEP = 0.1, 0.05


class Stillness:
    """Measures how long the image of one stream has been unchanged, and for how long it usually is at most.

    Each image is compared with the first one of its run, so that slow changes add up.
    """

    def __init__(self) -> None:
        self._first: npt.NDArray[np.int16] | None = None
        self._previous: npt.NDArray[np.int16] | None = None
        self._first_ns = self._last_ns = 0
        self._frames = 0
        self._difference = 0.0
        self._floor = 0.0
        self._ended_s = self._longest_s = 0.0
        self._learned_s = 0.0

    @property
    def since_ns(self) -> int:
        """When the current image first appeared."""
        return self._first_ns

    @property
    def is_frozen(self) -> bool:
        """Whether the image has been unchanged for longer than is usual for this camera."""
        return (
            self._learned_s >= _LEARN_S
            and self._floor > 0
            and self._longest_s <= _LONGEST_USUAL_S
            and self._frames >= _FEWEST_FRAMES
            and (self._last_ns - self._first_ns) / 1e9 >= max(_LEAST_S, _TIMES_USUAL * self._longest_s)
        )

    def restart(self) -> None:
        """Starts a new run with the next image."""
        self._first = self._previous = None

    def look(self, image: Image, time_ns: int) -> None:
        """Processes the next image, ``(rows, columns, 3)`` uint8."""
        step = max(1, image.shape[1] // _SAMPLES)
        sample = image[step // 2 :: step, step // 2 :: step].astype(np.int16)
        if self._previous is not None:
            self._difference = float(np.abs(sample - self._previous).mean())
        previous_ns, self._previous, self._last_ns = self._last_ns, sample, time_ns
        quiet = min(_QUIET_SHARE * self._floor, _MOST_QUIET)
        if self._first is not None and float(np.abs(sample - self._first).mean()) <= quiet:
            self._frames += 1
            return
        self._ended_s = (previous_ns - self._first_ns) / 1e9 if self._first is not None else 0.0
        self._first, self._first_ns, self._frames = sample, time_ns, 1

    def learn(self, passed_s: float) -> None:
        """Updates the usual values with the latest image; must not be called while the image is frozen."""
        self._learned_s += passed_s
        self._longest_s = max(self._longest_s * max(0.0, 1 - passed_s / _FORGET_S), self._ended_s)
        if self._frames > 1:
            return
        if self._floor == 0:
            self._floor = self._difference
        else:  # creeps towards a low percentile of the differences
            self._floor *= 1 + _STEP * (_LOW if self._difference > self._floor else _LOW - 1)
