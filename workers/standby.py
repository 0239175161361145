"""A stream that is about to move to this worker: keeps its newest frames without predicting them."""

from collections import deque

from pipeline.account.stats import StreamStats
from pipeline.base.frame import FrameId
from pipeline.flow.gaps import Gap
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.messages import EndOfStream


class Standby:
    """Holds the frames of one stream until it is known which of them the former owner has handled.

    Args:
        generation: The stream's generation here.
        capacity: Frames held: the newest of a live stream; of a file, further frames wait.
        until_ns: Unix time at which standby ends, as it may block every-frame streams.

    Attributes:
        generation: The argument ``generation``.
        until_ns: The argument ``until_ns``.
        end: The end of the stream, if it has arrived.
    """

    def __init__(self, generation: int, capacity: int, until_ns: int) -> None:
        self.generation, self.until_ns = generation, until_ns
        self.end: EndOfStream | None = None
        self._capacity = capacity
        self._frames: deque[ReceivedFrame] = deque()
        self._gone: list[FrameId] = []

    @property
    def has_begun(self) -> bool:
        """Whether a message of the stream has arrived, so that the subscription is active."""
        return bool(self._frames) or self.end is not None

    @property
    def room(self) -> int | None:
        """Frames that fit before one would be dropped; None if dropping is allowed."""
        if not self._frames or self._frames[-1].header.policy != "every":
            return None
        return self._capacity - len(self._frames)

    def take(self, received: ReceivedFrame | EndOfStream) -> None:
        """Takes a received frame or the end of the stream."""
        if isinstance(received, EndOfStream):
            self.end = received
            return
        self.end = None
        self._frames.append(received)
        if len(self._frames) > self._capacity:
            self._gone.append(self._frames.popleft().header.id)

    def after(self, last: FrameId | None) -> tuple[list[ReceivedFrame], int]:
        """The frames after ``last``, oldest first, and how many of those were dropped."""
        frames = [received for received in self._frames if not received.header.id.is_up_to(last)]
        return frames, sum(not frame.is_up_to(last) for frame in self._gone)


def count_lost(stats: StreamStats, gap: Gap, gone: int | None) -> str:
    """Counts the frames that are missing immediately before a received frame or the end of the stream.

    Args:
        stats: Statistics in which they are counted.
        gap: The missing frames.
        gone: Number of frames dropped on standby; None unless the gap directly follows the last frame that
            the former owner handled.

    Returns:
        A message about frames that the former owner received but did not predict, without the stream's name;
        empty if there are none.
    """
    if gone is None or gap.reset == "restart":
        stats.skip("wire.lost", gap.lost)
        return ""
    gone = min(gone, gap.lost)
    left = gap.lost - gone
    stats.skip("inference.overflow", gone)
    stats.skip("inference.stopped", left)
    return f"{left} frames that only its former worker received are not predicted" if left else ""
