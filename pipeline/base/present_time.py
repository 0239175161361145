"""The current time for retention, robust to clocks that are ahead at the start."""


class PresentTime:
    """Now, or earlier where the clock is ahead of all that was there at the start.

    How old something is, the newest entry that was there at the start says, and the time that has passed
    since; never more than the clock says.

    Args:
        newest_ns: Unix time of the newest entry that was there at the start; None where there was none.
    """

    def __init__(self, newest_ns: int | None) -> None:
        self._newest_ns = newest_ns
        self._first_ns: int | None = None

    def at(self, now_ns: int) -> int:
        """The present in Unix time; the first call says what the clock showed at the start.

        Args:
            now_ns: Unix time, as the clock says.
        """
        if self._first_ns is None:
            self._first_ns = now_ns
        if self._newest_ns is None:
            return now_ns
        return min(now_ns, self._newest_ns + now_ns - self._first_ns)
