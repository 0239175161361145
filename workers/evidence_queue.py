"""The queue of the evidence thread: frames, bounded in bytes, and events."""

from collections import deque
from typing import NamedTuple

from pipeline.base.event import Event
from pipeline.base.frame import Image
from pipeline.view.overlay import Shown


class Seen(NamedTuple):
    """A frame that was shown."""

    image: Image
    shown: Shown


class Told(NamedTuple):
    """An event, and the Unix time of the picture with which it was clear."""

    event: Event
    told_ns: int


class EvidenceQueue:
    """From one thread to another; nobody waits.

    Args:
        most_bytes: Of pictures that wait; a single one may be larger.

    Attributes:
        missed: Pictures that found no room.
    """

    def __init__(self, most_bytes: int) -> None:
        self.missed = 0
        self._most_bytes = most_bytes
        self._queue: deque[Seen | Told] = deque()  # not one that wakes the thread: that costs the caller
        self._put_bytes = 0  # written by the one who puts
        self._taken_bytes = 0  # written by the one who takes

    @property
    def waiting(self) -> int:
        """Bytes of pictures that are not done with."""
        return self._put_bytes - self._taken_bytes

    def put(self, what: Seen | Told) -> None:
        """Takes a picture, if there is room for it, or an event."""
        if isinstance(what, Seen):
            waiting = self.waiting
            if waiting and waiting + what.image.nbytes > self._most_bytes:
                self.missed += 1
                return
            self._put_bytes += what.image.nbytes
        self._queue.append(what)

    def pop(self) -> Seen | Told | None:
        """The next one; None if nothing waits."""
        return self._queue.popleft() if self._queue else None

    def done_with(self, what: Seen | Told) -> None:
        """Its room is free again."""
        if isinstance(what, Seen):
            self._taken_bytes += what.image.nbytes
