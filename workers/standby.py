"""A stream that is about to move to this worker: keeps its newest frames without predicting them."""

from collections import deque

from pipeline.account.stats import StreamStats
from pipeline.base.frame import FrameId
from pipeline.flow.gaps import Gap
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.messages import EndOfStream


class Standby:
    """Holds the frames of one stream until it is known which of them the former owner has dealt with.

    Args:
        generation: That the stream will have here.
        capacity: Frames that are held: of a live stream the newest, of another one the others wait.
        until_ns: When it is given up: meanwhile it may hold up streams that lose nothing.

    Attributes:
        generation: See above.
        until_ns: See above.
        end: Of the stream, if that has come.
    """

    def __init__(self, generation: int, capacity: int, until_ns: int) -> None:
        self.generation, self.until_ns = generation, until_ns
        self.end: EndOfStream | None = None
        self._capacity = capacity
        self._frames: deque[ReceivedFrame] = deque()
        self._gone: list[FrameId] = []

    @property
    def has_begun(self) -> bool:
        """Whether anything of the stream has arrived: publishers know that it is taken here."""
        return bool(self._frames) or self.end is not None

    @property
    def room(self) -> int | None:
        """Frames that can be taken before one would have to go; None where that does not matter."""
        if not self._frames or self._frames[-1].header.policy != "every":
            return None
        return self._capacity - len(self._frames)

    def take(self, received: ReceivedFrame | EndOfStream) -> None:
        """Takes what has arrived."""
        if isinstance(received, EndOfStream):
            self.end = received
            return
        self.end = None
        self._frames.append(received)
        if len(self._frames) > self._capacity:
            self._gone.append(self._frames.popleft().header.id)

    def after(self, last: FrameId | None) -> tuple[list[ReceivedFrame], int]:
        """The frames that come after one, oldest first, and how many of those had to go."""
        frames = [received for received in self._frames if not received.header.id.is_up_to(last)]
        return frames, sum(not frame.is_up_to(last) for frame in self._gone)


def count_lost(stats: StreamStats, gap: Gap, gone: int | None) -> str:
    """Counts the frames that are missing before one that is here.

    Args:
        stats: Where they count.
        gap: What is missing.
        gone: If the frame before was the last one of the former owner: frames that had to go on standby.

    Returns:
        A line for people about frames that the former owner had and left, without the name of the stream;
        empty if there are none.
    """
    if gone is None or gap.reset == "restart":
        stats.skip("wire.lost", gap.lost)
        return ""
    gone = min(gone, gap.lost)
    left = gap.lost - gone
    stats.skip("inference.overflow", gone)
    stats.skip("inference.stopped", left)
    return f"{left} frames that waited at its former worker are not predicted" if left else ""
