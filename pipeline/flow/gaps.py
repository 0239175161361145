"""Detects missing frames and breaks in a stream from frame identities."""

from dataclasses import dataclass

from pipeline.base.frame import FrameId

_MOST_SESSIONS = 64


@dataclass(frozen=True, slots=True)
class Gap:
    """The gap between a frame and the previous one.

    Attributes:
        lost: Number of frames that were sent but never arrived.
        absent: Number of frames sent before this process started to listen; 0 except for its first frame.
        reset: Why the history is invalid: ``restart`` (capture was restarted), ``reconnect`` (the source was
            reopened), ``size`` (the frame size changed, reopened or not); None if the stream continues.
    """

    lost: int = 0
    absent: int = 0
    reset: str | None = None


class GapTracker:
    """Tracks one stream; call ``update`` with each arrival, in order."""

    def __init__(self) -> None:
        self._last: FrameId | None = None
        self._ended: FrameId | None = None
        self._skipped = 0
        self._size: tuple[int, int] | None = None
        self.seen: dict[int, int] = {}
        """Number of frames sent, by session; only the latest sessions, to keep statistics small."""

    def is_known(self, frame_id: FrameId) -> bool:
        """Whether a frame is no newer than the last one; within a session, ``seq`` only increases."""
        last = self._last
        if last is None or frame_id.session != last.session:
            return False
        return frame_id.seq < last.seq + (0 if self._ended else 1)

    def update(self, frame_id: FrameId, skipped: int, size: tuple[int, int] | None = None) -> Gap:
        """Compares a frame (or an end of stream, without a size) with the previous one.

        Args:
            frame_id: Identity; for an end of stream its ``seq`` is the number of frames captured.
            skipped: Frames of the session that capture itself dropped before this one.
            size: Height and width in pixels.
        """
        end = size is None
        if end and self._ended == frame_id:
            return Gap()  # an end is repeated until it is acknowledged
        after_end, self._ended = self._ended is not None, frame_id if end else None
        last, self._last = self._last, frame_id
        old_skipped, self._skipped = self._skipped, skipped
        old_size, self._size = self._size, size or self._size
        self.seen[frame_id.session] = frame_id.seq + (0 if end else 1)
        if len(self.seen) > _MOST_SESSIONS:
            del self.seen[next(iter(self.seen))]
        if last is None:
            return Gap(absent=frame_id.seq - skipped)
        if frame_id.session != last.session:
            return Gap(lost=frame_id.seq - skipped, reset="restart")
        # A stream that continues after its end reuses the number of the end.
        lost = frame_id.seq - last.seq - (0 if after_end else 1) - (skipped - old_skipped)
        if size and old_size and size != old_size:
            return Gap(lost=lost, reset="size")
        return Gap(lost=lost, reset="reconnect" if frame_id.epoch != last.epoch else None)
