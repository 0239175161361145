"""Sends frames: through shared memory to readers on this machine, through the socket to all others."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pipeline.clock import now_ns
from pipeline.config import CaptureConfig, WireConfig
from pipeline.frame import Frame, FrameId
from pipeline.wire import address
from pipeline.wire.audience import SegmentReaders
from pipeline.wire.codec import Part, check_image, encode_frame, encode_notice, encode_offer
from pipeline.wire.messages import Encoding
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.segment import Segment, SegmentError

_MOST_SLOTS = 8
_FEWEST_SLOTS = 3
_OFFER_S = 0.25
_LISTEN_S = 0.05


@dataclass
class _Packed:
    """A frame as it goes out."""

    id: FrameId
    encoding: Encoding
    parts: list[Part]


@dataclass
class _Stream:
    """How the frames of one stream go out.

    Attributes:
        packed: A frame that has not gone yet.
        segment: The memory for its frames.
        readers: Who has that open.
        frame_bytes: Size of the largest frame that fits, or of the last one for which there could be none.
        offered_at: When it was last offered, in monotonic seconds.
        sent: Number of frames by encoding.
        packing_ns: Time for packing the last frame.
    """

    packed: _Packed | None = None
    segment: Segment | None = None
    readers: SegmentReaders = field(default_factory=SegmentReaders)
    frame_bytes: int = 0
    offered_at: float = 0.0
    sent: Counter[Encoding] = field(default_factory=Counter)
    packing_ns: int = 0


class FramePublisher(Publisher):
    """A publisher that also sends frames whose pixels lie elsewhere; used by the thread that made it.

    A stream's pixels go through shared memory as long as every receiver of its lane has said that it can
    open that; otherwise all get them through the socket. So nothing is lost while receivers come and go.
    Frames that may be dropped are written into the next slot at once. For those that must not, at most
    ``wire.queue_frames`` are on their way: the next one waits until all receivers have copied the first.

    Args:
        endpoint: ``ipc://path`` or ``tcp://host:port``; port 0 lets the system choose.
        wire: ``[wire]``.
        security: What the link must have.
        capture: ``[capture]``: encoding, quality, size of the shared memory.
        streams: Number of streams.

    Raises:
        TransportError: The endpoint can't be bound.
        SecurityError: It must not be bound as it is.
    """

    def __init__(
        self,
        endpoint: str,
        wire: WireConfig,
        security: SecurityPolicy,
        capture: CaptureConfig,
        streams: int = 1,
    ) -> None:
        self._streams: dict[str, _Stream] = {}
        super().__init__(endpoint, wire, security, queue=wire.queue_frames * streams)
        self._queue = wire.queue_frames
        self._most_shared = int(capture.shm_mb * 2**20)
        self._jpeg_quality = capture.jpeg_quality
        self._shares = capture.encoding in ("auto", "shm")
        self._otherwise: Literal["raw", "jpeg"] = "raw"
        if capture.encoding == "jpeg" or (capture.encoding == "auto" and not address.parse(endpoint).local):
            self._otherwise = "jpeg"
        self._events: list[str] = []

    @property
    def jpeg_quality(self) -> int:
        """Quality of pictures that go through the socket; 0 if these are not JPEG."""
        return self._jpeg_quality if self._otherwise == "jpeg" else 0

    def send_frame(self, frame: Frame, quality: int = 0, *, timeout_s: float = 0.0) -> bool:
        """Sends a frame; raw pixels must not be changed afterwards.

        Args:
            frame: The frame.
            quality: Send it as JPEG picture of this quality, 1 to 100; 0: as configured.
            timeout_s: How long to wait for room, if the frame must not be dropped. With 0 it never waits.

        Returns:
            False if there was no room in time: send the same frame again, as often as you like.

        Raises:
            WireError: It is no picture, or larger than receivers accept.
        """
        stream = self._streams.setdefault(frame.id.stream_id, _Stream())
        deadline = time.monotonic() + timeout_s
        self.hear()
        while (packed := self._pack(frame, stream, quality)) is None:
            if (left := deadline - time.monotonic()) <= 0:
                return False
            self.hear(min(left, _LISTEN_S))
        stream.packed = packed
        if not self.send(packed.parts, max(0.0, deadline - time.monotonic())):
            return False
        stream.packed = None
        stream.readers.sent += packed.encoding == "shm"
        stream.sent[packed.encoding] += 1
        return True

    def packing_ns(self, stream_id: str) -> int:
        """How long it took to pack the frame of this stream that was sent last, in ns."""
        return self._streams[stream_id].packing_ns

    def sent(self, stream_id: str) -> Counter[Encoding]:
        """How many frames of a stream were sent, by encoding."""
        stream = self._streams.get(stream_id)
        return stream.sent if stream else Counter()

    def pop_events(self) -> list[str]:
        """What happened since the last call, in words for people."""
        events, self._events = self._events, []
        return events

    def close(self, linger_s: float = 0.0) -> None:
        """Gives receivers at most ``linger_s`` seconds to take what is on its way, then disconnects."""
        super().close(linger_s)
        for stream in self._streams.values():
            if stream.segment:
                stream.segment.close()

    def _pack(self, frame: Frame, stream: _Stream, quality: int) -> _Packed | None:
        """The frame as it goes out now; None if it has to wait."""
        segment = None if quality else self._shared(frame, stream)
        waiting = stream.packed if stream.packed and stream.packed.id == frame.id else None
        if waiting and (segment or waiting.encoding != "shm"):
            return waiting
        started_ns = now_ns()
        packed = self._pixels(frame, quality) if segment is None else self._notice(frame, stream, segment)
        stream.packing_ns = now_ns() - started_ns
        return packed

    def _pixels(self, frame: Frame, quality: int) -> _Packed:
        encoding = "jpeg" if quality else self._otherwise
        parts = encode_frame(frame, encoding, quality or self._jpeg_quality, sent_ns=now_ns())
        return _Packed(frame.id, encoding, parts)

    def _notice(self, frame: Frame, stream: _Stream, segment: Segment) -> _Packed | None:
        """The frame in its slot, and word of it; None while it must wait for receivers to take others."""
        ticket = stream.readers.sent + 1
        most = min(self._queue, segment.slots)
        if frame.policy == "every" and ticket - most > stream.readers.oldest():
            return None
        segment.write(ticket, frame.image)
        return _Packed(frame.id, "shm", encode_notice(frame, segment.token, ticket, sent_ns=now_ns()))

    def _shared(self, frame: Frame, stream: _Stream) -> Segment | None:
        """The memory for a frame, if all who will get it can read it there."""
        readers = self.audience.readers(frame.policy)
        if not self._shares or not readers:
            return None
        check_image(frame.image)
        size, known = frame.image.nbytes, stream.frame_bytes
        if size > known if stream.segment else size != known:
            self._share(frame, stream)
        if stream.segment is None:
            return None
        if readers <= stream.readers.done.keys():
            return stream.segment
        if not readers <= stream.readers.done.keys() | stream.readers.without:
            self._offer(frame, stream, stream.segment)
        return None

    def _share(self, frame: Frame, stream: _Stream) -> None:
        """Makes memory for frames of this size, in place of that for smaller ones.

        It grows by half at least: each has to be opened by all readers, who keep the last one for a while.
        """
        size = frame.image.nbytes
        roomy = min(stream.frame_bytes * 3 // 2, self._most_shared // _FEWEST_SLOTS, self._most_bytes)
        size = stream.frame_bytes = max(size, roomy if stream.segment else 0)
        segments = self.audience.segments
        if stream.segment:
            del segments[stream.segment.token.hex().encode()]
            stream.segment.close()
            stream.segment = None
        if size > self._most_bytes:
            return  # receivers would refuse it whichever way it came
        try:
            slots = min(_MOST_SLOTS, self._most_shared // size)
            if slots < _FEWEST_SLOTS:
                raise SegmentError(
                    f"capture.shm_mb is less than {_FEWEST_SLOTS} frames of {size / 2**20:.0f} MB"
                )
            segment = Segment(slots, size)
        except SegmentError as error:
            self._events.append(f"{frame.id.stream_id}: frames go through the socket: {error}")
            return
        stream.segment, stream.readers, stream.offered_at = segment, SegmentReaders(), 0.0
        segments[segment.token.hex().encode()] = stream.readers

    def _offer(self, frame: Frame, stream: _Stream, segment: Segment) -> None:
        now = time.monotonic()
        if now - stream.offered_at >= _OFFER_S and self.send(encode_offer(segment.offer(), frame.policy)):
            stream.offered_at = now
