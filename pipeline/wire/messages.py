"""All messages on the wire: tagged msgspec structs in MessagePack.

A message is multipart: topic, header (one of these structs), then its buffers (pixels, attention, maps).
Nothing is ever unpickled. Every number has a range (``base.ranges``).
Every header starts with the wire version; ``decoding.py`` refuses others.
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
"""Frames in a ring in shared memory."""

MAX_HEADER_BYTES = 1 << 20
MAX_STATS_BYTES = 1 << 19
"""Of statistics, which have no buffer: 256 messages of a peer wait in a receiver."""
MAX_SIDE_PX = 16384

PLACE = struct.Struct("<16sQ")
"""Buffer of a ``shm`` frame, where its pixels lie: token of the segment, ticket of the frame in it."""

Part: TypeAlias = bytes | memoryview
"""Of a multipart message."""

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
        """The fields of the identity, for a new message about a frame."""
        return {name: getattr(frame, name) for name in Identity.__struct_fields__}

    @property
    def id(self) -> FrameId:
        """The identity as the key used for joining."""
        return FrameId(self.stream_id, self.session, self.epoch, self.seq)


class FrameHeader(Identity, kw_only=True, frozen=True, tag="frame"):
    """Header of a frame; one buffer follows: the pixels, raw BGR or one JPEG picture, or where they lie.

    Attributes:
        v: Wire version.
        capture_ns: Unix time in ns at which the frame left the driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock, or None.
        sent_ns: Unix time in ns at which it was handed to the wire.
        height: Rows.
        width: Columns.
        encoding: How the pixels are packed.
        policy: What to do when late.
        skipped: Frames of the session that capture itself has dropped before this one.
        truth: The known label, from sources that know it.
        movers: What is known to move by itself, from sources that know it.
        full_size: Height and width that the source delivered, if capture has made the picture smaller.
        smeared: Something was lost on its way to the decoder, which has put copies in its place.
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
        """Size in memory of the picture, as large as its source delivered it."""
        height, width = self.source_size
        return height * width * 3

    @property
    def source_size(self) -> tuple[int, int]:
        """Height and width that the source delivered."""
        return self.full_size or (self.height, self.width)


class EndOfStream(Identity, kw_only=True, frozen=True, tag="end"):
    """The source has ended for good, or capture was stopped; ``seq`` is the number of frames captured.

    Capture sends it after the last frame, inference passes it on after the last prediction.

    Attributes:
        v: Wire version.
        skipped: Frames of the session that capture itself has dropped.
        policy: That of the stream's frames.
        generation: As in ``Prediction``; capture leaves it 0.
    """

    v: int = WIRE_VERSION
    skipped: FrameCount = 0
    policy: Policy = "newest"
    generation: FrameCount = 0


class Offer(msgspec.Struct, kw_only=True, frozen=True, tag="offer"):
    """Memory in which capture will leave frames for readers that can open it: see ``segment.py``.

    Attributes:
        v: Wire version.
        stream_id: Of the frames.
        machine: Which machine it is on, since its start.
        pid: The process that has it.
        descriptor: Its number there.
        inode: Its number in the system.
        token: Its name, which nobody can guess.
        slots: Frames that it holds.
        frame_bytes: Size of each.
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
    """The sink asks inference to take what a camera shows as the view that counts.

    Attributes:
        stream_id: Of which stream.
        asked_ns: Unix time at which somebody wanted it: the same for all repetitions, and for no other wish.
    """

    stream_id: StreamId
    asked_ns: TimeNs


class PastFrame(msgspec.Struct, frozen=True):
    """A remembered frame that a prediction looked at.

    Attributes:
        epoch: Its epoch.
        seq: Its sequence number.
        age_ms: How much older it was than the predicted frame, in ms.
    """

    epoch: FrameCount
    seq: FrameCount
    age_ms: Duration


class AttentionHeader(msgspec.Struct, frozen=True):
    """Layout of the attention buffer: float16, ``(query_rows * query_columns, past * rows * columns)``.

    Attributes:
        query_rows: Rows of the new frame's grid.
        query_columns: Columns of the new frame's grid.
        past: Number of past slots, oldest first; slots without a frame hold zeros.
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
        """Of the weights: queries, keys."""
        return self.query_rows * self.query_columns, self.past * self.rows * self.columns


class MotionMapsHeader(msgspec.Struct, frozen=True):
    """Layout of the buffer with flow and mask of dense motion: see ``motion_maps.py``.

    Attributes:
        past: Number of past slots, oldest first.
        rows: Of places.
        columns: Of places.
    """

    past: Annotated[int, msgspec.Meta(ge=1, le=64)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=4096)]

    @property
    def unpacked_bytes(self) -> int:
        """Size in memory: a byte of mask, and two numbers of two bytes for each past slot."""
        return self.rows * self.columns * (1 + 4 * self.past)


class Prediction(Identity, kw_only=True, frozen=True, tag="prediction"):
    """The model's answer for one frame; then the buffers of ``attention`` and ``motion_maps``, if set.

    Attributes:
        v: Wire version.
        capture_ns: Of the frame.
        pts_ns: Of the frame.
        top: The best labels with their probabilities, best first.
        past: The remembered frames it looked at, oldest first; its length is the depth, 0 to T.
        policy: That of the stream's frames: ``every`` predictions wait for slow receivers as well.
        generation: How often the stream was given to another inference worker; readers refuse older ones.
        spacing_ms: The time between remembered frames that was asked for; 0 = consecutive frames.
        reset: Why the cache was emptied just before this frame, or None.
        scored: The true label is known, and the same for all frames that the prediction looked at.
        attention: Layout of the attention buffer, or None if there is none.
        motion_maps: Layout of the buffer with flow and mask, or None if there is none.
        things: What moves by itself, the surest first; None from a network without dense motion.
        camera: How the camera moves; None from such a network, or without a past.
        sight: Where the reference view is; None where none is followed, or it was not looked for yet.
        received_ns: Unix time in ns at which inference got the frame.
        started_ns: At which its step began.
        predicted_ns: At which the result was there.
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
        """Number of past frames that the prediction saw."""
        return len(self.past)

    @property
    def time_ns(self) -> int:
        """Place on the stream's timeline, see ``Frame.time_ns``."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns


class BadPicture(Identity, kw_only=True, frozen=True, tag="bad_picture"):
    """In place of a prediction, and in order with them: the camera does not see, so nothing is predicted.

    Attributes:
        v: Wire version.
        capture_ns: Of the frame.
        pts_ns: Of the frame.
        policy: That of the stream's frames.
        generation: As in ``Prediction``.
        state: What is wrong with the picture; never ``ok``.
        for_s: How long before this frame it began.
        ok_for_s: For how long it has looked well again, which is not believed yet.
        why: What was measured, by name.
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
        """Place on the stream's timeline, see ``Frame.time_ns``."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns


class Stats(msgspec.Struct, kw_only=True, frozen=True, tag="stats"):
    """What one worker counted."""

    v: int = WIRE_VERSION
    stats: WorkerStats


Message: TypeAlias = FrameHeader | EndOfStream | Prediction | BadPicture | Stats | Offer
