"""The current time for retention, robust to clocks that are ahead at the start."""


class PresentTime:
    """The time of the newest entry at the start plus the time elapsed since, but never later than the clock.

    Args:
        newest_ns: Unix time in ns of the newest entry at the start; None without entries.
    """

    def __init__(self, newest_ns: int | None) -> None:
        self._newest_ns = newest_ns
        self._first_ns: int | None = None

    def at(self, now_ns: int) -> int:
        """The current Unix time in ns; the first call marks the start.

        Args:
            now_ns: Unix time in ns from the clock.
        """
        if self._first_ns is None:
            self._first_ns = now_ns
        if self._newest_ns is None:
            return now_ns
        return min(now_ns, self._newest_ns + now_ns - self._first_ns)
