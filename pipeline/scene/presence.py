"""A yes/no state with hysteresis: it changes after the opposite has lasted for a while."""

from pipeline.base.event import Moment

SETTLES_IN_MS = 120.0


class Presence:
    """Whether a thing is in a zone, past a line, or anything else that is seen look by look.

    Args:
        holds: How it begins.
        now: Since when.
        settles_in_ms: For so long the opposite has to be seen.

    Attributes:
        holds: What is believed.
        since: When it became so: the first look that said so.
    """

    __slots__ = ("_other_since", "_settles_in_ms", "holds", "since")

    def __init__(self, holds: bool, now: Moment, settles_in_ms: float = SETTLES_IN_MS) -> None:
        self.holds, self.since, self._settles_in_ms = holds, now, settles_in_ms
        self._other_since: Moment | None = None

    def doubt(self) -> None:
        """A look that said neither: what was seen of the opposite does not count any more."""
        self._other_since = None

    def see(self, holds: bool, now: Moment) -> bool:
        """Takes in a look; whether it changes what is believed."""
        if holds == self.holds:
            self._other_since = None
            return False
        if self._other_since is None:
            self._other_since = now
        if (now.time_ns - self._other_since.time_ns) / 1e6 < self._settles_in_ms:
            return False
        self.holds, self.since, self._other_since = holds, self._other_since, None
        return True
