"""Back-off delays for retries, with jitter."""

import math
import random
from collections.abc import Sequence


class Backoff:
    """Waits that grow with each failure in a row."""

    def __init__(self, waits_s: Sequence[float], jitter: float = 0.0, longest_s: float = math.inf) -> None:
        """Notes the steps.

        Args:
            waits_s: Wait in seconds after each failure; the last one repeats.
            jitter: Each wait is varied by up to this fraction, so that not all return in step.
            longest_s: No wait is longer, whatever the steps.
        """
        self._longest_s = longest_s
        self._waits_s = list(waits_s)
        self._jitter = jitter
        self._failures = 0

    def next_s(self) -> float:
        """The wait after one more failure, in seconds."""
        wait_s = self._waits_s[min(self._failures, len(self._waits_s) - 1)]
        self._failures += 1
        return min(wait_s * (1 + random.uniform(-self._jitter, self._jitter)), self._longest_s)

    def reset(self) -> None:
        """Begins again with the first wait; it works."""
        self._failures = 0
