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
    """An event, and the capture time (Unix) of the frame that confirmed it."""

    event: Event
    told_ns: int


class EvidenceQueue:
    """A non-blocking queue between two threads.

    Args:
        most_bytes: Limit for the waiting frames; a single frame may be larger.

    Attributes:
        missed: Frames dropped because the queue was full.
    """

    def __init__(self, most_bytes: int) -> None:
        self.missed = 0
        self._most_bytes = most_bytes
        self._queue: deque[Seen | Told] = deque()  # no wake-up of the other thread: it costs the caller time
        self._put_bytes = 0  # written only by the producer
        self._taken_bytes = 0  # written only by the consumer

    @property
    def waiting(self) -> int:
        """Bytes of frames that are not processed yet."""
        return self._put_bytes - self._taken_bytes

    def put(self, what: Seen | Told) -> None:
        """Adds an event, or a frame if there is room for it."""
        if isinstance(what, Seen):
            waiting = self.waiting
            if waiting and waiting + what.image.nbytes > self._most_bytes:
                self.missed += 1
                return
            self._put_bytes += what.image.nbytes
        self._queue.append(what)

    def pop(self) -> Seen | Told | None:
        """The next entry; None if the queue is empty."""
        return self._queue.popleft() if self._queue else None

    def done_with(self, what: Seen | Told) -> None:
        """Frees the room of a processed entry."""
        if isinstance(what, Seen):
            self._taken_bytes += what.image.nbytes
