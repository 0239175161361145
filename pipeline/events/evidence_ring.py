"""A bounded buffer of the recent frames of all streams as JPEG, the source of evidence."""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pipeline.base.frame import FrameId

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeptPicture(Generic[T]):
    """An image in memory.

    Attributes:
        id: Identity of its frame.
        time_ns: Position on the stream's timeline, see ``Frame.time_ns``.
        wall_ns: Unix time at which it was captured.
        jpeg: The JPEG data.
        details: Data about the frame.
        details_bytes: Approximate size of ``details`` in memory.
        number: Index within the stream, from 0.
    """

    id: FrameId
    time_ns: int
    wall_ns: int
    jpeg: bytes
    details: T
    details_bytes: int
    number: int = -1

    @property
    def nbytes(self) -> int:
        """Approximate size in memory."""
        return len(self.jpeg) + self.details_bytes


@dataclass(slots=True)
class _Stream(Generic[T]):
    pictures: deque[KeptPicture[T]] = field(default_factory=deque)
    by_id: dict[FrameId, KeptPicture[T]] = field(default_factory=dict)
    nbytes: int = 0
    count: int = 0
    needed: int | None = None
    dropped_ns: int | None = None


class EvidenceRing(Generic[T]):
    """Recent images of all streams; not thread-safe.

    If they would exceed ``most_bytes``, the oldest image of the largest stream is dropped.

    Args:
        keep_s: How long the images of each stream are kept, in seconds.
        most_bytes: Limit on the total size; an image larger than this is not kept.
    """

    def __init__(self, keep_s: float, most_bytes: int) -> None:
        self._keep_ns, self._most_bytes = int(keep_s * 1e9), most_bytes
        self._streams: dict[str, _Stream[T]] = {}
        self.nbytes = 0

    def add(self, picture: KeptPicture[T]) -> None:
        """Adds the next image of its stream; drops earlier images if the stream's clock has gone back."""
        stream = self._streams.setdefault(picture.id.stream_id, _Stream())
        if stream.pictures and picture.time_ns < stream.pictures[-1].time_ns:
            while stream.pictures:
                self._drop_oldest(stream)
            stream.dropped_ns = None
        numbered = replace(picture, number=stream.count)
        stream.pictures.append(numbered)
        stream.by_id[picture.id] = numbered
        stream.count += 1
        stream.nbytes += picture.nbytes
        self.nbytes += picture.nbytes
        self._trim(stream)
        while self.nbytes > self._most_bytes:
            largest = max(self._streams.values(), key=lambda one: one.nbytes)
            largest.dropped_ns = largest.pictures[0].time_ns
            self._drop_oldest(largest)

    def keep(self, keep_s: float) -> None:
        """Changes how long images are kept, in seconds; may be called from any thread."""
        self._keep_ns = int(keep_s * 1e9)

    def has_dropped(self, stream_id: str, time_ns: int) -> bool:
        """Whether an image at or after ``time_ns`` on the stream's timeline was dropped for lack of space."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.dropped_ns is not None and stream.dropped_ns >= time_ns

    def hold(self, stream_id: str, number: int | None) -> None:
        """Keeps images from ``number`` onwards beyond the time limit, space permitting; None ends this."""
        stream = self._streams.setdefault(stream_id, _Stream())
        stream.needed = number

    def find(self, frame_id: FrameId) -> KeptPicture[T] | None:
        """The image of a frame, if it is still in memory."""
        stream = self._streams.get(frame_id.stream_id)
        return stream.by_id.get(frame_id) if stream else None

    def after(self, stream_id: str, number: int) -> KeptPicture[T] | None:
        """The first available image after a number; None if there is none yet."""
        pictures = self._pictures(stream_id)
        if not pictures or pictures[-1].number <= number:
            return None
        return pictures[max(0, number + 1 - pictures[0].number)]

    def newest(self, stream_id: str) -> KeptPicture[T] | None:
        """The last image of a stream; None if there is none."""
        pictures = self._pictures(stream_id)
        return pictures[-1] if pictures else None

    def at(self, stream_id: str, wall_ns: int) -> KeptPicture[T] | None:
        """The last image captured at or before a time, else the oldest one; None if there is no image."""
        pictures = self._pictures(stream_id)
        older = next((one for one in reversed(pictures) if one.wall_ns <= wall_ns), None)
        return older or (pictures[0] if pictures else None)

    def between(self, stream_id: str, first_wall_ns: int, last_wall_ns: int) -> list[KeptPicture[T]]:
        """The images captured in a time span, oldest first."""
        return [one for one in self._pictures(stream_id) if first_wall_ns <= one.wall_ns <= last_wall_ns]

    def until(self, stream_id: str, time_ns: int) -> list[KeptPicture[T]]:
        """The images not later than ``time_ns`` on the timeline, oldest first."""
        return [one for one in self._pictures(stream_id) if one.time_ns <= time_ns]

    def first_since(self, stream_id: str, time_ns: int) -> KeptPicture[T] | None:
        """The first image not earlier than ``time_ns`` on the timeline."""
        return next((one for one in self._pictures(stream_id) if one.time_ns >= time_ns), None)

    def _pictures(self, stream_id: str) -> deque[KeptPicture[T]]:
        stream = self._streams.get(stream_id)
        return stream.pictures if stream else deque()

    def _trim(self, stream: _Stream[T]) -> None:
        oldest_ns = stream.pictures[-1].time_ns - self._keep_ns
        while stream.pictures[0].time_ns < oldest_ns:
            if stream.needed is not None and stream.pictures[0].number >= stream.needed:
                return
            self._drop_oldest(stream)

    def _drop_oldest(self, stream: _Stream[T]) -> None:
        gone = stream.pictures.popleft()
        stream.by_id.pop(gone.id, None)
        stream.nbytes -= gone.nbytes
        self.nbytes -= gone.nbytes
