"""Rebuilds the cached past of a live stream from recent frames that capture sends again."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.account.stats import StreamStats
from pipeline.base.errors import WireError
from pipeline.base.frame import FrameId
from pipeline.model.history import StreamHistory
from pipeline.runtime.base import Runtime
from pipeline.runtime.step import Image
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.messages import FrameHeader
from pipeline.wire.rejects import Rejects

_MOST = 64


@dataclass(slots=True)
class _Row:
    """A frame that was sent once more.

    Attributes:
        rebuilding: Whose it is.
        header: Of the frame.
        image: Its picture, if it has to be remembered.
        entry: What is remembered of it.
    """

    rebuilding: "Rebuilding"
    header: FrameHeader
    image: Image | None
    entry: Any = None


class Rebuilding:
    """Frames of one stream that were sent once more, until the next frame of it is there.

    Args:
        history: What is remembered of the stream.
        key: Makes the key of a remembered frame from its identity and its label.
        stats: Where it counts.
        max_gap_ms: A longer silence makes worthless what was before.
    """

    def __init__(
        self,
        history: StreamHistory[Any],
        key: Callable[[FrameId, str | None], Any],
        stats: StreamStats,
        max_gap_ms: float,
    ) -> None:
        self._history, self._key, self._stats = history, key, stats
        self._max_gap_ns = max_gap_ms * 1e6
        self._again: deque[ReceivedFrame] = deque(maxlen=_MOST)
        self._next: FrameHeader | None = None

    def took(self, received: ReceivedFrame) -> bool:
        """Takes a frame if it was sent once more; of others it notes the newest."""
        if received.replayed:
            if not received.header.smeared:
                self._again.append(received)
        else:
            self._next = received.header
        return received.replayed

    def clear(self) -> None:
        """Forgets the frames."""
        self._again.clear()

    def pop(self, rejects: Rejects) -> list[_Row]:
        """The frames before the next one, with the pictures of those that it looks at."""
        again, target = list(self._again), self._next
        self._again.clear()
        if not again or target is None or len(self._history):
            return []  # who has a past of its own needs no other
        rows = [one for one in again if _fits(one.header, target)]
        if not rows or target.capture_ns - rows[-1].header.capture_ns > self._max_gap_ns:
            return []
        wanted = self._history.wanted([one.header.capture_ns for one in rows], target.capture_ns)
        return [self._row(one, one.header.capture_ns in wanted, rejects) for one in rows]

    def remember(self, header: FrameHeader, entry: Any) -> None:
        """Keeps a frame, or notes it if there is no entry."""
        if entry is None:
            self._history.note(header.capture_ns)
            return
        self._history.append(self._key(header.id, header.truth), header.capture_ns, entry)
        self._stats.cache_depth = self._history.depth
        self._stats.rebuilt += 1

    def _row(self, received: ReceivedFrame, is_wanted: bool, rejects: Rejects) -> _Row:
        image = None
        if is_wanted:
            try:
                image = received.decode().image
            except WireError as error:
                rejects.add(received.header.stream_id, error)
        return _Row(self, received.header, image)


def rebuild(streams: Iterable[Rebuilding], runtime: Runtime, most: int, rejects: Rejects) -> None:
    """Remembers what the next frames look at, of frames that were sent once more; it predicts nothing.

    Args:
        streams: Those of which the next frame is there: no frame from before it comes later.
        runtime: Computes the memories.
        most: Frames in one step: as many as were warmed up, because the first larger one takes long.
        rejects: Counts frames that can't be decoded.
    """
    rows = [row for stream in streams for row in stream.pop(rejects)]
    wanted = [(row, row.image) for row in rows if row.image is not None]
    for start in range(0, len(wanted), most):
        step = wanted[start : start + most]
        past = [[None] * runtime.num_past] * len(step)
        memories = runtime.infer([image for _, image in step], past).remember()
        for (row, _), memory in zip(step, memories, strict=True):
            row.entry = memory.entry
    for row in rows:
        row.rebuilding.remember(row.header, row.entry)


def _fits(header: FrameHeader, target: FrameHeader) -> bool:
    """Whether a frame came before the next one, of the same opening of its source, in the same size."""
    same = ("session", "epoch", "height", "width", "source_size")
    return header.capture_ns < target.capture_ns and all(
        getattr(header, name) == getattr(target, name) for name in same
    )
