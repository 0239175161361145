"""Serialises the cache of a stream for another inference worker, and validates it on arrival.

The format is MessagePack with a digest; nothing is pickled. The data can be used only with the same
checkpoint, backend and precision.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from pipeline.base.frame import FrameId
from pipeline.base.packing import pack, unpack
from pipeline.base.text import StreamId
from pipeline.model.history import Remembered
from pipeline.model.shipped import find_checkpoint
from pipeline.runtime.base import Runtime
from pipeline.runtime.step import Part
from pipeline.scene.scene_state import CameraState, HealthState, HomeState, ThingsState
from pipeline.wire.messages import FrameHeader, Size
from workers.turn import PastKey

MOST_BYTES = 1 << 28
_MAGIC = b"kvq-stream memory 1\n"
_DIGEST_BYTES = 32


class HandOverError(ValueError):
    """A serialised cache that can't be used; the message is one readable line."""


class HandedFrame(msgspec.Struct):
    """A cached frame.

    Attributes:
        id: Its identity.
        truth: See ``Frame``.
        time_ns: Its time on the stream's timeline.
        size: Size of the model's input.
        parts: The parts of its cache entry.
    """

    id: FrameId
    truth: str | None
    time_ns: int
    size: tuple[int, int]
    parts: list[Part]


class HandedGate(msgspec.Struct):
    """State of a stream's ``PictureGate``, which keeps bad frames out of the cache.

    Attributes:
        health: What images usually look like; None before the first one.
        last_ns: Time of the last image on the stream's timeline.
    """

    health: HealthState | None
    last_ns: int | None


class HandedScene(msgspec.Struct):
    """Tracking state of moving objects, camera and reference view; ``home`` is None without a view."""

    things: ThingsState
    camera: CameraState
    home: HomeState | None
    counted_ns: int


class HandedPlace(msgspec.Struct):
    """How far the owner has processed the stream.

    Attributes:
        last: The last frame handled, predicted or not.
        skipped: Frames of its session that capture had dropped by then.
        picture: Size of its image at the source: height, width.
        sent: Size of its image as received: height, width.
    """

    last: FrameId
    skipped: int
    picture: tuple[Size, Size]
    sent: tuple[Size, Size]

    @staticmethod
    def of(header: FrameHeader) -> "HandedPlace":
        """The place of a frame."""
        return HandedPlace(header.id, header.skipped, header.source_size, (header.height, header.width))


class HandedStream(msgspec.Struct):
    """The state from which a new owner continues a stream.

    Attributes:
        place: How far its owner has processed it; None before the first frame.
        time_ns: Time of the last predicted frame on the stream's timeline; None before the first.
        frames: Cached frames, oldest first.
        intervals: See ``StreamHistory.content``.
        scene: See ``HandedScene``.
        gate: None if images are not checked.
    """

    place: HandedPlace | None
    time_ns: int | None
    frames: list[HandedFrame]
    intervals: list[int]
    scene: HandedScene
    gate: HandedGate | None


class _Handed(msgspec.Struct):
    checkpoint: str
    backend: str
    precision: str
    stream_id: StreamId
    generation: int
    stream: HandedStream


class Maker(msgspec.Struct, frozen=True):
    """The checkpoint and runtime that made a serialised cache; only the same ones can read it.

    Attributes:
        checkpoint: Digest of the file.
        backend: The runtime's backend.
        precision: The runtime's precision.
    """

    checkpoint: str
    backend: str
    precision: str

    @staticmethod
    def of(runtime: Runtime, checkpoint: str) -> "Maker":
        """Describes a runtime that has opened a checkpoint."""
        with find_checkpoint(checkpoint).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Maker(digest, runtime.engine.backend, runtime.engine.precision)


def handed_frames(frames: Sequence[Remembered[PastKey]], runtime: Runtime) -> list[HandedFrame]:
    """Converts the frames of a history, to be serialised for another worker."""
    return [
        HandedFrame(one.key.id, one.key.truth, one.time_ns, one.entry.size, runtime.parts(one.entry))
        for one in frames
    ]


def remembered(frames: Sequence[HandedFrame], runtime: Runtime) -> list[Remembered[PastKey]]:
    """Converts frames from another worker, for a history of this one.

    Raises:
        ValueError: The runtime can't use them.
    """
    return [
        Remembered(PastKey(one.id, one.truth), one.time_ns, runtime.entry(one.size, one.parts))
        for one in frames
    ]


def pack_memory(maker: Maker, stream_id: str, generation: int, stream: HandedStream) -> bytes:
    """Serialises the cache of a stream."""
    handed = _Handed(maker.checkpoint, maker.backend, maker.precision, stream_id, generation, stream)
    packed = pack(handed)
    return _MAGIC + hashlib.sha256(packed).digest() + packed


def unpack_memory(data: bytes, maker: Maker, stream_id: str) -> HandedStream:
    """Reverses ``pack_memory``.

    Raises:
        HandOverError: The data is damaged, or belongs to another stream or maker.
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    packed = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC:
        raise HandOverError("it has another format or version")
    if hashlib.sha256(packed).digest() != data[len(_MAGIC) : start]:
        raise HandOverError("it is damaged")
    try:
        handed = unpack(packed, _Handed)
    except ValueError as error:
        raise HandOverError(f"it is damaged: {error}") from None
    if handed.stream_id != stream_id:
        raise HandOverError(f"it belongs to {handed.stream_id}")
    keys: tuple[Literal["checkpoint", "backend", "precision"], ...] = ("checkpoint", "backend", "precision")
    for key in keys:
        if (theirs := getattr(handed, key)) != (ours := getattr(maker, key)):
            raise HandOverError(f"another {key}: {theirs[:12]}, here {ours[:12]}")
    return handed.stream
