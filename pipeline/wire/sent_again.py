"""Recent frames of live streams, sent again to readers that have just joined."""

import time
from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from pipeline.base.frame import Frame
from pipeline.wire import topics
from pipeline.wire.messages import Part

_MOST_READERS = 8
"""Maximum number of replays per stream and second, so that a reader can't request them in a loop."""
_WINDOW_S = 1.0


@dataclass(slots=True)
class _Kept:
    """A sent frame: either packed, or unpacked and to be packed on request."""

    frame: Frame | None
    parts: list[Part] | None
    capture_ns: int
    nbytes: int


@dataclass(slots=True)
class _Stream:
    """The kept frames of one stream.

    Attributes:
        epoch: Epoch of these frames.
        frames: The frames, oldest first.
        nbytes: Total size in bytes.
        due: Readers that are still to receive them.
        joining: Readers that asked since the last frame and may miss the next one.
        asked: Times of recent requests, in monotonic seconds.
    """

    epoch: int
    frames: deque[_Kept] = field(default_factory=deque)
    nbytes: int = 0
    due: set[bytes] = field(default_factory=set)
    joining: set[bytes] = field(default_factory=set)
    asked: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_READERS))


class SentAgain:
    """Recently sent frames by stream; used by the publisher's thread.

    Args:
        keep_ms: Age relative to the newest frame up to which frames are kept; 0 keeps none.
        most_bytes: Maximum total size of the kept frames of one stream.
        pack: Packs a frame with its pixels.
    """

    def __init__(self, keep_ms: float, most_bytes: int, pack: Callable[[Frame], list[Part]]) -> None:
        self._keep_ns, self._most_bytes, self._pack = int(keep_ms * 1e6), most_bytes, pack
        self._streams: dict[str, _Stream] = {}

    @property
    def is_due(self) -> bool:
        """Whether frames are still to be sent to a reader."""
        return any(stream.due for stream in self._streams.values())

    def keep(self, frame: Frame, parts: list[Part] | None, readers: Set[bytes] = frozenset()) -> None:
        """Keeps a sent frame; ignores frames of every-frame streams.

        Args:
            frame: The frame; its image must not be changed afterwards.
            parts: The message, if it contained the pixels.
            readers: Subscribers of the stream when it was sent. A reader that asked earlier and is not among
                them may have missed this frame and is sent all frames again.
        """
        if frame.policy != "newest" or not self._keep_ns:
            return
        stream = self._streams.get(frame.id.stream_id)
        if stream is None or stream.epoch != frame.id.epoch:
            # After the source was reopened, earlier frames are useless.
            stream = self._streams[frame.id.stream_id] = _Stream(frame.id.epoch)
        stream.due |= stream.joining - readers
        stream.joining.clear()
        size = sum(map(len, parts)) if parts else frame.image.nbytes
        stream.frames.append(_Kept(None if parts else frame, parts, frame.capture_ns, size))
        stream.nbytes += size
        oldest_ns = frame.capture_ns - self._keep_ns
        while stream.frames[0].capture_ns < oldest_ns or stream.nbytes > self._most_bytes:
            stream.nbytes -= stream.frames.popleft().nbytes
            if not stream.frames:
                break

    def ask(self, name: bytes, stream_id: str) -> None:
        """Registers a reader's request for the frames of a stream, or of all if ``stream_id`` is empty."""
        for one in [stream_id] if stream_id else list(self._streams):
            stream, now = self._streams.get(one), time.monotonic()
            if stream is None or (len(stream.asked) == _MOST_READERS and now - stream.asked[0] < _WINDOW_S):
                continue
            stream.asked.append(now)
            if stream.frames and len(stream.due) < _MOST_READERS:
                stream.due.add(name)
                stream.joining.add(name)

    def send(self, stream_id: str, send: Callable[[list[Part]], bool]) -> bool:
        """Sends the pending frames of a stream if there is room, all in one message per reader.

        Args:
            stream_id: The stream.
            send: Sends a message; False if there is no room for it.

        Returns:
            Whether any were pending.
        """
        stream = self._streams.get(stream_id)
        if stream is None or not stream.due:
            return False
        frames = [part for kept in stream.frames for part in self._packed(kept)[1:]]
        stream.due = {name for name in stream.due if not send([topics.again(name, stream_id), *frames])}
        return True

    def send_all(self, send: Callable[[list[Part]], bool]) -> None:
        """Sends the pending frames of all streams if there is room."""
        for stream_id in [name for name, stream in self._streams.items() if stream.due]:
            self.send(stream_id, send)

    def give_up(self, stream_id: str) -> None:
        """Cancels the pending frames of a stream, because a newer frame is about to be sent."""
        if stream := self._streams.get(stream_id):
            stream.due.clear()

    def forget(self, stream_id: str) -> None:
        """Drops all frames of a stream."""
        self._streams.pop(stream_id, None)

    def _packed(self, kept: _Kept) -> list[Part]:
        if kept.parts is None:
            assert kept.frame is not None
            kept.parts, kept.frame = self._pack(kept.frame), None
        return kept.parts
