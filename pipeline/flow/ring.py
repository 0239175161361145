"""A bounded ring that drops the oldest item and returns it for counting."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Holds at most ``capacity`` items; safe for one producer thread and one consumer thread.

    ``append`` is the newest-frame policy: it never waits and returns the evicted item. ``put`` is the
    every-frame policy: it waits for room. Every evicted item is returned, so that the caller can count it.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"the capacity of a ring must be at least 1, not {capacity}")
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def capacity(self) -> int:
        """Largest number of items."""
        return self._capacity

    @property
    def full(self) -> bool:
        """Whether the next ``append`` would drop an item."""
        return len(self._items) >= self._capacity

    @property
    def finished(self) -> bool:
        """Whether the producer has closed the ring and all items have been taken."""
        with self._changed:
            return self._closed and not self._items

    def append(self, item: T) -> T | None:
        """Adds an item; returns the oldest one if it was evicted, otherwise None."""
        with self._changed:
            evicted = self._items.popleft() if self.full else None
            self._items.append(item)
            self._changed.notify_all()
            return evicted

    def put(self, item: T, timeout_s: float) -> bool:
        """Adds an item once there is room; False if there was none within ``timeout_s`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.full, timeout_s):
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def pop(self, timeout_s: float = 0.0) -> T | None:
        """Takes the oldest item; None if none arrives within ``timeout_s`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout_s):
                return None
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item

    def pop_newest(self) -> tuple[T | None, list[T]]:
        """Takes everything: the newest item (None if empty), and the older ones, which are dropped."""
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._changed.notify_all()
        return (items[-1], items[:-1]) if items else (None, [])

    def close(self) -> None:
        """Marks the end of production and wakes all waiting threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
