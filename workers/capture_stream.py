"""One source in capture: its reader, the frame waiting to be sent, and drop counts."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from pipeline.account.stats import SourceFormat, StreamStats, WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import StreamConfig
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId, Policy
from pipeline.flow.freshness.keeper import FreshnessKeeper
from pipeline.video.reader import Captured, Reader
from pipeline.wire.encoding import encode_end
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.messages import EndOfStream

_FASTEST = 1e6


class CaptureStream:
    """One stream of a capture worker.

    Args:
        entry: Its configuration.
        policy: What happens to frames when queues are full.
        live: Whether the source is a camera.
        reader: Reads the source.
        publisher: Sends the frames.
        freshness: Decides which frames are skipped or downscaled.
        worker: Statistics in which frames are counted.
        notify: Receives human-readable events.
        mark: Receives the time of each frame, for the frame rate.
        after: The ended stream of the same name, whose counts are continued.

    Attributes:
        outbox: A frame waiting for queue room, with its JPEG quality; 0 = as configured.
        started: Whether its required receivers have subscribed, so that its reader captures.
        ended: Whether the end of the stream was sent.
    """

    def __init__(
        self,
        entry: StreamConfig,
        policy: Policy,
        live: bool,
        reader: Reader,
        publisher: FramePublisher,
        freshness: FreshnessKeeper,
        worker: WorkerStats,
        *,
        notify: Callable[[str], None],
        mark: Callable[[int], None],
        after: "CaptureStream | None" = None,
    ) -> None:
        self.id, self.entry, self.policy, self.live, self.reader = entry.id, entry, policy, live, reader
        self.outbox: tuple[Frame, int] | None = None
        self.started = self.ended = False
        self._publisher, self._freshness, self._worker = publisher, freshness, worker
        self._notify, self._mark = notify, mark
        self._too_large: int = after._too_large if after else 0
        self._left_out: int = after._left_out if after else 0
        self._unsent: int = after._unsent if after else 0
        worker.stream(self.id)

    def start(self) -> None:
        """Starts capturing."""
        self.started = True
        self.reader.release()

    def forward(self, *, hold: bool) -> bool:
        """Sends one frame, or the end of the stream; False if there was nothing to do or no room.

        Args:
            hold: Whether a required receiver is absent; if so, an every-frame stream sends nothing.
        """
        if self.ended or (self.outbox is not None and not self._send()):
            return False
        if hold and self.policy == "every":
            return False
        captured = self.reader.take(0.0)
        if captured is None:
            self._count()
            if self.reader.finished:
                self._end()
            return False
        if self._freshness.leaves_out(self.id, now_ns()):
            self._left_out += 1
        else:
            self.outbox = self._prepare(captured)
            self._send()
        self._count()
        return True

    def discard(self) -> None:
        """Drops and counts frames that can no longer be sent."""
        self.reader.discard()
        if self.outbox is not None:
            self._unsent += 1
            self.outbox = None
        self._count()

    @property
    def _stats(self) -> StreamStats:
        return self._worker.stream(self.id)

    @property
    def _skipped(self) -> int:
        return self._too_large + self._left_out + self._unsent

    def _prepare(self, captured: Captured) -> tuple[Frame, int]:
        """The frame to send, and its JPEG quality."""
        picture, started_ns = captured.picture, now_ns()
        self._stats.record("capture_queue", started_ns - picture.capture_ns)
        self._mark(started_ns)
        height, width = picture.image.shape[:2]
        unpaced = not self.live and self.policy == "every" and not self.entry.pace
        self._stats.source = SourceFormat(width, height, _nominal(self.reader.fps), unpaced)
        frame = Frame(
            FrameId(self.id, self._worker.session, captured.epoch, captured.seq),
            picture.image,
            capture_ns=picture.capture_ns,
            pts_ns=picture.pts_ns,
            policy=self.policy,
            skipped=captured.skipped + self._skipped,
            truth=picture.truth,
            movers=picture.movers,
            smeared=picture.smeared,
        )
        knobs = self._freshness.knobs(self.id, min(height, width), started_ns)
        return _shrink(frame, knobs.size), knobs.quality

    def _send(self) -> bool:
        """Sends the frame in the outbox; False if there is no room for it yet."""
        assert self.outbox is not None
        stats = self._stats
        try:
            if not self._publisher.send_frame(*self.outbox):
                return False
            stats.sent += 1
            stats.record("encode", self._publisher.packing_ns(self.id))
        except WireError as error:
            if not self._too_large:
                self._notify(f"{self.id}: frames are dropped: {error}")
            self._too_large += 1
        self.outbox = None
        return True

    def _end(self) -> None:
        stats, reader = self._stats, self.reader
        end = EndOfStream(
            stream_id=self.id,
            session=self._worker.session,
            epoch=reader.epoch,
            seq=reader.captured,
            skipped=sum(reader.dropped.values()) + self._skipped,
            policy=self.policy,
        )
        if self._publisher.send(encode_end(end, "frames")):
            self.ended = True
            self._publisher.forget(self.id)
            stats.state = "ended"
            if reader.error:
                stats.error = str(reader.error)

    def _count(self) -> None:
        stats, reader = self._stats, self.reader
        stats.captured, stats.dropped = reader.captured, reader.dropped
        stats.drop("capture.too_large", self._too_large)
        stats.drop("capture.stride", self._left_out)
        stats.drop("capture.stopped", self._unsent)
        stats.seen = {self._worker.session: reader.captured}
        stats.epoch, stats.retry_ns = reader.epoch, reader.retry_ns
        for encoding, frames in self._publisher.sent(self.id).items():
            self._worker.details.setdefault("frames_sent", {})[f"{self.id}.{encoding}"] = frames
        if not self.ended:
            stats.state = reader.state if reader.state != "ended" else "up"


def _nominal(fps: float | None) -> float | None:
    """The frame rate of a source, rounded; None if it is implausible, as drivers and files may give any."""
    return round(fps, 3) if fps and 0 < fps < _FASTEST else None


def _shrink(frame: Frame, divisor: int) -> Frame:
    """The frame with each side divided by ``divisor``."""
    if divisor == 1:
        return frame
    height, width = frame.image.shape[:2]
    smaller = (max(1, width // divisor), max(1, height // divisor))
    image = np.asarray(cv2.resize(frame.image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    return replace(frame, image=image, full_size=(height, width))
