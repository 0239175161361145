"""Back-off delays for retries, with jitter."""

import math
import random
from collections.abc import Sequence


class Backoff:
    """Delays that grow with each consecutive failure."""

    def __init__(self, waits_s: Sequence[float], jitter: float = 0.0, longest_s: float = math.inf) -> None:
        """Stores the schedule.

        Args:
            waits_s: Delay in seconds after each failure; the last one repeats.
            jitter: Fraction by which each delay varies at random, so that clients do not all retry
                at the same time.
            longest_s: Upper bound of every delay, jitter included.
        """
        self._longest_s = longest_s
        self._waits_s = list(waits_s)
        self._jitter = jitter
        self._failures = 0

    def next_s(self) -> float:
        """Counts a failure and returns the delay before the next attempt, in seconds."""
        wait_s = self._waits_s[min(self._failures, len(self._waits_s) - 1)]
        self._failures += 1
        return min(wait_s * (1 + random.uniform(-self._jitter, self._jitter)), self._longest_s)

    def reset(self) -> None:
        """Restarts with the first delay; call it after a success."""
        self._failures = 0
