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
    """A replayed frame.

    Attributes:
        rebuilding: The stream's ``Rebuilding``.
        header: The frame's header.
        image: Its image, if it still has to go through the network.
        entry: Its cache entry.
    """

    rebuilding: "Rebuilding"
    header: FrameHeader
    image: Image | None
    entry: Any = None


class Rebuilding:
    """Replayed frames of one stream, held until its next new frame arrives.

    Args:
        history: The stream's cached frames.
        key: Makes the key of a cached frame from its identity and label.
        stats: Statistics in which rebuilt frames are counted.
        max_gap_ms: Frames before a longer gap are not used, in ms.
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
        self._entries: dict[FrameId, Any] = {}  # computed ahead; None if the image can't be decoded

    def took(self, received: ReceivedFrame) -> bool:
        """Whether a frame is replayed; if so, stores it (unless smeared), otherwise notes its header."""
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
        """Frames not yet computed that the next frame will use if it arrives on time."""
        if self._next is not None or len(self._history):
            return []
        if self._expected is None:
            self._expected = self._find_expected()
        return self._expected

    def pop_expected(self, most: int, rejects: Rejects) -> list[_Row]:
        """Up to ``most`` of the expected frames; pass each result to ``keep``."""
        expected = self.expected
        rows = [self._row(one, True, rejects) for one in expected[:most]]
        del expected[:most]
        return rows

    def keep(self, header: FrameHeader, entry: Any) -> None:
        """Stores the entry of an expected frame until the next new frame arrives."""
        self._entries[header.id] = entry

    def pop(self, rejects: Rejects) -> list[_Row]:
        """The frames before the next new one, with the images of those that it uses."""
        again, entries, target = list(self._again), self._entries, self._next
        self._entries = {}
        self.clear()
        if not again or target is None or len(self._history):
            return []  # it already has cached frames
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
        """Caches a frame, or only notes its time if there is no entry."""
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
    """Caches the replayed frames that the next frames use, without predicting.

    Args:
        streams: Streams whose next new frame has arrived, so that no more frames are replayed before it.
        runtime: Computes the cache entries.
        most: Largest batch, that of the warm-up: the first larger one would be slow.
        rejects: Counts frames that can't be decoded.
    """
    rows = [row for stream in streams for row in stream.pop(rejects)]
    _compute(rows, runtime, most)
    for row in rows:
        row.rebuilding.remember(row.header, row.entry)


def rebuild_ahead(streams: Iterable[Rebuilding], runtime: Runtime, most: int, rejects: Rejects) -> None:
    """Runs one step of ``rebuild`` before the next frames arrive, if there is anything to do.

    Args:
        streams: All streams.
        runtime: See ``rebuild``.
        most: See ``rebuild``.
        rejects: See ``rebuild``.
    """
    rows: list[_Row] = []
    for stream in streams:
        rows += stream.pop_expected(most - len(rows), rejects)
    _compute(rows, runtime, most)
    for row in rows:
        row.rebuilding.keep(row.header, row.entry)


def _compute(rows: Iterable[_Row], runtime: Runtime, most: int) -> None:
    """Computes the cache entries of images."""
    wanted = [(row, row.image) for row in rows if row.image is not None]
    for start in range(0, len(wanted), most):
        step = wanted[start : start + most]
        past = [[None] * runtime.num_past] * len(step)
        memories = runtime.infer([image for _, image in step], past).remember()
        for (row, _), memory in zip(step, memories, strict=True):
            row.entry = memory.entry


def _fits(header: FrameHeader, target: FrameHeader) -> bool:
    """Whether a frame precedes ``target``, with the same source opening and size."""
    same = ("session", "epoch", "height", "width", "source_size")
    return header.capture_ns < target.capture_ns and all(
        getattr(header, name) == getattr(target, name) for name in same
    )
