"""Messages to multipart and back: nothing that a peer sends gets past here unchecked.

A message is ``[topic, header]`` or ``[topic, header, buffer]``. Raw pixels are copied neither way.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import simplejpeg

from pipeline.account.stats import WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, Image, Policy
from pipeline.base.text import printable
from pipeline.wire import topics
from pipeline.wire.jpeg import jpeg_size
from pipeline.wire.messages import (
    WIRE_VERSION,
    AttentionHeader,
    Encoding,
    EndOfStream,
    Feedback,
    FrameHeader,
    Message,
    Offer,
    Prediction,
    Stats,
)
from pipeline.wire.peer_text import with_printable_text

MAX_HEADER_BYTES = 1 << 20
MAX_SIDE_PX = 16384
_MOST_TICKET = 2**48

Part: TypeAlias = bytes | memoryview
Attention: TypeAlias = npt.NDArray[np.float16]
"""Weights, ``(query_rows * query_columns, past * rows * columns)``: see ``messages.AttentionHeader``."""


class _Versioned(msgspec.Struct):
    v: int


_PLACE = struct.Struct("<16sQ")
"""Where the pixels of a ``shm`` frame lie: token of the segment, ticket of the frame in it."""

_pack = msgspec.msgpack.Encoder().encode
_unpack_version = msgspec.msgpack.Decoder(_Versioned).decode
_unpack_feedback = msgspec.msgpack.Decoder(Feedback).decode
_unpack: Callable[[Part], Message] = msgspec.msgpack.Decoder(Message).decode


def encode_frame(
    frame: Frame, encoding: Literal["raw", "jpeg"], jpeg_quality: int, sent_ns: int, topic: bytes = b""
) -> list[Part]:
    """Packs a frame. Raw pixels are not copied: they must not be changed afterwards.

    Args:
        frame: The frame; ``image`` is ``(height, width, 3)`` uint8 BGR.
        encoding: ``raw`` or ``jpeg``.
        jpeg_quality: 1 to 100, for ``jpeg``.
        sent_ns: Unix time in ns.
        topic: Instead of that of the stream's frames.

    Raises:
        WireError: The picture has another shape or type, or is too large.
    """
    check_image(frame.image)
    pixels: Part
    if encoding == "jpeg":
        _, packed = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        pixels = packed.data.cast("B")
    else:
        pixels = np.ascontiguousarray(frame.image).data.cast("B")
    return _with_header(frame, encoding, pixels, sent_ns, topic)


def encode_notice(frame: Frame, token: bytes, ticket: int, sent_ns: int) -> list[Part]:
    """Packs a frame whose pixels lie in shared memory.

    Args:
        frame: The frame.
        token: Of the segment.
        ticket: Of the frame in the segment.
        sent_ns: Unix time in ns.
    """
    return _with_header(frame, "shm", _PLACE.pack(token, ticket), sent_ns)


def encode_offer(offer: Offer, lane: Policy) -> list[Part]:
    """Packs an offer of shared memory."""
    return [topics.offer(lane), _pack(offer)]


def check_image(image: Image) -> None:
    """Refuses what is no picture.

    Raises:
        WireError: The picture has another shape or type, or is too large.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise WireError("pixels", f"a frame is (height, width, 3) uint8, not {image.shape} {image.dtype}")
    height, width = image.shape[:2]
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise WireError("pixels", f"a frame of {width}x{height}: sides must be 1 to {MAX_SIDE_PX} pixels")


def _with_header(
    frame: Frame, encoding: Encoding, pixels: Part, sent_ns: int, topic: bytes = b""
) -> list[Part]:
    height, width = frame.image.shape[:2]
    header = FrameHeader(
        stream_id=frame.id.stream_id,
        session=frame.id.session,
        epoch=frame.id.epoch,
        seq=frame.id.seq,
        capture_ns=frame.capture_ns,
        pts_ns=frame.pts_ns,
        sent_ns=sent_ns,
        height=height,
        width=width,
        encoding=encoding,
        policy=frame.policy,
        skipped=frame.skipped,
        truth=frame.truth,
        full_size=frame.full_size,
    )
    return [topic or topics.frames(frame.policy, frame.id.stream_id), _pack(header), pixels]


def encode_end(end: EndOfStream, after: Literal["frames", "predictions"]) -> list[Part]:
    """Packs the end of a stream, on the topic of its frames (capture) or its predictions (inference)."""
    topic = topics.frames if after == "frames" else topics.predictions
    return [topics.end_of(topic(end.policy, end.stream_id)), _pack(end)]


def encode_prediction(prediction: Prediction, attention: Attention | None = None) -> list[Part]:
    """Packs a prediction and its attention weights, which are not copied.

    Weights without a layout in ``prediction.attention`` are left out: no reader could use them.

    Raises:
        WireError: ``attention`` is not float16, or not what ``prediction.attention`` describes.
    """
    parts: list[Part] = [topics.predictions(prediction.policy, prediction.stream_id), _pack(prediction)]
    layout = prediction.attention
    if layout is not None:
        if attention is None:
            raise WireError("attention", "the layout of attention without its weights")
        if attention.shape != _shape(layout) or attention.dtype != np.float16:
            raise WireError(
                "attention",
                f"attention is {_shape(layout)} float16, not {attention.shape} {attention.dtype}",
            )
        parts.append(np.ascontiguousarray(attention).data.cast("B"))
    return parts


def encode_stats(stats: WorkerStats) -> list[Part]:
    """Packs what a worker counted."""
    return [topics.STATS, _pack(Stats(stats=stats))]


def encode_feedback(feedback: Feedback) -> bytes:
    """Packs what inference tells capture, as the topic of a subscription."""
    return topics.age(_pack(feedback))


def decode_feedback(notice: bytes) -> Feedback | None:
    """Unpacks what inference says by subscribing; None for all other notices, and for what is not valid."""
    packed = topics.told_age(notice)
    if packed is None:
        return None
    try:
        feedback = _unpack_feedback(packed)
    except (ValueError, RecursionError, MemoryError):
        return None
    return feedback if feedback.v == WIRE_VERSION else None


def decode_message(parts: Sequence[Part], max_bytes: int) -> Message:
    """Checks a whole message, its buffer included, and unpacks its header; decodes no pixels yet.

    Args:
        parts: Topic, header and the buffer if there is one.
        max_bytes: Limit for the buffer and for the decoded picture.

    Raises:
        WireError: Something about it is wrong.
    """
    if not 2 <= len(parts) <= 3:
        raise WireError("parts", f"a message of {len(parts)} parts, expected 2 or 3")
    topic, packed = parts[0], parts[1]
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError("size", f"a header of {len(packed)} bytes, allowed are {MAX_HEADER_BYTES}")
    message = _decode_header(packed)
    if not _fits(bytes(topic[: topics.MAX_BYTES]), message):
        raise WireError("topic", f"the topic {bytes(topic[:80])!r} does not fit its message")
    has_buffer = isinstance(message, FrameHeader) or (
        isinstance(message, Prediction) and message.attention is not None
    )
    if len(parts) != 2 + has_buffer:
        raise WireError("parts", f"a message of {len(parts)} parts, expected {2 + has_buffer}")
    if isinstance(message, FrameHeader):
        _check_pixels(message, memoryview(parts[2]), max_bytes)
    elif isinstance(message, Prediction) and message.attention is not None:
        _check_attention(message.attention, memoryview(parts[2]), max_bytes)
    return message


def decode_place(place: Part) -> tuple[bytes, int]:
    """Token of the segment and ticket of a ``shm`` frame that ``decode_message`` has checked."""
    token, ticket = _PLACE.unpack(place)
    return bytes(token), int(ticket)


def decode_frame(header: FrameHeader, pixels: Part, received_ns: int, *, full_size: bool = False) -> Frame:
    """Unpacks a frame whose header came from ``decode_message``; raw pixels stay where they are, read-only.

    With ``full_size``, a picture that capture has made smaller is enlarged again.
    Pixels of ``shm`` frames are those that were copied from there.

    Raises:
        WireError: The JPEG picture is damaged.
    """
    image: Image
    if header.encoding in ("raw", "shm"):
        image = np.frombuffer(pixels, np.uint8).reshape(header.height, header.width, 3)
    else:
        image = _decode_jpeg(pixels, header.height, header.width)
    if full_size and header.full_size:
        height, width = header.full_size
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    image.flags.writeable = False
    return Frame(
        id=header.id,
        image=image,
        capture_ns=header.capture_ns,
        pts_ns=header.pts_ns,
        policy=header.policy,
        skipped=header.skipped,
        truth=header.truth,
        received_ns=received_ns,
        full_size=header.full_size,
    )


def decode_attention(layout: AttentionHeader, weights: Part) -> Attention:
    """Unpacks attention weights without copying them.

    Raises:
        WireError: There are more or fewer than ``layout`` says, or one is not finite.
    """
    _check_attention(layout, memoryview(weights), max_bytes=len(weights))
    attention: Attention = np.frombuffer(weights, np.float16).reshape(_shape(layout))
    if not np.isfinite(attention).all():
        raise WireError("attention", "attention weights that are not finite")
    attention.flags.writeable = False
    return attention


def _decode_header(packed: Part) -> Message:
    try:
        version = _unpack_version(packed).v
    except (ValueError, RecursionError, MemoryError):
        raise WireError("header", "a header without a wire version: is this a KVQ Stream worker?") from None
    if version != WIRE_VERSION:
        raise WireError(
            "version",
            f"peer speaks wire version {version}, this program {WIRE_VERSION}: update the older one",
        )
    try:
        message = _unpack(packed)
    except (ValueError, RecursionError, MemoryError) as error:
        raise WireError("header", f"a header that is not valid: {_cause(error)}") from None
    return with_printable_text(message)


def _cause(error: Exception) -> str:
    text, regex, place = str(error), " matching regex ", " - at "
    if regex in text and place in text:  # nobody can read that
        text = f"text that is not allowed there{text[text.rindex(place) :]}"
    return printable(text[:200])


def _fits(topic: bytes, message: Message) -> bool:
    if topic in _topics_of(message):
        return True
    return isinstance(message, FrameHeader) and topics.is_without(topic, message.policy)


def _topics_of(message: Message) -> tuple[bytes, ...]:
    match message:
        case FrameHeader():
            return (topics.frames(message.policy, message.stream_id),)
        case Prediction():
            return (topics.predictions(message.policy, message.stream_id),)
        case EndOfStream():
            return (
                topics.end_of(topics.frames(message.policy, message.stream_id)),
                topics.end_of(topics.predictions(message.policy, message.stream_id)),
            )
        case Stats():
            return (topics.STATS,)
        case Offer():
            return (topics.offer("newest"), topics.offer("every"))


def _check_pixels(header: FrameHeader, pixels: memoryview, max_bytes: int) -> None:
    raw_bytes = header.height * header.width * 3
    full_height, full_width = header.source_size
    if full_height < header.height or full_width < header.width:
        raise WireError("pixels", f"a picture larger than the {full_width}x{full_height} of its source")
    if (largest := max(full_height * full_width * 3, len(pixels))) > max_bytes:
        raise WireError("size", f"a frame of {largest} bytes, wire.max_frame_mb allows {max_bytes}")
    if header.encoding == "raw":
        if len(pixels) != raw_bytes:
            raise WireError("pixels", f"{len(pixels)} bytes of pixels, {raw_bytes} expected")
        return
    if header.encoding == "shm":
        if len(pixels) != _PLACE.size:
            raise WireError("pixels", f"a place in shared memory of {len(pixels)} bytes")
        if (ticket := decode_place(pixels)[1]) > _MOST_TICKET:
            raise WireError("shm", f"a place in shared memory with ticket {ticket}")
        return
    height, width = jpeg_size(pixels)
    if (height, width) != (header.height, header.width):
        raise WireError(
            "jpeg",
            f"a JPEG picture of {width}x{height} where {header.width}x{header.height} was announced",
        )


def _check_attention(layout: AttentionHeader, weights: memoryview, max_bytes: int) -> None:
    queries, keys = _shape(layout)
    expected = queries * keys * 2
    if len(weights) > max_bytes:
        raise WireError("size", f"attention of {len(weights)} bytes, wire.max_frame_mb allows {max_bytes}")
    if len(weights) != expected:
        raise WireError("attention", f"{len(weights)} bytes of attention, {expected} expected")


def _shape(layout: AttentionHeader) -> tuple[int, int]:
    return layout.query_rows * layout.query_columns, layout.past * layout.rows * layout.columns


def _decode_jpeg(pixels: Part, height: int, width: int) -> Image:
    try:  # strict: OpenCV would fill up with grey what is missing
        image = simplejpeg.decode_jpeg(pixels, colorspace="BGR", strict=True)
    except ValueError:
        raise WireError("jpeg", "a damaged JPEG picture") from None
    if image.shape != (height, width, 3):
        raise WireError("jpeg", "a damaged JPEG picture")
    return np.asarray(image, np.uint8)
