"""Detects a camera that repeats one image although its images usually differ."""

import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

_SAMPLES = 80  # pixels to a row that are compared
_LEARN_S = 15.0
_LONGEST_USUAL_S = 1.5
"""A source whose pictures have stayed the same for longer than that by themselves is never called frozen."""
_LEAST_S, _TIMES_USUAL, _FEWEST_FRAMES = 4.0, 4.0, 8
"""So long a picture must have stayed the same, and so many times as long as it usually does at most."""
_FORGET_S = 600.0
_QUIET_SHARE = 0.15  # of the quietest differences: that much re-encoding may do
_MOST_QUIET = 0.5  # grey levels
_LOW, _STEP = 0.1, 0.05


class Stillness:
    """Follows how long the picture of one stream has stayed the same, and how long it usually does.

    Pictures are compared with the first one of their stretch, so that slow changes add up.
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
        """When the picture became what it is."""
        return self._first_ns

    @property
    def is_frozen(self) -> bool:
        """Whether it has stayed the same for longer than this camera's pictures ever do."""
        return (
            self._learned_s >= _LEARN_S
            and self._floor > 0
            and self._longest_s <= _LONGEST_USUAL_S
            and self._frames >= _FEWEST_FRAMES
            and (self._last_ns - self._first_ns) / 1e9 >= max(_LEAST_S, _TIMES_USUAL * self._longest_s)
        )

    def restart(self) -> None:
        """The next picture is compared with none before it."""
        self._first = self._previous = None

    def look(self, image: Image, time_ns: int) -> None:
        """Takes the next picture, ``(rows, columns, 3)`` uint8."""
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
        """Takes what was seen last as usual; not to be called while the picture is frozen."""
        self._learned_s += passed_s
        self._longest_s = max(self._longest_s * max(0.0, 1 - passed_s / _FORGET_S), self._ended_s)
        if self._frames > 1:
            return
        if self._floor == 0:
            self._floor = self._difference
        else:  # creeps towards a low percentile of the differences
            self._floor *= 1 + _STEP * (_LOW if self._difference > self._floor else _LOW - 1)
