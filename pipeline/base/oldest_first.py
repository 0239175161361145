"""Deletes the oldest files to enforce limits on their age, their total size and the free disk space."""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.base.present_time import PresentTime

_DAY_NS = 86_400 * 10**9
_FREE_SHARE, _FREE_BYTES = 0.05, 16 << 20
"""Disk space that is kept free: a fraction of the disk, at most this many bytes."""
K = TypeVar("K", bound=Hashable)


class OldestFirst(Generic[K]):
    """Complete files or folders that may be deleted, oldest first.

    Args:
        root: A folder on their disk.
        keep_days: Entries older than this number of days are deleted.
        max_mb: Limit of the total size, in 2**20 bytes; above it the oldest entries are deleted.
        remove: Deletes one entry from the disk; it is not called again for an entry that it failed to delete.
        times_free: Multiple of the usual free space to keep. Data with a higher value is deleted first.
    """

    def __init__(
        self, root: Path, keep_days: float, max_mb: float, remove: Callable[[K], None], times_free: int = 1
    ) -> None:
        self._root, self._remove, self._times_free = root, remove, times_free
        self._keep_ns, self._max_bytes = int(keep_days * _DAY_NS), int(max_mb * 2**20)
        self._kept: dict[K, tuple[int, int]] = {}
        self._bytes = 0
        self._present: PresentTime | None = None

    def add(self, what: K, time_ns: int, nbytes: int) -> None:
        """Registers a complete entry with its Unix time in ns and its size in bytes."""
        self.leave(what)
        self._kept[what] = time_ns, nbytes
        self._bytes += nbytes

    def leave(self, what: K) -> None:
        """Unregisters an entry and leaves it on disk."""
        self._bytes -= self._kept.pop(what, (0, 0))[1]

    def forget_old(self, now_ns: int) -> None:
        """Deletes entries that are too old, and the oldest ones above the size limit.

        A clock that is ahead must not cause all entries to be deleted, so ages are counted from the newest
        entry at the first call: see ``PresentTime``.

        Args:
            now_ns: Unix time in ns from the clock.
        """
        if self._present is None:
            self._present = PresentTime(max((time_ns for time_ns, _ in self._kept.values()), default=None))
        present_ns = self._present.at(now_ns)
        while self._kept:
            time_ns, _ = self._kept[self._oldest()]
            if time_ns >= present_ns - self._keep_ns and self._bytes <= self._max_bytes:
                return
            self._remove_oldest()

    def make_room(self, nbytes: int = 0) -> bool:
        """Deletes the oldest entries while the disk is nearly full.

        Args:
            nbytes: Size of what is about to be written.

        Returns:
            Whether there is room for it now.

        Raises:
            OSError: The free space can't be read.
        """
        while self._is_nearly_full(nbytes):
            if not self._kept:
                return False
            self._remove_oldest()
        return True

    def _oldest(self) -> K:
        return min(self._kept, key=lambda what: self._kept[what])

    def _remove_oldest(self) -> None:
        oldest = self._oldest()
        self.leave(oldest)
        self._remove(oldest)

    def _is_nearly_full(self, nbytes: int) -> bool:
        disk = os.statvfs(self._root)
        total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        return free < self._times_free * min(total * _FREE_SHARE, _FREE_BYTES) + nbytes
