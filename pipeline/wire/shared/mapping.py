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
    """A segment that is open here.

    Attributes:
        window: The view of it.
        used_at: When it was last read, in monotonic seconds.
        read: The last ticket that was read.
        returned: The last ticket that was given back.
        announced: The publisher knows that it is open.
    """

    window: Window
    used_at: float
    read: int = -1
    returned: int = -1
    announced: bool = False


class Windows:
    """The segments that one connection has open; used by one thread.

    A segment that was not read for a minute is given up in two steps, so that a frame that is just under
    way still finds it: first the publisher is notified, which then offers it again if it is still there, a
    minute later it is let go. What a killed publisher has left in memory ends with that.

    Args:
        subscriber: The connection.
        lane: Which one.
        most_bytes: Largest frame that is taken.
    """

    def __init__(self, subscriber: Subscriber, lane: Policy, most_bytes: int) -> None:
        self._subscriber = subscriber
        self._lane: Policy = lane
        self._most_bytes = most_bytes
        self._open: dict[bytes, _Open] = {}
        self._refused: dict[bytes, None] = {}
        self._sweep_at = time.monotonic() + _SWEEP_S

    def answer(self, offer: Offer) -> None:
        """Opens a segment if that can be done, and notifies its publisher; offers may be repeated.

        Raises:
            WireError: ``shm``: it is on this machine and can't be opened all the same.
        """
        if offer.token in self._refused:
            return
        known = self._open.get(offer.token)
        try:
            if known is None:
                if len(self._open) >= _MOST:
                    raise SegmentError(f"{_MOST} others are open")
                known = self._open[offer.token] = _Open(Window(offer, self._most_bytes), time.monotonic())
        except SegmentError as error:
            self._refuse(offer, str(error))
            return
        known.used_at = time.monotonic()
        seated = known.window.sit(self._subscriber.name)
        if (
            seated and not known.announced
        ):  # once: libzmq counts, and the publisher hears of the last unsubscribing only
            known.announced = True
            self._subscriber.socket.subscribe(topics.opened(offer.token, self._subscriber.name))

    def read(self, token: bytes, ticket: int, length: int) -> memoryview:
        """A copy of a frame's pixels.

        Raises:
            WireError: ``overwritten``: it is gone; ``shm``: there is no such segment, or no such frame in it.
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
        """Releases slots that are no longer needed: where nothing may be lost they wait for that."""
        for known in self._open.values():
            if known.read > known.returned:
                known.returned = known.read
                known.window.give_back(known.read)

    def sweep(self) -> None:
        """Gives up what has not been used for long, while nothing waits on the connection."""
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
        """Lets go of all segments."""
        while self._open:
            self._open.popitem()[1].window.close()

    def refused(self, token: bytes) -> bool:
        """Whether this segment can't be opened here, so that its frames come through the socket as well."""
        if token not in self._refused:
            return False
        self._refused[token] = self._refused.pop(token)  # those asked for last are forgotten last
        return True

    def _refuse(self, offer: Offer, cause: str) -> None:
        self._refused[offer.token] = None
        self._subscriber.socket.subscribe(
            topics.without(self._lane, offer.token)
        )  # first: it counts from "closed"
        self._subscriber.socket.subscribe(topics.closed(offer.token, self._subscriber.name))
        if len(self._refused) > _MOST:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            self._subscriber.socket.unsubscribe(topics.closed(oldest, self._subscriber.name))
            self._subscriber.socket.unsubscribe(topics.without(self._lane, oldest))
        if offer.machine == machine():
            raise WireError(
                "shm",
                f"the shared memory of process {offer.pid} can't be opened here: {cause}. Frames come "
                "through the socket instead; to be faster run both as one user and in one container",
            )
