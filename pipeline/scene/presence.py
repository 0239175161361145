"""A yes/no state with hysteresis: it changes after the opposite has lasted for a while."""

from pipeline.base.event import Moment

SETTLES_IN_MS = 120.0


class Presence:
    """Whether a thing is in a zone, past a line, or in any other state observed frame by frame.

    Args:
        holds: Initial state.
        now: When it began.
        settles_in_ms: Time for which the opposite must be observed.

    Attributes:
        holds: The current state.
        since: When it began: the first observation of it.
    """

    __slots__ = ("_other_since", "_settles_in_ms", "holds", "since")

    def __init__(self, holds: bool, now: Moment, settles_in_ms: float = SETTLES_IN_MS) -> None:
        self.holds, self.since, self._settles_in_ms = holds, now, settles_in_ms
        self._other_since: Moment | None = None

    def doubt(self) -> None:
        """An ambiguous observation: resets the time for which the opposite has been observed."""
        self._other_since = None

    def see(self, holds: bool, now: Moment) -> bool:
        """Processes an observation; returns whether it changes the state."""
        if holds == self.holds:
            self._other_since = None
            return False
        if self._other_since is None:
            self._other_since = now
        if (now.time_ns - self._other_since.time_ns) / 1e6 < self._settles_in_ms:
            return False
        self.holds, self.since, self._other_since = holds, self._other_since, None
        return True
