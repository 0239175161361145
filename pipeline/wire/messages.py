"""All messages on the wire: tagged msgspec structs in MessagePack.

A message is multipart: topic, header (one of these structs), then its buffers (pixels, attention, maps).
Nothing is ever unpickled. Every number has a range (``base.ranges``).
Every header starts with the wire version; ``decoding.py`` rejects other versions.
"""

import struct
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.account.stats import WorkerStats
from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.frame import FrameId, Policy
from pipeline.base.moving_thing import MOST_THINGS, Mover, Thing
from pipeline.base.picture_state import BadState
from pipeline.base.ranges import Difference, Duration, FrameCount, Score, Seconds, SourceTimeNs, TimeNs
from pipeline.base.sight import Sight
from pipeline.base.text import StreamId

WIRE_VERSION = 6

MOST_SLOTS = 32
"""Largest number of frame slots in a shared-memory segment."""

MAX_HEADER_BYTES = 1 << 20
MAX_STATS_BYTES = 1 << 19
"""Maximum size of a statistics message; a receiver can queue up to 256 of them per peer."""
MAX_SIDE_PX = 16384

PLACE = struct.Struct("<16sQ")
"""Buffer of a ``shm`` frame: token of the segment and ticket of the frame in it."""

Part: TypeAlias = bytes | memoryview
"""Part of a multipart message."""

Attention: TypeAlias = npt.NDArray[np.float16]
"""Weights, ``(query_rows * query_columns, past * rows * columns)``: see ``AttentionHeader``."""

Encoding = Literal["raw", "jpeg", "shm"]
Size = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE_PX)]
Label = Annotated[str, msgspec.Meta(max_length=1024)]
MeasureName = Annotated[str, msgspec.Meta(max_length=64)]


class Identity(msgspec.Struct, kw_only=True, frozen=True):
    """The frame that a message is about: see ``pipeline.base.frame.FrameId``."""

    stream_id: StreamId
    session: TimeNs
    epoch: FrameCount
    seq: FrameCount

    @staticmethod
    def of(frame: FrameId) -> dict[str, Any]:
        """The fields of the identity as keyword arguments for a new message."""
        return {name: getattr(frame, name) for name in Identity.__struct_fields__}

    @property
    def id(self) -> FrameId:
        """The identity as the key used for joining."""
        return FrameId(self.stream_id, self.session, self.epoch, self.seq)


class FrameHeader(Identity, kw_only=True, frozen=True, tag="frame"):
    """Header of a frame; one buffer follows: raw BGR pixels, a JPEG image, or a shared-memory location.

    Attributes:
        v: Wire version.
        capture_ns: Unix time in ns at which the frame left the driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock, or None.
        sent_ns: Unix time in ns at which it was sent.
        height: Rows.
        width: Columns.
        encoding: Encoding of the pixels.
        policy: What to do with the frame when a worker is late.
        skipped: Frames of the session that capture itself dropped before this one.
        truth: Ground-truth label, from sources that provide it.
        movers: Ground-truth moving objects, from sources that provide them.
        full_size: Height and width that the source delivered, if capture has downscaled the frame.
        smeared: Whether data was lost before decoding and the decoder filled the gap with copied pixels.
    """

    v: int = WIRE_VERSION
    capture_ns: TimeNs
    pts_ns: SourceTimeNs | None = None
    sent_ns: TimeNs
    height: Size
    width: Size
    encoding: Encoding
    policy: Policy
    skipped: FrameCount = 0
    truth: Label | None = None
    movers: Annotated[list[Mover], msgspec.Meta(max_length=MOST_THINGS)] | None = None
    full_size: tuple[Size, Size] | None = None
    smeared: bool = False

    @property
    def decoded_bytes(self) -> int:
        """Memory in bytes of the decoded image at the size that the source delivered."""
        height, width = self.source_size
        return height * width * 3

    @property
    def source_size(self) -> tuple[int, int]:
        """Height and width that the source delivered."""
        return self.full_size or (self.height, self.width)


class EndOfStream(Identity, kw_only=True, frozen=True, tag="end"):
    """The source has ended permanently, or capture was stopped; ``seq`` is the number of frames captured.

    Capture sends it after the last frame, and inference forwards it after the last prediction.

    Attributes:
        v: Wire version.
        skipped: Frames of the session that capture itself dropped.
        policy: Policy of the stream.
        generation: As in ``Prediction``; 0 from capture.
    """

    v: int = WIRE_VERSION
    skipped: FrameCount = 0
    policy: Policy = "newest"
    generation: FrameCount = 0


class Offer(msgspec.Struct, kw_only=True, frozen=True, tag="offer"):
    """Offer of shared memory in which capture will write frames: see ``segment.py``.

    Attributes:
        v: Wire version.
        stream_id: Stream of the frames.
        machine: Identifier of the machine and its current boot.
        pid: Process that owns the memory.
        descriptor: File descriptor in that process.
        inode: Inode of the memory.
        token: Random name of the segment.
        slots: Number of frame slots.
        frame_bytes: Size of a slot in bytes.
    """

    v: int = WIRE_VERSION
    stream_id: StreamId
    machine: Annotated[str, msgspec.Meta(max_length=64)]
    pid: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    descriptor: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    inode: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    token: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    slots: Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
    frame_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**40)]


class TakeView(msgspec.Struct, frozen=True):
    """Request from a sink to inference: take the current image as the new reference view.

    Attributes:
        stream_id: The stream.
        asked_ns: Unix time in ns of the request; identifies it when it is repeated.
    """

    stream_id: StreamId
    asked_ns: TimeNs


class PastFrame(msgspec.Struct, frozen=True):
    """A past frame that a prediction used.

    Attributes:
        epoch: Its epoch.
        seq: Its sequence number.
        age_ms: Time between it and the predicted frame, in ms.
    """

    epoch: FrameCount
    seq: FrameCount
    age_ms: Duration


class AttentionHeader(msgspec.Struct, frozen=True):
    """Layout of the attention buffer: float16, ``(query_rows * query_columns, past * rows * columns)``.

    Attributes:
        query_rows: Rows of the new frame's grid.
        query_columns: Columns of the new frame's grid.
        past: Number of past slots, oldest first; slots without a frame are zero.
        rows: Rows of a past frame's grid.
        columns: Columns of a past frame's grid.
    """

    query_rows: Annotated[int, msgspec.Meta(ge=1, le=256)]
    query_columns: Annotated[int, msgspec.Meta(ge=1, le=256)]
    past: Annotated[int, msgspec.Meta(ge=1, le=64)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=256)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=256)]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weights: queries, keys."""
        return self.query_rows * self.query_columns, self.past * self.rows * self.columns


class MotionMapsHeader(msgspec.Struct, frozen=True):
    """Layout of the buffer with flow and mask of dense motion: see ``motion_maps.py``.

    Attributes:
        past: Number of past slots, oldest first.
        rows: Rows of the maps.
        columns: Columns of the maps.
    """

    past: Annotated[int, msgspec.Meta(ge=1, le=64)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=4096)]

    @property
    def unpacked_bytes(self) -> int:
        """Size once unpacked: one mask byte per place, and two 2-byte numbers per place and past slot."""
        return self.rows * self.columns * (1 + 4 * self.past)


class Prediction(Identity, kw_only=True, frozen=True, tag="prediction"):
    """The prediction for one frame; the buffers of ``attention`` and ``motion_maps`` follow, if set.

    Attributes:
        v: Wire version.
        capture_ns: As in the frame's header.
        pts_ns: As in the frame's header.
        top: The top labels with their probabilities, best first.
        past: The past frames that it used, oldest first; its length is the depth, 0 to T.
        policy: Policy of the stream; ``every`` predictions wait for slow receivers, too.
        generation: How often the stream has moved to another inference worker; readers reject lower ones.
        spacing_ms: Configured time between past frames; 0 = consecutive frames.
        reset: Why the cache was emptied just before this frame, or None.
        scored: Whether the true label is known and the same for all frames that the prediction used.
        attention: Layout of the attention buffer, or None if there is none.
        motion_maps: Layout of the buffer with flow and mask, or None if there is none.
        things: Moving objects, most confident first; None from a network without dense motion.
        camera: Motion of the camera; None without dense motion or without past frames.
        sight: Position of the reference view; None if there is none, or before the first search.
        received_ns: Unix time in ns at which inference received the frame.
        started_ns: Unix time in ns at which its step began.
        predicted_ns: Unix time in ns at which the result was ready.
    """

    v: int = WIRE_VERSION
    capture_ns: TimeNs
    pts_ns: SourceTimeNs | None = None
    top: Annotated[list[tuple[Label, Score]], msgspec.Meta(max_length=4096)]
    past: Annotated[list[PastFrame], msgspec.Meta(max_length=64)]
    policy: Policy
    generation: FrameCount = 0
    spacing_ms: Duration = 0.0
    reset: Label | None = None
    scored: bool = False
    attention: AttentionHeader | None = None
    motion_maps: MotionMapsHeader | None = None
    things: Annotated[list[Thing], msgspec.Meta(max_length=MOST_THINGS)] | None = None
    camera: CameraMotion | None = None
    sight: Sight | None = None
    received_ns: TimeNs
    started_ns: TimeNs
    predicted_ns: TimeNs

    @property
    def depth(self) -> int:
        """Number of past frames that the prediction used."""
        return len(self.past)

    @property
    def time_ns(self) -> int:
        """Position on the stream's timeline, see ``Frame.time_ns``."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns


class BadPicture(Identity, kw_only=True, frozen=True, tag="bad_picture"):
    """Replaces a prediction if the image is unusable; sent in frame order with the predictions.

    Attributes:
        v: Wire version.
        capture_ns: As in the frame's header.
        pts_ns: As in the frame's header.
        policy: Policy of the stream.
        generation: As in ``Prediction``.
        state: Fault of the image; never ``ok``.
        for_s: How long the fault has lasted, in seconds.
        ok_for_s: How long the image has been usable again, in seconds; not yet long enough to end the fault.
        why: Measured values by name.
    """

    v: int = WIRE_VERSION
    capture_ns: TimeNs
    pts_ns: SourceTimeNs | None = None
    policy: Policy
    generation: FrameCount = 0
    state: BadState
    for_s: Seconds = 0.0
    ok_for_s: Seconds = 0.0
    why: Annotated[dict[MeasureName, Difference], msgspec.Meta(max_length=16)] = {}

    @property
    def time_ns(self) -> int:
        """Position on the stream's timeline, see ``Frame.time_ns``."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns


class Stats(msgspec.Struct, kw_only=True, frozen=True, tag="stats"):
    """Statistics of one worker."""

    v: int = WIRE_VERSION
    stats: WorkerStats


Message: TypeAlias = FrameHeader | EndOfStream | Prediction | BadPicture | Stats | Offer
