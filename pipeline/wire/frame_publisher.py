"""Publishes frames: through shared memory to readers on this machine, through the socket to all others."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pipeline.base.clock import now_ns
from pipeline.base.config import CaptureConfig, WireConfig
from pipeline.base.frame import Frame, FrameId
from pipeline.wire import address, topics
from pipeline.wire.encoding import check_image, encode_frame, encode_notice, encode_offer
from pipeline.wire.messages import Encoding, Part
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.sent_again import SentAgain
from pipeline.wire.shared.reader_seats import SegmentReaders
from pipeline.wire.shared.stream_memory import StreamMemory

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0001, 0.002
_HELD_S, _HELD_AGAIN_S = 5.0, 60.0


@dataclass
class _Packed:
    """A packed frame: in shared memory, as pixels, or both for different readers.

    Attributes:
        id: Identity of the frame.
        messages: Pending messages, each with its encoding; shared memory comes first.
    """

    id: FrameId
    messages: list[tuple[Encoding, list[Part]]]


@dataclass
class _Stream:
    """State of one stream.

    Attributes:
        memory: Shared memory for readers on this machine.
        packed: A packed frame that has not been sent completely.
        sent: Number of frames by encoding.
        packing_ns: Time for packing the last frame, in ns.
        is_burst: Whether frames were just sent again, so that an offer might leave no room for a new frame.
        report_at: When to report that its frames are held up, in monotonic seconds; 0 if they are not.
    """

    memory: StreamMemory
    packed: _Packed | None = None
    sent: Counter[Encoding] = field(default_factory=Counter)
    packing_ns: int = 0
    is_burst: bool = False
    report_at: float = 0.0


class FramePublisher(Publisher):
    """A publisher that also sends frames through shared memory; used only by the thread that created it.

    Pixels go through shared memory to receivers that have opened it, and through the socket to receivers
    that have reported that they can't. While any receiver of the lane has not answered yet, all get the
    pixels through the socket, so no frame is lost when receivers join or leave.
    Frames that may be dropped are written into the next slot immediately. Of the others, at most
    ``wire.queue_frames`` are in flight: the next one waits until all receivers have copied the oldest.
    The frames of the last ``capture.replay_ms`` of each live stream are kept for receivers that request them.

    Args:
        endpoint: ``ipc://path`` or ``tcp://host:port``; port 0 lets the system choose.
        wire: The ``[wire]`` section.
        security: Security policy of the link.
        capture: The ``[capture]`` section: encoding, quality and size of the shared memory.
        streams: Number of streams.

    Raises:
        TransportError: The endpoint can't be bound.
        SecurityError: The endpoint needs keys that are missing.
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
        self._again = SentAgain(capture.replay_ms, self._most_shared, lambda frame: self._pixels(frame)[1])

    @property
    def jpeg_quality(self) -> int:
        """JPEG quality of frames sent through the socket; 0 if they are not JPEG."""
        return self._jpeg_quality if self._otherwise == "jpeg" else 0

    def send_frame(self, frame: Frame, quality: int = 0, *, timeout_s: float = 0.0) -> bool:
        """Sends a frame; raw pixels must not be changed afterwards.

        Args:
            frame: The frame.
            quality: JPEG quality at which to send it, 1 to 100; 0 sends it as configured.
            timeout_s: How long to wait for room, if the frame must not be dropped; 0 does not wait.

        Returns:
            False if there was no room in time; the call can be repeated with the same frame.

        Raises:
            WireError: The image is invalid or larger than receivers accept.
        """
        stream = self._stream(frame.id.stream_id)
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        self._hear()
        stream.is_burst = self._again.send(frame.id.stream_id, self._send_again)
        self._again.give_up(frame.id.stream_id)  # a new frame does not wait for older ones
        while (packed := self._pack(frame, stream, quality)) is None:
            if (left := deadline - time.monotonic()) <= 0:
                return self._held(frame, stream)
            time.sleep(min(left, pause_s))  # a reader's mark in shared memory does not wake this thread
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._hear()
        stream.packed = packed
        if frame.policy == "newest":
            self._hear()  # readers that joined during packing get older frames first
            stream.is_burst |= self._again.send(frame.id.stream_id, self._send_again)
        pixels = next((parts for encoding, parts in packed.messages if encoding != "shm"), None)
        while packed.messages:
            encoding, parts = packed.messages[0]
            self._check(parts)
            if not self._send(parts, frame.policy == "every", max(0.0, deadline - time.monotonic())):
                return self._held(frame, stream)
            del packed.messages[0]
            if encoding == "shm":
                stream.memory.count_sent()
            stream.sent[encoding] += 1
        stream.packed = None
        stream.report_at = 0.0
        self._again.keep(frame, pixels, self.audience.readers("newest", frame.id.stream_id))
        return True

    def send_again(self) -> bool:
        """Sends requested past frames while there is room; returns whether some are still pending."""
        self._hear()
        self._again.send_all(self._send_again)
        return self._again.is_due

    def forget(self, stream_id: str) -> None:
        """Drops the kept frames of a stream that has ended."""
        self._again.forget(stream_id)

    def free(self, stream_id: str) -> None:
        """Frees the shared memory of a stream that has ended; receivers keep their mappings."""
        self.forget(stream_id)
        if stream := self._streams.get(stream_id):
            stream.memory.close()
            stream.memory, stream.packed = self._memory(stream_id), None

    def packing_ns(self, stream_id: str) -> int:
        """Time to pack the last frame of a stream, in ns."""
        return self._streams[stream_id].packing_ns

    def sent(self, stream_id: str) -> Counter[Encoding]:
        """Number of frames of a stream that were sent, by encoding."""
        stream = self._streams.get(stream_id)
        return stream.sent if stream else Counter()

    def pop_events(self) -> list[str]:
        """Human-readable events since the last call."""
        events, self._events = self._events, []
        for stream in self._streams.values():
            events += stream.memory.pop_events()
        return events

    def close(self, linger_s: float = 0.0) -> None:
        """Waits at most ``linger_s`` seconds for pending messages to be delivered, then disconnects."""
        super().close(linger_s)
        for stream in self._streams.values():
            stream.memory.close()

    def _asked_again(self, name: bytes, stream_id: str) -> None:
        self._again.ask(name, stream_id)

    def _send_again(self, parts: list[Part]) -> bool:
        # Waits for room instead of dropping: the requesting reader is new and gets a burst of frames.
        return self._send(parts, True, 0.0)

    def _stream(self, stream_id: str) -> _Stream:
        if stream_id not in self._streams:
            self._streams[stream_id] = _Stream(self._memory(stream_id))
        return self._streams[stream_id]

    def _memory(self, stream_id: str) -> StreamMemory:
        segments = self.audience.segments
        return StreamMemory(stream_id, segments, self._most_shared, self._most_bytes, self._patience_s)

    def _held(self, frame: Frame, stream: _Stream) -> bool:
        """Reports an every-frame stream that has been held up for a long time; always returns False."""
        now = time.monotonic()
        if not stream.report_at:
            stream.report_at = now + _HELD_S
        elif now >= stream.report_at and frame.policy == "every":
            stream.report_at = now + _HELD_AGAIN_S
            self._events.append(
                f"{frame.id.stream_id}: no frame sent for {_HELD_S:g} s or more: an inference or sink worker "
                "is not taking frames, and capture waits instead of dropping them"
            )
        return False

    def _pack(self, frame: Frame, stream: _Stream, quality: int) -> _Packed | None:
        """Packs a frame; None if it has to wait."""
        waiting = stream.packed if stream.packed and stream.packed.id == frame.id else None
        shared = None if quality else self._shared(frame, stream)
        if waiting and (shared or waiting.messages[0][0] != "shm"):
            return self._with_pixels(waiting, frame, shared)
        started_ns = now_ns()
        if shared is None:
            packed = _Packed(frame.id, [self._pixels(frame, quality)])
        elif (notice := self._notice(frame, shared)) is None:
            return None
        else:
            packed = self._with_pixels(_Packed(frame.id, [("shm", notice)]), frame, shared)
        stream.packing_ns = now_ns() - started_ns
        return packed

    def _with_pixels(self, packed: _Packed, frame: Frame, shared: SegmentReaders | None) -> _Packed:
        """Adds a message with the pixels if some readers, perhaps new ones, can't open the shared memory."""
        noticed = [encoding for encoding, _ in packed.messages] == ["shm"]
        if shared and noticed and shared.without & self.audience.readers(frame.policy, frame.id.stream_id):
            topic = topics.without(frame.policy, shared.segment.token)
            packed.messages.append(self._pixels(frame, topic=topic))
        return packed

    def _pixels(self, frame: Frame, quality: int = 0, topic: bytes = b"") -> tuple[Encoding, list[Part]]:
        encoding = "jpeg" if quality else self._otherwise
        return encoding, encode_frame(frame, encoding, quality or self._jpeg_quality, now_ns(), topic)

    def _notice(self, frame: Frame, shared: SegmentReaders) -> list[Part] | None:
        """Writes the frame into its slot; returns its notice, or None while the slot is still in use."""
        ticket = shared.sent + 1
        most = min(self._queue, shared.segment.slots)
        if frame.policy == "every" and ticket - most > shared.oldest():
            return None
        shared.segment.write(ticket, frame.image)
        return encode_notice(frame, shared.segment.token, ticket, sent_ns=now_ns())

    def _shared(self, frame: Frame, stream: _Stream) -> SegmentReaders | None:
        """The shared memory for a frame, or None; offers it to readers that have not answered yet."""
        readers = self.audience.readers(frame.policy, frame.id.stream_id)
        if not self._shares or not readers:
            return None
        check_image(frame.image)
        shared = stream.memory.find(frame.image, readers)
        if shared is None and stream.is_burst:
            return None
        if shared is None and (offer := stream.memory.due_offer(frame.image, readers)):
            parts = encode_offer(offer, frame.policy)
            if self._send(parts, frame.policy == "every", 0.0):
                stream.memory.offered()
        return shared
