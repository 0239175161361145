"""Deletes the oldest files on disk, by age, total size and free space."""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.base.present_time import PresentTime

_DAY_NS = 86_400 * 10**9
_FREE_SHARE, _FREE_BYTES = 0.05, 16 << 20
"""So much of the disk is left free: a share of it, at most so many bytes."""
K = TypeVar("K", bound=Hashable)


class OldestFirst(Generic[K]):
    """Files or folders that may be removed when their turn comes: complete ones only.

    Args:
        root: A folder on their disk.
        keep_days: What is older is removed.
        max_mb: The oldest is removed where all of it would be larger, in 2**20 bytes.
        remove: Removes one of them from the disk; what can't be removed is not tried again.
        times_free: How many times as much of the disk as usual is left free: who leaves more goes first.
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
        """Notes what is complete: its Unix time, and how much of the disk it takes."""
        self.leave(what)
        self._kept[what] = time_ns, nbytes
        self._bytes += nbytes

    def leave(self, what: K) -> None:
        """Forgets about something, which stays on disk."""
        self._bytes -= self._kept.pop(what, (0, 0))[1]

    def forget_old(self, now_ns: int) -> None:
        """Removes what is too old, and the oldest while there is too much.

        What is there at the first call says how late it is, where the clock says that it is later.

        Args:
            now_ns: Unix time, as the clock says.
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
        """Removes the oldest while the disk is nearly full.

        Args:
            nbytes: What is about to be written.

        Returns:
            Whether there is room for it now.

        Raises:
            OSError: The disk does not answer.
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
