"""The reader's side of shared memory: answers offers, copies frames, returns slots."""

import time
from dataclasses import dataclass

from pipeline.base.errors import WireError
from pipeline.base.frame import Policy
from pipeline.wire import topics
from pipeline.wire.messages import Offer
from pipeline.wire.shared.segment import SegmentError, Window, machine
from pipeline.wire.subscriber import Subscriber

_MOST = 256
_IDLE_S = 60.0
_SWEEP_S = 5.0


@dataclass
class _Open:
    """An open segment.

    Attributes:
        window: The mapping.
        used_at: When it was last used, in monotonic seconds.
        read: The last ticket that was read.
        returned: The last ticket that was given back.
        announced: Whether the publisher has been notified that it is open.
    """

    window: Window
    used_at: float
    read: int = -1
    returned: int = -1
    announced: bool = False


class Windows:
    """The open segments of one connection; used by one thread.

    A segment that has not been read for a minute is released in two steps, because frames may be in flight:
    first the publisher is notified, and offers the segment again if it is alive; a minute later the segment
    is unmapped. This also frees memory left by a killed publisher.

    Args:
        subscriber: The connection.
        lane: Its lane.
        most_bytes: Largest accepted frame.
    """

    def __init__(self, subscriber: Subscriber, lane: Policy, most_bytes: int) -> None:
        self._subscriber = subscriber
        self._lane: Policy = lane
        self._most_bytes = most_bytes
        self._open: dict[bytes, _Open] = {}
        self._refused: dict[bytes, None] = {}
        self._sweep_at = time.monotonic() + _SWEEP_S

    def answer(self, offer: Offer) -> None:
        """Opens a segment if possible and notifies its publisher; offers may be repeated.

        Raises:
            WireError: ``shm``: it can't be opened although it is on this machine.
        """
        if offer.token in self._refused:
            return
        known = self._open.get(offer.token)
        try:
            if known is None:
                if len(self._open) >= _MOST:
                    raise SegmentError(f"{_MOST} others are already open")
                known = self._open[offer.token] = _Open(Window(offer, self._most_bytes), time.monotonic())
        except SegmentError as error:
            self._refuse(offer, str(error))
            return
        known.used_at = time.monotonic()
        seated = known.window.sit(self._subscriber.name)
        if seated and not known.announced:
            # Only once: libzmq counts subscriptions and reports only the last unsubscribe.
            known.announced = True
            self._subscriber.socket.subscribe(topics.opened(offer.token, self._subscriber.name))

    def read(self, token: bytes, ticket: int, length: int) -> memoryview:
        """A copy of a frame's pixels.

        Raises:
            WireError: ``overwritten``: it was overwritten; ``shm``: the segment or frame does not exist.
        """
        known = self._open.get(token)
        if known is None:
            raise WireError("shm", "a frame in shared memory that is not open here")
        known.used_at = time.monotonic()
        try:
            pixels = known.window.read(ticket, length)
        except WireError as error:
            if error.reason == "overwritten":
                known.read = max(known.read, ticket)
            raise
        known.read = max(known.read, ticket)
        return pixels

    def give_back(self) -> None:
        """Releases slots that have been read; every-frame publishers wait for this."""
        for known in self._open.values():
            if known.read > known.returned:
                known.returned = known.read
                known.window.give_back(known.read)

    def sweep(self) -> None:
        """Releases segments that have been unused for a long time, if no message is waiting."""
        now = time.monotonic()
        if now < self._sweep_at or self._subscriber.socket.poll(0):
            return
        self._sweep_at = now + _SWEEP_S
        for token, known in list(self._open.items()):
            if known.announced and now - known.used_at > _IDLE_S:
                known.announced = False
                self._subscriber.socket.unsubscribe(topics.opened(token, self._subscriber.name))
            elif now - known.used_at > 2 * _IDLE_S:
                self._open.pop(token).window.close()

    def close(self) -> None:
        """Unmaps all segments."""
        while self._open:
            self._open.popitem()[1].window.close()

    def refused(self, token: bytes) -> bool:
        """Whether this segment can't be opened, so that its frames also arrive through the socket."""
        if token not in self._refused:
            return False
        self._refused[token] = self._refused.pop(token)  # least recently used first
        return True

    def _refuse(self, offer: Offer, cause: str) -> None:
        self._refused[offer.token] = None
        # Before "closed", which makes the publisher use this topic.
        self._subscriber.socket.subscribe(topics.without(self._lane, offer.token))
        self._subscriber.socket.subscribe(topics.closed(offer.token, self._subscriber.name))
        if len(self._refused) > _MOST:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            self._subscriber.socket.unsubscribe(topics.closed(oldest, self._subscriber.name))
            self._subscriber.socket.unsubscribe(topics.without(self._lane, oldest))
        if offer.machine == machine():
            raise WireError(
                "shm",
                f"the shared memory of process {offer.pid} can't be opened here: {cause}. Frames arrive "
                "through the socket instead; for speed, run both as one user and in one container",
            )
