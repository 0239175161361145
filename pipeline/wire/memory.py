"""Limits the memory for received frames, over all streams."""

import weakref
from collections import deque

from pipeline.base.errors import WireError


class MemoryBudget:
    """What all frames (or attention weights) of one receiver hold, until nobody refers to them any more.

    Args:
        most_mb: Limit in MiB: ``wire.max_memory_mb``.
    """

    def __init__(self, most_mb: float) -> None:
        self._most_mb = most_mb
        self._used = 0
        self._freed: deque[int] = deque()  # filled whenever, and in whichever thread, a holder goes

    @property
    def is_used_up(self) -> bool:
        """Whether nothing may be added that can wait."""
        while self._freed:
            self._used -= self._freed.popleft()
        return self._used >= self._most_mb * 2**20

    def check(self, size: int) -> None:
        """Refuses what does not fit any more.

        Raises:
            WireError: ``memory``: so many bytes are too many now.
        """
        if self.is_used_up or self._used + size > self._most_mb * 2**20:
            raise WireError(
                "memory",
                f"no room for {size / 2**20:.0f} MB: what waits here holds {self._used / 2**20:.0f} MB, and "
                f"wire.max_memory_mb allows {self._most_mb:g}",
            )

    def charge(self, holder: object, size: int) -> None:
        """Counts so many bytes for as long as ``holder`` lives."""
        self._used += size
        weakref.finalize(holder, self._freed.append, size).atexit = False
