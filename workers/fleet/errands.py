"""Runs slow operations of the coordinator in threads, one of each kind at a time."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")

_MOST_AT_ONCE = 32


class Errands:
    """Runs operations in a thread pool and passes on their results.

    Args:
        lock: Held while ``then`` is called.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "fleet")
        self._under_way: dict[tuple[str, ...], Future[None]] = {}
        self._is_closed = False

    def begin(self, key: tuple[str, ...], work: Callable[[], R], then: Callable[[R], None]) -> None:
        """Runs ``work``, then ``then`` with its result; does nothing if one with this key is running.

        Args:
            key: Identifies the operation.
            work: Called in another thread, without the lock.
            then: Called with the result, under the lock; not called if ``work`` raised.
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
                sys.excepthook(*sys.exc_info())  # to the log of this process

        self._under_way[key] = self._pool.submit(run)

    def close(self) -> None:
        """Waits for running operations and starts no more. Do not call it while holding the lock."""
        self._is_closed = True
        self._pool.shutdown()
