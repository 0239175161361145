"""Serialises the cache of a stream for another inference worker, and validates it on arrival.

MessagePack with a digest, never pickled. It is worth something only to the same checkpoint on the same
backend in the same precision.
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
    """A memory that can't be taken, in one readable line."""


class HandedFrame(msgspec.Struct):
    """A remembered frame.

    Attributes:
        id: Its identity.
        truth: See ``Frame``.
        time_ns: Its place on the stream's timeline.
        size: At which the model saw it.
        parts: What the runtime remembers of it.
    """

    id: FrameId
    truth: str | None
    time_ns: int
    size: tuple[int, int]
    parts: list[Part]


class HandedGate(msgspec.Struct):
    """What the gate before the cache has learned of the pictures.

    Attributes:
        health: What they usually look like; None before the first one.
        last_ns: When the last one came.
    """

    health: HealthState | None
    last_ns: int | None


class HandedScene(msgspec.Struct):
    """What moves, and where the reference view is; None each where that is not followed."""

    things: ThingsState
    camera: CameraState
    home: HomeState | None
    counted_ns: int


class HandedPlace(msgspec.Struct):
    """How far the owner has come.

    Attributes:
        last: The last frame that was dealt with, whatever became of it.
        skipped: Frames of its session that capture itself had dropped until then.
        picture: Height and width of its source.
        sent: Height and width of the picture that arrived.
    """

    last: FrameId
    skipped: int
    picture: tuple[Size, Size]
    sent: tuple[Size, Size]

    @staticmethod
    def of(header: FrameHeader) -> "HandedPlace":
        """At a frame."""
        return HandedPlace(header.id, header.skipped, header.source_size, (header.height, header.width))


class HandedStream(msgspec.Struct):
    """All that a stream goes on from.

    Attributes:
        place: How far its owner has come; None before the first frame.
        time_ns: Where the last predicted frame is on the stream's timeline; None before the first.
        frames: Those that are remembered, oldest first.
        intervals: See ``StreamHistory.content``.
        scene: See there.
        gate: None where pictures are not judged.
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
    """By what a memory is made, and can be read.

    Attributes:
        checkpoint: Digest of the file.
        backend: Of the runtime.
        precision: Of the runtime.
    """

    checkpoint: str
    backend: str
    precision: str

    @staticmethod
    def of(runtime: Runtime, checkpoint: str) -> "Maker":
        """Of a runtime that has opened a checkpoint."""
        with find_checkpoint(checkpoint).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Maker(digest, runtime.engine.backend, runtime.engine.precision)


def handed_frames(frames: Sequence[Remembered[PastKey]], runtime: Runtime) -> list[HandedFrame]:
    """The frames of a history, for another worker."""
    return [
        HandedFrame(one.key.id, one.key.truth, one.time_ns, one.entry.size, runtime.parts(one.entry))
        for one in frames
    ]


def remembered(frames: Sequence[HandedFrame], runtime: Runtime) -> list[Remembered[PastKey]]:
    """The frames of another worker, for a history here.

    Raises:
        ValueError: The runtime can't use them.
    """
    return [
        Remembered(PastKey(one.id, one.truth), one.time_ns, runtime.entry(one.size, one.parts))
        for one in frames
    ]


def pack_memory(maker: Maker, stream_id: str, generation: int, stream: HandedStream) -> bytes:
    """The memory of a stream as bytes."""
    handed = _Handed(maker.checkpoint, maker.backend, maker.precision, stream_id, generation, stream)
    packed = pack(handed)
    return _MAGIC + hashlib.sha256(packed).digest() + packed


def unpack_memory(data: bytes, maker: Maker, stream_id: str) -> HandedStream:
    """What ``pack_memory`` was given.

    Raises:
        HandOverError: It is damaged, of another stream, or of another maker.
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    packed = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC:
        raise HandOverError("it is no memory of this version")
    if hashlib.sha256(packed).digest() != data[len(_MAGIC) : start]:
        raise HandOverError("it is damaged")
    try:
        handed = unpack(packed, _Handed)
    except ValueError as error:
        raise HandOverError(f"it is damaged: {error}") from None
    if handed.stream_id != stream_id:
        raise HandOverError(f"it is that of {handed.stream_id}")
    keys: tuple[Literal["checkpoint", "backend", "precision"], ...] = ("checkpoint", "backend", "precision")
    for key in keys:
        if (theirs := getattr(handed, key)) != (ours := getattr(maker, key)):
            raise HandOverError(f"another {key}: {theirs[:12]}, here {ours[:12]}")
    return handed.stream
