"""Limits the memory for received frames, over all streams."""

import weakref
from collections import deque

from pipeline.base.errors import WireError


class MemoryBudget:
    """Memory of all frames (or attention weights) of one receiver, until they are garbage-collected.

    Args:
        most_mb: Limit in MiB: ``wire.max_memory_mb``.
    """

    def __init__(self, most_mb: float) -> None:
        self._most_mb = most_mb
        self._used = 0
        self._freed: deque[int] = deque()  # filled by finalisers, in any thread

    @property
    def is_used_up(self) -> bool:
        """Whether the limit is reached, so that messages that can wait are not read."""
        while self._freed:
            self._used -= self._freed.popleft()
        return self._used >= self._most_mb * 2**20

    def check(self, size: int) -> None:
        """Checks that there is room for ``size`` bytes.

        Raises:
            WireError: ``memory``: there is no room.
        """
        if self.is_used_up or self._used + size > self._most_mb * 2**20:
            raise WireError(
                "memory",
                f"no room for {size / 2**20:.0f} MB: {self._used / 2**20:.0f} MB are in use, and "
                f"wire.max_memory_mb allows {self._most_mb:g}",
            )

    def charge(self, holder: object, size: int) -> None:
        """Counts ``size`` bytes for the lifetime of ``holder``."""
        self._used += size
        weakref.finalize(holder, self._freed.append, size).atexit = False
