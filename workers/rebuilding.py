"""Rebuilds the cached past of a live stream from recent frames that capture sends again."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
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
        image: Its picture, if it has still to go through the network.
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
        self._expected: list[ReceivedFrame] | None = []
        self._entries: dict[FrameId, Any] = {}  # computed ahead; None of a picture that can't be decoded

    def took(self, received: ReceivedFrame) -> bool:
        """Takes a frame if it was sent once more; of others it notes the newest."""
        if received.replayed:
            if not received.header.smeared:
                self._again.append(received)
                self._expected = None
        else:
            self._next = received.header
        return received.replayed

    def clear(self) -> None:
        """Forgets the frames."""
        self._again.clear()
        self._entries.clear()
        self._expected = []

    @property
    def expected(self) -> list[ReceivedFrame]:
        """The frames that the next one looks at if it comes in time, and that were not computed yet."""
        if self._next is not None or len(self._history):
            return []
        if self._expected is None:
            self._expected = self._find_expected()
        return self._expected

    def pop_expected(self, most: int, rejects: Rejects) -> list[_Row]:
        """Some of the expected frames; ``keep`` each."""
        expected = self.expected
        rows = [self._row(one, True, rejects) for one in expected[:most]]
        del expected[:most]
        return rows

    def keep(self, header: FrameHeader, entry: Any) -> None:
        """Keeps what was computed of an expected frame until the next one is there."""
        self._entries[header.id] = entry

    def pop(self, rejects: Rejects) -> list[_Row]:
        """The frames before the next one, with the pictures of those that it looks at."""
        again, entries, target = list(self._again), self._entries, self._next
        self._entries = {}
        self.clear()
        if not again or target is None or len(self._history):
            return []  # who has a past of its own needs no other
        rows = [one for one in again if _fits(one.header, target)]
        if not rows or target.capture_ns - rows[-1].header.capture_ns > self._max_gap_ns:
            return []
        wanted = self._history.wanted([one.header.capture_ns for one in rows], target.capture_ns)
        return [
            _Row(self, one.header, None, entries[one.header.id])
            if one.header.id in entries
            else self._row(one, one.header.capture_ns in wanted, rejects)
            for one in rows
        ]

    def remember(self, header: FrameHeader, entry: Any) -> None:
        """Keeps a frame, or notes it if there is no entry."""
        if entry is None:
            self._history.note(header.capture_ns)
            return
        self._history.append(self._key(header.id, header.truth), header.capture_ns, entry)
        self._stats.cache_depth = self._history.depth
        self._stats.rebuilt += 1

    def _find_expected(self) -> list[ReceivedFrame]:
        last = self._again[-1]
        rows = [one for one in self._again if one is last or _fits(one.header, last.header)]
        self._entries = {
            one.header.id: self._entries[one.header.id] for one in rows if one.header.id in self._entries
        }
        times = [one.header.capture_ns for one in rows]
        steps = [later - earlier for earlier, later in pairwise(times)]
        wanted = self._history.wanted(times, times[-1] + int(median(steps) if steps else self._max_gap_ns))
        return [one for one in rows if one.header.capture_ns in wanted and one.header.id not in self._entries]

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
    _compute(rows, runtime, most)
    for row in rows:
        row.rebuilding.remember(row.header, row.entry)


def rebuild_ahead(streams: Iterable[Rebuilding], runtime: Runtime, most: int, rejects: Rejects) -> None:
    """One step of ``rebuild`` before the next frames are there, if there is anything to do.

    Args:
        streams: All.
        runtime: See there.
        most: See there.
        rejects: See there.
    """
    rows: list[_Row] = []
    for stream in streams:
        rows += stream.pop_expected(most - len(rows), rejects)
    _compute(rows, runtime, most)
    for row in rows:
        row.rebuilding.keep(row.header, row.entry)


def _compute(rows: Iterable[_Row], runtime: Runtime, most: int) -> None:
    """Computes what is remembered of pictures."""
    wanted = [(row, row.image) for row in rows if row.image is not None]
    for start in range(0, len(wanted), most):
        step = wanted[start : start + most]
        past = [[None] * runtime.num_past] * len(step)
        memories = runtime.infer([image for _, image in step], past).remember()
        for (row, _), memory in zip(step, memories, strict=True):
            row.entry = memory.entry


def _fits(header: FrameHeader, target: FrameHeader) -> bool:
    """Whether a frame came before the next one, of the same opening of its source, in the same size."""
    same = ("session", "epoch", "height", "width", "source_size")
    return header.capture_ns < target.capture_ns and all(
        getattr(header, name) == getattr(target, name) for name in same
    )
