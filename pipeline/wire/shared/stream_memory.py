"""The shared memory of one stream: created, offered, and replaced when frames grow."""

import math
import time
from collections.abc import Set

from pipeline.base.frame import Image
from pipeline.wire.messages import Offer
from pipeline.wire.shared.reader_seats import SegmentReaders
from pipeline.wire.shared.segment import Segment, SegmentError

_MOST_SLOTS = 8
_FEWEST_SLOTS = 3
_OFFER_S = 0.25


class StreamMemory:
    """A publisher's segment for one stream, or none.

    Args:
        stream_id: The stream, for events.
        segments: All segments of the publisher, by token in hexadecimal; this stream's is added.
        most_shared: Limit of a segment in bytes.
        most_bytes: Largest frame that receivers accept.
        patience_s: How long to wait for a reader that reports the memory as open but has not opened it.
    """

    def __init__(
        self,
        stream_id: str,
        segments: dict[bytes, SegmentReaders],
        most_shared: int,
        most_bytes: int,
        patience_s: float,
    ) -> None:
        self._stream_id = stream_id
        self._segments = segments
        self._most_shared, self._most_bytes = most_shared, most_bytes
        self._patience_s = patience_s
        self._readers: SegmentReaders | None = None
        self._frame_bytes = 0
        self._refused_bytes = math.inf
        self._offered_at = 0.0
        self._events: list[str] = []

    def find(self, image: Image, readers: Set[bytes]) -> SegmentReaders | None:
        """The memory for an image; None until all readers have answered whether they can open it.

        Args:
            image: The image, already checked.
            readers: Receivers of the frame.
        """
        size = image.nbytes
        if self._frame_bytes < size < self._refused_bytes:
            self._make(size)
        shared = self._readers if size <= self._frame_bytes else None
        if shared is not None:
            shared.keep(readers)
        if shared is None or (shared.ready(readers) and not shared.ignored):
            return shared
        if shared.settle(readers, self._patience_s):
            self._events.append(
                f"{self._stream_id}: a reader reports the shared memory as open but has not opened it: "
                "it gets no frames until it does"
            )
        return shared if shared.ready(readers) else None

    def due_offer(self, image: Image, readers: Set[bytes]) -> Offer | None:
        """The offer to send now if some readers have not answered yet, else None; see ``offered``."""
        shared = self._readers if image.nbytes <= self._frame_bytes else None
        if shared is None or not shared.undecided(readers) or time.monotonic() - self._offered_at < _OFFER_S:
            return None
        return shared.segment.offer(self._stream_id)

    def offered(self) -> None:
        """Records that the offer was sent, to limit the rate of offers."""
        self._offered_at = time.monotonic()

    def count_sent(self) -> None:
        """Counts a frame sent through the memory."""
        assert self._readers is not None
        self._readers.sent += 1

    def pop_events(self) -> list[str]:
        """Human-readable events since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Frees the memory."""
        if self._readers:
            self._segments.pop(self._readers.segment.token.hex().encode(), None)
            self._readers.segment.close()
            self._readers, self._frame_bytes = None, 0

    def _make(self, size: int) -> None:
        """Replaces the memory with one for frames of this size; keeps the old one on failure.

        It grows by at least half, because all readers must open each new segment and keep the old one for a
        while.
        """
        fitting = self._most_shared // _FEWEST_SLOTS
        if size > self._most_bytes:
            return  # receivers would reject it in any case
        roomy = max(size, min(self._frame_bytes * 3 // 2, fitting, self._most_bytes))
        try:
            if size > fitting:
                raise SegmentError(
                    f"capture.shm_mb is less than {_FEWEST_SLOTS} frames of {size / 2**20:.0f} MB"
                )
            segment = Segment(min(_MOST_SLOTS, self._most_shared // roomy), roomy)
        except SegmentError as error:
            self._refused_bytes = size
            self._events.append(f"{self._stream_id}: frames go through the socket: {error}")
            return
        if self._readers:
            del self._segments[self._readers.segment.token.hex().encode()]
            self._readers.segment.close()
        self._readers, self._frame_bytes, self._offered_at = SegmentReaders(segment), roomy, 0.0
        self._segments[segment.token.hex().encode()] = self._readers
