"""Runs slow operations of the coordinator in threads, one of each kind at a time."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")

_MOST_AT_ONCE = 32


class Errands:
    """Begins them, and tells what came of them.

    Args:
        lock: Held while ``then`` is called.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "fleet")
        self._under_way: dict[tuple[str, ...], Future[None]] = {}
        self._is_closed = False

    def begin(self, key: tuple[str, ...], work: Callable[[], R], then: Callable[[R], None]) -> None:
        """Does something, and then something with its result; nothing if one of this key is under way.

        Args:
            key: What it is about.
            work: Done in another thread, without the lock.
            then: Done after that, under the lock; not if it failed.
        """
        if self._is_closed or key in self._under_way:
            return

        def run() -> None:
            try:
                try:
                    result = work()
                finally:
                    with self._lock:
                        del self._under_way[key]
                with self._lock:
                    then(result)
            except Exception:
                sys.excepthook(*sys.exc_info())  # into the log of this process

        self._under_way[key] = self._pool.submit(run)

    def close(self) -> None:
        """Waits for those that are under way; begins no more. Not to be called under the lock."""
        self._is_closed = True
        self._pool.shutdown()
